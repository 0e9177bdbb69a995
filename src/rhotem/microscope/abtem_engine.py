"""abTEM as the engine for defects: multislice of single probes, and PRISM with interpolation."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MissingDependencyError
from rhotem.core.threads import available_threads
from rhotem.microscope.coherence import focal_nodes
from rhotem.microscope.optics import aberration_phase, aperture, aperture_weights, opening_of, soft_aperture
from rhotem.microscope.record import Recorder
from rhotem.microscope.rim import Edge, Rim
from rhotem.microscope.settings import Microscope
from rhotem.microscope.transmission import transmission

#: Probes sent through abTEM at a time.
BATCH = 16


def _abtem() -> Any:
    try:
        import abtem
    except ImportError:
        raise MissingDependencyError("abTEM is not installed: pip install 'abtem>=1.0.11'") from None
    return abtem


def transmitting(slices: npt.NDArray, thickness: float, extent: tuple[float, float]) -> Any:
    """Transmission functions (S, nx, ny) as a potential that abTEM takes as they are, instead of exponentiating it."""

    class Transmitting(_abtem().PotentialArray):  # type: ignore[misc]  # abTEM is imported when called
        def _transmission_function(self, array: Any, energy: float) -> Any:
            return array

    return Transmitting(slices, slice_thickness=thickness, extent=extent)


class AbtemEngine:
    """Multislice (``interpolation=None``) or PRISM by abTEM, with RhoTEM's transmission functions and detectors.

    Parameters
    ----------
    microscope : Microscope
    extent : (float, float)
        Lateral cell of the potential in Å.
    shape : (int, int)
        Grid of the waves on it; that of the potential, or a coarser one.
    thickness : float
        Slice thickness in Å.
    tiling : (int, int)
        Supercell in cells of the potential.
    interpolation : (int, int) or None
        PRISM interpolation factors. The edge of the aperture is averaged (`rhotem.microscope.rim`) unless they leave
        beams out.
    """

    def __init__(
        self,
        microscope: Microscope,
        extent: tuple[float, float],
        shape: tuple[int, int],
        thickness: float,
        tiling: tuple[int, int],
        interpolation: tuple[int, int] | None = None,
    ) -> None:
        self.microscope, self.thickness, self.tiling, self.interpolation = microscope, thickness, tiling, interpolation
        self.extent, self.shape = extent, shape
        if interpolation and any(microscope.tilt):
            raise InputError("PRISM cannot tilt the crystal; use algorithm 'bloch' or 'multislice'")
        factors = interpolation or (1, 1)
        self.whole = (extent[0] * tiling[0], extent[1] * tiling[1])
        self.supercell = (self.whole[0] / factors[0], self.whole[1] / factors[1])
        self.grid = (shape[0] * tiling[0] // factors[0], shape[1] * tiling[1] // factors[1])
        self.averaged = factors == (1, 1)

    def run(
        self,
        slices: npt.NDArray,
        positions: npt.NDArray[np.float64],
        recorders: dict[int, Recorder],
        advance: Callable[[int], None] = lambda waves: None,
    ) -> None:
        """Propagate one configuration and add its intensities to the recorders (exit slice -> recorder)."""
        # over half a slice a tilted probe moves
        positions = positions + np.tan(1e-3 * np.array(self.microscope.tilt)) * self.thickness / 2
        interaction, threads = self.microscope.interaction, available_threads()
        functions = transmission(slices, self.shape, self.extent, interaction, threads)
        for exit_slice in sorted(recorders):
            tiled = np.tile(functions[:exit_slice], (1, *self.tiling))
            potential = transmitting(tiled, self.thickness, self.whole)
            seen = self._seen(recorders[exit_slice], potential)
            for offset, share in zip(*focal_nodes(self.microscope), strict=True):
                waves = self._prism(potential, offset) if self.interpolation else self._multislice(potential, offset)
                for start in range(0, len(positions), BATCH):
                    rows = slice(start, min(start + BATCH, len(positions)))
                    found = np.asarray(waves(_abtem().CustomScan(positions[rows])))
                    spectrum = np.fft.fft2(found).reshape(len(found), -1)[:, seen.keep]
                    seen.add(rows, spectrum, share, self._rim_waves(seen, positions[rows], offset))
                    advance(rows.stop - rows.start)

    def _seen(self, recorder: Recorder, potential: Any) -> "_Seen":
        """What of a diffracted wave is recorded, and how the edge of the aperture is averaged."""
        h = [np.rint(np.fft.fftfreq(n) * n).astype(np.int64) for n in self.grid]
        k2 = (h[0] * recorder.step[0])[:, None] ** 2 + (h[1] * recorder.step[1])[None] ** 2
        keep = np.flatnonzero(k2 <= recorder.reach**2)
        i, j = np.unravel_index(keep, k2.shape)
        beams = np.stack([h[0][i], h[1][j]], axis=1)
        if not self.averaged:
            return _Seen(recorder, keep, beams)
        k = h[0][:, None] * recorder.step[0], h[1][None] * recorder.step[1]
        covered, area, soft = (
            edge(*k, self.microscope, recorder.step)
            for edge in (aperture if recorder.pixelated else aperture_weights, aperture, soft_aperture)
        )
        norm = float(np.sqrt(covered.sum()))
        i, j = np.nonzero(((covered != 0) & (covered != 1)) | (covered != soft))
        there = np.stack([h[0][i], h[1][j]], axis=1)
        edge = Edge(there, covered[i, j], area[i, j], self._scattered(there, potential, keep), np.arange(len(there)))
        brightness = float((soft**2).sum() / covered.sum())  # abTEM normalises the mean amplitude
        missing = (covered - soft)[i, j][:, None] * edge.matrix
        rim = Rim(edge, norm, opening_of(self.microscope), beams, recorder)
        return _Seen(recorder, keep, beams, rim, brightness, there, norm, missing)

    def _scattered(self, beams: npt.NDArray[np.int64], potential: Any, keep: npt.NDArray) -> npt.NDArray[np.complex64]:
        """What plane waves of unit amplitude scatter into the beams that are kept."""
        x, y = (np.arange(n) / n for n in self.grid)
        tilt = dict(zip(("base_tilt_x", "base_tilt_y"), self.microscope.tilt, strict=True))
        rows = np.empty((len(beams), len(keep)), dtype=np.complex64)
        for start in range(0, len(beams), BATCH):
            part = beams[start : start + BATCH]
            phase = part[:, :1, None] * x[None, :, None] + part[:, 1:, None] * y[None, None]
            waves = _abtem().Waves(
                np.exp(2j * np.pi * phase).astype(np.complex64),
                energy=self.microscope.energy,
                extent=self.whole,
                ensemble_axes_metadata=[_abtem().core.axes.OrdinalAxis(values=tuple(range(len(part))))],
                metadata=tilt if any(self.microscope.tilt) else {},
            )
            found = np.asarray(waves.multislice(potential).array)
            rows[start : start + len(part)] = np.fft.fft2(found).reshape(len(part), -1)[:, keep] / found[0].size
        return rows

    def _rim_waves(self, seen: "_Seen", positions: npt.NDArray, defocus: float) -> npt.NDArray[np.complex64]:
        """Amplitudes (positions, beams at the rim) of normalised probes whose aperture were open everywhere."""
        kx, ky = (seen.edge * np.array(seen.recorder.step)).T
        half = self.microscope.model_copy(update={"defocus": 0.0, "cs": 0.0, "aberrations": self._aberrations(defocus)})
        phase = positions[:, :1] * kx + positions[:, 1:] * ky
        amplitudes = np.exp(-1j * (aberration_phase(kx, ky, half) + 2 * np.pi * phase)) / seen.norm
        return np.asarray(amplitudes, dtype=np.complex64)

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
        # its own circle is hard: all beams of which the aperture covers a part
        beyond = 1e3 * self.microscope.wavelength * 0.5 * float(np.hypot(1 / self.supercell[0], 1 / self.supercell[1]))
        matrix = abtem.SMatrix(
            potential=potential,
            energy=self.microscope.energy,
            semiangle_cutoff=self.microscope.convergence + beyond,
            interpolation=self.interpolation,
            downsample=False,
        ).build(lazy=False)
        ctf = abtem.CTF(
            energy=self.microscope.energy,
            semiangle_cutoff=self.microscope.convergence,
            aberration_coefficients=self._aberrations(defocus),
        )
        return lambda scan: matrix.reduce(scan=scan, ctf=ctf, detectors=abtem.WavesDetector()).array


@dataclass
class _Seen:
    """What detectors see of the waves at one exit.

    Parameters
    ----------
    recorder : Recorder
    keep, beams : arrays
        Places in a transformed wave, and the beams there.
    rim : Rim or None
    brightness : float
        Intensity of abTEM's probe where a rim is added to it.
    edge : (m, 2) int array
        Beams at the rim.
    norm : float
        Of amplitudes at the rim.
    missing : (m, beams) array
        What beams at the rim scatter by what abTEM's soft edge leaves out of their weights.
    """

    recorder: Recorder
    keep: npt.NDArray[np.int64]
    beams: npt.NDArray[np.int64]
    rim: Rim | None = None
    brightness: float = 1.0
    edge: npt.NDArray[np.int64] = dataclass_field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    norm: float = 1.0
    missing: npt.NDArray[np.complex64] | None = None

    def __post_init__(self) -> None:
        self.weights = self.recorder.weights(self.beams)

    def add(self, rows: slice, waves: npt.NDArray, share: float, rim_waves: npt.NDArray) -> None:
        """Add the diffracted waves (positions, beams) of probes."""
        waves = np.sqrt(self.brightness) * waves
        if self.missing is not None:
            waves = waves + rim_waves @ self.missing
        intensity = waves.real**2 + waves.imag**2
        shown = intensity if self.rim is None else self.rim.shown(rim_waves, waves)
        self.recorder.show(rows, self.beams, share * shown)
        if self.rim is not None:
            intensity += self.rim.background
            self.recorder.sums[rows] += share * self.rim.correction(rim_waves, waves)
        self.recorder.add(rows, self.weights, share * intensity)
