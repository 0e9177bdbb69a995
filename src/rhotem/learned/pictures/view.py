"""What a network of columns sees of a picture: it, it filtered, how much of it is signal, and which image it is."""

import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.pictures.boxes import blurred
from rhotem.learned.pictures.normalise import normalised

#: Images that a network may be told; another one is not told.
MODES = ("HAADF", "ABF", "iDPC")
#: How far a beam must stand above the noise in the two filtered pictures (`rhotem.learned.pictures.restore.filtered`).
TRUST = (4.0, 1.5)
#: Pictures, and numbers of the whole picture: share of signal, and one for each of `MODES`.
PICTURES, NUMBERS = 1 + len(TRUST), 1 + len(MODES)
#: Beams of a ring of frequencies: so many rows and columns wide.
RING = 2
#: Standard deviations of the filtered picture beyond which it is clipped.
CLIP = 8.0
#: Skewness of the filtered picture below which columns are dark; of fringes and edges it is about zero.
DARK = -0.1
#: Å: side of the two boxes over which a filtered picture is compared with the picture; and the part of its variance
#: below which there is nothing to compare.
AROUND, LEAST = 6.0, 0.03

Floats = npt.NDArray[np.float32]


def pictures_seen(image: npt.NDArray[Any], pixel: float) -> tuple[Floats, float]:
    """What is seen of a picture (rows, columns), and how much of it is signal.

    The first picture is the normalised one, its variance one. The others are the same behind Wiener filters, over their
    standard deviation: columns of a crystal repeat, noise does not, so that a filter finds at low doses what no single
    column shows; but only where the picture has the lattice (`local`). Share of signal: standard deviation behind the
    looser filter, 0 to 1.

    Parameters
    ----------
    image : (rows, columns) array
        Any unit.
    pixel : float
        Å.
    """
    first = normalised(image, pixel)
    whole = wiener(first, TRUST)
    others = [local(first, one, pixel) for one in whole]
    scaled = [np.clip(one / max(float(one.std()), 1e-3), -CLIP, CLIP) for one in others]
    return np.stack([first, *scaled]).astype(np.float32, copy=False), min(float(whole[-1].std()), 1.0)


def numbers_seen(share: float, mode: str | None) -> Floats:
    """Numbers of a whole picture: share of signal, and 1 at its image in `MODES`."""
    return np.array([share, *(float(name == mode) for name in MODES)], dtype=np.float32)


def planes(pictures: Floats, numbers: Floats) -> Floats:
    """Pictures (n, rows, columns), and behind them a plane for every number."""
    flat = np.broadcast_to(numbers[:, None, None], (len(numbers), *pictures.shape[1:]))
    return np.ascontiguousarray(np.concatenate([pictures, flat]), dtype=np.float32)


def view(image: npt.NDArray[Any], pixel: float, mode: str | None = None, inputs: int = PICTURES + NUMBERS) -> Floats:
    """Everything that a network of so many inputs sees of a picture (inputs, rows, columns).

    Parameters
    ----------
    image : (rows, columns) array
    pixel : float
        Å.
    mode : str, optional
        Its name in `MODES`; None: it is not known.
    inputs : int
        1: the normalised picture alone, of networks before.

    Raises
    ------
    InputError
        If no network sees so many.
    """
    if inputs == 1:
        return normalised(image, pixel)[None]
    if inputs != PICTURES + NUMBERS:
        raise InputError(f"network of {inputs} inputs: networks of columns see 1 or {PICTURES + NUMBERS}")
    pictures, share = pictures_seen(image, pixel)
    return planes(pictures, numbers_seen(share, mode))


def guessed(image: npt.NDArray[Any], pixel: float) -> str | None:
    """``ABF`` where columns are dark, else None: HAADF and iDPC have bright ones.

    Columns are a small part of a picture: what is filtered has a long tail on their side, and its skewness their sign
    (docs/dataset.md says how often).
    """
    return "ABF" if skewness(pictures_seen(image, pixel)[0][1]) < DARK else None


def named(title: str) -> str | None:
    """Which of `MODES` a recording is called: ``HAADF-DF4``."""
    words = re.split(r"[^A-Za-z]+", title.lower())
    return next((name for name in MODES if name.lower() in words), None)


def skewness(values: npt.NDArray[Any]) -> float:
    """Third central moment over the standard deviation's cube."""
    apart = np.asarray(values, dtype=float) - np.mean(values, dtype=float)
    return float((apart**3).mean() / max((apart**2).mean() ** 1.5, 1e-30))


def wiener(values: Floats, trust: tuple[float, ...]) -> list[Floats]:
    """A picture (rows, columns) of mean about zero by Wiener filters, one for each of ``trust``.

    As `rhotem.learned.pictures.restore.filtered`, in single precision and with half of the spectrum: the median power
    over a ring of frequencies, over ln 2, is that of the noise N; a beam of power P keeps ``1 − t N/P``. Edges are left
    as they are: without slow background, opposite ones differ no more than columns do.
    """
    from scipy.fft import irfft2, rfft2

    beams = rfft2(np.asarray(values, dtype=np.float32))
    power = beams.real**2 + beams.imag**2
    places, middles, ring = _rings(values.shape)
    sorted_rings = np.sort(np.append(power.ravel(), np.float32(np.inf))[places], axis=1)
    noise = (sorted_rings[np.arange(len(middles)), middles] / np.float32(np.log(2)))[ring]
    ratio = noise / np.maximum(power, np.float32(1e-20))
    return [irfft2(beams * np.clip(1 - np.float32(t) * ratio, 0, 1), s=values.shape) for t in trust]


def local(picture: Floats, filtered: Floats, pixel: float) -> Floats:
    """A filtered picture (rows, columns) as far as the picture has it, place by place.

    A filter of frequencies goes on with a lattice beyond its end, into vacuum, an amorphous layer or another grain.
    There the picture has no part of it: the least-squares amplitude ⟨picture · filtered⟩ / ⟨filtered²⟩ of what is
    around is 0 there and 1 within the lattice. Noise that the filter leaves is in the picture, too, and stays.
    """
    power = filtered * filtered
    least = np.float32(LEAST * float(power.mean()) + 1e-12)
    common, own = blurred(np.stack([picture * filtered, power]), round(AROUND / pixel) | 1, times=2)
    return np.asarray(filtered * np.clip(common / (own + least), 0, 1), dtype=np.float32)


@lru_cache(maxsize=8)
def _rings(shape: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Beams of every ring as a table (rings, most), filled up with one behind the last; half their number; the ring of
    every beam (rows, half of the columns).
    """
    rows, columns = shape
    down, right = np.fft.fftfreq(rows) * rows, np.fft.rfftfreq(columns) * columns
    ring = np.rint(np.hypot(*np.meshgrid(down, right, indexing="ij")) / RING).astype(np.int64)
    counts = np.bincount(ring.ravel())
    order = np.argsort(ring.ravel(), kind="stable")
    places = np.full((len(counts), counts.max()), ring.size, dtype=np.int64)
    starts = np.cumsum(counts) - counts
    flat = ring.ravel()[order]
    places[flat, np.arange(ring.size) - starts[flat]] = order
    return places, counts // 2, ring
