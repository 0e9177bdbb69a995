"""The oxygen framework that layered oxides, spinels and rock salts share, and which cation sites each of them fills.

In the hexagonal cell of R-3m: mobile ions at (0, 0, 0), metals at (0, 0, 1/2), oxygen at (0, 0, ±z); oxygen is close-
packed, all octahedra between its planes are sites of mobile ions or metals in turn. A spinel of the same oxygen has
metals in three of four octahedra of metal layers and one of four of the others, and mobile ions in tetrahedra; a rock
salt has metals in all octahedra (R. D. Shannon, A. Navrotsky; for surfaces of NMC: F. Lin et al., Nat. Commun. 5, 3529
(2014)).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.indices import standard_cell, with_parent
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

MOBILE = ("Li", "Na")
#: Kinds of sites, and whether each state fills them: "A" mobile ion, "M" metal, "B" metal that came from elsewhere.
OXYGEN, METAL, GUEST, TETRAHEDRON = 0, 1, 2, 3
#: z of oxygen in evenly spaced planes.
EVEN = 0.25


@dataclass(frozen=True, eq=False)
class Framework:
    """A layered oxide by its average: a, c (Å), z of oxygen, mobile ion, and shares of its metals."""

    a: float
    c: float
    z: float
    mobile: str
    metals: dict[str, float]

    @classmethod
    def of(cls, crystal: Structure) -> "Framework":
        """From a crystal, ordered or not, whose average is R-3m.

        Raises
        ------
        InputError
            If it is no layered oxide of this kind.
        """
        names = standard_cell(averaged(crystal))
        symbols = np.array(crystal.atoms.get_chemical_symbols())
        mobile = next((s for s in MOBILE if s in symbols), None)
        metal = ~np.isin(symbols, [*MOBILE, "O"])
        if not names.hexagonal or mobile is None or not metal.any() or (symbols == "O").sum() != 2 * metal.sum():
            raise _refused(crystal)
        height = (crystal.positions @ np.linalg.inv(names.cell))[:, 2]
        phase = np.exp(6j * np.pi * height[metal]).mean()
        middle = float(np.angle(phase) / (6 * np.pi))
        apart = (height[symbols == "O"] - middle) % (1 / 3)
        off = float(np.minimum(apart, 1 / 3 - apart).mean())
        if abs(phase) < 0.9 or not 0.05 < off < 0.11:
            raise _refused(crystal)
        lengths = np.linalg.norm(names.cell, axis=1)
        shares = {s: float((symbols == s).sum() / metal.sum()) for s in dict.fromkeys(symbols[metal].tolist())}
        return cls(float(lengths[0]), float(lengths[2]), 1 / 6 + off, mobile, shares)

    @property
    def hexagonal(self) -> Floats:
        """The hexagonal cell, rows, Å."""
        return np.array([[self.a, 0, 0], [-self.a / 2, self.a * np.sqrt(0.75), 0], [0, 0, self.c]])


def averaged(crystal: Structure) -> Structure:
    """The crystal with its directions named as if all its metals were one: an ordered NMC is then R-3m."""
    if "parent_cell" in crystal.info:
        return crystal
    atoms = crystal.atoms.copy()
    symbols = np.array(atoms.get_chemical_symbols())
    metal = ~np.isin(symbols, [*MOBILE, "K", "O"])
    if len(set(symbols[metal].tolist())) < 2:
        return crystal
    atoms.symbols[metal] = symbols[metal][0]
    return replace(crystal, info=with_parent(crystal.info, Structure(atoms)))


def _refused(crystal: Structure) -> InputError:
    return InputError(
        f"surface layer: {crystal.formula} is no layered oxide AMO2 of type O3 (R-3m on average), as LiNiO2 is"
    )


@dataclass(frozen=True, eq=False)
class SiteMap:
    """Sites in one cell: its rows in units of the hexagonal cell, kinds (N,), places (N, 3) hexagonal, oxygen even.

    ``spinel`` (N,): whether a spinel fills the site.
    """

    rows: Floats
    kind: npt.NDArray[np.int64]
    places: Floats
    spinel: npt.NDArray[np.bool_]


def site_map(spinel: bool) -> SiteMap:
    """The primitive cell of the layered oxide, or with ``spinel`` the hexagonal cell that both share: 2a, 2a, c."""
    basis = np.array([(0, 0, EVEN), (0, 0, -EVEN), (0, 0, 0.5), (0, 0, 0)])
    kinds = np.array([OXYGEN, OXYGEN, METAL, GUEST])
    if not spinel:
        rows = np.array([(2, 1, 1), (-1, 1, 1), (-1, -2, 1)]) / 3
        return SiteMap(rows, kinds, basis, np.zeros(4, dtype=bool))
    centring = np.array([(0, 0, 0), (2, 1, 1), (1, 2, 2)]) / 3
    cells = np.array([(i, j, 0) for i in range(2) for j in range(2)])
    places = (basis + (centring[:, None] + cells).reshape(-1, 1, 3)).reshape(-1, 3)
    kind = np.tile(kinds, 12)
    rows = np.diag([2.0, 2.0, 1.0])
    metals, ions = _spinel(places[kind == OXYGEN], places[kind == METAL], rows)
    filled = np.array([_among(place, metals, rows) for place in places]) | (kind == OXYGEN)
    return SiteMap(
        rows,
        np.concatenate([kind, np.full(len(ions), TETRAHEDRON)]),
        np.concatenate([places, ions]),
        np.concatenate([filled, np.ones(len(ions), dtype=bool)]),
    )


def _spinel(oxygen: Floats, metal: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Metals and mobile ions of the spinel on this oxygen, three of four metal sites filled; hexagonal coordinates."""
    from ase.spacegroup import crystal

    ideal = crystal(
        ["O", "Mn", "Li"],
        [(0.25,) * 3, (0.5,) * 3, (0.125,) * 3],
        spacegroup=227,
        setting=2,
        cellpar=(1, 1, 1, 90, 90, 90),
    )
    axes = np.array([(-0.5, 0.5, 0), (0, -0.5, 0.5), (1, 1, 1)])  # of the cell 2a, 2a, c in the cubic one
    every = np.array([(i, j, k) for i in range(-1, 3) for j in range(-1, 3) for k in range(-1, 3)])
    found: dict[str, Floats] = {}
    for symbol in ("O", "Mn", "Li"):
        cubic = (
            ideal.get_scaled_positions()[np.array(ideal.get_chemical_symbols()) == symbol] + every[:, None]
        ).reshape(-1, 3)
        inside = cubic @ np.linalg.inv(axes)
        inside = inside[((inside > -1e-6) & (inside < 1 - 1e-6)).all(axis=1)]
        found[symbol] = inside @ rows
    for turn in (np.ones(3), np.array([-1.0, -1.0, 1.0])):  # stacked ABC or CBA
        for target in oxygen:
            shift = target - turn * found["O"][0]
            if all(_among(turn * place + shift, oxygen, rows) for place in found["O"]):
                metals = turn * found["Mn"] + shift
                if 4 * sum(_among(place, metals, rows) for place in metal) == 3 * len(metal):
                    return metals, turn * found["Li"] + shift
    raise RuntimeError("the spinel's oxygen is that of the layered oxide")


def _among(place: Floats, others: Floats, rows: Floats) -> bool:
    apart = (others - place) @ np.linalg.inv(rows)
    return bool((np.abs(apart - np.rint(apart)).max(axis=1) < 1e-4).any())
