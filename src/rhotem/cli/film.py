"""`rhotem film`: a trajectory in, a film of images out."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rhotem.cli.common import ProgressBar, command_line, voice
from rhotem.cli.options import RECORDING, RESULTS, SPECIMEN, SimulationQuietOption, planned, with_plan_options
from rhotem.cli.trajectory import ElementsOption, TimestepOption, TopologyOption

app = typer.Typer()

TrajectoryArgument = Annotated[
    Path,
    typer.Argument(metavar="TRAJECTORY", help="extxyz, ASE .traj, LAMMPS dump, XDATCAR or .dcd; `rhotem trajectory`."),
]
EveryOption = Annotated[
    int, typer.Option("--every", metavar="N", help="Every N-th frame.", rich_help_panel=SPECIMEN, min=1)
]
FirstOption = Annotated[
    int,
    typer.Option("--first", metavar="N", help="From this frame on, counted from 1.", rich_help_panel=SPECIMEN, min=1),
]
LastOption = Annotated[
    int | None, typer.Option("--last", metavar="N", help="To this frame.", rich_help_panel=SPECIMEN, min=1)
]
PhononsOption = Annotated[
    int,
    typer.Option(
        "--phonons",
        metavar="N",
        min=0,
        help="Frozen-phonon configurations of every frame, for a path whose atoms do not vibrate; the same in all "
        "frames. 0: each frame is a snapshot, as molecular dynamics gives it.",
        rich_help_panel=SPECIMEN,
    ),
]
ReferenceOption = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="STRUCTURE",
        help="Crystal whose directions --zone means; without it indices are those of the trajectory's cell.",
        rich_help_panel=SPECIMEN,
    ),
]
PlanOption = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help="Settings from a plan (.yaml, .json) or a record; options change them.",
        rich_help_panel=RECORDING,
    ),
]
FpsOption = Annotated[float, typer.Option("--fps", help="Pictures in a second.", rich_help_panel=RESULTS)]
FormatOption = Annotated[
    Literal["mp4", "gif"] | None,
    typer.Option(
        "--format",
        help="Of the film; without it MP4 where imageio-ffmpeg is installed (pip install 'rhotem\\[film]'), else GIF.",
        rich_help_panel=RESULTS,
    ),
]
OverlayOption = Annotated[
    Literal["ion", "all", "none"],
    typer.Option(
        "--overlay", help="What is marked in the images: the ion that moves, all atoms.", rich_help_panel=RESULTS
    ),
]
ElementOption = Annotated[
    str,
    typer.Option("--element", "-e", metavar="Li", help="The ion; without it Li, Na, K, ...", rich_help_panel=RESULTS),
]
DifferenceOption = Annotated[
    bool,
    typer.Option(
        "--difference",
        help="A panel of the charge: deformation density minus that of the first frame.",
        rich_help_panel=RESULTS,
    ),
]
AverageOption = Annotated[
    bool,
    typer.Option(
        "--thermal-average",
        help="Also the mean of all frames, average/: an image with the true motion, every frame with its own density.",
        rich_help_panel=RESULTS,
    ),
]
ScaleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scale",
        metavar="HAADF=0,0.02",
        help="Ends of the grey scale of an image, to compare films; without it those of this film; may be repeated.",
        rich_help_panel=RESULTS,
    ),
]
OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Folder; frames are kept there as they are done, so that the same command goes on after a stop.",
        rich_help_panel=RESULTS,
    ),
]
#: What means nothing for a film.
WITHOUT = (
    "motion.phonons",
    "motion.frames",
    "density.uncertainty",
    "recording.probe",
    "specimen.keep_cell",
    "specimen.order",
    "specimen.vacuum_A",
    "specimen.allow_overlaps",
)


@app.command()
@with_plan_options(without=WITHOUT)
def film(
    trajectory: TrajectoryArgument,
    given: dict[str, Any],
    every: EveryOption = 1,
    first: FirstOption = 1,
    last: LastOption = None,
    phonons: PhononsOption = 0,
    reference: ReferenceOption = None,
    timestep_fs: TimestepOption = None,
    elements: ElementsOption = None,
    topology: TopologyOption = None,
    plan: PlanOption = None,
    fps: FpsOption = 8.0,
    format: FormatOption = None,
    overlay: OverlayOption = "ion",
    element: ElementOption = "",
    difference: DifferenceOption = False,
    thermal_average: AverageOption = False,
    scale: ScaleOption = None,
    out: OutOption = Path("rhotem-film"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Film of a trajectory: density, potential and images of every frame, with time, scale bar and atoms.

    Each frame is a snapshot, its atoms where molecular dynamics has them; of a
    path without thermal motion say --phonons 8. The cell is the trajectory's,
    once along the beam unless --thickness. Grey scales are fixed over the film.
    """
    from rhotem.analysis.specimen import structure
    from rhotem.battery.film import Wanted, make_film
    from rhotem.battery.trajectories.asked import Asked, parse_elements
    from rhotem.battery.trajectories.read import read_trajectory

    asked = Asked(timestep_fs, parse_elements(elements) if elements else {}, topology)
    read = read_trajectory(trajectory, asked)
    settings = planned(str(plan or trajectory), given | {"motion.phonons": phonons}).plan
    settings = settings.changed({"specimen.structure": str(trajectory)})
    wanted = Wanted(
        every,
        first,
        last,
        fps,
        format or "",
        overlay,
        element,
        difference,
        thermal_average,
        _scales(scale or []),
        structure(reference) if reference else None,
    )
    with ProgressBar(quiet) as progress:
        made = make_film(settings, read, out, wanted, voice(quiet, progress), {"command": command_line()})
    if not quiet:
        also = f", mean of the frames in {made.average}" if made.average else ""
        typer.echo(f"{made.number} frames: {made.path}, numbers in {made.frames}{also}")


def _scales(listed: list[str]) -> dict[str, tuple[float, float]]:
    from rhotem.core import InputError

    found = {}
    for text in listed:
        name, _, ends = text.partition("=")
        try:
            low, high = (float(end) for end in ends.split(","))
            if not low < high:
                raise ValueError
        except ValueError:
            raise InputError(f"--scale {text}: expected an image and two values, such as HAADF=0,0.02") from None
        found[name.strip()] = (low, high)
    return found
