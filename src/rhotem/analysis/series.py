"""`run_series`: every setting of a series, those of the lens from one propagation."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rhotem.analysis import motion, results
from rhotem.analysis import run as steps
from rhotem.analysis.answers import Answer, answer_for
from rhotem.analysis.answers.group import Group
from rhotem.analysis.plan import Plan, Recorded
from rhotem.analysis.plan.identity import identity, inputs
from rhotem.analysis.series_files import write_series
from rhotem.analysis.specimen import shortened
from rhotem.analysis.voice import Voice
from rhotem.analysis.where import place_of_images
from rhotem.analysis.workflow import (
    asked_for,
    cut,
    keeps_cell,
    open_source,
    places,
    potentials,
    prepare,
    run_job,
)
from rhotem.core import InputError, RhoTEMError
from rhotem.core.machine import as_on
from rhotem.core.physics import PHYSICS
from rhotem.microscope.images import ImageSet
from rhotem.microscope.plan import probe_window


def run_series(
    plan: Plan | Recorded | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    voice: Voice | None = None,
    notes: Mapping[str, Any] | None = None,
) -> dict[str, results.Result]:
    """Do all plans of a series: what `rhotem image` does with one, with the same files.

    Plans that differ in what a lens, a detector or a dose sets, or in the thickness of a crystal, come from one
    propagation (`rhotem.analysis.answers`) where that takes less time and fits into memory.

    Parameters
    ----------
    plan, voice, notes
        As `rhotem.analysis.workflow.run`; the plan has a series.
    out : path, optional
        Folder for a folder of every setting, ``montage-NAME.png``, ``series.zarr`` and the record, complete or not
        there. None: nothing is written.

    Returns
    -------
    dict of str to Result
        By the name of the setting's folder, in the order of `Plan.runs`.

    Raises
    ------
    RhoTEMError
        In one line with the name of the setting, before anything is propagated, if something cannot be used.
    """
    voice, started = voice or Voice(), time.perf_counter()
    asked, again = asked_for(plan)
    if not asked.series:
        raise InputError("the plan has no series; rhotem.run does it")
    runs = list(asked.runs())
    with as_on(again.machine if again is not None else {}):
        groups = [_prepared(members, voice) for members in grouped(runs)]
        with places(out) as (folder, scratch):
            made: dict[str, results.Result] = {}
            where = (folder, scratch, None if out is None else Path(out))
            for group in groups:
                made |= _done(group, where, voice, dict(notes or {}))
            ordered = {name: made[name] for name, _ in runs}
            if folder is not None:
                write_series(asked, ordered, folder, {**(notes or {}), "out": out, "started": started})
    return ordered


def grouped(runs: Sequence[tuple[str, Plan]]) -> list[list[tuple[str, Plan]]]:
    """Single plans by what they share: those of one group differ in what one answer is for; others stand alone."""
    groups: dict[str, list[tuple[str, Plan]]] = {}
    for number, (name, plan) in enumerate(runs):
        data, answer = plan.data(full=True), answer_for(plan)
        for section, keys in answer.keys.items() if answer else ():
            for key in keys:
                data[section].pop(key, None)
        key = f"{type(answer).__name__} {json.dumps(data, sort_keys=True)}" if answer else str(number)
        groups.setdefault(key, []).append((name, plan))
    return list(groups.values())


def _prepared(members: list[tuple[str, Plan]], voice: Voice) -> Group:
    """Everything of a group read and cut, and what cannot be refused."""
    names, plans = zip(*members, strict=True)
    with _named(names[0]):
        job, answer = prepare(plans[0], voice), answer_for(plans[0])
        presets = [plan.preset() for plan in plans]
        widest = answer.whole(presets) if answer and len(plans) > 1 else presets[0]
        whole = cut(_thickest(plans), job.crystal, [job.name], widest)
    jobs, cuts = [], []
    for name, plan in members:
        named = plan.changed({"density.source": job.name}) if plan.density.source is None else plan
        with _named(name):
            keep = keeps_cell(plan)
            one = shortened(whole, plan.preset(), plan.specimen.thickness_nm, keep_cell=keep)
            if answer is not None and len(plans) > 1:
                answer.check(one)
            elif one.preset.mode == "stem":
                probe_window(one.preset.microscope, float(one.block.lengths[2]))
        jobs.append(replace(job, plan=named))
        cuts.append(one)
    return Group(tuple(names), tuple(jobs), tuple(cuts), whole)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors say which setting they are about."""
    try:
        yield
    except RhoTEMError as error:
        raise type(error)(f"{name}: {error}") from None


def _thickest(plans: Sequence[Plan]) -> Plan:
    """The plan of the thickest specimen."""

    def thickness(plan: Plan) -> float:
        if plan.specimen.thickness_nm is not None:
            return plan.specimen.thickness_nm
        return 0.0 if keeps_cell(plan) else plan.preset().thickness

    return max(plans, key=thickness)


def _done(
    group: Group, where: tuple[Path | None, Path, Path | None], voice: Voice, notes: dict[str, Any]
) -> dict[str, results.Result]:
    """The results of a group, from one propagation or one after the other."""
    folder, scratch, out = where
    answer = answer_for(group.jobs[0].plan)
    if len(group.names) > 1 and answer is not None:
        made = _shared(group, answer, where, (voice, notes))
        if made is not None:
            return made
    single = {}
    for name, job in zip(group.names, group.jobs, strict=True):
        voice.tell(f"-- {name}")
        inside = None if folder is None else folder / name
        if inside is not None:
            inside.mkdir()
        noted = {**notes, "out": None if out is None else out / name, "started": time.perf_counter()}
        single[name] = run_job(job, inside, scratch, None, (voice, noted))
        voice.tell(str(single[name]))
    return single


def _shared(
    group: Group, answer: Answer[Any], where: tuple[Path | None, Path, Path | None], rest: tuple[Voice, dict[str, Any]]
) -> dict[str, results.Result] | None:
    """The results of a group from one propagation; None, with a line that says why, where that is no gain."""
    (voice, notes), job, whole = rest, group.jobs[0], group.whole
    number = len(group.names)
    place = place_of_images(whole, job.name, job.means)
    if place != "memory":
        voice.tell(f"note: {number} settings one by one: their potential does not fit into memory")
        return None
    voice.tell(f"-- {number} settings: {group.names[0]} to {group.names[-1]}")
    results.introduce(whole, voice)
    for line in motion.motion_lines(whole, job.moving):
        voice.tell(line)
    needs = answer.needs(group)
    if isinstance(needs, str):
        voice.tell(f"note: {number} settings one by one: {needs}")
        return None
    source = open_source(job, place, voice)
    potential = potentials(job, whole, source, (place, where[1]), voice)
    results.doubts(potential, False, voice)
    results.say_density(potential, None, voice)
    voice.tell(f"{number} settings from one propagation\n{needs.words}")
    began = time.perf_counter()
    held = answer.made(group, potential, voice.progress)
    propagated = time.perf_counter()
    hashes = inputs(job.plan, job.crystal, source)
    shown = {}
    for place_in_group, name in enumerate(group.names):
        images = answer.images(group.cuts[place_in_group], held, group.jobs[place_in_group].plan)
        known = (potential, hashes, held.record["seconds"])
        shown[name] = _answered(group, place_in_group, (images, known), where, {**notes})
        voice.tell(f"-- {name}")
        results.say_errors(shown[name].images, None, voice)
        voice.tell(str(shown[name]))
        voice.progress("images", place_in_group + 1, number)
    seconds = propagated - began, time.perf_counter() - propagated
    voice.tell(f"{number} settings: propagation {seconds[0]:.1f} s, images and files {seconds[1]:.1f} s")
    return shown


def _answered(
    group: Group,
    number: int,
    answered: tuple[ImageSet, tuple[steps.Potentials, dict[str, str], float]],
    where: tuple[Path | None, Path, Path | None],
    notes: dict[str, Any],
) -> results.Result:
    """One setting that a propagation answered, with its files."""
    (images, (potential, hashes, seconds)), (folder, _, out) = answered, where
    started = time.perf_counter()
    plan, made, name = group.jobs[number].plan, group.cuts[number], group.names[number]
    result = results.Result(plan, made, potential.field, images, potential.record())
    if plan.recording.probe:
        result = results.with_probe(result, Voice())
    inside = None if folder is None else folder / name
    if inside is not None:
        inside.mkdir()
    made_from = {"identity": identity(plan, hashes), "physics": PHYSICS, "inputs": hashes, "place": "memory"}
    shared = {"settings": len(group.names), "propagation_seconds": seconds}
    said = {"out": None if out is None else out / name, "started": started, "motion": potential.motion.short}
    return results.written(result, inside, made_from, {**notes, "series": shared, **said})
