"""What a simulation will cost, and which algorithm is cheapest, before anything is computed."""

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from rhotem.core import InputError, MemoryLimitError
from rhotem.core.threads import available_threads
from rhotem.microscope.camera import Camera
from rhotem.microscope.cost import READ, Cost, Estimate, Sizes
from rhotem.microscope.optics import cutoff_angle, needed_sampling, probe_radius
from rhotem.microscope.scan import Scan, determines, nyquist_step
from rhotem.microscope.settings import Detector, Microscope, farthest_angle, largest_angle
from rhotem.microscope.windows import Windows, choices

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

    Detectors = list[Detector] | tuple[Detector, ...]

#: Least side in Å of the probe's supercell, room for tails beside its rays, and the widest radius that is computed.
NARROWEST, TAILS, WIDEST = 14.0, 8.0, 30.0
#: Room for what aberrations spread, in radii, and the convergence in mrad that this and the least side hold for: an
#: aperture should have as many pixels as that one, down to the smallest.
FRINGES, USUAL, SMALLEST = 1.75, 22.0, 5.0
#: Further room, in radii, where few reciprocal vectors fit into a smaller aperture: aberrations then may leave a tenth
#: of the contrast, but the errors of averaged edges stay. All of it from 16.5 mrad down.
FAINT, STEEPNESS = 5.0, 3.0
#: Å that foci one focal spread off may lack in the supercell. Of Gaussian columns, 20 Å thick (200 kV, 22 mrad), 14 Å
#: hold spreads of 120 Å (4 Å lacking) within 0.13 %, of 200 Å (10 Å) within 0.37 % of the range against 75 Å.
LACKING = 10.0

Algorithm = Literal["auto", "bloch", "multislice", "prism"]
ALGORITHMS = ("auto", "bloch", "multislice", "prism")


@dataclass(frozen=True)
class Plan:
    """Sizes, memory and time of one simulation.

    Parameters
    ----------
    algorithm : "bloch", "multislice" or "prism"
        Beams of the probe in one cell; probes on the supercell; interpolated scattering matrix.
    extent, shape : pairs
        Lateral cell (Å) that probes go through, and the grid of the waves on it: the potential's, or a window of it.
    slices, slice_thickness : int, float
    tiling : (int, int)
        The probe's supercell in cells of the potential.
    waves : int
        Waves propagated: beams of the probe (all configurations together), or probes of each configuration.
    probes : int
    configurations : int or None
        Frozen-phonon configurations, None if not known.
    interpolation : (int, int)
        PRISM interpolation factors.
    shared : bool
        Frozen-phonon configurations share the beams, each κ going through one of them.
    maximum_angle : float
        Largest angle the grid carries, mrad.
    memory, seconds : float
        Estimates: bytes, and seconds of all configurations on ``threads`` cores, potentials included.
    limit : float or None
        Bytes that were allowed.
    windows : Windows or None
        How a large cell is divided; None: probes go through all of it.
    on_disk : bool
        Slices are read from there, window by window.
    warnings : tuple of str
        What the images will lack.
    camera : (float, float)
        Pixel in mrad of the diffraction patterns that are computed.
    """

    algorithm: str
    extent: tuple[float, float]
    shape: tuple[int, int]
    slices: int
    slice_thickness: float
    tiling: tuple[int, int]
    waves: int
    probes: int
    configurations: int | None
    maximum_angle: float
    memory: float
    seconds: float
    threads: int
    interpolation: tuple[int, int] = (1, 1)
    shared: bool = False
    alternatives: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    windows: Windows | None = None
    on_disk: bool = False
    warnings: tuple[str, ...] = ()
    camera: tuple[float, float] = (0.0, 0.0)

    def record(self) -> dict:
        """As a JSON-ready dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        size = tuple(e * m for e, m in zip(self.extent, self.tiling, strict=True))
        what = {
            "bloch": f"Bloch beams of one cell ({self.waves} beams, supercell {self.tiling[0]}×{self.tiling[1]})",
            "multislice": f"multislice of {self.waves} probes on the supercell {self.tiling[0]}×{self.tiling[1]}",
            "prism": f"PRISM ({self.waves} beams, interpolation {self.interpolation[0]}×{self.interpolation[1]})",
        }[self.algorithm]
        step = max(e / n for e, n in zip(self.extent, self.shape, strict=True))
        depth = self.slices * self.slice_thickness
        configurations = "?" if self.configurations is None else str(self.configurations)
        pieces = (
            f"{self.windows.counts[0]} × {self.windows.counts[1]} of the cell" if self.windows else "the whole cell"
        )
        source = ", read from disk" if self.on_disk else ""
        return "\n".join(
            [
                *([f"windows     {pieces}{source}"] if self.windows or source else []),
                f"grid        {self.shape[0]} × {self.shape[1]} points on {self.extent[0]:.2f} × {self.extent[1]:.2f} Å"
                f" ({step:.3f} Å, to {self.maximum_angle:.0f} mrad)",
                f"slices      {self.slices} of {self.slice_thickness:.2f} Å, {0.1 * depth:.1f} nm",
                f"probes      {self.probes} on {size[0]:.1f} × {size[1]:.1f} Å",
                f"algorithm   {what}",
                f"patterns    pixels of {self.camera[0]:.3f} × {self.camera[1]:.3f} mrad computed",
                f"phonons     {configurations} configuration{'s' * (configurations != 1)}"
                + (", one for each κ" if self.shared else ""),
                f"memory      {self.memory / 1e9:.2f} GB"
                + ("" if self.limit is None else f" of {self.limit / 1e9:.2f} GB allowed"),
                f"time        about {_duration(self.seconds * self.threads)} of one idle core"
                + (f", {_duration(self.seconds)} on {self.threads}" if self.threads > 1 else ""),
                *(f"warning     {text}" for text in self.warnings),
            ]
        )


def make_plan(
    slices: "PotentialSlices | Sizes",
    microscope: Microscope,
    scan: Scan,
    detectors: "Detectors",
    *,
    algorithm: str = "auto",
    configurations: int | None = None,
    window: float | None = None,
    memory_limit: float | None = None,
    threads: int | None = None,
    twin: bool = True,
) -> Plan:
    """Choose the algorithm for a potential, and estimate its memory and time.

    Parameters
    ----------
    slices : PotentialSlices or Sizes
        One configuration, or how large it will be.
    microscope, scan, detectors
        What is recorded.
    algorithm : "auto", "bloch", "multislice" or "prism"
        "auto" takes the fastest exact one that fits into memory, and PRISM only if none does. A cell larger than probes
        need is divided into windows, with Bloch beams in each, where that is faster or the only way to fit.
    configurations : int or None
        Number of frozen-phonon configurations.
    window : float or None
        Smallest side of the probe's supercell in Å; None: `probe_window`.
    memory_limit : float or None
        Bytes; None: 80 % of what the machine has free.
    threads : int or None
    twin : bool
        Where configurations share the κ, one share goes through two of them for an error bar.

    Raises
    ------
    InputError
        If the grid is too coarse for the largest detector angle (the message says the step needed), or the algorithm
        is not known.
    MemoryLimitError
        If nothing fits.
    """
    if algorithm not in ALGORITHMS:
        raise InputError(f"algorithm {algorithm!r} is not known; choose one of {', '.join(ALGORITHMS)}")
    sizes = slices if isinstance(slices, Sizes) else Sizes.of(slices)
    check_grid(sizes.sampling, microscope, detectors)
    window = window or probe_window(microscope, sizes.slices * sizes.thickness)
    window = max(window, camera_window(microscope, detectors))
    limit = memory_limit or 0.8 * free_memory()
    plans = []
    for windows in choices(sizes.extent, sizes.shape, window):
        part = sizes.within(windows)
        m, n = (max(1, int(np.ceil(window / length - 1e-6))) for length in part.extent)
        probes = scan.shape[0] * scan.shape[1]
        cost = Cost(part, microscope, detectors, probes, (m, n), window, windows.number, twin)
        for name in ALGORITHMS[1:] if algorithm == "auto" else (algorithm,):
            # probes of a small cell without averaged edges are some per cent off (docs/microscope.md)
            if windows.number == 1 or name == "bloch":
                estimate: Estimate = getattr(cost, name)(configurations or 1)
                given = (configurations, threads or available_threads(), limit)
                plans.append(_plan(sizes, windows, cost, estimate, given))
    fitting = [plan for plan in plans if plan.memory <= limit]
    if not fitting:
        least = min(plans, key=lambda plan: plan.memory)
        raise MemoryLimitError(
            f"{least.algorithm} needs {least.memory / 1e9:.1f} GB, {limit / 1e9:.1f} GB allowed: "
            "allow more, scan a smaller region, or use a coarser grid or smaller angles"
        )
    if any(d.patterns for d in detectors):
        # the pixels of patterns are as fine as the cell is large
        fitting = [plan for plan in fitting if plan.windows is None] or fitting
    exact = [plan for plan in fitting if plan.interpolation == (1, 1)]
    chosen = min(exact or fitting, key=lambda plan: plan.seconds)
    alternatives: dict[str, float] = {}
    for plan in sorted(plans, key=lambda plan: -plan.seconds):
        alternatives[plan.algorithm] = plan.seconds
    sides = [e * m / f for e, m, f in zip(chosen.extent, chosen.tiling, chosen.interpolation, strict=True)]
    pixel = (1e3 * microscope.wavelength / sides[0], 1e3 * microscope.wavelength / sides[1])
    return replace(chosen, alternatives=alternatives, warnings=_coarse(scan, microscope), camera=pixel)


def _coarse(scan: Scan, microscope: Microscope) -> tuple[str, ...]:
    """A warning if images are not determined between the probe positions."""
    if determines(scan, microscope):
        return ()
    step, needed = max(scan.step), nyquist_step(microscope)
    said = "and interpolated pictures may show what is not there, negative values too"
    if microscope.dose is not None:
        said = "electrons are counted at these positions, no finer and over no larger field"
    return (f"scan step {step:.3f} Å, images need {needed:.3f} Å: they are not determined between positions, {said}",)


def _plan(sizes: Sizes, windows: Windows, cost: Cost, estimate: Estimate, given: tuple[int | None, int, float]) -> Plan:
    """An estimate with what all have in common."""
    configurations, threads, limit = given
    part, divided = cost.sizes, windows.number > 1
    # beside a window the whole potential, unless it lies on disk
    held = part.held + (sizes.held if divided and not sizes.on_disk else 0.0)
    passes = 1 if estimate.shared else configurations or 1
    losses, beside = cost.core_losses(configurations or 1)
    reading = READ * part.held * windows.number if sizes.on_disk else 0.0
    return Plan(
        algorithm=estimate.algorithm,
        extent=part.extent,
        shape=part.shape,
        slices=sizes.slices,
        slice_thickness=sizes.thickness,
        tiling=estimate.tiling,
        waves=round(estimate.waves),
        probes=cost.probes,
        configurations=configurations,
        maximum_angle=cutoff_angle(cost.microscope.wavelength, sizes.sampling),
        memory=max(estimate.memory, beside) + held + cost.patterns() + 2e8,
        seconds=(estimate.seconds / threads + reading) * passes + losses / threads,
        threads=threads,
        interpolation=estimate.interpolation,
        shared=estimate.shared,
        limit=limit,
        windows=windows if divided else None,
        on_disk=sizes.on_disk,
    )


def check_grid(sampling: tuple[float, float], microscope: Microscope, detectors: "Detectors") -> None:
    """Raise `InputError` unless grid steps ``sampling`` (Å) carry all that the detectors and the probe see."""
    outer = max(farthest_angle(detectors, microscope.camera_step), microscope.convergence)
    carried = cutoff_angle(microscope.wavelength, sampling)
    if carried < outer * (1 - 1e-6):
        needed = np.floor(1e4 * needed_sampling(microscope.wavelength, outer)) / 1e4
        raise InputError(
            f"the grid step {max(sampling):.4f} Å carries {carried:.0f} mrad, the detectors reach {outer:.0f} mrad: "
            f"use a step of {needed:.4f} Å or less"
        )


def camera_window(microscope: Microscope, detectors: "Detectors") -> float:
    """Side in Å of the supercell that pixels of the camera need; 0 where none are asked for.

    Raises
    ------
    InputError
        If a pixel is larger than a camera.
    """
    if microscope.camera_step is None:
        return 0.0
    least = min([largest_angle(detectors), *(d.outer for d in detectors if d.patterns)])
    if microscope.camera_step > least:
        raise InputError(f"camera step {microscope.camera_step:g} mrad: larger than a camera to {least:g} mrad")
    return Camera(microscope.camera_step).supercell(microscope.wavelength)


def probe_window(microscope: Microscope, thickness: float) -> float:
    """Side in Å that the probe's supercell needs: the width of all its rays, with room for the tails.

    Beams that arrive far apart interfere with a phase that turns fast with κ; the κ of a supercell as wide as the
    probe follow it. Where an aperture or detector ends, they cut fringes as fine as aberrations spread the probe, and
    the fewer pixels the aperture has, the more that counts: hence the room for `FRINGES`. For LiCoO2 (10 nm, 200 kV,
    22 mrad) 14 Å keeps every default image within 0.5 % of its limit of large supercells (benchmarks/probe_window.py).

    Raises
    ------
    InputError
        If the probe is wider than `WIDEST`.
    """
    radius, side = probe_side(microscope, thickness)
    if radius > WIDEST:
        raise InputError(
            f"the probe is {2 * radius:.0f} Å wide ({_causes(microscope, thickness)}), more than the "
            f"{2 * WIDEST:.0f} Å that are computed: it needs a supercell of {TAILS + 2 * radius:.0f} Å; use smaller "
            "aberrations, aperture or thickness"
        )
    return side


def probe_side(microscope: Microscope, thickness: float) -> tuple[float, float]:
    """Farthest ray in Å within ``thickness`` Å, and side in Å of the supercell of a probe of any width.

    Foci one focal spread to either side count, too, as far as they lack more than `LACKING`.
    """
    radius = probe_radius(microscope, thickness)
    side = window_of(probe_radius(microscope), radius, microscope.convergence)
    for offset in (-microscope.focal_spread, microscope.focal_spread) if microscope.focal_spread else ():
        aberrations = {**microscope.coefficients, "C10": microscope.coefficients.get("C10", 0.0) + offset}
        off = microscope.model_copy(update={"defocus": 0.0, "cs": 0.0, "aberrations": aberrations})
        needed = window_of(probe_radius(off), probe_radius(off, thickness), off.convergence) - LACKING
        radius, side = max(radius, probe_radius(off, thickness) - 0.5 * LACKING), max(side, needed)
    return radius, side


def window_of(entrance: float, radius: float, convergence: float) -> float:
    """Side in Å of the supercell of a probe whose rays reach ``entrance`` Å on the surface, ``radius`` Å anywhere."""
    smaller = max(1.0, USUAL / max(convergence, SMALLEST))
    room = FRINGES * smaller**2 + FAINT * min(1.0, STEEPNESS * (smaller - 1.0))
    return max(NARROWEST * smaller, TAILS + 2.0 * radius + room * entrance)


def _causes(microscope: Microscope, thickness: float) -> str:
    """What makes a probe wide, in words."""
    names = [f"{name} {value / 10:.4g} nm" for name, value in microscope.coefficients.items() if name[0] == "C"]
    names += [f"focal spread {microscope.focal_spread / 10:.4g} nm"] if microscope.focal_spread else []
    return ", ".join([*names, f"{microscope.convergence:g} mrad through {thickness / 10:.3g} nm"])


def free_memory() -> float:
    """Bytes of memory available."""
    try:
        with open("/proc/meminfo") as stream:
            fields = dict(line.split(":", 1) for line in stream)
        return 1024.0 * float(fields["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return 4e9


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
