"""⟨u²⟩ of atoms by class of compound, with their literature."""

from rhotem.structure.model import Structure

#: Volume of an atom in Å³ below which carbon and boron nitride are not layered: diamond 5.7, graphite 8.8.
DENSE = 7.0
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
    roomy = structure.volume > DENSE * len(structure)  # sheets apart from each other: no diamond, no cubic BN
    if elements <= {"C", "Li"} and "C" in elements and roomy:
        return "graphite"
    if elements == {"Si"}:
        return "semiconductor"
    if elements <= {"Li", "Na", "F"}:
        return "halide"
    if elements in ({"Mo", "S"}, {"W", "S"}) or (elements == {"B", "N"} and roomy):
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
