"""Prototype structures of battery chemistry: space group, lattice, sites. Experimental values, rounded.

Sources are the structure papers usually cited (ICSD): olivine Yakubovich 1977 / Andersson 2000; spinel Thackeray 1983;
P2 Delmas 1981; γ-Li3PO4 Zemann 1960; Li2FeSiO4 after Nishimura 2008 (idealised Pmn2₁ Li2MnSiO4, Dominko 2006);
simple salts, oxides and intermetallics Wyckoff, *Crystal Structures*. They are starting points: the sampler replaces
elements, scales the cell and displaces the atoms.
"""

import ase
import numpy as np

from rhotem.core import InputError
from rhotem.labels.prototype import Prototype, box, cubic, hexagonal
from rhotem.labels.structure_types import STRUCTURE_TYPES

_OLIVINE = (
    ("Fe", 0.2822, 0.25, 0.9747),
    ("P", 0.0948, 0.25, 0.4182),
    ("O", 0.0968, 0.25, 0.7428),
    ("O", 0.4571, 0.25, 0.2060),
    ("O", 0.1656, 0.0465, 0.2848),
)
_HETEROSITE = (
    ("Fe", 0.2753, 0.25, 0.9481),
    ("P", 0.0940, 0.25, 0.3956),
    ("O", 0.1215, 0.25, 0.7082),
    ("O", 0.4389, 0.25, 0.1602),
    ("O", 0.1665, 0.0450, 0.2510),
)

PROTOTYPES: dict[str, Prototype] = {
    **STRUCTURE_TYPES,
    # olivines, phosphates, silicates
    "olivine": Prototype(62, box(10.332, 6.010, 4.692), (("Li", 0, 0, 0), *_OLIVINE), "olivine"),
    "heterosite": Prototype(62, box(9.814, 5.789, 4.782), _HETEROSITE, "olivine"),
    "li3po4-beta": Prototype(
        31,
        box(6.115, 5.239, 4.855),
        (
            ("Li", 0.248, 0.328, 0.986),
            ("Li", 0.5, 0.843, 0.989),
            ("P", 0.0, 0.824, 0.0),
            ("O", 0.209, 0.686, 0.896),
            ("O", 0.0, 0.106, 0.900),
            ("O", 0.5, 0.185, 0.820),
        ),
        "phosphate",
    ),
    "li2msio4": Prototype(
        31,
        box(6.311, 5.380, 4.967),
        (
            ("Li", 0.248, 0.332, 0.989),
            ("Mn", 0.5, 0.836, 0.991),
            ("Si", 0.0, 0.821, 0.993),
            ("O", 0.211, 0.685, 0.880),
            ("O", 0.0, 0.127, 0.885),
            ("O", 0.5, 0.178, 0.812),
        ),
        "silicate",
    ),
    "berlinite": Prototype(
        152,
        hexagonal(5.036, 11.255),
        (
            ("Fe", 0.456, 0.0, 1 / 3),
            ("P", 0.457, 0.0, 0.8333),
            ("O", 0.420, 0.318, 0.3965),
            ("O", 0.411, 0.264, 0.8753),
        ),
        "phosphate",
    ),
    # NaV2(PO4)3: the framework of Na3V2(PO4)3 with the first sodium site full and the second empty
    "nasicon": Prototype(
        167,
        hexagonal(8.729, 21.804),
        (
            ("Na", 0, 0, 0),
            ("V", 0, 0, 0.1470),
            ("P", 0.2945, 0, 0.25),
            ("O", 0.1770, 0.9690, 0.1936),
            ("O", 0.1900, 0.1680, 0.0875),
        ),
        "phosphate",
    ),
    # spinels and tunnel structures
    "spinel": Prototype(
        227,
        cubic(8.245),
        (("Li", 1 / 8, 1 / 8, 1 / 8), ("Mn", 0.5, 0.5, 0.5), ("O", 0.263, 0.263, 0.263)),
        "spinel",
        2,
    ),
    "hausmannite": Prototype(
        141,
        (5.765, 5.765, 9.442, 90, 90, 90),
        (("Mn", 0, 0.75, 0.125), ("Mn", 0, 0.5, 0.5), ("O", 0, 0.472, 0.259)),
        "spinel",
        2,
    ),
    "lithiated-spinel": Prototype(
        141,
        (5.649, 5.649, 9.253, 90, 90, 90),
        (("Li", 0, 0, 0), ("Mn", 0, 0, 0.5), ("O", 0, 0.474, 0.259)),
        "spinel",
        2,
    ),
    # layered
    "o3": Prototype(
        166, hexagonal(2.816, 14.054), (("Li", 0, 0, 0.5), ("Co", 0, 0, 0), ("O", 0, 0, 0.2605)), "layered"
    ),
    "p2": Prototype(
        194,
        hexagonal(2.89, 11.0),
        (("Na", 1 / 3, 2 / 3, 0.75), ("Co", 0, 0, 0), ("O", 1 / 3, 2 / 3, 0.091)),
        "layered",
    ),
    "p2-prismatic-f": Prototype(
        194, hexagonal(2.87, 11.1), (("Na", 0, 0, 0.25), ("Co", 0, 0, 0), ("O", 1 / 3, 2 / 3, 0.091)), "layered"
    ),
    "o2": Prototype(
        186,
        hexagonal(2.806, 9.525),
        (("Li", 1 / 3, 2 / 3, 0.75), ("Co", 1 / 3, 2 / 3, 0), ("O", 0, 0, 0.1), ("O", 1 / 3, 2 / 3, 0.4)),
        "layered",
    ),
    "li2mo3": Prototype(
        12,
        box(4.937, 8.532, 5.030, 109.46),
        (
            ("Li", 0, 0.5, 0),
            ("Li", 0, 0.6606, 0.5),
            ("Li", 0, 0, 0.5),
            ("Mn", 0, 0.1671, 0),
            ("O", 0.2189, 0, 0.2273),
            ("O", 0.2540, 0.3213, 0.2233),
        ),
        "layered",
    ),
    # rocksalt and fluorite relatives, salts of the SEI
    "rocksalt": Prototype(225, cubic(4.026), (("Li", 0, 0, 0), ("F", 0.5, 0.5, 0.5)), "rocksalt"),
    "antifluorite": Prototype(225, cubic(4.619), (("Li", 0.25, 0.25, 0.25), ("O", 0, 0, 0)), "SEI"),
    "li2o2": Prototype(
        194, hexagonal(3.142, 7.650), (("Li", 0, 0, 0), ("Li", 1 / 3, 2 / 3, 0.25), ("O", 1 / 3, 2 / 3, 0.6488)), "SEI"
    ),
    "na2o2": Prototype(
        189,
        hexagonal(6.22, 4.47),
        (("Na", 0.632, 0, 0.5), ("Na", 0.295, 0, 0), ("O", 0, 0, 0.332), ("O", 1 / 3, 2 / 3, 0.168)),
        "SEI",
    ),
    "lioh": Prototype(
        129,
        (3.549, 3.549, 4.334, 90, 90, 90),
        (("Li", 0.75, 0.25, 0), ("O", 0.25, 0.25, 0.1951), ("H", 0.25, 0.25, 0.418)),
        "SEI",
        2,
    ),
    "li3n": Prototype(
        191, hexagonal(3.648, 3.875), (("Li", 0, 0, 0.5), ("Li", 1 / 3, 2 / 3, 0), ("N", 0, 0, 0)), "SEI"
    ),
    "na3as": Prototype(
        194,
        hexagonal(4.264, 7.579),
        (("Li", 0, 0, 0.25), ("Li", 1 / 3, 2 / 3, 0.583), ("P", 1 / 3, 2 / 3, 0.25)),
        "SEI",
    ),
    "li2co3": Prototype(
        15,
        box(8.359, 4.974, 6.194, 114.8),
        (("Li", 0.1966, 0.4487, 0.8346), ("C", 0, 0.0657, 0.25), ("O", 0, 0.3209, 0.25), ("O", 0.1458, 0.9337, 0.3127)),
        "SEI",
    ),
    "lipf6": Prototype(
        148, hexagonal(4.93, 12.66), (("Li", 0, 0, 0), ("P", 0, 0, 0.5), ("F", 0.115, -0.164, 0.4285)), "SEI"
    ),
    "cscl": Prototype(221, cubic(3.2), (("Li", 0, 0, 0), ("Al", 0.5, 0.5, 0.5)), "metal"),
    "zintl-b32": Prototype(227, cubic(6.37), (("Li", 0, 0, 0), ("Al", 0.5, 0.5, 0.5)), "metal", 1),
    # oxides and fluorides
    "corundum": Prototype(167, hexagonal(4.759, 12.991), (("Al", 0, 0, 0.3522), ("O", 0.3064, 0, 0.25)), "oxide"),
    "rutile": Prototype(136, (4.594, 4.594, 2.958, 90, 90, 90), (("Ti", 0, 0, 0), ("O", 0.305, 0.305, 0)), "oxide"),
    "anatase": Prototype(141, (3.785, 3.785, 9.514, 90, 90, 90), (("Ti", 0, 0, 0), ("O", 0, 0, 0.2081)), "oxide"),
    "perovskite": Prototype(
        221, cubic(3.905), (("Na", 0, 0, 0), ("Mg", 0.5, 0.5, 0.5), ("F", 0.5, 0.5, 0.0)), "fluoride"
    ),
    "vf3": Prototype(167, hexagonal(5.2, 13.3), (("Fe", 0, 0, 0), ("F", 0.41, 0, 0.25)), "fluoride"),
    "quartz": Prototype(
        152, hexagonal(4.913, 5.405), (("Si", 0.4697, 0, 1 / 3), ("O", 0.4135, 0.2669, 0.7857)), "oxide"
    ),
    "gamma-lialo2": Prototype(
        92,
        (5.169, 5.169, 6.268, 90, 90, 90),
        (("Li", 0.8126, 0.8126, 0), ("Al", 0.1759, 0.1759, 0), ("O", 0.3369, 0.2906, 0.7723)),
        "oxide",
    ),
    # anodes
    "graphite": Prototype(194, hexagonal(2.464, 6.711), (("C", 0, 0, 0.25), ("C", 1 / 3, 2 / 3, 0.25)), "graphite"),
    "lic6": Prototype(191, hexagonal(4.305, 3.706), (("Li", 0, 0, 0), ("C", 1 / 3, 0, 0.5)), "graphite"),
    "lic12": Prototype(191, hexagonal(4.290, 7.065), (("Li", 0, 0, 0), ("C", 1 / 3, 0, 0.25)), "graphite"),
    "bcc": Prototype(229, cubic(3.51), (("Li", 0, 0, 0),), "metal"),
    "fcc": Prototype(225, cubic(4.05), (("Al", 0, 0, 0),), "metal"),
    "hcp": Prototype(194, hexagonal(3.2, 5.2), (("Mg", 1 / 3, 2 / 3, 0.25),), "metal"),
    "diamond": Prototype(227, cubic(5.431), (("Si", 0, 0, 0),), "silicon", 1),
}


def ideal(name: str, primitive: bool = True) -> ase.Atoms:
    """The reference compound of prototype ``name``; ``arrays["site"]`` counts the sites of its asymmetric unit.

    Raises
    ------
    InputError
        If there is no such prototype.
    """
    if name not in PROTOTYPES:
        raise InputError(f"prototype {name!r}: not known; choose one of {', '.join(sorted(PROTOTYPES))}")
    from ase.spacegroup import crystal

    p = PROTOTYPES[name]
    atoms = crystal(
        [s[0] for s in p.sites],
        [s[1:] for s in p.sites],
        spacegroup=p.group,
        setting=p.setting,
        cellpar=p.cell,
        primitive_cell=primitive,
    )
    sites = atoms.arrays.get("spacegroup_kinds", np.arange(len(atoms)))
    plain = ase.Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell.array, pbc=True)
    plain.new_array("site", np.asarray(sites, dtype=int))
    return plain
