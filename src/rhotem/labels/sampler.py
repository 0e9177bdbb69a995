"""Random structures of battery chemistry, as recipes: what to calculate next."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.labels.fingerprint import farthest, fingerprint
from rhotem.labels.recipes import INTERFACE, Interface, Phase, Recipe, Slab
from rhotem.structure.model import Structure

Rng = np.random.Generator
Select = Callable[[Sequence[Structure], int], Sequence[int]]

#: Transition metals and aluminium of layered, rocksalt and spinel hosts, with how often they are drawn.
HOSTS = {"Ni": 4, "Mn": 4, "Co": 4, "Fe": 2, "Ti": 2, "V": 1, "Al": 2}


def _pick(rng: Rng, weights: dict[str, int]) -> str:
    names = list(weights)
    share = np.array([weights[n] for n in names], dtype=float)
    return str(rng.choice(names, p=share / share.sum()))


def _mixture(rng: Rng, total: int, base: str) -> dict[str, int]:
    """Counts of other host elements to put on ``total`` atoms of ``base``."""
    left, out = total, {}
    for _ in range(int(rng.integers(0, 3))):
        element, count = _pick(rng, HOSTS), int(rng.integers(1, max(2, total)))
        if element != base and element not in out and count <= left:
            out[element] = count
            left -= count
    return out


def _layered(rng: Rng) -> dict[str, Any]:
    prototype = str(rng.choice(["o3", "o3", "p2", "o2"]))
    host, alkali = _pick(rng, HOSTS), "Na" if prototype == "p2" or rng.random() < 0.25 else "Li"
    cells: list = (
        [[[1, 1, 0], [1, -1, 0], [0, 0, 1]], [2, 1, 1], [3, 1, 1], [2, 2, 1]] if prototype == "o3" else [[1, 1, 1]]
    )
    cell = cells[rng.integers(len(cells))]
    units = abs(round(np.linalg.det(cell))) if np.ndim(cell) == 2 else int(np.prod(cell))
    units *= 1 if prototype == "o3" else 2
    reference = "Na" if prototype == "p2" else "Li"
    removed = int(rng.integers(0, units + 1))
    return {
        "prototype": prototype,
        "supercell": cell,
        "replace": {k: v for k, v in (("Co", host), (reference, alkali)) if k != v},
        "decorate": {host: _mixture(rng, units, host)},
        "remove": {alkali: removed} if removed else {},
    }


def _rocksalt(rng: Rng) -> dict[str, Any]:
    host, alkali = _pick(rng, HOSTS), "Na" if rng.random() < 0.2 else "Li"
    recipe: dict[str, Any] = {
        "prototype": "rocksalt",
        "supercell": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
        "replace": {"Li": host, "F": "O"},
        "family": "rocksalt",
    }
    metals = int(rng.integers(1, 3))
    recipe["decorate"] = {host: {alkali: 4 - metals, **({"Ti": 1} if metals == 2 and host != "Ti" else {})}}
    if rng.random() < 0.3:
        recipe["decorate"]["O"] = {"F": 1}
    return recipe


def _spinel(rng: Rng) -> dict[str, Any]:
    host = str(rng.choice(["Mn", "Mn", "Co", "Ni", "Ti", "V", "Fe", "Al"]))
    tetrahedral = str(rng.choice(["Li", "Li", "Li", "Mg", "Na"]))
    return {
        "prototype": "spinel",
        "replace": {k: v for k, v in (("Mn", host), ("Li", tetrahedral)) if k != v},
        "decorate": {host: _mixture(rng, 2, host)},
        "remove": {tetrahedral: 1} if rng.random() < 0.3 else {},
    }


def _olivine(rng: Rng) -> dict[str, Any]:
    host = str(rng.choice(["Fe", "Mn", "Co", "Ni", "Mg"]))
    prototype = "olivine" if rng.random() < 0.6 else "heterosite"
    replace = {"Fe": host} if host != "Fe" else {}
    recipe: dict[str, Any] = {"prototype": prototype, "replace": replace}
    if prototype == "olivine":
        if rng.random() < 0.3:
            replace["Li"] = "Na"
        recipe["remove"] = {replace.get("Li", "Li"): int(rng.integers(0, 4))}
    mixed = str(rng.choice(["Fe", "Mn", "Mg"]))
    if mixed != host and rng.random() < 0.5:
        recipe["decorate"] = {host: {mixed: int(rng.integers(1, 3))}}
    return recipe


def _poly_anion(rng: Rng) -> dict[str, Any]:
    prototype = str(rng.choice(["li3po4-beta", "li2msio4", "berlinite", "nasicon"]))
    replace: dict[str, str] = {}
    if prototype == "li2msio4":
        host = str(rng.choice(["Fe", "Mn", "Co", "Mg"]))
        replace = {"Mn": host} if host != "Mn" else {}
    elif prototype == "berlinite":
        host = str(rng.choice(["Fe", "Al", "Mn"]))
        replace = {"Fe": host} if host != "Fe" else {}
    elif prototype == "nasicon":
        host = str(rng.choice(["V", "Ti", "Zr", "Fe"]))
        replace = {"V": host} if host != "V" else {}
    elif rng.random() < 0.5:
        replace = {"Li": "Na"}
    alkali = "Na" if prototype == "nasicon" else replace.get("Li", "Li")
    vacancies = int(rng.integers(0, 3)) if prototype != "berlinite" else 0
    return {"prototype": prototype, "replace": replace, "remove": {alkali: vacancies} if vacancies else {}}


def _salt(rng: Rng) -> dict[str, Any]:
    prototype = str(rng.choice(["antifluorite", "li2o2", "lioh", "li3n", "na3as", "li2co3", "lipf6", "rocksalt"]))
    replace = {"Li": "Na"} if rng.random() < 0.4 and prototype not in ("lipf6", "li3n") else {}
    recipe: dict[str, Any] = {"prototype": prototype, "replace": replace}
    if prototype in ("antifluorite", "rocksalt"):
        recipe["supercell"] = [[1, 1, -1], [1, -1, 1], [-1, 1, 1]]
    if rng.random() < 0.5:
        recipe["remove"] = {replace.get("Li", "Li"): 1}
        recipe["charge"] = float(rng.choice([-1.0, 0.0]))
    return recipe


def _oxide(rng: Rng) -> dict[str, Any]:
    prototype = str(rng.choice(["corundum", "rutile", "anatase", "vf3", "perovskite"]))
    reference = {"corundum": "Al", "rutile": "Ti", "anatase": "Ti", "vf3": "Fe", "perovskite": "Mg"}[prototype]
    host = str(
        rng.choice(["Al", "Ti", "V", "Fe", "Mn", "Co"] if prototype != "perovskite" else ["Mg", "Mn", "Fe", "Ni"])
    )
    replace = {reference: host} if host != reference else {}
    if prototype in ("rutile", "anatase"):
        host, replace = "Ti", {}
    recipe: dict[str, Any] = {"prototype": prototype, "replace": replace}
    if prototype == "anatase" and rng.random() < 0.6:
        recipe["charge"] = float(rng.choice([-1.0, 1.0]))
    return recipe


def _carbon(rng: Rng) -> dict[str, Any]:
    prototype = str(rng.choice(["graphite", "lic6", "lic12"]))
    recipe: dict[str, Any] = {"prototype": prototype}
    if prototype == "lic6":
        recipe |= {"supercell": [1, 1, 2], "remove": {"Li": int(rng.integers(0, 3))}}
    elif prototype == "graphite":
        recipe["supercell"] = [[1, 1, 1], [2, 1, 1], [2, 2, 1]][rng.integers(3)]
    return recipe


def _metal(rng: Rng) -> dict[str, Any]:
    kinds: list[tuple[str, dict[str, str], float]] = [
        ("bcc", {}, 3.48),
        ("bcc", {"Li": "Na"}, 4.24),
        ("fcc", {}, 4.05),
        ("cscl", {"Al": "Mg"}, 3.48),
        ("zintl-b32", {}, 6.37),
        ("diamond", {}, 5.43),
    ]
    prototype, replace, cell = kinds[rng.integers(len(kinds))]
    size = [[2, 1, 1], [2, 2, 1], [2, 2, 2]][rng.integers(3)]
    return {"prototype": prototype, "replace": replace, "cell": (cell, cell, cell, 90, 90, 90), "supercell": size}


def _slab(rng: Rng) -> dict[str, Any]:
    prototype, miller, layers, replace = [
        ("rocksalt", (1, 0, 0), 2, {}),
        ("rocksalt", (1, 0, 0), 2, {"Li": "Mg", "F": "O"}),
        ("rocksalt", (1, 1, 0), 3, {"Li": "Na"}),
        ("antifluorite", (1, 1, 0), 3, {}),
        ("antifluorite", (1, 1, 0), 3, {"Li": "Na"}),
        ("bcc", (1, 0, 0), 3, {}),
        ("bcc", (1, 1, 0), 4, {}),
        ("fcc", (1, 0, 0), 3, {}),
        ("rutile", (1, 1, 0), 1, {}),
        ("o3", (1, 0, 4), 4, {}),
    ][rng.integers(10)]
    return {"prototype": prototype, "replace": replace, "slab": Slab(miller=miller, layers=layers, vacuum=8.0)}


def _interface(rng: Rng) -> dict[str, Any]:
    """Pairs whose planes match within 7 % in a small cell; the second of a pair is the softer one."""
    few, more = (int(n) for n in rng.integers([2, 2], [4, 5]))
    lif, mgo = _phase("rocksalt", "100", more), _phase("rocksalt", "100", few, 4.21, Li="Mg", F="O")
    li2o = _phase("antifluorite", "110", few)
    lower, upper = [
        (lif, _phase("fcc", "100", few)),
        (mgo, _phase("fcc", "100", more)),
        (mgo, lif),
        (li2o, _phase("bcc", "110", more, 3.44)),
        (_phase("antifluorite", "110", few, 5.55, Li="Na"), _phase("bcc", "110", more, 4.2, Li="Na")),
        (_phase("rocksalt", "100", few, 5.13, F="Cl"), _phase("bcc", "100", more, 3.44)),
        (_phase("rocksalt", "110", few, 5.13, F="Cl"), _phase("bcc", "110", more, 3.44)),
        (li2o, _phase("rocksalt", "110", few, 4.63, Li="Na")),
        (_phase("antifluorite", "110", 2, 5.71, O="S"), _phase("rocksalt", "110", 2)),
        (_phase("o3", "104", 1, Co="Al"), lif),
        (_phase("o3", "104", 1), lif),
        (_phase("li3n", "001", few), _phase("diamond", "111", more)),
        (_phase("na3as", "001", 1), _phase("lic6", "001", 1)),
    ][rng.integers(13)]
    joined = Interface(lower=lower, upper=upper, max_strain=0.07, share=float(rng.choice([0.5, 1.0])))
    spinless = {"moments": {"Co": 0.0}} if lower.prototype == "o3" else {}
    return {"prototype": INTERFACE, "interface": joined, **spinless}


def _phase(prototype: str, plane: str, layers: int, a: float | None = None, **replace: str) -> Phase:
    """A phase of an interface; ``a`` is the lattice constant of a cubic one, plane "110" is (110)."""
    h, k, l = (int(index) for index in plane)
    cell = None if a is None else (a, a, a, 90.0, 90.0, 90.0)
    return Phase(prototype=prototype, cell=cell, miller=(h, k, l), layers=layers, replace=replace)


FAMILIES: dict[str, tuple[float, Callable[[Rng], dict[str, Any]]]] = {
    "layered": (3.0, _layered),
    "rocksalt": (1.5, _rocksalt),
    "spinel": (1.5, _spinel),
    "olivine": (1.0, _olivine),
    "polyanion": (1.0, _poly_anion),
    "sei": (1.5, _salt),
    "oxide": (1.0, _oxide),
    "carbon": (1.0, _carbon),
    "metal": (0.5, _metal),
    "slab": (1.0, _slab),
    "interface": (1.0, _interface),
}


def draw(rng: Rng, families: Sequence[str] = ()) -> Recipe:
    """One random recipe: a prototype of one family, elements, vacancies, charge, strain up to 3 %, displacements.

    Raises
    ------
    InputError
        If a family is not known.
    """
    names = list(families) or list(FAMILIES)
    for name in names:
        if name not in FAMILIES:
            raise InputError(f"sampler: family {name!r} not known; choose among {', '.join(FAMILIES)}")
    share = np.array([FAMILIES[n][0] for n in names])
    values = FAMILIES[str(rng.choice(names, p=share / share.sum()))][1](rng)
    for key in ("decorate", "remove"):
        values[key] = {k: v for k, v in values.get(key, {}).items() if v}
    rattle = float(rng.choice([0.0, 0.03, 0.06, 0.1], p=[0.2, 0.4, 0.3, 0.1]))
    # Charge of a magnetic insulator would be a polaron whose place is chance: only where the recipe asks for it.
    return Recipe(**values, strain=float(rng.choice([0.0, 0.01, 0.03])), rattle=rattle, seed=int(rng.integers(2**31)))


def sample(
    count: int,
    seed: int = 0,
    families: Sequence[str] = (),
    min_atoms: int = 1,
    max_atoms: int = 28,
    max_electrons: int = 200,
    candidates: int = 10,
    known: Sequence[Structure] = (),
    select: Select | None = None,
) -> Iterator[Structure]:
    """``count`` structures out of ``candidates`` times as many, the most informative first.

    Parameters
    ----------
    seed : int
        Everything follows from it.
    families : sequence of str
        Keys of `FAMILIES`; all by default.
    min_atoms, max_atoms, max_electrons : int
        Smaller and larger cells are not drawn (valence electrons as `electrons` counts).
    candidates : int
        Structures drawn for each one taken.
    known : sequence of Structure
        What is there already, to stay away from.
    select : callable or None
        ``select(structures, count) -> indices``, for example by disagreement of an ensemble of models; farthest points
        in the pair distributions by default.
    """
    rng = np.random.default_rng(seed)
    drawn: list[Structure] = []
    for _ in range(100 * count * candidates):
        if len(drawn) == count * candidates:
            break
        try:
            structure = draw(rng, families).build()
        except InputError:
            continue
        if min_atoms <= len(structure) <= max_atoms and electrons(structure) <= max_electrons:
            drawn.append(structure)
    chosen = (select or _by_distance(known))(drawn, count)
    for index in chosen:
        yield drawn[index]


def electrons(structure: Structure) -> int:
    """Rough count of valence electrons: what a run costs."""
    few = {
        "H": 1,
        "Li": 1,
        "Na": 7,
        "Mg": 10,
        "Al": 3,
        "Si": 4,
        "C": 4,
        "P": 5,
        "N": 5,
        "O": 6,
        "F": 7,
        "S": 6,
        "Cl": 7,
    }
    return sum(few.get(s, 13) for s in structure.atoms.symbols)


def _by_distance(known: Sequence[Structure]) -> Select:
    def select(structures: Sequence[Structure], count: int) -> list[int]:
        return farthest([fingerprint(s.atoms) for s in known], [fingerprint(s.atoms) for s in structures], count)

    return select
