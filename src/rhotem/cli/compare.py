"""`rhotem compare`: free atoms against another density, everything else the same."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, StructureArgument, output_folder, voice, write_record
from rhotem.cli.options import (
    COMPUTING,
    DENSITY,
    OutOption,
    SimulationQuietOption,
    planned,
    with_plan_options,
)

if TYPE_CHECKING:
    from rhotem.analysis.compare import Comparison
    from rhotem.analysis.plan import Plan
    from rhotem.microscope.plan import Plan as Cost

app = typer.Typer()

SourcesOption = Annotated[
    list[str],
    typer.Option(
        "--source",
        "-s",
        help="Density to compare with free atoms: gpaw, model or a density file; may be repeated.",
        rich_help_panel=DENSITY,
    ),
]
ReachOption = Annotated[
    float,
    typer.Option(metavar="1/Å", help="Structure factors up to this |g| = 1/d.", rich_help_panel=COMPUTING),
]
#: What means nothing where images without noise, on the pixels that determine them, are compared.
WITHOUT = (
    *("density.source", "density.uncertainty", "recording", "computing.scheduler"),
    *("microscope.instrument", "microscope.alignment", "microscope.without"),
)


@app.command()
@with_plan_options(without=WITHOUT)
def compare(
    structure: StructureArgument,
    source: SourcesOption,
    given: dict[str, Any],
    g_max: ReachOption = 1.0,
    out: OutOption = Path("rhotem-compare"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Structure factors, images and the contrast of every kind of column, free atoms against another density."""
    from rhotem.analysis.figure import comparison_figure

    sources = ["free-atoms", *dict.fromkeys(s for s in source if s != "free-atoms")]
    plan = planned(structure, given).plan
    check_comparable(plan)
    options = density_options(sources, plan)
    with output_folder(out) as folder:
        result = _compared(plan, sources, options, g_max, quiet)
        _write_images(result, folder)
        comparison_figure(result, folder / "comparison.png")
        write_record(folder, {"specimen": result.specimen.record(), **result.record()})
    if not quiet:
        _tell(result, sources)
        typer.echo(f"figure and tables in {out}")


def check_comparable(plan: "Plan") -> None:
    """Refuse what a comparison does not do."""
    from rhotem.core import InputError

    if plan.precision is not None:
        raise InputError("phonons auto: densities are compared by the same configurations; give their number")
    if plan.series:
        raise InputError("series: a comparison is of one plan; leave it out")
    if plan.microscope.instrument is not None:
        raise InputError("instrument: densities are compared in images without noise; leave it out")
    if plan.best is not None:
        raise InputError("defocus best: densities are compared at one focus; give a number")


def _compared(
    plan: "Plan", sources: list[str], options: dict[str, dict[str, Any]], g_max: float, quiet: bool
) -> "Comparison":
    """Cut the specimen and simulate it with every density."""
    from rhotem.analysis.compare import compare as compare_sources
    from rhotem.analysis.motion import motion_lines
    from rhotem.analysis.results import introduce
    from rhotem.analysis.sources import memory_options
    from rhotem.analysis.workflow import cut, moving_crystal

    console, memory = voice(quiet), plan.memory
    for name in sources:
        options[name] |= memory_options(name, memory, None if quiet else typer.echo)
    crystal, moving = moving_crystal(plan, console)
    made = cut(plan, crystal, sources)
    introduce(made, console)
    for line in motion_lines(made, moving):
        console.tell(line)
    with ProgressBar(quiet) as progress:
        result = compare_sources(
            made,
            sources,
            g_max=g_max,
            source_options=options,
            allow_polar=plan.density.allow_polar,
            algorithm=plan.computing.algorithm,
            memory=memory,
            progress=progress,
            announce=_first_only(quiet),
            **moving,
        )
    for field in result.fields.values():
        for warning in field.record.get("warnings", ()):
            console.warn(f"{field.source}: {warning}")
    return result


def _write_images(result: "Comparison", folder: Path) -> None:
    """The images of every source into a folder of its own."""
    from rhotem.density.field import caption
    from rhotem.microscope.outputs import write_images

    sources = list(result.images)
    for name, place in zip(sources, image_folders(sources), strict=True):
        write_images(
            result.images[name],
            folder / place,
            specimen=result.specimen.crystal.formula,
            labels=result.specimen.cell.labels,
            source=caption(result.fields[name].source, result.fields[name].record),
            phonons=result.motion["configurations"],
            motion=result.motion.get("displacement_sources", ""),
        )


def _tell(result: "Comparison", sources: list[str]) -> None:
    """How far the images are apart, and the contrast of every kind of column in every image."""
    for source, rows in result.differences.items():
        typer.echo(f"{result.fields[source].source} minus {result.fields[sources[0]].source}, in % of the range:")
        for name, apart in rows.items():
            typer.echo(f"{name:8s} at most {100 * apart.largest:+.2f}, root mean square {100 * apart.rms:.2f}")
    typer.echo("contrast of columns:")
    for name in result.contrasts[sources[0]]:
        for index, row in enumerate(result.contrasts[sources[0]][name]):
            values = "  ".join(
                f"{result.fields[s].source}: {result.contrasts[s][name][index].value:+.4f}" for s in sources
            )
            typer.echo(f"{name:8s} {row.label:8s} {values}")


def image_folders(sources: list[str]) -> list[str]:
    """A folder for the images of every source, numbered where files of several folders have one name."""
    names = [re.sub(r"[^\w.-]", "_", Path(source).name) for source in sources]
    return [name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)]


def _first_only(quiet: bool) -> "Callable[[Cost], None]":
    """Prints the plan of the first simulation; those of the others are the same."""
    told: list[Cost] = []

    def announce(plan: "Cost") -> None:
        if not told and not quiet:
            typer.echo(f"{plan}, for each density")
        told.append(plan)

    return announce


def density_options(sources: list[str], plan: "Plan") -> dict[str, dict[str, Any]]:
    """Options of every source; those that describe a density go to files and imported models, of which one must be."""
    from rhotem.analysis.sources import Described, source_options
    from rhotem.analysis.workflow import described
    from rhotem.density.source import is_density_file, is_peer

    said = described(plan)
    common: Described = {
        "charge": said.get("charge"),
        "gpaw_cache": said.get("gpaw_cache"),
        "strict": said.get("strict", False),
    }
    files = [s for s in sources if is_density_file(s)]
    peers = [s for s in sources if is_peer(s)]
    of_peer: Described = {**said, "file_kind": None} if files else said
    told = {**dict.fromkeys(files, said), **dict.fromkeys(peers, of_peer)}
    return {s: source_options(s, **(told.get(s, common) if told else said)) for s in sources}
