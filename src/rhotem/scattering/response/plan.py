"""What a response will cost and hold, before anything is computed."""

from dataclasses import dataclass, replace

import numpy as np

from rhotem.core import MemoryLimitError
from rhotem.core.threads import available_threads
from rhotem.microscope.bloch import supercell_beams
from rhotem.microscope.cost import Cost, Sizes, spread
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.plan import check_grid, free_memory
from rhotem.microscope.propagation import BASE, Propagation
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Detector
from rhotem.scattering.response.matrices import blocks_of
from rhotem.scattering.response.range import Range

#: Bytes that the cost of beams counts for a run whatever its size.
COUNTED = 3e8
#: Seconds per operation of the products of small blocks with the gathering of their columns; of a pair of beams in
#: one image (docs/response.md).
FORMS, PAIR = 1 / 14e9, 6e-8


@dataclass(frozen=True, kw_only=True)
class ResponsePlan(Propagation):
    """Sizes, memory and time of one response; further parameters as `Propagation`.

    Parameters
    ----------
    window : float
        Side in Å that the probes of the range need.
    pairs : int
        Pairs of beams that interfere.
    channels : int
        Columns that are kept for each exit thickness.
    worth : int
        Settings from which on it takes less time than simulating each.
    """

    window: float
    pairs: int
    channels: int
    worth: int

    def __str__(self) -> str:
        size, (memory, seconds) = self.supercell, self.cost()
        return "\n".join(
            [
                f"beams       {self.beams} on {size[0]:.1f} × {size[1]:.1f} Å, {self.pairs} pairs that interfere",
                f"channels    {self.channels} at {self.exits} thickness{'es' * (self.exits > 1)}, "
                f"{8e-6 * self.pairs:.2f} MB each, {1e-6 * self.stored:.0f} MB together",
                f"phonons     {self.configurations} configurations",
                memory,
                f"{seconds}, less than simulating "
                + ("each" if self.worth <= 1 else f"{self.worth} settings or more one by one"),
            ]
        )


def plan_response(
    sizes: Sizes,
    microscope: Microscope,
    detectors: list[Detector],
    asked: Range,
    *,
    exits: int = 1,
    configurations: int = 1,
    repeats: tuple[int, int] = (1, 1),
    memory: float | None = None,
    threads: int | None = None,
) -> ResponsePlan:
    """The plan of a response; ``detectors`` are those of `rhotem.scattering.response.channels.basis`.

    Raises
    ------
    InputError
        If the grid is too coarse or the widest probe is wider than any that is computed.
    MemoryLimitError
        If it does not fit.
    """
    check_grid(sizes.sampling, microscope, detectors)
    window = asked.window(microscope, sizes.slices * sizes.thickness)
    m, n = (max(1, int(np.ceil(window / length - 1e-6))) for length in sizes.extent)
    tiling = spread((m, n), sizes.extent, configurations)
    supercell = (sizes.extent[0] * tiling[0], sizes.extent[1] * tiling[1])
    recorder = Recorder(detectors, 0, microscope.wavelength, supercell, counted=True)
    columns = recorder.sums.shape[1] - len(recorder.channels)
    groups = supercell_beams(microscope, sizes.extent, tiling)
    blocks = [len(rows) for group in groups for rows in blocks_of(group, repeats)]
    pairs = sum(size * (size + 1) // 2 for size in blocks)
    share = 1.0 + (1.0 / configurations if configurations > 1 else 0.0)
    stored = 8.0 * exits * (columns + 2) * pairs * share
    cost = Cost(sizes, microscope, detectors, 1, tiling, window)
    waves = cost.bloch(1)
    seen = np.pi * recorder.reach**2 * sizes.extent[0] * sizes.extent[1]
    parts = max(1, len(recorder.cells.cells)) if recorder.cells else 1
    products = 16.0 * exits * pairs * seen * columns / parts * FORMS
    most = max(len(group.vectors) for group in groups)
    working = waves.memory - COUNTED + 8.0 * most * seen * (exits + 2) + 20.0 * seen * columns
    working += sizes.alive(configurations) + BASE
    probes = Scan.cell(sizes.extent, microscope).shape
    saved = replace(cost, probes=probes[0] * probes[1]).bloch(1).seconds - PAIR * pairs
    count = threads or available_threads()
    plan = ResponsePlan(
        extent=sizes.extent,
        shape=sizes.shape,
        slices=sizes.slices,
        slice_thickness=sizes.thickness,
        tiling=tiling,
        window=window,
        beams=sum(len(group.vectors) for group in groups),
        pairs=pairs,
        channels=columns,
        exits=exits,
        configurations=configurations,
        stored=stored,
        memory=stored + working,
        seconds=(waves.seconds + products) / count,
        threads=count,
        worth=int(np.ceil((waves.seconds + products) / saved)) if saved > 0 else int(1e9),
    )
    _fits(plan, memory or 0.8 * free_memory(), len(blocks), 8.0 * exits * configurations * plan.beams * seen)
    return plan


def _fits(plan: ResponsePlan, limit: float, groups: int, waves: float) -> None:
    """Refuse a response that takes more than ``limit`` bytes; ``waves``: those of the scattering matrix itself."""
    if plan.memory > limit:
        instead = ", or simulate every setting by itself"
        if waves < plan.stored:
            instead = f", keep the waves of these angles ({1e-6 * waves:.0f} MB, rhotem.scattering.waves)" + instead
        raise MemoryLimitError(
            f"the response needs {1e-9 * plan.memory:.1f} GB, {1e-9 * limit:.1f} GB allowed: {plan.channels} channels "
            f"at {plan.exits} thicknesses of {8e-6 * plan.pairs:.0f} MB each ({plan.beams} beams, {groups} interfering "
            f"groups); name fewer edges (edges=[]), thicknesses or a smaller range{instead}"
        )
