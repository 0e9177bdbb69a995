"""From electrons on a detector to counts in a file."""

import numpy as np
import numpy.typing as npt

from rhotem.microscope.acquisition.noise import lagged, memory
from rhotem.microscope.acquisition.settings import Electronics

Array = npt.NDArray[np.float64]

#: Contributions with a random stream of their own.
STREAMS = ("dqe", "dark", "read-noise", "row-noise", "black-pixels")


def counts(electrons: Array, electronics: Electronics, dwell: float, streams: dict[str, np.random.Generator]) -> Array:
    """Counts (nx, ny) that a detector stores for the electrons on it; rows run along x.

    With gain g, n electrons on average, dark electrons d and read noise σ the mean is g(n + d) + offset and the
    variance g²(n/dqe + d) + σ² + row noise².

    Parameters
    ----------
    electrons : (nx, ny) array
        Electrons counted at every position, or their weighted sum.
    electronics : Electronics
    dwell : float
        µs.
    streams : dict of numpy Generators
        One for each of `STREAMS`.
    """
    e, shape = electronics, electrons.shape
    signal = electrons.astype(float)
    if e.dqe < 1:
        signal = signal + np.sqrt(np.maximum(signal, 0.0) * (1 / e.dqe - 1)) * streams["dqe"].standard_normal(shape)
    if e.black_pixels:
        signal = np.where(streams["black-pixels"].random(shape) < e.black_pixels, 0.0, signal)
    if e.dark_e_per_us:
        signal = signal + streams["dark"].poisson(e.dark_e_per_us * dwell, shape)
    if e.lag_us:
        signal = lagged(signal.T, dwell, e.lag_us).T
    stored = e.gain * signal + e.offset
    if e.row_noise:
        stored = stored + e.row_noise * memory(shape[1], e.row_memory, streams["row-noise"])[None]
    if e.read_noise:
        stored = stored + e.read_noise * streams["read-noise"].standard_normal(shape)
    return quantised(stored, e.bits)


def quantised(stored: Array, bits: int | None) -> Array:
    """Whole counts from 0 to 2^bits − 1; as they are where no converter is named."""
    return stored if bits is None else np.clip(np.rint(stored), 0, 2**bits - 1)
