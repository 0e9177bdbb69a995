"""Reconstructed surfaces of layered oxides: rock salt outside, spinel below it, the layered crystal inside."""

from collections.abc import Callable
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.battery.builders.table import Builder, Generator, Option, plane_of
from rhotem.battery.framework import GUEST, METAL, OXYGEN, TETRAHEDRON, Framework, SiteMap, site_map
from rhotem.battery.specimen import Specimen
from rhotem.core import InputError
from rhotem.structure.assemble import cuts, layer_vectors
from rhotem.structure.edits.common import known_elements
from rhotem.structure.edits.table import parts, whole
from rhotem.structure.indices import coprime, three_indices
from rhotem.structure.lattice import coset_representatives
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

LAYERED, SPINEL, ROCKSALT = 0, 1, 2
#: Å: cations nearer than this share a face of their oxygen polyhedra.
FACE = 2.3
NAMES = ("layered", "spinel", "rock salt")


def surface_layer(
    crystal: Structure,
    plane: tuple[int, ...],
    rng: Generator,
    *,
    rocksalt: float = 20.0,
    spinel: float = 0.0,
    layered: float = 20.0,
    vacuum: float = 15.0,
    sides: int = 1,
    metal: str | None = None,
    repeat: tuple[int, int] = (1, 1),
) -> Specimen:
    """A slab of a layered oxide whose surface has become spinel and rock salt on the oxygen that was there.

    Rock salt has a metal in every octahedron, spinel half of the mobile ions, in tetrahedra; oxygen stays. Metals keep
    the shares of the crystal, spread by chance.

    Parameters
    ----------
    crystal : Structure
        Layered oxide of type O3, ordered or average.
    plane : three or four int
        Surface (hkl) in the hexagonal cell.
    rng : Generator
    rocksalt, spinel, layered : float
        Thickness in Å; of the layered part at least. Without rock salt and spinel it is the slab before it aged.
    vacuum : float
        Å.
    sides : 1 or 2
        Reconstructed above only, or on both surfaces.
    metal : str, optional
        What fills sites of mobile ions in rock salt; nickel if the crystal has it, else its most frequent metal.
    repeat : (int, int)
        In the plane.

    Raises
    ------
    InputError
        If the crystal is not of this kind, or lengths are out of range.
    """
    lengths = np.array([rocksalt, spinel, layered, vacuum])
    if not np.isfinite(lengths).all() or lengths.min() < 0 or layered <= 0 or sides not in (1, 2):
        raise InputError(
            f"surface layer: thicknesses {lengths.tolist()} Å, sides {sides}; expected lengths, and 1 or 2 sides"
        )
    known_elements({metal: 1.0} if metal else {})
    frame = Framework.of(crystal)
    filling = metal or ("Ni" if "Ni" in frame.metals else max(frame.metals, key=lambda m: frame.metals[m]))
    sites = site_map(spinel > 0)
    total = layered + sides * (rocksalt + spinel)
    positions, kind, filled, cell = _slab(frame, sites, plane, total, repeat)
    z = positions[:, 2]
    real = (kind != TETRAHEDRON) & (kind != GUEST)
    depth = z[real].max() - z
    if sides == 2:
        depth = np.minimum(depth, z - z[real].min())
    state = np.where(depth < rocksalt, ROCKSALT, np.where(depth < rocksalt + spinel, SPINEL, LAYERED))
    symbols = _occupants(frame, kind, state, filled, filling, rng)
    crowded = _crowded(positions, kind, state, symbols, cell, vacuum)
    symbols[crowded] = ""
    keep = symbols != ""
    cell[2, 2] += vacuum
    atoms = ase.Atoms(symbols[keep].tolist(), positions[keep] + [0, 0, vacuum / 2], cell=cell, pbc=True)
    atoms.wrap(eps=1e-9)
    changed = (state == ROCKSALT) & (kind == GUEST) | (state == SPINEL) & ((kind == GUEST) | (kind == TETRAHEDRON))
    role = np.array(["moved cation" if c else "host" for c in changed[keep]], dtype=object)
    how = (plane, rocksalt, spinel, filling, len(crowded), sides)
    return _specimen(crystal, frame, (atoms, state[keep], role), how)


def _crowded(positions: Floats, kind: Any, state: Any, symbols: Any, cell: Floats, vacuum: float) -> Any:
    """Mobile ions in tetrahedra that share a face with a filled octahedron of the state next to them."""
    from ase.geometry import get_distances

    ions = np.flatnonzero((kind == TETRAHEDRON) & (symbols != ""))
    others = np.flatnonzero((state != SPINEL) & ((kind == GUEST) | (kind == METAL)) & (symbols != ""))
    if not len(ions) or not len(others):
        return ions[:0]
    box = cell + np.diag([0.0, 0.0, vacuum])
    apart = get_distances(positions[ions], positions[others], cell=box, pbc=[True, True, False])[1]
    return ions[apart.min(axis=1) < FACE]


def _slab(
    frame: Framework, sites: SiteMap, plane: tuple[int, ...], total: float, repeat: tuple[int, int]
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_], Floats]:
    """Positions, kinds and filling in a spinel of all sites of a slab, and its cell without vacuum."""
    hexagonal = frame.hexagonal
    cell = sites.rows @ hexagonal
    indices = three_indices(plane, True, True)[0]
    own = coprime([round(float(x)) for x in 3 * sites.rows @ indices])
    transform, turn = layer_vectors(cell, own)
    rows = transform @ cell
    shifts = coset_representatives(transform)
    fractional = sites.places @ np.linalg.inv(sites.rows)
    placed = (fractional + shifts[:, None]).reshape(-1, 3) @ np.linalg.inv(transform.astype(float)) % 1.0
    kind, filled = np.tile(sites.kind, len(shifts)), np.tile(sites.spinel, len(shifts))
    solid = kind != TETRAHEDRON
    stand_in = np.array(["O", max(frame.metals, key=lambda m: frame.metals[m]), frame.mobile])[kind[solid]]
    unit = ase.Atoms(stand_in.tolist(), cell=rows @ turn.T, scaled_positions=placed[solid], pbc=True)
    spacing = float(unit.cell.array[2, 2])
    height = min(cuts(unit), key=lambda cut: (round(abs(cut[1]), 3), -round(cut[2], 3)))[0]
    placed[:, 2] = (placed[:, 2] - height / spacing) % 1.0
    count = max(1, int(np.ceil(total / spacing - 1e-6)))
    copies = np.array([(i, j, k) for k in range(count) for i in range(repeat[0]) for j in range(repeat[1])])
    positions = (placed + copies[:, None]).reshape(-1, 3) @ unit.cell.array
    vectors = unit.cell.array * np.array([repeat[0], repeat[1], count])[:, None]
    vectors[2] = [0.0, 0.0, count * spacing]
    return positions, np.tile(kind, len(copies)), np.tile(filled, len(copies)), vectors


def _occupants(
    frame: Framework, kind: Any, state: Any, filled: Any, filling: str, rng: Generator
) -> npt.NDArray[np.str_]:
    """Element of every site, "" where it is empty."""
    symbols = np.full(len(kind), "", dtype=object)
    symbols[kind == OXYGEN] = "O"
    symbols[(kind == GUEST) & (state == LAYERED)] = frame.mobile
    symbols[(kind == GUEST) & (state == ROCKSALT)] = filling
    symbols[(kind == TETRAHEDRON) & (state == SPINEL)] = frame.mobile
    metals = np.flatnonzero(
        (kind == METAL) & ((state != SPINEL) | filled) | (kind == GUEST) & (state == SPINEL) & filled
    )
    shares = {m: share * len(metals) for m, share in frame.metals.items()}
    counts = {m: int(np.floor(n + 1e-9)) for m, n in shares.items()}
    for m in sorted(shares, key=lambda m: counts[m] - shares[m])[: len(metals) - sum(counts.values())]:
        counts[m] += 1
    spread = rng.permutation([m for m, n in counts.items() for _ in range(n)])
    symbols[metals] = spread
    return symbols


def _specimen(crystal: Structure, frame: Framework, made: tuple, how: tuple) -> Specimen:
    from rhotem.structure.phases import phase

    atoms, state, role = made
    plane, rocksalt, spinel, filling, crowded, sides = how
    name = str(crystal.info.get("name") or crystal.formula)
    text = ",".join(map(str, plane))
    parts_said = [f"{width:g} Å {kind}" for width, kind in ((rocksalt, "rock salt"), (spinel, "spinel")) if width]
    where = "above" if sides == 1 else "on both sides"
    note = f"({text}) surface of {name}: {', '.join(parts_said)} {where}; {filling} in sites of {frame.mobile}"
    note += f", {crowded} {frame.mobile} without room left out" * bool(crowded) + ", not relaxed"
    info = {"name": f"{name}-surface", "notes": [note]}
    regions = []
    for number, kind in enumerate(NAMES):
        inside = np.flatnonzero(state == number)
        z = atoms.positions[inside, 2]
        here = {"name": kind, "phase": atoms[inside].get_chemical_formula() if len(inside) else ""}
        regions.append({**here, **({"from_A": float(z.min()), "to_A": float(z.max())} if len(inside) else {})})
    defects = [
        {"kind": "boundary", "between": [NAMES[a], NAMES[b]], "position_A": [0.0, 0.0, _between(atoms, state, a, b)]}
        for a, b in ((LAYERED, SPINEL), (SPINEL, ROCKSALT), (LAYERED, ROCKSALT))
        if (state == a).any() and (state == b).any() and not (b - a == 2 and (state == SPINEL).any())
    ]
    references = [crystal] + ([phase("LiMn2O4")] if spinel else []) + ([phase("NiO")] if rocksalt else [])
    return Specimen(Structure(atoms, info=info), regions, state, role, defects, references)


def _between(atoms: ase.Atoms, state: Any, lower: int, upper: int) -> float:
    return float((atoms.positions[state == lower, 2].max() + atoms.positions[state == upper, 2].min()) / 2)


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    if options["rocksalt"] + options["spinel"] == 0:
        raise InputError("surface layer: --rocksalt and --spinel are 0; give one a thickness, or build a slab")
    plane = plane_of(options.pop("plane"))
    i, j = (whole(n) for n in parts(options.pop("across"), "across", 2, ","))
    return surface_layer(load(texts[0]), plane, rng, repeat=(i, j), **options)


BUILDER = Builder(
    "surface-layer",
    "Rock-salt and spinel layers on a layered oxide.",
    _build,
    [
        Option("plane", "1,0,4", "h,k,l", "Surface, indices of the hexagonal cell."),
        Option("rocksalt", 20.0, "Å", "Thickness of rock salt, outermost."),
        Option("spinel", 0.0, "Å", "Thickness of spinel below it."),
        Option("layered", 20.0, "Å", "Least thickness of the layered crystal."),
        Option("vacuum", 15.0, "Å", "Empty layer."),
        Option("sides", 1, "1|2", "Reconstructed above, or on both surfaces."),
        Option("metal", None, "Ni", "What fills sites of mobile ions in rock salt; Ni, else the most frequent metal."),
        Option("across", "1,1", "nx,ny", "Repeats in the plane."),
    ],
)
