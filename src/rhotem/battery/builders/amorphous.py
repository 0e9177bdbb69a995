"""Amorphous layers: a part of a crystal melted and quenched by molecular dynamics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.battery.builders.table import Builder, Generator, Option, plane_of
from rhotem.battery.potentials import DEFAULT, check_potential
from rhotem.battery.quench import Quench, quenched
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError, Progress, silent
from rhotem.structure.assemble import layer, upright
from rhotem.structure.model import Structure

#: Most atoms: each costs a millisecond a step, and there are thousands of steps.
MOST = 2000


def block(
    crystal: Structure, plane: tuple[int, ...], sizes: tuple[float, float, float], expansion: float, vacuum: float
) -> tuple[Structure, np.ndarray]:
    """A slab of the crystal whose upper part, to be melted, stands off by ``expansion``; which atoms these are.

    ``sizes``: least width, thickness of the crystal (0: none) and of the glass, Å.

    Raises
    ------
    InputError
        If there are too many atoms.
    """
    width, below, above = sizes
    unit, _ = layer(crystal, plane)
    spacing = float(unit.cell[2, 2])
    lower, upper = (int(np.ceil(max(size, 0.0) / spacing - 1e-6)) for size in (below, above))
    across = [max(1, int(np.ceil(width / side - 1e-6))) for side in unit.cell.lengths()[:2]]
    count = len(unit) * across[0] * across[1] * (lower + upper)
    if count > MOST:  # before there are so many
        raise InputError(f"amorphous: {count} atoms, {MOST} is the most; ask for less")
    atoms = upright(unit, lower + upper).repeat((*across, 1))
    z = atoms.positions[:, 2].copy()
    start = lower * spacing
    glass = z > start - 1e-6
    atoms.positions[glass, 2] += expansion * (z[glass] - start)
    height = start + (1 + expansion) * upper * spacing + vacuum
    atoms.set_cell([atoms.cell.array[0], atoms.cell.array[1], [0.0, 0.0, height]])
    return Structure(atoms, crystal.charge * len(atoms) / len(crystal)), glass


def amorphous(
    crystal: Structure,
    plane: tuple[int, ...],
    how: Quench,
    folder: Path,
    *,
    sizes: tuple[float, float, float] = (10.0, 8.0, 10.0),
    expansion: float = 0.05,
    vacuum: float = 0.0,
    progress: Progress = silent,
    calculator: Callable[[], Any] | None = None,
) -> Specimen:
    """A glass on a crystal, or with a crystal of no thickness the glass alone.

    Parameters
    ----------
    crystal : Structure
    plane : three or four int
        Of the boundary, conventional cell; horizontal.
    how : Quench
    folder : Path
        Trajectories, which go on after a stop.
    sizes : three float
        Least width, thickness of the crystal and of the glass, Å.
    expansion : float
        By how much the glass is less dense than the crystal; the cell keeps that volume.
    vacuum : float
        Å above the glass.
    progress : Progress
    calculator : callable, optional
        Makes the potential, instead of that of ``how``.

    Raises
    ------
    InputError
        If sizes are no lengths or there are too many atoms.
    ConvergenceError
        If the crystal did not melt.
    """
    if not (min(sizes[0], sizes[2]) > 0 and sizes[1] >= 0 and vacuum >= 0 and np.isfinite([*sizes, vacuum]).all()):
        raise InputError(f"amorphous: width, crystal, glass of {sizes} Å, vacuum {vacuum:g} Å; expected lengths")
    if not -0.2 < expansion < 0.5:
        raise InputError(f"amorphous: expansion {expansion:g}; expected a fraction between -0.2 and 0.5")
    start, glass = block(crystal, plane, sizes, expansion, vacuum)
    made, record = quenched(start, glass, how, folder, progress, calculator)
    name = f"{crystal.info.get('name') or crystal.formula}"
    note = (
        f"{int(glass.sum())} of {len(start)} atoms melted at {how.temperature:g} K for {how.melt:g} ps (the slowest"
        f" went {record['rms_A']:.1f} Å) and cooled in {how.cool:g} ps with {how.potential}; {record['order_left']:.2f}"
        f" of the crystal's Bragg amplitude is left; {100 * expansion:g} % less dense than the crystal, not relaxed"
    )
    info = {"name": f"{name}-amorphous", "notes": [*crystal.info.get("notes", []), note]}
    atoms = made.atoms.copy()
    atoms.wrap()
    regions = [{"name": name, "phase": crystal.formula}, {"name": "glass", "phase": crystal.formula}]
    role = np.where(glass, "amorphous", HOST).astype(object)
    heights = [start.positions[glass, 2].min()] if not glass.all() else []
    defects = [{"kind": "boundary", "plane": list(plane), "position_A": [0.0, 0.0, float(z)]} for z in heights]
    structure = Structure(atoms, start.charge, None, info)
    return Specimen(structure, regions, glass.astype(np.int64), role, defects, [crystal], record)


def _build(
    texts: list[str],
    load: Callable[[str], Structure],
    rng: Generator,
    *,
    folder: Path,
    progress: Progress = silent,
    **options: Any,
) -> Specimen:
    check_potential(options["melted_with"])
    how = Quench(
        options["temperature"],
        options["melt"],
        options["cool"],
        int(rng.integers(2**31)),
        options["melted_with"],
    )
    sizes = (options["width"], options["crystal"], options["glass"])
    return amorphous(
        load(texts[0]),
        plane_of(options["plane"]),
        how,
        folder,
        sizes=sizes,
        expansion=options["expansion"] / 100,
        vacuum=options["vacuum"],
        progress=progress,
    )


BUILDER = Builder(
    "amorphous",
    "An amorphous layer on its crystal, or a glass alone, by melting and quenching (minutes).",
    _build,
    [
        Option("plane", "0,0,1", "h,k,l", "Boundary, indices of the conventional cell."),
        Option("width", 10.0, "Å", "Least width."),
        Option("crystal", 8.0, "Å", "Least thickness of what stays crystal; 0: glass alone."),
        Option("glass", 10.0, "Å", "Least thickness of what is melted."),
        Option("expansion", 5.0, "%", "By how much the glass is less dense than the crystal."),
        Option("vacuum", 0.0, "Å", "Empty layer above the glass."),
        Option("temperature", 4000.0, "K", "Of the melt; crystals without surfaces melt late."),
        Option("melt", 2.0, "ps", "Time at that temperature."),
        Option("cool", 4.0, "ps", "Time on the way down to 300 K."),
        Option("melted_with", DEFAULT, "NAME", "Potential, as of `rhotem md`."),
    ],
    long=True,
)
