"""`rhotem read`: what a measured file is, and what it lacks."""

from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import JsonOption, output_folder, to_json, write_record
from rhotem.cli.measurement import MeasurementArgument, with_measurement_options
from rhotem.experiment.read.stated import Stated

app = typer.Typer()

OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for picture and record.")]


@app.command()
@with_measurement_options
def read(file: MeasurementArgument, stated: Stated, out: OutOption = None, as_json: JsonOption = False) -> None:
    """What a measured file is: scales, settings, what is missing and the option that gives it."""
    from rhotem.experiment.picture import draw
    from rhotem.experiment.read import missing, read_measurement
    from rhotem.experiment.report import described

    measurement = read_measurement(file, stated)
    record = {"measurement": measurement.record(), "stated": stated.record(), "missing": missing(measurement)}
    typer.echo(to_json(record) if as_json else described(measurement))
    if out is not None:
        with output_folder(out) as folder:
            draw(measurement, folder / "measured.png")
            write_record(folder, record)
        typer.echo(f"picture and record in {out}", err=as_json)
