"""Learned density of LiCoO2 with 2 % Li vacancies, 100 to 131,072 atoms: time and peak memory, and the exponent.

Every size runs in a process of its own, after a small cell that loads the compiled kernels. Atoms are displaced at
random by 0.02 Å rms, so that no two have equal surroundings; --perfect leaves them at their sites, where the encoder
finds the surroundings that repeat. Density: wide part on a grid of 0.2 Å, sharp part as one-centre coefficients.
Seconds of CPU time are those of all threads; on a quiet machine wall time is that over the number of threads.

Run: OMP_NUM_THREADS=2 python benchmarks/scaling.py [--sizes 96 768 6144 49152 131072] [--perfect] [--memory 4GB]
     [--model NAME] [--json FILE] [--figure docs/images/scaling.png]

Every size is written to FILE as soon as it is done; sizes found there are not run again. The rows of the table in
docs/scale.md are printed at the end.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import ase
import numpy as np

from rhotem.cli.common import parse_memory

SPACING, VACANCIES, RATTLE = 0.2, 0.02, 0.02
#: Orthogonal cell of R-3m LiCoO2 (a = 2.816, c = 14.05 Å), 24 atoms.
A, C, Z_O = 2.816, 14.05, 0.26


def licoo2(atoms: int, perfect: bool = False, seed: int = 0, vacancies: float = VACANCIES) -> ase.Atoms:
    """About ``atoms`` atoms in a block as cubic as can be."""
    sites, symbols = [], []
    for shift in np.array([[0, 0, 0], [2 / 3, 1 / 3, 1 / 3], [1 / 3, 2 / 3, 2 / 3]]):
        for symbol, z in (("Co", 0.0), ("Li", 0.5), ("O", Z_O), ("O", -Z_O)):
            sites.append((shift + np.array([0, 0, z])) % 1.0)
            symbols.append(symbol)
    cell = np.array([[A, 0, 0], [-A / 2, A * np.sqrt(3) / 2, 0], [0, 0, C]])
    hexagonal = ase.Atoms(symbols, scaled_positions=sites, cell=cell, pbc=True)
    both = hexagonal.repeat((1, 2, 1))
    both.set_cell([[A, 0, 0], [0, A * np.sqrt(3), 0], [0, 0, C]])
    both.wrap()
    side = (atoms / 24 * both.cell.volume) ** (1 / 3)
    counts = [max(1, round(side / length)) for length in both.cell.lengths()]
    best = min(
        (np.maximum(1, np.array(counts) + np.array(d) - 1) for d in np.ndindex(3, 3, 3)),
        key=lambda n: abs(24 * int(np.prod(n)) - atoms),
    )
    block = both.repeat(tuple(int(n) for n in best))
    rng = np.random.default_rng(seed)
    lithium = np.flatnonzero(block.numbers == 3)
    del block[rng.choice(lithium, round(vacancies * len(lithium)), replace=False)]
    if not perfect:
        block.positions += rng.normal(0.0, RATTLE, block.positions.shape)
    return block


def peak() -> float:
    """Largest memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(atoms: int, perfect: bool, memory: float | None, name: str) -> dict[str, float]:
    """One size, stage by stage."""
    from rhotem.core import PeriodicGrid
    from rhotem.learned.coefficients import atom_coefficients
    from rhotem.learned.grid import counted_on_grid, on_grid
    from rhotem.learned.source import Model, encoder_room
    from rhotem.structure.model import Structure

    def tell(plan: str) -> None:
        print(plan, file=sys.stderr, flush=True)

    model = Model(name).model
    small = Structure(licoo2(24, perfect=True))
    grid = PeriodicGrid.from_spacing(small.cell, 0.3)
    counted_on_grid(model.readout.blocks[1], atom_coefficients(model, small)[1], small.positions, grid)
    structure = Structure(licoo2(atoms, perfect))
    grid = PeriodicGrid.from_spacing(structure.cell, SPACING)
    result = {"atoms": len(structure), "voxels": grid.size, "start_GB": peak()}
    marks = [(time.perf_counter(), time.process_time())]
    coefficients = atom_coefficients(
        model, structure, memory=encoder_room(model, structure, grid.size, memory), announce=tell
    )
    marks.append((time.perf_counter(), time.process_time()))
    result["encoder_GB"] = peak()
    values, moved = counted_on_grid(model.readout.blocks[1], coefficients[1], structure.positions, grid)
    marks.append((time.perf_counter(), time.process_time()))
    result["grid_GB"] = peak()
    for name, before, after in zip(("encoder", "grid"), marks[:-1], marks[1:], strict=True):
        result[f"{name}_wall_s"], result[f"{name}_cpu_s"] = (b - a for a, b in zip(before, after, strict=True))
    sharp = coefficients[0][:, :, 0] @ model.readout.blocks[0].electrons
    result["electrons_off"] = float(grid.integrate(values) + sharp.sum())
    result["valence_electrons"] = float(sum({3: 1, 8: 6, 27: 9}[z] for z in structure.numbers.tolist()))
    result["count_correction_e"] = moved
    if grid.size < 2e6:  # all functions at the points of a grid, as labels are compared with
        began = time.process_time()
        on_grid(model.readout.blocks, coefficients, structure.positions, grid)
        result["all_functions_cpu_s"] = time.process_time() - began
    return result


def exponent(rows: list[dict[str, float]], name: str) -> float:
    """Slope of log time over log atoms, from 500 atoms on."""
    large = [r for r in rows if r["atoms"] > 500]
    if len(large) < 2:
        return float("nan")
    return float(np.polyfit(np.log([r["atoms"] for r in large]), np.log([r[name] for r in large]), 1)[0])


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Time and memory over atoms."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    atoms = np.array([r["atoms"] for r in rows])
    for name, label in (("encoder", "encoder"), ("grid", "grid of 0.2 Å")):
        left.loglog(atoms, [r[f"{name}_cpu_s"] for r in rows], "o-", label=label)
    left.loglog(atoms, atoms * rows[-1]["encoder_cpu_s"] / atoms[-1], "k:", lw=1, label="∝ N")
    left.set(xlabel="atoms", ylabel="CPU time (s)")
    left.legend(frameon=False)
    right.semilogx(atoms, [r["grid_GB"] for r in rows], "o-")
    right.set(xlabel="atoms", ylabel="peak memory (GB)", ylim=(0, None))
    for axes in (left, right):
        axes.set_xticks(atoms, [f"{n:,.0f}" for n in atoms])
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axes.tick_params(axis="x", rotation=30)
    figure.savefig(path, dpi=110)


def run(size: int, options: argparse.Namespace) -> dict[str, float]:
    """One size in a process of its own."""
    command = [sys.executable, __file__, "--one", str(size), "--model", options.model]
    command += ["--perfect"] if options.perfect else []
    command += ["--memory", f"{options.memory / 1e9}GB"] if options.memory else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(r: dict[str, float]) -> None:
    """A line of the table."""
    off = abs(r["electrons_off"]) / r["valence_electrons"]
    wall = r["encoder_wall_s"] + r["grid_wall_s"]
    print(f"{r['atoms']:8d} {r['voxels']:11d} {r['encoder_cpu_s']:10.2f} {r['atoms'] / r['encoder_cpu_s']:8.0f} "
          f"{r['grid_cpu_s']:8.2f} {r['voxels'] / r['grid_cpu_s']:10.3g} {wall:7.1f} {r['grid_GB']:8.2f} "
          f"{off:24.1e}", flush=True)  # fmt: skip
    if "all_functions_cpu_s" in r:
        print(f"{'':8s} all functions on that grid: {r['voxels'] / r['all_functions_cpu_s']:.3g} voxels/s")


def markdown(r: dict[str, float]) -> str:
    """A row of the table in docs/scale.md."""
    encoder, grid = r["atoms"] / r["encoder_cpu_s"], r["voxels"] / r["grid_cpu_s"] / 1e6
    off = abs(r["electrons_off"]) / r["valence_electrons"]
    return (
        f"| {r['atoms']:,} | {r['voxels']:,} | {r['encoder_cpu_s']:.3g} ({encoder:,.0f}) | {r['grid_cpu_s']:.3g} "
        f"({grid:.1f} M) | {r['grid_GB']:.2f} GB | {off:.0e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 768, 6144, 49152, 131072])
    parser.add_argument("--perfect", action="store_true")
    parser.add_argument("--memory", type=parse_memory, default=None)
    parser.add_argument("--model", default="default", help="weights: shipped ones, a run folder or a file")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.perfect, options.memory, options.model)))
        return
    rows = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    print(f"{'atoms':>8s} {'voxels':>11s} {'encoder s':>10s} {'atoms/s':>8s} {'grid s':>8s} {'voxels/s':>10s} "
          f"{'wall s':>7s} {'peak GB':>8s} {'electrons off / valence':>24s}")  # fmt: skip
    done = {r["asked"] for r in rows}
    for size in options.sizes:
        if size not in done:
            rows.append(run(size, options) | {"asked": size})
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n")
        show(next(r for r in rows if r["asked"] == size))
    rows.sort(key=lambda r: r["atoms"])
    print(f"exponent: encoder {exponent(rows, 'encoder_cpu_s'):.2f}, grid {exponent(rows, 'grid_cpu_s'):.2f}")
    print("\n".join(["", "Rows of docs/scale.md:", *(markdown(r) for r in rows)]))
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
