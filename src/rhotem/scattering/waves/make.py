"""`waves`: potentials in, and out the scattering matrix at some exits."""

import time
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import TYPE_CHECKING

import numpy as np

from rhotem.core import InputError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.cost import Sizes
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.passes import as_announced, first_of
from rhotem.scattering.response.make import exit_slices
from rhotem.scattering.response.range import Range
from rhotem.scattering.waves.held import Waves
from rhotem.scattering.waves.plan import WavesPlan, plan_waves

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices


def waves(
    potentials: "Iterable[PotentialSlices]",
    microscope: Microscope,
    outer: float,
    thicknesses: Sequence[float] | None = None,
    *,
    range: Range | None = None,
    configurations: int | None = None,
    memory: float | None = None,
    threads: int | None = None,
    announce: Callable[[WavesPlan], None] = lambda plan: None,
    progress: Progress = silent,
) -> Waves:
    """Send the beams of a probe through a specimen once, and keep what patterns of any probe need.

    Parameters
    ----------
    potentials : iterable of PotentialSlices
        One for each frozen-phonon configuration; every beam goes through all of them.
    microscope : Microscope
        ``energy``, ``tilt`` and ``camera_step`` stay, ``convergence`` is the largest that can be asked for.
    outer : float
        Where patterns end, in mrad; their corners beyond it are kept.
    thicknesses : sequence of float or None
        Å, rounded to whole slices; None: the exit surface.
    range : Range or None
        Largest defocus and aberrations and smallest aperture to be asked; None: those of the microscope.
    configurations : int or None
        Number of potentials, if these have no length.
    memory : float or None
        Bytes that may be used; None: 80 % of what is free.
    threads : int or None
    announce : callable
        Told the plan before work starts.
    progress : Progress

    Raises
    ------
    InputError
        If a setting is none.
    MemoryLimitError
        If it does not fit into memory.
    """
    if configurations is None and isinstance(potentials, Sized):
        configurations = len(potentials)
    number, iterator = max(1, configurations or 1), iter(potentials)
    first = first_of(iterator)
    whole = (range or Range()).below(microscope)
    exits = exit_slices(len(first.array), first.thickness, thicknesses)
    plan = plan_waves(
        Sizes.of(first),
        microscope,
        outer,
        whole,
        exits=len(exits),
        configurations=number,
        memory=memory,
        threads=threads,
    )
    announce(plan)
    start, origin, waiting = time.perf_counter(), first.record, [first]
    del first
    engine = BlochEngine(microscope, plan.extent, plan.shape, plan.slice_thickness, plan.tiling, plan.threads)
    done, total = 0, engine.beams * number

    def advance(beams: int) -> None:
        nonlocal done
        done += beams
        progress("waves", done, total)

    outgoing = [engine.kept_beams(group, plan.reach) for group in engine.groups]
    matrices = [
        np.empty((number, len(exits), len(group.vectors), len(out)), dtype=np.complex64)
        for group, out in zip(engine.groups, outgoing, strict=True)
    ]
    for configuration, slices in enumerate(as_announced(waiting, iterator, number)):
        transmission = engine.prepared(np.asarray(slices.array))
        for place, group in enumerate(engine.groups):
            _, scattered = engine.scattered(group, transmission, plan.reach, exits, advance)
            for level, matrix in enumerate(scattered):
                if not np.isfinite(matrix[:, 0]).all():
                    raise InputError(
                        "the wave is not finite: the potential holds NaN or absurd values; check the density"
                    )
                matrices[place][configuration, level] = matrix
    made = {"plan": plan.record(), "configurations": number, "potential": origin, "versions": versions()}
    return Waves(
        microscope=microscope,
        range=whole,
        outer=outer,
        supercell=plan.supercell,
        thicknesses=tuple(n * plan.slice_thickness for n in exits),
        groups=tuple(engine.groups),
        outgoing=tuple(outgoing),
        matrices=tuple(matrices),
        record={"microscope": microscope.model_dump(), **made, "seconds": time.perf_counter() - start},
    )
