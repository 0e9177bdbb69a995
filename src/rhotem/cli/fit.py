"""`rhotem fit`: what a specimen is, from a measured file and a structure."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, StructureArgument, output_folder, voice, write_record
from rhotem.cli.measurement import with_measurement_options
from rhotem.cli.options import RESULTS, SPECIMEN, OutOption, SimulationQuietOption, plan_of, with_plan_options
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.analysis.voice import Voice
    from rhotem.experiment.fit.pacbed import PatternFit
    from rhotem.experiment.measurement import Measurement
    from rhotem.microscope.patterns import Patterns

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
    "computing.seed",
    "computing.memory",
    "computing.sampling_A",
    "computing.slice_thickness_A",
)
WITHOUT = ("density.uncertainty",)
#: Configurations of thermal motion, where none are asked for: neighbouring beams go through different ones.
PHONONS = 4
#: How far the convergence may be from one number that is given.
TOLERANCE = 0.1
#: Pixels across a radius for a look at pictures before anything is computed.
FEW = 20.0

ExperimentArgument = Annotated[
    list[Path], typer.Argument(metavar="EXPERIMENT...", help="Measured patterns, as rhotem read takes them.")
]
ThickestOption = Annotated[
    float,
    typer.Option("--thickest", min=2, metavar="nm", help="Largest thickness that is tried.", rich_help_panel=SPECIMEN),
]
MistiltOption = Annotated[
    float,
    typer.Option("--mistilt", min=0, metavar="mrad", help="Largest mistilt that is tried.", rich_help_panel=SPECIMEN),
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
    thickest: ThickestOption = 120.0,
    mistilt: MistiltOption = 5.0,
    patterns: PatternsOption = None,
    out: OutOption = Path("rhotem-fit"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Thickness and mistilt of a crystal from measured position-averaged patterns (PACBED), with their errors.

    Convergence (within 10 %), pixels per mrad, centre, rotation, blur and
    background are fitted with them. One propagation serves all patterns of one crystal,
    zone axis and energy: give them together, or keep it with --patterns.

    rhotem fit pattern.jpg SrTiO3 --zone 0,0,1 --energy-keV 200 --convergence-mrad 14
    """
    from rhotem.experiment.fit.frame import frame_of
    from rhotem.experiment.fit.pacbed import common_convergence, common_energy
    from rhotem.experiment.fit.report import draw_fit
    from rhotem.experiment.fit.simulated import pattern_plan, patterns_for
    from rhotem.experiment.read import read_measurement

    said = replace(stated, kind=stated.kind or "pattern")
    measured = [read_measurement(path, said) for path in experiment]
    keV, angles = common_energy(measured), common_convergence(measured, TOLERANCE)
    asked = {"motion.phonons": PHONONS} | given
    asked |= {"microscope.energy_keV": keV, "specimen.thickness_nm": thickest}
    plan = pattern_plan(plan_of(structure, asked), angles[1])
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        say = voice(quiet, progress)
        for one in measured:
            frame_of(one, FEW)
        held = patterns_for(plan, mistilt, say, patterns)
        fits = _fits(measured, held, angles, say)
        for name, fitted in fits.items():
            draw_fit(fitted, folder / f"{name}.png")
        records = {name: one.record() for name, one in fits.items()}
        write_record(folder, {"asked": plan.data(full=True), "patterns": held.record, "fits": records})
    if quiet:
        typer.echo("\n".join(map(str, fits.values())))
    else:
        typer.echo(f"pictures and record in {out}")


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
