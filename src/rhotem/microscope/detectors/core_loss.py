"""The spectrometer: electrons that lost energy to one core, whatever their angle."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rhotem.core import InputError
from rhotem.microscope.detectors.base import DetectorBase
from rhotem.microscope.ionisation import ABOVE, SHELLS, CoreEdge


class CoreLoss(DetectorBase):
    """Probability per eV of a loss ``above`` eV beyond an edge, such as ``Li-K``: `rhotem.microscope.core_loss`.

    Everything is collected; ``outer`` is the angle in mrad that the grid of the waves carries at least.
    """

    units: ClassVar[Mapping[str, str]] = {f"-{shell}": "1/eV" for shell in SHELLS}

    kind: Literal["core-loss"] = "core-loss"
    name: str
    outer: float = Field(100.0, gt=0, lt=1000)
    above: float = Field(ABOVE, gt=0, le=200)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        """The loss beyond the edge belongs to the name where it is not the usual one: two of an edge are two maps."""
        if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
            return given
        name, _, loss = given["name"].partition("@")
        try:
            above = float(given.get("above", loss or ABOVE))
            if loss and float(loss) != above:
                raise InputError(f"edge {given['name']}: above is {above:g} eV; give one of them")
        except (TypeError, ValueError):
            raise InputError(f"edge {given['name']}: expected a loss in eV such as O-K@30") from None
        return {**given, "name": CoreEdge.named(name, above).name, "above": above}

    @classmethod
    def spelled(cls, text: str) -> Self | None:
        """That of an edge's name, ``Li-K``; ``Li-K@30`` 30 eV above it. None for anything else."""
        match = re.fullmatch(r"\s*([A-Za-z]{1,2}-[K-Nk-n]\d*)\s*(?:@\s*(\d+\.?\d*)\s*(?:eV)?)?\s*", text)
        return match and cls(name=match[1], above=float(match[2] or ABOVE))

    @property
    def seen(self) -> str:
        """How far above the edge, in words."""
        return f"+{self.above:g} eV"

    @property
    def edge(self) -> CoreEdge:
        """What is lost to."""
        return CoreEdge.named(self.name.partition("@")[0], self.above)


def edges_of(detectors: Sequence[DetectorBase]) -> list[CoreEdge]:
    """Edges that are asked for among detectors."""
    return [detector.edge for detector in detectors if isinstance(detector, CoreLoss)]
