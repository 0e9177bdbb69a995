"""Pictures restored: noise taken out, and the exit wave of a focal series, linearly and by a network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.units import wavelength
from rhotem.learned.pictures.unet import expanded, forward
from rhotem.learned.pictures.weights import Weights

Floats = npt.NDArray[np.float32]

#: What the linear restoration takes for noise over signal of a beam, times the root of the electrons of a pixel: the
#: best of a dozen for each of six doses of training series follow this. It falls more slowly than that of counting,
#: because what is not linear is no less at high doses.
COUNTED = 2.5
#: How far a beam must stand above the noise in the two filters that networks see, the first of which they start from;
#: noise is cut at so many standard deviations of the filtered picture.
TRUST, CLIP = (4.0, 1.5), 20.0
#: Logarithms of the weights of the two filtered pictures and the noisy one in an untrained network.
FIRST = (2.0, 0.0, -2.0)


def filtered(image: npt.NDArray[Any], trust: Sequence[float] = TRUST) -> list[Floats]:
    """A picture (rows, columns) by Wiener filters that take noise from the picture itself, one for each of ``trust``.

    Power of a crystal lies in few beams, that of noise everywhere: the median over a ring of frequencies, over ln 2, is
    the noise's mean power N there. A beam of power P keeps ``1 − t N/P`` of its amplitude, none if that is negative (R.
    Kilaas, J. Microsc. 190, 45, 1998, with t = 1). Edges: only the periodic part of the picture is filtered (L. Moisan,
    J. Math. Imaging Vis. 39, 161, 2011).

    Parameters
    ----------
    image : (rows, columns) array
    trust : sequence of float
        t, by how much a beam must stand above the noise.
    """
    values = np.asarray(image, dtype=np.float64)
    beams, smooth = _periodic(values)
    power = np.abs(beams) ** 2
    ways = np.meshgrid(*(np.fft.fftfreq(n) * n for n in values.shape), indexing="ij")
    ring = np.rint(np.hypot(*ways) / 2).astype(int).ravel()  # two beams wide: no ring has but a few
    order = np.argsort(ring, kind="stable")
    parts = np.split(power.ravel()[order], np.flatnonzero(np.diff(ring[order])) + 1)
    noise = np.array([np.median(part) for part in parts])[ring].reshape(power.shape) / np.log(2)
    result = []
    for one in trust:
        kept = np.clip(1 - one * noise / np.maximum(power, 1e-300), 0.0, 1.0)
        kept[0, 0] = 1.0
        result.append(np.asarray(np.fft.ifft2(beams * kept).real + smooth, dtype=np.float32))
    return result


def _periodic(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Spectrum of the periodic part, and the smooth rest that has the jumps between opposite edges."""
    jumps = np.zeros_like(values)
    jumps[0] += values[-1] - values[0]
    jumps[-1] += values[0] - values[-1]
    jumps[:, 0] += values[:, -1] - values[:, 0]
    jumps[:, -1] += values[:, 0] - values[:, -1]
    rows, columns = (2 * np.cos(2 * np.pi * np.arange(n) / n) for n in values.shape)
    laplace = rows[:, None] + columns[None] - 4.0
    laplace[0, 0] = 1.0
    smooth = np.fft.fft2(jumps) / laplace
    smooth[0, 0] = 0.0
    return np.fft.fft2(values) - smooth, np.fft.ifft2(smooth).real


def picture_inputs(image: npt.NDArray[Any]) -> tuple[Floats, float, float]:
    """What a network sees of a noisy picture (3, rows, columns): it filtered (`TRUST`) and it; their mean and scale."""
    some = [*filtered(image), np.asarray(image, dtype=np.float32)]
    mean, spread = float(some[0].mean()), float(some[0].std()) or 1.0
    return np.clip((np.stack(some) - mean) / spread, -CLIP, CLIP).astype(np.float32), mean, spread


def denoised(image: npt.NDArray[Any], weights: Weights) -> Floats:
    """A picture (rows, columns) as it would be without noise, in its own unit: `blended` by a network.

    Parameters
    ----------
    image : (rows, columns) array
    weights : Weights
        Of the job ``denoising``.

    Raises
    ------
    InputError
        If they were trained before networks weighed what they see.
    """
    seen, mean, spread = picture_inputs(image)
    if (number := int(weights.header.get("outputs", 1))) != len(seen) + 1:
        raise InputError(f"network for denoising with {number} outputs instead of {len(seen) + 1}: train it again")
    made = [blended(seen, outputs) for outputs in _outputs(seen, weights)]
    return np.asarray(mean + spread * np.mean(made, axis=0), dtype=np.float32)


def blended(seen: Floats, outputs: Floats) -> Floats:
    """What is seen of a picture (n, rows, columns) by weights that sum to one, place by place, and what is added to it.

    ``outputs`` (n + 1, rows, columns): logarithms of the weights, to which `FIRST` is added, and the addition. Where a
    crystal ends, or doses are high, filters lose what the picture has: a network says where to believe which.
    """
    logits = outputs[:-1] + np.array(FIRST, dtype=np.float32)[:, None, None]
    weights = np.exp(logits - logits.max(axis=0))
    return np.asarray((weights * seen).sum(axis=0) / weights.sum(axis=0) + outputs[-1], dtype=np.float32)


def exit_wave(images: npt.NDArray[Any], said: Mapping[str, Any], weights: Weights) -> npt.NDArray[np.complex64]:
    """The exit wave of a focal series less its mean: the linear restoration and what a network adds to it.

    Parameters
    ----------
    images : (foci, rows, columns) array
        Over the incident intensity.
    said : mapping
        As `linear_wave`.
    weights : Weights
        Of the job ``focal-series``.
    """
    inputs = series_inputs(images, said)
    wave = inputs[:2] + np.mean(_outputs(inputs, weights), axis=0)
    return np.asarray(wave[0] + 1j * wave[1], dtype=np.complex64)


def series_inputs(images: npt.NDArray[Any], said: Mapping[str, Any]) -> Floats:
    """What a network sees of a series (2 + foci, rows, columns): the linear restoration, and the images less 1."""
    wave = linear_wave(images, said)
    return np.concatenate([[wave.real, wave.imag], np.asarray(images, dtype=np.float32) - 1.0]).astype(np.float32)


def linear_wave(
    images: npt.NDArray[Any], said: Mapping[str, Any], noise: float | None = None
) -> npt.NDArray[np.complex64]:
    """The exit wave less its mean, by the filter of Schiske.

    Of a weak object ψ = 1 + φ image k has the spectrum ``c_k(g) φ(g) + c_k*(g) φ*(−g)``, ``c_k = exp(−iχ_k) E``. φ(g)
    and φ*(−g) are those with the least Σ_k |deviation|² + n (|φ(g)|² + |φ*(−g)|²), n noise over signal (P. Schiske,
    Proc. 4th European Conf. Electron Microscopy, Rome 1968, 145; W. O. Saxton, Ultramicroscopy 55, 171, 1994). Beyond
    the objective aperture it is zero. Round lenses.

    Parameters
    ----------
    images : (foci, rows, columns) array
        Over the incident intensity.
    said : mapping
        ``pixel_A``, ``energy_keV``, ``foci_nm`` (positive is underfocus), ``cs_nm``, ``focal_spread_A``,
        ``objective_mrad``, ``dose_e_per_A2`` of every image.
    noise : float, optional
        n; without it `COUNTED` over the root of the electrons of a pixel.
    """
    values = np.asarray(images, dtype=np.float64)
    pixel, length = float(said["pixel_A"]), wavelength(1e3 * float(said["energy_keV"]))
    gy, gx = np.meshgrid(*(np.fft.fftfreq(n, pixel) for n in values.shape[-2:]), indexing="ij")
    g2 = gx**2 + gy**2
    lens = transfer(g2, length, (said["foci_nm"], said["cs_nm"], said["focal_spread_A"]))
    spectra = np.fft.fft2(values - values.mean(axis=(1, 2), keepdims=True))
    weak = COUNTED / (float(said["dose_e_per_A2"]) ** 0.5 * pixel) if noise is None else noise
    # normal equations of two unknowns for every beam
    own = (np.abs(lens) ** 2).sum(axis=0) + weak
    mixed = (np.conj(lens) ** 2).sum(axis=0)
    first, second = (np.conj(lens) * spectra).sum(axis=0), (lens * spectra).sum(axis=0)
    wave = (own * first - mixed * second) / (own**2 - np.abs(mixed) ** 2)
    passed = g2 <= (1e-3 * float(said["objective_mrad"]) / length) ** 2
    return np.asarray(np.fft.ifft2(np.where(passed & (g2 > 0), wave, 0.0)), dtype=np.complex64)


def transfer(g2: npt.NDArray[Any], length: float, lens: Sequence[Any]) -> npt.NDArray[np.complex128]:
    """``exp(−iχ) E`` (foci, ...) of a round lens (foci in nm, Cs in nm, focal spread in Å) at |g|² in 1/Å².

    ``χ = −πλ Δf g² + ½ π λ³ Cs g⁴``, ``E = exp(−½ (πλ Δ g²)²)``.
    """
    foci, cs, spread = 10.0 * np.asarray(lens[0], dtype=float), 10.0 * float(lens[1]), float(lens[2])
    chi = np.pi * length * (-foci.reshape(-1, *[1] * np.ndim(g2)) * g2 + 0.5 * length**2 * cs * g2**2)
    return np.asarray(np.exp(-1j * chi - 0.5 * (np.pi * length * spread * g2) ** 2))


def _outputs(values: Floats, weights: Weights) -> list[Floats]:
    """Every member's outputs (outputs, rows, columns)."""
    padded, inside = expanded(values, weights.multiple)
    return [forward(one, padded, weights.levels, weights.patch)[(slice(None), *inside)] for one in weights.members]
