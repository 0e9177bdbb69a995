"""Mean square displacements of atoms by element, class of material and temperature, with their literature."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Temperature in K at which the table holds.
ROOM = 300.0
#: Debye temperature in K behind the default for elements without an entry: typical of oxides.
DEFAULT_DEBYE = 500.0
#: 3 ħ² / (k_B · 1 u) in Å² K.
DEBYE_FACTOR = 3 * 48.50875

#: ⟨u²⟩ in Å² along one axis near 300 K. Values marked "rounded" are typical of room-temperature refinements, to about
#: 30 %: they differ that much between samples, radiations and authors.
TABLE: dict[str, tuple[dict[str, float], str]] = {
    "layered oxide": (
        {"Li": 0.0130, "Na": 0.0150, "O": 0.0065, "Co": 0.0045, "Ni": 0.0045, "Mn": 0.0045, "Fe": 0.0045, "Al": 0.0050},
        "rounded, layered R-3m oxides such as LiCoO2, J. Akimoto et al., J. Solid State Chem. 141, 298 (1998)",
    ),
    "spinel": (
        {"Li": 0.0130, "O": 0.0100, "Mn": 0.0060, "Ni": 0.0055, "Ti": 0.0060},
        "rounded, lithium spinels, P. Strobel et al., J. Mater. Chem. 10, 429 (2000)",
    ),
    "phosphate": (
        {"Li": 0.0110, "P": 0.0039, "O": 0.0061, "Fe": 0.0055, "V": 0.0055, "Na": 0.0200},
        "gamma-Li3PO4, B. Wang et al., J. Solid State Chem. 115, 313 (1995); Fe, V, Na rounded, LiFePO4,"
        " V. A. Streltsov et al., Acta Cryst. B 49, 147 (1993) and Na3V2(PO4)3, I. V. Zatovsky, Acta Cryst. E 66, i12"
        " (2010)",
    ),
    "carbonate": (
        {"Li": 0.0160, "C": 0.0120, "O": 0.0155},
        "rounded, Li2CO3, H. Effenberger, J. Zemann, Z. Kristallogr. 150, 133 (1979)",
    ),
    "oxide electrolyte": (
        {"Li": 0.0150, "La": 0.0075, "Zr": 0.0055, "O": 0.0090},
        "rounded, Li7La3Zr2O12, J. Awaka et al., J. Solid State Chem. 182, 2046 (2009)",
    ),
    "oxide": (
        {"Li": 0.0155, "Ti": 0.0056, "O": 0.0065},
        "rounded, rutile, C. J. Howard et al., Acta Cryst. B 47, 462 (1991); Li2O, T. W. D. Farley et al., J. Phys.:"
        " Condens. Matter 3, 4761 (1991)",
    ),
    "halide": (
        {"Li": 0.0125, "F": 0.0100, "Na": 0.0115},
        "rounded, alkali fluorides, N. M. Butt, J. Bashir, M. N. Khan, Acta Cryst. A 49, 171 (1993)",
    ),
    "perovskite": (
        {"Sr": 0.00787, "Ti": 0.00556, "O": 0.00927},
        "SrTiO3, Y. A. Abramov et al., Acta Cryst. B 51, 942 (1995)",
    ),
    "semiconductor": ({"Si": 0.00587}, "Si, S. Cummings, M. Hart, Aust. J. Phys. 41, 423 (1988)"),
    "graphite": (
        {"C": 0.0070, "Li": 0.0200},
        "rounded isotropic mean, graphite, P. Trucano, R. Chen, Nature 258, 136 (1975)",
    ),
    "layered semiconductor": (
        {"Mo": 0.0045, "S": 0.0060, "B": 0.0075, "N": 0.0070},
        "rounded isotropic means, MoS2, K. D. Bronsema et al., Z. Anorg. Allg. Chem. 540, 15 (1986); hBN, R. S. Pease,"
        " Acta Cryst. 5, 356 (1952)",
    ),
    "metal": (
        {"Li": 0.0551, "Na": 0.0767},
        "Debye model, temperatures of C. Kittel, Introduction to Solid State Physics (Li 344 K, Na 158 K)",
    ),
}

_METALS = {
    *("Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Y", "Zr", "Nb", "Mo", "Ru", "Rh", "Pd", "Ag", "Hf"),
    *("Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Al", "Ga", "In", "Mg", "Sn", "Sb"),
}


def mean_square_displacements(
    structure: Structure, temperature: float = ROOM, zero_point: bool = True
) -> tuple[Floats, str]:
    """⟨u²⟩ of every atom along one axis in Å² and, in words, where the values come from.

    The table gives ⟨u²⟩ near 300 K by class of material (`classify`) and element. An element without an entry gets the
    Debye model with a Debye temperature of 500 K, and the text says so. Motion is taken as isotropic.

    Other temperatures follow the Debye model of each atom, its Debye temperature such that 300 K agrees with the table;
    at 0 K the zero-point motion is left. With ``zero_point=False`` motion is classical, ⟨u²⟩ ∝ T, and nothing moves at
    0 K: the limit in which frozen phonons must give the static picture.

    Raises
    ------
    InputError
        If the temperature is negative or not a number.
    """
    if not (np.isfinite(temperature) and temperature >= 0):
        raise InputError(f"temperature {temperature} K: expected a number from 0 upwards")
    kind = classify(structure)
    values, source = TABLE.get(kind, ({}, ""))
    symbols = structure.atoms.get_chemical_symbols()
    masses = dict(zip(symbols, structure.atoms.get_masses(), strict=True))
    missing = sorted(set(symbols) - set(values))
    each = {}
    for symbol, mass in masses.items():
        room = values.get(symbol) or debye_displacement(mass, DEFAULT_DEBYE, ROOM)
        if not zero_point:
            each[symbol] = room * temperature / ROOM
        elif temperature == ROOM:
            each[symbol] = room
        else:
            each[symbol] = debye_displacement(mass, debye_temperature(mass, room), temperature)
    parts = [f"{kind}: {source}"] if len(missing) < len(masses) else []
    if missing:
        parts.append(f"{', '.join(missing)}: default, Debye model with {DEFAULT_DEBYE:g} K")
    text = "; ".join(parts) + f" (300 K values, here at {temperature:g} K" + (")" if zero_point else ", classical)")
    return np.array([each[symbol] for symbol in symbols]), text


def classify(structure: Structure) -> str:
    """Class of material: what a ready phase says of itself, else by its elements; "" if none fits."""
    given = structure.info.get("class", "")
    if given in TABLE:
        return given
    elements = set(structure.atoms.get_chemical_symbols())
    metals, counts = elements & _METALS, structure.atoms.symbols.formula.count()
    if {"P", "O"} <= elements or {"C", "O"} <= elements:
        return "phosphate" if "P" in elements else "carbonate"
    if elements <= {"Li", "Na"}:
        return "metal"
    if elements <= {"C", "Li"}:
        return "graphite"
    if elements == {"Si"}:
        return "semiconductor"
    if elements <= {"Li", "Na", "F"}:
        return "halide"
    if elements <= {"Mo", "S"} or elements == {"B", "N"}:
        return "layered semiconductor"
    if "La" in elements and "Zr" in elements:
        return "oxide electrolyte"
    if {"Sr", "Ti", "O"} == elements:
        return "perovskite"
    if "O" in elements and metals and elements <= _METALS | {"Li", "Na", "O"}:
        if not elements & {"Li", "Na"}:
            return "oxide"
        cations = sum(counts[m] for m in elements - {"O"})
        return "spinel" if 0.7 < cations / counts["O"] < 0.8 else "layered oxide"
    return "oxide" if elements <= {"Li", "Na", "O"} else ""


def debye_displacement(mass: float, debye: float, temperature: float) -> float:
    """⟨u²⟩ along one axis in Å² of a Debye solid: mass in u, Debye and actual temperature in K.

    ``⟨u²⟩ = 3ħ²/(M k Θ) [1/4 + (T/Θ)² ∫₀^{Θ/T} x/(eˣ − 1) dx]``: B. E. Warren, X-Ray Diffraction (1969), ch. 3.
    """
    ratio = temperature / debye
    thermal = ratio**2 * _debye_integral(1.0 / ratio) if ratio > 0 else 0.0
    return float(DEBYE_FACTOR / (mass * debye) * (0.25 + thermal))


@lru_cache(maxsize=512)
def debye_temperature(mass: float, room: float) -> float:
    """Debye temperature in K at which an atom of ``mass`` (u) has ⟨u²⟩ = ``room`` (Å²) at 300 K."""
    from scipy.optimize import brentq

    low, high = 10.0, 20000.0
    if not debye_displacement(mass, high, ROOM) < room < debye_displacement(mass, low, ROOM):
        raise InputError(f"mean square displacement {room} Å² at 300 K is out of range for a mass of {mass:.2f} u")
    return float(brentq(lambda debye: debye_displacement(mass, debye, ROOM) - room, low, high))


def _debye_integral(upper: float) -> float:
    """∫₀^upper x/(eˣ − 1) dx."""
    from scipy.integrate import quad

    return float(quad(lambda x: x / np.expm1(x) if x > 0 else 1.0, 0.0, min(upper, 60.0))[0])
