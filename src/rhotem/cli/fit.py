"""`rhotem fit`: what a specimen is, from a measured file and a structure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rhotem.cli.common import ProgressBar, StructureArgument, output_folder, voice, write_record
from rhotem.cli.measurement import with_measurement_options
from rhotem.cli.options import OPTICS, RESULTS, SPECIMEN, OutOption, SimulationQuietOption, with_plan_options
from rhotem.cli.searched import KEYS, WITHOUT, Searched, with_search_options
from rhotem.experiment.measurement import Kind
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan
    from rhotem.analysis.voice import Voice
    from rhotem.experiment.fit.focal.fit import SeriesFit
    from rhotem.experiment.fit.images.fit import ImageFit
    from rhotem.experiment.fit.mcmc import Target
    from rhotem.experiment.fit.pacbed import PatternFit
    from rhotem.experiment.measurement import Measurement
    from rhotem.scattering.patterns import Patterns

app = typer.Typer()

ExperimentArgument = Annotated[
    list[Path],
    typer.Argument(metavar="EXPERIMENT...", help="Measured patterns, or images of one scan: files of rhotem read."),
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


WithoutOption = Annotated[
    str | None,
    typer.Option(
        "--without",
        metavar="3,5",
        help="Images of a focal series that are left out, from 1; foci of the others stay.",
        rich_help_panel=OPTICS,
    ),
]
PosteriorOption = Annotated[
    Literal["covariance", "mcmc"],
    typer.Option(
        "--posterior",
        help="How errors are found: covariance of the fit, or besides that Markov chains from all its minima (emcee).",
        rich_help_panel=RESULTS,
    ),
]

StepsOption = Annotated[
    int,
    typer.Option(
        "--mcmc-steps",
        min=2,
        metavar="N",
        help="Of --posterior mcmc: steps at most; it ends when the chains have seen enough.",
        rich_help_panel=RESULTS,
    ),
]


@app.command()
@with_plan_options(only=KEYS, without=WITHOUT)
@with_measurement_options
@with_search_options
def fit(
    experiment: ExperimentArgument,
    structure: StructureArgument,
    given: dict[str, Any],
    stated: Stated,
    searched: Searched,
    exchange: ExchangeOption = None,
    focus_step: FocusStepOption = None,
    without: WithoutOption = None,
    patterns: PatternsOption = None,
    posterior: PosteriorOption = "covariance",
    mcmc_steps: StepsOption = 5000,
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
    if without is not None and focus_step is None:
        raise InputError("--without leaves images of a focal series out; say --focus-step, or leave files out")
    if posterior == "mcmc":
        from rhotem.experiment.fit.mcmc.walk import require_emcee

        require_emcee()
    chains = mcmc_steps if posterior == "mcmc" else 0
    run = _Run(measured, structure, given, searched, chains, out, quiet)
    if focus_step is not None:
        _series(run, focus_step, _numbers(without))
    elif said.kind == "image":
        _images(run, exchange)
    else:
        _patterns(run, patterns)
    if not quiet:
        typer.echo(f"pictures and record in {out}")


@dataclass(frozen=True)
class _Run:
    """What was asked: recordings, a structure, what to search, steps of chains (0: none), where results go."""

    measured: "list[Measurement]"
    structure: str
    given: dict[str, Any]
    searched: Searched
    chains: int
    out: Path
    quiet: bool


def _patterns(run: _Run, held_by: Path | None) -> None:
    """Fit patterns, and write pictures and record; ``held_by``: the file of patterns."""
    from rhotem.experiment.fit.mcmc.patterns import target_of_pattern
    from rhotem.experiment.fit.report import draw_fit
    from rhotem.experiment.fit.simulated import patterns_for

    plan, angles = run.searched.pattern_plan(run.structure, run.given, run.measured)
    with output_folder(run.out) as folder, ProgressBar(run.quiet) as progress:
        say = voice(run.quiet, progress)
        whole = _whole(run.measured, say.warn)
        held = patterns_for(plan, run.searched.mistilt, say, held_by)
        fits = _fits(whole, held, angles, say)
        records = {}
        for name, fitted in fits.items():
            draw_fit(fitted, folder / f"{name}.png")
            records[name] = fitted.record()
            if run.chains:
                records[name] |= _sampled(
                    _Known(target_of_pattern(fitted), fitted.spread.error, run.chains, plan.computing.seed),
                    folder / f"{name}-posterior",
                    say,
                )
        write_record(folder, {"asked": plan.data(full=True), "patterns": held.record, "fits": records})
    if run.quiet:
        typer.echo("\n".join(map(str, fits.values())))


def _images(run: _Run, exchanged: str | None) -> None:
    """Fit images of one scan, and write picture and record; ``exchanged``: atoms that may have changed places."""
    from rhotem.core import InputError
    from rhotem.experiment.fit.images.planned import fit_recordings
    from rhotem.experiment.fit.images.report import draw_images
    from rhotem.experiment.fit.images.specimens import parse_exchange
    from rhotem.experiment.fit.mcmc.scans import target_of_images

    exchange = parse_exchange(exchanged) if exchanged else None
    if exchange and run.given.get("density.source") != "free-atoms":
        raise InputError("--exchange: random arrangements are those of free atoms; say --source free-atoms")
    plan = run.searched.image_plan(run.structure, run.given, run.measured)

    def fitted(say: "Voice") -> "ImageFit":
        return fit_recordings(run.measured, plan, run.searched.limits, say, exchange=exchange)

    _written(run, plan, _Stages(fitted, draw_images, target_of_images))


def _series(run: _Run, step: float, without: list[int]) -> None:
    """Fit a focal series, and write picture and record; ``step``: change of focus in nm."""
    from rhotem.core import InputError
    from rhotem.experiment.fit.focal.planned import fit_focal, frames_of
    from rhotem.experiment.fit.focal.report import draw_series
    from rhotem.experiment.fit.mcmc.series import target_of_series

    if "microscope.cs_mm" not in run.given:
        raise InputError("a focal series needs the lens: say --cs in mm, as -0.015 or 1.2; it is fitted around that")
    series = frames_of(run.measured, without)
    plan = run.searched.image_plan(run.structure, run.given | {"microscope.preset": "hrtem"}, run.measured)

    def fitted(say: "Voice") -> "SeriesFit":
        return fit_focal(series, plan, run.searched.limits, step, say)

    _written(run, plan, _Stages(fitted, draw_series, target_of_series))


@dataclass(frozen=True)
class _Stages:
    """How a fit of images is made, drawn, and sampled."""

    fit: Callable[["Voice"], Any]
    draw: Callable[[Any, Path], None]
    target: Callable[[Any], "Target"]


def _written(run: _Run, plan: "Plan", stages: _Stages) -> None:
    """Fit images, and write picture, record and what is known of the posterior."""
    with output_folder(run.out) as folder, ProgressBar(run.quiet) as progress:
        say = voice(run.quiet, progress)
        fitted = stages.fit(say)
        stages.draw(fitted, folder / "fit.png")
        said = fitted.record()
        if run.chains:
            known = _Known(stages.target(fitted), fitted.error, run.chains, plan.computing.seed)
            said |= _sampled(known, folder / "posterior", say)
        files = [one.record() for one in run.measured]
        write_record(folder, {"asked": plan.data(full=True), "measurements": files, "fit": said})
        for remark in fitted.remarks:
            say.warn(remark)
    typer.echo(str(fitted))


@dataclass(frozen=True)
class _Known:
    """A posterior, errors of its fit by name, and steps at most and seed of its chains."""

    target: "Target"
    error: Callable[[str], float]
    steps: int
    seed: int


def _sampled(known: _Known, stem: Path, say: "Voice") -> dict[str, dict[str, Any]]:
    """Sample a posterior, and write figure and samples."""
    from rhotem.experiment.fit.mcmc import sample
    from rhotem.experiment.fit.mcmc.report import draw_posterior, write_samples

    target = known.target
    say.tell(
        f"posterior   {len(target.names)} parameters, {target.pace():.2g} s for a step of all chains; some 300 steps"
    )
    sampled = sample(target, seed=known.seed, steps=known.steps, progress=say.progress)
    draw_posterior(sampled, [known.error(name) for name in target.shown], stem.with_name(f"{stem.name}.png"))
    write_samples(sampled, stem.with_name(f"{stem.name}.npz"))
    say.tell(f"posterior   {sampled}")
    for remark in sampled.remarks:
        say.warn(remark)
    return {"posterior": sampled.record()}


def _numbers(text: str | None) -> list[int]:
    """Numbers of images."""
    from rhotem.core import InputError

    try:
        return sorted({int(part) for part in text.split(",")}) if text is not None else []
    except ValueError:
        raise InputError(f"--without {text}: expected numbers of images, as 3,5") from None


def _whole(measured: "list[Measurement]", warn: Callable[[str], None]) -> "list[Measurement]":
    """Patterns with a whole disc, before anything is computed; of several patterns the others are told of.

    Raises
    ------
    InputError
        If there is none.
    """
    from rhotem.core import InputError
    from rhotem.experiment.fit.frame import FEW, frame_of

    whole = []
    for one in measured:
        try:
            frame_of(one, FEW)
        except InputError as error:
            if len(measured) == 1:
                raise
            warn(f"left out: {error}")
            continue
        whole.append(one)
    if not whole:
        raise InputError("none of the patterns can be fitted; the warnings above say why")
    return whole


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
