"""Probes through one configuration after another: passes of the whole probe, and samples of the thermal motion."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress
from rhotem.microscope.abtem_engine import AbtemEngine
from rhotem.microscope.bloch import BeamGroup, BlochEngine
from rhotem.microscope.plan import Plan
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.scatter import FEWEST, Samples
from rhotem.microscope.windows import WindowEngine

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

Array = npt.NDArray[Any]
Engine = BlochEngine | AbtemEngine | WindowEngine
Groups = list[BeamGroup]


@dataclass(frozen=True)
class Passes:
    """How configurations are gone through.

    Parameters
    ----------
    configurations : int
        All; with ``enough`` those of one pass where they share the κ.
    enough : callable or None
        Whether error bars are small enough to stop; None: one round of the configurations.
    most : int
        Configurations at most.
    twin : bool
        One share of the κ goes through two configurations where one round says nothing of its error.
    """

    configurations: int
    enough: Callable[[], bool] | None = None
    most: int = 0
    twin: bool = True


def propagate(
    engine: Engine,
    plan: Plan,
    potentials: "tuple[list[PotentialSlices], Iterator[PotentialSlices]]",
    scan: Scan,
    samples: dict[int, Samples],
    *,
    passes: Passes,
    progress: Progress,
) -> int:
    """Every wave through every configuration, into the recorders of ``samples``; one potential in memory at a time.

    ``potentials`` are one waiting and the rest. Returns the number of configurations.
    """
    waiting, rest = potentials
    if passes.enough is None:
        announced = as_announced(waiting, rest, passes.configurations)
        one = passes.configurations
        _round(engine, plan, announced, scan, samples, configurations=one, progress=progress, twin=passes.twin)
        return one
    size, number = passes.configurations if plan.shared else 1, 0
    while True:
        announced = as_announced(waiting, islice(rest, size - 1), size)
        _round(engine, plan, announced, scan, samples, configurations=size, progress=progress)
        number += size
        compared = next(iter(samples.values())).number
        if number + size > passes.most or (compared >= FEWEST and passes.enough()):
            return number
        waiting.append(first_of(rest))


def _round(
    engine: Engine,
    plan: Plan,
    potentials: "Iterator[PotentialSlices]",
    scan: Scan,
    samples: dict[int, Samples],
    *,
    configurations: int,
    progress: Progress,
    twin: bool = False,
) -> None:
    """One pass through configurations that share the κ, or one pass for each of them."""
    shares = _shares(engine, plan, configurations)
    total = _waves(engine, plan, len(samples)) * (1 if plan.shared else configurations)
    done = 0
    recorders = {n: s.recorder for n, s in samples.items()}
    lonely = [s for s in samples.values() if s.alone]
    twins = None
    if twin and plan.shared and lonely and isinstance(engine, BlochEngine) and len(shares) > 1:
        twins = _Twins(engine, shares, recorders)

    def advance(waves: int) -> None:
        nonlocal done
        done += waves
        progress("image", min(done, total), total)

    numbers = count()
    for slices in potentials:  # not enumerate, which keeps what it gave last
        number = next(numbers)
        if isinstance(engine, WindowEngine):
            engine.run(slices, scan.positions, recorders, advance)
        elif twins is not None:
            twins.run(number, slices, scan.positions, advance)
        else:
            send(engine, slices, scan.positions, recorders, advance, groups=shares[number] if shares else None)
        del slices
        if not plan.shared:
            for one in samples.values():
                one.take()
    if plan.shared:
        for n, one in samples.items():
            if twins is not None:
                one.compare(*twins.pair(n), twins.others)
            one.take()


class _Twins:
    """One share of the κ goes through two configurations, for an error bar where nothing else tells it.

    It is one of usual size; the images take the mean of both.
    """

    def __init__(self, engine: BlochEngine, shares: list[Groups], recorders: dict[int, Recorder]) -> None:
        self.engine, self.shares, self.recorders = engine, shares, recorders
        self.place, self.others = twin_share(shares)
        positions = {n: len(recorder.sums) for n, recorder in recorders.items()}
        self._pairs = [{n: r.part(positions[n]) for n, r in recorders.items()} for _ in range(2)]

    def pair(self, exit_slice: int) -> tuple[Recorder, Recorder]:
        """What the share gave in either configuration."""
        return self._pairs[0][exit_slice], self._pairs[1][exit_slice]

    def run(
        self,
        number: int,
        slices: "PotentialSlices",
        positions: npt.NDArray[np.float64],
        advance: Callable[[int], None],
    ) -> None:
        """Send through configuration ``number`` what belongs there."""
        here, chosen = self.shares[number], self.shares[self.place]
        if number != self.place:
            send(self.engine, slices, positions, self.recorders, advance, groups=here)
        if number in (self.place, self.place + 1):
            pair = self._pairs[number - self.place]
            send(self.engine, slices, positions, pair, advance, groups=chosen)
            everywhere = np.arange(len(positions))
            for n, recorder in self.recorders.items():
                pair[n].scale(0.5)
                recorder.put(everywhere, pair[n])
                pair[n].scale(2.0)


def twin_share(shares: list[Groups]) -> tuple[int, float]:
    """Which share of the κ, one of usual size, goes through two configurations; squares of all over its own square."""
    beams = np.array([sum(len(group.vectors) for group in share) for share in shares], dtype=float)
    place = int(np.argsort(beams[:-1], kind="stable")[(len(beams) - 1) // 2])
    return place, float((beams**2).sum() / beams[place] ** 2)


def first_of(potentials: "Iterator[PotentialSlices]") -> "PotentialSlices":
    """The next potential, of which there must be one."""
    first = next(potentials, None)
    if first is None:
        raise InputError("no potential: give at least one configuration")
    return first


def send(
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
    """Number of waves of one configuration that progress counts: beams, or probes times exit planes."""
    if isinstance(engine, BlochEngine):
        return engine.beams
    return plan.waves if plan.algorithm == "bloch" else plan.probes * exits


def as_announced(
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
