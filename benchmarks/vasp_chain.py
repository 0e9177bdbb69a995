"""VASP's densities through the whole chain beside GPAW's of the same cells: structure factors and images.

    python benchmarks/vasp_chain.py FOLDER [--ecut 600] [--cache FOLDER]

FOLDER holds VASP's Si.CHGCAR.gz, Si.AECCAR2.gz, NaCl.CHGCAR.gz and LiH-pbesol.CHGCAR.gz, two atoms per cell (the last
two are in tests/data/vasp). GPAW with PBE, as VASP but for LiH (PBEsol), and its own PAW sets. For both codes and for
free atoms: |V(hkl)|, and images along [110] of the conventional cell, 5 nm thick, atoms at rest. What is left of the
bonding's effect: ‖V − V_GPAW‖/‖V_free − V_GPAW‖ over |g| < 1/Å and < 2/Å, and the same of the images.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from rhotem.analysis import run
from rhotem.core import reflections
from rhotem.density.field import DensityField
from rhotem.density.files import File, read_density
from rhotem.labels.gpaw_settings import DftSettings
from rhotem.labels.gpaw_source import Gpaw
from rhotem.potential.crystal import structure_factors
from rhotem.structure.model import Structure

#: Files and k-points along each axis.
CASES = {
    "Si": (("Si.CHGCAR.gz", "Si.AECCAR2.gz"), 6),
    "NaCl": (("NaCl.CHGCAR.gz",), 4),
    "LiH": (("LiH-pbesol.CHGCAR.gz",), 6),
}
#: Of the primitive cells, whose axes are at 60°, and what they are called in the cubic cell.
SHOWN = {"111": 1.0, "200": 4.0 / 3.0, "220": 8.0 / 3.0, "311": 11.0 / 3.0, "222": 4.0}
ZONE, THICKNESS = (1, 1, 0), 5.0
DETECTORS = ("ABF=11-22", "DPC=6-22", "HAADF=68-200")
IMAGES = ("ABF", "iDPC", "HAADF")


def shown_factors(structure: Structure, fields: dict[str, DensityField]) -> None:
    """|V| of the innermost shells in V; an allowed reflection of each."""
    h = reflections(structure.cell, 1.0)
    g2 = ((h @ np.linalg.inv(structure.cell).T) ** 2).sum(1)
    values = {name: np.abs(structure_factors(field, structure, h)) for name, field in fields.items()}
    print("\n| |V| in V | " + " | ".join(f"({name})" for name in SHOWN) + " |\n|" + "---|" * (len(SHOWN) + 1))
    for name, v in values.items():
        row = [v[np.isclose(g2, ratio * g2.min(), rtol=1e-4)] for ratio in SHOWN.values()]
        print(f"| {name} | " + " | ".join(f"{x.max():.3f}" if len(x) else "–" for x in row) + " |")


def left(fields: dict[str, DensityField], structure: Structure, name: str, g_max: float) -> float:
    """Distance of a density from GPAW's, as part of what bonding does."""
    h = reflections(structure.cell, g_max)
    own, gpaw, free = (structure_factors(fields[k], structure, h) for k in (name, "GPAW", "free atoms"))
    return float(np.linalg.norm(own - gpaw) / np.linalg.norm(free - gpaw))


def images(structure: Structure, fields: dict[str, DensityField]) -> dict[str, dict[str, np.ndarray]]:
    """Images by density and name, pixels of 0.1 Å; iDPC without its mean."""
    preset = run.adjusted_preset("layered-oxide", detectors=DETECTORS)
    cut = run.specimen(structure, ZONE, thickness=THICKNESS, preset=preset, primitive=False)
    result = {}
    for name, field in fields.items():
        shown = run.image(cut, run.potential(cut, field, phonons=0)).resampled(0.1)
        result[name] = {k: shown[k].astype(float) - shown[k].mean() * (k == "iDPC") for k in IMAGES}
    return result


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ecut", type=float, default=600.0)
    parser.add_argument("--cache", type=Path, help="keeps GPAW's calculations")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    options = parser.parse_args()
    for case in options.only:
        files, points = CASES[case]
        structure = read_density(options.folder / files[0]).structure
        began = time.process_time()
        settings = DftSettings(ecut=options.ecut, kpts=(points,) * 3)
        gpaw = Gpaw(settings=settings, cache=options.cache)(structure, read_density(options.folder / files[0]).grid)
        print(f"\n{case}: GPAW PBE, {options.ecut:g} eV, {points}³ k-points, "
              f"{time.process_time() - began:.0f} s of CPU time")  # fmt: skip
        vasp = {f"VASP {name.split('.')[1]}": File(options.folder / name)(structure) for name in files}
        atoms = run.density(structure, "free-atoms")
        fields = {**vasp, "GPAW": gpaw, "free atoms": atoms}
        shown_factors(structure, fields)
        pictures = images(structure, fields)
        print("\n| | |g| < 1/Å | |g| < 2/Å | " + " | ".join(IMAGES) + " |\n|---|---|---|" + "---|" * len(IMAGES))
        for name in vasp:
            row = [left(fields, structure, name, g) for g in (1.0, 2.0)]
            for image in IMAGES:
                own, reference, free = (pictures[k][image] for k in (name, "GPAW", "free atoms"))
                row.append(float(np.linalg.norm(own - reference) / np.linalg.norm(free - reference)))
            print(f"| {name} | " + " | ".join(f"{x:.3f}" for x in row) + " |")
        whole = [np.ptp(pictures["GPAW"][i]) for i in IMAGES]
        changed = [np.abs(pictures["free atoms"][i] - pictures["GPAW"][i]).max() for i in IMAGES]
        parts = [f"{i} {100 * c / w:.2f}" for i, c, w in zip(IMAGES, changed, whole, strict=True)]
        print(f"largest change by bonding, % of the image's range: {', '.join(parts)}")


if __name__ == "__main__":
    main()
