"""`rhotem weigh`: which of several structures, or densities, measured images show."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, output_folder, voice, write_record
from rhotem.cli.fit import (
    KEYS,
    PHONONS,
    THICKEST,
    THICKEST_IMAGE,
    TOLERANCE,
    WITHOUT,
    AstigmatismOption,
    FociOption,
    MistiltOption,
    ThickestOption,
    foci_of,
)
from rhotem.cli.measurement import with_measurement_options
from rhotem.cli.options import SPECIMEN, OutOption, SimulationQuietOption, plan_of, with_plan_options
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan
    from rhotem.analysis.voice import Voice
    from rhotem.experiment.measurement import Measurement
    from rhotem.experiment.weigh import Weighing
    from rhotem.experiment.weigh.planned import Named

app = typer.Typer()

RecordingArgument = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT", help="A measured image, a file of rhotem read.")
]
HypothesesArgument = Annotated[
    list[str],
    typer.Argument(metavar="A B...", help="Two or more: STRUCTURE, or STRUCTURE@SOURCE for another density of it."),
]
AlsoOption = Annotated[
    list[Path] | None,
    typer.Option("--also", metavar="FILE", help="Another image of the same scan; repeat it for more."),
]
TrialsOption = Annotated[
    int,
    typer.Option("--trials", min=1, metavar="N", help="Recordings simulated of each hypothesis."),
]
DrawsOption = Annotated[
    int,
    typer.Option(
        "--displacements",
        min=1,
        metavar="N",
        help="Sets of displacements, the same for all hypotheses; two or more tell the error of thermal motion.",
        rich_help_panel=SPECIMEN,
    ),
]


@app.command()
@with_plan_options(only=KEYS, without=WITHOUT)
@with_measurement_options
def weigh(
    experiment: RecordingArgument,
    hypotheses: HypothesesArgument,
    given: dict[str, Any],
    stated: Stated,
    also: AlsoOption = None,
    thickest: ThickestOption = None,
    foci: FociOption = "-10,10",
    astigmatism: AstigmatismOption = 2.0,
    mistilt: MistiltOption = 5.0,
    trials: TrialsOption = 20,
    displacements: DrawsOption = 4,
    out: OutOption = Path("rhotem-weigh"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Which of several structures, or densities of one, a measurement shows.

    Each hypothesis is fitted with thickness, focus, astigmatism, source, scan,
    gains and offsets of its own. Evidences are compared; recordings of each
    are simulated to see how often the verdict errs; and the dose that would
    decide is said. Atoms of all hypotheses move alike.

    rhotem weigh haadf.ser LiCoO2 LiNiO2 --zone 1,0,0 --convergence-mrad 25
    --detector HAADF=70-200

    rhotem weigh abf.dm4 LiCoO2@free-atoms LiCoO2@model --zone 1,0,0
    --convergence-mrad 20 --detector ABF=10-20

    A position-averaged pattern of counted electrons: thickness, mistilt,
    convergence (within 10 %), scale, centre, rotation, blur and background.

    rhotem weigh pacbed.npy SrTiO3 BaTiO3 --kind pattern --counts --zone 0,0,1
    --energy-keV 200 --convergence-mrad 13.6 --trials 4
    """
    from rhotem.experiment.read import read_measurement
    from rhotem.experiment.weigh.planned import parse_hypotheses
    from rhotem.experiment.weigh.report import draw, table, verdict

    names = parse_hypotheses(hypotheses)
    tried = (foci_of(foci), astigmatism, mistilt)
    said = replace(stated, kind=stated.kind or "image")
    measured = [read_measurement(path, said) for path in (experiment, *(also or []))]
    plans = _plans(measured, names, given, thickest)
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        say = voice(quiet, progress)
        made = _weighed(measured, plans, tried, say, {"trials": trials, "draws": displacements})
        draw(made, folder / "weigh.png")
        record: dict[str, Any] = {"asked": {name: plan.data(full=True) for name, plan in plans.items()}}
        record |= {"measurements": [one.record() for one in measured], "weighed": made.record()}
        write_record(folder, record | {"verdict": verdict(made)})
        for remark in made.remarks:
            say.warn(remark)
    if not quiet:
        typer.echo(table(made))
    typer.echo(verdict(made))
    if not quiet:
        typer.echo(f"figure and record in {out}")


def _plans(
    measured: "list[Measurement]", names: "list[Named]", given: dict[str, Any], thickest: float | None
) -> "dict[str, Plan]":
    """The plan of every hypothesis; refuses what cannot be weighed."""
    from rhotem.core import InputError
    from rhotem.experiment.fit.pacbed import common_convergence, common_energy
    from rhotem.experiment.fit.simulated import pattern_plan

    pattern = measured[0].kind == "pattern"
    for one in measured:
        if one.kind not in ("image", "pattern") or (pattern and len(measured) > 1):
            raise InputError(f"{one.source.path}: hypotheses are weighed on images of a scan, or on one pattern")
    lens = [place for place in given if place.startswith("microscope.")]
    if pattern and lens:
        raise InputError(f"{', '.join(lens)}: changes no position-averaged pattern; leave it out, or --kind image")
    angle = common_convergence(measured, TOLERANCE if pattern else 0.0)[1]
    deep = thickest or (THICKEST if pattern else THICKEST_IMAGE)
    asked = {"motion.phonons": PHONONS} | given | {"specimen.thickness_nm": deep}
    asked["microscope.energy_keV"] = common_energy(measured)
    if not pattern:
        asked["microscope.convergence_mrad"] = angle
    plans = {
        one.name: plan_of(one.structure, asked | ({"density.source": one.source} if one.source else {}))
        for one in names
    }
    return {name: pattern_plan(plan, angle) for name, plan in plans.items()} if pattern else plans


def _weighed(
    measured: "list[Measurement]",
    plans: "dict[str, Plan]",
    tried: tuple[tuple[float, float], float, float],
    say: "Voice",
    how: dict[str, int],
) -> "Weighing":
    """Weigh images, or a pattern; ``tried``: foci and astigmatism in nm, mistilt in mrad."""
    from rhotem.experiment.fit.images.planned import Limits
    from rhotem.experiment.fit.pacbed import common_convergence
    from rhotem.experiment.weigh.planned import weigh_pattern, weigh_recordings

    if measured[0].kind == "pattern":
        return weigh_pattern(measured[0], plans, tried[2], common_convergence(measured, TOLERANCE), say, **how)
    return weigh_recordings(measured, plans, Limits(*tried[:2]), say, **how)
