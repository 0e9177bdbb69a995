"""Which tasks of a plan belong to one shard: each its own, or the states of one specimen that a series goes through."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rhotem.core import InputError
from rhotem.library.campaign.model import Campaign
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.model import DatasetPlan
from rhotem.library.dataset.recipes import recipes


def shards_of(plan: DatasetPlan, asked: Sequence[tuple[Campaign, list[Task]]]) -> list[tuple[Task, ...]]:
    """Tasks by shard, sorted by the identifier of the first.

    States differ in the option ``pictures.along`` of their builder alone, and stand in the order of its values.

    Raises
    ------
    InputError
        If a specimen of a series has no such option, or one value of it.
    """
    every = {task.id: task for _, tasks in asked for task in tasks}
    if not recipes()[plan.recipe].states:
        return [(task,) for _, task in sorted(every.items())]
    groups: dict[str, list[Task]] = {}
    for task in every.values():
        groups.setdefault(_without(task, str(plan.pictures.along)), []).append(task)
    for group in groups.values():
        if len(group) < 2:
            raise InputError(
                f"pictures.along: {group[0].title} has one value of {plan.pictures.along}; a series needs two or more"
            )
    return sorted(map(tuple, groups.values()), key=lambda group: group[0].id)


def _without(task: Task, option: str) -> str:
    """All that decides a task but one option of its builder."""
    if task.recipe is None or option not in task.recipe.options:
        raise InputError(
            f"pictures.along: {task.title} has no option {option}; name a builder and values of that option"
        )
    rest = {key: value for key, value in task.recipe.options.items() if key != option}
    return json.dumps([task.plan, asdict(task.asked), asdict(task.recipe) | {"options": rest}], sort_keys=True)
