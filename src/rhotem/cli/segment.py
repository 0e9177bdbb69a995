"""`rhotem segment`: the columns of a measured picture by a network."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import JsonOption, output_folder, to_json, write_record
from rhotem.cli.measurement import MeasurementArgument, with_measurement_options
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.learned.pictures import Segmentation

app = typer.Typer()

OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for columns.csv, picture and record.")
]
NetworkOption = Annotated[
    Path | None,
    typer.Option(
        "--network",
        metavar="FILE",
        help="Network of `rhotem dataset train`, instead of the one that comes with RhoTEM.",
    ),
]

ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        min=0.05,
        max=0.95,
        help="Probability from which on there is a column; without it that with which nine of ten columns found are "
        "there, on chemistries kept from training.",
    ),
]


ImageOption = Annotated[
    str | None,
    typer.Option(
        "--image",
        metavar="NAME",
        help="What it is: HAADF, ABF or iDPC; without it what the file calls it, else ABF if columns are dark.",
    ),
]


@app.command()
@with_measurement_options
def segment(
    file: MeasurementArgument,
    stated: Stated,
    network: NetworkOption = None,
    threshold: ThresholdOption = None,
    image: ImageOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Columns of a measured picture by a network: places with errors, species, vacancies and antisites.

    No structure is needed, only the size of a pixel. What it can and cannot: docs/dataset.md.
    """
    from rhotem.core import InputError
    from rhotem.core.provenance import file_sha256
    from rhotem.experiment.columns.found import draw_found, write_found
    from rhotem.experiment.read import read_measurement
    from rhotem.learned.pictures import load_weights
    from rhotem.learned.pictures import segment as find
    from rhotem.learned.pictures.view import MODES, named

    known = {name.lower(): name for name in MODES}
    if image is not None and image.lower() not in known:
        raise InputError(f"--image {image}: expected {', '.join(MODES)}; leave it out for another image")
    weights = load_weights(network)
    if image is not None and weights.inputs == 1:
        raise InputError("--image: this network sees the picture alone; leave it out")
    if threshold is not None:
        weights = replace(weights, header={**weights.header, "threshold": threshold})
    measurement = read_measurement(file, stated)
    if measurement.kind != "image":
        raise InputError(f"{file}: is a recording of the kind {measurement.kind}; segment takes one image")
    if measurement.pixel is None or measurement.axes[-1].unit != "Å":
        raise InputError(f"{file}: the size of a pixel is not known; give --pixel-A")
    mode = known[image.lower()] if image else named(str(measurement.metadata.get("title", "")))
    found = find(measurement.data, measurement.pixel, weights, mode)
    record: dict[str, Any] = {
        "measurement": measurement.record(),
        "network": {**weights.header, "file": str(network or "of RhoTEM")},
        "image": found.mode,
        "image_guessed": mode is None,
        "columns": summary(found),
    }
    if network is not None:
        record["network"]["sha256"] = file_sha256(network)
    typer.echo(to_json(record["columns"]) if as_json else "\n".join(lines(found, mode is None)))
    if out is not None:
        with output_folder(out) as folder:
            write_found(found, folder / "columns.csv")
            draw_found(measurement, found, folder / "columns.png")
            write_record(folder, record)
        typer.echo(f"results in {out}", err=as_json)


def summary(found: "Segmentation") -> dict:
    """Counts, JSON-ready."""
    from rhotem.learned.pictures.segment import CLASSES

    species = found.species
    return {
        "columns": len(species),
        "species": {name: species.count(name) for name in CLASSES},
        "species_unsure": int(found.unsure.sum()),
    }


def lines(found: "Segmentation", guessed: bool = False) -> list[str]:
    """The same in words; ``guessed``: neither user nor file said which image it is."""
    from rhotem.learned.pictures.segment import SURE

    said = summary(found)
    unsure = said["species_unsure"]
    kinds = ", ".join(f"{number} {name}" for name, number in said["species"].items() if number)
    dark = ["taken for an ABF image, because columns are dark; --image says what it is"]
    return [
        *(dark if guessed and found.mode else []),
        f"{said['columns']} columns: {kinds}" if said["columns"] else "no columns",
        *([f"species of {unsure} are unsure: no class has a probability of {SURE:g}"] if unsure else []),
        "vacancies and antisites: estimates in the table, not to be relied on (docs/dataset.md)",
    ]
