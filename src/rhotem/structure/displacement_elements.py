"""⟨u²⟩ of atoms by element alone: measured in crystals of the element, in its simple compounds, or a model."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from rhotem.structure.debye import ROOM, debye_displacement

#: Source of `CRYSTALS`, and the temperature it is taken at. Its tin is the grey one.
PENG = "L.-M. Peng, G. Ren, S. L. Dudarev, M. J. Whelan, Acta Cryst. A 52, 456 (1996)"
PENG_KELVIN = 280.0
#: B = 8π²⟨u²⟩ in Å² of crystals of the elements at 280 K, from phonon densities of states.
CRYSTALS = {
    **{"Li": 4.595, "Be": 0.404, "C": 0.142, "Na": 6.364, "Mg": 1.731, "Al": 0.746, "Si": 0.463, "K": 10.239},
    **{"Ca": 1.908, "Sc": 0.712, "Ti": 0.491, "V": 0.546, "Cr": 0.239, "Fe": 0.310, "Ni": 0.340, "Cu": 0.526},
    **{"Zn": 1.091, "Ge": 0.573, "Rb": 12.604, "Sr": 3.622, "Y": 0.817, "Zr": 0.543, "Nb": 0.429, "Mo": 0.205},
    **{"Pd": 0.4250, "Ag": 0.7017, "Cs": 16.7698, "Ba": 2.9279, "La": 1.7739, "Tb": 0.9660},
    **{"Ho": 0.8023, "Ta": 0.3078, "W": 0.1526, "Pt": 0.3557, "Au": 0.5925, "Pb": 2.0341, "Th": 0.6977},
}
#: Source of `DEBYE`.
KITTEL = "Debye temperature of C. Kittel, Introduction to Solid State Physics, 7th ed. (1996)"
#: Debye temperatures in K of crystals of other elements that are solid at room temperature.
DEBYE = {
    **{"Mn": 410, "Co": 445, "Ga": 320, "As": 282, "Ru": 600, "Rh": 480, "Cd": 209, "In": 108, "Sb": 211, "Te": 153},
    **{"Gd": 200, "Dy": 210, "Yb": 120, "Lu": 210, "Hf": 252, "Re": 430, "Os": 500, "Ir": 420, "Tl": 78.5},
    "U": 207,
}
#: Source of `DENSITIES`, and of values below that no refinement is named for.
CAI = "phonon densities of states of the NCrystal library, X.-X. Cai, T. Kittelmann, Comput. Phys. Commun. 246, 106851"
#: ⟨u²⟩ in Å² at 300 K of crystals of elements that are softer than a Debye temperature from heat capacities says.
DENSITIES = {"Sn": 0.0266, "Bi": 0.0224}
RARE_EARTHS = ("Y", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu")
_CUBIC = "compilation of N. M. Butt, J. Bashir, M. N. Khan, Acta Cryst. A 49, 171 (1993)"
_BLENDE = "compilation of J. S. Reid, Acta Cryst. A 39, 1 (1983)"
#: ⟨u²⟩ in Å² near 300 K for elements whose own crystals are molecular, soft or much harder than their compounds: the
#: compound, and where its values are found. Rounded: typical of refinements, as in `displacement_classes`.
COMPOUNDS = {
    **dict.fromkeys(RARE_EARTHS, (0.0040, f"oxides of rare earths, {CAI}")),
    **{"H": (0.0260, f"LiH, {CAI}"), "Li": (0.0125, f"LiF, {CAI}"), "C": (0.0040, f"carbides, {CAI}")},
    **{"N": (0.0042, f"AlN, {CAI}"), "Zr": (0.0042, f"ZrO2, {CAI}"), "Tl": (0.0480, f"TlBr, {CAI}")},
    **{"Th": (0.0035, f"ThO2, {CAI}"), "Bi": (0.0110, f"Bi4Ge3O12, {CAI}")},
    "O": (0.0065, "rutile, C. J. Howard et al., Acta Cryst. B 47, 462 (1991)"),
    "Al": (0.0045, "layered oxides, J. Akimoto et al., J. Solid State Chem. 141, 298 (1998)"),
    "Sr": (0.0079, "SrTiO3, Y. A. Abramov et al., Acta Cryst. B 51, 942 (1995)"),
    "Mo": (0.0045, "MoS2, K. D. Bronsema et al., Z. Anorg. Allg. Chem. 540, 15 (1986)"),
    **{"F": (0.0100, f"LiF, {_CUBIC}"), "Na": (0.0215, f"NaCl, {_CUBIC}"), "Mg": (0.0050, f"MgO, {_CUBIC}")},
    **{"Cl": (0.0180, f"NaCl, {_CUBIC}"), "K": (0.0275, f"KCl, {_CUBIC}"), "Ca": (0.0070, f"CaF2, {_CUBIC}")},
    **{"Br": (0.0290, f"KBr, {_CUBIC}"), "Rb": (0.0280, f"RbCl, {_CUBIC}"), "I": (0.0320, f"KI, {_CUBIC}")},
    **{"Cs": (0.0250, f"CsCl, {_CUBIC}"), "Ba": (0.0095, f"BaF2, {_CUBIC}"), "Pb": (0.0143, f"PbS, {_CUBIC}")},
    **{"S": (0.0094, f"ZnS, {_BLENDE}"), "Zn": (0.0110, f"ZnS, {_BLENDE}"), "Ga": (0.0085, f"GaAs, {_BLENDE}")},
    **{"As": (0.0072, f"GaAs, {_BLENDE}"), "Cd": (0.0215, f"CdTe, {_BLENDE}"), "In": (0.0150, f"InSb, {_BLENDE}")},
    **{"Sb": (0.0123, f"InSb, {_BLENDE}"), "Se": (0.0100, f"ZnSe, {_BLENDE}"), "Te": (0.0122, f"ZnTe, {_BLENDE}")},
}
#: Above this (Å²) the crystal of an element says nothing of its compounds: it is soft for want of an anion.
SOFT = 0.01
#: The model where nothing is published: Debye temperature in K of an atom of 16 u bound as oxygen is in oxides; others
#: are bound as firmly, so that Θ ∝ 1/√M.
MODEL, MODEL_MASS = 700.0, 16.0
_NONMETALS = {
    *("H", "He", "B", "C", "N", "O", "F", "Ne", "Si", "P", "S", "Cl", "Ar", "Ge", "As", "Se", "Br", "Kr", "Te", "I"),
    *("Xe", "At", "Rn"),
}


class ElementValue(NamedTuple):
    """⟨u²⟩ in Å² at ``kelvin`` K, where from, and whether that is published at all."""

    displacement: float
    kelvin: float
    origin: str
    published: bool = True


def element_value(symbol: str, mass: float, elements: Collection[str]) -> ElementValue:
    """What is known of an element's motion, in a crystal that consists of ``elements``.

    Crystals of the element stand for it and its alloys. In a compound that is no better than ± 40 %, and for soft,
    molecular or much harder crystals worse: there a simple compound's value is taken. Elements of which nothing is
    published that would do get a Debye model, no better than a factor of two.
    """
    alone, metallic = len(set(elements)) == 1, not set(elements) & _NONMETALS
    crystal = _crystal(symbol, mass)
    doubt = "" if alone else ", ± 40 % in a compound"
    if symbol in COMPOUNDS and not (crystal and (alone or metallic)):
        value, compound = COMPOUNDS[symbol]
        return ElementValue(value, ROOM, f"published value of the element (rounded, {compound}){doubt}")
    if crystal and (alone or metallic or crystal.displacement < SOFT):
        return crystal._replace(origin=crystal.origin + doubt)
    theta = MODEL * float(np.sqrt(MODEL_MASS / mass))
    why = "its own crystal is too soft to stand for a compound" if crystal else "no published value"
    origin = f"{why}, Debye model of its mass with {theta:.0f} K, no better than a factor of two"
    return ElementValue(debye_displacement(mass, theta, ROOM), ROOM, origin, False)


def _crystal(symbol: str, mass: float) -> ElementValue | None:
    if symbol in CRYSTALS:
        value = CRYSTALS[symbol] / (8.0 * np.pi**2)
        return ElementValue(value, PENG_KELVIN, f"published value of the element ({PENG})")
    if symbol in DEBYE:
        value = debye_displacement(mass, DEBYE[symbol], ROOM)
        return ElementValue(value, ROOM, f"published value of the element ({KITTEL}, ± 40 %)")
    if symbol in DENSITIES:
        return ElementValue(DENSITIES[symbol], ROOM, f"published value of the element ({CAI})")
    return None
