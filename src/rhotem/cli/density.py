"""`rhotem density`: the electron density of a structure, written to a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rhotem.cli.common import JsonOption, OutFileOption, ProgressBar, StructureArgument, output_file, to_json, voice
from rhotem.cli.options import plan_of, with_plan_options

if TYPE_CHECKING:
    from rhotem.analysis.where import Means
    from rhotem.density.field import DensityField
    from rhotem.density.stream import StreamedDensity
    from rhotem.structure.model import Structure

app = typer.Typer()

KindOption = Annotated[
    Literal["total", "valence", "deformation", "spin"],
    typer.Option(help="total: with cores; deformation: minus free atoms; spin: up minus down."),
]
SpacingOption = Annotated[float, typer.Option(metavar="Å", help="Largest step of the grid.")]
ChargesOption = Annotated[bool, typer.Option("--charges", help="Print the Hirshfeld and Bader charge of every atom.")]


#: What of a plan makes a density.
KEYS = (
    *("specimen.order", "specimen.vacuum_A", "specimen.allow_overlaps"),
    *("density", "computing.memory", "computing.scheduler"),
)


@app.command()
@with_plan_options(KEYS, without=("density.uncertainty", "density.allow_polar"))
def density(
    structure: StructureArgument,
    output: OutFileOption,
    given: dict[str, Any],
    kind: KindOption = "total",
    spacing: SpacingOption = 0.1,
    charges: ChargesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compute or convert the electron density of a structure: .cube, CHGCAR, .xsf, .npz, .zarr.

    A .zarr larger than memory goes to disk plane by plane (--source model or
    free-atoms), with --scheduler by the workers of a Dask cluster.
    """
    from rhotem.analysis import where
    from rhotem.analysis.charges import charge_table
    from rhotem.analysis.sources import memory_options, source_options
    from rhotem.analysis.workflow import described, read_crystal
    from rhotem.core import InputError
    from rhotem.density.files import check_writable
    from rhotem.density.source import has_planes

    check_writable(output)
    plan = plan_of(structure, given)
    source, means = str(plan.density.source), where.Means(plan.memory, plan.computing.scheduler)
    options = source_options(source, **described(plan))
    crystal = read_crystal(plan)
    place = where.place_of_density(crystal, spacing, Path(output), means)
    options |= memory_options(source, plan.memory, voice(False, err=True).tell, large=place != "memory")
    if place == "cluster" or (place == "disk" and kind != "spin" and not charges and has_planes(source)):
        if kind == "spin" or charges:
            raise InputError("--scheduler: gives no spin density and no --charges; leave one of them out")
        made = _in_pieces(crystal, (output, kind, spacing), (source, options), means)
        _tell(made, kind, output, as_json, {})
        return
    if kind == "spin":
        options |= check_spin(source, crystal)
    field = _whole(crystal, (output, kind, spacing), (source, options))
    _tell(field, kind, output, as_json, {"charges": charge_table(field)} if charges else {})


def _in_pieces(
    crystal: "Structure", file: tuple[Path, str, float], source: tuple[str, dict[str, Any]], means: "Means"
) -> "StreamedDensity":
    """Write a density plane by plane; ``file``: path, kind, largest step in Å; ``source``: its name and options."""
    from rhotem.analysis import streamed, where
    from rhotem.density.source import get_source

    output, kind, spacing = file
    where.check_source(source[0])
    with output_file(Path(output)) as target, ProgressBar() as progress:
        maker, console = get_source(source[0], **source[1]), voice(False, progress, err=True)
        return streamed.write_density(crystal, (target, kind, spacing), maker, means, console)


def _whole(crystal: "Structure", file: tuple[Path, Any, float], source: tuple[str, dict[str, Any]]) -> "DensityField":
    """Make a density in memory and write it; arguments as `_in_pieces`."""
    from rhotem.analysis.polar import checked
    from rhotem.core import PeriodicGrid
    from rhotem.density.files import write_density
    from rhotem.density.source import get_source

    output, kind, spacing = file
    maker = get_source(source[0], **source[1])
    field = checked(maker(crystal, PeriodicGrid.from_spacing(crystal.cell, spacing)), allow_polar=True)
    voice(False, err=True).doubts(field.record)
    with output_file(Path(output)) as target:
        write_density(field, target, kind=kind)
    return field


def _tell(
    field: "DensityField | StreamedDensity", kind: str, output: Path, as_json: bool, more: dict[str, Any]
) -> None:
    """What was made: a few lines, or JSON."""
    summary = {
        "source": field.source,
        "kind": kind,
        "grid": list(field.grid.shape),
        "file": str(output),
        "record": field.record,
        **more,
    }
    if as_json:
        typer.echo(to_json(summary))
        return
    from rhotem.density.field import caption

    by = caption(field.source, field.record)
    typer.echo(f"{kind} density of {field.structure.formula} from {by}, grid {field.grid.shape}")
    for row in more.get("charges", ()):
        own = f"  model {row['model']:+.3f}" if "model" in row else ""
        typer.echo(
            f"  {row['atom']:4d} {row['element']:2s}  Hirshfeld {row['hirshfeld']:+.3f}  Bader {row['bader']:+.3f}{own}"
        )
    if spin := field.record.get("spin"):
        more_of_it = [f"starting moments: {spin['starting_moments']}"] if "starting_moments" in spin else []
        more_of_it += [spin["note"]] if "note" in spin else []
        typer.echo("; ".join([f"  total moment: {spin['total_moment_muB']:+.2f} µB", *more_of_it]))
    if "negative_electrons" in field.record:
        typer.echo(f"  of the predicted total density below zero: {field.record['negative_electrons']:.2g} e")
    typer.echo(f"written: {output}")


def check_spin(source: str, structure: "Structure") -> dict[str, bool]:
    """What a source must be told to give a spin density; refused where it cannot, before it starts.

    A file says when it is read whether it has one, and a network when it is loaded.

    Raises
    ------
    InputError
        For free atoms and published networks, which have no spin, and for a DFT run without magnetic elements or
        moments.
    """
    from rhotem.core import InputError
    from rhotem.density.source import is_peer, source_kind

    why = ""
    if source == "free-atoms" or is_peer(source):
        why = "gives no spin density"
    elif source == "gpaw":
        from rhotem.labels.gpaw_settings import DftSettings, is_spin_polarised

        if not is_spin_polarised(structure, DftSettings()):
            why = f"calculates {structure.formula} without spin: it has no magnetic element and no starting moments"
    if why:
        raise InputError(f"--kind spin: --source {source} {why}; choose another --kind or --source")
    return {"spin": True} if source_kind(source) == "model" else {}
