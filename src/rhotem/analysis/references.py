"""What a result stands on: the works to cite for a record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rhotem.core import InputError

Record = dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """A work that made a part of a result.

    Parameters
    ----------
    key : str
        Of BibTeX; empty where only the text is known.
    why : str
        The part that it made.
    authors, title, journal : str
        Authors as BibTeX separates them ("A and B"), the journal with volume and first page or article number.
    year : int
    doi : str
    """

    key: str
    why: str
    authors: str
    title: str = ""
    journal: str = ""
    year: int = 0
    doi: str = ""

    def __str__(self) -> str:
        if not self.key:
            return f"{self.why}: {self.authors}"
        names = self.authors.replace(" and others", " et al.").replace(" and ", "; ")
        place = f", {self.journal}" if self.journal else ""
        year = f" ({self.year})" if self.year else ""
        link = f". https://doi.org/{self.doi}" if self.doi else ""
        return f"{self.why}: {names}, {self.title}{place}{year}{link}"

    def bibtex(self) -> str:
        """An entry of BibTeX, or a comment where only the text is known."""
        if not self.key:
            return f"% {self}"
        kind = "article" if self.doi else "misc"
        fields = {
            "author": f"{{{self.authors}}}" if self.key == "rhotem" else self.authors,
            "title": f"{{{self.title}}}",
            "journal" if self.doi else "howpublished": self.journal,
            "year": str(self.year or ""),
            "doi": self.doi,
            "note": self.why,
        }
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
        return f"@{kind}{{{self.key},\n" + ",\n".join(lines) + "\n}"


def _made_by(*sources: str) -> Callable[[Record], bool]:
    return lambda record: str(record.get("density", {}).get("source", "")).startswith(sources)


def _computed(record: Record) -> str:
    return str(record.get("simulation", {}).get("plan", {}).get("algorithm", ""))


def _free_atoms(record: Record) -> str:
    return str(record.get("simulation", {}).get("potential", record.get("potential", {})).get("free_atoms", ""))


def _version_in_use(package: str) -> Callable[[Record], bool]:
    return lambda record: package in record.get("versions", {})


#: Works, and whether a record stands on them.
TABLE: tuple[tuple[Reference, Callable[[Record], bool]], ...] = (
    (
        Reference("rhotem", "the program", "RhoTEM developers", "RhoTEM: electron density to electron microscopy"),
        lambda record: True,
    ),
    (
        Reference(
            "Madsen2021",
            "multislice and PRISM of the supercell",
            "Madsen, J. and Susi, T.",
            "The abTEM code: transmission electron microscopy from first principles",
            "Open Research Europe 1, 24",
            2021,
            "10.12688/openreseurope.13015.2",
        ),
        lambda record: _computed(record) in ("multislice", "prism"),
    ),
    (
        Reference(
            "Ophus2017",
            "the PRISM algorithm",
            "Ophus, C.",
            "A fast image simulation algorithm for scanning transmission electron microscopy",
            "Advanced Structural and Chemical Imaging 3, 13",
            2017,
            "10.1186/s40679-017-0046-1",
        ),
        lambda record: _computed(record) == "prism",
    ),
    (
        Reference(
            "Park2024",
            "frozen first layers of the learned density (SevenNet-0, MIT licence)",
            "Park, Y. and Kim, J. and Hwang, S. and Han, S.",
            "Scalable Parallel Algorithm for Graph Neural Network Interatomic Potentials in Molecular Dynamics "
            "Simulations",
            "J. Chem. Theory Comput. 20, 4857",
            2024,
            "10.1021/acs.jctc.4c00190",
        ),
        _made_by("model"),
    ),
    (
        Reference(
            "Deng2023",
            "structures that SevenNet-0 was trained on (MPtrj)",
            "Deng, B. and Zhong, P. and Jun, K. and Riebesell, J. and Han, K. and Bartel, C. J. and Ceder, G.",
            "CHGNet as a pretrained universal neural network potential for charge-informed atomistic modelling",
            "Nature Machine Intelligence 5, 1031",
            2023,
            "10.1038/s42256-023-00716-3",
        ),
        _made_by("model"),
    ),
    (
        Reference(
            "Mortensen2024",
            "density-functional calculations",
            "Mortensen, J. J. and others",
            "GPAW: An open Python package for electronic structure calculations",
            "J. Chem. Phys. 160, 092503",
            2024,
            "10.1063/5.0182685",
        ),
        lambda record: _made_by("model", "gpaw")(record) or _free_atoms(record) == "pbe",
    ),
    (
        Reference(
            "Perdew1996",
            "the density functional PBE",
            "Perdew, J. P. and Burke, K. and Ernzerhof, M.",
            "Generalized Gradient Approximation Made Simple",
            "Phys. Rev. Lett. 77, 3865",
            1996,
            "10.1103/PhysRevLett.77.3865",
        ),
        lambda record: _made_by("model", "gpaw")(record) or _free_atoms(record) == "pbe",
    ),
    (
        Reference(
            "Lobato2014",
            "free-atom scattering factors",
            "Lobato, I. and Van Dyck, D.",
            "An accurate parameterization for scattering factors, electron densities and electrostatic potentials for "
            "neutral atoms that obey all physical constraints",
            "Acta Cryst. A 70, 636",
            2014,
            "10.1107/S205327331401643X",
        ),
        lambda record: _free_atoms(record) == "lobato",
    ),
    (
        Reference(
            "Kirkland2010",
            "free-atom scattering factors",
            "Kirkland, E. J.",
            "Advanced Computing in Electron Microscopy",
            "Springer, 2nd edition",
            2010,
        ),
        lambda record: _free_atoms(record) == "kirkland",
    ),
    (
        Reference(
            "Larsen2017",
            "structures in memory and many file formats (ASE)",
            "Larsen, A. H. and others",
            "The atomic simulation environment—a Python library for working with atoms",
            "J. Phys.: Condens. Matter 29, 273002",
            2017,
            "10.1088/1361-648X/aa680e",
        ),
        _version_in_use("ase"),
    ),
    (
        Reference(
            "Togo2024",
            "space groups and standard cells (spglib)",
            "Togo, A. and Shinohara, K. and Tanaka, I.",
            "Spglib: a software library for crystal symmetry search",
            "Sci. Technol. Adv. Mater. Methods 4, 2384822",
            2024,
            "10.1080/27660400.2024.2384822",
        ),
        _version_in_use("spglib"),
    ),
    (
        Reference(
            "Wojdyr2022",
            "reading CIF (gemmi)",
            "Wojdyr, M.",
            "GEMMI: A library for structural biology",
            "J. Open Source Softw. 7, 4200",
            2022,
            "10.21105/joss.04200",
        ),
        lambda record: str(record.get("specimen", {}).get("structure", {}).get("file", "")).lower().endswith("cif"),
    ),
)


def references(record: Record) -> list[Reference]:
    """Works that a record stands on: programs, densities, weights, tables, the phase and its thermal motion.

    Parameters
    ----------
    record : dict
        Of ``record.json``.

    Raises
    ------
    InputError
        If it is no record of RhoTEM.
    """
    if record.get("format") != "rhotem-record":
        raise InputError("no record of RhoTEM: expected the record.json of an output folder")
    works = [work for work, stands in TABLE if stands(record)]
    if not record.get("density") and not record.get("specimen"):
        raise InputError("this record names neither a structure nor a density; give the record.json of a simulation")
    phase = record.get("specimen", {}).get("structure", {}).get("reference")
    if phase:
        works.append(Reference("", "the crystal structure", str(phase)))
    motion = record.get("phonons", {})
    if motion.get("configurations"):
        works.append(Reference("", "thermal displacements", str(motion.get("displacements", ""))))
    return works
