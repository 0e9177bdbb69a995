"""`Spread`: from what a setting of a picture is drawn."""

from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from rhotem.analysis.plan.section import Section
from rhotem.library.campaign.values import check_intervals


class Spread(Section):
    """One number, one of several, or a draw from a distribution."""

    choices: tuple[float, ...] | None = Field(None, description="Each as likely.")
    uniform: tuple[float, float] | None = Field(None, description="Least and most.")
    loguniform: tuple[float, float] | None = Field(None, description="Least and most; even in the logarithm.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = [kind for kind in (self.choices, self.uniform, self.loguniform) if kind is not None]
        if len(kinds) != 1 or self.choices == ():
            raise ValueError(
                "give a number, a list of numbers, {uniform: [least, most]} or {loguniform: [least, most]}"
            )
        check_intervals(self.uniform, self.loguniform)
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and most."""
        return self.uniform or self.loguniform or (min(self.choices or ()), max(self.choices or ()))

    def draw(self, rng: np.random.Generator) -> float:
        """A value, with six digits; always one number of the generator is used."""
        place = float(rng.random())
        if self.choices is not None:
            value = self.choices[int(place * len(self.choices))]
        elif self.uniform is not None:
            low, high = self.uniform
            value = low + place * (high - low)
        else:
            low, high = np.log(self.loguniform or (1.0, 1.0))
            value = float(np.exp(low + place * (high - low)))
        return float(f"{value:.6g}")


def _spread(value: Any) -> Any:
    """A number as a choice of one, a list as a choice of several."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"choices": (float(value),)}
    if isinstance(value, list | tuple):
        return {"choices": tuple(value)}
    return value


#: A spread as it is written in a plan.
Drawn = Annotated[Spread, BeforeValidator(_spread)]
