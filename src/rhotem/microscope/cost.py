"""Cost model: memory and time of every algorithm for one potential."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rhotem.microscope.coherence import focal_nodes
from rhotem.microscope.detectors import edges_of
from rhotem.microscope.pace import pace
from rhotem.microscope.settings import Detector, Microscope, farthest_angle, sees_pixels
from rhotem.microscope.transforms import fast_grid
from rhotem.microscope.windows import Windows

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

    Detectors = list[Detector] | tuple[Detector, ...]

#: Seconds of one core, at the pace of `rhotem.microscope.pace`: per floating-point operation of abTEM's transforms;
#: per point and unit of work of a wave in strips, which grow beyond `CACHED` bytes of it (docs/microscope.md).
FFT_LARGE, POINT, CACHED = 1 / 8e9, 0.66e-9, 2.5e6
#: Work of a point beside that of stages, along x and along y, in units of `rhotem.microscope.strips.work`; how many
#: times it is that where strips cannot do a grid.
ALONG_X, ALONG_Y, WHOLE = 1.0, 1.2, 1.9
#: Seconds of a point of a wave on its way in and out; to make a point of a potential and of what it does to waves, and
#: a potential whatever its size; of a complex product of matrices, per operation; of an intensity, with what detectors
#: see of it; of a κ; to begin.
ENDS, MAKE, TABLES, PRODUCT, INTENSITY, GROUP, BEGIN = 6e-9, 36e-9, 0.03, 1 / 70e9, 6.5e-9, 2e-3, 0.4
#: Seconds for core losses: of a point of a wave on its way to where atoms are; of an operation of their large products;
#: of a channel's point at one κ of an atom in its cell, with its transform; to solve an atom.
VALUE, FORM, SCATTERED, ATOM = 8e-9, 1 / 88e9, 36e-9, 2.1
#: Bytes of a beam and a point of the grid for these: the wave, its values, these weighed, and their conjugates.
LOSS_BYTES = 34.0
#: Beams beyond the edge of the aperture that count, too: a ring so many pixels wide.
AROUND = 1.5
#: Seconds to read a byte of slices from disk and unpack it.
READ = 1 / 0.3e9


@dataclass(frozen=True)
class Sizes:
    """What a potential is before it is made.

    Parameters
    ----------
    extent, shape : pairs
        Lateral cell in Å, and the grid of the waves on it.
    slices, thickness : int, float
        Their number, and thickness in Å.
    held : float
        Bytes of all slices.
    on_disk : bool
        They are read from there, window by window.
    planes : int or None
        Slices that hold something, which take the time; None: all.
    elements : dict or None
        How many of these hold atoms of an atomic number; None: not known.
    """

    extent: tuple[float, float]
    shape: tuple[int, int]
    slices: int
    thickness: float
    held: float
    on_disk: bool = False
    planes: int | None = None
    elements: dict[int, int] | None = None

    @property
    def acting(self) -> int:
        """Slices that waves do not skip."""
        return self.slices if self.planes is None else self.planes

    def alive(self, configurations: int) -> float:
        """Bytes of slices at a time: those of one configuration are there while the next ones are made."""
        return self.held * (2.0 if configurations > 1 else 1.0)

    @classmethod
    def of(cls, potential: "PotentialSlices") -> "Sizes":
        """Those of a potential that is there."""
        array = potential.array
        return cls(
            potential.extent,
            potential.wave_grid,
            len(array),
            potential.thickness,
            float(array.dtype.itemsize * array.size),
            not isinstance(array, np.ndarray),
            sum(bool(np.any(one)) for one in array) if isinstance(array, np.ndarray) else None,
        )

    @property
    def sampling(self) -> tuple[float, float]:
        """Step of the grid of the waves in Å."""
        return self.extent[0] / self.shape[0], self.extent[1] / self.shape[1]

    def within(self, windows: Windows) -> "Sizes":
        """Those of one window, in memory."""
        share = windows.points[0] * windows.points[1] / (windows.shape[0] * windows.shape[1])
        return replace(self, extent=windows.size, shape=windows.points, held=share * self.held, on_disk=False)


@dataclass(frozen=True)
class Estimate:
    """What an algorithm takes for one configuration; all of them together where they are ``shared``.

    ``waves`` are those propagated, ``seconds`` on one core, ``memory`` beside the slices, in bytes.
    """

    algorithm: str
    waves: float
    seconds: float
    memory: float
    tiling: tuple[int, int]
    interpolation: tuple[int, int] = (1, 1)
    shared: bool = False


@dataclass(frozen=True)
class Cost:
    """Cost model of the algorithms for one potential.

    Parameters
    ----------
    sizes : Sizes
        Of the potential that probes go through: of a window, if there are several.
    microscope, detectors
        What is recorded.
    probes : int
        All of them.
    tiling : (int, int)
        The probe's supercell in cells of the potential.
    window : float
        Smallest side of that supercell in Å.
    number : int
        Windows.
    twin : bool
        One share of the κ goes through two configurations, for the error bar.
    """

    sizes: Sizes
    microscope: Microscope
    detectors: "Detectors"
    probes: int
    tiling: tuple[int, int]
    window: float
    number: int = 1
    twin: bool = True

    @property
    def _points(self) -> int:
        return self.sizes.shape[0] * self.sizes.shape[1]

    @property
    def _nodes(self) -> int:
        return len(focal_nodes(self.microscope)[0])

    def _disc(self, angle: float) -> float:
        """Number of supercell beams within ``angle`` mrad."""
        area = float(np.prod(self.sizes.extent) * np.prod(self.tiling))
        return float(np.pi * (angle * 1e-3 / self.microscope.wavelength) ** 2 * area)

    @property
    def _beams(self) -> float:
        """Number of supercell beams of the aperture, those around it included that have weights."""
        area = float(np.prod(self.sizes.extent) * np.prod(self.tiling))
        radius = 1e-3 * self.microscope.convergence / self.microscope.wavelength
        return float(np.pi * (radius + AROUND / np.sqrt(area)) ** 2 * area)

    def patterns(self) -> float:
        """Bytes of diffraction patterns: with a dose those expected, those drawn, and their fractions of the beam."""
        copies = 1.0 if self.microscope.dose is None else 3.0
        return copies * sum(4.0 * self.probes * self._disc(d.outer) * 4 / np.pi for d in self.detectors if d.patterns)

    def _transforms(self, waves: float, points: float) -> float:
        """Seconds of one core for abTEM's multislice of ``waves`` on ``points``: transforms there and back, products.

        It transforms a batch of waves together, which leaves the cache.
        """
        return float(waves * self.sizes.slices * points * (10 * np.log2(points) + 24) * FFT_LARGE * pace())

    def _passes(self, waves: float) -> float:
        """Seconds of one core to send ``waves`` through all slices."""
        from rhotem.microscope.lanes import LANES
        from rhotem.microscope.strips import fits, work

        nx, ny = fast_grid(self.sizes.shape)
        points = float(nx * ny)
        if fits((nx, ny)):
            units = ALONG_X + work(nx) + (ALONG_Y + work(ny)) * LANES * np.ceil((2 * nx / 3 + 1) / LANES) / nx
        else:
            units = WHOLE * (ALONG_X + ALONG_Y + 2.0)
        slower = 1.0 + (8.0 * points / CACHED) ** 0.7
        return float(waves * points * (self.sizes.acting * units * slower * POINT + ENDS) * pace())

    @property
    def _making(self) -> float:
        """Seconds to make the potentials of one configuration, at the pace of one."""
        held = self.sizes.held * self.sizes.acting / max(1, self.sizes.slices)
        return TABLES + MAKE * 0.25 * held * self.number

    def bloch(self, configurations: int) -> Estimate:
        """Every configuration takes a share of the κ, so all together cost one pass of the probe's beams.

        Not so for patterns: each of their pixels belongs to one κ and would see one configuration only. Nor
        in windows: those of a defect show what is there once.
        """
        shared = configurations > 1 and self.number == 1 and not sees_pixels(self.detectors)
        tiling = spread(self.tiling, self.sizes.extent, configurations) if shared else self.tiling
        larger = float(np.prod(tiling)) / float(np.prod(self.tiling))
        outer = farthest_angle(self.detectors, self.microscope.camera_step)
        beams, kappas = self._beams * larger, float(np.prod(tiling))
        points = float(np.prod(fast_grid(self.sizes.shape)))
        twice = 1.0 + 1.0 / configurations if shared and self.twin else 1.0
        seconds = self._passes(beams * self.number) + self._assembly(beams, kappas, self._disc(outer) * larger)
        made = (configurations if shared else 1) * self._making
        seconds = seconds * twice + (made + BEGIN / (1 if shared else configurations)) * pace()
        memory = 8.0 * (self.sizes.slices + 8) * points  # and waves of two threads
        memory += 8.0 * beams / kappas * self._disc(outer) * larger / kappas + 3e8
        return Estimate("bloch", beams * self.number, seconds, memory, tiling, shared=shared)

    def _assembly(self, beams: float, kappas: float, seen: float) -> float:
        """Seconds of one core to put all probes together from ``beams``, and detect them in ``seen`` beams."""
        each = 8.0 * beams / kappas * PRODUCT + INTENSITY
        return float((self.probes * seen * self._nodes * each + kappas * self.number * GROUP) * pace())

    def core_losses(self, configurations: int) -> tuple[float, float]:
        """Seconds of one core for maps of core losses after images, and bytes beside the slices.

        Beams and potentials are made once more. Planes count as having atoms of every edge where it is not known what
        they hold.
        """
        from rhotem.microscope.ionisation import NODES

        edges = edges_of(self.detectors)
        if not edges:
            return 0.0, 0.0
        kappas = float(np.prod(spread(self.tiling, self.sizes.extent, configurations)))
        each = self._beams / float(np.prod(self.tiling))
        points, held = float(np.prod(fast_grid(self.sizes.shape))), self.sizes.elements or {}
        planes = [held.get(edge.number, self.sizes.acting) for edge in edges]
        forms = kappas * each * points * (max(planes) * VALUE + 8.0 * each * sum(planes) * FORM)
        atoms = NODES**2 * points * SCATTERED * sum(edge.channels for edge in edges) + ATOM * len(edges)
        seconds = self._passes(kappas * each) + (forms + atoms + configurations * self._making) * pace()
        return seconds, core_loss_bytes(each, points, len(edges))

    def multislice(self, configurations: int) -> Estimate:
        """Every probe by itself."""
        points = self._points * float(np.prod(self.tiling))
        seconds = self._transforms(self.probes * self._nodes, points)
        memory = 16.0 * self.sizes.slices * points + 64.0 * points * min(self.probes, 16)
        return Estimate("multislice", self.probes, seconds, memory, self.tiling)

    def prism(self, configurations: int) -> Estimate:
        """Beams of the supercell, some left out where it is larger than a probe needs."""
        points = self._points * float(np.prod(self.tiling))
        size = [e * m for e, m in zip(self.sizes.extent, self.tiling, strict=True)]
        factors = [max(1, int(length // self.window)) for length in size]
        factors = [_divisor(f, n * m) for f, n, m in zip(factors, self.sizes.shape, self.tiling, strict=True)]
        beams = self._disc(self.microscope.convergence) / float(np.prod(factors))
        window = points / float(np.prod(factors))
        reduction = (8.0 * beams * window + 5 * window * np.log2(window)) * self.probes * self._nodes
        seconds = self._transforms(beams, points) + float(reduction) * FFT_LARGE * pace()
        memory = 16.0 * self.sizes.slices * points + 8.0 * beams * points * 0.5
        return Estimate("prism", beams, seconds, memory, self.tiling, (factors[0], factors[1]))


def core_loss_bytes(beams: float, points: float, edges: int) -> float:
    """Bytes beside the slices of maps of core losses, for all beams of one κ on a grid."""
    return LOSS_BYTES * beams * points + 16.0 * edges * beams**2


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
