"""`rhotem weigh`: which of several structures, or densities, measured images show."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, output_folder, voice, write_record
from rhotem.cli.fit import (
    KEYS,
    PHONONS,
    THICKEST_IMAGE,
    WITHOUT,
    AstigmatismOption,
    FociOption,
    ThickestOption,
    foci_of,
)
from rhotem.cli.measurement import with_measurement_options
from rhotem.cli.options import SPECIMEN, OutOption, SimulationQuietOption, plan_of, with_plan_options
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.experiment.measurement import Measurement

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
    trials: TrialsOption = 20,
    displacements: DrawsOption = 4,
    out: OutOption = Path("rhotem-weigh"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Which of several structures, or densities of one, measured images show.

    Each hypothesis is fitted with thickness, focus, astigmatism, source, scan,
    gains and offsets of its own. Evidences are compared; recordings of each
    are simulated to see how often the verdict errs; and the dose that would
    decide is said. Atoms of all hypotheses move alike.

    rhotem weigh haadf.ser LiCoO2 LiNiO2 --zone 1,0,0 --convergence-mrad 25
    --detector HAADF=70-200

    rhotem weigh abf.dm4 LiCoO2@free-atoms LiCoO2@model --zone 1,0,0
    --convergence-mrad 20 --detector ABF=10-20
    """
    from rhotem.experiment.fit.images.planned import Limits
    from rhotem.experiment.fit.pacbed import common_convergence, common_energy
    from rhotem.experiment.read import read_measurement
    from rhotem.experiment.weigh.planned import parse_hypotheses, weigh_recordings
    from rhotem.experiment.weigh.report import draw, table, verdict

    names = parse_hypotheses(hypotheses)
    limits = Limits(foci_of(foci), astigmatism)
    said = replace(stated, kind=stated.kind or "image")
    measured = [read_measurement(path, said) for path in (experiment, *(also or []))]
    _only_images(measured)
    asked = {"motion.phonons": PHONONS} | given | {"specimen.thickness_nm": thickest or THICKEST_IMAGE}
    asked["microscope.convergence_mrad"] = common_convergence(measured, 0.0)[0]
    asked["microscope.energy_keV"] = common_energy(measured)
    plans = {
        one.name: plan_of(one.structure, asked | ({"density.source": one.source} if one.source else {}))
        for one in names
    }
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        made = weigh_recordings(measured, plans, limits, voice(quiet, progress), trials=trials, draws=displacements)
        draw(made, folder / "weigh.png")
        record: dict[str, Any] = {"asked": {name: plan.data(full=True) for name, plan in plans.items()}}
        record |= {"measurements": [one.record() for one in measured], "weighed": made.record()}
        write_record(folder, record | {"verdict": verdict(made)})
    if not quiet:
        typer.echo(table(made))
    typer.echo(verdict(made))
    if not quiet:
        typer.echo(f"figure and record in {out}")


def _only_images(measured: "list[Measurement]") -> None:
    """Refuse what is no image."""
    from rhotem.core import InputError

    for one in measured:
        if one.kind != "image":
            raise InputError(f"{one.source.path}: a {one.kind}; hypotheses are weighed on images of a scan")
