"""What one propagation answers for several settings of a series: its interface."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from rhotem.analysis import run as steps
from rhotem.analysis.answers.group import Group
from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.core import InputError, MemoryLimitError, Progress, silent
from rhotem.microscope.images import ImageSet
from rhotem.microscope.plan import make_plan
from rhotem.microscope.presets import Preset
from rhotem.microscope.scan import Scan

Held = TypeVar("Held")

#: Keys of a plan by section.
Keys = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Needs:
    """What a propagation takes.

    Parameters
    ----------
    words : str
        The plan as it is shown.
    seconds : float
        On the cores that there are.
    """

    words: str
    seconds: float


class Answer(ABC, Generic[Held]):
    """One propagation that answers for many settings. A kind is one class, and one row in `ANSWERS`.

    Attributes
    ----------
    keys : mapping
        Keys of a plan that it answers for.
    """

    keys: ClassVar[Keys] = {}

    @abstractmethod
    def takes(self, plan: Plan) -> bool:
        """Whether it can answer a plan by itself, whatever other plans there are."""

    @abstractmethod
    def whole(self, presets: Sequence[Preset]) -> Preset:
        """A preset whose propagation serves all of these."""

    def check(self, cut: Specimen) -> None:
        """Refuse one setting that nothing can compute."""

    @abstractmethod
    def needs(self, group: Group) -> Needs | str:
        """What the propagation takes, or in words why single runs are better; no density is made for it."""

    @abstractmethod
    def made(self, group: Group, potential: steps.Potentials, progress: Progress = silent) -> Held:
        """The propagation."""

    @abstractmethod
    def images(self, cut: Specimen, held: Held, plan: Plan) -> ImageSet:
        """What a single run of one setting gives."""


def direct_seconds(group: Group) -> tuple[float, bool]:
    """Seconds of a single run of the group's widest setting, and whether it would go through windows.

    Infinite where a single run does not fit.
    """
    whole, memory = group.whole, group.jobs[0].means.memory
    sizes, preset = steps.sizes_of(whole), whole.preset
    configurations = max(1, group.jobs[0].moving.get("phonons") or 0)
    scan = Scan.cell(sizes.extent, preset.microscope)
    try:
        plan = make_plan(
            sizes, preset.microscope, scan, preset.detectors, configurations=configurations, memory_limit=memory
        )
    except (MemoryLimitError, InputError):
        return np.inf, False
    return plan.seconds, plan.windows is not None


def planned(call: Callable[[], Any]) -> Any | str:
    """What a plan says, or its refusal in words."""
    try:
        return call()
    except (MemoryLimitError, InputError) as error:
        return str(error)
