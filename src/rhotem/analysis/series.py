"""`run_series`: every setting of a series, those of the lens from one propagation."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhotem.analysis import motion, responses, results
from rhotem.analysis import run as steps
from rhotem.analysis.plan import Plan, Recorded
from rhotem.analysis.plan.identity import identity, inputs
from rhotem.analysis.series_files import write_series
from rhotem.analysis.specimen import Specimen, shortened
from rhotem.analysis.voice import Voice
from rhotem.analysis.where import place_of_images
from rhotem.analysis.workflow import (
    Job,
    asked_for,
    cut,
    keeps_cell,
    open_source,
    places,
    potentials,
    prepare,
    run_job,
)
from rhotem.core import InputError, MemoryLimitError, RhoTEMError
from rhotem.core.machine import as_on
from rhotem.core.physics import PHYSICS
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.plan import make_plan, probe_window
from rhotem.microscope.presets import Preset
from rhotem.microscope.response import Range, Response
from rhotem.microscope.response.channels import basis
from rhotem.microscope.response.plan import ResponsePlan, plan_response
from rhotem.microscope.scan import Scan

#: Keys whose values one propagation answers for.
LENS = {
    "specimen": ("thickness_nm",),
    "microscope": ("defocus_nm", "cs_mm", "aberrations", "convergence_mrad", "source_size_A", "detectors", "alignment"),
    "recording": ("dose_e_per_A2", "scan_step_A", "field_of_view_A"),
}


@dataclass(frozen=True, eq=False)
class Group:
    """Single plans of a series that differ in the lens only, or one plan by itself.

    Parameters
    ----------
    names : tuple of str
    jobs : tuple of Job
    cuts : tuple of Specimen
        On the grid of ``whole`` where there are several.
    whole : Specimen
        The thickest, cut for all detectors and the largest aperture.
    """

    names: tuple[str, ...]
    jobs: tuple[Job, ...]
    cuts: tuple[Specimen, ...]
    whole: Specimen

    @property
    def microscopes(self) -> list[Microscope]:
        """That of every plan."""
        return [made.preset.microscope for made in self.cuts]


def run_series(
    plan: Plan | Recorded | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    voice: Voice | None = None,
    notes: Mapping[str, Any] | None = None,
) -> dict[str, results.Result]:
    """Do all plans of a series: what `rhotem image` does with one, with the same files.

    Plans that differ in what a lens, a detector or a dose sets, or in the thickness of a crystal, come from one
    propagation (`rhotem.microscope.response`) where that takes less time and fits into memory.

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
    """Single plans by what they share: those of one group differ in `LENS` only; others stand alone."""
    groups: dict[str, list[tuple[str, Plan]]] = {}
    for number, (name, plan) in enumerate(runs):
        data = plan.data(full=True)
        for section, keys in LENS.items():
            for key in keys:
                data[section].pop(key, None)
        key = json.dumps(data, sort_keys=True) if responses.shareable(plan) else str(number)
        groups.setdefault(key, []).append((name, plan))
    return list(groups.values())


def _prepared(members: list[tuple[str, Plan]], voice: Voice) -> Group:
    """Everything of a group read and cut, and what cannot be refused."""
    names, plans = zip(*members, strict=True)
    with _named(names[0]):
        job = prepare(plans[0], voice)
        whole = cut(_thickest(plans), job.crystal, [job.name], _widest([plan.preset() for plan in plans]))
    jobs, cuts = [], []
    for name, plan in members:
        named = plan.changed({"density.source": job.name}) if plan.density.source is None else plan
        with _named(name):
            keep = keeps_cell(plan)
            one = shortened(whole, plan.preset(), plan.specimen.thickness_nm, keep_cell=keep)
            if one.preset.mode == "stem":
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


def _widest(presets: list[Preset]) -> Preset:
    """A preset with the largest aperture and the detectors of all."""
    if len(presets) == 1:
        return presets[0]
    detectors = list(dict.fromkeys(detector for preset in presets for detector in preset.detectors))
    renamed = (d.model_copy(update={"name": f"{n} {d.name}"}) for n, d in enumerate(detectors))
    largest = max(preset.microscope.convergence for preset in presets)
    microscope = presets[0].microscope.model_copy(update={"convergence": largest})
    return presets[0].model_copy(update={"microscope": microscope, "detectors": tuple(renamed)})


def _done(
    group: Group, where: tuple[Path | None, Path, Path | None], voice: Voice, notes: dict[str, Any]
) -> dict[str, results.Result]:
    """The results of a group, from one propagation or one after the other."""
    folder, scratch, out = where
    if len(group.names) > 1:
        made = _shared(group, where, voice, notes)
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
    group: Group, where: tuple[Path | None, Path, Path | None], voice: Voice, notes: dict[str, Any]
) -> dict[str, results.Result] | None:
    """The results of a group from one propagation; None, with a line that says why, where that is no gain."""
    job, whole = group.jobs[0], group.whole
    number = len(group.names)
    place = place_of_images(whole, job.name, job.means)
    if place != "memory":
        voice.tell(f"note: {number} settings one by one: their potential does not fit into memory")
        return None
    voice.tell(f"-- {number} settings: {group.names[0]} to {group.names[-1]}")
    results.introduce(whole, voice)
    for line in motion.motion_lines(whole, job.moving):
        voice.tell(line)
    span = _range(group.microscopes)
    planned = _plan(group, span)
    if isinstance(planned, str):
        voice.tell(f"note: {number} settings one by one: {planned}")
        return None
    source = open_source(job, place, voice)
    potential = potentials(job, whole, source, (place, where[1]), voice)
    results.doubts(potential, False, voice)
    results.say_density(potential, None, voice)
    voice.tell(f"{number} settings from one propagation\n{planned}")
    began = time.perf_counter()
    held = responses.response(
        whole,
        potential,
        thicknesses=[0.1 * float(made.block.lengths[2]) for made in group.cuts],  # with vacuum
        range=span,
        edges=[],
        memory=job.means.memory,
        progress=voice.progress,
    )
    propagated = time.perf_counter()
    hashes = inputs(job.plan, job.crystal, source)
    shown = {}
    for place_in_group, name in enumerate(group.names):
        shown[name] = _answered(group, place_in_group, (held, potential, hashes), where, {**notes})
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
    known: tuple[Response, steps.Potentials, dict[str, str]],
    where: tuple[Path | None, Path, Path | None],
    notes: dict[str, Any],
) -> results.Result:
    """One setting of a response, with its files."""
    (held, potential, hashes), (folder, _, out), started = known, where, time.perf_counter()
    plan, made, name = group.jobs[number].plan, group.cuts[number], group.names[number]
    recording = plan.recording
    images = responses.image(
        made,
        held,
        seed=plan.computing.seed,
        scan_step=recording.scan_step_A,
        field_of_view=recording.field_of_view_A,
    )
    result = results.Result(plan, made, potential.field, images, potential.record())
    if recording.probe:
        result = results.with_probe(result, Voice())
    inside = None if folder is None else folder / name
    if inside is not None:
        inside.mkdir()
    made_from = {"identity": identity(plan, hashes), "physics": PHYSICS, "inputs": hashes, "place": "memory"}
    shared = {"settings": len(group.names), "propagation_seconds": held.record["seconds"]}
    said = {"out": None if out is None else out / name, "started": started, "motion": potential.motion.short}
    return results.written(result, inside, made_from, {**notes, "series": shared, **said})


def _range(microscopes: list[Microscope]) -> Range:
    """What a response must hold for these."""
    foci = [-microscope.coefficients.get("C10", 0.0) for microscope in microscopes]
    span = Range(defocus=(min(foci), max(foci)))
    for microscope in microscopes:
        span = span.around(microscope)
    return span


def _plan(group: Group, span: Range) -> ResponsePlan | str:
    """The plan of the response, or why single runs are better; no density is made for it."""
    whole, job, number = group.whole, group.jobs[0], len(group.names)
    sizes, configurations = steps.sizes_of(whole), max(1, job.moving.get("phonons") or 0)
    microscope, detectors = whole.preset.microscope, whole.preset.detectors
    try:
        plan = plan_response(
            sizes,
            microscope,
            basis(detectors, []),
            span,
            exits=len({made.repeats[2] for made in group.cuts}),
            configurations=configurations,
            repeats=whole.repeats[:2],
            memory=job.means.memory,
        )
    except (MemoryLimitError, InputError) as error:
        return str(error)
    if plan.worth > number:
        return f"one propagation for all takes less time from {plan.worth} settings on"
    # cells so large that probes see a window of them only
    scan = Scan.cell(sizes.extent, microscope)
    memory: dict[str, Any] = {"configurations": configurations, "memory_limit": job.means.memory}
    try:
        direct = make_plan(sizes, microscope, scan, detectors, **memory)
    except MemoryLimitError:
        return plan
    if direct.windows is not None and number * direct.seconds < plan.seconds:
        return f"{number} times about {direct.seconds:.0f} s in windows, {plan.seconds:.0f} s without"
    return plan
