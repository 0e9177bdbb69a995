"""`rhotem pilot`: a dopant in a crystal, its charge density and images with and without it, as one report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rhotem.battery.potentials import DEFAULT, potential_names
from rhotem.cli.common import ProgressBar, StructureArgument, command_line, output_folder, voice, write_record
from rhotem.cli.options import RESULTS, SPECIMEN, SimulationQuietOption, plan_of, with_plan_options

app = typer.Typer()

#: What the study decides itself, or what means nothing for it.
WITHOUT = (
    "specimen.plane",
    "specimen.zone_basis",
    "specimen.keep_cell",
    "specimen.vacuum_A",
    "specimen.order",
    "motion.frames",
    "density.uncertainty",
    "density.valence_e",
    "density.file_kind",
    "density.correct_count",
    "density.gpaw_cache",
    "density.charge_e",
    "recording.probe",
    "recording.dose_e_per_A2",
    "recording.field_of_view_A",
    "computing.scheduler",
)


@app.command()
@with_plan_options(without=WITHOUT)
def pilot(
    structure: StructureArgument,
    dopant: Annotated[str, typer.Option(metavar="Al", help="The element that is put in.", rich_help_panel=SPECIMEN)],
    given: dict[str, Any],
    replaces: Annotated[
        str,
        typer.Option(
            metavar="Ni",
            help="Element whose sites it takes; without it the transition metal there is most of.",
            rich_help_panel=SPECIMEN,
        ),
    ] = "",
    count: Annotated[int, typer.Option(min=1, help="Dopants in the cell.", rich_help_panel=SPECIMEN)] = 1,
    repeat: Annotated[
        str, typer.Option(metavar="a,b,c", help="Repeat the crystal's cell first.", rich_help_panel=SPECIMEN)
    ] = "2,2,1",
    potential: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"Potential that relaxes: {', '.join(potential_names())}.",
            rich_help_panel=SPECIMEN,
        ),
    ] = DEFAULT,
    steps: Annotated[int, typer.Option(min=1, help="Most steps of each relaxation.", rich_help_panel=SPECIMEN)] = 300,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for report.html and what it shows.", rich_help_panel=RESULTS)
    ] = Path("pilot"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Pilot study of a dopant: charge density, charges and images of a crystal with and without it, as one HTML page.

    Both crystals are relaxed; the doped one in the cell of the other, so that
    images differ by the dopant alone.

    Example: rhotem pilot LiNiO2 --dopant Al --thickness 3 --out al-in-lno
    """
    from rhotem.analysis.specimen import structure as read
    from rhotem.battery.pilot.make import PilotSettings
    from rhotem.battery.pilot.make import pilot as make
    from rhotem.battery.pilot.report import record, write_report

    plan = plan_of(structure, given)
    asked = PilotSettings(dopant, replaces, count, repeat, potential, steps=steps, seed=plan.computing.seed)
    crystal = read(structure, allow_overlaps=plan.specimen.allow_overlaps)
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        made = make(crystal, asked, plan, folder, voice(quiet, progress))
        write_report(made, command_line(), folder)
        write_record(folder, record(made))
    if not quiet:
        for row in made.image_changes():
            typer.echo(f"  {row['image']:6s} changes by {100 * row['rms_of_range']:.2f} % of its range (rms)")
        for note in made.notes:
            typer.echo(f"note: {note}")
        typer.echo(f"written: {out / 'report.html'}")
