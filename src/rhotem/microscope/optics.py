"""The probe in reciprocal space, and the band limit that keeps multislice free of aliasing."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rhotem.microscope.instrument import Microscope

#: Band limit as a fraction of the Nyquist frequency of the coarser axis, and its taper; the values of abTEM 1.0
#: (`antialias.cutoff`, `antialias.taper`). A product of two functions limited to 2/3 aliases only beyond 2/3
#: (Kirkland, Advanced Computing in Electron Microscopy, section 6.8).
BAND_LIMIT = 0.6666666
TAPER = 0.01

#: Semi-angle in mrad that an objective lens without an aperture passes: bores and correctors end there or before.
OPEN = 100.0

Array = npt.NDArray[np.floating]


def band_limit(k2: Array, sampling: tuple[float, float]) -> Array:
    """Antialias aperture for squared frequencies ``k2`` (1/Å²) on a grid with steps ``sampling`` (Å).

    One inside, zero beyond 2/3 of the Nyquist frequency, with a narrow cosine edge: abTEM's definition.
    """
    cutoff, taper = cutoff_frequency(sampling), TAPER / max(sampling)
    k = np.sqrt(k2)
    edge = 0.5 * (1 + np.cos(np.pi * (k - cutoff + taper) / taper))
    return np.where(k > cutoff, 0.0, np.where(k > cutoff - taper, edge, 1.0))


def cutoff_frequency(sampling: tuple[float, float]) -> float:
    """Frequency in 1/Å beyond which a grid carries nothing."""
    return BAND_LIMIT / max(sampling) / 2


def cutoff_angle(wavelength: float, sampling: tuple[float, float]) -> float:
    """Largest angle in mrad that a grid with steps ``sampling`` (Å) carries undamped."""
    coarsest = max(sampling)
    return 1e3 * wavelength * (BAND_LIMIT / 2 - TAPER) / coarsest


def needed_sampling(wavelength: float, angle: float) -> float:
    """Coarsest grid step in Å that carries scattering up to ``angle`` mrad undamped."""
    return 1e3 * wavelength * (BAND_LIMIT / 2 - TAPER) / angle


def lens_opening(
    kx: Array, ky: Array, objective: float | None, wavelength: float, sampling: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """What an objective lens passes of beams (nx, ny) of waves with steps (Å), with an ``objective`` aperture (mrad).

    Without an aperture `OPEN`: were it all that a grid carries, images would differ by what flies beyond it.
    """
    angle = objective or min(OPEN, 0.99 * cutoff_angle(wavelength, sampling))
    step = [1 / (n * d) for n, d in zip(kx.shape, sampling, strict=True)]
    return np.asarray(soft_disc(kx, ky, 1e-3 * angle / wavelength, (step[0], step[1])), dtype=np.float64)


def aberration_phase(kx: Array, ky: Array, microscope: Microscope, defocus: float = 0.0) -> Array:
    """Aberration function χ in rad; the probe carries ``exp(−iχ)``.

    ``χ = (2π/λ) Σ_nm α^(n+1)/(n+1) C_nm cos m(φ − φ_nm)`` (Krivanek's notation). ``defocus`` (Å) is added to that of
    the microscope.
    """
    wavelength = microscope.wavelength
    coefficients = microscope.coefficients
    coefficients["C10"] = coefficients.get("C10", 0.0) - defocus
    alpha, phi = wavelength * np.hypot(kx, ky), np.arctan2(ky, kx)
    chi = np.zeros(np.broadcast(kx, ky).shape)
    for name, value in coefficients.items():
        if name.startswith("C"):
            n, m = int(name[1]), int(name[2])
            angle = coefficients.get("phi" + name[1:], 0.0)
            chi += alpha ** (n + 1) / (n + 1) * value * np.cos(m * (phi - angle))
    return 2 * np.pi / wavelength * chi


def probe_radius(microscope: Microscope, thickness: float = 0.0) -> float:
    """Largest distance in Å from the axis that a ray of the probe reaches on its way through ``thickness`` Å.

    The ray at k arrives at ``∇χ(k)/2π`` on the entrance surface and travels by ``λk`` per length: every aberration
    counts, as far as the aperture lets it.
    """
    edge = microscope.wavelength * opening_of(microscope)
    alpha, phi = edge * np.linspace(0.05, 1.0, 20), np.linspace(0, 2 * np.pi, 72, endpoint=False)[:, None]
    coefficients = microscope.coefficients
    along, across = np.zeros((len(phi), len(alpha))), np.zeros((len(phi), len(alpha)))  # the radius
    for name, value in coefficients.items():
        if name.startswith("C"):
            n, m = int(name[1]), int(name[2])
            slope, turn = value * alpha**n, m * (phi - coefficients.get("phi" + name[1:], 0.0))
            along += slope * np.cos(turn)
            across -= slope * (m / (n + 1)) * np.sin(turn)
    return float(max(np.hypot(along + way * alpha, across).max() for way in (0.0, thickness)))


def aperture(kx: Array, ky: Array, microscope: Microscope, step: tuple[float, float]) -> Array:
    """Part of the pixel of each beam, on a reciprocal grid with steps ``step`` (1/Å), inside the probe's aperture.

    An aperture within one pixel passes its beam whole.
    """
    radius = opening_of(microscope)
    if radius <= 0.5 * min(step):
        return np.asarray(np.hypot(kx, ky) < 1e-9 * min(step), dtype=np.float64)
    return disc_part(kx, ky, radius, step)


def aperture_weights(kx: Array, ky: Array, microscope: Microscope, step: tuple[float, float]) -> Array:
    """What beams count in a sum over the aperture (`quadrature`): its covered parts, but to fourth order in ``step``.

    Up to some per cent below 0 outside, and above 1 within.
    """
    if opening_of(microscope) <= 0.5 * min(step):
        return aperture(kx, ky, microscope, step)
    return quadrature(lambda x, y: disc_part(x, y, opening_of(microscope), step), kx, ky, step)


def opening_of(microscope: Microscope) -> float:
    """Radius of the probe's aperture in 1/Å."""
    return microscope.convergence * 1e-3 / microscope.wavelength


def quadrature(part: Callable[[Array, Array], Array], kx: Array, ky: Array, step: tuple[float, float]) -> Array:
    """Weights w of pixels around ``kx, ky``, so that Σ w g is the integral of g over a region to fourth order.

    ``part`` gives the part of each pixel inside the region, p. Σ p g is the integral of the mean of g over a pixel
    around each point, g + h²∇²g/24 where pixels are h wide. Weights less a twenty-fourth of their second differences
    along x and along y undo that. What is left hangs on how the edge falls into pixels: it scatters around 0 as h^2.5.
    Pixels that no edge cuts nor comes next to keep 1 or 0; all sum up to the same.
    """
    return corrected(part(*around(kx, ky, step)))


def around(kx: Array, ky: Array, step: tuple[float, float]) -> tuple[Array, Array]:
    """Pixels at ``kx, ky`` and their four neighbours, along a new first axis."""
    kx, ky = np.broadcast_arrays(kx, ky)
    x, y = step
    return np.stack([kx, kx + x, kx - x, kx, kx]), np.stack([ky, ky, ky, ky + y, ky - y])


def corrected(parts: Array) -> Array:
    """Weights from parts of pixels and their neighbours (`around`)."""
    return np.asarray(parts[0] + (4 * parts[0] - parts[1:].sum(axis=0)) / 24)


def soft_aperture(kx: Array, ky: Array, microscope: Microscope, step: tuple[float, float]) -> Array:
    """AbTEM's aperture: amplitudes that fall linearly over one pixel."""
    return soft_disc(kx, ky, opening_of(microscope), step)


def soft_disc(kx: Array, ky: Array, radius: float, step: tuple[float, float]) -> Array:
    """Disc of ``radius`` (1/Å) whose edge falls linearly over one reciprocal step."""
    k, phi = np.hypot(kx, ky), np.arctan2(ky, kx)
    width = np.hypot(np.cos(phi) * step[0], np.sin(phi) * step[1])
    return np.where(k == 0, 1.0, np.clip((radius - k) / width + 0.5, 0.0, 1.0))


def disc_part(kx: Array, ky: Array, radius: float, step: tuple[float, float]) -> Array:
    """Part of the pixel (sides ``step``) around each of ``kx, ky`` that lies inside a disc of ``radius``, all in 1/Å.

    Areas are exact, so that they sum up to that of the disc whatever the grid. A linear fall over one pixel has up to
    half a per cent too much or too little of a disc of seven pixels, and with it the bright field.
    """
    kx, ky = np.broadcast_arrays(kx, ky)
    distance, far = np.hypot(kx, ky), corner(step)
    part = np.asarray(distance + far <= radius, dtype=np.float64)
    cut = (distance + far > radius) & (distance - far < radius)
    left, right, below, above = (k[cut] + s for k, h in ((kx, step[0]), (ky, step[1])) for s in (-0.5 * h, 0.5 * h))
    area = _corner_area(right, above, radius) - _corner_area(left, above, radius)
    area += _corner_area(left, below, radius) - _corner_area(right, below, radius)
    part[cut] = np.clip(area / (step[0] * step[1]), 0.0, 1.0)
    return part


def corner(step: tuple[float, float]) -> float:
    """How far pixels (sides ``step``) reach from their middle: discs cut those that are no farther outside."""
    return 0.5 * float(np.hypot(*step))


def beyond(step: tuple[float, float]) -> float:
    """How far outside a disc pixels lie at most whose weights in a `quadrature` it changes."""
    return corner(step) + max(step)


def _corner_area(x: Array, y: Array, radius: float) -> Array:
    """Area of a disc around the origin that lies to the left of x and below y."""
    x, y = np.clip(x, -radius, radius), np.clip(y, -radius, radius)
    quarter = np.pi * radius**2 / 4
    # the product is never below 0, which the difference of rounded squares may be
    half_x, half_y = (
        0.5 * (t * np.sqrt((radius - t) * (radius + t)) + radius**2 * np.arcsin(t / radius)) for t in (x, y)
    )
    left, below = 2 * (half_x + quarter), 2 * (half_y + quarter)
    outside = np.where(x >= 0, np.where(y >= 0, left + below - 4 * quarter, below), np.where(y >= 0, left, 0.0))
    return np.asarray(np.where(x**2 + y**2 < radius**2, x * y + half_x + half_y + quarter, outside))
