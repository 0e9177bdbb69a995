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
    zone_basis: ZoneBasisOption = "standard",
    sampling: SamplingOption = 0.05,
    slice_thickness: SliceOption = 1.0,
    repeat: RepeatOption = "1,1,1",
    charge: ChargeOption = 0.0,
) -> None:
    """Build the potential and write it: .zarr (own format), .h5 (Prismatic), .bin (Dr. Probe).

    A .cfg (QSTEM) or .xyz (TEMSIM) output holds the oriented structure, for programs that take no potential.
    """
    from rhotem.analysis import run
    from rhotem.potential.files import write_potential
    from rhotem.potential.slices import build_potential
    from rhotem.structure.orient import orient
    from rhotem.structure.supercell import imaging_grid, repeated_grid

    crystal = run.structure(structure, charge=charge)
    direction, basis = run.direction(crystal, zone, plane, zone_basis)
    counts = run.repeats(repeat)
    cell = orient(crystal, direction, basis, plane=plane is not None, primitive=not Path(source).exists())
    grid = repeated_grid(imaging_grid(cell, sampling, slice_thickness), *counts)
    block = cell.repeated(*counts)
    with output_file(Path(output)) as target:
        field = run.density(cell.crystal, source)
        slices = build_potential(block, grid, field)
        write_potential(slices, block, target)
    typer.echo(
        f"potential of {block.structure.atoms.get_chemical_formula()} from {field.source}: {grid.shape[2]} slices of "
        f"{grid.shape[0]} x {grid.shape[1]}, mean inner potential {slices.mean_inner_potential:.2f} V\nwritten: {output}"
    )
