"""`rhotem image`: a structure in, calibrated STEM images out."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rhotem.cli import streamed
from rhotem.cli.common import ProgressBar, StructureArgument, ValenceOption, output_folder, write_record
from rhotem.cli.microscope_options import (
    MOST,
    AberrationOption,
    CameraStepOption,
    ConvergenceOption,
    CsOption,
    DefocusOption,
    DetectorOption,
    DoseOption,
    EnergyOption,
    FieldOption,
    ImagePhononsOption,
    Precision,
    ProbeOption,
    SamplingOption,
    ScanStepOption,
    SourceSizeOption,
    TiltOption,
    UncertaintyOption,
)
from rhotem.cli.options import (
    AlgorithmOption,
    AllowOverlapsOption,
    AllowPolarOption,
    CorrectCountOption,
    DensityChargeOption,
    FileKindOption,
    FramesOption,
    GpawCacheOption,
    KeepCellOption,
    MemoryOption,
    MsdOption,
    OrderOption,
    OutOption,
    PlaneOption,
    PresetOption,
    SimulationQuietOption,
    SimulationSeedOption,
    SliceOption,
    SourceOption,
    TemperatureOption,
    ThicknessOption,
    VacuumOption,
    ZoneBasisOption,
    ZoneOption,
    is_density_file,
    memory_options,
    motion_lines,
    moving_structure,
    ordering,
    remarks,
    source_options,
    vibration,
)
from rhotem.cli.streamed import SchedulerOption
from rhotem.core import InputError

if TYPE_CHECKING:
    from rhotem.analysis.run import Potentials, Specimen
    from rhotem.analysis.streamed import StreamedPotentials
    from rhotem.analysis.uncertainty import EnsembleSource
    from rhotem.microscope.images import ImageSet

app = typer.Typer()


@app.command()
def image(
    structure: StructureArgument,
    zone: ZoneOption = None,
    plane: PlaneOption = None,
    zone_basis: ZoneBasisOption = "conventional",
    order: OrderOption = False,
    vacuum: VacuumOption = None,
    allow_overlaps: AllowOverlapsOption = False,
    thickness: ThicknessOption = None,
    keep_cell: KeepCellOption = False,
    phonons: ImagePhononsOption = None,
    temperature: TemperatureOption = None,
    msd: MsdOption = None,
    frames: FramesOption = None,
    source: SourceOption = "",
    charge: DensityChargeOption = None,
    valence: ValenceOption = None,
    file_kind: FileKindOption = None,
    correct_count: CorrectCountOption = False,
    gpaw_cache: GpawCacheOption = None,
    allow_polar: AllowPolarOption = False,
    preset: PresetOption = "layered-oxide",
    energy: EnergyOption = None,
    convergence: ConvergenceOption = None,
    defocus: DefocusOption = None,
    cs: CsOption = None,
    aberration: AberrationOption = None,
    tilt: TiltOption = None,
    source_size: SourceSizeOption = None,
    detector: DetectorOption = None,
    dose: DoseOption = None,
    scan_step: ScanStepOption = None,
    field_of_view: FieldOption = None,
    camera_step: CameraStepOption = None,
    algorithm: AlgorithmOption = "auto",
    sampling: SamplingOption = None,
    slice_thickness: SliceOption = None,
    memory: MemoryOption = None,
    scheduler: SchedulerOption = None,
    seed: SimulationSeedOption = 0,
    uncertainty: UncertaintyOption = False,
    probe: ProbeOption = False,
    out: OutOption = Path("rhotem-output"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Simulate STEM images of a crystal: HAADF, ABF, iDPC and what else the detectors see.

    Without --zone it is [100] of hexagonal and trigonal crystals, where the
    Li, O and metal columns of layered oxides lie apart, [110] of cubic ones,
    [001] otherwise. Options of the microscope change the preset.

    A potential larger than memory goes to disk slice by slice (--source model
    or free-atoms) and is read window by window; it vanishes at the end.
    """
    from rhotem.analysis import run
    from rhotem.analysis.uncertainty import check, ensemble

    started, tell = time.perf_counter(), _teller(quiet)
    chosen = run.adjusted_preset(
        preset,
        energy=energy,
        convergence=convergence,
        defocus=defocus,
        cs=cs,
        aberrations=aberration or (),
        tilt=tilt,
        source_size=source_size,
        detectors=detector or (),
        dose=dose,
        camera_step=camera_step,
    )
    if probe and chosen.mode != "stem":
        raise InputError(f"--probe: preset {preset} has parallel illumination and no probe; leave it out")
    recording: dict[str, Any] = {"scan_step": scan_step, "field_of_view": field_of_view, "algorithm": algorithm}
    phonons, most = _configurations(phonons, frames, recording)
    motion: dict[str, Any] = {"seed": seed, **vibration(phonons, temperature, msd, frames)}
    run.check_recording(chosen, **recording, phonons=motion.get("phonons"))
    described: dict[str, Any] = {"valence": valence, "file_kind": file_kind, "correct_count": correct_count}
    options = source_options(source, charge=charge, gpaw_cache=gpaw_cache, **described)
    bounded = options | memory_options(source, memory, tell)
    bars = ensemble(source, **bounded) if uncertainty else None
    asked = {"vacuum": vacuum, "allow_overlaps": allow_overlaps}
    load = partial(run.structure, structure, charge=charge or 0.0, ordering=ordering(order), **asked)
    crystal, snapshots = moving_structure(structure, frames, phonons, load, charge or 0.0)
    motion |= snapshots
    indices, is_plane = run.direction(crystal, zone, plane)
    with output_folder(out) as folder:
        cut = run.specimen(
            crystal,
            indices,
            basis=zone_basis,
            plane=is_plane,
            thickness=thickness,
            keep_cell=keep_cell or frames is not None,
            preset=chosen,
            sampling=sampling,
            slice_thickness=slice_thickness,
            primitive=not is_density_file(source),
            at_rest=phonons == 0,
        )
        _introduce(cut, tell)
        if bars:
            check(cut, bars)
        for line in motion_lines(cut, motion):
            tell(line)
        if streamed.is_image_streamed(cut, source, memory, scheduler):
            made = (source, options), (memory, scheduler)
            there_too = {"allow_polar": allow_polar, **motion, **most}
            potentials: Potentials = _streamed(cut, folder.parent, *made, tell=tell, **there_too)
        else:
            field = run.density(cut, source, allow_polar=allow_polar, **bounded)
            potentials = run.potential(cut, field, memory=memory, **motion | most)
        _warn(potentials, bars is not None)
        images = _simulate(cut, potentials, quiet, seed=seed, memory=memory, scheduler=scheduler, **recording)
        there = {"scratch": folder.parent, "scheduler": scheduler} if potentials.on_disk else {}
        errors = _error_bars(cut, bars, folder, quiet, memory=memory, **there, **motion) if bars else {}
        if probe:
            errors |= {"probe": _draw_probe(cut, folder, tell)}
        written = _write(folder, cut, potentials, images, started, errors)
    _say_errors(images, recording.get("precision"), tell)
    if not quiet:
        typer.echo(f"{images}\n{len(images.images)} images in {out}: {', '.join(written)}")


def _configurations(
    phonons: "int | Precision | None", frames: Path | None, recording: dict[str, Any]
) -> tuple[int | None, dict[str, int]]:
    """The number of configurations, and what potentials need beyond it where an error is asked for instead."""
    if not isinstance(phonons, Precision):
        return phonons, {}
    if frames is not None:
        raise InputError("--phonons auto: a trajectory has the frames that it has; give their number or leave it out")
    recording["precision"] = phonons.error
    return None, {"phonons": MOST}


def _teller(quiet: bool) -> Callable[[str], None]:
    return (lambda text: None) if quiet else typer.echo


def _introduce(cut: "Specimen", tell: Callable[[str], None]) -> None:
    tell(str(cut))
    for note in remarks(cut):
        tell(f"note: {note}")


def _streamed(
    cut: "Specimen",
    folder: Path,
    source: tuple[str, dict[str, Any]],
    how: tuple[float | None, str | None],
    *,
    tell: Callable[[str], None],
    allow_polar: bool,
    **motion: Any,
) -> "StreamedPotentials":
    """Potentials by way of ``folder``, which vanishes; arguments as `rhotem.cli.streamed.announced`."""
    from rhotem.analysis.streamed import StreamedPotentials

    density = streamed.announced(
        cut.block.structure, streamed.fine_grid(cut), source, how, tell, allow_polar=allow_polar
    )
    if motion["phonons"] > 1:
        tell(f"phonons     {motion['phonons']} configurations, written and read one after another")
    return StreamedPotentials(cut, density, folder, memory=streamed.room(how[0]), scheduler=how[1], **motion)


def _warn(potentials: "Potentials", bars: bool) -> None:
    """Say on stderr what is doubtful about the density, and about its error bars where they are asked for."""
    from rhotem.analysis.uncertainty import remarks

    streamed.warn(potentials.field)
    for warning in remarks(potentials.field.record) if bars else ():
        typer.echo(f"warning: {warning}", err=True)


def _simulate(cut: "Specimen", potentials: "Potentials", quiet: bool, **options: Any) -> "ImageSet":
    """Say how the beam will be propagated, and do it."""
    from rhotem.analysis import run
    from rhotem.density.field import caption

    tell = _teller(quiet)
    plural = "s" if potentials.phonons > 1 else ""
    wanted = options.get("precision")
    moving = f"{potentials.phonons} frozen-phonon configuration{plural}" if potentials.phonons else "no TDS"
    if wanted:
        moving = f"frozen phonons until images are within {100 * wanted:g} % of their range at columns (1 σ)"
    tell(f"density: {caption(potentials.field.source, potentials.field.record)}; {moving}")
    with ProgressBar(quiet) as progress:
        if potentials.on_disk:
            potentials.progress = progress
        return run.image(cut, potentials, announce=lambda plan: tell(str(plan)), progress=progress, **options)


def _say_errors(images: "ImageSet", wanted: float | None, tell: Callable[[str], None]) -> None:
    """Standard errors by thermal motion; a warning where they are above what was asked for."""
    found = images.record.get("phonon_error", {})
    rows = {name: row["of_range"] for name, row in found.get("images", {}).items() if "of_range" in row}
    if not images.record.get("plan") or not rows:
        return
    number = images.record["configurations"]
    said = ", ".join(f"{name} {100 * error:.2g} %" for name, error in rows.items())
    tell(f"thermal motion, {number} configurations: 1 σ of the range at columns: {said} (from {found['from']})")
    if wanted is not None and max(rows.values()) > wanted:
        typer.echo(
            f"warning: {number} configurations do not bring every image within {100 * wanted:g} % of its range; "
            "allow a larger error",
            err=True,
        )


def _error_bars(cut: "Specimen", source: "EnsembleSource", folder: Path, quiet: bool, **options: Any) -> dict[str, Any]:
    """σ of every pixel into the folder ``uncertainty``; what the record says of it."""
    from rhotem.analysis.uncertainty import image_uncertainty, plan
    from rhotem.microscope.outputs import write_images

    if not quiet:
        on_disk = ", their slices on disk one after another" if "scratch" in options else ""
        typer.echo(plan(options["phonons"], source.member_count) + on_disk)
    with ProgressBar(quiet) as progress:
        result = image_uncertainty(cut, source, progress=progress, **options)
    phonons = result.configurations if options["phonons"] else 0
    title = f"standard deviation from the density, {result.members} members"
    write_images(
        result.sigma, folder / "uncertainty", labels=cut.cell.labels, source=title, phonons=phonons, pixel=None
    )
    record = result.record()
    if not quiet:
        rows = [f"{name} {100 * (row['of_range'] or 0.0):.2g} %" for name, row in record["images"].items()]
        typer.echo(f"mean σ over the range of the image: {', '.join(rows)}")
    return {"uncertainty": record}


def _draw_probe(cut: "Specimen", folder: Path, tell: Callable[[str], None]) -> dict[str, float]:
    """A picture of the probe; its widths in Å."""
    from rhotem.microscope.probe import draw_probe, incident_probe

    microscope = cut.preset.microscope
    made = incident_probe(microscope)
    title = f"{microscope.energy / 1e3:g} kV, {microscope.convergence:g} mrad, defocus {microscope.defocus / 10:g} nm"
    draw_probe(made, folder / "probe.png", title)
    found = made.numbers()
    tell(f"probe: FWHM {found['fwhm']:.3f} Å, d50 {found['d50']:.3f} Å")
    return found


def _write(
    folder: Path,
    cut: "Specimen",
    potentials: "Potentials",
    images: "ImageSet",
    started: float,
    more: dict[str, Any],
) -> list[str]:
    """Images and record; returns the names of the files."""
    from rhotem.density.field import caption
    from rhotem.microscope.outputs import PIXEL, write_atoms, write_images

    field = potentials.field
    written = write_images(
        images,
        folder,
        labels=cut.cell.labels,
        source=caption(field.source, field.record),
        phonons=potentials.phonons,
        motion=potentials.motion.short,
        pixel=None if "recorded" in images.record else PIXEL,
    )
    write_atoms(cut.cell.structure, folder / "atoms.csv")
    written += ["atoms.csv", *(["probe.png"] if "probe" in more else [])]
    record = {
        "specimen": cut.record(),
        "density": {"source": field.source, "reference": field.reference, **field.record},
        "phonons": potentials.record(),
        "simulation": images.record,
        **more,
        "seconds": round(time.perf_counter() - started, 2),
    }
    write_record(folder, record)
    return written
