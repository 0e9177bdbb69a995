"""The learned density of one Li hop, following from the frame before against evaluating everything, in the same run.

    python benchmarks/following.py [--cells 3,3,3] [--tolerance 2e-5]

LiCoO2 with one vacancy in a cell of 216 sites, and as many perfect ones beside it as asked for; one neighbour moves
towards the vacancy. CPU seconds of the density alone, without novelty, and the largest differences.
"""

import argparse
import time

import numpy as np
from ase.build import make_supercell

from rhotem.core import PeriodicGrid
from rhotem.learned.following import TOLERANCE, Following
from rhotem.learned.source import Model
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


def hop(cells):
    """Structures before and behind the move."""
    one = make_supercell(phase("LiCoO2").atoms, [[1, 0, 0], [1, 2, 0], [0, 0, 1]]).repeat((3, 3, 1))
    whole = one.repeat(cells)
    li = [a.index for a in one if a.symbol == "Li"]
    apart = whole.get_distances(li[0], li, mic=True)
    ion = li[int(np.argsort(apart)[1])]
    way = whole.get_distance(ion, li[0], mic=True, vector=True)
    del whole[li[0]]
    ion -= ion > li[0]
    moved = whole.copy()
    moved.positions[ion] += 0.3 * way
    return Structure(whole), Structure(moved)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", default="1,1,1")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    asked = parser.parse_args()
    before, behind = hop(tuple(int(n) for n in asked.cells.split(",")))
    model = Model(novelty=False, positive="off")
    grid = PeriodicGrid.from_spacing(before.cell, model.spacing)
    model(phase("LiF"), PeriodicGrid.from_spacing(phase("LiF").cell, model.spacing))  # compilation
    source = Following(model, model, model.checked, asked.tolerance)
    seconds = []
    for step in (lambda: source(before, grid), lambda: source(behind, grid), lambda: model(behind, grid)):
        began = time.process_time()
        found = step()
        seconds.append((time.process_time() - began, found))
    (first, _), (following, here), (full, whole) = seconds
    smooth, sharp = np.abs(whole.values).max(), np.abs(whole.one_centre.coefficients).max()
    off = np.abs(here.one_centre.coefficients - whole.one_centre.coefficients).max() / sharp
    print(f"{len(before)} atoms, tolerance {asked.tolerance:g}, CPU s")
    print(f"first frame {first:.2f}, following {following:.2f}, full {full:.2f}: ratio {full / following:.2f}")
    print(f"atoms evaluated by layer, then drawn: {source.evaluated}")
    print(f"largest difference on the grid {np.abs(here.values - whole.values).max():.1e} e/Å³ of {smooth:.2f}")
    print(f"of sharp coefficients {off:.1e} of the largest")


if __name__ == "__main__":
    main()
