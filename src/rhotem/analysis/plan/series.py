"""Values that a plan goes through one after another."""

from itertools import product
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from rhotem.analysis.plan.section import Section, number


class Steps(Section):
    """Evenly spaced numbers, both ends included: ``{from: -6, to: 6, steps: 13}``."""

    model_config = ConfigDict(populate_by_name=True)

    first: Annotated[float, *number("from")] = Field(alias="from", description="First value.")
    last: Annotated[float, *number("to")] = Field(alias="to", description="Last value.")
    steps: Annotated[int, *number("steps", least=2)] = Field(description="How many values, both ends among them.")

    def values(self) -> list[float]:
        """The numbers, free of rounding beyond 12 digits."""
        each = (self.last - self.first) / (self.steps - 1)
        return [float(f"{self.first + i * each:.12g}") for i in range(self.steps)]


def values_of(given: "Steps | tuple[Any, ...]") -> list[Any]:
    """The values of one key of a series."""
    return given.values() if isinstance(given, Steps) else list(given)


def combinations(series: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the values, the last key running fastest."""
    keys = list(series)
    return [dict(zip(keys, row, strict=True)) for row in product(*(values_of(series[key]) for key in keys))]
