"""Single-sideband ptychography: the phase of a weak phase object, with aberrations taken out.

A weak phase object exp(iφ) makes patterns whose component at the scan frequency Q is

    G(k, Q) = i φ(Q) [P(k − Q) P*(k) − P*(k + Q) P(k)],        P = A exp(−iχ)

of first order in φ (Rodenburg, McCallum & Nellist, Ultramicroscopy 48, 304, 1993; Pennycook et al., Ultramicroscopy
151, 160, 2015). The bracket Γ is 1 in size where the disc overlaps with one of the two sidebands and χ is zero. Every
pixel k of the disc counts by Γ*, which is the fit of φ(Q) with the least noise, as all pixels of the disc are equally
bright; in focus this is the sum over both sidebands, out of focus where all three overlap contributes, too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rhotem.core import InputError, Progress, silent
from rhotem.microscope.images import ImageSet
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aberration_phase, soft_disc
from rhotem.microscope.reconstruct.base import Method, phase_images
from rhotem.microscope.reconstruct.data import ScannedPatterns

Array = npt.NDArray[Any]

#: Largest number of pixels × frequencies that are worked on at a time.
BLOCK = 2_000_000
#: Points across a pixel of a camera that its model averages over: phases turn within a pixel where the probe is wide.
ACROSS = 3


class SingleSideband(Method):
    """Single-sideband ptychography: the phase σV of a thin specimen up to twice the convergence angle.

    Parameters
    ----------
    least_transfer : float
        Frequencies whose transfer Σ|Γ|² over the disc is below this part of the disc are left out: noise would drown
        them, and the edges of few pixels decide.
    """

    about: ClassVar[str] = "single-sideband ptychography: the phase of thin specimens, aberrations taken out"

    kind: Literal["ssb"] = "ssb"
    least_transfer: float = Field(0.03, gt=0, lt=1)

    def reconstruct(self, patterns: ScannedPatterns, progress: Progress = silent) -> ImageSet:
        """Phase in rad, mean zero; the record holds the band, and the noise where electrons were counted.

        Raises
        ------
        InputError
            If the scan is too coarse, or no frequency of the scan lies within the overlap of the discs.
        """
        patterns.require_fine_scan("ssb")
        band = Band.of(patterns)
        spectrum, transfer = _fit(patterns, band, progress)
        kept = transfer > self.least_transfer
        spectrum = np.where(kept, spectrum / np.where(kept, transfer, 1.0), 0.0)
        nx, ny = patterns.scan.shape
        whole = np.zeros((nx, ny // 2 + 1), complex)
        whole[band.rows, band.columns] = spectrum
        phase = np.fft.irfft2(whole, s=(nx, ny), norm="forward")
        said: dict[str, Any] = {
            "method": "ssb",
            "least_transfer": self.least_transfer,
            "frequencies": int(kept.sum()),
            "band_per_A": [float(np.hypot(band.x, band.y)[kept].min()), float(np.hypot(band.x, band.y)[kept].max())]
            if kept.any()
            else [],
        }
        if patterns.electrons:
            said["noise_rad"] = _noise(transfer[kept], band.twice[kept], patterns)
        return phase_images({"SSB": phase}, patterns, patterns.scan, said)


@dataclass(frozen=True, eq=False)
class Band:
    """Scan frequencies below twice the aperture, half of the plane: the others follow as the phase is real.

    Parameters
    ----------
    rows, columns : (n,) int arrays
        Places in a half spectrum (nx, ny // 2 + 1).
    x, y : (n,) arrays
        Frequencies in 1/Å.
    twice : (n,) array
        2 where the frequency stands for −Q, too, else 1.
    """

    rows: Array
    columns: Array
    x: Array
    y: Array
    twice: Array

    @classmethod
    def of(cls, patterns: ScannedPatterns) -> "Band":
        """Those of a scan.

        Raises
        ------
        InputError
            If there are none.
        """
        (nx, ny), (dx, dy) = patterns.scan.shape, patterns.scan.step
        x, y = np.meshgrid(np.fft.fftfreq(nx, dx), np.fft.rfftfreq(ny, dy), indexing="ij")
        farthest = 2e-3 * patterns.microscope.convergence / patterns.microscope.wavelength
        q = np.hypot(x, y)
        # the unpaired frequencies of an even number of positions have no sign
        unpaired = np.isclose(np.abs(x), 0.5 / dx) | np.isclose(y, 0.5 / dy)
        rows, columns = np.nonzero((q > 0) & (q < farthest) & ~unpaired)
        if not len(rows):
            raise InputError(
                f"ssb: no overlap of discs: {patterns.microscope.convergence:g} mrad transfers only details above "
                f"{1 / farthest:.3g} Å, the scan is {patterns.scan.size[0]:.3g} × {patterns.scan.size[1]:.3g} Å; use a "
                "larger convergence, or scan a larger field"
            )
        return cls(rows, columns, x[rows, columns], y[rows, columns], np.where(columns == 0, 1.0, 2.0))


@dataclass(frozen=True, eq=False)
class Detector:
    """Model of the pixels of the bright-field disc.

    Parameters
    ----------
    microscope : Microscope
    points : list of (kx, ky)
        1/Å (Kx, Ky): one for single beams, several that a pixel of a camera averages over.
    edge : (float, float)
        Width in 1/Å over which the aperture falls at these points.
    """

    microscope: Microscope
    points: list[tuple[Array, Array]]
    edge: tuple[float, float]

    @classmethod
    def of(cls, patterns: ScannedPatterns) -> "Detector":
        """That of recorded patterns."""
        scale = 1e-3 / patterns.microscope.wavelength
        across = ACROSS if patterns.integrating else 1
        inside = (np.arange(across) - (across - 1) / 2) / across
        points = [patterns.shifted(x, y) for x in inside for y in inside]
        step = patterns.angular_step
        edge = (scale * step[0] / across, scale * step[1] / across)
        return cls(patterns.microscope, [(scale * kx, scale * ky) for kx, ky in points], edge)

    def probe(self, kx: Array, ky: Array) -> Array:
        """A exp(−iχ), with A = 1 inside the aperture."""
        amplitude = soft_disc(kx, ky, 1e-3 * self.microscope.convergence / self.microscope.wavelength, self.edge)
        if not self.microscope.coefficients:
            return amplitude
        return np.asarray(amplitude * np.exp(-1j * aberration_phase(kx, ky, self.microscope)))

    def disc(self) -> Array:
        """Brightness (Kx, Ky) of the disc without a specimen, 1 inside."""
        return np.asarray(np.mean([np.abs(self.probe(*k)) ** 2 for k in self.points], axis=0))

    def sidebands(self, band: "Band", i: Array, j: Array) -> Array:
        """Γ = i [P(k − Q) P*(k) − P*(k + Q) P(k)] (frequencies, pixels) at pixels i, j."""
        x, y = band.x[:, None], band.y[:, None]
        total: Array = np.zeros((len(band.x), len(i)), complex)
        for kx, ky in ((kx[i, j], ky[i, j]) for kx, ky in self.points):
            here = self.probe(kx, ky)
            total += self.probe(kx - x, ky - y) * here.conj() - self.probe(kx + x, ky + y).conj() * here
        return np.asarray(1j * total / len(self.points))


def _fit(patterns: ScannedPatterns, band: Band, progress: Progress) -> tuple[Array, Array]:
    """Σ Γ* G and Σ |Γ|² over the disc at the frequencies of a band, both over the number of pixels of the disc."""
    from scipy.fft import rfft2

    detector = Detector.of(patterns)
    disc = detector.disc()
    brightness = (disc * patterns.mean).sum() / (disc**2).sum()
    pixels = np.argwhere(disc > 0)
    found, transfer = np.zeros(len(band.x), complex), np.zeros(len(band.x))
    at_once = max(1, BLOCK // max(len(band.x), patterns.scan.shape[0] * patterns.scan.shape[1]))
    for start in range(0, len(pixels), at_once):
        i, j = pixels[start : start + at_once].T
        g = rfft2(patterns.data[:, :, i, j].astype(np.float64), axes=(0, 1), norm="forward")[band.rows, band.columns]
        model = detector.sidebands(band, i, j)
        found += (model.conj() * g).sum(axis=1) / brightness
        transfer += (np.abs(model) ** 2).sum(axis=1)
        progress("single sidebands", min(start + at_once, len(pixels)), len(pixels))
    return found / disc.sum(), transfer / disc.sum()


def _noise(transfer: Array, twice: Array, patterns: ScannedPatterns) -> float:
    """Standard deviation in rad of a pixel by counting: every frequency has the variance 1 / (electrons × transfer)."""
    electrons = (patterns.electrons or 0.0) * patterns.scan.shape[0] * patterns.scan.shape[1]
    return float(np.sqrt((twice / transfer).sum() / electrons))
