"""What comes out of a run: what is said of it, the images with their error bars, and the files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhotem.analysis import run as steps
from rhotem.analysis.plan import Plan
from rhotem.analysis.recording import focused_image
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.uncertainty import PIXEL as BAR_PIXEL
from rhotem.analysis.uncertainty import EnsembleSource, ImageUncertainty, image_uncertainty, remarks
from rhotem.analysis.uncertainty import plan as bars_plan
from rhotem.analysis.voice import Voice
from rhotem.analysis.where import Means
from rhotem.core.machine import machine
from rhotem.core.output import write_record
from rhotem.density.field import DensityField, caption
from rhotem.density.stream import StreamedDensity
from rhotem.microscope.images import ImageSet
from rhotem.microscope.outputs import PIXEL, write_atoms, write_images

if TYPE_CHECKING:
    from rhotem.analysis.focus import Focus
    from rhotem.microscope.probe import Probe


@dataclass(frozen=True, eq=False)
class Result:
    """What a plan came to.

    Parameters
    ----------
    plan : Plan
        With the source of the density named.
    specimen : Specimen
    density : DensityField or StreamedDensity
    images : ImageSet
    phonons : dict
        How the atoms moved.
    uncertainty : ImageUncertainty or None
        Error bars from the density.
    probe : Probe or None
    record : dict
        All that ``record.json`` says; also where nothing is written.
    files : tuple of str
        Names in the folder, the record not among them.
    """

    plan: Plan
    specimen: Specimen
    density: DensityField | StreamedDensity
    images: ImageSet
    phonons: dict[str, Any]
    uncertainty: ImageUncertainty | None = None
    probe: "Probe | None" = None
    record: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.images)


def notes_of(cut: Specimen) -> tuple[str, ...]:
    """What the user should know of a specimen: of the file, its orientation, its thickness, and the preset."""
    return (*cut.cell.origin.info.get("notes", ()), *cut.cell.notes, *cut.notes, *steps.remarks(cut.preset))


def introduce(cut: Specimen, voice: Voice) -> None:
    """Say what is imaged."""
    voice.tell(str(cut))
    for note in notes_of(cut):
        voice.tell(f"note: {note}")


def doubts(potentials: steps.Potentials, bars: bool, voice: Voice) -> None:
    """Say what is doubtful about the density, and about its error bars where they are asked for."""
    voice.doubts(potentials.field.record)
    for warning in remarks(potentials.field.record) if bars else ():
        voice.warn(warning)


def simulate(
    cut: Specimen, potentials: steps.Potentials, means: Means, recording: Mapping[str, Any], voice: Voice
) -> ImageSet:
    """Say how the beam will be propagated, and do it; ``recording``: `rhotem.analysis.run.Recording`."""
    wanted = recording.get("precision")
    say_density(potentials, wanted, voice)
    if potentials.on_disk:
        potentials.progress = voice.progress
    images = steps.image(
        cut,
        potentials,
        progress=voice.progress,
        memory=means.memory,
        scheduler=means.scheduler,
        announce=lambda plan: voice.tell(str(plan)),
        **recording,
    )
    say_errors(images, wanted, voice)
    return images


def focused(
    plan: Plan,
    cut: Specimen,
    potentials: steps.Potentials,
    how: tuple[Means, Mapping[str, Any]],
    voice: Voice,
) -> tuple[Specimen, ImageSet, "Focus"]:
    """The specimen at the best focus, and its images: from the propagation that found it where that answers for them.

    ``how``: means and recording, as `simulate` takes them.
    """
    from rhotem.analysis import focus, responses

    means, recording = how
    say_density(potentials, None, voice)
    name = focused_image(cut.preset.detectors, plan.best or "")
    voice.tell(f"focus       searched for {name} by one propagation")
    found = focus.best_focus(
        cut,
        potentials,
        plan.best or "",
        memory=means.memory,
        announce=lambda made: voice.tell(str(made)),
        progress=voice.progress,
    )
    voice.tell(str(found))
    if found.doubt:
        voice.warn(found.doubt)
    there = focus.at(cut, found.defocus)
    if not responses.answers(plan):
        return there, simulate(there, potentials, means, recording, voice), found
    asked: dict[str, Any] = {key: recording.get(key) for key in ("seed", "scan_step", "field_of_view")}
    images = responses.image(there, found.held, **asked)
    say_errors(images, None, voice)
    return there, images, found


def say_density(potentials: steps.Potentials, wanted: float | None, voice: Voice) -> None:
    """Say where the density comes from, and how many configurations show the motion."""
    plural = "s" if potentials.phonons > 1 else ""
    moving = f"{potentials.phonons} frozen-phonon configuration{plural}" if potentials.phonons else "no TDS"
    if wanted:
        moving = f"frozen phonons until images are within {100 * wanted:g} % of their range at columns (1 σ)"
    voice.tell(f"density: {caption(potentials.field.source, potentials.field.record)}; {moving}")


def say_errors(images: ImageSet, wanted: float | None, voice: Voice) -> None:
    """Standard errors by thermal motion; a warning where they are above what was asked for."""
    errors = images.record.get("phonon_error", {})
    rows = {name: row["of_range"] for name, row in errors.get("images", {}).items() if "of_range" in row}
    if not rows:
        return
    number = images.record["configurations"]
    said = ", ".join(f"{name} {100 * error:.2g} %" for name, error in rows.items())
    voice.tell(f"thermal motion, {number} configurations: 1 σ of the range at columns: {said} (from {errors['from']})")
    if wanted is not None and max(rows.values()) > wanted:
        voice.warn(
            f"{number} configurations do not bring every image within {100 * wanted:g} % of its range; "
            "allow a larger error"
        )


def with_error_bars(result: Result, source: EnsembleSource, bars: dict[str, Any], voice: Voice) -> Result:
    """The same with σ of every pixel of its images; ``bars``: `rhotem.analysis.uncertainty.Bars`."""
    on_disk = ", their slices on disk one after another" if bars.get("scratch") is not None else ""
    voice.tell(bars_plan(bars["phonons"], source.member_count) + on_disk)
    shared = bars | _shared_pixels(result)
    made = image_uncertainty(result.specimen, source, progress=voice.progress, **shared)
    rows = [f"{name} {100 * (row['of_range'] or 0.0):.2g} %" for name, row in made.record()["images"].items()]
    voice.tell(f"mean σ over the range of the image: {', '.join(rows)}")
    return replace(result, uncertainty=made)


def _shared_pixels(result: Result) -> dict[str, float]:
    """Pixel and field of view of the error bars: those of the images as they are written."""
    recording, microscope = result.plan.recording, result.specimen.preset.microscope
    noisy = microscope.dose is not None
    pixel = recording.scan_step_A or (microscope.pixel if noisy else None) or BAR_PIXEL
    field_of_view = recording.field_of_view_A or (microscope.field if noisy else 0.0)
    if not (noisy or recording.scan_step_A or recording.field_of_view_A):
        return {"pixel": pixel}
    return {"pixel": pixel, "field": field_of_view or pixel}


def with_probe(result: Result, voice: Voice) -> Result:
    """The same with the probe on the entrance surface."""
    from rhotem.microscope.probe import incident_probe

    probe = incident_probe(result.specimen.preset.microscope)
    widths = probe.numbers()
    voice.tell(f"probe: FWHM {widths['fwhm']:.3f} Å, d50 {widths['d50']:.3f} Å")
    return replace(result, probe=probe)


def written(result: Result, folder: Path | None, made_from: dict[str, Any], notes: dict[str, Any]) -> Result:
    """The same with its record, and with its files in ``folder`` where one is asked for."""
    cut, density, bars = result.specimen, result.density, result.uncertainty
    more: dict[str, Any] = {}
    if bars is not None:
        # configurations of the error bars only where atoms move
        more["uncertainty"] = bars.record()
    if result.plan.microscope.instrument is not None:
        more["instrument"] = instrument_record(result.plan)
    if result.probe is not None:
        more["probe"] = result.probe.numbers()
    out, started, motion = notes.pop("out"), notes.pop("started"), notes.pop("motion")
    files = () if folder is None else tuple(_files(result, folder, motion))
    record = {
        **notes,
        "plan": recorded_plan(result.plan, out),
        "run": {**made_from, "machine": machine()},
        "specimen": cut.record(),
        "density": {"source": density.source, "reference": density.reference, **density.record},
        "phonons": result.phonons,
        "simulation": result.images.record,
        **more,
        "seconds": round(time.perf_counter() - started, 2),
    }
    if folder is not None:
        record = write_record(folder, record)
    return replace(result, record=record, files=files)


def instrument_record(plan: Plan) -> dict[str, Any]:
    """The instrument as its file tells it, and what of it was switched off."""
    from rhotem.microscope.instruments import CONTRIBUTIONS, get_instrument

    name, preset = str(plan.microscope.instrument), plan.preset()
    on = [one for one in CONTRIBUTIONS if one not in preset.without]
    return {
        **get_instrument(name).model_dump(mode="json", by_alias=True),
        "alignment": preset.alignment,
        "on": on,
        "off": list(preset.without),
    }


def recorded_plan(plan: Plan, out: str | Path | None) -> dict[str, Any]:
    """A plan as its record holds it: complete, its paths seen from the folder ``out``."""
    return plan.data(full=True) if out is None else plan.written(Path(out), full=True)


def _files(result: Result, folder: Path, motion: str) -> list[str]:
    """Write images, atoms, error bars and probe; returns the names of the files in the folder."""
    from rhotem.microscope.probe import draw_probe

    cut, density, bars = result.specimen, result.density, result.uncertainty
    names = write_images(
        result.images,
        folder,
        specimen=cut.crystal.formula,
        labels=cut.cell.labels,
        source=caption(density.source, density.record),
        phonons=result.phonons["configurations"],
        motion=motion,
        pixel=None if "recorded" in result.images.record else PIXEL,
    )
    write_atoms(cut.cell.structure, folder / "atoms.csv")
    if bars is not None:
        moving = bars.configurations if result.phonons["configurations"] else 0
        title = f"standard deviation from the density, {bars.members} members"
        inside = folder / "uncertainty"
        said: dict[str, Any] = {"specimen": cut.crystal.formula, "labels": cut.cell.labels, "source": title}
        write_images(bars.sigma, inside, **said, phonons=moving, pixel=None)
    if result.probe is None:
        return [*names, "atoms.csv"]
    m = cut.preset.microscope
    title = f"{m.energy / 1e3:g} kV, {m.convergence:g} mrad, defocus {m.defocus / 10:g} nm"
    draw_probe(result.probe, folder / "probe.png", title)
    return [*names, "atoms.csv", "probe.png"]
