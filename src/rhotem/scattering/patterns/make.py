"""`patterns`: potentials in, and out what answers for every aperture, mistilt and thickness."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.microscope.bloch import BeamGroup, BlochEngine
from rhotem.microscope.cost import Sizes
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.passes import as_announced, first_of
from rhotem.microscope.transmission import Passage
from rhotem.scattering.patterns.beams import SCALE, Illuminated, Scattered, wide
from rhotem.scattering.patterns.held import Patterns, Twin
from rhotem.scattering.patterns.plan import MOST, PatternsPlan, Wanted, operations, plan_patterns, reach_of
from rhotem.scattering.response.make import exit_slices

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

#: Distance in Å of the thicknesses that are kept.
LADDER = 20.0
#: Most waves that are transformed together, and what a transform costs besides, in waves.
MOST_WAVES, ALONE = 16, 0.3


def patterns(
    potentials: "Iterable[PotentialSlices]",
    microscope: Microscope,
    outer: float,
    thicknesses: Sequence[float] | None = None,
    *,
    tilt: float = 0.0,
    ladder: float = LADDER,
    period: int = 1,
    symmetry: Sequence[npt.ArrayLike] = (),
    repeats: tuple[int, int] = (1, 1),
    configurations: int | None = None,
    complete: bool = False,
    memory: float | None = None,
    most: float = MOST,
    threads: int | None = None,
    announce: Callable[[PatternsPlan], None] = lambda plan: None,
    progress: Progress = silent,
) -> Patterns:
    """Send plane waves through a specimen once, and keep what position-averaged patterns of any aperture need.

    Parameters
    ----------
    potentials : iterable of PotentialSlices
        One for each frozen-phonon configuration.
    microscope : Microscope
        ``energy`` stays; ``convergence`` is the largest that can be asked for, ``tilt`` what mistilts are around;
        ``camera_step`` sizes the pixels that are computed. Nothing else changes a position-averaged pattern.
    outer : float
        Where patterns end, in mrad around the beam.
    thicknesses : sequence of float or None
        Å, rounded to whole slices: these can be asked for and no others. None: a ladder, and all between by
        interpolation.
    tilt : float
        Largest mistilt to be asked, in mrad.
    ladder : float
        Its distance in Å.
    period : int
        Slices of one cell of the crystal along the beam: a ladder ends in whole cells, so that all its exit surfaces
        are alike.
    symmetry : sequence of (2, 2) int arrays
        Operations of the crystal, beam and both surfaces included, as they map reciprocal vectors of the cell that the
        potential repeats. Of beams mapped onto each other one is propagated. They must hold on average over thermal
        motion only.
    repeats : (int, int)
        The potential holds this many equal cells, but for thermal motion.
    configurations : int or None
        Number of potentials, if these have no length.
    complete : bool
        Send every beam through all configurations. False: through one of them, neighbours through different ones, and
        one share through two for an error bar.
    memory : float or None
        Bytes that may be used; None: 80 % of what is free.
    most : float
        Bytes of intensities that may be kept.
    threads : int or None
    announce : callable
        Told the plan before work starts.
    progress : Progress

    Raises
    ------
    InputError
        If a setting is none, or there are fewer beams than configurations.
    MemoryLimitError
        If it does not fit.
    """
    if configurations is None and isinstance(potentials, Sized):
        configurations = len(potentials)
    iterator = iter(potentials)
    first = first_of(iterator)
    sizes = Sizes.of(first)
    exits = ladder_exits(sizes, ladder, period)
    if thicknesses is not None:
        exits = exit_slices(sizes.slices, sizes.thickness, thicknesses)
    number = max(1, configurations or 1)
    wanted = Wanted(outer, tilt, len(exits), symmetry, repeats, number, complete)
    plan = plan_patterns(sizes, microscope, wanted, memory=memory, most=most, threads=threads)
    announce(plan)
    start = time.perf_counter()
    origin, waiting = first.record, [first]
    del first
    maker = _Maker(microscope, wanted, plan, exits)
    maker.run(as_announced(waiting, iterator, number), progress)
    how = {"configurations": number, "complete": complete, "seconds": time.perf_counter() - start}
    made = {"plan": plan.record(), "potential": origin, "versions": versions(), **how}
    return Patterns(
        microscope=microscope,
        outer=outer,
        tilt=tilt,
        supercell=plan.supercell,
        thicknesses=tuple(n * plan.slice_thickness for n in exits),
        between=thicknesses is None,
        group=maker.group,
        scattered=maker.scattered(),
        twin=maker.twin(),
        record={"microscope": microscope.model_dump(), **made},
    )


def ladder_exits(sizes: Sizes, ladder: float, period: int = 1) -> list[int]:
    """Slices passed at every step of a ladder (Å) of whole periods, and behind the last slice.

    Raises
    ------
    InputError
        If a step is not positive.
    """
    if not (np.isfinite(ladder) and ladder > 0 and period >= 1):
        raise InputError(f"ladder {ladder} Å in periods of {period} slices: expected positive numbers")
    step = period * max(1, round(ladder / (sizes.thickness * period)))
    return sorted({*range(step, sizes.slices + 1, step), sizes.slices})


@dataclass(frozen=True)
class _Task:
    """Beams of one group that go through one configuration."""

    place: int
    rows: npt.NDArray[np.intp]


class _Maker:
    """Fills the intensities, one configuration after the other."""

    def __init__(self, microscope: Microscope, wanted: Wanted, plan: PatternsPlan, exits: list[int]) -> None:
        lens = wide(microscope, wanted.tilt, plan.supercell)
        self.reach, self.exits, self.plan = reach_of(microscope, wanted, plan.supercell), exits, plan
        self.group = operations(microscope, wanted, plan.tiling, plan.supercell)
        self.lit = Illuminated.of(lens, plan.extent, plan.tiling, self.group)
        self.number, self.complete = plan.configurations, plan.complete
        if self.lit.number < self.number:
            raise InputError(f"{self.number} configurations share {self.lit.number} beams; give fewer")
        self.dealt = self._deal(plan.supercell)
        shape = (plan.extent, plan.shape, plan.slice_thickness, plan.tiling, plan.threads)
        self.engine = BlochEngine(lens, *shape, batch=self._batch())
        self.outgoing = [self.engine.kept_beams(group, self.reach) for group in self.lit.groups]
        kind = np.float32 if self.complete and self.number > 1 else np.float16
        self.blocks = [self._empty(len(g.vectors), place, kind) for place, g in enumerate(self.lit.groups)]
        # of complete configurations all beams fluctuate together, so all of them tell the error
        self.twinned = [np.ones(len(d), dtype=bool) if self.complete else d == 0 for d in self.dealt]
        self.twins = [self._empty(int(t.sum()), place, np.float32) for place, t in enumerate(self.twinned)]

    def _deal(self, supercell: tuple[float, float]) -> list[npt.NDArray[np.int64]]:
        """The configuration of each beam of each group: neighbours in angle get different ones, so shares are alike."""
        sizes = [len(group.vectors) for group in self.lit.groups]
        members = np.concatenate([self.lit.members(place) for place in range(len(sizes))]) / np.array(supercell)
        order = np.lexsort((np.arctan2(members[:, 1], members[:, 0]), np.round(np.hypot(*members.T), 9)))
        dealt = np.empty(len(order), dtype=np.int64)
        dealt[order] = np.arange(len(order)) % self.number
        return np.split(dealt, np.cumsum(sizes)[:-1])

    def _batch(self) -> int:
        """Waves transformed together: transforms of empty places cost as much, single ones a little more."""
        rows = np.array([len(r) for c in range(self.number) for _, r in self._rows(c)])
        tried = np.arange(1, MOST_WAVES + 1)
        cost = [(np.ceil(rows / size) * (size + ALONE)).sum() for size in tried]
        return int(tried[np.argmin(cost)])

    def _empty(self, beams: int, place: int, kind: type) -> npt.NDArray[Any]:
        return np.zeros((len(self.exits), beams, len(self.outgoing[place])), dtype=kind)

    def run(self, potentials: "Iterable[PotentialSlices]", progress: Progress) -> None:
        """Every beam through its configurations."""
        done, total = 0, sum(len(t.rows) for c in range(self.number) for t in self._tasks(c))
        for configuration, slices in enumerate(potentials):
            through = partial(self._through, self.engine.prepared(np.asarray(slices.array)))
            del slices
            tasks = self._tasks(configuration)
            pool = ThreadPoolExecutor(self.engine.threads)
            try:
                for task, seen in zip(tasks, pool.map(through, tasks), strict=True):
                    self._keep(configuration, task, seen)
                    done += len(task.rows)
                    progress("patterns", done, total)
            finally:
                pool.shutdown(cancel_futures=True)  # an interruption does not wait for the rest

    def _rows(self, configuration: int) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
        """Groups, and which of their beams go through a configuration: its share, and through 1 that of 0 as well."""
        for place, dealt in enumerate(self.dealt):
            here = np.ones(len(dealt), dtype=bool) if self.complete else dealt == configuration
            if configuration == 1 and not self.complete:
                here |= dealt == 0
            if here.any():
                yield place, np.flatnonzero(here)

    def _tasks(self, configuration: int) -> list[_Task]:
        """The same in batches."""
        size = self.engine.batch
        return [
            _Task(place, rows[start : start + size])
            for place, rows in self._rows(configuration)
            for start in range(0, len(rows), size)
        ]

    def _through(self, transmission: Passage, task: _Task) -> npt.NDArray[np.float32]:
        """Intensities (exits, beams in, beams out) times `SCALE`."""
        group = self.lit.groups[task.place]
        part = BeamGroup(group.kappa, group.vectors[task.rows])
        _, matrices = self.engine.scattered(part, transmission, self.reach, self.exits)
        result = np.stack([m.real**2 + m.imag**2 for m in matrices]) * np.float32(SCALE)
        if not np.isfinite(result[:, :, 0]).all():
            raise InputError("the wave is not finite: the potential holds NaN or absurd values; check the density")
        return result

    def _keep(self, configuration: int, task: _Task, seen: npt.NDArray[np.float32]) -> None:
        """Add what beams scattered in one configuration; the twin is the difference of two halves of them."""
        block, twin = self.blocks[task.place], self.twins[task.place]
        twinned = self.twinned[task.place]
        chosen = twinned[task.rows]
        order = np.cumsum(twinned)[task.rows[chosen]] - 1
        if self.complete:
            block[:, task.rows] += seen / np.float32(self.number)
            halves = self.halves
            sign = 1.0 / halves[0] if configuration % 2 == 0 else -1.0 / max(1, halves[1])
            twin[:, order] += np.float32(sign) * seen[:, chosen]
            return
        if configuration == 1 and chosen.any():
            before = twin[:, order]
            twin[:, order] = before - seen[:, chosen]
            seen[:, chosen] = 0.5 * (before + seen[:, chosen])
        elif chosen.any():
            twin[:, order] = seen[:, chosen]
        block[:, task.rows] = seen

    @property
    def halves(self) -> tuple[int, int]:
        """Configurations with even and with odd numbers."""
        return (self.number + 1) // 2, self.number // 2

    def scattered(self) -> Scattered:
        """All intensities; the blocks are given away."""
        widths = np.array([len(out) for out in self.outgoing])
        sizes = np.array([len(group.vectors) for group in self.lit.groups])
        values = np.empty((len(self.exits), int(sizes @ widths)), dtype=np.float16)
        start = 0
        for place, size in enumerate(sizes * widths):
            values[:, start : start + size] = self.blocks[place].reshape(len(values), -1)
            self.blocks[place] = np.zeros(0, dtype=np.float16)
            start += int(size)
        members = np.concatenate([self.lit.members(place) for place in range(len(sizes))])
        shares = np.concatenate(self.lit.shares)
        self._whole = Scattered(members, sizes, shares, np.concatenate(self.outgoing), widths, values)
        return self._whole

    def twin(self) -> Twin | None:
        """The share that tells the error bar; None of one configuration."""
        if self.number == 1:
            return None
        parts = [np.flatnonzero(one) for one in self.twinned]
        values = np.concatenate([t.reshape(len(self.exits), -1) for t in self.twins], axis=1).astype(np.float16)
        a, b = self.halves
        scale = np.sqrt(1 / self.number / (1 / a + 1 / b)) if self.complete else np.sqrt(0.5)
        dealt = np.zeros(len(self._whole.beams), dtype=np.int64) if self.complete else np.concatenate(self.dealt)
        return Twin(self._whole.part(parts, values), dealt, float(scale))
