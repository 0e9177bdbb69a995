"""What a scattering matrix will cost and hold, before anything is computed."""

from dataclasses import dataclass

import numpy as np

from rhotem.core import MemoryLimitError
from rhotem.core.threads import available_threads
from rhotem.microscope.bloch import supercell_beams
from rhotem.microscope.cost import Cost, Sizes
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import beyond
from rhotem.microscope.plan import camera_window, check_grid, free_memory
from rhotem.microscope.propagation import BASE, Propagation
from rhotem.microscope.settings import Pixelated, farthest_angle
from rhotem.scattering.response.range import Range


@dataclass(frozen=True, kw_only=True)
class WavesPlan(Propagation):
    """Sizes, memory and time of a scattering matrix; further parameters as `Propagation`.

    Parameters
    ----------
    pixels : float
        Mean number of beams that one is scattered into.
    reach : float
        Largest frequency that is kept, 1/Å.
    """

    pixels: float
    reach: float

    def __str__(self) -> str:
        size = self.supercell
        return "\n".join(
            [
                f"beams       {self.beams} on {size[0]:.1f} × {size[1]:.1f} Å, each into {self.pixels:.0f}",
                f"waves       {self.exits} thickness{'es' * (self.exits > 1)}, {self.configurations} configuration"
                f"{'s' * (self.configurations > 1)}, {1e-6 * self.stored:.0f} MB",
                *self.cost(),
            ]
        )


def plan_waves(
    sizes: Sizes,
    microscope: Microscope,
    outer: float,
    asked: Range,
    *,
    exits: int = 1,
    configurations: int = 1,
    memory: float | None = None,
    threads: int | None = None,
) -> WavesPlan:
    """The plan of the scattering matrix to the corners of patterns that end at ``outer`` mrad.

    Raises
    ------
    InputError
        If the grid is too coarse or the widest probe is wider than any that is computed.
    MemoryLimitError
        If it does not fit.
    """
    detector = Pixelated(outer=outer)
    check_grid(sizes.sampling, microscope, [detector])
    window = max(asked.window(microscope, sizes.slices * sizes.thickness), camera_window(microscope, [detector]))
    m, n = (max(1, int(np.ceil(window / length - 1e-6))) for length in sizes.extent)
    supercell = (sizes.extent[0] * m, sizes.extent[1] * n)
    end = farthest_angle([detector], microscope.camera_step) * 1e-3 / microscope.wavelength
    reach = end + beyond((1 / supercell[0], 1 / supercell[1]))
    groups = supercell_beams(microscope, sizes.extent, (m, n))
    beams = sum(len(group.vectors) for group in groups)
    pixels = float(np.pi * reach**2 * sizes.extent[0] * sizes.extent[1])
    stored = 8.0 * configurations * exits * beams * pixels
    cost, count = Cost(sizes, microscope, [detector], 1, (m, n), window).bloch(1), threads or available_threads()
    plan = WavesPlan(
        extent=sizes.extent,
        shape=sizes.shape,
        slices=sizes.slices,
        slice_thickness=sizes.thickness,
        tiling=(m, n),
        beams=beams,
        pixels=pixels,
        exits=exits,
        configurations=configurations,
        reach=reach,
        stored=stored,
        memory=stored + cost.memory + sizes.alive(configurations) + BASE,
        seconds=cost.seconds * configurations / count,
        threads=count,
    )
    limit = memory or 0.8 * free_memory()
    if plan.memory > limit:
        raise MemoryLimitError(
            f"the waves need {1e-9 * plan.memory:.1f} GB, {1e-9 * limit:.1f} GB allowed: {beams} beams into "
            f"{pixels:.0f} at {exits} thicknesses in {configurations} configurations; take fewer of either, a smaller "
            "range or smaller angles"
        )
    return plan
