"""`rhotem potential`: the sliced electrostatic potential of an oriented structure, for abTEM and other programs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import OutFileOption, ProgressBar, StructureArgument, output_file, voice
from rhotem.cli.options import (
    COMPUTING,
    SPECIMEN,
    AllowOverlapsOption,
    AllowPolarOption,
    CorrectCountOption,
    DensityChargeOption,
    FileKindOption,
    GpawCacheOption,
    MemoryOption,
    MsdOption,
    OrderOption,
    PlaneOption,
    SchedulerOption,
    SliceOption,
    SourceOption,
    VacuumOption,
    ValenceOption,
    ZoneBasisOption,
    ZoneOption,
    ordering,
)

if TYPE_CHECKING:
    from rhotem.structure.model import Structure

app = typer.Typer()

#: Thickest slice in Å when nothing is said.
SLICE = 1.0

SamplingOption = Annotated[float, typer.Option(metavar="Å", help="Largest pixel.", rich_help_panel=COMPUTING)]
RepeatOption = Annotated[
    str, typer.Option(metavar="nx,ny,nz", help="Repeats of the oriented cell.", rich_help_panel=SPECIMEN)
]
EnergyOption = Annotated[
    float | None,
    typer.Option(metavar="kV", help="Beam energy, needed for the phase gratings of .sli.", rich_help_panel=COMPUTING),
]


@app.command()
def potential(
    structure: StructureArgument,
    output: OutFileOption,
    zone: ZoneOption = None,
    plane: PlaneOption = None,
    zone_basis: ZoneBasisOption = "conventional",
    order: OrderOption = False,
    vacuum: VacuumOption = None,
    allow_overlaps: AllowOverlapsOption = False,
    repeat: RepeatOption = "1,1,1",
    source: SourceOption = "",
    charge: DensityChargeOption = None,
    valence: ValenceOption = None,
    file_kind: FileKindOption = None,
    correct_count: CorrectCountOption = False,
    gpaw_cache: GpawCacheOption = None,
    allow_polar: AllowPolarOption = False,
    sampling: SamplingOption = 0.05,
    slice_thickness: SliceOption = None,
    energy: EnergyOption = None,
    msd: MsdOption = None,
    memory: MemoryOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Build the potential at rest and write it: .zarr (own), .h5 (Prismatic), .addpot and .sli (Dr. Probe).

    A .zarr larger than memory goes to disk slice by slice (--source model or
    free-atoms), with --scheduler by the workers of a Dask cluster.

    A .cfg (QSTEM) or .xyz (TEMSIM) output holds the oriented structure, for
    programs that take no potential. Files of other programs follow their
    documented layout and are untested in those programs.
    """
    from rhotem.analysis import run, streamed, where
    from rhotem.analysis.sources import memory_options, source_options
    from rhotem.density.field import caption
    from rhotem.density.source import get_source, is_density_file
    from rhotem.microscope.slicing import sliced
    from rhotem.potential import files
    from rhotem.potential.slices import build_potential
    from rhotem.structure.supercell import imaging_grid, repeated_grid

    check_energy(output, energy)
    check_motion(output, msd)
    described: dict[str, Any] = {"valence": valence, "file_kind": file_kind, "correct_count": correct_count}
    options = source_options(source, charge=charge, gpaw_cache=gpaw_cache, **described)
    asked = {"vacuum": vacuum, "allow_overlaps": allow_overlaps}
    crystal = run.structure(structure, charge=charge or 0.0, ordering=ordering(order), **asked)
    indices, is_plane = run.direction(crystal, zone, plane)
    counts = parse_repeats(repeat)
    cell = run.oriented(crystal, indices, zone_basis, plane=is_plane, primitive=not is_density_file(source))
    cell, number = sliced(cell, SLICE if slice_thickness is None else slice_thickness, SLICE)
    grid = imaging_grid(cell, sampling, number)
    block = cell.repeated(*counts)
    formula = block.structure.formula
    with output_file(Path(output)) as target:
        structure_writer = files.STRUCTURE_WRITERS.get(target.suffix.lower())
        if structure_writer:
            said = write_oriented(structure_writer, block.structure, target, msd)
            typer.echo("\n".join([f"oriented structure of {formula}: {len(block.structure)} atoms", *said]))
            typer.echo(f"written: {output}")
            return
        grid, means = repeated_grid(grid, *counts), where.Means(memory, scheduler)
        on_disk = where.place_of_potential(grid, target, means) != "memory"
        if on_disk:
            where.check_source(source)
        made_by = get_source(source, **options, **memory_options(source, memory, typer.echo))
        if on_disk:
            density = streamed.announced(block.structure, grid, made_by, means, voice(False), allow_polar=allow_polar)
            voice(False).doubts(density.record)
            with ProgressBar() as progress:
                v0 = streamed.write_potential(density, grid, target, means, voice(False, progress))
            typer.echo(f"potential of {formula} from {source}: mean inner potential {v0:.2f} V\nwritten: {output}")
            return
        field = run.density(cell, made_by, allow_polar=allow_polar)
        voice(False).doubts(field.record)
        slices = build_potential(block, grid, field, memory_limit=memory)
        written = files.write(slices, target, None if energy is None else 1e3 * energy)
    by = caption(field.source, field.record)
    many = f"{Path(output).parent / written[0].name} to {written[-1].name}" if len(written) > 1 else str(output)
    typer.echo(
        f"potential of {formula} from {by}: {grid.shape[2]} slices of {grid.shape[0]} x {grid.shape[1]}, "
        f"mean inner potential {slices.mean_inner_potential:.2f} V\nwritten: {many}"
    )


def check_energy(output: Path, energy: float | None) -> None:
    """Refuse an unknown ending, and phase gratings without a beam energy, before anything is computed."""
    from rhotem.core import InputError
    from rhotem.potential import files

    files.check_ending(output)
    grating = Path(output).suffix.lower() == ".sli"
    if grating and energy is None:
        raise InputError(f"{output}: a phase grating is made for one beam energy; give --energy, such as --energy 200")
    if not grating and energy is not None:
        raise InputError(f"--energy {energy:g}: {output} holds a potential, the same for every energy; leave it out")
    if energy is not None and not 10 <= energy <= 1300:
        raise InputError(f"--energy {energy:g}: expected 10 to 1300 kV")


def check_motion(output: Path, msd: dict[str, float] | None) -> None:
    """Refuse mean square displacements for a potential, whose atoms are at rest."""
    from rhotem.core import InputError
    from rhotem.potential import files

    if msd is not None and Path(output).suffix.lower() not in files.STRUCTURE_WRITERS:
        kinds = " and ".join(files.STRUCTURE_WRITERS)
        raise InputError(
            f"--msd: {output} holds a potential of atoms at rest; structures in {kinds} hold displacements"
        )


def write_oriented(
    writer: Callable[..., None], structure: "Structure", target: Path, msd: dict[str, float] | None
) -> list[str]:
    """Write a structure with its mean square displacements; what to say of them."""
    from rhotem.structure.debye_waller import thermal_motion

    motion = thermal_motion(structure, msd=msd)
    writer(structure, target, motion.isotropic)
    means = ("note: the file takes the mean over directions of each atom's tensor",) if motion.values.ndim == 3 else ()
    return [f"⟨u²⟩: {motion.words}", *(f"note: {remark}" for remark in motion.remarks), *means]


def parse_repeats(text: str) -> tuple[int, int, int]:
    """Three positive whole numbers from ``2,2,1``."""
    from rhotem.core import InputError

    try:
        a, b, c = (int(piece) for piece in text.replace("x", ",").split(","))
    except ValueError:
        raise InputError(f"--repeat {text}: expected three whole numbers, such as 2,2,1") from None
    return a, b, c
