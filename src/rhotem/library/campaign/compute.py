"""What a task comes to: a response with its description, in a folder that is whole or not there."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis import motion, responses
from rhotem.analysis import run as steps
from rhotem.analysis.plan import Plan
from rhotem.analysis.plan.identity import inputs
from rhotem.analysis.sources import source_options
from rhotem.analysis.specimen import Specimen, shortened
from rhotem.analysis.voice import Voice
from rhotem.analysis.where import Means, place_of_images
from rhotem.analysis.workflow import Job, cut, described, keeps_cell, potentials, prepare
from rhotem.core import InputError
from rhotem.core.output import write_record
from rhotem.core.physics import PHYSICS
from rhotem.library import describe
from rhotem.library.campaign.task import Asked, Recipe, Task
from rhotem.library.density.summary import summarised
from rhotem.library.layout import DENSITY, DESCRIPTION, RESPONSE, STRUCTURE, THUMBNAIL, write_json
from rhotem.library.shard import seal
from rhotem.library.sources import Sources
from rhotem.library.thumbnail import draw_thumbnail
from rhotem.scattering.response import Range, Response
from rhotem.structure.model import Structure
from rhotem.structure.write import write_structure

#: Sources that the tasks of this process share.
SOURCES = Sources()


def compute(task: Task, folder: Path) -> None:
    """Do a task and write its entry into an empty folder.

    Raises
    ------
    RhoTEMError
        If something cannot be used, or does not fit into the plan's memory.
    """
    began = time.process_time()
    doubts: list[str] = []
    voice = Voice(warn=doubts.append)
    job, built = prepared(task, voice)
    made = cut(job.plan, job.crystal, [job.name])
    held, potential = simulated(job, made, task.asked, voice)
    held.save(folder / RESPONSE, half=task.asked.half)
    summary = summarised(made, potential.field, SOURCES.of(job.plan))
    if summary is not None:
        summary.save(folder / DENSITY)
    write_structure(job.crystal, folder / STRUCTURE)
    focus = min(task.asked.foci, key=abs)
    draw_thumbnail(held, folder / THUMBNAIL, focus)
    temperature = job.moving.get("temperature") if job.moving.get("phonons") else None
    said = describe.described(made, held, task.asked.foci, job.crystal, temperature)
    said["entry"] |= {
        "id": task.id,
        "title": task.title,
        "source": job.name,
        "defect": "" if task.recipe is None else str(task.recipe),
        "seconds": round(time.process_time() - began, 3),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / DESCRIPTION, {**said, "task": task.to_json(), "doubts": doubts, "built": built})
    write_record(
        folder,
        {
            # of a built structure the plan names the crystal before: nobody may take its image for this one's
            ("base" if built else "plan"): job.plan.written(folder),
            "run": {"physics": PHYSICS, "inputs": inputs(job.plan, job.crystal, SOURCES.of(job.plan))},
            "specimen": made.record(),
            "response": held.record,
            "phonons": potential.record(),
            "warnings": doubts,
            "built": built,
        },
    )
    seal(folder)


def prepared(task: Task, voice: Voice) -> tuple[Job, dict[str, Any]]:
    """The task with everything read, or built, and what is known of the building."""
    plan = task.as_plan()
    if task.recipe is None:
        return prepare(plan, voice), {}
    crystal, record = build(task.recipe)
    said = plan.motion
    number = said.phonons if isinstance(said.phonons, int) else None
    moving = motion.vibration(number, said.temperature_K, said.msd_A2, None, voice.warn)
    moving = {"seed": plan.computing.seed, **moving}
    options = source_options(str(plan.density.source), **described(plan))
    return Job(plan, crystal, moving, options, Means(plan.memory)), record


def build(recipe: Recipe) -> tuple[Structure, dict[str, Any]]:
    """The structure of a recipe, and what its builder says of it."""
    from rhotem.battery.builders import builders
    from rhotem.battery.finish import finished

    builder = builders()[recipe.builder]
    options = {option.name: option.default for option in builder.options} | recipe.options
    specimen = builder.specimen(list(recipe.crystals), steps.structure, np.random.default_rng(recipe.seed), **options)
    specimen, record = finished(specimen, {"relax": recipe.relax})
    labels = specimen.record()
    return specimen.structure, {**labels, **record, "builder": recipe.builder}


def simulated(job: Job, made: Specimen, asked: Asked, voice: Voice) -> tuple[Response, steps.Potentials]:
    """The response of a specimen.

    Raises
    ------
    MemoryLimitError, InputError
        If it does not fit into memory, or a thickness is none.
    """
    place = place_of_images(made, job.name, job.means)
    if place != "memory":
        raise InputError(f"{made.crystal.formula}: the potential does not fit into limits.memory; allow more")
    potential = potentials(job, made, SOURCES.of(job.plan), (place, Path()), voice)
    voice.doubts(potential.field.record)
    held = responses.response(
        made,
        potential,
        thicknesses=exits(made, job.plan, asked.thicknesses),
        range=range_of(asked, made),
        edges=asked.edges,
        memory=job.means.memory,
    )
    return held, potential


def exits(made: Specimen, plan: Plan, thicknesses: Sequence[float]) -> list[float]:
    """Thicknesses in nm to whole cells, with vacuum."""
    blocks = (shortened(made, made.preset, t, keep_cell=keeps_cell(plan)) for t in thicknesses)
    return sorted({0.1 * float(block.block.lengths[2]) for block in blocks})


def range_of(asked: Asked, made: Specimen) -> Range:
    """What the response must hold."""
    least, most = asked.defocus
    return Range(
        defocus=(10.0 * least, 10.0 * most),
        aberrations={name: 10.0 * value for name, value in asked.aberrations.items()},
        convergence=asked.convergence or made.preset.microscope.convergence,
    )
