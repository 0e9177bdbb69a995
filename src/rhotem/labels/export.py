"""Labels in other programs' formats: extended xyz for force fields, CHGCAR and cube for densities."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.density.files.write import write_density
from rhotem.density.metrics import treat_near_nuclei
from rhotem.labels.label import Label
from rhotem.labels.read import read_label, read_labels


def write_extxyz(sources: Iterable[Path], target: Path) -> int:
    """All labels as one extended xyz file with energy, forces, moments and charge; returns how many."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    frames = []
    for record in read_labels(sources):
        atoms = record.structure.atoms.copy()
        known = {"energy": record.meta.get("energy_eV")}
        if np.isfinite(record.forces).all():
            known["forces"] = np.asarray(record.forces, dtype=float)
        if record.magnetization is not None:
            known["magmoms"] = np.asarray(record.magmoms, dtype=float)
        atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in known.items() if v is not None})
        atoms.info = {
            "label": record.name,
            "charge": record.structure.charge,
            **{k: str(record.meta[k]) for k in ("prototype", "ordering", "family") if k in record.meta},
        }
        frames.append(atoms)
    if not frames:
        raise InputError("export: no labels given")
    write(target, frames, format="extxyz")
    return len(frames)


def field_of(record: Label) -> DensityField:
    """The label as a deformation density, treated near nuclei.

    Raises
    ------
    InputError
        If only chosen voxels are stored.
    """
    if record.voxels is not None:
        raise InputError("export: this label holds chosen voxels only; calculate it again for its full grid")
    values, moved = treat_near_nuclei(record.deformation, record.structure, record.grid)
    spin = None if record.magnetization is None else record.magnetization.astype(float)
    return DensityField(
        kind="deformation",
        structure=record.structure,
        grid=record.grid,
        values=values,
        spin=spin,
        reference="GPAW PBE",
        source=f"label {record.meta.get('job', '')}".strip(),
        record={"near_nuclei": moved},
    )


def export_density(file: Path, target: Path) -> Path:
    """The valence density of one label as a CHGCAR, cube, xsf … (by the name of ``target``)."""
    return write_density(field_of(read_label(file)), target, "valence")
