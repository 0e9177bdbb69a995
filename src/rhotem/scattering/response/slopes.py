"""Derivatives of images by what an operator sets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.derive import expected
from rhotem.microscope.instrument import ABERRATIONS, Microscope
from rhotem.microscope.optics import aberration_phase, opening_of
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Detector
from rhotem.scattering.response.asked import Asked

Array = npt.NDArray[Any]

#: Parameters beside aberrations.
OTHERS = ("defocus", "cs", "convergence", "focal_spread", "source_size")
#: Relative step of the aperture.
APERTURE_STEP = 1e-5


def gradients(
    asked: Asked, detectors: Sequence[Detector], microscope: Microscope, scan: Scan, parameters: Sequence[str]
) -> dict[str, dict[str, Array]]:
    """Derivative of every image by every parameter, in the unit of the image per Å, rad (azimuths) or mrad.

    Parameters
    ----------
    asked : Asked
        Of the detectors, whose images are linear in their signals.
    detectors, microscope, scan
    parameters : sequence of str
        Names of aberrations and `OTHERS`.

    Raises
    ------
    InputError
        If a parameter is none.
    """
    spectrum = asked.spectrum(microscope)
    signals = asked.signals(spectrum, scan, microscope.source_size)
    raw = expected(asked.recorder, signals.copy())
    result: dict[str, dict[str, Array]] = {}
    for name in parameters:
        slope = asked.signals(_spectrum_slope(asked, microscope, name, spectrum), scan, microscope.source_size)
        changes = _expected_slopes(asked, signals, slope)
        images: dict[str, Array] = {}
        for detector in detectors:
            images |= detector.images(changes, scan, microscope)
            if name == "convergence":
                images |= _calibration(detector, raw, scan, microscope, images)
        result[name] = images
    return result


def _spectrum_slope(asked: Asked, microscope: Microscope, name: str, spectrum: Array) -> Array:
    """Derivative of the Fourier coefficients."""
    from rhotem.scattering.response.kernel import add_pair_slopes

    if name == "source_size":
        half, cell = asked.pairs.half, asked.pairs.cell
        qx, qy = (np.arange(-n, n + 1) / length for n, length in zip(half, cell, strict=True))
        q2 = qx[:, None] ** 2 + qy[None] ** 2
        return np.asarray(spectrum * (-4 * np.pi**2 * microscope.source_size / (8 * np.log(2)) * q2)[..., None])
    covered, excess = asked.opening(microscope)
    kx, ky = asked.pairs.frequencies
    norm = float(covered.sum())
    wave = np.exp(-1j * aberration_phase(kx, ky, microscope)) / np.sqrt(norm)
    spread = np.pi * microscope.wavelength * (kx**2 + ky**2)
    lens = np.stack([covered, microscope.focal_spread * spread, np.zeros_like(spread)])
    slopes, excess_slopes = np.zeros_like(lens), np.zeros_like(excess)
    if name == "focal_spread":
        slopes[1] = spread
    elif name == "convergence":
        slopes[0], excess_slopes = _aperture_slope(asked, microscope, covered)
    else:
        slopes[2] = phase_slope(kx, ky, microscope, name)
    out = np.zeros((spectrum.shape[0] * spectrum.shape[1], spectrum.shape[2]), dtype=complex)
    add_pair_slopes(asked.table, wave, lens, slopes, excess, excess_slopes, asked.matrix, asked.rim, out)
    return out.reshape(spectrum.shape) - slopes[0].sum() / norm * spectrum


def phase_slope(kx: Array, ky: Array, microscope: Microscope, name: str) -> Array:
    """∂χ/∂p in rad per Å or rad, of one aberration (or ``defocus``, ``cs``)."""
    if name not in (*ABERRATIONS, "defocus", "cs"):
        raise InputError(f"parameter {name!r}: expected one of {', '.join((*OTHERS, *ABERRATIONS))}")
    values = microscope.aberrations
    if name.startswith("phi"):
        coefficient, order = "C" + name[3:], int(name[4])
        # the derivative of cos m(φ − φ₀) by φ₀ is m cos m(φ − φ₀ − π/2m)
        turned = values.get(name, 0.0) + np.pi / (2 * order)
        one = {coefficient: values.get(coefficient, 0.0), name: turned}
        return order * aberration_phase(kx, ky, Microscope(energy=microscope.energy, aberrations=one))
    coefficient = {"defocus": "C10", "cs": "C30"}.get(name, name)
    one = {coefficient: -1.0 if name == "defocus" else 1.0}
    azimuth = "phi" + coefficient[1:]
    if azimuth in values:
        one[azimuth] = values[azimuth]
    return aberration_phase(kx, ky, Microscope(energy=microscope.energy, aberrations=one))


def _aperture_slope(asked: Asked, microscope: Microscope, covered: Array) -> tuple[Array, Array]:
    """Derivatives by the convergence in mrad of the aperture's weights, and of what the rim adds at detector edges."""
    rim = np.flatnonzero((covered != 0) & (covered != 1))
    members, weights = asked.pairs.beams.vectors[rim], asked.recorder.exact_weights
    kx, ky = (k[rim] for k in asked.pairs.frequencies)
    step = APERTURE_STEP * microscope.convergence
    lenses = [microscope.model_copy(update={"convergence": microscope.convergence + s}) for s in (step, -step)]
    slopes, excess = np.zeros_like(covered), np.zeros((len(covered), asked.matrix.shape[1]))
    wider, narrower = (asked.parts(kx, ky, lens) for lens in lenses)
    slopes[rim] = (wider - narrower) / (2 * step)
    above, below = (weights(members, opening_of(lens)) for lens in lenses)
    excess[rim] = (above - below) / (2 * step) - weights(members) * slopes[rim, None]
    return slopes, excess


def _expected_slopes(asked: Asked, signals: Array, slope: Array) -> dict[str, Array]:
    """Derivatives of all signals, of deflections as of quotients."""
    channels = asked.recorder.channels
    plain = {c.name: (value, change) for c, value, change in zip(channels, signals, slope, strict=True)}
    changes = {name: change for name, (_, change) in plain.items()}
    for channel in channels:
        if channel.role in ("x", "y"):
            (moment, change), (whole, lost) = plain[channel.name], plain[channel.name[:-1]]
            changes[channel.name] = (change - moment / whole * lost) / whole
    return changes


def _calibration(
    detector: Detector, raw: Mapping[str, Array], scan: Scan, microscope: Microscope, images: Mapping[str, Array]
) -> dict[str, Array]:
    """Derivatives with what the convergence does to images of the same signals (the scale of segments)."""
    step = APERTURE_STEP * microscope.convergence
    above, below = (
        detector.images(raw, scan, microscope.model_copy(update={"convergence": microscope.convergence + s}))
        for s in (step, -step)
    )
    return {name: images[name] + (above[name] - below[name]) / (2 * step) for name in above}
