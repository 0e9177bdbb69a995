"""`rhotem reconstruct`: diffraction patterns of a scan in, the phase of the specimen out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, QuietOption, output_folder, write_record
from rhotem.cli.options import OutOption

if TYPE_CHECKING:
    from rhotem.microscope.images import ImageSet
    from rhotem.microscope.reconstruct.data import ScannedPatterns

app = typer.Typer()

OPTICS, METHOD = "Optics, in place of what the file says", "Method"

PatternsArgument = Annotated[
    Path,
    typer.Argument(metavar="FOLDER|FILE", help="Folder of a rhotem image run with --detector 4D=40, or its 4D.hspy."),
]
MethodOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="ssb: single sideband, thin specimens. icom: integrated centre of mass. "
        "wiener, parallax, ptychography: by quantem (extra reconstruct).",
        rich_help_panel=METHOD,
    ),
]
IterationsOption = Annotated[
    int | None, typer.Option(min=1, help="Of ptychography.", show_default="20", rich_help_panel=METHOD)
]
SlicesOption = Annotated[
    int | None,
    typer.Option(min=1, help="Of ptychography; more than 1: multislice.", show_default="1", rich_help_panel=METHOD),
]
ThicknessOption = Annotated[
    float | None,
    typer.Option(
        "--thickness", metavar="nm", help="Of the specimen that the slices divide.", rich_help_panel=METHOD, min=0
    ),
]
DefocusOption = Annotated[
    float | None, typer.Option(metavar="nm", help="Positive: underfocus.", rich_help_panel=OPTICS)
]
AberrationOption = Annotated[
    list[str] | None,
    typer.Option(
        "--aberration", metavar="C30=-5um", help="Any aberration, C12=2nm, phi12=30deg; replaces all of the file.",
        rich_help_panel=OPTICS,
    ),
]  # fmt: skip
EnergyOption = Annotated[float | None, typer.Option(metavar="kV", help="Beam energy.", rich_help_panel=OPTICS)]
ConvergenceOption = Annotated[
    float | None, typer.Option(metavar="mrad", help="Convergence semi-angle.", rich_help_panel=OPTICS)
]
RotationOption = Annotated[
    float | None,
    typer.Option(
        metavar="DEG", help="Azimuth of the patterns' kx axis in the scan, from x towards y (down).",
        rich_help_panel=OPTICS,
    ),
]  # fmt: skip


@app.command()
def reconstruct(
    patterns: PatternsArgument,
    method: MethodOption = "ssb",
    iterations: IterationsOption = None,
    slices: SlicesOption = None,
    thickness: ThicknessOption = None,
    defocus: DefocusOption = None,
    aberration: AberrationOption = None,
    energy: EnergyOption = None,
    convergence: ConvergenceOption = None,
    rotation: RotationOption = None,
    out: OutOption = Path("rhotem-reconstruction"),
    quiet: QuietOption = False,
) -> None:
    """Phase of the specimen in rad from 4D-STEM patterns, simulated or measured.

    For a thin specimen it is the interaction constant times the projected
    potential, mean zero. Aberrations that the file or the options state are
    taken out by ssb, parallax and ptychography, not by icom.
    """
    from rhotem.microscope.reconstruct.data import read_patterns
    from rhotem.microscope.reconstruct.registry import make_method

    wanted: dict[str, Any] = {"iterations": iterations, "slices": slices, "thickness_nm": thickness}
    chosen = make_method(method, **{key: value for key, value in wanted.items() if value is not None})
    optics = _optics(defocus, aberration, energy, convergence)
    held = read_patterns(patterns, rotation=rotation, **optics)
    with output_folder(out) as folder:
        with ProgressBar(quiet) as progress:
            made = chosen.reconstruct(held, progress)
        files = _write(made, held, folder)
        write_record(
            folder,
            {
                "patterns": {
                    "from": str(patterns),
                    "shape": list(held.data.shape),
                    "scan_step_A": list(held.scan.step),
                },
                "method": chosen.model_dump(),
                "optics": made.record["microscope"],
                "rotation_deg": held.rotation,
                "reconstruction": made.record["reconstruction"],
                "made_from": held.record,
            },
        )
    if not quiet:
        typer.echo(f"{made}\n{', '.join(files)} in {out}")
        for line in made.record["reconstruction"].get("remarks", ()):
            typer.echo(f"note: {line}")


def _optics(
    defocus: float | None, aberrations: list[str] | None, energy: float | None, convergence: float | None
) -> dict[str, Any]:
    """Settings of the microscope in Å, rad, eV and mrad; aberrations that are given replace those of the file."""
    from rhotem.microscope.instrument import parse_aberration

    changed: dict[str, Any] = {
        "defocus": None if defocus is None else 10 * defocus,
        "energy": None if energy is None else 1e3 * energy,
        "convergence": convergence,
    }
    if aberrations:
        named = dict(map(parse_aberration, aberrations))
        changed |= {"cs": named.pop("C30", 0.0), "aberrations": named}
        if "C10" in named:
            changed["defocus"] = -named.pop("C10")
    return changed


def _write(made: "ImageSet", held: "ScannedPatterns", folder: Path) -> list[str]:
    """The images with what the patterns' own caption says."""
    from rhotem.microscope.outputs import write_images

    said = held.said
    labels = {key.removeprefix("axis_"): text for key, text in said.items() if key.startswith("axis_")}
    still = said.get("no_tds", False)
    return write_images(
        made,
        folder,
        specimen=said.get("specimen", ""),
        labels=labels,
        source=said.get("source", ""),
        phonons=0 if still else 1,
        motion=said.get("motion", ""),
        pixel=made.record["reconstruction"].get("pixel_A", 0.1),
    )
