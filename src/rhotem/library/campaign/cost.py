"""What a campaign will take: some of its tasks planned without being done, the others as these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhotem.analysis import run as steps
from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import cut
from rhotem.core import Progress, RhoTEMError, silent
from rhotem.density.source import source_kind
from rhotem.library.campaign.compute import exits, prepared, range_of
from rhotem.library.campaign.expand import tasks_of
from rhotem.library.campaign.model import Campaign
from rhotem.library.campaign.tally import duration
from rhotem.library.campaign.task import Task
from rhotem.scattering.response.channels import basis
from rhotem.scattering.response.plan import plan_response

#: Processor time in s that a task takes beside its response: reading, the density of a small cell, pictures, files.
FIXED = 0.2
#: Processor time in s of a learned density with its summary and members, and bytes of the summary: small cells.
LEARNED, SUMMARY = 1.0, 5e4
#: Bytes of an entry's other files.
BESIDE = 3e4
#: Refused tasks that are shown.
SHOWN = 5


@dataclass(frozen=True)
class Costs:
    """Time and space of a campaign.

    Parameters
    ----------
    tasks : int
    seconds : list of float
        Processor time of every planned task; 0 of a refused one.
    bytes : list of float
    memory : float
        Bytes of the largest.
    refused : dict
        By title, why a planned task cannot be done.
    """

    tasks: int
    seconds: list[float]
    bytes: list[float]
    memory: float
    refused: dict[str, str]

    def record(self, workers: int) -> dict[str, Any]:
        """Sums with their standard errors, JSON-ready."""
        seconds, error = _sum(self.seconds, self.tasks)
        space, _ = _sum(self.bytes, self.tasks)
        return {
            "tasks": self.tasks,
            "planned": len(self.seconds),
            "processor_seconds": seconds,
            "standard_error": error,
            "hours": seconds / 3600.0 / workers,
            "bytes": space,
            "memory_each": self.memory,
            "refused": self.refused,
        }

    def text(self, workers: int) -> str:
        """In words."""
        said = self.record(workers)
        each = said["processor_seconds"] / max(self.tasks, 1)
        error = f" ± {duration(said['standard_error'])}" if len(self.seconds) < self.tasks else ""
        told = [
            f"{self.tasks} tasks, {len(self.seconds)} of them planned",
            f"time        {duration(said['processor_seconds'])}{error} of processor time, {each:.1f} s each; "
            f"{duration(3600 * said['hours'])} on {workers} cores",
            f"space       {_size(said['bytes'])}, {_size(said['bytes'] / max(self.tasks, 1))} each",
            f"memory      up to {1e-9 * self.memory:.2f} GB a process",
        ]
        refused = [f"refused     {title}: {reason}" for title, reason in self.refused.items()]
        if len(refused) > SHOWN:
            refused[SHOWN:] = [f"            and {len(refused) - SHOWN} more (--json has all)"]
        return "\n".join([*told, *refused])


def costs(campaign: Campaign, sample: int, progress: Progress = silent) -> Costs:
    """Plan ``sample`` tasks of a campaign, drawn at random, or all if there are fewer.

    Raises
    ------
    InputError
        If a structure cannot be read, or a combination of keys cannot be.
    """
    tasks = tasks_of(campaign)
    rng = np.random.default_rng(campaign.seed)
    chosen = sorted(rng.permutation(len(tasks))[:sample].tolist())
    seconds, sizes, memory, refused = [], [], 0.0, {}
    for number, place in enumerate(chosen):
        task = tasks[place]
        try:
            one = planned(task)
        except RhoTEMError as error:
            zone = task.plan["specimen"].get("zone")
            refused[task.title + (f" along {zone}" if zone else "")] = " ".join(str(error).split())
            one = (0.0, 0.0, 0.0)  # it ends before it begins; so will as many of those that are not planned
        seconds.append(one[0])
        sizes.append(one[1])
        memory = max(memory, one[2])
        progress("planned", number + 1, len(chosen))
    return Costs(len(tasks), seconds, sizes, memory, refused)


def planned(task: Task) -> tuple[float, float, float]:
    """Processor time in s, bytes of the entry and of the process, of one task that is not done.

    Raises
    ------
    RhoTEMError
        If it cannot be done, or does not fit.
    """
    job, _ = prepared(task, Voice(warn=lambda text: None))
    made = cut(job.plan, job.crystal, [job.name])
    configurations = max(1, job.moving.get("phonons") or 0)
    plan = plan_response(
        steps.sizes_of(made),
        made.preset.microscope,
        basis(made.preset.detectors, task.asked.edges),
        range_of(task.asked, made),
        exits=len(exits(made, job.plan, task.asked.thicknesses)),
        configurations=configurations,
        repeats=(int(made.repeats[0]), int(made.repeats[1])),
        memory=job.means.memory,
        threads=1,
    )
    stored = plan.stored * (0.5 if task.asked.half else 1.0)
    learned = source_kind(str(job.plan.density.source)) == "model"
    return FIXED + learned * LEARNED + plan.seconds, stored + BESIDE + learned * SUMMARY, plan.memory


def _sum(values: Sequence[float], number: int) -> tuple[float, float]:
    """Sum of ``number`` values of which some are known, and its standard error."""
    if not values:
        return 0.0, 0.0
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    missing = max(0.0, 1.0 - len(values) / number)
    return number * float(np.mean(values)), number * spread * float(np.sqrt(missing / len(values)))


def _size(value: float) -> str:
    for limit, unit, name in ((1e6, 1e3, "kB"), (1e9, 1e6, "MB"), (1e12, 1e9, "GB")):
        if value < limit:
            return f"{value / unit:.3g} {name}"
    return f"{value / 1e12:.3g} TB"
