"""The fast weights beside the default: how far their densities are apart, and what the atoms cost.

Distance on structures of the sampler, of another seed than that of training: Σ|Δn − Δn'|/Σ|Δn'| and the same of the
potential, on grids of 0.2 Å. Cost: coefficients of every atom (neighbours, encoder, readouts) of LiCoO2 with vacancies
and displaced atoms, after a run that compiles.

Run: OMP_NUM_THREADS=1 python benchmarks/fast_model.py [MODEL] [REFERENCE] [--structures 20] [--sizes 100 400 800]
"""

import argparse
import time
from statistics import fmean, median

from rhotem.core import PeriodicGrid
from rhotem.density.metrics import deformation_error, potential_error_ratio
from rhotem.learned.coefficients import atom_coefficients
from rhotem.learned.grid import on_grid
from rhotem.learned.model import load_model
from rhotem.structure.model import Structure
from rhotem.training.config import DistilSettings
from rhotem.training.distil import draw_structures
from scaling import licoo2

SEED, SPACING = 20_000, 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="fast")
    parser.add_argument("reference", nargs="?", default="default")
    parser.add_argument("--structures", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 400, 800])
    given = parser.parse_args()
    names = (given.model, given.reference)
    models = [load_model(name)[0] for name in names]
    if given.structures:
        distance(models, names, given.structures)
    print("| atoms | " + " | ".join(f"{name}, atoms per CPU second" for name in names) + " | ratio |")
    print("|---|" + "---|" * (len(names) + 1))
    for size in given.sizes:
        atoms = licoo2(size)
        rates = [rate(model, Structure(atoms)) for model in models]
        print(f"| {len(atoms)} | {rates[0]:.0f} | {rates[1]:.0f} | {rates[0] / rates[1]:.1f} |")


def distance(models: list, names: tuple[str, str], count: int) -> None:
    """Print how far the two are apart, structure by structure and on the whole."""
    elements = set(models[0].settings.elements) & set(models[1].settings.elements)
    drawn = draw_structures(DistilSettings(structures=count, seed=SEED, max_atoms=20), elements, set())
    rows = []
    for s in drawn:
        grid = PeriodicGrid.from_spacing(s.cell, SPACING)
        first, second = (on_grid(m.readout.blocks, atom_coefficients(m, s), s.positions, grid) for m in models)
        rows.append((deformation_error(first, second, grid), potential_error_ratio(first, second, grid)))
        print(f"  {s.formula:20s} {rows[-1][0]:.3f} {rows[-1][1]:.3f}")
    a, b = zip(*rows, strict=True)
    print(
        f"{names[0]} from {names[1]}, {count} structures: density {fmean(a):.3f} (median {median(a):.3f}), "
        f"potential {fmean(b):.3f} (median {median(b):.3f})"
    )


def rate(model, structure: Structure) -> float:
    """Atoms per second of CPU time, the second of two runs."""
    atom_coefficients(model, Structure(licoo2(24, seed=1)))
    began = time.process_time()
    atom_coefficients(model, structure)
    spent = time.process_time() - began
    return len(structure) / spent


if __name__ == "__main__":
    main()
