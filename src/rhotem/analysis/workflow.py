"""`run`: everything that a plan asks for, from the structure to the files in a folder."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhotem.analysis import inversion, motion, results
from rhotem.analysis import run as steps
from rhotem.analysis.core_losses import check_elements
from rhotem.analysis.plan import Plan, Recorded, load_run
from rhotem.analysis.plan.identity import identity, inputs
from rhotem.analysis.sources import Described, memory_options, source_options
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.streamed import StreamedPotentials, announced
from rhotem.analysis.uncertainty import check, ensemble
from rhotem.analysis.voice import Voice
from rhotem.analysis.where import Kind, Means, fine_grid, has_planes, place_of_images
from rhotem.core import InputError
from rhotem.core.machine import as_on, differences
from rhotem.core.output import output_folder
from rhotem.core.physics import PHYSICS
from rhotem.core.provenance import versions
from rhotem.density.source import DensitySource, default_source, get_source, is_density_file
from rhotem.microscope.presets import Preset
from rhotem.structure.model import Structure


@dataclass(frozen=True, eq=False)
class Job:
    """A plan with everything that it names read, before anything is computed.

    Parameters
    ----------
    plan : Plan
        With the source of the density named.
    crystal : Structure
    moving : Moving
        `rhotem.analysis.motion.Moving`.
    options : dict
        Of the source.
    means : Means
    """

    plan: Plan
    crystal: Structure
    moving: motion.Moving
    options: dict[str, Any]
    means: Means

    @property
    def name(self) -> str:
        """That of the source."""
        return self.plan.density.source or default_source()


def run(
    plan: Plan | Recorded | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    voice: Voice | None = None,
    notes: Mapping[str, Any] | None = None,
) -> results.Result:
    """Do what a plan says: what `rhotem image` does, with the same files.

    Parameters
    ----------
    plan : Plan, Recorded, mapping, or path
        A plan, its content, the file of a plan, or the record of a run, which is then done again: to the last bit with
        its threads on its kind of processor, else within rounding.
    out : path, optional
        Folder for pictures, data and record, complete or not there. None: nothing is written.
    voice : Voice, optional
        Who is told of the plan, of doubts (else Python warnings) and of progress.
    notes : mapping, optional
        What the record should hold besides.

    Returns
    -------
    Result

    Raises
    ------
    RhoTEMError
        In one line, if something cannot be used; then nothing is left in ``out``.
    """
    voice, started = voice or Voice(), time.perf_counter()
    single, again = asked_for(plan)
    if single.series:
        raise InputError("series: rhotem.run_series(plan, out) does its plans, plan.runs() gives them one by one")
    with as_on(again.machine if again is not None else {}):
        job = prepare(single, voice)
        with places(out) as (folder, scratch):
            return run_job(job, folder, scratch, again, (voice, {**(notes or {}), "out": out, "started": started}))


def asked_for(plan: Plan | Recorded | Mapping[str, Any] | str | Path) -> tuple[Plan, Recorded | None]:
    """The plan that is meant by any of these, and the run that is to be done again, if it is one."""
    again = load_run(plan) if isinstance(plan, str | Path) else plan if isinstance(plan, Recorded) else None
    if again is not None:
        return again.plan, again
    return plan if isinstance(plan, Plan) else Plan(**plan), None  # type: ignore[arg-type]  # a mapping


def prepare(plan: Plan, voice: Voice) -> Job:
    """Read what a plan names, and refuse what cannot work before anything is computed."""
    if plan.density.source is None:
        plan = plan.changed({"density.source": default_source()})
    name, memory = str(plan.density.source), plan.memory
    options = source_options(name, **described(plan))
    crystal, moving = moving_crystal(plan, voice)
    return Job(plan, crystal, moving, options, Means(memory, plan.computing.scheduler))


def open_source(job: Job, place: Kind, voice: Voice) -> DensitySource:
    """The density of a plan, and the members of its error bars: a learned one is loaded once for both."""
    told = memory_options(job.name, job.plan.memory, voice.tell, large=place != "memory")
    return get_source(job.name, **job.options, **told)


def described(plan: Plan) -> Described:
    """What a plan says of its density."""
    said = plan.density
    return {
        "charge": said.charge_e,
        "valence": said.valence_e,
        "file_kind": said.file_kind,
        "correct_count": said.correct_count,
        "gpaw_cache": said.gpaw_cache,
        "strict": said.strict,
    }


def read_crystal(plan: Plan) -> Structure:
    """The structure of a plan."""
    said = plan.specimen
    return steps.structure(
        said.structure,
        charge=plan.density.charge_e or 0.0,
        ordering="auto" if said.order else None,
        vacuum=said.vacuum_A,
        allow_overlaps=said.allow_overlaps,
    )


def moving_crystal(plan: Plan, voice: Voice) -> tuple[Structure, motion.Moving]:
    """The structure of a plan, and how its atoms move."""
    said, structure, charge = plan.motion, plan.specimen.structure, plan.density.charge_e or 0.0
    number = said.phonons if isinstance(said.phonons, int) else None
    moving = motion.vibration(number, said.temperature_K, said.msd_A2, said.frames, voice.warn)
    crystal, snapshots = motion.moving_structure(structure, said.frames, number, lambda: read_crystal(plan), charge)
    most: motion.Moving = {"phonons": motion.MOST} if plan.precision is not None else {}
    return crystal, {"seed": plan.computing.seed, **moving, **snapshots, **most}


def cut(plan: Plan, crystal: Structure, sources: Sequence[str], preset: Preset | None = None) -> Specimen:
    """The specimen of a plan, for densities of these sources: that of a file is tied to its own cell.

    ``preset``: what the grid is made for instead of the plan's.
    """
    said, computing = plan.specimen, plan.computing
    indices, is_plane = steps.direction(crystal, said.zone, said.plane)
    return steps.specimen(
        crystal,
        indices,
        basis=said.zone_basis,
        plane=is_plane,
        thickness=said.thickness_nm,
        keep_cell=keeps_cell(plan),
        preset=preset or plan.preset(),
        sampling=computing.sampling_A,
        slice_thickness=computing.slice_thickness_A,
        primitive=not any(is_density_file(name) for name in sources),
        at_rest=plan.motion.phonons == 0,
    )


def keeps_cell(plan: Plan) -> bool:
    """Whether the given cell is taken as it is: that of a trajectory always."""
    return plan.specimen.keep_cell or plan.motion.frames is not None


def potentials(
    job: Job, made: Specimen, source: DensitySource, where: tuple[Kind, Path], voice: Voice
) -> steps.Potentials:
    """The potentials of a specimen, in memory or on disk; ``where``: which, and the folder for what vanishes."""
    place, scratch = where
    allow = job.plan.density.allow_polar
    if place == "memory":
        field = steps.density(made, source, allow_polar=allow)
        return steps.potential(made, field, memory=job.means.memory, **job.moving)
    density = announced(made.block.structure, fine_grid(made), source, job.means, voice, allow_polar=allow)
    number = job.moving.get("phonons") or 0
    if number > 1:
        voice.tell(f"phonons     {number} configurations, written and read one after another")
    return StreamedPotentials(made, density, scratch, job.means.room, job.means.scheduler, **job.moving)


def run_job(
    job: Job, folder: Path | None, scratch: Path, again: Recorded | None, rest: tuple[Voice, dict[str, Any]]
) -> results.Result:
    """From the specimen to the files."""
    (voice, notes), plan = rest, job.plan
    made = cut(plan, job.crystal, [job.name])
    check_elements(made)
    results.introduce(made, voice)
    for line in motion.motion_lines(made, job.moving):
        voice.tell(line)
    place = place_of_images(made, job.name, job.means)
    if again is not None and again.place in ("memory", "disk") and place != "cluster" and has_planes(job.name):
        place = "memory" if again.place == "memory" else "disk"
    source = open_source(job, place, voice)
    hashes = inputs(plan, job.crystal, source)
    if again is not None:
        _compare(job, hashes, again, voice)
    if plan.density.uncertainty:
        check(made, ensemble(source))
    potential = potentials(job, made, source, (place, scratch), voice)
    results.doubts(potential, plan.density.uncertainty, voice)
    memory = job.means.memory if again is None or again.memory is None else again.memory
    recording = {
        "seed": plan.computing.seed,
        "scan_step": plan.recording.scan_step_A,
        "field_of_view": plan.recording.field_of_view_A,
        "algorithm": plan.computing.algorithm,
        "precision": plan.precision,
    }
    means = replace(job.means, memory=memory)
    focus = None
    if plan.best is None:
        images = results.simulate(made, potential, means, recording, voice)
    else:
        if place != "memory":
            raise InputError("defocus best: the potential does not fit into memory; give a number, or more --memory")
        made, images, focus = results.focused(plan, made, potential, (means, recording), voice)
    for line in inversion.remarks(images, made):
        voice.warn(line)
    result = results.Result(plan, made, potential.field, images, potential.record())
    if plan.density.uncertainty:
        bars = {
            **job.moving,
            "phonons": potential.phonons,
            "memory": job.means.memory,
            "scratch": None if place == "memory" else scratch,
            "scheduler": job.means.scheduler,
        }
        result = results.with_error_bars(result, ensemble(source), bars, voice)
    if plan.recording.probe:
        result = results.with_probe(result, voice)
    made_from: dict[str, Any] = {
        "identity": identity(plan, hashes),
        "physics": PHYSICS,
        "inputs": hashes,
        "place": place,
    }
    if focus is not None:
        made_from["focus"] = focus.record()
    return results.written(result, folder, made_from, {**notes, "motion": potential.motion.short})


def _compare(job: Job, hashes: dict[str, str], again: Recorded, voice: Voice) -> None:
    """Say why a run that is done again will not be the same."""
    if again.physics != PHYSICS:
        voice.warn(f"{again.path}: made with version {again.physics} of the physics, this is {PHYSICS}: images differ")
    for key, was in again.inputs.items():
        if key in hashes and hashes[key] != was:
            section, _, name = key.partition(".")
            what = getattr(getattr(job.plan, section), name, None) or job.name
            voice.warn(f"{again.path}: {key} {what} has changed since (SHA-256 {was[:12]}, now {hashes[key][:12]})")
    here = versions()
    others = [
        f"{name} is {here[name]}, was {was}" for name, was in again.versions.items() if here.get(name, was) != was
    ]
    if why := [*differences(again.machine), *others]:
        voice.tell(f"note: {'; '.join(why)}: equal within rounding only")


@contextmanager
def places(out: str | Path | None) -> Iterator[tuple[Path | None, Path]]:
    """The folder to write into, and one for what vanishes, on the same disk."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="rhotem-") as scratch:
            yield None, Path(scratch)
        return
    with output_folder(Path(out)) as folder:
        yield folder, folder.parent
