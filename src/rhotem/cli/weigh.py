"""`rhotem weigh`: which of several structures, or densities, measured images show."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, output_folder, voice, write_record
from rhotem.cli.measurement import with_measurement_options
from rhotem.cli.options import SPECIMEN, OutOption, SimulationQuietOption, with_plan_options
from rhotem.cli.searched import KEYS, TOLERANCE, WITHOUT, Searched, with_search_options
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan
    from rhotem.analysis.voice import Voice
    from rhotem.experiment.measurement import Measurement
    from rhotem.experiment.weigh import Weighing
    from rhotem.experiment.weigh.named import Named

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
@with_search_options
def weigh(
    experiment: RecordingArgument,
    hypotheses: HypothesesArgument,
    given: dict[str, Any],
    stated: Stated,
    searched: Searched,
    also: AlsoOption = None,
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
    from rhotem.experiment.weigh.named import parse_hypotheses
    from rhotem.experiment.weigh.report import draw, table, verdict

    names = parse_hypotheses(hypotheses)
    said = replace(stated, kind=stated.kind or "image")
    measured = [read_measurement(path, said) for path in (experiment, *(also or []))]
    plans = _plans(measured, names, given, searched)
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        say = voice(quiet, progress)
        made = _weighed(measured, plans, searched, say, {"trials": trials, "draws": displacements})
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
    measured: "list[Measurement]", names: "list[Named]", given: dict[str, Any], searched: Searched
) -> "dict[str, Plan]":
    """The plan of every hypothesis; refuses what cannot be weighed."""
    from rhotem.core import InputError

    pattern = measured[0].kind == "pattern"
    for one in measured:
        if one.kind not in ("image", "pattern") or (pattern and len(measured) > 1):
            raise InputError(f"{one.source.path}: hypotheses are weighed on images of a scan, or on one pattern")
    plans = {}
    for named in names:
        asked = given | ({"density.source": named.source} if named.source else {})
        if pattern:
            plans[named.name], _ = searched.pattern_plan(named.structure, asked, measured)
        else:
            plans[named.name] = searched.image_plan(named.structure, asked, measured)
    return plans


def _weighed(
    measured: "list[Measurement]", plans: "dict[str, Plan]", searched: Searched, say: "Voice", how: dict[str, int]
) -> "Weighing":
    """Weigh images, or a pattern."""
    from rhotem.experiment.fit.pacbed import common_convergence
    from rhotem.experiment.weigh.planned import weigh_pattern, weigh_recordings

    if measured[0].kind == "pattern":
        angles = common_convergence(measured, TOLERANCE)
        return weigh_pattern(measured[0], plans, searched.mistilt, angles, say, **how)
    return weigh_recordings(measured, plans, searched.limits, say, **how)
