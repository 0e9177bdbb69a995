"""`rhotem export`: images and patterns of a run in the format of another program."""

from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import QuietOption, output_folder, write_record
from rhotem.cli.options import OutOption

app = typer.Typer()

SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER|FILE", help="Folder of a rhotem image or reconstruct run, or one of its .hspy files."
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help="Images and patterns: hspy, emd (Berkeley), nexus (NXem). Images: tiff, mrc. Patterns: py4dstem, ptyrad, "
        "phaser (HDF5, and a YAML to run).",
    ),
]


@app.command()
def export(
    source: SourceArgument, to: FormatOption, out: OutOption = Path("rhotem-export"), quiet: QuietOption = False
) -> None:
    """Images and diffraction patterns in the format of another program, calibrated.

    Row 0 of every file is the top of the picture, x to the right and y down.
    """
    from rhotem.microscope.formats.registry import FORMATS, export

    with output_folder(out) as folder:
        files = export(source, to, folder)
        write_record(folder, {"from": str(source), "format": {"name": to, "about": FORMATS[to].about}})
    if not quiet:
        typer.echo(f"{', '.join(files)} in {out}")
