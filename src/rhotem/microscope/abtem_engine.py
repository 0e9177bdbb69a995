"""abTEM as the engine for defects: multislice of single probes, and PRISM with interpolation."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MissingDependencyError
from rhotem.microscope.optics import focal_nodes
from rhotem.microscope.record import Recorder
from rhotem.microscope.settings import Microscope

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

#: Probes sent through abTEM at a time.
BATCH = 16


def _abtem() -> Any:
    try:
        import abtem
    except ImportError:
        raise MissingDependencyError("abTEM is not installed: pip install 'abtem>=1.0.11'") from None
    return abtem


def potential_array(slices: "PotentialSlices", tiling: tuple[int, int] = (1, 1)) -> Any:
    """The slices as `abtem.PotentialArray`, repeated ``tiling`` times along x and y.

    abTEM takes projected potentials in V·Å as they are, so images equal those of its own potentials bit by bit.
    """
    array = np.tile(slices.array.astype(np.float32, copy=False), (1, *tiling))
    extent = tuple(length * m for length, m in zip(slices.extent, tiling, strict=True))
    return _abtem().PotentialArray(array, slice_thickness=slices.thickness, extent=extent)


class AbtemEngine:
    """Multislice (``interpolation=None``) or PRISM by abTEM, with RhoTEM's detectors.

    Parameters
    ----------
    microscope : Microscope
    extent : (float, float)
        Lateral cell of the potential in Å.
    thickness : float
        Slice thickness in Å.
    tiling : (int, int)
        Supercell in cells of the potential.
    interpolation : (int, int) or None
        PRISM interpolation factors.
    """

    def __init__(
        self,
        microscope: Microscope,
        extent: tuple[float, float],
        thickness: float,
        tiling: tuple[int, int],
        interpolation: tuple[int, int] | None = None,
    ) -> None:
        self.microscope, self.thickness, self.tiling, self.interpolation = microscope, thickness, tiling, interpolation
        self.extent = extent
        if interpolation and any(microscope.tilt):
            raise InputError("PRISM cannot tilt the crystal; use algorithm 'bloch' or 'multislice'")
        factors = interpolation or (1, 1)
        self.supercell = (extent[0] * tiling[0] / factors[0], extent[1] * tiling[1] / factors[1])

    def run(
        self,
        slices: npt.NDArray,
        positions: npt.NDArray[np.float64],
        recorders: dict[int, Recorder],
        advance: Callable[[int], None] = lambda waves: None,
    ) -> None:
        """Propagate one configuration and add its intensities to the recorders (exit slice -> recorder)."""
        for exit_slice in sorted(recorders):
            part = np.tile(slices[:exit_slice].astype(np.float32, copy=False), (1, *self.tiling))
            extent = tuple(e * m for e, m in zip(self.extent, self.tiling, strict=True))
            potential = _abtem().PotentialArray(part, slice_thickness=self.thickness, extent=extent)
            for offset, share in zip(*focal_nodes(self.microscope.focal_spread), strict=True):
                waves = self._prism(potential, offset) if self.interpolation else self._multislice(potential, offset)
                self._record(waves, positions, recorders[exit_slice], share, advance)

    def _aberrations(self, defocus: float) -> dict[str, float]:
        """Those of the probe, half a slice on: a slice acts in its middle, and abTEM lets it act where it begins."""
        coefficients = self.microscope.coefficients
        return {**coefficients, "C10": coefficients.get("C10", 0.0) - defocus + self.thickness / 2}

    def _multislice(self, potential: Any, defocus: float) -> Callable[[Any], npt.NDArray]:
        abtem = _abtem()
        probe = abtem.Probe(
            energy=self.microscope.energy,
            semiangle_cutoff=self.microscope.convergence,
            aberrations=self._aberrations(defocus),
            tilt=self.microscope.tilt,
        )
        probe.grid.match(potential)
        return lambda scan: probe.multislice(potential, scan=scan, lazy=False).array

    def _prism(self, potential: Any, defocus: float) -> Callable[[Any], npt.NDArray]:
        abtem = _abtem()
        matrix = abtem.SMatrix(
            potential=potential,
            energy=self.microscope.energy,
            semiangle_cutoff=self.microscope.convergence,
            interpolation=self.interpolation,
            downsample=False,
        ).build(lazy=False)
        ctf = abtem.CTF(
            energy=self.microscope.energy,
            semiangle_cutoff=self.microscope.convergence,
            aberration_coefficients=self._aberrations(defocus),
        )
        return lambda scan: matrix.reduce(scan=scan, ctf=ctf, detectors=abtem.WavesDetector()).array

    def _record(
        self,
        waves_at: Callable[[Any], npt.NDArray],
        positions: npt.NDArray[np.float64],
        recorder: Recorder,
        share: float,
        advance: Callable[[int], None],
    ) -> None:
        # over that half slice a tilted probe moves
        positions = positions + np.tan(1e-3 * np.array(self.microscope.tilt)) * self.thickness / 2
        weights: npt.NDArray | None = None
        keep = beams = np.zeros(0, dtype=np.int64)
        for start in range(0, len(positions), BATCH):
            rows = slice(start, min(start + BATCH, len(positions)))
            waves = np.asarray(waves_at(_abtem().CustomScan(positions[rows])))
            if weights is None:
                h = [np.rint(np.fft.fftfreq(n) * n).astype(np.int64) for n in waves.shape[-2:]]
                k2 = (h[0] * recorder.step[0])[:, None] ** 2 + (h[1] * recorder.step[1])[None] ** 2
                keep = np.flatnonzero(k2 <= recorder.reach**2)
                i, j = np.unravel_index(keep, k2.shape)
                beams = np.stack([h[0][i], h[1][j]], axis=1)
                weights = recorder.weights(beams)
            spectrum = np.fft.fft2(waves).reshape(len(waves), -1)[:, keep]
            recorder.add(rows, beams, weights, share * (spectrum.real**2 + spectrum.imag**2))
            advance(rows.stop - rows.start)
