"""`rhotem fit`: what a specimen is, from a measured file and a structure."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, StructureArgument, output_folder, voice, write_record
from rhotem.cli.measurement import with_measurement_options
from rhotem.cli.options import OPTICS, RESULTS, SPECIMEN, OutOption, SimulationQuietOption, plan_of, with_plan_options
from rhotem.experiment.measurement import Kind
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.analysis.voice import Voice
    from rhotem.experiment.fit.pacbed import PatternFit
    from rhotem.experiment.measurement import Measurement
    from rhotem.scattering.patterns import Patterns

app = typer.Typer()

#: Keys of a plan that mean something here; those of the recording are the file's.
KEYS = (
    "specimen.zone",
    "specimen.plane",
    "specimen.zone_basis",
    "specimen.order",
    "specimen.allow_overlaps",
    "density",
    "motion",
    "microscope.detectors",
    "microscope.cs_mm",
    "microscope.focal_spread_A",
    "microscope.objective_mrad",
    "computing.seed",
    "computing.memory",
    "computing.sampling_A",
    "computing.slice_thickness_A",
)
WITHOUT = ("density.uncertainty",)
#: Configurations of thermal motion, where none are asked for: neighbouring beams go through different ones.
PHONONS = 4
#: Largest thickness in nm of patterns and of images, where none is given.
THICKEST, THICKEST_IMAGE = 120.0, 12.0
#: How far the convergence may be from one number that is given.
TOLERANCE = 0.1

ExperimentArgument = Annotated[
    list[Path],
    typer.Argument(metavar="EXPERIMENT...", help="Measured patterns, or images of one scan: files of rhotem read."),
]
ThickestOption = Annotated[
    float | None,
    typer.Option(
        "--thickest",
        min=2,
        metavar="nm",
        help="Largest thickness that is tried; without it 120, of images 12.",
        rich_help_panel=SPECIMEN,
    ),
]
FociOption = Annotated[
    str,
    typer.Option("--foci", metavar="FROM,TO", help="Of images: defocus values in nm.", rich_help_panel=OPTICS),
]
AstigmatismOption = Annotated[
    float,
    typer.Option(
        "--astigmatism", min=0, metavar="nm", help="Of images: the largest that is tried.", rich_help_panel=OPTICS
    ),
]
MistiltOption = Annotated[
    float,
    typer.Option(
        "--mistilt",
        min=0,
        metavar="mrad",
        help="Of patterns: the largest mistilt that is tried.",
        rich_help_panel=SPECIMEN,
    ),
]
FocusStepOption = Annotated[
    float | None,
    typer.Option(
        "--focus-step",
        metavar="nm",
        help="Files, or one stack, are an HRTEM series: focus from image to image, positive: more underfocus.",
        rich_help_panel=OPTICS,
    ),
]
ExchangeOption = Annotated[
    str | None,
    typer.Option(
        "--exchange",
        metavar="Li/Ni=0,7,14,20",
        help="Of images: fit how many per cent of an element's atoms changed places with another's, between these.",
        rich_help_panel=SPECIMEN,
    ),
]
PatternsOption = Annotated[
    Path | None,
    typer.Option(
        "--patterns",
        metavar="FILE.zarr",
        help="Keep the simulated patterns there, or take them from there: the next fit starts at once.",
        rich_help_panel=RESULTS,
    ),
]


@app.command()
@with_plan_options(only=KEYS, without=WITHOUT)
@with_measurement_options
def fit(
    experiment: ExperimentArgument,
    structure: StructureArgument,
    given: dict[str, Any],
    stated: Stated,
    thickest: ThickestOption = None,
    mistilt: MistiltOption = 5.0,
    foci: FociOption = "-10,10",
    astigmatism: AstigmatismOption = 2.0,
    exchange: ExchangeOption = None,
    focus_step: FocusStepOption = None,
    patterns: PatternsOption = None,
    out: OutOption = Path("rhotem-fit"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Thickness, mistilt and more of a crystal from measured files, with their errors.

    Position-averaged patterns (PACBED, --kind pattern): thickness and mistilt.
    Convergence (within 10 %), pixels per mrad, centre, rotation, blur and
    background are fitted with them. One propagation serves all patterns of
    one crystal, zone axis and energy: give them together, or keep it with
    --patterns.

    rhotem fit p.jpg SrTiO3 --zone 0,0,1 --energy-keV 200 --convergence-mrad 14

    Images of one scan (--kind image), a detector for each file: thickness,
    focus, astigmatism, source size and the scan, of the middle 128 x 128
    pixels; the lattice of the first image gives pixel and rotation.

    rhotem fit haadf.ser SrTiO3 --zone 0,0,1 --kind image --convergence-mrad 25
    --detector HAADF=70-200

    An HRTEM focal series (--focus-step, images one by one or one stack):
    thickness, focus, Cs, astigmatism, focal spread, blur of the camera.

    rhotem fit series.dm4 SrTiO3 --zone 0,0,1 --focus-step 4 --cs -0.015
    --convergence-mrad 0.2
    """
    from rhotem.core import InputError
    from rhotem.experiment.read import read_measurement

    series: Kind = "image stack" if len(experiment) == 1 else "image"
    said = replace(stated, kind=stated.kind or ("pattern" if focus_step is None else series))
    measured = [read_measurement(path, said) for path in experiment]
    if focus_step is not None and (exchange or patterns):
        raise InputError("--exchange and --patterns mean nothing to a focal series; leave them out")
    if focus_step is not None:
        asked = given | {"specimen.thickness_nm": thickest or THICKEST_IMAGE}
        _series(measured, structure, asked, (foci_of(foci), astigmatism, focus_step), out, quiet)
    elif said.kind == "image":
        asked = given | {"specimen.thickness_nm": thickest or THICKEST_IMAGE}
        _images(measured, structure, asked, (foci_of(foci), astigmatism, exchange), out, quiet)
    else:
        asked = given | {"specimen.thickness_nm": thickest or THICKEST}
        _patterns(measured, structure, asked, (mistilt, patterns), out, quiet)
    if not quiet:
        typer.echo(f"pictures and record in {out}")


def _patterns(
    measured: "list[Measurement]",
    structure: str,
    given: dict[str, Any],
    held_by: tuple[float, Path | None],
    out: Path,
    quiet: bool,
) -> None:
    """Fit patterns, and write pictures and record; ``held_by`` is the largest mistilt and the file of patterns."""
    from rhotem.core import InputError
    from rhotem.experiment.fit.frame import FEW, frame_of
    from rhotem.experiment.fit.pacbed import common_convergence, common_energy
    from rhotem.experiment.fit.report import draw_fit
    from rhotem.experiment.fit.simulated import pattern_plan, patterns_for

    if lens := [place for place in given if place.startswith("microscope.")]:
        raise InputError(f"{', '.join(lens)}: changes no position-averaged pattern; leave it out, or --kind image")
    angles = common_convergence(measured, TOLERANCE)
    asked = {"motion.phonons": PHONONS} | given | {"microscope.energy_keV": common_energy(measured)}
    plan = pattern_plan(plan_of(structure, asked), angles[1])
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        say = voice(quiet, progress)
        for one in measured:
            frame_of(one, FEW)
        held = patterns_for(plan, held_by[0], say, held_by[1])
        fits = _fits(measured, held, angles, say)
        for name, fitted in fits.items():
            draw_fit(fitted, folder / f"{name}.png")
        records = {name: one.record() for name, one in fits.items()}
        write_record(folder, {"asked": plan.data(full=True), "patterns": held.record, "fits": records})
    if quiet:
        typer.echo("\n".join(map(str, fits.values())))


def _images(
    measured: "list[Measurement]",
    structure: str,
    given: dict[str, Any],
    tried: tuple[tuple[float, float], float, str | None],
    out: Path,
    quiet: bool,
) -> None:
    """Fit images of one scan, and write picture and record; ``tried``: foci and astigmatism in nm, and an exchange."""
    from rhotem.core import InputError
    from rhotem.experiment.fit.images.planned import Limits, fit_recordings
    from rhotem.experiment.fit.images.report import draw_images
    from rhotem.experiment.fit.images.specimens import parse_exchange
    from rhotem.experiment.fit.pacbed import common_convergence, common_energy

    exchange = parse_exchange(tried[2]) if tried[2] else None
    if exchange and given.get("density.source") != "free-atoms":
        raise InputError("--exchange: random arrangements are those of free atoms; say --source free-atoms")
    angle = common_convergence(measured, 0.0)[0]
    asked = {"motion.phonons": PHONONS} | given | {"microscope.convergence_mrad": angle}
    plan = plan_of(structure, asked | {"microscope.energy_keV": common_energy(measured)})
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        say = voice(quiet, progress)
        fitted = fit_recordings(measured, plan, Limits(*tried[:2]), say, exchange=exchange)
        draw_images(fitted, folder / "fit.png")
        files = [one.record() for one in measured]
        write_record(folder, {"asked": plan.data(full=True), "measurements": files, "fit": fitted.record()})
        for remark in fitted.remarks:
            say.warn(remark)
    typer.echo(str(fitted))


def _series(
    measured: "list[Measurement]",
    structure: str,
    given: dict[str, Any],
    tried: tuple[tuple[float, float], float, float],
    out: Path,
    quiet: bool,
) -> None:
    """Fit a focal series, and write picture and record; ``tried``: foci, astigmatism and step of focus in nm."""
    from rhotem.core import InputError
    from rhotem.experiment.fit.focal.planned import fit_focal, frames_of
    from rhotem.experiment.fit.focal.report import draw_series
    from rhotem.experiment.fit.pacbed import common_convergence, common_energy

    if "microscope.cs_mm" not in given:
        raise InputError("a focal series needs the lens: say --cs in mm, as -0.015 or 1.2; it is fitted around that")
    frames = frames_of(measured)
    angle = common_convergence(measured, 0.0)[0]
    asked = {"motion.phonons": PHONONS} | given | {"microscope.convergence_mrad": angle, "microscope.preset": "hrtem"}
    plan = plan_of(structure, asked | {"microscope.energy_keV": common_energy(measured)})
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        say = voice(quiet, progress)
        fitted = fit_focal(frames, plan, *tried, say)
        draw_series(fitted, folder / "fit.png")
        files = [one.record() for one in measured]
        write_record(folder, {"asked": plan.data(full=True), "measurements": files, "fit": fitted.record()})
        for remark in fitted.remarks:
            say.warn(remark)
    typer.echo(str(fitted))


def foci_of(text: str) -> tuple[float, float]:
    """Least and largest defocus in nm."""
    from rhotem.core import InputError

    try:
        least, most = (float(part) for part in text.split(","))
    except ValueError:
        least, most = 1.0, 0.0
    if not -1e3 < least < most < 1e3:
        raise InputError(f"--foci {text}: expected two numbers in nm, the least first, as -10,10")
    return least, most


def _fits(
    measured: "list[Measurement]", held: "Patterns", angles: tuple[float, float], say: "Voice"
) -> "dict[str, PatternFit]":
    """Every fit by the name of its files; of several patterns those that cannot be fitted are told of."""
    from rhotem.core import RhoTEMError
    from rhotem.experiment.fit.pacbed import fit_pattern
    from rhotem.experiment.fit.search import make_library

    library = make_library(held, angles, say.progress)
    fits: dict[str, PatternFit] = {}
    for one in measured:
        stem = Path(one.source.path).stem
        name = next(n for n in (stem, *(f"{stem}-{i}" for i in range(2, len(measured) + 2))) if n not in fits)
        try:
            fits[name] = fit_pattern(one, held, angles, library=library, progress=say.progress)
        except RhoTEMError as error:
            if len(measured) == 1:
                raise
            say.warn(str(error))
            continue
        say.tell(str(fits[name]))
        for remark in fits[name].remarks:
            say.warn(f"{name}: {remark}")
    if not fits:
        raise RhoTEMError("none of the patterns could be fitted; the warnings above say why")
    return fits
