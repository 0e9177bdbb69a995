"""`rhotem potential`: the sliced electrostatic potential of an oriented structure, for abTEM and other programs."""

from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import (
    ChargeOption,
    OutFileOption,
    PlaneOption,
    SourceOption,
    StructureArgument,
    ZoneBasisOption,
    ZoneOption,
    output_file,
)

app = typer.Typer()

SamplingOption = Annotated[float, typer.Option(metavar="Å", help="Largest pixel.")]
SliceOption = Annotated[float, typer.Option(metavar="Å", help="Thickest slice.")]
RepeatOption = Annotated[str, typer.Option(metavar="nx,ny,nz", help="Repeats of the oriented cell.")]


@app.command()
def potential(
    structure: StructureArgument,
    output: OutFileOption,
    source: SourceOption = "free-atoms",
    zone: ZoneOption = None,
    plane: PlaneOption = None,
    zone_basis: ZoneBasisOption = "conventional",
    sampling: SamplingOption = 0.05,
    slice_thickness: SliceOption = 1.0,
    repeat: RepeatOption = "1,1,1",
    charge: ChargeOption = 0.0,
) -> None:
    """Build the potential at rest and write it: .zarr (own), .h5 (Prismatic), .addpot (Dr. Probe).

    A .cfg (QSTEM) or .xyz (TEMSIM) output holds the oriented structure, for programs that take no potential. Files of
    other programs follow their documented layout and are untested in those programs.
    """
    from rhotem.analysis import run
    from rhotem.potential import files
    from rhotem.potential.slices import build_potential
    from rhotem.structure.debye_waller import mean_square_displacements
    from rhotem.structure.supercell import imaging_grid, repeated_grid

    crystal = run.structure(structure, charge=charge)
    indices, is_plane = run.direction(crystal, zone, plane)
    counts = parse_repeats(repeat)
    cell = run.oriented(crystal, indices, zone_basis, plane=is_plane, primitive=not Path(source).exists())
    block = cell.repeated(*counts)
    formula = block.structure.formula
    with output_file(Path(output)) as target:
        structure_writer = files.STRUCTURE_WRITERS.get(target.suffix.lower())
        if structure_writer:
            structure_writer(block.structure, target, mean_square_displacements(block.structure)[0])
            typer.echo(f"oriented structure of {formula}: {len(block.structure)} atoms\nwritten: {output}")
            return
        files.check_ending(target)
        grid = repeated_grid(imaging_grid(cell, sampling, slice_thickness), *counts)
        field = run.density(cell, source)
        for warning in field.record.get("warnings", ()):
            typer.echo(f"warning: {warning}", err=True)
        slices = build_potential(block, grid, field)
        files.write(slices, target)
    typer.echo(
        f"potential of {formula} from {field.source}: {grid.shape[2]} slices of {grid.shape[0]} x {grid.shape[1]}, "
        f"mean inner potential {slices.mean_inner_potential:.2f} V\nwritten: {output}"
    )


def parse_repeats(text: str) -> tuple[int, int, int]:
    """Three positive whole numbers from ``2,2,1``."""
    from rhotem.core import InputError

    try:
        a, b, c = (int(piece) for piece in text.replace("x", ",").split(","))
    except ValueError:
        raise InputError(f"--repeat {text}: expected three whole numbers, such as 2,2,1") from None
    return a, b, c
