"""Aberrations as a corrector reports them: a value and how well it is known; what is really there is drawn."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from rhotem.microscope.base import Settings
from rhotem.microscope.instrument import parse_length

#: Radius in standard deviations that holds 95 % of a normal number, and of a pair of them.
ROUND, PAIR = 1.959963984540054, math.sqrt(-2 * math.log(0.05))

Length = Annotated[float, BeforeValidator(lambda value: parse_length(value) if isinstance(value, str) else value)]


class Measured(Settings):
    """One aberration coefficient, in Å; in files as text with a unit, ``2nm``.

    Parameters
    ----------
    value : float
        As it was measured.
    azimuth_deg : float
        Of coefficients with one.
    sigma : float or None
        Standard deviation, of each component where there is an azimuth.
    limit : float or None
        Instead: the 95 % confidence limit that correctors print, a radius where there is an azimuth.
    """

    value: Length = 0.0
    azimuth_deg: float = 0.0
    sigma: Length | None = Field(None, ge=0)
    limit: Length | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.sigma is not None and self.limit is not None:
            raise ValueError("give sigma or limit, not both")
        return self

    def spread(self, paired: bool) -> float:
        """Standard deviation in Å (of each component)."""
        if self.sigma is not None:
            return self.sigma
        return (self.limit or 0.0) / (PAIR if paired else ROUND)


def drawn(measured: Mapping[str, Measured], rng: np.random.Generator | None) -> dict[str, float]:
    """Aberration coefficients (Å, rad) of one alignment.

    Errors are normal and cut at 95 %: they lie within the confidence limits. Those with an azimuth are pairs,
    ``C cos mφ`` and ``C sin mφ``, drawn together. Every coefficient draws equally often, whether it is uncertain or
    not. Without ``rng``: the measured values.
    """
    found: dict[str, float] = {}
    for name in sorted(measured):
        one, m = measured[name], int(name[2])
        if m == 0:
            error = _within(1, ROUND, rng)[0] if rng is not None else 0.0
            found[name] = one.value + one.spread(False) * error
            continue
        angle = m * math.radians(one.azimuth_deg)
        pair = one.value * np.array([math.cos(angle), math.sin(angle)])
        if rng is not None:
            pair = pair + one.spread(True) * _within(2, PAIR, rng)
        size = float(np.hypot(*pair))
        if size:
            found |= {name: size, f"phi{name[1:]}": math.atan2(pair[1], pair[0]) / m}
    return {name: float(value) for name, value in found.items() if value or name.startswith("phi")}


def _within(number: int, radius: float, rng: np.random.Generator) -> Any:
    """A normal vector shorter than ``radius``: of the stream only one draw, a seed, is taken."""
    own = np.random.default_rng(int(rng.integers(2**63)))
    while True:
        draw = own.standard_normal(number)
        if np.linalg.norm(draw) <= radius:
            return draw
