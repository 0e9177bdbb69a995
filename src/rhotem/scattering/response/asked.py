"""Some detectors at one thickness of a response, ready for any setting of the lens."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aberration_phase, aperture, aperture_weights, opening_of
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.scattering.response.matrices import Beams

Array = npt.NDArray[Any]

#: Apertures whose edges are kept, so that a series at one aperture weighs them once.
KEPT = 8


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of beams, and the lattice on which their differences lie.

    Parameters
    ----------
    beams : Beams
    supercell : (float, float)
        Å.
    """

    beams: Beams
    supercell: tuple[float, float]

    @property
    def step(self) -> tuple[float, float]:
        """Distance of neighbouring beams in 1/Å."""
        return 1 / self.supercell[0], 1 / self.supercell[1]

    @property
    def cell(self) -> tuple[float, float]:
        """Sides in Å of the cell that images show."""
        (a, b), (m, n) = self.supercell, self.beams.period
        return a / m, b / n

    @cached_property
    def frequencies(self) -> tuple[Array, Array]:
        """``kx, ky`` of the beams in 1/Å."""
        vectors = self.beams.vectors
        return vectors[:, 0] / self.supercell[0], vectors[:, 1] / self.supercell[1]

    @cached_property
    def half(self) -> tuple[int, int]:
        """Largest differences along x and y, in reciprocal vectors of the cell that images show."""
        starts = np.cumsum([0, *self.beams.sizes])
        spans = [np.ptp(self.beams.vectors[a:b], axis=0) for a, b in pairwise(starts.tolist())]
        most = np.max(spans, axis=0) // np.array(self.beams.period)
        return int(most[0]), int(most[1])

    @cached_property
    def table(self) -> npt.NDArray[np.int32]:
        """Rows i, j and the place of their difference among (2 half + 1) frequencies along x and y, y fastest."""
        i, j = self.beams.pairs()
        vectors = self.beams.vectors
        q = (vectors[i] - vectors[j]) // np.array(self.beams.period) + np.array(self.half)
        return np.ascontiguousarray(np.stack([i, j, q[:, 0] * (2 * self.half[1] + 1) + q[:, 1]], axis=1), np.int32)


@dataclass(frozen=True, eq=False)
class Asked:
    """Detectors at one thickness.

    Parameters
    ----------
    pairs : Pairs
    recorder : Recorder
        Of the detectors, without positions: its columns are what is summed up.
    table : (n, 3) int32 array
        Rows of `Pairs.table`: all of them, or some.
    matrix : (n, columns) complex array
    rim : (n, 2) complex array
    """

    pairs: Pairs
    recorder: Recorder
    table: npt.NDArray[np.int32]
    matrix: npt.NDArray[np.complex64]
    rim: npt.NDArray[np.complex64]
    _edges: dict[float, tuple[Array, Array]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def opening(self, microscope: Microscope) -> tuple[Array, Array]:
        """Weights (beams,) of an aperture, and what its edge adds where detectors end, (beams, columns)."""
        known = self._edges.get(microscope.convergence)
        if known is not None:
            return known
        kx, ky = self.pairs.frequencies
        covered = np.asarray(self.parts(kx, ky, microscope))
        excess = np.zeros((len(covered), self.matrix.shape[1]))
        rim = np.flatnonzero((covered != 0) & (covered != 1))
        members = self.pairs.beams.vectors[rim]
        both, whole = (self.recorder.exact_weights(members, edge) for edge in (opening_of(microscope), None))
        excess[rim] = both - covered[rim, None] * whole
        with self._lock:
            while len(self._edges) >= KEPT:
                self._edges.pop(next(iter(self._edges)))
            self._edges[microscope.convergence] = covered, excess
        return covered, excess

    def parts(self, kx: Array, ky: Array, microscope: Microscope) -> Array:
        """What beams at ``kx, ky`` count in sums over an aperture."""
        counted = aperture if self.recorder.areas else aperture_weights
        return counted(kx, ky, microscope, self.pairs.step)

    def spectrum(self, microscope: Microscope) -> Array:
        """Fourier coefficients (frequencies along x, along y, columns); signals are the real part of their sum."""
        from rhotem.scattering.response.kernel import add_pairs

        covered, excess = self.opening(microscope)
        kx, ky = self.pairs.frequencies
        wave = np.exp(-1j * aberration_phase(kx, ky, microscope)) / np.sqrt(covered.sum())
        focal = np.pi * microscope.wavelength * microscope.focal_spread * (kx**2 + ky**2)
        shape = tuple(2 * n + 1 for n in self.pairs.half)
        out = np.zeros((shape[0] * shape[1], self.matrix.shape[1]), dtype=complex)
        add_pairs(self.table, wave, covered, focal, excess, self.matrix, self.rim, out)
        return out.reshape(*shape, -1)

    def signals(self, spectrum: Array, scan: Scan, source_size: float) -> Array:
        """Signals (columns, nx, ny) at the positions of a scan, blurred by a source of that FWHM in Å."""
        import scipy.fft

        ranges = [np.arange(-half, half + 1) for half in self.pairs.half]
        axes = []
        for q, length, origin in zip(ranges, self.pairs.cell, scan.origin, strict=True):
            blur = np.exp(-2 * np.pi**2 * source_size**2 / (8 * np.log(2)) * (q / length) ** 2)
            axes.append(blur * np.exp(-2j * np.pi * origin * q / length))
        spectrum = np.moveaxis(spectrum * (axes[0][:, None] * axes[1])[..., None], 2, 0)
        if scan.periodic and np.allclose(scan.size, self.pairs.cell, rtol=1e-9):
            grid = np.zeros((len(spectrum), *scan.shape), dtype=complex)
            x, y = (q % n for q, n in zip(ranges, scan.shape, strict=True))
            if all(n >= len(q) for q, n in zip(ranges, scan.shape, strict=True)):
                grid[:, x[:, None], y] = spectrum
            else:  # positions farther apart than those that determine the image
                np.add.at(grid, (slice(None), x[:, None], y), spectrum)  # type: ignore[arg-type]  # stubs know no tuples
            return np.asarray(scipy.fft.fft2(grid, overwrite_x=True, workers=1).real)
        turns = [
            np.exp(-2j * np.pi * np.outer(step * np.arange(n), q / length))
            for n, step, q, length in zip(scan.shape, scan.step, ranges, self.pairs.cell, strict=True)
        ]
        return np.ascontiguousarray((turns[0] @ spectrum @ turns[1].T).real)
