"""Turning diffracted intensities into detector signals, the same way for every engine."""

import copy

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.camera import Camera
from rhotem.microscope.cells import Cells
from rhotem.microscope.detectors import channels, integral_weight, weight
from rhotem.microscope.optics import beyond, corner
from rhotem.microscope.settings import Detector, Microscope, farthest_angle, largest_angle

Array = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


class Recorder:
    """Sums of intensity over detectors for all probe positions and configurations.

    Engines give it diffracted intensities at beams of the supercell, in pieces; it knows nothing of how they were made.

    Parameters
    ----------
    detectors : sequence of detectors
    positions : int
        Number of probe positions.
    wavelength : float
        Å.
    supercell : (float, float)
        Extent in Å of the cell that the probe lives on; its beams are ``h / supercell``.
    counted : bool
        Electrons will be drawn: the moments of disjoint parts of the diffraction plane (`Cells`) are summed up, too,
        outside the patterns of pixelated detectors; of what lies inside these only the intensity.
    camera : Camera or None
        Pixels that patterns will get; the computed ones cover them.
    areas : bool
        Pixels count by covered parts although no pattern is recorded: responses of the first version were made so.

    Attributes
    ----------
    blurred : bool
        The source has blurred its sums already: those of responses, which know images between positions.
    """

    blurred = False

    def __init__(
        self,
        detectors: "list[Detector] | tuple[Detector, ...]",
        positions: int,
        wavelength: float,
        supercell: tuple[float, float],
        *,
        counted: bool = False,
        camera: Camera | None = None,
        areas: bool = False,
    ) -> None:
        self.wavelength, self._areas = wavelength, areas
        self.step = (1 / supercell[0], 1 / supercell[1])
        self.outer = largest_angle(detectors)
        self.camera = camera
        self.farthest = farthest_angle(detectors, camera.step if camera else None)
        self.channels = channels(detectors)
        self.cells = Cells(detectors) if counted else None
        self._pixelated = [d for d in detectors if d.patterns]
        self.sums = np.zeros((positions, len(self.channels) + self._counted_columns()))
        self.pacbed_half = self._half_width(self.outer)
        self.pacbed = np.zeros(tuple(2 * n + 1 for n in self.pacbed_half))
        self.patterns: dict[str, npt.NDArray[np.float32]] = {}
        for detector in self._pixelated:
            shape = tuple(2 * n + 1 for n in self._half_width(detector.outer))
            self.patterns[detector.name] = np.zeros((positions, *shape), dtype=np.float32)

    def _half_width(self, angle: float) -> tuple[int, int]:
        """Pixels on either side of the middle one of a pattern to ``angle`` mrad."""
        if self.camera is not None:
            edge = self.camera.edge(angle) * 1e-3 / self.wavelength
            return int(np.ceil(edge / self.step[0] - 0.5 - 1e-9)), int(np.ceil(edge / self.step[1] - 0.5 - 1e-9))
        k = angle * 1e-3 / self.wavelength
        return int(k / self.step[0] + 0.5), int(k / self.step[1] + 0.5)

    @property
    def reach(self) -> float:
        """Largest frequency (1/Å) that any detector sees, soft edges and corners included."""
        return self.farthest * 1e-3 / self.wavelength + beyond(self.step)

    def weights(self, beams: IntArray, opening: float | None = None) -> npt.NDArray[np.float32]:
        """Weights (beams, columns) of all channels, and of the cells, at supercell beams ``h`` of shape (n, 2).

        ``opening``: radius (1/Å) of the probe-forming aperture; the weights are then those of what lies inside both.
        """
        return self.exact_weights(beams, opening).astype(np.float32)

    def exact_weights(self, beams: IntArray, opening: float | None = None) -> npt.NDArray[np.float64]:
        """The same in double precision."""
        kx, ky = beams[:, 0] * self.step[0], beams[:, 1] * self.step[1]
        each = weight if self.areas else integral_weight
        rows = [each(channel, kx, ky, self.wavelength, self.step, opening) for channel in self.channels]
        columns = [np.stack(rows, axis=1)] if rows else [np.zeros((len(beams), 0))]
        if self.cells is not None:
            weights = self.cells.weights if self.areas else self.cells.integral_weights
            parts = weights(kx, ky, self.wavelength, self.step, opening)
            outside, scale = parts * self._unseen(beams)[:, None], 1e3 * self.wavelength
            pixel = scale * self.step[0], scale * self.step[1]
            columns.append(self.cells.recorded(outside, scale * kx, scale * ky, pixel))
            columns += [parts - outside] if self.pixelated else []
        return np.concatenate(columns, axis=1)

    def _counted_columns(self) -> int:
        """Columns of `sums` behind those of channels: of cells beyond patterns, and of those within."""
        if self.cells is None:
            return 0
        return len(self.cells.columns) + (len(self.cells.cells) if self._pixelated else 0)

    def _unseen(self, beams: IntArray) -> Array:
        """Part of every beam's pixel outside the patterns of pixelated detectors."""
        if not self.pixelated:
            return np.ones(len(beams))
        largest = max(detector.outer for detector in self._pixelated)
        return 1.0 - self._window(beams, self._half_width(largest))[0]

    @property
    def pixelated(self) -> bool:
        """Whether patterns are recorded."""
        return bool(self._pixelated)

    @property
    def areas(self) -> bool:
        """Whether pixels count by their covered parts, as beside patterns.

        Pixels of patterns cannot be less than dark, so that they and what is seen beside them, of the same electrons,
        count so; signals alone are sums that are integrals to fourth order (`rhotem.microscope.optics.quadrature`).
        """
        return self._areas or self.pixelated

    def add(self, positions: slice, weights: npt.NDArray, intensity: npt.NDArray) -> None:
        """Add ``intensity`` (positions, beams), fractions of the incident beam at the supercell beams, to signals."""
        if not np.isfinite(intensity[:, 0]).all():
            raise InputError("the wave is not finite: the potential holds NaN or absurd values; check the density")
        self.sums[positions] += intensity @ weights

    def show(self, positions: slice, beams: IntArray, intensity: npt.NDArray) -> None:
        """Add ``intensity`` (positions, beams) to patterns and their mean."""
        self.show_mean(beams, intensity.sum(axis=0, dtype=np.float64))
        for detector in self._pixelated:
            inside, index = self._window(beams, self._half_width(detector.outer))
            self.patterns[detector.name][(positions, *index)] += intensity[:, inside]

    def show_mean(self, beams: IntArray, total: npt.NDArray) -> None:
        """Add the sum (beams,) over positions to the mean pattern."""
        k = np.hypot(*(beams * np.array(self.step)).T)
        seen = k <= self.farthest * 1e-3 / self.wavelength + corner(self.step)  # not what only weights take
        inside, index = self._window(beams[seen], self.pacbed_half)
        self.pacbed[index] += total[seen][inside]

    def folded(self, shape: tuple[int, int], repeats: tuple[int, int], passes: int) -> "Recorder":
        """Averages over equal cells of the scan and over ``passes`` of the whole probe.

        ``sums`` and ``patterns`` of the result are fractions of the beam at the positions of one cell, ``pacbed`` is
        the position average.
        """
        one = copy.copy(self)
        cells = (repeats[0], shape[0] // repeats[0], repeats[1], shape[1] // repeats[1])

        def fold(values: npt.NDArray) -> npt.NDArray:
            mean = values.reshape(*cells, *values.shape[1:]).mean(axis=(0, 2)) / passes
            return mean.reshape(cells[1] * cells[3], *values.shape[1:])

        one.sums = fold(self.sums)
        one.patterns = {name: fold(pattern) for name, pattern in self.patterns.items()}
        one.pacbed = self.pacbed / (passes * len(self.sums))
        return one

    def part(self, positions: int) -> "Recorder":
        """An empty one of the same detectors for fewer positions."""
        one = copy.copy(self)
        one.sums = np.zeros((positions, self.sums.shape[1]))
        one.pacbed = np.zeros_like(self.pacbed)
        one.patterns = {k: np.zeros((positions, *v.shape[1:]), dtype=v.dtype) for k, v in self.patterns.items()}
        return one

    def signals(self) -> dict[str, npt.NDArray]:
        """What is summed up, by name."""
        return {"sums": self.sums, "pacbed": self.pacbed, **{f"4D {name}": p for name, p in self.patterns.items()}}

    def scale(self, factor: float) -> None:
        """Multiply all that is summed up."""
        for values in self.signals().values():
            values *= factor

    def put(self, rows: IntArray, part: "Recorder") -> None:
        """Add what a part saw at positions ``rows``."""
        self.sums[rows] += part.sums
        self.pacbed += part.pacbed
        for name, patterns in part.patterns.items():
            self.patterns[name][rows] += patterns

    @staticmethod
    def _window(beams: IntArray, half: tuple[int, int]) -> tuple[npt.NDArray, tuple[npt.NDArray, npt.NDArray]]:
        inside = (np.abs(beams[:, 0]) <= half[0]) & (np.abs(beams[:, 1]) <= half[1])
        return inside, (beams[inside, 0] + half[0], beams[inside, 1] + half[1])


def recorder_of(
    microscope: Microscope, detectors: tuple[Detector, ...], positions: int, supercell: tuple[float, float]
) -> Recorder:
    """What a microscope's settings ask to be recorded at ``positions`` of probes on a ``supercell`` (Å)."""
    camera = Camera(microscope.camera_step) if microscope.camera_step is not None else None
    counted = microscope.dose is not None
    return Recorder(detectors, positions, microscope.wavelength, supercell, counted=counted, camera=camera)
