"""`make_film`: frames of a trajectory to images, one after another, and to a film; goes on where a run was killed."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis import motion, results
from rhotem.analysis.plan import Plan
from rhotem.analysis.plan.identity import identity
from rhotem.analysis.sources import source_options
from rhotem.analysis.voice import Voice
from rhotem.analysis.where import Kind, Means, place_of_images
from rhotem.analysis.workflow import Job, described, open_source, potentials
from rhotem.battery.film.charge import projected_deformation
from rhotem.battery.film.finish import check_ion, check_scales, finish
from rhotem.battery.film.frames import FilmFrames
from rhotem.battery.film.movie import check_format, usual_format
from rhotem.battery.film.store import Store
from rhotem.battery.film.wanted import Film, Wanted
from rhotem.battery.trajectories import Trajectory
from rhotem.battery.trajectories.model import every
from rhotem.core import InputError
from rhotem.core.folders import alone
from rhotem.core.output import RECORD
from rhotem.core.provenance import array_sha256
from rhotem.density.field import DensityField
from rhotem.density.source import DensitySource, default_source
from rhotem.microscope.detectors.registry import image_names
from rhotem.microscope.images import ImageSet
from rhotem.microscope.outputs import PIXEL, as_written
from rhotem.microscope.presets import Preset

__all__ = ["Film", "Wanted", "make_film"]

#: Names in the folder of a film.
FRAMES, DEFORMATION = "film.zarr", "deformation"
#: Seeds of counting noise of frames that follow each other are so far apart.
APART = 1_000_003


@dataclass(eq=False)
class _Work:
    """What frames share: the job, the place of potentials, and the source, opened when the first frame needs it."""

    job: Job
    place: Kind
    scratch: Path
    voice: Voice
    source: DensitySource | None = field(default=None, repr=False)

    def opened(self) -> DensitySource:
        """The source; one that remembers the frame before, where it can."""
        if self.source is None:
            self.source = open_source(self.job, self.place, self.voice)
        return self.source


def make_film(
    plan: Plan,
    trajectory: Trajectory,
    out: str | Path,
    wanted: Wanted | None = None,
    voice: Voice | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Film:
    """A film of a trajectory: every frame -> density -> potential -> images, by the settings of a plan.

    Without ``plan.motion.phonons`` atoms are where the frame has them, and each frame is one snapshot.

    Parameters
    ----------
    plan : Plan
        Its structure is the trajectory's file; the cell is kept as it is.
    trajectory : Trajectory
    out : path
        Folder. Frames are kept there as they are finished: the same call goes on after a run was killed.
    wanted : Wanted, optional
        Which frames, and how they are shown.
    voice, notes
        As `rhotem.analysis.workflow.run`.

    Raises
    ------
    RhoTEMError
        In one line, before the first frame, if something cannot be used.
    """
    wanted, voice, out, started = wanted or Wanted(), voice or Voice(), Path(out), time.perf_counter()
    wanted = replace(wanted, form=wanted.form or usual_format())
    check_format(wanted.form, wanted.fps)
    plan = _for_frames(plan, wanted)
    chosen = every(trajectory, wanted.every, wanted.start, wanted.stop)
    frames = FilmFrames(trajectory, chosen, plan, str(plan.density.source), wanted.reference)
    preset = frames.middle.preset
    if preset.mode == "diffraction" or not (preset.detectors or preset.mode != "stem"):
        raise InputError(f"preset {preset.name}: makes no images that a film could show; choose another")
    _check(frames, preset, out, wanted)
    results.introduce(frames.middle, voice)
    work = _work(plan, frames, voice, out)
    identified = _identity(plan, trajectory, frames, wanted)
    try:
        with alone(out / "film") as scratch:
            store = Store(out / FRAMES, identified, len(frames))
            before = store.done
            if before:
                voice.tell(f"{before} of {len(frames)} frames are there")
            _all_frames(replace(work, scratch=scratch), frames, store, wanted)
            made = finish(store, frames, plan, out, (wanted, voice))
    except BlockingIOError:
        raise InputError(f"--out {out}: another run is at work on this film; wait for it") from None
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise InputError(f"--out {out}: cannot write there ({error.strerror}); give another folder") from None
    record = {
        **(notes or {}),
        "plan": results.recorded_plan(plan, out),
        "trajectory": {"file": trajectory.source, "frames": (chosen + 1).tolist(), "notes": list(trajectory.notes)},
        "identity": identified,
        "simulation": store.read("simulation"),
        "frames_computed_now": len(frames) - before,
        "seconds": round(time.perf_counter() - started, 2),
    }
    return replace(made, record=results.write_record(out, record))


def _check(frames: FilmFrames, preset: Preset, out: Path, wanted: Wanted) -> None:
    """Refuse what would fail, or spoil another result, only after the frames."""
    if (out / RECORD).exists() and not (out / FRAMES).exists():
        raise InputError(f"--out {out}: holds another result; give another folder")
    check_ion(frames.trajectory.numbers, wanted.element)
    if preset.mode == "stem":
        check_scales(wanted.scales, [n for one in preset.detectors for n in image_names(one)])


def _for_frames(plan: Plan, wanted: Wanted) -> Plan:
    """The plan with what frames need, refused where it asks for what a film cannot show."""
    asked = {
        "series": bool(plan.series),
        "--defocus best": plan.best is not None,
        "--uncertainty": plan.density.uncertainty,
        "--frames": plan.motion.frames is not None,
        "--probe": plan.recording.probe,
        "--phonons auto": plan.precision is not None,
    }
    if any(asked.values()):
        said = ", ".join(name for name, value in asked.items() if value)
        raise InputError(f"film: {said} means nothing for a film; leave it out, or make an image (rhotem image)")
    changes: dict[str, Any] = {"specimen.keep_cell": True, "density.source": plan.density.source or default_source()}
    if plan.motion.phonons is None:
        changes["motion.phonons"] = 0
    if wanted.reference is None:
        changes["specimen.zone_basis"] = "input"
        if plan.specimen.zone is None and plan.specimen.plane is None:
            changes["specimen.zone"] = (0, 0, 1)
    return plan.changed(changes)


def _work(plan: Plan, frames: FilmFrames, voice: Voice, out: Path) -> _Work:
    """Everything read and checked that all frames share."""
    name = str(plan.density.source)
    number = plan.motion.phonons if isinstance(plan.motion.phonons, int) else 0
    moving = motion.vibration(number, plan.motion.temperature_K, plan.motion.msd_A2, None, voice.warn)
    moving = {"seed": plan.computing.seed, **moving}
    for line in motion.motion_lines(frames.middle, moving):
        voice.tell(line)
    means = Means(plan.memory, plan.computing.scheduler)
    crystal = frames.middle.cell.unrotated
    job = Job(plan, crystal, moving, source_options(name, **described(plan)), means)
    return _Work(job, place_of_images(frames.middle, name, means), out, voice)


def _identity(plan: Plan, trajectory: Trajectory, frames: FilmFrames, wanted: Wanted) -> str:
    """SHA-256 of what the frames of a film are made from and how."""
    atoms = array_sha256(trajectory.mean_cell, trajectory.numbers, frames.places)
    parts: dict[str, Any] = {
        "plan": identity(plan, {"specimen.structure": atoms}),
        "seed": plan.computing.seed,
        "labels": frames.middle.cell.labels,
        "difference": wanted.difference,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _all_frames(work: _Work, frames: FilmFrames, store: Store, wanted: Wanted) -> None:
    """Every frame that is not there yet."""
    voice, left = work.voice, [number for number in range(len(frames)) if not store.is_done(number)]
    for count, number in enumerate(left, start=1):
        began = time.perf_counter()
        # the plan of the simulation is told once, progress is that of frames
        quiet = Voice(voice.tell if count == 1 else lambda text: None, voice.warn if count == 1 else lambda text: None)
        images, arrays = _frame(replace(work, voice=quiet, source=work.opened()), frames, number, wanted)
        if store.read("simulation") is None:
            store.note(**_described(images, frames))
        store.put(number, arrays, {name: images.unit(name) or "fraction of beam" for name in images.images})
        voice.progress("frames", count, len(left))
        voice.tell(f"frame {number + 1} of {len(frames)}: {time.perf_counter() - began:.1f} s")


def _frame(work: _Work, frames: FilmFrames, number: int, wanted: Wanted) -> tuple[ImageSet, dict[str, npt.NDArray]]:
    """Images of a frame, and what is kept of it."""
    plan, made = work.job.plan, frames.specimen(number)
    potential = potentials(work.job, made, work.opened(), (work.place, work.scratch), work.voice)
    results.doubts(potential, False, work.voice)
    recording = {
        "seed": plan.computing.seed + APART * number,
        "scan_step": plan.recording.scan_step_A,
        "field_of_view": plan.recording.field_of_view_A,
        "algorithm": plan.computing.algorithm,
    }
    images = results.simulate(made, potential, work.job.means, recording, work.voice)
    fine = as_written(images, None if "recorded" in images.record else PIXEL)
    arrays: dict[str, npt.NDArray] = dict(fine.images)
    arrays["positions_A"] = frames.projected(number)
    if wanted.difference:
        if not isinstance(potential.field, DensityField):
            raise InputError("--difference: the density goes by way of the disk; allow more --memory")
        arrays[DEFORMATION] = projected_deformation(made, potential.field)
    return fine, arrays


def _described(images: ImageSet, frames: FilmFrames) -> dict[str, Any]:
    """What all frames have in common, for the store."""
    from rhotem.core.output import to_json

    times = frames.times
    return {
        "images": list(images.images),
        "sampling_angstrom": list(images.sampling),
        "origin_angstrom": list(images.scan.origin),
        "size_angstrom": list(images.scan.size),
        "periodic": bool(images.scan.periodic),
        "numbers": np.asarray(frames.middle.cell.structure.numbers).tolist(),
        "times_fs": None if times is None else times.tolist(),
        "frames_of_trajectory": (frames.chosen + 1).tolist(),
        "labels": frames.middle.cell.labels,
        "simulation": json.loads(to_json(images.record)),
    }
