"""`rhotem image`: a structure, a plan or a record in, calibrated STEM images out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, command_line, voice
from rhotem.cli.options import OutOption, SavePlanOption, SimulationQuietOption, planned, with_plan_options

if TYPE_CHECKING:
    from rhotem.analysis.plan import Recorded

app = typer.Typer()

PlanArgument = Annotated[
    str,
    typer.Argument(
        metavar="STRUCTURE|PLAN|RECORD",
        help="CIF, POSCAR, xyz, ... or the name of a ready phase; a plan (.yaml, .json); or the record.json of a run, "
        "to do it again. Options change what the plan says.",
    ),
]


@app.command()
@with_plan_options()
def image(
    structure: PlanArgument,
    given: dict[str, Any],
    save_plan: SavePlanOption = None,
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
    asked = planned(structure, given)
    if save_plan is not None:
        asked.plan.save(save_plan)
    if asked.plan.series:
        _series(asked, out, quiet)
    else:
        _one(asked, out, quiet)


def _series(asked: "Recorded", out: Path, quiet: bool) -> None:
    """Do every setting of a series, and say what stands beside their folders."""
    from rhotem.analysis.series import run_series

    with ProgressBar(quiet) as progress:
        made = run_series(asked, out, voice(quiet, progress), {"command": command_line()})
    if not quiet:
        files = sorted({path.name for path in out.iterdir()} - set(made))
        typer.echo(f"{len(made)} settings in {out}, a folder each; {', '.join(files)}")


def _one(asked: "Recorded", out: Path, quiet: bool) -> None:
    """Do one plan, and say what it came to."""
    from rhotem.analysis.workflow import run

    with ProgressBar(quiet) as progress:
        result = run(asked, out, voice(quiet, progress), {"command": command_line()})
    if not quiet:
        number = len(result.images.images)
        typer.echo(f"{result.images}\n{number} image{'s' * (number != 1)} in {out}: {', '.join(result.files)}")
        first = f"look at {out / 'overview.png'}; " if "overview.png" in result.files else ""
        typer.echo(f"next: {first}rhotem cite {out}; other settings: rhotem image {out} --dose 1e4 --out OTHER")
