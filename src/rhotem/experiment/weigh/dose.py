"""How many electrons decide between two hypotheses.

With f times the dose the expected ln of the likelihood ratio is f D, D that of the recorded dose with all nuisance
parameters fitted again (what noise-free recordings say), and its variance 2 f D: that of a χ² difference. Volumes of
parameters shrink alike for both and stay out.
"""

import numpy as np

#: Odds that decide (R. E. Kass, A. E. Raftery, J. Am. Stat. Assoc. 90, 773 (1995): strong from 20:1), as their ln.
DECIDED = float(np.log(20.0))
#: Share of recordings that shall decide rightly, and its quantile of the normal distribution.
SHARE, QUANTILE = 0.95, 1.6449
#: ln of a likelihood ratio that rounding of the fits alone makes.
NOTHING = 1e-3


def factor_that_decides(apart: float) -> float:
    """Dose over the recorded one at which `SHARE` of recordings give odds of 20:1 for the truth; infinite: none does.

    ``apart`` is D ≥ 0 of the recorded dose: f D − q √(2 f D) = ln 20 is solved for f.
    """
    if apart <= NOTHING:
        return float("inf")
    root = 0.5 * (QUANTILE * np.sqrt(2.0) + np.sqrt(2.0 * QUANTILE**2 + 4.0 * DECIDED))
    return float(root**2 / apart)


def share_decided(apart: float, factor: float | np.ndarray) -> np.ndarray:
    """Expected share of recordings that give odds of 20:1 for the truth at ``factor`` times the dose."""
    from scipy.special import ndtr

    mean = np.maximum(np.asarray(factor, dtype=float) * apart, 1e-12)
    return np.asarray(ndtr((mean - DECIDED) / np.sqrt(2.0 * mean)))
