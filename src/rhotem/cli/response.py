"""`rhotem response`: one propagation that answers for every setting of the lens."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, voice
from rhotem.cli.options import RECORDING, SPECIMEN, SimulationQuietOption, planned, with_plan_options

app = typer.Typer()

#: What is asked afterwards, or has no meaning for a response.
WITHOUT = (
    "specimen.thickness_nm",
    "recording",
    "density.uncertainty",
    "computing.scheduler",
    "computing.algorithm",
)
RANGE = "What may be asked"


@app.command()
@with_plan_options(without=WITHOUT)
def response(
    structure: Annotated[
        str, typer.Argument(metavar="STRUCTURE|PLAN", help="CIF, ... or the name of a ready phase; or a plan.")
    ],
    given: dict[str, Any],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the entry.")] = Path(
        "rhotem-response"
    ),
    thicknesses: Annotated[
        str, typer.Option("--thicknesses", metavar="2,5,10", help="nm, to whole cells.", rich_help_panel=SPECIMEN)
    ] = "5,10",
    foci: Annotated[
        str | None,
        typer.Option("--foci", metavar="FROM,TO", help="Defocus in nm.", rich_help_panel=RANGE, show_default="-3,8"),
    ] = None,
    largest: Annotated[
        list[str] | None,
        typer.Option(
            "--largest",
            metavar="C12=3nm",
            help="Largest size of an aberration; may be repeated. Each makes the response larger.",
            rich_help_panel=RANGE,
        ),
    ] = None,
    smallest: Annotated[
        float | None,
        typer.Option(
            "--smallest-convergence", metavar="mrad", help="Smallest aperture; else one.", rich_help_panel=RANGE
        ),
    ] = None,
    one_lens: Annotated[
        bool,
        typer.Option(
            "--one-lens",
            help="Keep the images of this lens and these detectors alone, as Fourier coefficients: kB, not MB.",
            rich_help_panel=RANGE,
        ),
    ] = False,
    patterns: Annotated[
        float,
        typer.Option("--patterns", metavar="mrad", min=0, help="PACBED to here; 0: none.", rich_help_panel=RECORDING),
    ] = 40.0,
    edges: Annotated[
        str | None,
        typer.Option(
            "--edges",
            metavar="30,60",
            help="Angles in mrad at which rings may begin and end, beside those of detectors; else a regular set.",
            rich_help_panel=RECORDING,
        ),
    ] = None,
    error_bar: Annotated[
        bool, typer.Option("--error-bar/--no-error-bar", help="Keep what tells the error bar of thermal motion.")
    ] = True,
    half: Annotated[bool, typer.Option("--half", help="Half precision: half as large, within 1e-3.")] = False,
    quiet: SimulationQuietOption = False,
) -> None:
    """Send the beam through once, and keep what every setting of the lens needs.

    The folder is an entry of `rhotem view`; from Python
    `rhotem.scattering.response.open_response(DIR / "response.zarr")`, or with
    --one-lens `rhotem.library.coefficients.store.open_fixed(DIR / "images.zarr")`.
    """
    from rhotem.core import InputError
    from rhotem.core.words import parse_numbers
    from rhotem.library.view.make import Span, make_entry
    from rhotem.microscope.settings import parse_aberration
    from rhotem.scattering.response import Range

    asked = {"--foci": foci, "--largest": largest or None, "--smallest-convergence": smallest, "--edges": edges}
    ranges = [name for name, value in asked.items() if value is not None]
    if one_lens and ranges:
        raise InputError(f"--one-lens keeps one lens and the detectors alone: leave out {', '.join(ranges)}")
    if one_lens and half:
        raise InputError("--one-lens keeps half precision already: leave out --half")
    first, last = (0.0, 0.0) if one_lens else parse_numbers(foci or "-3,8", 2)
    held = Range(
        defocus=(10 * first, 10 * last),
        aberrations={name: abs(size) for name, size in map(parse_aberration, largest or [])},
        convergence=smallest,
    )
    rings = () if one_lens else None if edges is None else parse_numbers(edges)
    span = Span(parse_numbers(thicknesses), held, rings, patterns, half, error_bar and not one_lens, one_lens)
    with ProgressBar(quiet) as progress:
        make_entry(planned(structure, given).plan, out, span, voice(quiet, progress))
    if not quiet:
        typer.echo(f"{out}: rhotem view {out}")
