"""Whether chains have seen enough: autocorrelation, effective samples, and what chains differ by."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Autocorrelation is summed as far as this many times its own time (Sokal's window).
WINDOW = 5.0


def autocorrelation_time(chains: Array) -> Array:
    """Steps (p,) between independent samples, of chains (steps, walkers, p) that step by turns.

    The autocorrelation is the mean over walkers, summed up to a window (A. Sokal, *Monte Carlo Methods in Statistical
    Mechanics*, 1996, sec. 3; J. Goodman & J. Weare, CAMCoS 5, 65 (2010)). Walkers that stay apart count: deviations are
    from the mean of all.
    """
    import scipy.fft

    steps, _, parameters = chains.shape
    length = scipy.fft.next_fast_len(2 * steps)
    result = np.ones(parameters)
    for n in range(parameters):
        centred = chains[:, :, n] - chains[:, :, n].mean()
        power = np.abs(scipy.fft.rfft(centred, length, axis=0)) ** 2
        lags = scipy.fft.irfft(power, length, axis=0)[:steps].sum(axis=1)
        if lags[0] <= 0:
            continue
        times = 2 * np.cumsum(lags / lags[0]) - 1
        enough = np.flatnonzero(np.arange(steps) >= WINDOW * times)
        result[n] = max(1.0, float(times[enough[0]] if len(enough) else times.max()))
    return result


def split_r(chains: Array) -> Array:
    """Split R̂ (p,) of chains (steps, walkers, p): 1 where both halves of every walker tell the same.

    A. Gelman et al., *Bayesian Data Analysis*, 3rd ed. (2013), eq. 11.4.
    """
    half = len(chains) // 2
    parts = np.concatenate([chains[:half], chains[half : 2 * half]], axis=1)
    within = parts.var(axis=0, ddof=1).mean(axis=0)
    between = parts.mean(axis=0).var(axis=0, ddof=1)
    return np.sqrt((half - 1) / half + between / np.maximum(within, 1e-300))
