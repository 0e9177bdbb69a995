"""`rhotem plan`: how well a change of the specimen would be seen, before a session."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, StructureArgument, output_folder, voice, write_record
from rhotem.cli.options import RECORDING, SPECIMEN, OutOption, SimulationQuietOption, planned, with_plan_options

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan

app = typer.Typer()

FeatureOption = Annotated[
    str,
    typer.Option(
        "--feature",
        metavar="CHANGE",
        help="vacancy:Li, vacancy:Li:3 (atoms of a column), vacancy:Li:20%, dopant:Ni=Al, antisite:Li/Ni, molecule:C; "
        "density: what bonding changes.",
        rich_help_panel=SPECIMEN,
    ),
]
ThicknessesOption = Annotated[
    str | None,
    typer.Option("--thicknesses", metavar="2,5,10", help="nm, instead of one.", rich_help_panel=SPECIMEN),
]
FociOption = Annotated[
    str,
    typer.Option("--foci", metavar="FROM,TO,STEPS", help="Defocus values in nm.", rich_help_panel=RECORDING),
]
RingsOption = Annotated[
    float | None,
    typer.Option(
        "--rings",
        metavar="MRAD",
        help="Look for the best ring with edges so far apart, too, and weigh all parts of the pattern at once (4D).",
        rich_help_panel=RECORDING,
    ),
]
#: What a plan of a session has no use for.
WITHOUT = (
    "microscope.defocus_nm",
    "motion.frames",
    "recording.scan_step_A",
    "recording.field_of_view_A",
    "recording.camera_step_mrad",
    "recording.probe",
    "computing.scheduler",
    "computing.algorithm",
    "specimen.thickness_nm",
)
#: e/Å², where none is asked for.
DOSE = 1e5
#: Configurations of thermal motion: both specimens move alike, so that few tell a difference.
PHONONS = 2


@app.command()
@with_plan_options(without=WITHOUT)
def plan(
    structure: StructureArgument,
    feature: FeatureOption,
    given: dict[str, Any],
    thicknesses: ThicknessesOption = None,
    foci: FociOption = "-4,4,5",
    rings: RingsOption = None,
    out: OutOption = Path("rhotem-plan"),
    quiet: SimulationQuietOption = False,
) -> None:
    """What a session could see: signal, noise and detectability of a change, and the dose that shows it."""
    from rhotem.analysis.detect.features import parse_feature
    from rhotem.analysis.detect.report import advice, figure, table

    wanted = parse_feature(feature)
    asked = planned(structure, given).plan
    depths, focus = _numbers("--thicknesses", thicknesses), _steps(foci)
    with output_folder(out) as folder:
        result = _made(asked, wanted, {"defocus": focus, "thicknesses": depths, "rings": rings}, quiet)
        figure(result, folder / "detectability.png")
        write_record(folder, {"asked": asked.data(full=True), "detectability": result.record()})
    if not quiet:
        typer.echo(table(result))
    typer.echo(advice(result))
    if not quiet:
        typer.echo(f"figure and table in {out}")


def _made(plan: "Plan", feature: Any, over: dict[str, Any], quiet: bool) -> Any:
    from rhotem.analysis.detect.plan import detectability

    with ProgressBar(quiet) as progress:
        return detectability(
            plan,
            feature,
            dose=plan.recording.dose_e_per_A2 or DOSE,
            phonons=plan.motion.phonons if isinstance(plan.motion.phonons, int) else PHONONS,
            voice=voice(quiet),
            progress=progress,
            **over,
        )


def _numbers(option: str, text: str | None) -> list[float]:
    from rhotem.core import InputError

    try:
        values = [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise InputError(f"{option} {text}: expected numbers with commas between") from None
    if any(not 0 < value < 1e4 for value in values):
        raise InputError(f"{option} {text}: expected positive lengths in nm")
    return values


def _steps(text: str) -> list[float]:
    import numpy as np

    from rhotem.core import InputError

    try:
        first, last, number = text.split(",")
        values = np.linspace(float(first), float(last), int(number)).tolist()
    except ValueError:
        raise InputError(f"--foci {text}: expected FROM,TO,STEPS in nm, as -4,4,5") from None
    if not values:
        raise InputError(f"--foci {text}: at least one step")
    return [float(f"{value:.12g}") for value in values]
