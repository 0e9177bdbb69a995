"""The probe on the entrance surface: its intensity, how wide it is, and a picture of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.core.figures import blank_figure
from rhotem.microscope.coherence import focal_nodes
from rhotem.microscope.optics import aberration_phase, opening_of, probe_radius, soft_disc
from rhotem.microscope.settings import Microscope

#: Side in Å of the square it is computed on, beside its rays, in Airy radii; points across the narrowest feature.
AIRY, POINTS = 60.0, 24.0
#: Width in Å shown, in diameters that hold half of the beam.
SHOWN = 6.0


@dataclass(frozen=True, eq=False)
class Probe:
    """Intensity of the incident probe.

    Parameters
    ----------
    intensity : (n, n) array
        1/Å² at ``(ix, iy)``, summing with the pixel's area to one; pixel n//2 is the probe's position.
    step : float
        Å.
    """

    intensity: npt.NDArray[np.float64]
    step: float

    def numbers(self) -> dict[str, float]:
        """Widths in Å, JSON-ready.

        ``fwhm`` is the diameter of a disc as large as the area above half of the maximum, ``d50`` and ``d80`` diameters
        around the centroid that hold half and four fifths of the beam, ``peak`` the maximum in 1/Å².
        """
        x = self.step * (np.arange(len(self.intensity)) - len(self.intensity) // 2)
        share = self.intensity / self.intensity.sum()
        r = np.hypot((x - share.sum(axis=1) @ x)[:, None], (x - share.sum(axis=0) @ x)[None]).ravel()
        order = np.argsort(r)
        held = np.cumsum(share.ravel()[order])
        widths = {f"d{part}": 2 * float(np.interp(part / 100, held, r[order])) for part in (50, 80)}
        return {"fwhm": self._fwhm(), **widths, "peak": float(self.intensity.max())}

    def _fwhm(self) -> float:
        area = float((self.intensity > 0.5 * self.intensity.max()).sum()) * self.step**2
        return 2 * float(np.sqrt(area / np.pi))


def incident_probe(microscope: Microscope) -> Probe:
    """Probe of a microscope on the entrance surface, averaged over focal spread and blurred by the source."""
    import scipy.fft

    radius = opening_of(microscope)
    width = AIRY * 0.61 / radius + 4 * probe_radius(microscope) + 4 * microscope.source_size
    n = 2 * int(np.ceil(width * radius * POINTS / 2))
    step = width / n
    q = np.fft.fftfreq(n, step)
    kx, ky = q[:, None], q[None]
    amplitude = soft_disc(kx, ky, radius, (1 / width, 1 / width))
    intensity = np.zeros((n, n))
    lit = np.nonzero(amplitude)
    x, y = (np.broadcast_to(k, (n, n))[lit] for k in (kx, ky))
    wave = np.zeros((n, n), dtype=complex)
    for offset, share in zip(*focal_nodes(microscope), strict=True):
        wave[lit] = amplitude[lit] * np.exp(-1j * aberration_phase(x, y, microscope, offset))
        focused = scipy.fft.ifft2(wave)
        intensity += share * (focused.real**2 + focused.imag**2)
    if microscope.source_size:
        variance = microscope.source_size**2 / (8 * np.log(2))
        blur = np.exp(-2 * np.pi**2 * variance * (kx**2 + ky**2))
        intensity = np.fft.ifft2(np.fft.fft2(intensity) * blur).real
    intensity = np.fft.fftshift(intensity)
    return Probe(intensity / (intensity.sum() * step**2), step)


def draw_probe(probe: Probe, path: str | Path, title: str) -> None:
    """Picture of the intensity as PNG, x to the right and y downwards, with its widths and profiles along both."""
    found, middle = probe.numbers(), len(probe.intensity) // 2
    half = min(middle, int(np.ceil(0.5 * SHOWN * found["d50"] / probe.step)))
    near = slice(middle - half, middle + half)
    shown, side = probe.intensity[near, near], half * probe.step
    figure = blank_figure(7.6, 3.9, dpi=150)
    widths = f"FWHM {found['fwhm']:.3f} Å, half of the beam within d50 = {found['d50']:.3f} Å"
    figure.suptitle(f"{title}\n{widths}", fontsize=8)
    axes = figure.add_subplot(1, 2, 1)
    drawn = axes.imshow(shown.T, extent=(-side, side, side, -side), cmap="gray")
    axes.set_title("probe (1/Å²)", fontsize=9)
    axes.set_xlabel("x (Å)", fontsize=7)
    axes.set_ylabel("y (Å)", fontsize=7)
    axes.tick_params(labelsize=6)
    figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02).ax.tick_params(labelsize=6)
    lines = figure.add_subplot(1, 2, 2)
    distance = probe.step * np.arange(-half, half)
    lines.plot(distance, shown[:, half], label="along x", lw=1)
    lines.plot(distance, shown[half], label="along y", lw=1, ls="--")
    lines.set_xlabel("distance (Å)", fontsize=7)
    lines.tick_params(labelsize=6)
    lines.legend(fontsize=7, frameon=False)
    figure.savefig(path)
