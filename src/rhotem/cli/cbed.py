"""`rhotem cbed`: convergent-beam patterns of crystals of any thickness and tilt, by Bloch waves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, StructureArgument, output_folder, voice, write_record
from rhotem.cli.options import COMPUTING, OPTICS, SPECIMEN, OutOption, SimulationQuietOption, plan_of, with_plan_options

if TYPE_CHECKING:
    from rhotem.analysis.cbed import CbedSettings

app = typer.Typer()

ThicknessOption = Annotated[
    str,
    typer.Option(
        "--thickness",
        metavar="50,100,200",
        help="One or more, exact, in nm: all from one run.",
        rich_help_panel=SPECIMEN,
    ),
]
PixelOption = Annotated[
    float | None,
    typer.Option(
        "--pixel",
        metavar="mrad",
        help="Pixel of the discs; without it 1/20 of the convergence.",
        rich_help_panel=OPTICS,
    ),
]
AbsorptionOption = Annotated[
    str,
    typer.Option(
        "--absorption",
        metavar="thermal|none|U'/U",
        help="What takes electrons out of the discs: thermal diffuse scattering, nothing, or a part of the potential.",
        rich_help_panel=COMPUTING,
    ),
]
ReachOption = Annotated[
    float, typer.Option("--g-max", metavar="1/Å", help="Beams up to this |g|.", rich_help_panel=COMPUTING)
]
ErrorOption = Annotated[
    float,
    typer.Option(
        "--s-max",
        metavar="1/Å",
        help="Beams up to this excitation error are exact, up to four times it in second order. Repeat with more of "
        "both to see what is missing.",
        rich_help_panel=COMPUTING,
    ),
]
#: What of a plan makes a convergent-beam pattern.
KEYS = (
    *("specimen.zone", "specimen.plane", "specimen.zone_basis", "specimen.order", "specimen.allow_overlaps"),
    *("motion.temperature_K", "motion.msd_A2", "density"),
    *("microscope.energy_keV", "microscope.convergence_mrad", "microscope.tilt_mrad"),
)


@app.command()
@with_plan_options(KEYS, without=("density.uncertainty",))
def cbed(
    structure: StructureArgument,
    given: dict[str, Any],
    thickness: ThicknessOption = "100",
    pixel: PixelOption = None,
    absorption: AbsorptionOption = "thermal",
    g_max: ReachOption = 3.0,
    s_max: ErrorOption = 0.05,
    out: OutOption = Path("rhotem-cbed"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Convergent-beam (CBED) discs of a thick crystal, by Bloch waves with thermal absorption.

    Without --energy 200 kV, without --convergence discs that nearly touch.
    More thicknesses cost nothing: ask for many. --tilt may be large. Writes
    cbed.png, spots.csv (intensities of all reflections, those in the middle of
    the discs are a parallel beam's) and discs.npz.
    """
    from rhotem.analysis.cbed import cbed as made_of
    from rhotem.analysis.cbed import write

    plan, settings = plan_of(structure, given), _settings(thickness, pixel, absorption, (g_max, s_max))
    with output_folder(out) as folder:
        with ProgressBar(quiet) as progress:
            result = made_of(plan, settings, voice(quiet, progress))
        write(result, folder)
        write_record(folder, {"asked": plan.data(full=True), **result.record()})
    if not quiet:
        elastic = ", ".join(f"{100 * e:.1f} %" for e in result.held.means().sum(axis=1))
        typer.echo(f"in the discs {elastic} of the beam\npattern, spots and discs in {out}")


def _settings(thickness: str, pixel: float | None, absorption: str, limits: tuple[float, float]) -> "CbedSettings":
    """What the options say, refused before anything is read."""
    from rhotem.analysis.cbed import CbedSettings, parse_absorption
    from rhotem.core import InputError
    from rhotem.scattering.blochwave import Selection

    try:
        depths = tuple(float(part) for part in thickness.split(","))
    except ValueError:
        raise InputError(f"--thickness {thickness}: expected numbers with commas between, as 50,100") from None
    if any(not 0 < depth < 1e5 for depth in depths):
        raise InputError(f"--thickness {thickness}: expected positive lengths in nm")
    if pixel is not None and not 0 < pixel < float("inf"):
        raise InputError(f"--pixel {pixel:g}: expected a positive angle in mrad")
    if not all(0 < limit < float("inf") for limit in limits):
        raise InputError(f"--g-max {limits[0]:g}, --s-max {limits[1]:g}: expected positive numbers in 1/Å")
    selection = Selection(limits[0], limits[1], 4.0 * limits[1])
    return CbedSettings(depths, pixel, parse_absorption(absorption), selection)
