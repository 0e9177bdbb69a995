"""Values that a key of a campaign takes: a list, even steps, or draws from a distribution."""

import zlib
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from rhotem.analysis.plan.section import Section, number
from rhotem.analysis.plan.series import Steps
from rhotem.core import InputError

#: Most values of one key, and most tasks of a campaign.
MOST, TASKS = 10_000, 1_000_000


def check_intervals(uniform: tuple[float, float] | None, loguniform: tuple[float, float] | None) -> None:
    """Raise ValueError unless ends of distributions come in order, those of logarithms above 0."""
    for low, high in (pair for pair in (uniform, loguniform) if pair is not None):
        if not low < high:
            raise ValueError(f"from {low:g} to {high:g}: give the least first")
    if loguniform is not None and not loguniform[0] > 0:
        raise ValueError("loguniform: expected positive numbers")


class Draw(Section):
    """Numbers drawn from a distribution: ``{uniform: [250, 350], count: 3}``."""

    uniform: tuple[float, float] | None = Field(None, description="Least and most.")
    normal: tuple[float, float] | None = Field(None, description="Mean and standard deviation.")
    loguniform: tuple[float, float] | None = Field(None, description="Least and most; even in the logarithm.")
    count: Annotated[int, *number("count", least=1)] = Field(description="How many are drawn.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = [kind for kind in (self.uniform, self.normal, self.loguniform) if kind is not None]
        if len(kinds) != 1:
            raise ValueError("give one of uniform, normal and loguniform, and count")
        if self.normal is not None and not self.normal[1] >= 0:
            raise ValueError(f"normal: standard deviation {self.normal[1]:g} is negative")
        check_intervals(self.uniform, self.loguniform)
        return self

    def values(self, rng: np.random.Generator) -> list[float]:
        """The numbers, with eight digits."""
        if self.normal is not None:
            mean, deviation = self.normal
            drawn = rng.normal(mean, deviation, self.count)
        elif self.uniform is not None:
            low, high = self.uniform
            drawn = rng.uniform(low, high, self.count)
        else:
            low, high = np.log(self.loguniform or (1.0, 1.0))
            drawn = np.exp(rng.uniform(low, high, self.count))
        return [float(f"{value:.8g}") for value in drawn]


def values_of(written: Any, name: str, seed: int) -> list[Any]:
    """The values that are meant; a key that stands alone has one.

    Every key has a generator of its own, so that another key changes nothing of what is drawn for this one.

    Raises
    ------
    InputError
        If a mapping is neither steps nor a distribution, or there is no value, or more than `MOST`.
    """
    if isinstance(written, dict):
        if {"from", "to", "steps"} & set(written):
            steps = Steps(**written)
            _check(steps.steps)
            return steps.values()
        draw = Draw(**written)
        _check(draw.count)
        return draw.values(np.random.default_rng((seed, zlib.crc32(name.encode()))))
    values = list(written) if isinstance(written, list | tuple) else [written]
    _check(len(values))
    return values


def _check(count: int) -> None:
    """Refuse numbers of values before they are made."""
    if not 0 < count <= MOST:
        raise InputError(f"{count} values; expected 1 to {MOST}")
