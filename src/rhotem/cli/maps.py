"""`rhotem maps`: strain, charge, bond valence and potential of a structure, beside its images."""

from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import (
    JsonOption,
    ProgressBar,
    QuietOption,
    StructureArgument,
    output_folder,
    to_json,
    write_record,
)
from rhotem.cli.options import AllowOverlapsOption

app = typer.Typer()


@app.command()
def maps(
    structure: StructureArgument,
    of: Annotated[
        str | None,
        typer.Option(
            metavar="KINDS",
            help="Some of strain,charge,bond-valence,potential; without it all, strain where there is a --reference.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="STRUCTURE",
            help="Crystal that strain is counted from, with the same axes, or the unrelaxed structure.",
        ),
    ] = None,
    axis: Annotated[str, typer.Option(metavar="a|b|c", help="Lattice vector across layers and interfaces.")] = "c",
    smooth: Annotated[
        float,
        typer.Option(
            metavar="Å", help="Width σ of the Gaussian that profiles are folded with; 2 and more hides atomic layers."
        ),
    ] = 0.5,
    source: Annotated[str, typer.Option(metavar="NAME", help="Density; model: learned.")] = "model",
    error: Annotated[
        bool, typer.Option("--error/--no-error", help="Error bars of the potential, where the density has some.")
    ] = True,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for maps.png, atoms.csv, regions.csv, profile.csv.")
    ] = Path("maps"),
    allow_overlaps: AllowOverlapsOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Local strain, charge, bond valence sums, and profiles of charge and potential across layers or an interface.

    Regions are those of the label record beside a file of `rhotem battery`
    (NAME.labels.json), else layers along the axis.

    Example: rhotem maps doped.cif --reference LiNiO2 --out doped
    """
    from rhotem.analysis.maps.make import KINDS, Wanted, make_maps
    from rhotem.analysis.maps.profiles import axis_number
    from rhotem.analysis.maps.report import record, write_report
    from rhotem.analysis.specimen import structure as read
    from rhotem.battery.specimen import regions_beside

    kinds = tuple(k.strip() for k in of.split(",")) if of else tuple(k for k in KINDS if reference or k != "strain")
    wanted = Wanted(kinds, axis_number(axis), smooth, source, error)
    crystal = read(structure, allow_overlaps=allow_overlaps)
    lattice = read(reference) if reference else None
    with output_folder(out) as folder:
        with ProgressBar(quiet or as_json) as progress:
            made = make_maps(crystal, wanted, lattice, regions_beside(Path(structure), crystal), progress)
        by = f"; density: {source}" if made.profile is not None else ""
        title = f"{crystal.info.get('name', crystal.formula)}: {', '.join(kinds)}{by}"
        write_report(made, title, folder)
        told = write_record(folder, {"structure": structure, "reference": reference, **record(made)})
    if as_json:
        typer.echo(to_json(told))
    elif not quiet:
        for row in told["regions"]:
            charge = f"  charge {row['charge_e']:+.3f} e" if "charge_e" in row else ""
            known = row.get("volumetric_strain")
            strain = f"  volume {100 * known:+.2f} %" if known is not None else ""
            valence = "".join(f"  {e} {v:+.2f}" for e, v in row.get("bond_valence", {}).items())
            valence = f"  bond valence{valence}" if valence else ""
            place = f"at {row['height_A']:6.2f} Å"
            typer.echo(f"  {row['region']:12s} {row['elements']:14s} {place}{charge}{strain}{valence}")
        for note in told["notes"]:
            typer.echo(f"note: {note}")
        typer.echo(f"written: {out}, {', '.join(told['files'])}")
