"""The table of structure formats, and which of them a file is: by its ending and its content, never by a guess."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rhotem.core import InputError
from rhotem.core.nearby import MEASURED
from rhotem.structure.read.car import is_car, read_car, read_xsd
from rhotem.structure.read.castep import is_castep, read_castep
from rhotem.structure.read.cif import read_cif
from rhotem.structure.read.contents import Contents, Text
from rhotem.structure.read.cube import read_cube
from rhotem.structure.read.drprobe import is_cel, read_cel
from rhotem.structure.read.espresso import is_espresso, read_espresso
from rhotem.structure.read.gromacs import read_gro
from rhotem.structure.read.lammps import is_data, is_dump, read_data, read_dump
from rhotem.structure.read.mustem import is_xtl, read_xtl
from rhotem.structure.read.objects import read_with_ase
from rhotem.structure.read.pdb import read_pdb
from rhotem.structure.read.poscar import read_poscar
from rhotem.structure.read.pymatgen_json import is_pymatgen, read_pymatgen
from rhotem.structure.read.qstem import read_cfg
from rhotem.structure.read.shelx import is_shelx, read_shelx
from rhotem.structure.read.temsim import is_temsim, read_temsim
from rhotem.structure.read.xsf import is_xsf, read_xsf
from rhotem.structure.read.xyz import is_xyz, read_xyz

COMPRESSED = (".gz", ".bz2", ".xz")
#: Endings that say nothing of the content.
PLAIN = ("", ".txt", ".dat", ".out")
#: Characters of a file that are looked at.
HEAD = 200_000


@dataclass(frozen=True)
class Format:
    """A structure format.

    Parameters
    ----------
    name : str
    endings : tuple of str
    looks : callable
        Whether the head of a text is it.
    read : callable
    names : str
        Regular expression of file names that stand for it without an ending.
    certain : bool
        Whether ``looks`` alone proves it, so that a file with another ending may be it.
    """

    name: str
    endings: tuple[str, ...]
    looks: Callable[[str], bool]
    read: Callable[[Text], Contents]
    names: str = "(?!)"
    certain: bool = True


def _is_cif(head: str) -> bool:
    return bool(re.search(r"(?im)^\s*(data_|loop_|_cell_length_a|_cell\.length_a)", head)) and "_cell" in head.lower()


def _is_poscar(head: str) -> bool:
    lines = head.splitlines()[:9]
    return len(lines) >= 7 and all(_numbers(line) for line in lines[1:5]) and len(_WORD.findall(lines[2])) >= 3


#: Numbers at the beginning of a line, and what may stand behind them.
_WORD = re.compile(r"(?<![^\s])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?(?![^\s])")


def _numbers(line: str) -> bool:
    """Whether a line begins with a number, Fortran's ``1.0D+01`` included."""
    return bool(_WORD.match(line.lstrip()))


def _is_xdatcar(head: str) -> bool:
    return bool(re.search(r"(?mi)^\s*direct configuration\s*=", head))


def _is_cfg(head: str) -> bool:
    return "Number of particles" in head and "H0(1,1)" in head.replace(" ", "")


def _is_aims(head: str) -> bool:
    return bool(re.search(r"(?m)^\s*(atom|atom_frac)\s+[-+.\d]", head))


def _is_cube(head: str) -> bool:
    lines = head.splitlines()[2:7]
    return len(lines) == 5 and all(_numbers(line) and len(line.split()) >= 4 for line in lines)


def _is_pdb(head: str) -> bool:
    return bool(re.search(r"(?m)^(ATOM  |HETATM)\s*\S+", head))


def _any(head: str) -> bool:
    return True


def _by_ase(
    format: str, *endings: str, names: str = "(?!)", looks: Callable[[str], bool] = _any, certain: bool = False
) -> Format:
    return Format(format, endings, looks, lambda text: read_with_ase(text, format), names, certain)


#: Every format; of several with one ending the first that a text looks like.
FORMATS: tuple[Format, ...] = (
    Format("CIF", (".cif", ".mcif"), _is_cif, read_cif),
    _by_ase("vasp-xdatcar", ".vasp", names=r"(?i).*XDATCAR.*", looks=_is_xdatcar, certain=True),
    Format(
        "POSCAR",
        (".vasp", ".poscar", ".contcar"),
        _is_poscar,
        read_poscar,
        r"(?i).*(POSCAR|CONTCAR|CHGCAR|AECCAR\d|LOCPOT|PARCHG|ELFCAR|^CHG).*",
        certain=False,
    ),
    Format("TEMSIM xyz", (".xyz",), is_temsim, read_temsim, certain=False),
    Format("xyz", (".xyz", ".extxyz", ".exyz"), is_xyz, read_xyz, certain=False),
    Format("Dr. Probe cel", (".cel",), is_cel, read_cel, certain=False),
    Format("muSTEM xtl", (".xtl",), is_xtl, read_xtl, certain=False),
    Format("cfg", (".cfg",), _is_cfg, read_cfg),
    Format("LAMMPS data", (".lmp", ".data", ".lammps", ".lammps-data"), is_data, read_data),
    Format("LAMMPS dump", (".lammpstrj", ".dump"), is_dump, read_dump),
    Format("xsf", (".xsf", ".axsf"), is_xsf, read_xsf),
    Format("cube", (".cube", ".cub"), _is_cube, read_cube, certain=False),
    Format("PDB", (".pdb", ".ent"), _is_pdb, read_pdb, certain=False),
    Format("pymatgen JSON", (".json",), is_pymatgen, read_pymatgen),
    _by_ase("json", ".json"),
    _by_ase("db", ".db"),
    _by_ase("traj", ".traj"),
    _by_ase("gpw", ".gpw"),
    _by_ase("gpaw-out", ".gpaw"),
    Format("SHELX", (".res", ".ins", ".shelx"), is_shelx, read_shelx),
    Format("CASTEP cell", (".cell",), is_castep, read_castep),
    _by_ase("gen", ".gen"),
    Format("Quantum ESPRESSO", (".pwi", ".in"), is_espresso, read_espresso),
    _by_ase("aims", ".in", names=r"(?i)geometry\.in.*", looks=_is_aims),
    _by_ase("espresso-out", ".pwo"),
    _by_ase("struct", ".struct"),
    _by_ase("vasp-out", names=r"(?i).*OUTCAR.*"),
    _by_ase("vasp-xml", ".xml"),
    Format("GROMACS", (".gro",), _any, read_gro, certain=False),
    _by_ase("mol", ".mol"),
    _by_ase("sdf", ".sdf"),
    Format("xsd", (".xsd",), _any, read_xsd, certain=False),
    _by_ase("cjson", ".cml", ".cjson"),
    Format("car", (".car",), is_car, read_car),
)
#: Read by ASE from bytes.
BINARY = ("db", "traj", "gpw")


def read_contents(path: Path) -> Contents:
    """What a structure file says.

    Raises
    ------
    InputError
        If no format of the table fits ending and content, or its reader refuses the file.
    """
    ending, name = _ending(path)
    wanted = [form for form in FORMATS if ending in form.endings or re.fullmatch(form.names, name)]
    if wanted and wanted[0].name in BINARY:
        if not path.exists() or path.is_dir() or path.stat().st_size == 0:
            Text(path)  # says what is wrong
        binary = object.__new__(Text)
        binary.path = path
        return wanted[0].read(binary)
    text = Text(path)
    return _chosen(path, ending, wanted, text.all[:HEAD]).read(text)


def _ending(path: Path) -> tuple[str, str]:
    """Ending of a file, in lower case, and its name, both without a compression's."""
    name = path.name
    for suffix in COMPRESSED:
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return Path(name).suffix.lower(), name


def _chosen(path: Path, ending: str, wanted: list[Format], head: str) -> Format:
    fitting = [form for form in wanted if form.looks(head)]
    if fitting:
        return fitting[0]
    others = [form for form in FORMATS if form.certain and form not in wanted and form.looks(head)]
    if len(others) > 1 and _is_cif(head):
        others = [form for form in others if form.name == "CIF"]
    if len(others) == 1 and not wanted:
        return others[0]
    if not others and _is_poscar(head) and not any(form.name == "POSCAR" for form in wanted):
        raise InputError(
            f"{path}: it cannot be read as a structure, it looks like a POSCAR; name it so (POSCAR, .vasp)"
        )
    if not others and [form.name for form in wanted] == ["CIF"]:
        return wanted[0]  # it says best what is missing
    if wanted:
        like = f"; it looks like {others[0].name}, name it {others[0].endings[0]}" if len(others) == 1 else ""
        names = " or ".join(sorted(form.name for form in wanted))
        raise InputError(f"{path}: it cannot be read as a structure, its content is no {names}{like}")
    known = ", ".join(dict.fromkeys(end for form in FORMATS for end in form.endings))
    if ending in MEASURED:
        raise InputError(f"{path}: a measured file, no structure; `rhotem read {path}` reads it")
    raise InputError(
        f"{path}: it cannot be read as a structure, no format for {ending or 'its name'}; known: {known}, POSCAR"
    )
