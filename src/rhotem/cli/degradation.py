"""`rhotem degradation`: a layered electrode through its ageing, as a record of specimens and numbers."""

from pathlib import Path
from typing import Annotated

import typer

from rhotem.battery.potentials import DEFAULT, potential_names
from rhotem.cli.common import (
    JsonOption,
    ProgressBar,
    QuietOption,
    SeedOption,
    StructureArgument,
    output_folder,
    to_json,
    write_record,
)
from rhotem.cli.options import AllowOverlapsOption

app = typer.Typer()


@app.command()
def degradation(
    structure: StructureArgument,
    rocksalt: Annotated[
        str, typer.Option(metavar="0,5,10", help="Thickness of rock salt on the surface at every step, Å.")
    ],
    cycles: Annotated[
        str | None, typer.Option(metavar="0,200,500", help="Label of every step; 0, 1, 2, … unless given.")
    ] = None,
    lost: Annotated[
        str | None,
        typer.Option(metavar="0,2,5", help="Per cent of the layered part's ions lost at every step; 0 unless given."),
    ] = None,
    thickness: Annotated[float, typer.Option(metavar="Å", help="Of the whole slab, at least.")] = 30.0,
    plane: Annotated[str, typer.Option(metavar="h,k,l", help="Surface, indices of the hexagonal cell.")] = "1,0,4",
    across: Annotated[str, typer.Option(metavar="nx,ny", help="Repeats in the plane.")] = "1,1",
    voltage: Annotated[
        float | None, typer.Option(metavar="V", help="Mean voltage (`rhotem charge-series`), for the energy.")
    ] = None,
    relax_steps: Annotated[int, typer.Option(min=0, help="Most steps of relaxation of each specimen; 0: none.")] = 0,
    potential: Annotated[
        str, typer.Option(metavar="NAME", help=f"Potential: {', '.join(potential_names())}.")
    ] = DEFAULT,
    charges: Annotated[bool, typer.Option("--charges/--no-charges", help="Charges of elements by region.")] = True,
    source: Annotated[str, typer.Option(metavar="NAME", help="Density of the charges; model: learned.")] = "model",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder; steps are kept as they are done, the same command goes on.")
    ] = Path("degradation"),
    seed: SeedOption = 0,
    allow_overlaps: AllowOverlapsOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Degradation of a layered electrode as a record: specimens, charges, accessible ions, capacity, step by step.

    What grows and what is lost is what you say: the record turns it into
    specimens for `rhotem image` and into numbers for cell models. It predicts
    nothing.

    Example: rhotem degradation LiNiO2 --rocksalt 0,5,10 --cycles 0,200,500 --out aged
    """
    from rhotem.analysis.specimen import structure as read
    from rhotem.battery.builders.table import plane_of
    from rhotem.battery.charging.asked import parse_x
    from rhotem.battery.degradation.make import DegradationSettings, degrade, notes_on
    from rhotem.battery.degradation.report import write_report
    from rhotem.structure.edits.table import parts, whole

    thicknesses = parse_x(rocksalt)
    labels = parse_x(cycles) if cycles else tuple(float(n) for n in range(len(thicknesses)))
    i, j = (whole(n) for n in parts(across, "across", 2, ","))
    asked = DegradationSettings(
        labels,
        thicknesses,
        parse_x(lost) if lost else (0.0,) * len(thicknesses),
        thickness,
        plane_of(plane),
        (i, j),
        relax_steps,
        potential,
        source if charges else "",
        seed,
    )
    crystal = read(structure, allow_overlaps=allow_overlaps)
    with output_folder(out) as folder:
        with ProgressBar(quiet or as_json) as progress:
            rows = degrade(crystal, asked, out, voltage, progress)
        write_report(rows, str(crystal.info.get("name", crystal.formula)), folder)
        notes = notes_on(rows)
        kind = "degradation record, model output"
        told = write_record(folder, {"structure": structure, "kind": kind, "steps": rows, "notes": notes})
    if as_json:
        typer.echo(to_json(told))
    elif not quiet:
        for row in rows:
            typer.echo(
                f"  {row['cycles']:g} cycles, {row['rocksalt_A']:g} Å rock salt: {row['formula']}, {row['accessible']} "
                f"{row['ion']} accessible, {row['capacity_mAh_per_g']:.0f} mAh/g, {100 * row['state_of_health']:.0f} %"
            )
        for note in notes:
            typer.echo(f"note: {note}")
        typer.echo(f"written: {out}, {', '.join(sorted(told['files']))}, steps")
