"""What a simulation will cost, and which algorithm is cheapest, before anything is computed."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from rhotem.core import InputError, MemoryLimitError
from rhotem.microscope.optics import cutoff_angle, focal_nodes, needed_sampling
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Detector, Microscope, Pixelated, largest_angle
from rhotem.microscope.transforms import available_threads, fast_length

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

    Detectors = list[Detector] | tuple[Detector, ...]

Algorithm = Literal["auto", "bloch", "multislice", "prism"]
ALGORITHMS = ("auto", "bloch", "multislice", "prism")

#: Seconds per floating-point operation of one core in a transform that stays in its level-2 cache, and beyond it;
#: of a complex matrix product; of slices set up. Measured on one 2.1 GHz server core, good to a factor of two.
FFT_CACHED, FFT_LARGE, PRODUCT = 1 / 25e9, 1 / 8e9, 1 / 40e9


@dataclass(frozen=True)
class Plan:
    """Sizes, memory and time of one simulation.

    Parameters
    ----------
    algorithm : "bloch", "multislice" or "prism"
        Beams of the probe in one cell; probes on the supercell; interpolated scattering matrix.
    extent, shape : pairs
        Lateral cell of the potential (Å) and its grid.
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
        Estimates: bytes, and seconds of all configurations on ``threads`` cores.
    limit : float or None
        Bytes that were allowed.
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
        return "\n".join(
            [
                f"grid        {self.shape[0]} × {self.shape[1]} points on {self.extent[0]:.2f} × {self.extent[1]:.2f} Å"
                f" ({step:.3f} Å, to {self.maximum_angle:.0f} mrad)",
                f"slices      {self.slices} of {self.slice_thickness:.2f} Å, {0.1 * depth:.1f} nm",
                f"probes      {self.probes} on {size[0]:.1f} × {size[1]:.1f} Å",
                f"algorithm   {what}",
                f"phonons     {configurations} configurations" + (", one for each κ" if self.shared else ""),
                f"memory      {self.memory / 1e9:.2f} GB"
                + ("" if self.limit is None else f" of {self.limit / 1e9:.2f} GB allowed"),
                f"time        about {_duration(self.seconds)} on {self.threads} cores",
            ]
        )


def make_plan(
    slices: "PotentialSlices",
    microscope: Microscope,
    scan: Scan,
    detectors: "Detectors",
    *,
    algorithm: str = "auto",
    configurations: int | None = None,
    window: float | None = None,
    memory_limit: float | None = None,
    threads: int | None = None,
) -> Plan:
    """Choose the algorithm for a potential, and estimate its memory and time.

    Parameters
    ----------
    slices : PotentialSlices
        One configuration.
    microscope, scan, detectors
        What is recorded.
    algorithm : "auto", "bloch", "multislice" or "prism"
        "auto" takes the fastest exact one that fits into memory, and PRISM only if none does.
    configurations : int or None
        Number of frozen-phonon configurations.
    window : float or None
        Smallest side of the probe's supercell in Å; None: `probe_window`.
    memory_limit : float or None
        Bytes; None: 80 % of what the machine has free.
    threads : int or None

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
    thickness = len(slices.array) * slices.thickness
    check_grid(slices.wave_sampling, microscope, detectors)
    window = window or probe_window(microscope, thickness)
    tiling = tuple(max(1, int(np.ceil(window / length - 1e-6))) for length in slices.extent)
    cost = _Cost(slices, microscope, scan, detectors, (tiling[0], tiling[1]), threads or available_threads(), window)
    limit = memory_limit or 0.8 * free_memory()
    plans = [getattr(cost, name)(configurations) for name in ALGORITHMS[1:]]
    if algorithm != "auto":
        plans = [plan for plan in plans if plan.algorithm == algorithm]
    fitting = [plan for plan in plans if plan.memory <= limit]
    if not fitting:
        least = min(plans, key=lambda plan: plan.memory)
        raise MemoryLimitError(
            f"{least.algorithm} needs {least.memory / 1e9:.1f} GB, there are {limit / 1e9:.1f} GB: "
            "scan a smaller region, use a coarser grid, PRISM, or tiles of the specimen"
        )
    exact = [plan for plan in fitting if plan.interpolation == (1, 1)]
    chosen = min(exact or fitting, key=lambda plan: plan.seconds)
    alternatives = {plan.algorithm: plan.seconds for plan in plans}
    return Plan(**{**asdict(chosen), "alternatives": alternatives, "limit": limit})


def check_grid(sampling: tuple[float, float], microscope: Microscope, detectors: "Detectors") -> None:
    """Raise `InputError` unless grid steps ``sampling`` (Å) carry all that the detectors and the probe see."""
    outer = max(largest_angle(detectors), microscope.convergence)
    carried = cutoff_angle(microscope.wavelength, sampling)
    if carried < outer * (1 - 1e-6):
        needed = np.floor(1e4 * needed_sampling(microscope.wavelength, outer)) / 1e4
        raise InputError(
            f"the grid step {max(sampling):.4f} Å carries {carried:.0f} mrad, the detectors reach {outer:.0f} mrad: "
            f"use a step of {needed:.4f} Å or less"
        )


def probe_window(microscope: Microscope, thickness: float) -> float:
    """Side in Å that the probe's supercell needs: room for the tails plus twice the spread of the cone.

    For LiCoO2 (10 nm, 200 kV, 22 mrad) 14 Å keeps every default image within 0.5 % of its limit of large supercells.
    """
    reach = thickness + abs(microscope.defocus)
    return max(14.0, 8.0 + 2e-3 * microscope.convergence * reach)


def free_memory() -> float:
    """Bytes of memory available."""
    try:
        with open("/proc/meminfo") as stream:
            fields = dict(line.split(":", 1) for line in stream)
        return 1024.0 * float(fields["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return 4e9


@dataclass(frozen=True)
class _Cost:
    """Cost model of the algorithms for one potential."""

    slices: "PotentialSlices"
    microscope: Microscope
    scan: Scan
    detectors: "Detectors"
    tiling: tuple[int, int]
    threads: int
    window: float

    @property
    def _shape(self) -> tuple[int, int]:
        return self.slices.wave_grid

    @property
    def _points(self) -> int:
        return self._shape[0] * self._shape[1]

    @property
    def _supercell_area(self) -> float:
        return float(np.prod(self.slices.extent) * np.prod(self.tiling))

    def _disc(self, angle: float) -> float:
        """Number of supercell beams within ``angle`` mrad."""
        return float(np.pi * (angle * 1e-3 / self.microscope.wavelength) ** 2 * self._supercell_area)

    @property
    def _probes(self) -> int:
        return self.scan.shape[0] * self.scan.shape[1]

    def _potential(self) -> float:
        return float(self.slices.array.dtype.itemsize * self.slices.array.size)

    def _patterns(self) -> float:
        return sum(
            4.0 * self._probes * self._disc(d.outer) * 4 / np.pi for d in self.detectors if isinstance(d, Pixelated)
        )

    def _plan(
        self,
        algorithm: str,
        waves: float,
        work: tuple[float, float],
        configurations: int | None,
        factors: tuple[int, int] = (1, 1),
        tiling: tuple[int, int] | None = None,
        shared: bool = False,
    ) -> Plan:
        seconds, memory = work
        return Plan(
            algorithm=algorithm,
            extent=self.slices.extent,
            shape=self._shape,
            slices=len(self.slices.array),
            slice_thickness=self.slices.thickness,
            tiling=tiling or self.tiling,
            waves=round(waves),
            probes=self._probes,
            configurations=configurations,
            maximum_angle=cutoff_angle(self.microscope.wavelength, self.slices.wave_sampling),
            memory=memory + self._potential() + self._patterns() + 2e8,
            seconds=seconds * (1 if shared else configurations or 1) / self.threads,
            threads=self.threads,
            interpolation=factors,
            shared=shared,
        )

    def _transforms(self, waves: float, points: float) -> float:
        """Seconds of one core for multislice of ``waves`` on ``points``: transform there and back, two products."""
        rate = FFT_CACHED if points * 8 < 2**20 else FFT_LARGE
        return waves * len(self.slices.array) * points * (10 * np.log2(points) + 24) * rate

    def bloch(self, configurations: int | None) -> Plan:
        """Every configuration takes a share of the κ, so all together cost one pass of the probe's beams.

        Not so for pixelated detectors: each of their pixels belongs to one κ and would see one configuration only.
        """
        shared = (configurations or 1) > 1 and not any(isinstance(d, Pixelated) for d in self.detectors)
        tiling = spread(self.tiling, self.slices.extent, configurations or 1) if shared else self.tiling
        larger = float(np.prod(tiling)) / float(np.prod(self.tiling))
        outer = largest_angle(self.detectors)
        beams, kappas = self._disc(self.microscope.convergence) * larger, float(np.prod(tiling))
        nodes = len(focal_nodes(self.microscope.focal_spread)[0])
        assembly = 8.0 * self._probes * beams / kappas * self._disc(outer) * larger * nodes
        points = float(fast_length(self._shape[0]) * fast_length(self._shape[1]))
        seconds = self._transforms(beams, points) + assembly * PRODUCT
        memory = (
            8.0 * len(self.slices.array) * points + 8.0 * beams / kappas * self._disc(outer) * larger / kappas + 3e8
        )
        return self._plan("bloch", beams, (seconds, memory), configurations, tiling=tiling, shared=shared)

    def multislice(self, configurations: int | None) -> Plan:
        points = self._points * float(np.prod(self.tiling))
        nodes = len(focal_nodes(self.microscope.focal_spread)[0])
        seconds = self._transforms(self._probes * nodes, points)
        memory = 16.0 * len(self.slices.array) * points + 64.0 * points * min(self._probes, 16)
        return self._plan("multislice", self._probes, (seconds, memory), configurations)

    def prism(self, configurations: int | None) -> Plan:
        points = self._points * float(np.prod(self.tiling))
        size = [e * m for e, m in zip(self.slices.extent, self.tiling, strict=True)]
        factors = [max(1, int(length // self.window)) for length in size]
        factors = [_divisor(f, n * m) for f, n, m in zip(factors, self._shape, self.tiling, strict=True)]
        beams = self._disc(self.microscope.convergence) / float(np.prod(factors))
        window = points / float(np.prod(factors))
        nodes = len(focal_nodes(self.microscope.focal_spread)[0])
        reduction = (8.0 * beams * window + 5 * window * np.log2(window)) * self._probes * nodes
        seconds = self._transforms(beams, points) + reduction * FFT_LARGE
        memory = 16.0 * len(self.slices.array) * points + 8.0 * beams * points * 0.5
        return self._plan("prism", beams, (seconds, memory), configurations, (factors[0], factors[1]))


def spread(tiling: tuple[int, int], extent: tuple[float, float], configurations: int) -> tuple[int, int]:
    """Enlarge a supercell, its shorter side first, until it has a κ for every frozen-phonon configuration.

    Beams of different κ never interfere in a crystal, so the thermal average may be taken over κ and configurations
    together: a stratified sample with as many members as there are κ, at the price of one.
    """
    m = list(tiling)
    while m[0] * m[1] < configurations:
        m[0 if m[0] * extent[0] <= m[1] * extent[1] else 1] += 1
    return m[0], m[1]


def _divisor(largest: int, number: int) -> int:
    """Largest divisor of ``number`` not above ``largest``."""
    return next(f for f in range(largest, 0, -1) if number % f == 0)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
