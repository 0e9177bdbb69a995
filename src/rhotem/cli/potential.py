"""`rhotem potential`: the sliced electrostatic potential of an oriented structure, for abTEM and other programs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import OutFileOption, ProgressBar, StructureArgument, output_file, voice
from rhotem.cli.options import COMPUTING, SPECIMEN, plan_of, with_plan_options

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan
    from rhotem.core import PeriodicGrid
    from rhotem.structure.model import Structure
    from rhotem.structure.orient import ImagingCell

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


#: What else of a plan makes a potential at rest.
KEYS = (
    *("specimen.zone", "specimen.plane", "specimen.zone_basis", "specimen.order", "specimen.vacuum_A"),
    *("specimen.allow_overlaps", "density", "motion.msd_A2"),
    *("computing.slice_thickness_A", "computing.memory", "computing.scheduler"),
)


@app.command()
@with_plan_options(KEYS, without=("density.uncertainty",))
def potential(
    structure: StructureArgument,
    output: OutFileOption,
    given: dict[str, Any],
    repeat: RepeatOption = "1,1,1",
    sampling: SamplingOption = 0.05,
    energy: EnergyOption = None,
) -> None:
    """Build the potential at rest and write it: .zarr (own), .h5 (Prismatic), .addpot and .sli (Dr. Probe).

    A .zarr larger than memory goes to disk slice by slice (--source model or
    free-atoms), with --scheduler by the workers of a Dask cluster.

    A .cfg (QSTEM) or .xyz (TEMSIM) output holds the oriented structure, for
    programs that take no potential. Files of other programs follow their
    documented layout and are untested in those programs.
    """
    from rhotem.potential import files

    plan = plan_of(structure, given)
    msd = plan.motion.msd_A2
    check_energy(output, energy)
    check_motion(output, msd)
    cell, grid = _cut(plan, sampling)
    counts = parse_repeats(repeat)
    block = cell.repeated(*counts)
    with output_file(Path(output)) as target:
        structure_writer = files.STRUCTURE_WRITERS.get(target.suffix.lower())
        if structure_writer:
            said = write_oriented(structure_writer, block.structure, target, msd)
            head = f"oriented structure of {block.structure.formula}: {len(block.structure)} atoms"
            typer.echo("\n".join([head, *said]))
            many = str(output)
        else:
            names = _write(plan, cell, grid, counts, (target, None if energy is None else 1e3 * energy))
            several = f"{Path(output).parent / names[0]} to {names[-1]}"
            many = several if len(names) > 1 else str(output)
    typer.echo(f"written: {many}")


def _cut(plan: "Plan", sampling: float) -> "tuple[ImagingCell, PeriodicGrid]":
    """The oriented cell, and its grid."""
    from rhotem.analysis import run
    from rhotem.analysis.sources import source_options
    from rhotem.analysis.workflow import described, read_crystal
    from rhotem.density.source import is_density_file
    from rhotem.microscope.slicing import sliced
    from rhotem.structure.supercell import imaging_grid

    said, source, thickest = plan.specimen, str(plan.density.source), plan.computing.slice_thickness_A
    source_options(source, **described(plan))  # refused before anything is read
    crystal = read_crystal(plan)
    indices, is_plane = run.direction(crystal, said.zone, said.plane)
    cell = run.oriented(crystal, indices, said.zone_basis, plane=is_plane, primitive=not is_density_file(source))
    cell, number = sliced(cell, SLICE if thickest is None else thickest, SLICE)
    return cell, imaging_grid(cell, sampling, number)


def _write(
    plan: "Plan",
    cell: "ImagingCell",
    grid: "PeriodicGrid",
    counts: tuple[int, int, int],
    file: tuple[Path, float | None],
) -> list[str]:
    """Make the potential of a block and write it, saying so; the names of the files. ``file``: path, energy in eV."""
    from rhotem.analysis import run, streamed, where
    from rhotem.analysis.sources import memory_options, source_options
    from rhotem.analysis.workflow import described
    from rhotem.density.field import caption
    from rhotem.density.source import get_source
    from rhotem.potential import files
    from rhotem.potential.slices import build_potential
    from rhotem.structure.supercell import repeated_grid

    (target, energy), source, memory = file, str(plan.density.source), plan.memory
    console, means, allow = voice(False), where.Means(memory, plan.computing.scheduler), plan.density.allow_polar
    block, grid = cell.repeated(*counts), repeated_grid(grid, *counts)
    on_disk = where.place_of_potential(grid, target, means) != "memory"
    if on_disk:
        where.check_source(source)
    told = memory_options(source, memory, console.tell, large=on_disk)
    made_by = get_source(source, **source_options(source, **described(plan)), **told)
    formula = block.structure.formula
    if on_disk:
        density = streamed.announced(block.structure, grid, made_by, means, console, allow_polar=allow)
        console.doubts(density.record)
        with ProgressBar() as progress:
            v0 = streamed.write_potential(density, grid, target, means, voice(False, progress))
        typer.echo(f"potential of {formula} from {source}: mean inner potential {v0:.2f} V")
        return [target.name]
    field = run.density(cell, made_by, allow_polar=allow)
    console.doubts(field.record)
    slices = build_potential(block, grid, field, memory_limit=memory)
    written = files.write(slices, target, energy)
    typer.echo(
        f"potential of {formula} from {caption(field.source, field.record)}: {grid.shape[2]} slices of "
        f"{grid.shape[0]} x {grid.shape[1]}, mean inner potential {slices.mean_inner_potential:.2f} V"
    )
    return [path.name for path in written]


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
