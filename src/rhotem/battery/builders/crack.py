"""Cracks: a wedge is empty, within a grain or along a grain boundary."""

from collections.abc import Callable
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rhotem.battery.axes import grain_frame, whole_repeats
from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option, lengths_of
from rhotem.battery.polycrystal import Polycrystal, cut_grains
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError
from rhotem.core.words import parse_indices
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient

Floats = npt.NDArray[np.float64]

#: Seeds nearest to the middle between which a crack may run.
NEIGHBOURS = 5
#: Å below a crack's face that counts as its surface.
SURFACE = 3.0


def crack(
    crystal: Structure,
    size: tuple[float, float, float],
    opening: float,
    length: float,
    rng: Generator,
    *,
    grains: int = 1,
    along: Literal["grain", "boundary"] = "boundary",
    zone: Any = (0, 0, 1),
) -> Specimen:
    """A columnar polycrystal, or one crystal, with a crack that runs from its left face along x.

    The crack is a wedge through the whole thickness: ``opening`` wide at the mouth, closed after ``length``. It follows
    of the boundaries near the middle of the block the one most along x, or with ``along="grain"`` the
    plane across y in the middle. Faces are mended as those of polycrystals: composition as in the crystal.

    Parameters
    ----------
    crystal : Structure
        Any cell of it, neutral.
    size : (x, y, z)
        Sides of the block in Å; x is free, with vacuum; z is rounded to whole repeats.
    opening, length : float
        Å.
    rng : Generator
        Seeds and angles of grains.
    grains : int
        All have ``zone`` along z and are turned about it.
    along : "boundary" or "grain"

    Raises
    ------
    InputError
        If a length is out of range, or there is no boundary to follow.
    """
    from scipy.spatial.transform import Rotation

    _check(size, opening, length, grains, along)
    given, frame = crystal, np.eye(3)
    if grains == 1:  # one crystal goes on through the sides
        cell = orient(crystal, zone, primitive=True)
        crystal, (_, across, repeat) = cell.structure, cell.lengths
        size = (size[0], whole_repeats(size[1], across), whole_repeats(size[2], repeat))
    else:
        frame, repeat = grain_frame(crystal, zone, None)
        size = (size[0], size[1], whole_repeats(size[2], repeat))
    seeds = rng.uniform(size=(grains, 3)) * size
    seeds[:, 2] = size[2] / 2
    turns = Rotation.from_rotvec(rng.uniform(0.0, 2 * np.pi, grains)[:, None] * [0.0, 0.0, 1.0]).as_matrix()
    if grains == 1:
        turns = np.eye(3)[None]
    point, direction = (
        _path(seeds, size) if along == "boundary" else (np.array([0.0, size[1] / 2]), np.array([1.0, 0.0]))
    )
    normal = np.array([-direction[1], direction[0]])

    def below(points: Floats) -> Floats:
        ahead = (points[:, :2] - point) @ direction
        aside = np.abs((points[:, :2] - point) @ normal)
        return np.asarray((aside - 0.5 * opening * (1 - ahead / length)) / np.hypot(1.0, 0.5 * opening / length))

    vacuum = (max(10.0, opening), 0.0, 0.0)
    note = f"crack along a {along if along == 'boundary' else 'plane'}, {opening:g} Å at the mouth, {length:g} Å long"
    made = cut_grains(crystal, size, seeds, turns @ frame, vacuum=vacuum, note=note, opening=below)
    shift = np.array([vacuum[0] / 2, 0.0, 0.0])
    depth = below(made.structure.positions - shift)
    return _specimen(given, made, depth, [*(point + shift[:2]), 0.0], direction * length)


def _specimen(crystal: Structure, made: Polycrystal, depth: Floats, mouth: list[Any], run: Floats) -> Specimen:
    role = np.where(depth < SURFACE, "crack face", HOST).astype(object)
    tip = [float(mouth[0] + run[0]), float(mouth[1] + run[1]), 0.0]
    defects = [{"kind": "crack", "position_A": [float(x) for x in mouth], "tip_A": tip}]
    regions = [
        {"name": f"grain {i + 1}", "phase": crystal.formula, "rotation": turn.tolist()}
        for i, turn in enumerate(made.rotations)
    ]
    extra = {"removed": made.removed}
    return Specimen(made.structure, regions, made.grain, role, defects, [crystal], extra)


def _path(seeds: Floats, size: tuple[float, float, float]) -> tuple[Floats, Floats]:
    """Where a crack starts at the left face, and its direction: of boundaries near the middle that most along x."""
    if len(seeds) < 2:
        raise InputError("crack: one grain has no boundary to follow; give more --grains or --along grain")
    middle = np.array(size[:2]) / 2
    images = np.array([[s[0], s[1] + n * size[1]] for s in seeds for n in (-1, 0, 1)])
    near = images[np.argsort(np.linalg.norm(images - middle, axis=1))][:NEIGHBOURS]
    best: tuple[float, Floats, Floats] = (0.0, middle, middle)
    for one, two in combinations(near, 2):
        centre, apart = (one + two) / 2, np.linalg.norm(two - one)
        if np.linalg.norm(images - centre, axis=1).min() > apart / 2 - 1e-6:  # they meet
            flat = np.array([two[1] - one[1], one[0] - two[0]]) / apart
            best = max(best, (abs(float(flat[0])), centre, flat * np.sign(flat[0])), key=lambda way: way[0])
    slope, centre, direction = best
    if slope < 0.3:  # a boundary almost across x would never reach the face within the block
        raise InputError("crack: the boundary in the middle runs along the left face; choose another --seed")
    return centre - direction * (centre[0] / direction[0]), direction


def _check(size: tuple[float, float, float], opening: float, length: float, grains: int, along: str) -> None:
    if not (np.isfinite([opening, length]).all() and 0 < opening < size[1] and length > 0):
        raise InputError(
            f"crack: opening {opening}, length {length}; expected lengths in Å, the opening below the side y"
        )
    if length > size[0]:
        raise InputError(f"crack: {length:g} Å is longer than the block, {size[0]:g} Å")
    if grains < 1 or along not in ("boundary", "grain"):
        raise InputError(f"crack: {grains} grains along {along!r}; expected 1 or more, along boundary or grain")


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    x, y, z = lengths_of(options["size"], "size")
    along: Any = options["along"] or ("boundary" if options["grains"] > 1 else "grain")
    zone = parse_indices(options["zone"])
    crystal = load(texts[0])
    return crack(
        crystal, (x, y, z), options["opening"], options["length"], rng, grains=options["grains"], along=along, zone=zone
    )


BUILDER = Builder(
    "crack",
    "A crack in a crystal or along a boundary of a columnar polycrystal.",
    _build,
    [
        Option("size", REQUIRED, "x,y,z", "Sides of the block in Å; the crack starts at the face across x."),
        Option("opening", 8.0, "Å", "Width at the mouth."),
        Option("length", 20.0, "Å", "From the mouth to the tip."),
        Option("grains", 1, "N", "Columnar grains, all with --zone along z."),
        Option("along", None, "boundary|grain", "Path; without it a boundary where there is more than one grain."),
        Option("zone", "0,0,1", "u,v,w", "Direction of the crystal along z."),
    ],
)
