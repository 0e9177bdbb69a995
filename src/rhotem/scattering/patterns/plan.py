"""What patterns will cost and hold, before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MemoryLimitError
from rhotem.core.threads import available_threads
from rhotem.microscope.camera import Camera
from rhotem.microscope.cost import Cost, Sizes
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import corner
from rhotem.microscope.plan import WIDEST, check_grid, free_memory, window_of
from rhotem.microscope.propagation import BASE, Propagation
from rhotem.microscope.settings import PositionAveraged
from rhotem.microscope.transforms import fast_grid
from rhotem.microscope.transmission import FINE_BYTES
from rhotem.scattering.patterns.beams import Illuminated, shift_of, wide
from rhotem.scattering.patterns.orbits import group_of

#: Bytes of intensities that are held unless more are allowed.
MOST = 3e8


@dataclass(frozen=True, kw_only=True)
class PatternsPlan(Propagation):
    """Sizes, memory and time of patterns; further parameters as `Propagation`, whose beams are pixels here.

    Parameters
    ----------
    convergence, tilt, outer : float
        Largest aperture and mistilt to be asked, and where patterns end, in mrad.
    propagated, operations : int
        Beams that go through the crystal, and operations of the symmetry that gives the others.
    pixels : float
        Mean number of pixels that one beam is seen in.
    complete : bool
        Every beam goes through all configurations; False: through one.
    pixel : (float, float)
        mrad.
    """

    convergence: float
    tilt: float
    outer: float
    propagated: int
    operations: int
    pixels: float
    complete: bool
    pixel: tuple[float, float]

    def __str__(self) -> str:
        size, pixel = self.supercell, self.pixel
        through = "every beam through all" if self.complete else "every beam through one"
        moving = f", {through}" if self.configurations > 1 else ""
        return "\n".join(
            [
                f"beams       {self.propagated} of {self.beams} to {self.convergence + self.tilt:.3g} mrad, "
                f"{self.operations} operation{'s' * (self.operations > 1)} of symmetry",
                f"pixels      {pixel[0]:.3f} × {pixel[1]:.3f} mrad ({size[0]:.1f} × {size[1]:.1f} Å), "
                f"{self.pixels:.0f} for each beam to {self.outer + self.tilt:.3g} mrad",
                f"patterns    {self.exits} thickness{'es' * (self.exits > 1)}, {1e-6 * self.stored:.0f} MB",
                f"phonons     {self.configurations} configuration{'s' * (self.configurations > 1)}{moving}",
                *self.cost(),
            ]
        )


@dataclass(frozen=True)
class Wanted:
    """What patterns are to answer for.

    Parameters
    ----------
    outer : float
        Where patterns end, in mrad around the beam.
    tilt : float
        Largest mistilt in mrad.
    exits : int
    symmetry : sequence of (2, 2) int arrays
        On reciprocal vectors of the cell that the potential repeats.
    repeats : (int, int)
        Equal cells of the potential, but for thermal motion.
    configurations : int
    complete : bool
    """

    outer: float
    tilt: float = 0.0
    exits: int = 1
    symmetry: Sequence[npt.ArrayLike] = ()
    repeats: tuple[int, int] = (1, 1)
    configurations: int = 1
    complete: bool = False

    def __post_init__(self) -> None:
        for name in ("outer", "tilt"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0 and (value or name == "tilt")):
                raise InputError(f"{name} {value} mrad: expected a positive angle{' or 0' if name == 'tilt' else ''}")


def plan_patterns(
    sizes: Sizes,
    microscope: Microscope,
    wanted: Wanted,
    *,
    memory: float | None = None,
    most: float = MOST,
    threads: int | None = None,
) -> PatternsPlan:
    """The plan of patterns; ``most`` bytes of them, ``memory`` bytes altogether.

    Raises
    ------
    InputError
        If the grid is too coarse.
    MemoryLimitError
        If it does not fit; the message says how large it would be.
    """
    detector = PositionAveraged(outer=wanted.outer + wanted.tilt)
    check_grid(sizes.sampling, microscope, [detector])
    side = pixel_side(microscope, sizes.slices * sizes.thickness)
    m, n = (max(1, int(np.ceil(side / length - 1e-6))) for length in sizes.extent)
    supercell = (sizes.extent[0] * m, sizes.extent[1] * n)
    lens = wide(microscope, wanted.tilt, supercell)
    group = operations(microscope, wanted, (m, n), supercell)
    lit = Illuminated.of(lens, sizes.extent, (m, n), group)
    reach = reach_of(microscope, wanted, supercell)
    counts = np.array([len(one.vectors) for one in lit.groups])
    widths = np.array([lit.seen(place, supercell, reach) for place in range(len(lit.groups))])
    entries = float(counts @ widths)
    moving = wanted.configurations > 1
    twin = (1.0 if wanted.complete else 1.0 / wanted.configurations) if moving else 0.0
    stored = 2.0 * wanted.exits * entries * (1.0 + twin)
    points = float(np.prod(fast_grid(sizes.shape)))
    count = threads or available_threads()
    working = 8.0 * sizes.slices * points + 2.0 * FINE_BYTES + sizes.alive(wanted.configurations) + BASE
    working += 16.0 * count * wanted.exits * float((counts * widths).max()) / (1 if wanted.complete else 2)
    working += 4.0 * wanted.exits * entries * (2.0 * twin if wanted.complete else twin)
    passes = lit.number * (wanted.configurations if wanted.complete else 1.0 + twin)
    cost = Cost(sizes, lens, [detector], 1, (m, n), side).bloch(1)
    pixel = (1e3 * microscope.wavelength / supercell[0], 1e3 * microscope.wavelength / supercell[1])
    plan = PatternsPlan(
        extent=sizes.extent,
        shape=sizes.shape,
        slices=sizes.slices,
        slice_thickness=sizes.thickness,
        tiling=(m, n),
        convergence=microscope.convergence,
        tilt=wanted.tilt,
        outer=wanted.outer,
        beams=lit.whole,
        propagated=lit.number,
        operations=len(group),
        pixels=entries / lit.number,
        exits=wanted.exits,
        configurations=wanted.configurations,
        complete=wanted.complete,
        stored=stored,
        memory=stored + working,
        seconds=cost.seconds * passes / cost.waves / count,
        threads=count,
        pixel=pixel,
    )
    _check(plan, most, memory or 0.8 * free_memory())
    return plan


def operations(
    microscope: Microscope, wanted: Wanted, tiling: tuple[int, int], supercell: tuple[float, float]
) -> npt.NDArray[np.int64]:
    """Symmetry on beams of the supercell."""
    cells = (tiling[0] * wanted.repeats[0], tiling[1] * wanted.repeats[1])
    tilted = np.tan(1e-3 * np.array(microscope.tilt)) / microscope.wavelength
    return group_of(wanted.symmetry, cells, supercell, tilted)


def reach_of(microscope: Microscope, wanted: Wanted, supercell: tuple[float, float]) -> float:
    """Largest frequency (1/Å) that is kept."""
    end = wanted.outer + shift_of(microscope, wanted.tilt)
    return end * 1e-3 / microscope.wavelength + corner((1 / supercell[0], 1 / supercell[1]))


def pixel_side(microscope: Microscope, thickness: float) -> float:
    """Side in Å of the supercell whose beams are pixels.

    That of ``camera_step``; without it the one that a scanned probe without aberrations would need
    (`rhotem.microscope.plan.probe_window`), whose pixels follow the fringes of a specimen of ``thickness`` Å.
    """
    if microscope.camera_step is not None:
        return Camera(microscope.camera_step).supercell(microscope.wavelength)
    radius = min(WIDEST, 1e-3 * microscope.convergence * thickness)
    return window_of(0.0, radius, microscope.convergence)


def _check(plan: PatternsPlan, most: float, memory: float) -> None:
    """Refuse what is larger than allowed."""
    why = (
        f"{plan.propagated} beams, {plan.pixels:.0f} pixels each, at {plan.exits} thicknesses; take fewer thicknesses "
        f"(a coarser ladder), larger pixels (camera_step above {max(plan.pixel):.2f} mrad), or smaller angles"
    )
    if plan.stored > most:
        raise MemoryLimitError(f"patterns of {1e-6 * plan.stored:.0f} MB, {1e-6 * most:.0f} MB allowed: {why}")
    if plan.memory > memory:
        raise MemoryLimitError(
            f"patterns need {1e-9 * plan.memory:.1f} GB of memory, {1e-9 * memory:.1f} GB allowed: {why}"
        )
