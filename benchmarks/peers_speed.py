"""Voxels per second of DeepDFT and ChargE3Net at their published sizes: the table of docs/peers.md.

    OMP_NUM_THREADS=1 python benchmarks/peers_speed.py [--voxels 20000] [--phase LCO] [--default]

Random weights: speed does not depend on them. Everything from atoms to values is included, loading the model is not.
Counted per second and per CPU second, because machines are shared. "direct" is ChargE3Net without tables;
``--default`` adds RhoTEM's own network on the whole grid, sharp functions included, as what the peers do.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch

from rhotem.core import PeriodicGrid
from rhotem.peers import evaluate
from rhotem.peers.charge3net import ChargE3NetSettings
from rhotem.peers.deepdft import DeepDFTSettings
from rhotem.peers.networks import PeerSettings, make_peer
from rhotem.structure.phases import phase

PUBLISHED: dict[str, PeerSettings] = {
    "DeepDFT SchNet": DeepDFTSettings(architecture="deepdft-schnet", interactions=6),
    "DeepDFT PaiNN": DeepDFTSettings(architecture="deepdft-painn", interactions=3),
    "ChargE3Net": ChargE3NetSettings(),
    "ChargE3Net, direct": ChargE3NetSettings(),
}
SPACING = 0.1


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=20000)
    parser.add_argument("--phase", default="LCO")
    parser.add_argument("--default", action="store_true")
    options = parser.parse_args()
    structure = phase(options.phase)
    grid = PeriodicGrid.from_spacing(structure.cell, SPACING)
    # Neighbouring points of the grid, as in a run over all of it.
    points = grid.points().reshape(-1, 3)[: options.voxels]
    print(f"{structure.formula}, {len(structure)} atoms; {len(points)} of {grid.size} points at {SPACING} Å; "
          f"{torch.get_num_threads()} threads\n")  # fmt: skip
    print("| model | parameters | atoms per CPU second, encoder | voxels/s | voxels per CPU second | memory, MB |")
    print("|---|---|---|---|---|---|")
    for name, settings in PUBLISHED.items():
        model = make_peer(settings).eval()
        direct = name.endswith("direct")
        used = points[:: max(1, len(points) // 500)] if direct else points
        evaluate.at_points(model, structure, points[:10])
        _, encoder = timed(lambda model=model: evaluate.at_points(model, structure, points[:1]))
        batch = 5 * len(structure) if direct else None  # so few probes that tables do not pay
        wall, cpu = timed(lambda m=model, p=used, b=batch: evaluate.at_points(m, structure, p, b))
        size = sum(p.numel() for p in model.parameters())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {name} | {size:,} | {len(structure) / encoder:.0f} | {len(used) / wall:.0f} | {len(used) / cpu:.0f} "
            f"| {memory:.0f} |"
        )
    if options.default:
        from rhotem.learned.coefficients import atom_coefficients
        from rhotem.learned.grid import on_grid
        from rhotem.learned.model import load_model

        default, _ = load_model("default")
        coefficients = atom_coefficients(default, structure)
        on_grid(default.readout.blocks, coefficients, structure.positions, PeriodicGrid(structure.cell, (8, 8, 8)))
        _, encoder = timed(lambda: atom_coefficients(default, structure))
        wall, cpu = timed(lambda: on_grid(default.readout.blocks, coefficients, structure.positions, grid))
        size, each = default.parameters_count, len(structure) / encoder
        speed = [grid.size / (encoder + seconds) for seconds in (wall, cpu)]
        print(f"| RhoTEM default | {size:,} | {each:.0f} | {speed[0]:.0f} | {speed[1]:.0f} | |")


if __name__ == "__main__":
    main()
