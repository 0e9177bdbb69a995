"""`simulate`: potentials in, calibrated images out."""

import time
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.microscope.abtem_engine import AbtemEngine
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.cost import Sizes
from rhotem.microscope.derive import derive_images, phonon_errors
from rhotem.microscope.images import ImageSet
from rhotem.microscope.passes import Engine, Passes, first_of, propagate, send
from rhotem.microscope.plan import Algorithm, Plan, make_plan
from rhotem.microscope.record import recorder_of
from rhotem.microscope.scan import Scan
from rhotem.microscope.scatter import Samples
from rhotem.microscope.settings import Detector, Microscope, sees_pixels
from rhotem.microscope.window_job import ClusterWindows
from rhotem.microscope.windows import WindowEngine

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

Array = npt.NDArray[Any]
Detectors = Sequence[Detector]

#: Configurations that a wanted precision may take.
MOST = 256


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
    precision: float | None = None,
    most: int = MOST,
    independent: bool = True,
    error_bar: bool = True,
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
    precision : float or None
        Go on until the standard error by thermal motion of every image, at columns and as a fraction of the image's
        range, is estimated below it (`rhotem.microscope.scatter`): ``configurations`` more at a time where they share
        the κ, else one more. None: ``configurations``, and the error is stated all the same.
    most : int
        Configurations at most with a ``precision``; ``potentials`` hold as many.
    independent : bool
        Atoms of equal cells move independently of each other, so that cells may be compared.
    error_bar : bool
        Send one share of the κ through two configurations where nothing else tells the error by thermal motion. False
        saves one part in ``configurations`` of the beams.
    announce : callable
        Told the plan before work starts.
    progress : Progress

    Returns
    -------
    ImageSet

    Raises
    ------
    InputError
        If there are no potentials, grids differ, the grid is too coarse, a dose has no generator, or a precision is
        asked for that is none.
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
        precision=precision,
        most=most,
        independent=independent,
        error_bar=error_bar,
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
    precision: float | None = None,
    most: int = MOST,
    independent: bool = True,
    error_bar: bool = True,
    announce: Callable[[Plan], None] = lambda plan: None,
    progress: Progress = silent,
) -> list[ImageSet]:
    """Images at several thicknesses in one pass; arguments as `simulate`.

    ``thicknesses`` are in Å, rounded to whole slices; None: the exit surface only. One ImageSet per thickness, in
    increasing order; each record says the thickness in Å.
    """
    if microscope.dose is not None and rng is None:
        raise InputError("a dose needs a random generator: pass rng=numpy.random.default_rng(seed)")
    if precision is not None and not 0 < precision < 1:
        raise InputError(f"precision {precision}: expected a fraction of the images' range between 0 and 1")
    if configurations is None and isinstance(potentials, Sized):
        configurations = len(potentials)
    iterator = iter(potentials)
    first = None
    sizes = getattr(potentials, "sizes", None)
    if sizes is None:
        first = first_of(iterator)
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
        twin=error_bar and precision is None and (repeats == (1, 1) or not independent),
    )
    if plan.shared and sees_pixels(detectors):
        raise InputError(
            "the plan lets thermal configurations share the beams, so a pixel of a pattern would see one of them: "
            "make the plan for these detectors"
        )
    announce(plan)
    first = first or first_of(iterator)
    exits = _exits(first, thicknesses)
    engine = _engine(plan, microscope, first)
    if scheduler is not None and isinstance(engine, WindowEngine):
        engine = ClusterWindows(engine, plan, microscope, tuple(detectors), scheduler, progress)
    made = (tuple(detectors), len(scan.positions), engine.supercell)
    samples = {n: Samples(recorder_of(microscope, *made), scan.shape, repeats, independent) for n in exits}
    start = time.perf_counter()
    configurations = configurations or plan.configurations or 1
    thickness, origin, waiting = first.thickness, first.record, [first]
    del first
    one, shown = _one(scan, repeats), (microscope, tuple(detectors))

    def errors(sample: Samples) -> dict[str, Any]:
        return phonon_errors(sample, sample.mean(), one, *shown)

    def enough() -> bool:
        found = [row.get("of_range", 0.0) for s in samples.values() for row in errors(s)["images"].values()]
        return bool(found) and max(found) <= (precision or 0.0)

    how = Passes(configurations, enough if precision is not None else None, most, error_bar)
    number = propagate(engine, plan, (waiting, iterator), scan, samples, passes=how, progress=progress)
    record = _record(plan, microscope, detectors, origin, number, time.perf_counter() - start)
    result = []
    for n, sample in samples.items():
        said = {**record, "thickness": n * thickness, "phonon_error": errors(sample)}
        result.append(derive_images(sample.mean(), one, *shown, rng, said))
    return result


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
    return WindowEngine(plan.windows, partial(send, one), one.supercell)


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
