"""Activation energy from diffusion coefficients at several temperatures: D = D0 exp(−E/kT)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rhotem.core import InputError

#: eV/K (CODATA 2018, exact).
BOLTZMANN = 8.617333262e-5


@dataclass(frozen=True)
class Activation:
    """E with its standard error in eV, ln D0 (D in cm²/s) with its own, and the covariance of both."""

    energy: float
    error: float
    logarithm: float
    logarithm_error: float
    covariance: float

    def at(self, temperature: float) -> tuple[float, float]:
        """D in cm²/s at a temperature (K), and the factor that one standard error is."""
        beta = 1.0 / (BOLTZMANN * temperature)
        variance = self.logarithm_error**2 + (beta * self.error) ** 2 - 2.0 * beta * self.covariance
        return float(np.exp(self.logarithm - beta * self.energy)), float(np.exp(np.sqrt(max(variance, 0.0))))


def activation_energy(temperatures: Sequence[float], values: Sequence[float], errors: Sequence[float]) -> Activation:
    """Fit of ln D against 1/kT, weighted by the errors of D.

    Parameters
    ----------
    temperatures : K
    values, errors : cm²/s

    Raises
    ------
    InputError
        With fewer than two different temperatures, or a D that is not above zero by its error.
    """
    kelvin, d, sigma = (np.asarray(x, dtype=float) for x in (temperatures, values, errors))
    if len(np.unique(kelvin.round(3))) < 2 or (kelvin <= 0).any():
        raise InputError("activation energy: expected diffusion at two or more different temperatures")
    for k, value, error in zip(kelvin, d, sigma, strict=True):
        if not value > error:
            raise InputError(
                f"activation energy: D at {k:g} K is {value:.2g} ± {error:.2g} cm²/s, not above zero; leave it out, "
                "or run longer"
            )
    design = np.stack([-1.0 / (BOLTZMANN * kelvin), np.ones(len(kelvin))], axis=1)
    weight = d / sigma
    covariance = np.linalg.inv((design * weight[:, None] ** 2).T @ design)
    answer = covariance @ (design.T @ (weight**2 * np.log(d)))
    spread = np.sqrt(np.diag(covariance))
    # E enters with a minus at the exponent: `design` has it
    return Activation(float(answer[0]), float(spread[0]), float(answer[1]), float(spread[1]), float(covariance[0, 1]))
