"""Atoms that share features where surroundings are equal within a reach: error against time.

LiCoO2 with Li vacancies at random, atoms at their sites. What an atom makes of its surroundings changes with every
vacancy that the encoder sees (25 Å with the shipped weights); with a reach, only with those nearer. Error: Σ|δ|/Σ|Δn|
on a grid, of all functions, of a part of the cell around vacancies and between them.

Run: OMP_NUM_THREADS=1 python benchmarks/reach.py [--atoms 6000] [--vacancies 0.02] [--reach 5 10 15 20 inf]
"""

import argparse
import time

import numpy as np

from rhotem.core import PeriodicGrid
from rhotem.learned.coefficients import atom_coefficients
from rhotem.learned.encoder import FastEncoder
from rhotem.learned.grid import on_grid
from rhotem.learned.source import Model
from rhotem.structure.model import Structure
from scaling import licoo2

SPACING = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--atoms", type=int, default=6000)
    parser.add_argument("--vacancies", type=float, default=0.02)
    parser.add_argument("--reach", type=float, nargs="+", default=[np.inf, 20, 15, 10, 5])
    options = parser.parse_args()
    model = Model().model
    atom_coefficients(model, Structure(licoo2(24, perfect=True)))  # compiles
    atoms = licoo2(options.atoms, perfect=True, vacancies=options.vacancies)
    structure = Structure(atoms)
    grid = PeriodicGrid.from_spacing(structure.cell, SPACING)
    exact: np.ndarray | None = None
    print(f"{len(structure)} atoms, {options.vacancies:.1%} of Li missing")
    print(f"{'reach, Å':>9s} {'classes':>8s} {'encoder, CPU s':>15s} {'error':>9s} {'largest, of max|Δn|':>20s}")
    for reach in options.reach:
        s = structure
        classes = len(FastEncoder(model.encoder, s.numbers, s.positions, s.cell, reach=reach).representatives)
        began = time.process_time()
        coefficients = atom_coefficients(model, structure, reach=reach)
        spent = time.process_time() - began
        values = on_grid(model.readout.blocks, coefficients, structure.positions, grid)
        exact = values if exact is None else exact
        off = np.abs(values - exact)
        print(
            f"{reach:9.0f} {classes:8d} {spent:15.2f} {off.sum() / np.abs(exact).sum():9.1e} "
            f"{off.max() / np.abs(exact).max():20.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
