"""Dislocations: edge, screw and mixed ones, seen end on along the third vector of the cell."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option, lengths_of, plane_of
from rhotem.battery.dislocations import core_of, frame_of, quadrupole
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError
from rhotem.structure.edits.table import number
from rhotem.structure.model import Structure
from rhotem.structure.moments import taken

#: Atoms nearer to a line than so many Burgers vectors are its core; most atoms that are built.
CORE, MOST = 1.5, 200_000


def dislocation(
    crystal: Structure,
    plane: tuple[int, ...],
    burgers: tuple[float, ...],
    line: tuple[int, ...] | None = None,
    size: tuple[float, ...] = (60.0, 60.0),
    thickness: float = 3.0,
    poisson: float = 0.25,
) -> Specimen:
    """Four straight dislocations along z in a periodic block, b and −b in the order of a chess board.

    Atoms are moved by the field of isotropic elasticity (`rhotem.battery.dislocations.quadrupole`); none is added or
    taken out, and the cell keeps its right angles. Cores are what relaxation makes of them.

    Parameters
    ----------
    crystal : Structure
    plane : three int
        Glide plane of the conventional cell; horizontal in pictures along z.
    burgers : three float
        Of the conventional cell, a lattice vector.
    line : three int, optional
        Direction of the lines, along z; without it at right angles to b: edge dislocations.
    size : two float
        Least width along the plane and height across it, Å: dislocations are half of that apart.
    thickness : float
        Least length along the lines, Å.
    poisson : float
        Poisson's ratio of the crystal.

    Raises
    ------
    InputError
        If plane, vector and line do not fit, or the block is too small or too large.
    """
    if not -1.0 < poisson < 0.5:
        raise InputError(f"dislocation: Poisson's ratio {poisson}; expected a number between -1 and 0.5")
    if len(plane) != 3 or (line is not None and len(line) != 3):
        raise InputError("dislocation: plane and line have three indices here, of the conventional cell")
    if not (any(plane) and any(burgers) and (line is None or any(line))):
        raise InputError("dislocation: plane, Burgers vector and line need an index that is not zero")
    if not all(np.isfinite(length) and length > 0 for length in (*size, thickness)):
        raise InputError(f"dislocation: size {size}, thickness {thickness:g}; expected lengths in Å")
    frame = frame_of(crystal, plane, burgers, line)
    periods = np.diag(frame.cell)
    across = [2 * max(1, int(np.ceil(side / period / 2 - 1e-6))) for side, period in zip(size, periods, strict=False)]
    counts = (across[0], across[1], max(1, int(np.ceil(thickness / periods[2] - 1e-6))))
    length = float(np.linalg.norm(frame.burgers))
    sides = (counts[0] * float(periods[0]), counts[1] * float(periods[1]))
    _check(crystal, sides, counts[2] * float(periods[2]), length)
    atoms = frame.block(counts)
    first = core_of(frame.block((1, 1, 1))) + periods[:2] * (np.array(across) // 4)
    atoms.positions += quadrupole(atoms.positions[:, :2], first, sides, frame.burgers, poisson)
    atoms.wrap()
    cores = [first + np.array(sides) / 2 * (i, j) for j in (0, 1) for i in (0, 1)]
    signs = (1, -1, -1, 1)
    defects = [
        {"kind": _kind(frame.angle), "position_A": [*map(float, core), 0.0], "line": [0, 0, 1]}
        | {"burgers_A": (sign * frame.burgers).round(6).tolist(), "plane": list(plane)}
        for core, sign in zip(cores, signs, strict=True)
    ]
    near = np.min([_from_line(atoms.positions[:, :2], core, sides) for core in cores], axis=0)
    named = ",".join(f"{b:g}" for b in burgers)
    note = (
        f"four {_kind(frame.angle)}s, b = {named} ({length:.3f} Å) on ({','.join(map(str, plane))}), lines along z at "
        f"{frame.angle:.0f}° to b, {sides[0] / 2:.1f} and {sides[1] / 2:.1f} Å apart, isotropic elasticity with "
        f"Poisson's ratio {poisson:g}, not relaxed"
    )
    info = {
        "name": f"{crystal.info.get('name', crystal.formula)}-dislocation",
        "notes": [*crystal.info.get("notes", []), note],
    }
    charge = crystal.charge * len(atoms) / len(crystal)
    made = Specimen.of(Structure(atoms, charge, taken(atoms), info), crystal)
    role = np.where(near < CORE * length, "core", HOST).astype(object)
    return Specimen(made.structure, made.regions, made.region, role, defects, [crystal])


def _check(crystal: Structure, sides: tuple[float, float], along: float, length: float) -> None:
    if min(sides) < 6 * length:
        raise InputError(
            f"dislocation: a block of {sides[0]:.1f} x {sides[1]:.1f} Å has its dislocations {min(sides) / 2:.1f} Å"
            f" apart, less than three Burgers vectors of {length:.2f} Å; ask for a larger --size"
        )
    count = round(sides[0] * sides[1] * along / crystal.volume * len(crystal))
    if count > MOST:
        raise InputError(f"dislocation: {count} atoms, {MOST} is the most; ask for less --size or --thickness")


def _kind(angle: float) -> str:
    return "edge dislocation" if angle > 89.5 else "screw dislocation" if angle < 0.5 else "mixed dislocation"


def _from_line(points: np.ndarray, core: np.ndarray, sides: tuple[float, float]) -> np.ndarray:
    apart = points - core
    apart -= np.rint(apart / sides) * sides
    return np.hypot(apart[:, 0], apart[:, 1])


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    line = options["line"]
    return dislocation(
        load(texts[0]),
        plane_of(options["plane"]),
        _vector(options["burgers"]),
        None if line is None else _line(line),
        lengths_of(options["size"], "size", 2),
        options["thickness"],
        options["poisson"],
    )


def _line(text: str) -> tuple[int, ...]:
    try:
        return plane_of(text)
    except InputError:
        raise InputError(f"--line {text}: expected three indices, as 1,-1,0") from None


def _vector(text: str) -> tuple[float, ...]:
    values = tuple(number(piece.strip()) for piece in text.split(","))
    if len(values) != 3 or not all(np.isfinite(values)) or not any(values):
        raise InputError(f"--burgers {text}: expected three numbers, as 0.5,0.5,0")
    return values


BUILDER = Builder(
    "dislocation",
    "Edge, screw and mixed dislocations, seen end on: four in a periodic block, no net strain.",
    _build,
    [
        Option("plane", REQUIRED, "h,k,l", "Glide plane, indices of the conventional cell."),
        Option("burgers", REQUIRED, "u,v,w", "Burgers vector in conventional cell vectors: 0.5,0.5,0 in rock salt."),
        Option("line", None, "u,v,w", "Direction of the lines; without it at right angles to b (edge)."),
        Option("size", "60,60", "Å,Å", "Least width and height; dislocations are half of that apart."),
        Option("thickness", 3.0, "Å", "Least length along the lines."),
        Option("poisson", 0.25, "ν", "Poisson's ratio."),
    ],
)
