"""The spectrometer: electrons that lost energy to one core, whatever their angle."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator

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

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        CoreEdge.named(name)
        return name

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
        return CoreEdge.named(self.name, self.above)


def edges_of(detectors: Sequence[DetectorBase]) -> list[CoreEdge]:
    """Edges that are asked for among detectors."""
    return [detector.edge for detector in detectors if isinstance(detector, CoreLoss)]
