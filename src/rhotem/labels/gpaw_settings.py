"""What every DFT run of RhoTEM uses: cutoff, k-points, Hubbard U, starting moments. Shared by source and labels."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import ase
import numpy as np

from rhotem.core import InputError, MissingDependencyError
from rhotem.structure.model import Structure
from rhotem.structure.moments import START_MOMENTS, starting_moments

#: Hubbard U in eV on the d shell, Dudarev form, unscaled: all eight of the Materials Project, fitted to oxide formation
#: energies (Wang, Maxisch, Ceder, Phys. Rev. B 73, 195107 (2006); Jain et al., Phys. Rev. B 84, 045115 (2011)).
#: Applied only where O or F is present. No U on f shells.
HUBBARD_U = {"Co": 3.32, "Cr": 3.7, "Fe": 5.3, "Mn": 3.9, "Mo": 4.38, "Ni": 6.2, "V": 3.25, "W": 6.2}

#: Settings given by element: of these only what a structure's elements have matters.
BY_ELEMENT = ("hubbard_u", "start_moments", "setups")

#: Å; a larger rms displacement of a start brings atoms on top of each other.
LARGEST_DISPLACEMENT = 0.3

#: The one sentence that repairs a missing GPAW.
INSTALL_HINT = "install it with  CC=g++ CXX=g++ pip install 'rhotem[gpaw]'  (needs a C compiler and the libxc headers)"


@dataclass(frozen=True)
class DftSettings:
    """Settings of a plane-wave PAW calculation; the defaults are those of the labels.

    Parameters
    ----------
    ecut : float
        Plane-wave cutoff in eV.
    kpt_density : float
        Monkhorst–Pack points per 1/Å of reciprocal length, 2π included (GPAW's ``kpts={"density": …}``), Γ-centred.
    kpts : tuple of three int or None
        Explicit Γ-centred mesh; overrides ``kpt_density``.
    xc : str
        Functional. The free atoms that are subtracted are PBE, so anything else is refused by the density source.
    hubbard_u : dict
        U in eV by element, used where O or F is present.
    start_moments : dict
        Starting moments in Bohr magnetons by element, for structures that do not give their own.
    fermi_width : float
        Fermi–Dirac width in eV.
    density_convergence, eigenstate_convergence : float
        GPAW's convergence criteria (electrons per valence electron; eV² per valence electron).
    max_iterations : int
        Self-consistency steps before giving up.
    charge : float
        Total charge in e added to that of the structure.
    setups : dict
        PAW data sets by element other than the default (e.g. ``{"Mn": "7"}``); combined with U.
    start_displacement : float
        Å rms along every axis by which atoms are displaced in the first ten self-consistency steps
        (`rhotem.labels.start`); 0 starts from the structure itself. Open d shells converge to lower states from 0.1.
        The point group is then not used, in k-points or density: the state may have less symmetry than the atoms.
    start_seed : int
        Which displacements.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    ecut: float = 400.0
    kpt_density: float = 2.2
    kpts: tuple[int, int, int] | None = None
    xc: str = "PBE"
    hubbard_u: dict[str, float] = field(default_factory=lambda: dict(HUBBARD_U))
    start_moments: dict[str, float] = field(default_factory=lambda: dict(START_MOMENTS))
    fermi_width: float = 0.1
    density_convergence: float = 1e-4
    eigenstate_convergence: float = 1e-4
    max_iterations: int = 120
    charge: float = 0.0
    setups: dict[str, str] = field(default_factory=dict)
    start_displacement: float = 0.0
    start_seed: int = 1

    def __post_init__(self) -> None:
        positive = ("ecut", "kpt_density", "fermi_width", "density_convergence", "eigenstate_convergence")
        for name in (*positive, "start_displacement"):
            value = getattr(self, name)
            if not isinstance(value, int | float):
                raise InputError(f"DFT settings: {name} must be a number, got {value!r}")
            if name in positive and not value > 0:
                raise InputError(f"DFT settings: {name} must be positive, got {value}")
        if self.kpts is not None and (len(self.kpts) != 3 or min(self.kpts) < 1):
            raise InputError(f"DFT settings: kpts must be three positive integers, got {self.kpts}")
        if not 0 <= self.start_displacement <= LARGEST_DISPLACEMENT:
            raise InputError(
                f"DFT settings: start_displacement must be 0 to {LARGEST_DISPLACEMENT} Å, got {self.start_displacement}"
            )
        if not isinstance(self.start_seed, int) or self.start_seed < 0:
            raise InputError(f"DFT settings: start_seed must be a whole number from 0 on, got {self.start_seed}")

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary for records and hashes."""
        return asdict(self)


def unusual(values: Mapping[str, Any], elements: Iterable[str]) -> dict[str, Any]:
    """Those of the settings ``values`` that are not the defaults for ``elements``.

    A table by element is at its default if it is for the elements there are: one that grows changes nothing for
    structures without the new elements.
    """
    kinds, defaults = set(elements), DftSettings().as_dict()

    def usual(name: str, value: Any) -> bool:
        if name in BY_ELEMENT and isinstance(value, Mapping):
            mine, default = ({k: v for k, v in table.items() if k in kinds} for table in (value, defaults[name]))
            return mine == default
        return bool(value == defaults.get(name))

    return {name: value for name, value in values.items() if not usual(name, value)}


def moments(structure: Structure, settings: DftSettings) -> np.ndarray:
    """Starting moments (N,) in Bohr magnetons: the structure's own, or ferromagnetic from the table."""
    return starting_moments(structure, settings.start_moments)


def is_spin_polarised(structure: Structure, settings: DftSettings) -> bool:
    """Whether the run has two spin channels: explicit moments, unless all are zero, or an element of the table."""
    if structure.moments is not None:
        return bool(np.any(structure.moments))
    return any(s in settings.start_moments for s in structure.atoms.symbols)


def setups(structure: Structure, settings: DftSettings) -> dict[str, str]:
    """GPAW ``setups`` by element: PAW data set name and, with O or F present, ``:d,U,0`` (0: unscaled)."""
    elements = set(structure.atoms.symbols)
    anions = bool(elements & {"O", "F"})
    chosen = {}
    for element in sorted(elements):
        name = settings.setups.get(element, "")
        if anions and settings.hubbard_u.get(element):
            name += f":d,{settings.hubbard_u[element]},0"
        if name:
            chosen[element] = name
    return chosen


def parameters(structure: Structure, settings: DftSettings) -> dict[str, Any]:
    """Keyword arguments of ``gpaw.GPAW`` except ``txt``, as plain data (also the content of a cache key)."""
    kpts: dict[str, Any] = {"gamma": True}
    kpts |= {"size": tuple(settings.kpts)} if settings.kpts else {"density": settings.kpt_density}
    keywords: dict[str, Any] = {
        "mode": {"name": "pw", "ecut": settings.ecut},
        "xc": settings.xc,
        "kpts": kpts,
        "occupations": {"name": "fermi-dirac", "width": settings.fermi_width},
        "convergence": {
            "density": settings.density_convergence,
            "eigenstates": settings.eigenstate_convergence,
        },
        "setups": setups(structure, settings),
        "spinpol": is_spin_polarised(structure, settings),
        "symmetry": _symmetry(settings),
        "maxiter": settings.max_iterations,
    }
    charge = structure.charge + settings.charge
    if charge:
        keywords["charge"] = charge
    return keywords


def _symmetry(settings: DftSettings) -> dict[str, Any]:
    """GPAW's ``symmetry``: positions and cells of jobs are rounded to 1e-8 Å, which GPAW's own 1e-7 Bohr misses."""
    return {"point_group": False} if settings.start_displacement else {"point_group": True, "tolerance": 1e-6}


def dft_atoms(structure: Structure, settings: DftSettings) -> ase.Atoms:
    """Copy of the atoms, periodic everywhere, carrying the starting moments and no calculator."""
    atoms = structure.atoms.copy()
    atoms.pbc = True
    start = moments(structure, settings)
    atoms.set_initial_magnetic_moments(start if is_spin_polarised(structure, settings) else np.zeros(len(atoms)))
    return atoms


def make_calculator(structure: Structure, settings: DftSettings, txt: str | None = None) -> Any:
    """GPAW calculator for ``structure``; attach it to `dft_atoms`. ``txt`` is GPAW's log file, None for no log.

    Raises
    ------
    MissingDependencyError
        If GPAW is not installed.
    """
    return require_gpaw().GPAW(txt=txt, **parameters(structure, settings))


def require_gpaw() -> Any:
    """The ``gpaw`` module, or a MissingDependencyError that says how to get it."""
    try:
        import gpaw
    except ImportError as error:
        raise MissingDependencyError(f"GPAW is not usable ({error}); {INSTALL_HINT}") from error
    return gpaw
