"""Stackings of layered oxides, the hexagonal phases of charged ones, and stacking faults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhotem.battery.builders.table import Builder, Generator, Option
from rhotem.battery.layered import ALKALI, GAPS, Layered, Sheet, restacked, taken_apart
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError
from rhotem.structure.edits.table import number, parts, whole
from rhotem.structure.model import Structure


@dataclass(frozen=True)
class State:
    """A stacking: kinds of gaps in turn, share of mobile ions, and lengths relative to the full O3 crystal."""

    gaps: tuple[str, ...]
    content: float = 1.0
    a: float = 1.0
    c: float = 1.0


#: Stackings by name. H1 to H3 and O1 (H4) are the states of LixNiO2: a, c relative to H1 from T. Ohzuku, A. Ueda,
#: M. Nagayama, J. Electrochem. Soc. 140, 1862 (1993), and for H4 L. Croguennec, C. Pouillerie, C. Delmas,
#: J. Electrochem. Soc. 147, 1314 (2000), rounded; relax the cell for another oxide.
STATES: Mapping[str, State] = {
    "O3": State(("O3",)),
    "O1": State(("O1",)),
    "P3": State(("P3",)),
    "P2": State(("P2", "P2")),
    "O2": State(("O2", "O2")),
    "H1": State(("O3",)),
    "H2": State(("O3",), 0.5, 0.980, 1.015),
    "H3": State(("O3",), 0.25, 0.980, 0.945),
    "H4": State(("O1",), 0.0, 0.976, 0.918),
}
#: Slabs of oxidised metals are thinner by this: M–O of Ni3+ and Ni4+.
OXIDISED = 0.93


def stacking(
    crystal: Structure,
    name: str,
    rng: Generator,
    *,
    layers: int = 6,
    faults: Mapping[int, str] = {},
    content: float | None = None,
    across: tuple[int, int] = (1, 1),
) -> Specimen:
    """A layered oxide with another stacking, fewer mobile ions, and faults.

    Parameters
    ----------
    crystal : Structure
        A layered oxide.
    name : str
        One of `STATES`.
    rng : Generator
        Chooses the mobile ions that stay; gaps hold the same number within one, faults the fewest.
    layers : int
        Slabs in the cell.
    faults : mapping
        Number of a gap, from 1 -> its kind (`rhotem.battery.layered.GAPS`).
    content : float, optional
        Share of the sites of mobile ions that are filled; by default that of the state.
    across : (int, int)
        Repeats in the plane.

    Raises
    ------
    InputError
        If there is no such stacking or gap, the crystal is not layered, or the cell does not hold the content.
    """
    if name not in STATES:
        raise InputError(f"stacking {name!r}: expected one of {', '.join(STATES)}")
    state = STATES[name]
    kinds = [state.gaps[i % len(state.gaps)] for i in range(layers)]
    for gap, kind in faults.items():
        if not 1 <= gap <= layers or kind not in GAPS:
            raise InputError(f"fault {gap}:{kind}: expected a gap from 1 to {layers} and one of {', '.join(GAPS)}")
        kinds[gap - 1] = kind
    apart = _wider(taken_apart(crystal), across)
    full = apart.thickness + apart.gap
    thickness = apart.thickness * (OXIDISED if state.content < 0.5 else 1.0)
    made = restacked(apart, kinds, state.a, thickness, full * state.c - thickness)
    content = state.content if content is None else content
    keep = _kept(made.slab, made.guest, content, [gap - 1 for gap in faults], rng)
    atoms, slab = made.atoms[keep], made.slab[keep]
    role = np.where(made.guest[keep], "mobile ion", HOST).astype(object)
    defects = [
        {"kind": f"{kinds[gap - 1]} fault", "gap": gap, "position_A": [0.0, 0.0, made.middles[gap - 1]]}
        for gap in sorted(faults)
        if kinds[gap - 1] != state.gaps[(gap - 1) % len(state.gaps)]
    ]
    regions = [{"name": f"slab {i + 1}", "phase": crystal.formula, "gap_above": kind} for i, kind in enumerate(kinds)]
    said = ", " + ", ".join(f"{d['kind']} at gap {d['gap']}" for d in defects) if defects else ""
    note = f"{name} stacking of {layers} slabs{said}, {100 * content:g} % of the mobile ions, not relaxed"
    info: dict[str, Any] = {"name": f"{crystal.info.get('name', crystal.formula)}-{name}", "class": "layered oxide"}
    info["notes"] = [*crystal.info.get("notes", []), note]
    return Specimen(Structure(atoms, 0.0, None, info), regions, slab, role, defects, [crystal])


def _wider(apart: Layered, across: tuple[int, int]) -> Layered:
    """Every sheet repeated in the plane."""
    shifts = np.array([(i, j) for i in range(across[0]) for j in range(across[1])]) @ apart.plane

    def wide(sheet: Sheet) -> Sheet:
        places = (sheet.places[:, None] + shifts).reshape(-1, 2)
        return Sheet([s for s in sheet.symbols for _ in shifts], places, np.repeat(sheet.heights, len(shifts)))

    slabs, gaps = [wide(s) for s in apart.slabs], [wide(g) for g in apart.gaps]
    return Layered(apart.plane * np.array(across)[:, None], apart.step, slabs, gaps, apart.thickness, apart.gap)


def _kept(slab: Any, guest: Any, content: float, poor: list[int], rng: Generator) -> Any:
    """Indices of the atoms that stay: mobile ions spread over gaps as evenly as whole numbers allow."""
    sites = np.flatnonzero(guest)
    wanted = content * len(sites)
    if not 0 <= content <= 1 or abs(wanted - round(wanted)) > 1e-6 * max(1, len(sites)):
        raise InputError(
            f"content {100 * content:g} % of {len(sites)} mobile ions is {wanted:.4g}; repeat the plane with --across"
        )
    spared = poor if content <= 0.5 else []
    stay: list[int] = []
    for group in (sorted(set(slab[sites].tolist()) - set(spared)), sorted(spared)):
        room = [rng.permutation(sites[slab[sites] == gap]).tolist() for gap in group]
        turns = [ions[i] for i in range(max(map(len, room), default=0)) for ions in room if i < len(ions)]
        stay += turns[: round(wanted) - len(stay)]
    return np.sort(np.concatenate([np.flatnonzero(~guest), np.array(stay, dtype=int)]))


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    crystal = load(texts[0])
    if not set(crystal.atoms.symbols) & set(ALKALI):
        raise InputError(f"stacking: {crystal.formula} has none of {', '.join(ALKALI)}; give the full crystal")
    faults = {}
    for text in (options["fault"] or "").split(",") if options["fault"] else []:
        gap, kind = parts(text, "fault", 2)
        faults[whole(gap)] = kind
    state = STATES.get(options["stack"], State(("O3",)))
    content = state.content if options["content"] is None else number(options["content"].rstrip("%")) / 100.0
    across = options["across"] or ("2,2" if content not in (0.0, 1.0) else "1,1")
    i, j = (whole(n) for n in parts(across, "across", 2, ","))
    layers = options["layers"]
    if layers < 1:
        raise InputError(f"--layers {layers}: expected at least 1")
    return stacking(crystal, options["stack"], rng, layers=layers, faults=faults, content=content, across=(i, j))


BUILDER = Builder(
    "stacking",
    "Stackings of layered oxides (O3, O1, P3, P2, O2), charged states H1 to H4, stacking faults.",
    _build,
    [
        Option("stack", "O3", "O3|O1|P3|P2|O2|H1|H2|H3|H4", "The stacking."),
        Option("layers", 6, "N", "Slabs in the cell."),
        Option("fault", None, "N:O1[,N:...]", "Gaps with another stacking: number from below, and its kind."),
        Option("content", None, "%", "Mobile ions left, in per cent; without it what the state has (H3: 25 %)."),
        Option("across", None, "nx,ny", "Repeats in the plane; without it 1,1, or 2,2 where ions are missing."),
    ],
)
