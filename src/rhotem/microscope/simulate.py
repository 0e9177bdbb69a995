"""`simulate`: potentials in, calibrated images out."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.microscope.abtem_engine import AbtemEngine
from rhotem.microscope.bloch import BeamGroup, BlochEngine
from rhotem.microscope.cost import Sizes
from rhotem.microscope.derive import derive_images
from rhotem.microscope.images import ImageSet
from rhotem.microscope.plan import Algorithm, Plan, make_plan
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Detector, Microscope, Pixelated
from rhotem.microscope.window_job import ClusterWindows
from rhotem.microscope.windows import WindowEngine

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

Array = npt.NDArray[Any]
Engine = BlochEngine | AbtemEngine | WindowEngine
Detectors = Sequence[Detector]


def simulate(
    potentials: "Iterable[PotentialSlices]",
    microscope: Microscope,
    scan: Scan | None,
    detectors: Detectors,
    *,
    algorithm: Algorithm = "auto",
    plan: Plan | None = None,
    configurations: int | None = None,
    repeats: tuple[int, int] = (1, 1),
    memory: float | None = None,
    scheduler: str | None = None,
    rng: np.random.Generator | None = None,
    announce: Callable[[Plan], None] = lambda plan: None,
    progress: Progress = silent,
) -> ImageSet:
    """STEM images of a specimen, averaged over frozen-phonon configurations.

    Parameters
    ----------
    potentials : iterable of PotentialSlices
        One per configuration, all on the same grid, whole thickness; consumed one at a time. If they say their
        ``sizes`` (`rhotem.microscope.cost.Sizes`) before, the plan is made before the first is built.
    microscope : Microscope
    scan : Scan or None
        Probe positions; None: the whole lateral cell with the fewest positions that lose nothing.
    detectors : sequence of detectors
    algorithm : "auto", "bloch", "multislice" or "prism"
        See `make_plan`.
    plan : Plan or None
        One made before by `make_plan`; then ``algorithm`` is not looked at.
    configurations : int or None
        Number of potentials, if ``potentials`` has no length. Bloch beams of different κ go through configurations of
        their own, so that many cost hardly more than one (`_shares`).
    repeats : (int, int)
        The scanned rectangle holds this many equal cells, but for thermal motion; the images are their mean and show
        one: each cell is a further sample of the motion.
    memory : float or None
        Bytes that may be used; None: 80 % of what is free.
    scheduler : str or None
        Address of a Dask scheduler. Where slices lie on disk and the cell is divided into windows, its workers do
        those; the images are the same. None: all here.
    rng : numpy Generator or None
        Needed for counting noise, that is if the microscope has a dose.
    announce : callable
        Told the plan before work starts.
    progress : Progress

    Returns
    -------
    ImageSet

    Raises
    ------
    InputError
        If there are no potentials, grids differ, the grid is too coarse, or a dose has no generator.
    MemoryLimitError
        If no algorithm fits.
    """
    series = simulate_series(
        potentials,
        microscope,
        scan,
        detectors,
        algorithm=algorithm,
        plan=plan,
        configurations=configurations,
        repeats=repeats,
        memory=memory,
        scheduler=scheduler,
        rng=rng,
        announce=announce,
        progress=progress,
    )
    return series[-1]


def simulate_series(
    potentials: "Iterable[PotentialSlices]",
    microscope: Microscope,
    scan: Scan | None,
    detectors: Detectors,
    *,
    thicknesses: Sequence[float] | None = None,
    algorithm: Algorithm = "auto",
    plan: Plan | None = None,
    configurations: int | None = None,
    repeats: tuple[int, int] = (1, 1),
    memory: float | None = None,
    scheduler: str | None = None,
    rng: np.random.Generator | None = None,
    announce: Callable[[Plan], None] = lambda plan: None,
    progress: Progress = silent,
) -> list[ImageSet]:
    """Images at several thicknesses in one pass; arguments as `simulate`.

    ``thicknesses`` are in Å, rounded to whole slices; None: the exit surface only. One ImageSet per thickness, in
    increasing order; each record says the thickness in Å.
    """
    if microscope.dose is not None and rng is None:
        raise InputError("a dose needs a random generator: pass rng=numpy.random.default_rng(seed)")
    if configurations is None and isinstance(potentials, Sized):
        configurations = len(potentials)
    iterator = iter(potentials)
    first = None
    sizes = getattr(potentials, "sizes", None)
    if sizes is None:
        first = _first(iterator)
        sizes = Sizes.of(first)
    scan = scan or Scan.cell(sizes.extent, microscope)
    plan = plan or make_plan(
        sizes,
        microscope,
        scan,
        tuple(detectors),
        algorithm=algorithm,
        configurations=configurations,
        memory_limit=memory,
    )
    if plan.shared and any(isinstance(d, Pixelated) for d in detectors):
        raise InputError(
            "the plan lets thermal configurations share the beams, so a pixel of a pattern would see one of them: "
            "make the plan for these detectors"
        )
    announce(plan)
    first = first or _first(iterator)
    exits = _exits(first, thicknesses)
    engine = _engine(plan, microscope, first)
    if scheduler is not None and isinstance(engine, WindowEngine):
        engine = ClusterWindows(engine, plan, microscope, tuple(detectors), scheduler, progress)
    counted = microscope.dose is not None
    made = (tuple(detectors), len(scan.positions), microscope.wavelength, engine.supercell)
    recorders = {n: Recorder(*made, counted=counted) for n in exits}
    start = time.perf_counter()
    configurations = configurations or plan.configurations or 1
    passes = 1 if plan.shared else configurations
    thickness, origin, waiting = first.thickness, first.record, [first]
    del first
    announced = _as_announced(waiting, iterator, configurations)
    _propagate(engine, plan, announced, scan, recorders, configurations=configurations, progress=progress)
    record = _record(plan, microscope, detectors, origin, configurations, time.perf_counter() - start)
    return [
        derive_images(
            recorders[n].folded(scan.shape, repeats, passes),
            _one(scan, repeats),
            microscope,
            tuple(detectors),
            rng,
            {**record, "thickness": n * thickness},
        )
        for n in exits
    ]


def _first(potentials: "Iterator[PotentialSlices]") -> "PotentialSlices":
    first = next(potentials, None)
    if first is None:
        raise InputError("no potential: give at least one configuration")
    return first


def _propagate(
    engine: Engine,
    plan: Plan,
    potentials: "Iterator[PotentialSlices]",
    scan: Scan,
    recorders: dict[int, Recorder],
    *,
    configurations: int,
    progress: Progress,
) -> None:
    """Every wave through every configuration, into the recorders; one potential in memory at a time."""
    shares = iter(_shares(engine, plan, configurations))
    total = _waves(engine, plan, len(recorders)) * (1 if plan.shared else configurations)
    done = 0

    def advance(waves: int) -> None:
        nonlocal done
        done += waves
        progress("image", min(done, total), total)

    for slices in potentials:  # not enumerate, which keeps what it gave last
        if isinstance(engine, WindowEngine):
            engine.run(slices, scan.positions, recorders, advance)
        else:
            _send(engine, slices, scan.positions, recorders, advance, groups=next(shares, None))
        del slices


def _send(
    engine: BlochEngine | AbtemEngine,
    slices: "PotentialSlices",
    positions: npt.NDArray[np.float64],
    recorders: dict[int, Recorder],
    advance: Callable[[int], None],
    *,
    groups: list[BeamGroup] | None = None,
) -> None:
    """Probes through one potential, which is read if it lies on disk."""
    if isinstance(engine, BlochEngine):
        engine.run(np.asarray(slices.array), positions, recorders, advance, groups)
    else:
        engine.run(np.asarray(slices.array), positions, recorders, advance)


def _waves(engine: Engine, plan: Plan, exits: int) -> int:
    """How many waves of one configuration are told of."""
    if isinstance(engine, BlochEngine):
        return engine.beams
    return plan.waves if plan.algorithm == "bloch" else plan.probes * exits


def _as_announced(
    waiting: "list[PotentialSlices]", rest: "Iterator[PotentialSlices]", configurations: int
) -> "Iterator[PotentialSlices]":
    """One waiting and the rest, refused where grids differ or their number is not that announced.

    None is kept while the next is made, so that one potential at a time is in memory.
    """
    grid, number = waiting[0].grid, 0
    while waiting:
        if waiting[0].grid.shape != grid.shape or not np.allclose(waiting[0].grid.cell, grid.cell):
            shape = waiting[0].array.shape
            raise InputError(f"configuration {number + 1} has another grid {shape} than the first")
        if number == configurations:
            raise InputError(f"more potentials than the {configurations} configurations announced")
        number += 1
        yield waiting.pop()
        waiting.extend(islice(rest, 1))
    if number < configurations:
        raise InputError(f"{number} potentials, but {configurations} configurations were announced")


def _shares(engine: Engine, plan: Plan, configurations: int) -> list[list[BeamGroup]]:
    """The κ of a Bloch engine dealt out to the configurations, neighbours to different ones; empty for abTEM."""
    if not isinstance(engine, BlochEngine):
        return []
    if not plan.shared:
        return [engine.groups] * configurations
    if len(engine.groups) < configurations:
        raise InputError(
            f"{configurations} configurations share {len(engine.groups)} groups of beams; make the plan for as many"
        )
    return [engine.groups[i::configurations] for i in range(configurations)]


def _one(scan: Scan, repeats: tuple[int, int]) -> Scan:
    """The scan of one of the equal cells."""
    if any(n % r for n, r in zip(scan.shape, repeats, strict=True)):
        raise InputError(f"scan of {scan.shape} positions does not divide into {repeats} equal cells")
    shape = (scan.shape[0] // repeats[0], scan.shape[1] // repeats[1])
    return replace(scan, shape=shape, size=(scan.size[0] / repeats[0], scan.size[1] / repeats[1]))


def _exits(slices: "PotentialSlices", thicknesses: Sequence[float] | None) -> list[int]:
    number = len(slices.array)
    if thicknesses is None:
        return [number]
    exits = sorted({round(t / slices.thickness) for t in thicknesses})
    if not exits or exits[0] < 1 or exits[-1] > number:
        least, most = slices.thickness, number * slices.thickness
        raise InputError(f"thicknesses {list(thicknesses)} Å: expected between {least:.2f} and {most:.1f} Å")
    return exits


def _engine(plan: Plan, microscope: Microscope, slices: "PotentialSlices") -> Engine:
    if plan.algorithm == "bloch":
        one: BlochEngine | AbtemEngine = BlochEngine(
            microscope, plan.extent, plan.shape, plan.slice_thickness, plan.tiling, plan.threads
        )
    else:
        interpolation = plan.interpolation if plan.algorithm == "prism" else None
        one = AbtemEngine(microscope, plan.extent, plan.shape, plan.slice_thickness, plan.tiling, interpolation)
    if plan.windows is None:
        return one
    return WindowEngine(plan.windows, partial(_send, one), one.supercell)


def _record(
    plan: Plan, microscope: Microscope, detectors: Detectors, potential: dict, number: int, seconds: float
) -> dict:
    return {
        "microscope": microscope.model_dump(),
        "detectors": [d.model_dump() for d in detectors],
        "plan": plan.record(),
        "configurations": number,
        "phonon_sampling": "one configuration for each kappa" if plan.shared else "every configuration complete",
        "potential": potential,
        "seconds": seconds,
        "versions": versions(),
    }
