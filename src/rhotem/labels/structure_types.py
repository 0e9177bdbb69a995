"""Structure types beyond battery chemistry: simple types in which nearly every element occurs, and molecules in boxes.

Cells and coordinates are those usually cited (Wyckoff, *Crystal Structures*; Pearson's handbook), rounded. Elements of
the reference compound are replaced, and cells given, by recipes.
"""

from rhotem.labels.prototype import Prototype, box, cubic, hexagonal

#: Å; molecules and their images are 6 Å apart and more, and the box has no symmetry that the molecule has not.
BOX = (9.0, 9.4, 9.8)


def _molecule(*atoms: tuple[str, float, float, float]) -> Prototype:
    """Atoms by symbol and Cartesian position in Å from the middle of a box."""
    sites = tuple((symbol, 0.5 + x / BOX[0], 0.5 + y / BOX[1], 0.5 + z / BOX[2]) for symbol, x, y, z in atoms)
    return Prototype(1, (*BOX, 90, 90, 90), sites, "molecule")


SOLIDS: dict[str, Prototype] = {
    # tetrahedral
    "zincblende": Prototype(216, cubic(5.409), (("Zn", 0, 0, 0), ("S", 0.25, 0.25, 0.25)), "semiconductor"),
    "wurtzite": Prototype(
        186, hexagonal(3.823, 6.261), (("Zn", 1 / 3, 2 / 3, 0), ("S", 1 / 3, 2 / 3, 0.375)), "semiconductor"
    ),
    "chalcopyrite": Prototype(
        122,
        (5.289, 5.289, 10.423, 90, 90, 90),
        (("Cu", 0, 0, 0), ("Fe", 0, 0, 0.5), ("S", 0.2574, 0.25, 0.125)),
        "semiconductor",
    ),
    "libo2": Prototype(
        122,
        (4.196, 4.196, 6.511, 90, 90, 90),
        (("B", 0, 0, 0), ("Li", 0, 0, 0.5), ("O", 0.1574, 0.25, 0.125)),
        "oxide",
    ),
    # alkali in the tetrahedral holes of zincblende (LiZnAs), ordered antifluorite
    "half-heusler": Prototype(
        216, cubic(5.94), (("As", 0, 0, 0), ("Zn", 0.25, 0.25, 0.25), ("Li", 0.75, 0.75, 0.75)), "semiconductor"
    ),
    # layered
    "hbn": Prototype(194, hexagonal(2.504, 6.661), (("B", 1 / 3, 2 / 3, 0.25), ("N", 1 / 3, 2 / 3, 0.75)), "layered"),
    "cdi2": Prototype(164, hexagonal(4.24, 6.84), (("Cd", 0, 0, 0), ("I", 1 / 3, 2 / 3, 0.249)), "chalcogenide"),
    "mos2-2h": Prototype(
        194, hexagonal(3.160, 12.294), (("Mo", 1 / 3, 2 / 3, 0.25), ("S", 1 / 3, 2 / 3, 0.621)), "chalcogenide"
    ),
    # one layer and 8 Å of vacuum
    "mos2-1h": Prototype(
        187, hexagonal(3.160, 11.2), (("Mo", 1 / 3, 2 / 3, 0.5), ("S", 2 / 3, 1 / 3, 0.6397)), "chalcogenide"
    ),
    "bi2se3": Prototype(
        166, hexagonal(4.138, 28.64), (("Bi", 0, 0, 0.3985), ("Se", 0, 0, 0), ("Se", 0, 0, 0.2115)), "chalcogenide"
    ),
    "gase": Prototype(
        187,
        hexagonal(3.755, 12.0),
        (("Ga", 1 / 3, 2 / 3, 0.602), ("Se", 2 / 3, 1 / 3, 0.699)),
        "chalcogenide",
    ),
    "litharge": Prototype(
        129, (3.964, 3.964, 5.008, 90, 90, 90), (("O", 0.75, 0.25, 0), ("Pb", 0.25, 0.25, 0.2385)), "oxide", 2
    ),
    "biocl": Prototype(
        129,
        (3.891, 3.891, 7.369, 90, 90, 90),
        (("Bi", 0.25, 0.25, 0.171), ("O", 0.75, 0.25, 0), ("Cl", 0.25, 0.25, 0.6454)),
        "halide",
        2,
    ),
    # oxides and sulfides
    "nias": Prototype(194, hexagonal(3.62, 5.03), (("Ni", 0, 0, 0), ("As", 1 / 3, 2 / 3, 0.25)), "sulfide"),
    "cooperite": Prototype(131, (3.47, 3.47, 6.11, 90, 90, 90), (("Pt", 0, 0.5, 0), ("S", 0, 0, 0.25)), "sulfide"),
    "cuprite": Prototype(224, cubic(4.27), (("O", 0, 0, 0), ("Cu", 0.25, 0.25, 0.25)), "oxide"),
    "la2o3": Prototype(
        164,
        hexagonal(3.938, 6.136),
        (("La", 1 / 3, 2 / 3, 0.2467), ("O", 1 / 3, 2 / 3, 0.6470), ("O", 0, 0, 0)),
        "oxide",
    ),
    "reo3": Prototype(221, cubic(3.748), (("Re", 0, 0, 0), ("O", 0.5, 0, 0)), "oxide"),
    "scheelite": Prototype(
        88,
        (5.243, 5.243, 11.376, 90, 90, 90),
        (("Ca", 0, 0.25, 0.625), ("W", 0, 0.25, 0.125), ("O", 0.1507, 0.0086, 0.2106)),
        "oxide",
        2,
    ),
    "na2wo4": Prototype(
        227,
        cubic(9.13),
        (("W", 1 / 8, 1 / 8, 1 / 8), ("Na", 0.5, 0.5, 0.5), ("O", 0.2375, 0.2375, 0.2375)),
        "oxide",
        2,
    ),
    # halides
    "k2ptcl6": Prototype(225, cubic(9.75), (("Pt", 0, 0, 0), ("K", 0.25, 0.25, 0.25), ("Cl", 0.240, 0, 0)), "halide"),
    "elpasolite": Prototype(
        225,
        cubic(10.53),
        (("In", 0, 0, 0), ("Na", 0.5, 0.5, 0.5), ("Cs", 0.25, 0.25, 0.25), ("Cl", 0.238, 0, 0)),
        "halide",
    ),
    "li3incl6": Prototype(
        12,
        box(6.41, 11.10, 6.39, 109.8),
        (
            ("In", 0, 0, 0),
            ("Li", 0, 1 / 3, 0),
            ("Li", 0, 0.5, 0.5),
            ("Cl", 0.243, 0, 0.765),
            ("Cl", 0.243, 0.161, 0.238),
        ),
        "halide",
    ),
    # sulfide electrolytes; lithium of the argyrodite on the middle of its double tetrahedra
    "na3sbs4": Prototype(
        217, cubic(7.16), (("Sb", 0, 0, 0), ("Na", 0, 0.5, 0.5), ("S", 0.188, 0.188, 0.188)), "thiophosphate"
    ),
    "argyrodite": Prototype(
        216,
        cubic(9.98),
        (
            ("Br", 0, 0, 0),
            ("P", 0, 0, 0.5),
            ("S", 0.25, 0.25, 0.25),
            ("S", 0.119, 0.119, 0.619),
            ("Li", 0.02, 0.25, 0.25),
        ),
        "thiophosphate",
    ),
    # elements and alloys
    "arsenic": Prototype(166, hexagonal(3.760, 10.547), (("As", 0, 0, 0.2271),), "metal"),
    "selenium": Prototype(152, hexagonal(4.366, 4.954), (("Se", 0.2254, 0, 1 / 3),), "semiconductor"),
    "tellurium": Prototype(152, hexagonal(4.457, 5.929), (("Te", 0.2633, 0, 1 / 3),), "semiconductor"),
    "iodine": Prototype(64, box(7.18, 4.71, 9.81), (("I", 0, 0.1543, 0.1174),), "halide"),
    "gallium": Prototype(64, box(4.519, 7.658, 4.526), (("Ga", 0, 0.1539, 0.0798),), "metal"),
    "indium": Prototype(139, (3.253, 3.253, 4.947, 90, 90, 90), (("In", 0, 0, 0),), "metal"),
    "tin": Prototype(141, (5.831, 5.831, 3.182, 90, 90, 90), (("Sn", 0, 0, 0),), "metal"),
    "boron": Prototype(
        166,
        hexagonal(4.908, 12.567),
        (("B", 0.1188, -0.1188, -0.1088), ("B", 0.1965, -0.1965, 0.0245)),
        "semiconductor",
    ),
    "li3bi": Prototype(225, cubic(6.722), (("Bi", 0, 0, 0), ("Li", 0.5, 0.5, 0.5), ("Li", 0.25, 0.25, 0.25)), "metal"),
    "cu3au": Prototype(221, cubic(3.75), (("Au", 0, 0, 0), ("Cu", 0, 0.5, 0.5)), "metal"),
}

MOLECULES: dict[str, Prototype] = {
    "h2o-molecule": _molecule(("O", 0, 0, 0), ("H", 0.757, 0.586, 0), ("H", -0.757, 0.586, 0)),
    "n2-molecule": _molecule(("N", 0, 0, 0.549), ("N", 0, 0, -0.549)),
    "o2-molecule": _molecule(("O", 0, 0, 0.604), ("O", 0, 0, -0.604)),
    "f2-molecule": _molecule(("F", 0, 0, 0.706), ("F", 0, 0, -0.706)),
    "cl2-molecule": _molecule(("Cl", 0, 0, 0.994), ("Cl", 0, 0, -0.994)),
    "lif-molecule": _molecule(("Li", 0, 0, 0.782), ("F", 0, 0, -0.782)),
    "co2-molecule": _molecule(("C", 0, 0, 0), ("O", 0, 0, 1.16), ("O", 0, 0, -1.16)),
    "nh3-molecule": _molecule(
        ("N", 0, 0, 0.1), ("H", 0.938, 0, -0.28), ("H", -0.469, 0.812, -0.28), ("H", -0.469, -0.812, -0.28)
    ),
    "bf3-molecule": _molecule(
        ("B", 0, 0, 0), ("F", 1.313, 0, 0), ("F", -0.6565, 1.1371, 0), ("F", -0.6565, -1.1371, 0)
    ),
    "ch4-molecule": _molecule(
        ("C", 0, 0, 0), ("H", 0.629, 0.629, 0.629), ("H", 0.629, -0.629, -0.629), ("H", -0.629, 0.629, -0.629),
        ("H", -0.629, -0.629, 0.629),
    ),
    "atom": _molecule(("Be", 0, 0, 0)),
}  # fmt: skip

STRUCTURE_TYPES = SOLIDS | MOLECULES
