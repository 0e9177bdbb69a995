"""`response`: potentials in, and out what answers for every setting of the lens."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.cells import Cells
from rhotem.microscope.cost import Sizes
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import beyond
from rhotem.microscope.passes import as_announced, first_of, twin_share
from rhotem.microscope.settings import Detector
from rhotem.microscope.transmission import Passage
from rhotem.scattering.response.channels import basis
from rhotem.scattering.response.images import Response
from rhotem.scattering.response.matrices import Beams, Forms, Twin, blocks_of, forms, rims
from rhotem.scattering.response.plan import ResponsePlan, plan_response
from rhotem.scattering.response.range import Range

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices


def response(
    potentials: "Iterable[PotentialSlices]",
    microscope: Microscope,
    detectors: Sequence[Detector],
    thicknesses: Sequence[float] | None = None,
    *,
    range: Range | None = None,
    edges: Sequence[float] | None = None,
    configurations: int | None = None,
    repeats: tuple[int, int] = (1, 1),
    memory: float | None = None,
    threads: int | None = None,
    error_bar: bool = True,
    independent: bool = False,
    announce: Callable[[ResponsePlan], None] = lambda plan: None,
    progress: Progress = silent,
) -> Response:
    """Send the beams of a probe through a specimen once, and keep what images of any focus, lens and aperture need.

    Parameters
    ----------
    potentials : iterable of PotentialSlices
        One for each frozen-phonon configuration, as `rhotem.microscope.simulate.simulate` takes them. Every κ goes
        through one of them.
    microscope : Microscope
        ``energy`` and ``tilt`` stay as they are here, ``convergence`` is the largest that can be asked for.
    detectors : sequence of detectors
        All their edges are kept; the outermost angle ends what is detected.
    thicknesses : sequence of float or None
        Å, rounded to whole slices; None: the exit surface.
    range : Range or None
        Largest defocus and aberrations and smallest aperture to be asked; None: those of the microscope.
    edges : sequence of float or None
        Further circles in mrad at which detectors asked later may begin and end. None: a regular set with those of
        all presets; an empty one: none.
    configurations : int or None
        Number of potentials, if these have no length.
    repeats : (int, int)
        The potential holds this many equal cells, but for thermal motion; images are their mean and show one.
    memory : float or None
        Bytes that may be used; None: 80 % of what is free.
    threads : int or None
    error_bar : bool
        Send one share of the κ through two configurations, so that images have an error bar of thermal motion.
    independent : bool
        Atoms of equal cells move independently. A direct run then tells its error by comparing these, so images are
        those of the first of the two configurations, as there; otherwise of both.
    announce : callable
        Told the plan before work starts.
    progress : Progress

    Raises
    ------
    InputError
        If a setting is none, or there are fewer groups of beams than configurations.
    MemoryLimitError
        If it does not fit into memory.
    """
    if configurations is None and isinstance(potentials, Sized):
        configurations = len(potentials)
    number = max(1, configurations or 1)
    iterator = iter(potentials)
    first = first_of(iterator)
    sizes = Sizes.of(first)
    whole = (range or Range()).below(microscope)
    kept = basis(detectors, edges)
    exits = exit_slices(len(first.array), first.thickness, thicknesses)
    settings: dict[str, Any] = {"configurations": number, "repeats": repeats, "memory": memory, "threads": threads}
    plan = plan_response(sizes, microscope, kept, whole, exits=len(exits), **settings)
    announce(plan)
    start = time.perf_counter()
    origin, waiting = first.record, [first]
    del first
    engine = BlochEngine(microscope, plan.extent, plan.shape, plan.slice_thickness, plan.tiling, plan.threads)
    maker = _Maker(engine, Cells(kept), exits, plan, repeats)
    twin = (error_bar, not independent or repeats == (1, 1))
    maker.run(as_announced(waiting, iterator, number), number, twin, progress)
    seconds = {"seconds": time.perf_counter() - start, "seconds_after_propagation": maker.seconds}
    made = {"plan": plan.record(), "configurations": number, "potential": origin, "versions": versions()}
    return Response(
        microscope=microscope,
        range=whole,
        detectors=tuple(detectors),
        kept=tuple(kept),
        beams=maker.beams,
        supercell=engine.supercell,
        thicknesses=tuple(n * plan.slice_thickness for n in exits),
        matrix=maker.matrix,
        rim=maker.rim,
        twin=maker.twin,
        record={"microscope": microscope.model_dump(), **made, **seconds},
    )


def exit_slices(number: int, thickness: float, thicknesses: Sequence[float] | None) -> list[int]:
    """Slices passed at each exit, increasing.

    Raises
    ------
    InputError
        If a thickness in Å is outside the potential of ``number`` slices.
    """
    if thicknesses is None:
        return [number]
    exits = sorted({round(t / thickness) for t in thicknesses})
    if not exits or exits[0] < 1 or exits[-1] > number:
        raise InputError(
            f"thicknesses {', '.join(f'{0.1 * t:g}' for t in thicknesses) or 'none'} nm: expected between "
            f"{0.1 * thickness:.3g} and {0.1 * number * thickness:.4g} nm"
        )
    return exits


class _Maker:
    """Fills the arrays of a response, one κ after the other."""

    def __init__(
        self, engine: BlochEngine, cells: Cells, exits: list[int], plan: ResponsePlan, repeats: tuple[int, int]
    ) -> None:
        self.engine, self.cells, self.exits, self.repeats = engine, cells, exits, repeats
        self.wavelength = engine.microscope.wavelength
        self.step = (1 / engine.supercell[0], 1 / engine.supercell[1])
        edge = max([engine.microscope.convergence, *cells.edges_of(True), *cells.edges_of(False)])
        self.reach = edge * 1e-3 / self.wavelength + beyond(self.step)
        blocks = [(group, rows) for group in engine.groups for rows in blocks_of(group, repeats)]
        vectors = np.concatenate([engine.members(group)[rows] for group, rows in blocks])
        period = (plan.tiling[0] * repeats[0], plan.tiling[1] * repeats[1])
        self.beams = Beams(vectors, tuple(len(rows) for _, rows in blocks), period)
        ends = np.cumsum([0, *(len(blocks_of(group, repeats)) for group in engine.groups)])
        starts = self.beams.starts[ends]
        self.places = [slice(a, b) for a, b in pairwise(starts.tolist())]
        self.matrix = np.zeros((len(exits), len(cells.columns), self.beams.number), dtype=np.complex64)
        self.rim = np.zeros((len(exits), 2, self.beams.number), dtype=np.complex64)
        self.twin: Twin | None = None
        self.seconds = 0.0

    def run(
        self, potentials: "Iterator[PotentialSlices]", number: int, twin: tuple[bool, bool], progress: Progress
    ) -> None:
        """Every κ through one of ``number`` configurations, and with ``twin`` one share of them through two.

        ``twin``: whether, and whether images are the mean of both.
        """
        groups, done = self.engine.groups, 0
        if len(groups) < number:
            raise InputError(f"{number} configurations share {len(groups)} groups of beams; give fewer")

        def advance(beams: int) -> None:
            nonlocal done
            done += beams
            progress("response", min(done, self.engine.beams), self.engine.beams)

        shares = [np.arange(i, len(groups), number).tolist() for i in np.arange(number)]
        chosen, others = -2, 0.0
        if twin[0] and number > 1:
            chosen, others = twin_share([[groups[place] for place in share] for share in shares])
        before: Forms | None = None
        for configuration, slices in enumerate(potentials):
            transmission = self.engine.prepared(np.asarray(slices.array))
            for place in shares[configuration]:
                self._keep(place, transmission, advance)
            if configuration == chosen:
                rows = np.concatenate([np.arange(p.start, p.stop) for p in (self.places[n] for n in shares[chosen])])
                before = (self.matrix[..., rows], self.rim[..., rows])
            elif configuration == chosen + 1 and before is not None:
                for place in shares[chosen]:
                    self._keep(place, transmission, advance)
                self.twin = Twin.of(rows, before, (self.matrix, self.rim), others, mean=twin[1])
                before = None

    def _keep(self, place: int, transmission: Passage, advance: Callable[[int], None]) -> None:
        """What one κ scatters, at all exits."""
        group = self.engine.groups[place]
        out, matrices = self.engine.scattered(group, transmission, self.reach, self.exits, advance)
        members = self.engine.members(group)
        before = np.exp(-1j * self.engine.entrance_phase(members)).astype(np.complex64)[:, None]
        beams = {tuple(beam): n for n, beam in enumerate(out.tolist())}
        direct = np.array([beams[tuple(beam)] for beam in members.tolist()])
        weights = self._weights(out)
        began = time.perf_counter()
        for level, matrix in enumerate(matrices):
            if not np.isfinite(matrix).all():
                raise InputError("the wave is not finite: the potential holds NaN or absurd values; check the density")
            matrix *= before
            start = self.places[place].start
            for rows in blocks_of(group, self.repeats):
                stop = start + len(rows) * (len(rows) + 1) // 2
                self.matrix[level, :, start:stop] = forms(matrix[rows], weights)
                self.rim[level, :, start:stop] = rims(matrix[rows], direct[rows])
                start = stop
        self.seconds += time.perf_counter() - began

    def _weights(self, beams: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Weights (beams, columns) of all parts and moments."""
        kx, ky = beams[:, 0] * self.step[0], beams[:, 1] * self.step[1]
        parts = self.cells.integral_weights(kx, ky, self.wavelength, self.step)
        scale = 1e3 * self.wavelength
        pixel = scale * self.step[0], scale * self.step[1]
        return self.cells.recorded(parts, scale * kx, scale * ky, pixel).astype(np.float32)
