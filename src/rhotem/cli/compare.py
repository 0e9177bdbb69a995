"""`rhotem compare`: free atoms against another density, everything else the same."""

import re
from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import (
    ChargeOption,
    GpawCacheOption,
    MemoryOption,
    OutOption,
    PlaneOption,
    ProgressBar,
    QuietOption,
    SeedOption,
    StructureArgument,
    ZoneBasisOption,
    ZoneOption,
    output_folder,
    write_record,
)

app = typer.Typer()

SourcesOption = Annotated[
    list[str],
    typer.Option("--source", "-s", help="Density to compare with free atoms: gpaw or a density file; may be repeated."),
]


@app.command()
def compare(
    structure: StructureArgument,
    source: SourcesOption,
    zone: ZoneOption = None,
    plane: PlaneOption = None,
    zone_basis: ZoneBasisOption = "conventional",
    thickness: Annotated[float | None, typer.Option(metavar="nm", help="Without it the preset's.")] = None,
    preset: Annotated[str, typer.Option(help="Microscope and detectors.")] = "layered-oxide",
    phonons: Annotated[int, typer.Option(metavar="N", help="Frozen-phonon configurations, the same for all.")] = 8,
    g_max: Annotated[float, typer.Option(metavar="1/Å", help="Structure factors up to this |g| = 1/d.")] = 1.0,
    charge: ChargeOption = 0.0,
    memory: MemoryOption = None,
    seed: SeedOption = 0,
    gpaw_cache: GpawCacheOption = None,
    out: OutOption = Path("rhotem-compare"),
    quiet: QuietOption = False,
) -> None:
    """Structure factors, images and the contrast of every kind of column, free atoms against another density."""
    from rhotem.analysis import run
    from rhotem.analysis.compare import compare as compare_sources
    from rhotem.analysis.figure import comparison_figure
    from rhotem.microscope.outputs import write_images

    run.check_phonons(phonons)
    crystal = run.structure(structure, charge=charge)
    indices, is_plane = run.direction(crystal, zone, plane)
    with output_folder(out) as folder:
        cut = run.specimen(
            crystal,
            indices,
            basis=zone_basis,
            plane=is_plane,
            thickness=thickness,
            preset=preset,
            primitive=not any(Path(s).exists() for s in source),
        )
        sources = ["free-atoms", *(s for s in source if s != "free-atoms")]
        with ProgressBar(quiet) as progress:
            result = compare_sources(
                cut,
                sources,
                g_max=g_max,
                phonons=phonons,
                seed=seed,
                source_options={"gpaw": {"cache": gpaw_cache}},
                memory=memory,
                progress=progress,
            )
        for name in sources:
            write_images(
                result.images[name],
                folder / re.sub(r"[^\w.-]", "_", Path(name).name),
                labels=cut.cell.labels,
                source=result.fields[name].source,
                phonons=phonons,
            )
        comparison_figure(result, folder / "comparison.png")
        tables = result.record()
        write_record(folder, {"specimen": cut.record(), "phonons": phonons, "seed": seed, **tables})
    if quiet:
        return
    for name in result.contrasts[sources[0]]:
        for index, row in enumerate(result.contrasts[sources[0]][name]):
            values = "  ".join(
                f"{result.fields[s].source}: {result.contrasts[s][name][index].value:+.4f}" for s in sources
            )
            typer.echo(f"{name:8s} {row.label:8s} {values}")
    typer.echo(f"figure and tables in {out}")
