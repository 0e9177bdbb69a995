"""`rhotem screen`: candidates for an electrode in one ranked table."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rhotem.battery.potentials import DEFAULT, general_potentials
from rhotem.cli.common import (
    JsonOption,
    ProgressBar,
    QuietOption,
    output_folder,
    parse_indices,
    to_json,
    write_record,
)
from rhotem.cli.options import AllowOverlapsOption

app = typer.Typer()


@app.command()
def screen(
    candidates: Annotated[
        list[str],
        typer.Argument(
            metavar="CANDIDATE…",
            help="Files, ready phases, or FORMULA@PROTOTYPE: LiCrO2@LiCoO2 is LiCrO2 in the structure of LiCoO2.",
        ),
    ],
    rank: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column by which candidates are ranked; voltage_V, or density_g_per_cm3 where nothing has one.",
        ),
    ] = None,
    smallest: Annotated[bool, typer.Option("--smallest", help="The smallest first instead of the largest.")] = False,
    x: Annotated[
        str | None,
        typer.Option(metavar="1,0.5", help="States of charge; full, and as empty as the metals allow, unless given."),
    ] = None,
    ion: Annotated[str, typer.Option(metavar="Li", help="The mobile ion; without it Li, else Na, else K.")] = "",
    orderings: Annotated[int, typer.Option(min=1, help="Orderings of ions that are relaxed at every x.")] = 1,
    source: Annotated[
        str, typer.Option(metavar="NAME", help="Density of charges and images; model: learned.")
    ] = "model",
    charges: Annotated[bool, typer.Option("--charges/--no-charges", help="Charges of elements.")] = True,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Contrast of columns, by responses in OUT/library.")
    ] = True,
    preset: Annotated[str, typer.Option(metavar="NAME", help="Preset of the images.")] = "layered-oxide",
    zone: Annotated[
        Any,
        typer.Option(
            parser=parse_indices,
            metavar="u,v,w",
            help="Zone axis of all; unless given each along the one that tells its columns apart.",
        ),
    ] = None,
    thickness: Annotated[float, typer.Option(metavar="nm", help="Thickness in the images.")] = 3.0,
    defocus: Annotated[
        float, typer.Option(metavar="nm", help="Defocus of the contrasts; responses hold -2 to 4 nm.")
    ] = 0.0,
    phonons: Annotated[int, typer.Option(min=0, metavar="N", help="Configurations of thermal motion.")] = 4,
    potential: Annotated[
        str, typer.Option(metavar="NAME", help=f"Potential: {', '.join(general_potentials())}.")
    ] = DEFAULT,
    steps: Annotated[int, typer.Option(min=1, help="Most steps of a relaxation.")] = 300,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder; the same command goes on there.")] = Path("screen"),
    allow_overlaps: AllowOverlapsOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Candidates for an electrode: lattice, voltage, charges, contrast of columns, in one ranked table.

    Every candidate is relaxed full and charged (`rhotem charge-series`), its
    charges taken from the density, and its images kept as a response in
    OUT/library, which `rhotem view` and `rhotem library` open. A candidate that
    fails is in the table with its reason. Stability against other phases is not
    judged.

    Example: rhotem screen LiCoO2 LiNiO2 LiCrO2@LiCoO2 --rank energy_Wh_per_kg
    """
    from rhotem.analysis.specimen import structure
    from rhotem.battery.charging.asked import Asked, parse_x
    from rhotem.core.table import write_rows
    from rhotem.density.source import source_class
    from rhotem.library.screening.candidates import candidates_of
    from rhotem.library.screening.columns import check_rank
    from rhotem.library.screening.images import Imaging
    from rhotem.library.screening.judge import Criteria
    from rhotem.library.screening.make import screened
    from rhotem.library.screening.table import lines, ranked, usual_rank

    charging = Asked(parse_x(x) if x else None, ion, orderings, None, None, potential, steps=steps)
    chosen = candidates_of(candidates, lambda name: structure(name, allow_overlaps=allow_overlaps))
    axis = None if zone is None else tuple(zone)
    imaging = Imaging(preset, thickness, phonons, axis, defocus, source) if images else None
    if charges or images:
        source_class(source)
    if imaging is not None:
        imaging.check()
    how = Criteria(charging, source if charges else None)
    check_rank(rank, how, imaging)
    with output_folder(out) as folder:
        with ProgressBar(quiet or as_json) as progress:
            rows, notes = screened(chosen, how, imaging, out, progress)
        key = rank or usual_rank(rows)
        table = ranked(rows, key, smallest=smallest)
        write_rows(folder / "screen.csv", table, 6)
        record: dict[str, Any] = {"ranked_by": key, "smallest_first": smallest, "candidates": table, "notes": notes}
        told = write_record(folder, record)
    if as_json:
        typer.echo(to_json(told))
        return
    failed = [f"{row['name']}: {row[key]}" for row in table for key in ("failed", "image_failed") if row.get(key)]
    if not quiet:
        said = [f"note: {name}: {note}" for name, some in notes.items() for note in some]
        typer.echo("\n".join([*lines(table), *said, f"written: {out}, screen.csv, record.json, a folder each"]))
    for line in failed:
        typer.echo(f"failed: {line}", err=True)
