"""Labels from other people's DFT: VASP runs and cube files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.density.convert import as_kind
from rhotem.density.files.read import read_density
from rhotem.density.files.source import File
from rhotem.labels.job import Job
from rhotem.labels.label import Label
from rhotem.labels.recipes import ordering_key
from rhotem.structure.model import Structure


@dataclass(frozen=True, eq=False)
class VaspRun:
    """What a label needs of a ``vasprun.xml``: the last ionic step.

    ``converged`` is False if the electronic loop used all its NELM steps.
    """

    atoms: ase.Atoms
    energy: float
    forces: npt.NDArray[np.float64]
    converged: bool
    parameters: dict[str, Any]


def read_vasprun(path: Path) -> VaspRun:
    """Read a ``vasprun.xml`` (plain or gzipped).

    Raises
    ------
    InputError
        If it is missing, cut off, or holds no finished step.
    """
    import gzip
    from xml.etree import ElementTree

    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            root = ElementTree.parse(stream).getroot()
    except (OSError, EOFError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: not a complete vasprun.xml ({error}); the run may have been killed") from error
    steps = root.findall("calculation")
    if not steps:
        raise InputError(f"{path}: no finished ionic step; let VASP finish")
    last = steps[-1]
    symbols = [entry.findtext("c", "").strip() for entry in root.findall("atominfo/array[@name='atoms']/set/rc")]
    cell = _rows(last.find("structure/crystal/varray[@name='basis']"))
    fractions = _rows(last.find("structure/varray[@name='positions']"))
    forces = last.find("varray[@name='forces']")
    wanted = ("ENCUT", "NELM", "ISPIN", "LDAU", "LDAUU", "NELECT", "GGA", "SIGMA")
    parameters = {k: v for k in wanted if (v := _parameter(root, k)) is not None}
    energies = {i.get("name"): float(i.text or "nan") for i in last.findall("energy/i")}
    return VaspRun(
        atoms=ase.Atoms(symbols, scaled_positions=fractions, cell=cell, pbc=True),
        energy=energies.get("e_0_energy", float("nan")),
        forces=np.full((len(symbols), 3), np.nan) if forces is None else _rows(forces),
        converged=len(last.findall("scstep")) < float(parameters.get("NELM", 60)),
        parameters=parameters,
    )


def from_density(
    path: str | Path,
    vasprun: str | Path | None = None,
    charge: float = 0.0,
    prototype: str = "",
    family: str = "added",
    **options: Any,
) -> Label:
    """A label from a CHGCAR, AECCAR2, cube or any density file that `rhotem.density.files` reads.

    Parameters
    ----------
    path : path
        The file, or a VASP directory (AECCAR2 before CHGCAR; its ``vasprun.xml`` is found).
    vasprun : path, optional
        Energy, forces, settings and whether self-consistency was reached; its structure must be that of the density.
    charge : float
        Of the cell in e.
    prototype, family : str
        What the structure is, for splits.
    **options
        Of `rhotem.density.files.source.File`: ``kind``, ``valence``, ``radii``, ``endpoint``.

    Raises
    ------
    InputError
        If a file is damaged, cells differ, or the electron count fits nothing.
    """
    source = File(path, charge=charge, **options)
    if vasprun is None and Path(path).is_dir():
        vasprun = next((p for p in sorted(Path(path).glob("vasprun.xml*"))), None)
    run = read_vasprun(Path(vasprun)) if vasprun is not None else None
    atoms = run.atoms if run is not None else read_density(source.path).structure.atoms
    field = as_kind(source(Structure(atoms, charge=charge)), "deformation")
    structure = Structure(
        atoms,
        charge=charge,
        info={
            "prototype": prototype or source.path.stem,
            "composition": atoms.get_chemical_formula(mode="hill", empirical=True),
            "ordering": ordering_key(atoms),
            "family": family,
            "name": f"{atoms.get_chemical_formula()} from {source.path.name}",
        },
    )
    integral = 0.0 if field.spin is None else field.grid.integrate(field.spin)
    meta = {
        **structure.info,
        "job": Job.of(structure).id,
        "source": {k: v for k, v in field.record.items() if k != "file"} | {"file": source.path.name},
        "converged": True if run is None else run.converged,
        "energy_eV": None if run is None else run.energy,
        "settings": {} if run is None else {"code": "VASP", **run.parameters},
        "spinpol": field.spin is not None,
        "magmom": integral,
        "cell": field.grid.cell.tolist(),
    }
    forces = np.full((len(atoms), 3), np.nan) if run is None else run.forces
    return Label(structure, field.values, field.spin, forces, np.zeros(len(atoms)), meta)


def _rows(varray: Any) -> npt.NDArray[np.float64]:
    if varray is None:
        raise InputError("vasprun.xml: the last ionic step is incomplete; let VASP finish")
    return np.array([[float(x) for x in (v.text or "").split()] for v in varray.findall("v")])


def _parameter(root: Any, name: str) -> Any:
    """Value of a tag: what VASP used, else what INCAR said."""
    for place in ("parameters", "incar"):
        found = root.find(f"{place}//*[@name='{name}']")
        if found is not None and found.text:
            text = found.text.split()
            try:
                values = [float(t) for t in text]
            except ValueError:
                return " ".join(text)
            return values[0] if len(values) == 1 else values
    return None
