"""`rhotem compare`: free atoms against another density, everything else the same."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, StructureArgument, output_folder, voice, write_record
from rhotem.cli.options import (
    COMPUTING,
    DENSITY,
    AlgorithmOption,
    AllowOverlapsOption,
    AllowPolarOption,
    CorrectCountOption,
    DensityChargeOption,
    FileKindOption,
    FramesOption,
    GpawCacheOption,
    KeepCellOption,
    MemoryOption,
    MsdOption,
    OrderOption,
    OutOption,
    PhononsOption,
    PlaneOption,
    PresetOption,
    SimulationQuietOption,
    SimulationSeedOption,
    TemperatureOption,
    ThicknessOption,
    VacuumOption,
    ValenceOption,
    ZoneBasisOption,
    ZoneOption,
    ordering,
)

if TYPE_CHECKING:
    from rhotem.microscope.plan import Plan

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


@app.command()
def compare(
    structure: StructureArgument,
    source: SourcesOption,
    zone: ZoneOption = None,
    plane: PlaneOption = None,
    zone_basis: ZoneBasisOption = "conventional",
    order: OrderOption = False,
    vacuum: VacuumOption = None,
    allow_overlaps: AllowOverlapsOption = False,
    thickness: ThicknessOption = None,
    keep_cell: KeepCellOption = False,
    phonons: PhononsOption = None,
    temperature: TemperatureOption = None,
    msd: MsdOption = None,
    frames: FramesOption = None,
    charge: DensityChargeOption = None,
    valence: ValenceOption = None,
    file_kind: FileKindOption = None,
    correct_count: CorrectCountOption = False,
    gpaw_cache: GpawCacheOption = None,
    allow_polar: AllowPolarOption = False,
    preset: PresetOption = "layered-oxide",
    g_max: ReachOption = 1.0,
    algorithm: AlgorithmOption = "auto",
    memory: MemoryOption = None,
    seed: SimulationSeedOption = 0,
    out: OutOption = Path("rhotem-compare"),
    quiet: SimulationQuietOption = False,
) -> None:
    """Structure factors, images and the contrast of every kind of column, free atoms against another density."""
    from rhotem.analysis import run
    from rhotem.analysis.compare import compare as compare_sources
    from rhotem.analysis.figure import comparison_figure
    from rhotem.analysis.motion import motion_lines, moving_structure, vibration
    from rhotem.analysis.results import notes_of
    from rhotem.analysis.sources import memory_options
    from rhotem.density.field import caption
    from rhotem.density.source import is_density_file
    from rhotem.microscope.outputs import write_images

    run.check_phonons(phonons or 0)
    sources = ["free-atoms", *dict.fromkeys(s for s in source if s != "free-atoms")]
    described: dict[str, Any] = {"valence": valence, "file_kind": file_kind, "correct_count": correct_count}
    options = density_options(sources, described, charge=charge, gpaw_cache=gpaw_cache)
    for name in sources:
        options[name] |= memory_options(name, memory, None if quiet else typer.echo)
    motion: dict[str, Any] = {"seed": seed, **vibration(phonons, temperature, msd, frames, voice(quiet).warn)}
    asked = {"vacuum": vacuum, "allow_overlaps": allow_overlaps}
    load = partial(run.structure, structure, charge=charge or 0.0, ordering=ordering(order), **asked)
    crystal, snapshots = moving_structure(structure, frames, phonons, load, charge or 0.0)
    motion |= snapshots
    indices, is_plane = run.direction(crystal, zone, plane)
    with output_folder(out) as folder:
        cut = run.specimen(
            crystal,
            indices,
            basis=zone_basis,
            plane=is_plane,
            thickness=thickness,
            keep_cell=keep_cell or frames is not None,
            preset=preset,
            primitive=not any(is_density_file(s) for s in sources),
            at_rest=phonons == 0,
        )
        if not quiet:
            notes = [f"note: {note}" for note in notes_of(cut)]
            typer.echo("\n".join([str(cut), *notes, *motion_lines(cut, motion)]))
        with ProgressBar(quiet) as progress:
            result = compare_sources(
                cut,
                sources,
                g_max=g_max,
                source_options=options,
                allow_polar=allow_polar,
                algorithm=algorithm,
                memory=memory,
                progress=progress,
                announce=_first_only(quiet),
                **motion,
            )
        for field in result.fields.values():
            for warning in field.record.get("warnings", ()):
                typer.echo(f"warning: {field.source}: {warning}", err=True)
        for name, place in zip(sources, image_folders(sources), strict=True):
            write_images(
                result.images[name],
                folder / place,
                labels=cut.cell.labels,
                source=caption(result.fields[name].source, result.fields[name].record),
                phonons=motion["phonons"],
                motion=result.motion.get("displacement_sources", ""),
            )
        comparison_figure(result, folder / "comparison.png")
        tables = result.record()
        write_record(folder, {"specimen": cut.record(), **tables})
    if quiet:
        return
    for name in result.contrasts[sources[0]]:
        for index, row in enumerate(result.contrasts[sources[0]][name]):
            values = "  ".join(
                f"{result.fields[s].source}: {result.contrasts[s][name][index].value:+.4f}" for s in sources
            )
            typer.echo(f"{name:8s} {row.label:8s} {values}")
    typer.echo(f"figure and tables in {out}")


def image_folders(sources: list[str]) -> list[str]:
    """A folder for the images of every source, numbered where files of several folders have one name."""
    names = [re.sub(r"[^\w.-]", "_", Path(source).name) for source in sources]
    return [name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)]


def _first_only(quiet: bool) -> "Callable[[Plan], None]":
    """Prints the plan of the first density; those of the others are the same."""
    told: list[Plan] = []

    def announce(plan: "Plan") -> None:
        if not told and not quiet:
            typer.echo(f"{plan}, for each density")
        told.append(plan)

    return announce


def density_options(
    sources: list[str],
    described: dict[str, Any],
    *,
    charge: float | None,
    gpaw_cache: str | None,
) -> dict[str, dict[str, Any]]:
    """Options of every source; those that describe a density go to files and imported models, of which one must be."""
    from rhotem.analysis.sources import source_options
    from rhotem.density.source import is_density_file, is_peer

    files = [s for s in sources if is_density_file(s)]
    peers = [s for s in sources if is_peer(s)]
    of_peer = {**described, "file_kind": None} if files else described
    told = {**dict.fromkeys(files, described), **dict.fromkeys(peers, of_peer)}
    return {
        s: source_options(s, charge=charge, gpaw_cache=gpaw_cache, **(told.get(s, {}) if told else described))
        for s in sources
    }
