"""A data set from its plan: responses into a library, pictures of them into shards, then manifest and card."""

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rhotem.core import InputError, Progress, silent
from rhotem.core.parents import end_with
from rhotem.core.physics import PHYSICS
from rhotem.library.campaign.model import Campaign
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.card import write_card
from rhotem.library.dataset.draw import ShardJob, draw_shard
from rhotem.library.dataset.manifest import check_manifest, write_manifest
from rhotem.library.dataset.model import DatasetPlan
from rhotem.library.dataset.recipes import recipes
from rhotem.library.dataset.states import shards_of
from rhotem.library.dataset.store import ABOUT, CARD, FORM, MANIFEST, SHARDS, VERSION, Dataset, open_dataset
from rhotem.library.hold import hold
from rhotem.library.layout import write_json
from rhotem.library.store import Library


@dataclass
class Outcome:
    """What a run made.

    Parameters
    ----------
    dataset : Dataset
    drawn, kept : int
        Shards that were drawn now, and that were there.
    lacking : dict
        By title, why a structure has no pictures.
    """

    dataset: Dataset
    drawn: int = 0
    kept: int = 0
    lacking: dict[str, str] = field(default_factory=dict)


def make(
    plan: DatasetPlan,
    library: Path,
    folder: Path,
    *,
    workers: int = 1,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> Outcome:
    """Make a data set, or go on with it: what is there is not made again.

    Parameters
    ----------
    plan : DatasetPlan
    library : Path
        Keeps the responses; those that it has are not computed again.
    folder : Path
    workers : int
        Processes.
    report : callable
        Told a line now and then.
    progress : Progress

    Raises
    ------
    InputError
        If the folder holds another data set, no detector makes an image of the plan, or somebody else is at work.
    MissingDependencyError
        Without pyarrow.
    """
    check_manifest()
    asked = planned(plan)
    groups = shards_of(plan, asked)
    about = described(plan, groups)
    refuse_other(about, folder)
    check_images(plan, asked)
    reasons = {task.id: why for task, why in simulated(plan, asked, library, workers, report)}
    tasks = [(group, next((reasons[t.id] for t in group if reasons[t.id]), "")) for group in groups]
    dataset = begun(about, folder)
    outcome = Outcome(dataset, lacking={group[0].title: why for group, why in tasks if why})
    with hold(folder):
        for part in (folder / SHARDS).glob("*.part"):
            shutil.rmtree(part, ignore_errors=True)
        there = {shard.about["id"] for shard in dataset.every if shard.there}
        outcome.kept = len(there)
        waiting = [group for group, why in tasks if not why and group[0].id not in there]
        jobs = [_job(library, plan, group, folder) for group in waiting]
        for group, why in zip(waiting, _drawn(jobs, workers, progress), strict=True):
            outcome.lacking |= {group[0].title: why} if why else {}
            outcome.drawn += not why
        if outcome.lacking and not outcome.drawn + outcome.kept:
            raise InputError(next(iter(outcome.lacking.values())))
        rows = write_manifest(dataset, folder / MANIFEST)
        write_card(dataset, plan, rows, outcome.lacking, folder / CARD)
    return outcome


def planned(plan: DatasetPlan) -> list[tuple[Campaign, list[Task]]]:
    """The campaigns of a plan with their tasks; nothing is written."""
    from rhotem.library.campaign.expand import tasks_of
    from rhotem.library.campaign.load import load_campaign

    campaigns = [load_campaign(path) for path in plan.campaigns]
    return [(campaign, tasks_of(campaign)) for campaign in campaigns]


def simulated(
    plan: DatasetPlan,
    asked: Sequence[tuple[Campaign, list[Task]]],
    library: Path,
    workers: int,
    report: Callable[[str], None],
) -> list[tuple[Task, str]]:
    """The tasks of all campaigns of a plan, done as far as they can be; each with the reason why it is not, or ""."""
    from rhotem.library.campaign.driver import Crew, drive
    from rhotem.library.campaign.ledger import Ledger

    result: dict[str, tuple[Task, str]] = {}
    with Library.create(library) as opened:
        for campaign, tasks in asked:
            if not recipes()[plan.recipe].simulated:
                result |= {task.id: (task, "") for task in tasks if task.id not in result}
                continue
            known = opened.catalogue.checksums()
            ledger = Ledger(opened.catalogue, campaign.name)
            if any(task.id not in known for task in tasks):
                report(f"{campaign.name}: {sum(t.id not in known for t in tasks)} of {len(tasks)} responses to make")
                ledger.begin(campaign.model_dump_json(by_alias=True), tasks)
                drive(ledger, campaign.limits, Crew(workers), lambda tally: report(str(tally)))
                known = opened.catalogue.checksums()
            why = {name: reason for name, _, reason in ledger.failures()}
            for task in tasks:
                reason = "" if task.id in known else why.get(task.id, "not done yet")
                result.setdefault(task.id, (task, reason))
    return sorted(result.values(), key=lambda pair: pair[0].id)


def refuse_other(about: Mapping[str, Any], folder: Path) -> None:
    """Refuse a folder that holds another data set, or something else, before anything is computed.

    Raises
    ------
    InputError
    """
    if (folder / ABOUT).exists():
        known = open_dataset(folder)
        if known.about["identity"] != about["identity"]:
            raise InputError(
                f"{folder}: holds the data set {known.about['name']} of another plan or seed; give another folder"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: holds something else than a data set; give an empty or a new folder")


def check_images(plan: DatasetPlan, asked: Sequence[tuple[Campaign, list[Task]]]) -> None:
    """Refuse a microscope of a campaign that records no such pictures, before responses are made for nothing.

    Raises
    ------
    InputError
    """
    from rhotem.analysis.voice import Voice
    from rhotem.library.campaign.compute import prepared

    # tasks of one microscope record alike
    alike = {json.dumps(t.plan.get("microscope"), sort_keys=True, default=str): t for _, tasks in asked for t in tasks}
    for task in alike.values():
        recipes()[plan.recipe].suits(prepared(task, Voice())[0].plan.preset(), plan.pictures)


def begun(about: Mapping[str, Any], folder: Path) -> Dataset:
    """The folder of a data set, with what it will hold.

    Raises
    ------
    InputError
        If nothing can be written there.
    """
    if not (folder / ABOUT).exists():
        try:
            (folder / SHARDS).mkdir(parents=True, exist_ok=True)
            write_json(folder / ABOUT, dict(about))
        except OSError as error:
            raise InputError(f"{folder}: no data set can be made there ({error.strerror})") from None
    return open_dataset(folder)


def _job(library: Path, plan: DatasetPlan, group: Sequence[Task], folder: Path) -> ShardJob:
    first, *later = (task.to_json() for task in group)
    return ShardJob(library, first, plan, folder / SHARDS / f"{group[0].id}.zarr", later=tuple(later))


def described(plan: DatasetPlan, groups: Sequence[Sequence[Task]]) -> dict[str, Any]:
    """What ``dataset.json`` says; ``identity`` is the hash of everything that decides the pictures."""
    shown = plan.model_dump(mode="json", by_alias=True, exclude={"campaigns"}, exclude_none=True)
    decided = {
        "plan": shown,
        "tasks": [" ".join(task.id for task in group) for group in groups],
        "physics": PHYSICS,
        "version": VERSION,
    }
    digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
    return {
        "format": FORM,
        "version": VERSION,
        "name": plan.name,
        "recipe": plan.recipe,
        "identity": digest,
        "plan": shown,
        "shards": [_shard(plan, group[0]) for group in groups],
    }


def _shard(plan: DatasetPlan, task: Task) -> dict[str, Any]:
    from rhotem.analysis.voice import Voice
    from rhotem.library.campaign.compute import prepared

    crystal = prepared(task, Voice())[0].crystal
    elements = tuple(sorted(set(crystal.atoms.get_chemical_symbols())))
    zone = task.plan["specimen"].get("zone")
    return {
        "id": task.id,
        "title": task.title,
        "formula": crystal.formula,
        "elements": list(elements),
        "zone": "".join(map(str, zone)) if zone else "",
        "defect": "" if task.recipe is None else str(task.recipe),
        "split": plan.split.of(elements),
    }


def _drawn(jobs: Sequence[ShardJob], workers: int, progress: Progress) -> list[str]:
    """Draw shards; in their order "", or why one cannot be."""
    if workers == 1 or len(jobs) < 2:
        result = []
        for number, job in enumerate(jobs):
            result.append(draw_shard(job))
            progress("pictures", number + 1, len(jobs))
        return result
    answers: dict[int, str] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=end_with, initargs=(os.getpid(),)) as pool:
        futures = {pool.submit(draw_shard, job): number for number, job in enumerate(jobs)}
        for future in as_completed(futures):
            answers[futures[future]] = future.result()
            progress("pictures", len(answers), len(jobs))
    return [answers[number] for number in range(len(jobs))]
