"""Electron count of learned densities on random cells, grids and charges.

    python benchmarks/electron_count.py [CELLS] [spherical|gated ...]

Random weights, one to four atoms of Li, O, Co in cells of any shape, grids from 0.25 to 0.9 Å with odd, even and prime
lengths, charges up to one electron per atom. Printed: the largest |∫Δn + q| over the valence electrons, of the field
that goes to the potential (g = 0 coefficient: grid and one-centre parts; of the gated readout mostly with everything on
the grid). The bar is 1e-6.
"""

import sys
import time

import ase
import numpy as np

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.convert import one_centre_electrons
from rhotem.density.metrics import valence_electrons
from rhotem.learned.coefficients import atom_coefficients
from rhotem.learned.grid import counted_on_grid
from rhotem.learned.readouts.gated.field import Gating, on_gated_grid
from rhotem.learned.readouts.gated.settings import GatedSettings
from rhotem.learned.readouts.spherical.predict import SharpTerms
from rhotem.learned.settings import ModelSettings, NequipSettings
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned
from rhotem.training.network.model import DensityModel, make_model

BAR = 1e-6


def make(readout: str) -> DensityModel:
    """A small model with random weights in single precision."""
    encoder = NequipSettings(channels=4, scalars=8, embedding=4, radial_width=8, lmax_sent=1)
    gated = GatedSettings(channels=4, functions=10, radial_width=8, width=8, cutoff=3.0)
    return make_model(ModelSettings(readout=readout, nequip=encoder, gated=gated, elements=[3, 8, 27]), seed=5).eval()


def random_case(rng: np.random.Generator) -> tuple[Structure, PeriodicGrid]:
    """A cell of any shape that is not flat, atoms anywhere in it."""
    while True:
        cell = rng.normal(size=(3, 3))
        cell *= (rng.uniform(2.5, 6.0, 3) / np.linalg.norm(cell, axis=1))[:, None]
        if abs(np.linalg.det(cell)) > 0.3 * np.prod(np.linalg.norm(cell, axis=1)):
            break
    count = int(rng.integers(1, 5))
    atoms = ase.Atoms(rng.choice([3, 8, 27], count), cell=cell, pbc=True)
    atoms.set_scaled_positions(rng.random((count, 3)))
    charge = float(rng.choice([0.0, rng.uniform(-1.0, 1.0) * count]))
    shape = np.maximum(2, np.linalg.norm(cell, axis=1) / rng.uniform(0.25, 0.9)).astype(int)
    return Structure(atoms, charge=charge), PeriodicGrid(cell, tuple(shape))


def error(model: DensityModel, structure: Structure, grid: PeriodicGrid, split: bool) -> float:
    """|∫Δn + q| in e."""
    ready = as_learned(model)
    if model.can.linear:
        c = atom_coefficients(ready, structure)
        values, _ = counted_on_grid(ready.readout.blocks[1], c[1], structure.positions, grid)
        terms = SharpTerms(ready.readout.blocks[0], c[0])
    else:
        gating = Gating(ready.readout.maps, ready.readout.prepare(structure), structure)
        result = on_gated_grid(gating, grid, split=split)
        values, terms = result.values, result.one_centre
    return abs(grid.integrate(values) + sum(map(one_centre_electrons, terms)) + structure.charge)


def main() -> None:
    """Print a table."""
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("readout      cells   refused   worst |∫Δn + q|/N_val   median     minutes")
    for readout in sys.argv[2:] or ("spherical", "gated"):
        model, rng = make(readout), np.random.default_rng(0)
        began, errors, refused = time.perf_counter(), [], 0
        while len(errors) < cells:
            structure, grid = random_case(rng)
            try:
                split = len(errors) % 500 == 0  # a hundred times the work
                errors.append(error(model, structure, grid, split) / valence_electrons(structure))
            except InputError as problem:
                if "apart" not in str(problem):
                    raise
                refused += 1
                continue
            if len(errors) % 1000 == 0:
                print(f"{len(errors)} cells, worst so far {max(errors):.1e}", file=sys.stderr, flush=True)
        minutes = (time.perf_counter() - began) / 60.0
        print(
            f"{readout:10s} {cells:7d} {refused:9d}   {max(errors):22.1e}   {np.median(errors):.1e}   {minutes:8.1f}"
            + ("" if max(errors) <= BAR else "   missed")
        )


if __name__ == "__main__":
    main()
