"""Images of crystals with elements that the learned density has few or no labels of, and the first rings of hBN.

    OMP_NUM_THREADS=1 nice python benchmarks/new_element_images.py OUT [NAME ...]

Crystals of docs/model.md through `rhotem.run` with its defaults but 2 nm, ADF 40–90 mrad instead of HAADF, and one
configuration; hBN as in tests/validation/test_v3_hbn.py. OUT: where images are kept.
"""

import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import graphene
from ase.spacegroup import crystal

import rhotem
from rhotem.core import PeriodicGrid
from rhotem.learned.source import Model
from rhotem.potential.crystal import structure_factors
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase
from rhotem.structure.write import write_structure


def tungsten_disulfide() -> Atoms:
    """2H; W. J. Schutte, J. L. de Boer, F. Jellinek, J. Solid State Chem. 70, 207 (1987)."""
    sites, cell = [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.6225)], [3.1532, 3.1532, 12.323, 90, 90, 120]
    return crystal(["W", "S"], sites, spacegroup=194, cellpar=cell)


def lanthanum_aluminate() -> Atoms:
    """The cubic perovskite above 800 K, a = 3.81 Å."""
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("LaAlO3", scaled_positions=sites, cell=np.eye(3) * 3.81, pbc=True)


def lithium_indium_chloride() -> Atoms:
    """An ordered model of Li3InCl6 on the cell of X. Li et al., Energy Environ. Sci. 12, 2665 (2019)."""
    sites = [(0, 0, 0), (0, 1 / 3, 0), (0, 0.5, 0.5), (0.24, 0, 0.767), (0.25, 0.162, 0.235)]
    cell = [6.411, 11.053, 6.393, 90, 109.8, 90]
    return crystal(["In", "Li", "Li", "Cl", "Cl"], sites, spacegroup=12, cellpar=cell, primitive_cell=True)


def germanium_thiophosphate() -> Atoms:
    """Li10GeP2S12, 50 atoms: an ordering of the sites of N. Kamaya et al., Nature Mater. 10, 682 (2011)."""
    sites = {
        "Li16": (0.2563, 0.2715, 0.1793),
        "Li4": (0, 0.5, 0.9449),
        "Li8": (0.248, 0.248, 0),
        "Ge": (0, 0.5, 0.6905),
        "P": (0, 0, 0.5),
        "S1": (0, 0.1843, 0.4085),
        "S2": (0, 0.296, 0.0968),
        "S3": (0, 0.6994, 0.7925),
    }
    cell = [8.7177, 8.7177, 12.6345, 90, 90, 90]
    whole = crystal([n.rstrip("0123456789") for n in sites], list(sites.values()), spacegroup=137, cellpar=cell)
    kinds = whole.arrays["spacegroup_kinds"]
    # of sixteen lithium sites every second one, far from each other; two of the four germanium sites are phosphorus
    chosen: list[int] = []
    for atom in np.flatnonzero(kinds == 0):
        if len(chosen) < 8 and all(whole.get_distance(atom, other, mic=True) > 2.5 for other in chosen):
            chosen.append(int(atom))
    germanium = np.flatnonzero(kinds == 3)
    whole.symbols[germanium[np.argsort(whole.positions[germanium, 2])[2:]]] = "P"
    return whole[[i for i in range(len(whole)) if kinds[i] != 0 or i in chosen]]


CRYSTALS = {
    "hBN": lambda: phase("hBN").atoms,
    "MoS2": lambda: phase("MoS2").atoms,
    "WS2": tungsten_disulfide,
    "SrTiO3": lambda: phase("SrTiO3").atoms,
    "LaAlO3": lanthanum_aluminate,
    "Li3InCl6": lithium_indium_chloride,
    "Li7La3Zr2O12": lambda: phase("Li7La3Zr2O12").atoms,
    "Li10GeP2S12": germanium_thiophosphate,
}


def first_rings() -> None:
    """I(10)/I(11) of a monolayer of hBN."""
    layer = graphene("BN", a=2.504, vacuum=4.0)
    layer.pbc = True
    structure, h = Structure(layer), np.array([[1, 0, 0], [1, 1, 0]])
    free = np.abs(structure_factors(None, structure, h))
    print(f"hBN, I(10)/I(11): free atoms {(free[0] / free[1]) ** 2:.3f}", end="")
    for name in ("default", "fast"):
        field = Model(name)(structure, PeriodicGrid.from_spacing(structure.cell, 0.15))
        values = np.abs(structure_factors(field, structure, h))
        projected = values[0] * structure.cell[2, 2]
        print(f", {name} {(values[0] / values[1]) ** 2:.3f} (|V(10)| {projected:.2f} V·Å)", end="")
    print(", DFT 0.88 (9.98 V·Å)")


def main(out: str, *names: str) -> None:
    first_rings()
    folder = Path(out)
    print("| crystal | atoms | expected error | novelty, of known elements | change of ADF, ABF, % of range | CPU s |")
    print("|---|---|---|---|---|---|")
    for name in names or CRYSTALS:
        atoms = CRYSTALS[name]()
        folder.mkdir(exist_ok=True, parents=True)
        file = folder / f"{name}.cif"
        write_structure(Structure(atoms), file)
        plan = {
            "specimen": {"structure": str(file), "thickness_nm": 2.0},
            "motion": {"phonons": 1},
            "microscope": {"detectors": ["ADF=40-90", "ABF=11-22"]},
        }
        began = time.process_time()
        learned = rhotem.run(plan, folder / name)
        spent = time.process_time() - began
        free = rhotem.run({**plan, "density": {"source": "free-atoms"}})
        record = learned.record["density"]
        said = {**record["new_elements"]["zero_shot"], **record["new_elements"].get("few_labels", {})}
        errors = ", ".join(f"{z} {row['expected_error']:.2f}" for z, row in said.items())
        change = [
            100 * np.abs(learned.images[d] - free.images[d]).max() / np.ptp(free.images[d]) for d in ("ADF", "ABF")
        ]
        novelty, count = record["novelty"], len(learned.density.structure)
        print(
            f"| {name} | {count} | {errors} | {novelty['value']:.1f}, {novelty['of_known_elements']:.1f} "
            f"| {change[0]:.1f}, {change[1]:.1f} | {spent:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
