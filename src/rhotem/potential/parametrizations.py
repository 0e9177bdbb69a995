"""Electron form factors of free atoms: RhoTEM's PBE table, or the fits of Lobato and Kirkland."""

import json
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.units import EPS0, MOTT_BETHE, VOLT_PER_FE

#: f_e in Å of (atomic number, g in 1/Å).
FormFactor = Callable[[int, npt.NDArray[np.float64]], npt.NDArray[np.float64]]

NAMES = ("pbe", "lobato", "kirkland")


def form_factor(name: str | FormFactor) -> FormFactor:
    """Electron form factor ``f_e(Z, g)`` in Å of a table of free atoms, g in 1/Å.

    Parameters
    ----------
    name : "pbe", "lobato", "kirkland" or a form factor
        The table of free PBE atoms (Mott–Bethe of their density, the same atoms that deformation densities subtract),
        or the fits of Lobato & Van Dyck, Acta Cryst. A 70, 636 (2014), eq. 16, or of Kirkland, "Advanced Computing
        in Electron Microscopy", eq. C.15. A function of your own is taken as it is.

    Raises
    ------
    InputError
        If there is no such table, or (on use) no such element in it.
    """
    if callable(name):
        return name
    if name == "pbe":
        from rhotem.density.free_atoms import load

        return load().electron_form_factor
    if name == "lobato":
        return _lobato
    if name == "kirkland":
        return _kirkland
    raise InputError(f"parametrization {name!r}: no such table of free atoms; choose one of {', '.join(NAMES)}")


def mean_inner_potential(name: str | FormFactor, numbers: npt.ArrayLike, volume: float) -> float:
    """Mean inner potential V_0 in V of neutral free atoms in ``volume`` Å³ (docs/conventions.md).

    V_0 = (e / 6ε0Ω) Σ ∫ r² n(r) d³r, which for a form factor is Σ f_e(0) h²/(2πm e) / Ω.
    """
    elements, counts = np.unique(np.asarray(numbers), return_counts=True)
    if name == "pbe":
        from rhotem.density.free_atoms import load

        table = load()
        moments = [float(table.second_moment(int(z))) for z in elements]
        return float(np.dot(counts, moments) / (6.0 * EPS0 * volume))
    f_e = form_factor(name)
    forward = [float(f_e(int(z), np.zeros(1))[0]) for z in elements]
    return float(np.dot(counts, forward) * VOLT_PER_FE / volume)


def x_ray_form_factor(f_e: FormFactor, z: int, g: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """X-ray form factor in electrons that belongs to ``f_e`` by Mott–Bethe: Z − g² f_e / (1/2π²a0)."""
    return z - np.asarray(g) ** 2 * f_e(z, g) / MOTT_BETHE


@lru_cache(maxsize=1)
def _tables() -> dict:
    return json.loads((files("rhotem.potential") / "data" / "parametrizations.json").read_text())


def _rows(name: str, z: int) -> npt.NDArray[np.float64]:
    rows = _tables()[name].get(str(int(z)))
    if rows is None:
        raise InputError(f"parametrization {name!r} has no element Z = {z}; use 'pbe' or another table")
    return np.array(rows, dtype=float)


def _lobato(z: int, g: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    a, b = _rows("lobato", z)
    bg2 = b * np.asarray(g, dtype=float)[..., None] ** 2
    return (a * (2.0 + bg2) / (1.0 + bg2) ** 2).sum(-1)


def _kirkland(z: int, g: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    a, b, c, d = _rows("kirkland", z)
    g2 = np.asarray(g, dtype=float)[..., None] ** 2
    return (a / (g2 + b) + c * np.exp(-d * g2)).sum(-1)
