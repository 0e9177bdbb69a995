"""`rhotem read`: what a measured file is, what it lacks, and its calibration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import JsonOption, output_folder, parse_indices, to_json, write_record
from rhotem.cli.measurement import MeasurementArgument, with_measurement_options
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.experiment.measurement import Measurement

app = typer.Typer()

#: Heading of these options in `--help`.
PANEL = "Calibration"

OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for pictures, tables and record.")]
StructureOption = Annotated[
    str | None,
    typer.Option(
        "--structure",
        metavar="CIF",
        help="An image: its pixel, rotation, shear and drift by the lattice of this crystal.",
        rich_help_panel=PANEL,
    ),
]
ZoneOption = Annotated[str, typer.Option("--zone", metavar="u,v,w", help="Zone axis.", rich_help_panel=PANEL)]
ColumnsOption = Annotated[
    bool,
    typer.Option(
        "--columns",
        help="Fit every column: place, intensity, displacement, strain, into columns.csv (with --structure and --out).",
        rich_help_panel=PANEL,
    ),
]
DiscOption = Annotated[
    bool,
    typer.Option("--disc", help="A pattern: centre, ellipse, scale by its direct disc.", rich_help_panel=PANEL),
]


@app.command()
@with_measurement_options
def read(
    file: MeasurementArgument,
    stated: Stated,
    structure: StructureOption = None,
    zone: ZoneOption = "0,0,1",
    columns: ColumnsOption = False,
    disc: DiscOption = False,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a measured file is: scales, settings, what is missing and the option that gives it; and its calibration."""
    from rhotem.core import InputError
    from rhotem.experiment.picture import draw
    from rhotem.experiment.read import missing, read_measurement
    from rhotem.experiment.report import described

    if columns and (structure is None or out is None):
        raise InputError("--columns needs --structure and --out")
    measurement = read_measurement(file, stated)
    record = {"measurement": measurement.record(), "stated": stated.record(), "missing": missing(measurement)}
    lines = [described(measurement)]
    drawings: list[Any] = [lambda folder: draw(measurement, folder / "measured.png")]
    if structure is not None:
        drawings += _lattice(measurement, structure, zone, columns, record, lines)
    if disc:
        drawings += _disc(measurement, record, lines)
    if structure is None and not disc:
        lines.append(_next(measurement.kind, file))
    typer.echo(to_json(record) if as_json else "\n".join(lines))
    if out is not None:
        with output_folder(out) as folder:
            for drawing in drawings:
                drawing(folder)
            write_record(folder, record)
        typer.echo(f"results in {out}", err=as_json)


def _next(kind: str | None, file: Path) -> str:
    """What to type after a first look."""
    if kind in ("pattern", "4D"):
        return f"next: rhotem read {file} --disc finds its direct disc; rhotem fit {file} STRUCTURE its thickness"
    return f"next: rhotem read {file} --structure FILE.cif --zone 1,0,0 --out read lays the lattice over it"


def _lattice(
    measurement: "Measurement", structure: str, zone: str, columns: bool, record: dict[str, Any], lines: list[str]
) -> list[Any]:
    """Find the lattice; what writes its pictures and tables."""
    from rhotem.analysis.run import structure as read_structure
    from rhotem.experiment.calibrate.cell import mean_cell
    from rhotem.experiment.calibrate.lattice import find_lattice
    from rhotem.experiment.calibrate.picture import draw_lattice
    from rhotem.experiment.report import lattice_lines

    lattice = find_lattice(measurement, read_structure(structure), parse_indices(zone))
    cell = mean_cell(measurement, lattice)
    record["structure"] = {"name": structure, "zone": zone}
    record["lattice"] = {**lattice.record(), "mean_cell": {"cells": cell.cells, "step_A": list(cell.step)}}
    lines.append(lattice_lines(measurement, lattice))
    drawings: list[Any] = [lambda folder: draw_lattice(measurement, lattice, cell, folder / "lattice.png")]
    if columns:
        drawings.append(lambda folder: _columns(measurement, lattice, folder))
    return drawings


def _columns(measurement: "Measurement", lattice: Any, folder: Path) -> None:
    from rhotem.experiment.columns.gaussians import fit_columns
    from rhotem.experiment.columns.output import draw_columns, write_columns
    from rhotem.experiment.columns.strain import strain

    fitted = fit_columns(measurement, lattice)
    strained = strain(fitted)
    write_columns(fitted, strained, folder / "columns.csv")
    draw_columns(measurement, fitted, strained, folder / "columns.png")
    typer.echo(f"{fitted.fitted.sum()} of {len(fitted.kinds)} columns fitted", err=True)


def _disc(measurement: "Measurement", record: dict[str, Any], lines: list[str]) -> list[Any]:
    """Find the direct disc; what writes its picture."""
    from rhotem.experiment.calibrate.disc import find_disc
    from rhotem.experiment.calibrate.picture import draw_disc
    from rhotem.experiment.report import disc_lines

    found = find_disc(measurement)
    record["disc"] = found.record()
    lines.append(disc_lines(found, measurement.convergence_mrad))
    return [lambda folder: draw_disc(measurement, found, folder / "disc.png")]
