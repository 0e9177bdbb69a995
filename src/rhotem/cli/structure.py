"""`rhotem structure`: ready phases, defects, slabs; orient and check structures."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rhotem.cli.common import (
    ChargeOption,
    JsonOption,
    OutFileOption,
    SeedOption,
    StructureArgument,
    output_file,
    parse_indices,
    to_json,
)
from rhotem.cli.options import AllowOverlapsOption, OrderOption, VacuumOption, ordering
from rhotem.structure.edits.slab import VACUUM as SLAB_VACUUM

if TYPE_CHECKING:
    from rhotem.structure.model import Structure

app = typer.Typer(
    no_args_is_help=True, help="Ready phases, defects and interfaces; orient, repeat and check structures."
)


def _load(
    name: str, charge: float = 0.0, order: bool = False, vacuum: float | None = None, allow_overlaps: bool = False
) -> "Structure":
    """A structure from a file or the name of a ready phase."""
    from rhotem.analysis.specimen import structure

    return structure(name, charge=charge, ordering=ordering(order), vacuum=vacuum, allow_overlaps=allow_overlaps)


def _save(structure: "Structure", output: Path) -> None:
    from rhotem.structure.write import unwritten, write_structure

    with output_file(Path(output)) as target:
        write_structure(structure, target)
    for remark in unwritten(structure, output):
        typer.echo(f"note: {remark}", err=True)


@app.command()
def phase(
    name: Annotated[str | None, typer.Argument(help="Name of the phase; none lists them.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write.")] = None,
    primitive: Annotated[bool, typer.Option(help="The primitive instead of the conventional cell.")] = False,
    repeat: Annotated[
        str | None,
        typer.Option(metavar="nx,ny,nz", help="Repeat the conventional cell; shared sites are ordered along its axes."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the ready phases, or write one to a file, with its literature."""
    from rhotem.structure import phases

    if name is None:
        table = {key: phases.describe(key) for key in phases.names()}
        if as_json:
            typer.echo(to_json(table))
            return
        for key, entry in table.items():
            typer.echo(f"{key:16s} {entry['title']}")
        short = ", ".join(alias for alias in phases.ALIASES if alias.isupper() and len(alias) > 1)
        typer.echo(f"short names: {short}\nnext: rhotem image NAME, or rhotem structure phase NAME -o NAME.cif")
        return
    structure = phases.phase(name, primitive, None if repeat is None else _three(repeat))
    if output is not None:
        _save(structure, output)
    _tell(structure, as_json, output)


def _three(text: str) -> tuple[int, int, int]:
    from rhotem.structure.edits.table import parts, whole

    nx, ny, nz = (whole(n) for n in parts(text, "repeat", 3, ","))
    return nx, ny, nz


@app.command()
def check(
    structure: StructureArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it as read.")] = None,
    order: OrderOption = False,
    vacuum: VacuumOption = None,
    allow_overlaps: AllowOverlapsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read a structure and say what it is: composition, symmetry, density, anything odd."""
    from rhotem.structure.write import check_ending

    if output is not None:
        check_ending(output)
    read = _load(structure, order=order, vacuum=vacuum, allow_overlaps=allow_overlaps)
    if output is not None:
        _save(read, output)
    _tell(read, as_json, output)


@app.command()
def orient(
    structure: StructureArgument,
    output: OutFileOption,
    zone: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="Direction towards the electron source: 1,1,0.")
    ] = None,
    plane: Annotated[
        Any,
        typer.Option(
            parser=parse_indices, metavar="h,k,l", help="Instead of --zone: the plane that the beam meets head on."
        ),
    ] = None,
    basis: Annotated[
        Literal["conventional", "input"],
        typer.Option("--zone-basis", help="Whose cell the indices refer to: the conventional one or the file's."),
    ] = "conventional",
    up: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="Direction that points up in the picture.")
    ] = None,
    max_strain: Annotated[float, typer.Option(help="Largest strain to close the cell, 0.01 is 1 %.")] = 0.01,
    max_atoms: Annotated[int, typer.Option(min=1, help="Largest cell to look for.")] = 5000,
    thickness: Annotated[float | None, typer.Option(metavar="nm", help="Repeat along the beam to a thickness.")] = None,
    width: Annotated[float | None, typer.Option(metavar="Å", help="Repeat across the beam to a width.")] = None,
    charge: ChargeOption = 0.0,
    order: OrderOption = False,
    vacuum: VacuumOption = None,
    allow_overlaps: AllowOverlapsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a crystal so that a zone axis faces the beam: smallest orthogonal cell, beam along z."""
    from rhotem.core import InputError
    from rhotem.structure.orient import orient as oriented
    from rhotem.structure.supercell import lateral_repeats, thickness_repeats

    if zone is not None and plane is not None:
        raise InputError("--zone and --plane say the same thing twice; give one of them")
    cell = oriented(
        _load(structure, charge, order, vacuum, allow_overlaps),
        plane if plane is not None else zone or (0, 0, 1),
        basis,
        plane=plane is not None,
        up=up,
        max_strain=max_strain,
        max_atoms=max_atoms,
        primitive=True,
    )
    nx, ny = (1, 1) if width is None else lateral_repeats(cell, width)
    nz = 1 if thickness is None else thickness_repeats(cell, thickness)[0]
    cell = cell.repeated(nx, ny, nz)
    _save(cell.structure, output)
    record = cell.record()
    if as_json:
        typer.echo(to_json(record))
        return
    labels, lengths = record["labels"], record["lengths_angstrom"]
    seen = labels.get("plane", labels["zone"])
    typer.echo(f"{record['space_group']} seen along {seen}: x {labels['x']}, y {labels['y']}")
    typer.echo(f"{lengths[0]:.4f} x {lengths[1]:.4f} x {lengths[2]:.4f} Å, {record['atoms']} atoms")
    typer.echo(f"strain {100 * record['max_strain']:.3f} %" if record["max_strain"] > 1e-9 else "no strain")
    for note in record["notes"]:
        typer.echo(f"note: {note}")
    typer.echo(f"written: {output}")


def build(
    structure: StructureArgument,
    output: OutFileOption,
    thickness: Annotated[float, typer.Option(metavar="Å", help="Least thickness of the slab.")] = 20.0,
    vacuum: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help=f"Empty layer beside the slab or sheets, {SLAB_VACUUM:g} if none is said; around a molecule or layer.",
        ),
    ] = None,
    allow_overlaps: AllowOverlapsOption = False,
    random: Annotated[bool, typer.Option("--random", help="Choose sites at random, not by lowest energy.")] = False,
    seed: SeedOption = 0,
    charge: ChargeOption = 0.0,
    as_json: JsonOption = False,
    **wanted: str | None,
) -> None:
    """Change a structure: state of charge, substitution, defects, strain, slab, displacements; in this order."""
    import numpy as np

    from rhotem.core import InputError
    from rhotem.structure import edits

    asked = {name: values for name, values in wanted.items() if values is not None}
    surface, layers = asked.get("slab"), asked.get("sheets")
    if surface is not None and layers is not None:
        raise InputError("--sheets and --slab: each cuts a specimen with vacuum of its own; take one of them")
    cut = surface is not None or layers is not None
    made = _load(structure, charge, vacuum=None if cut else vacuum, allow_overlaps=allow_overlaps)
    if layers is not None and ":" not in layers and vacuum is not None:
        asked["sheets"] = f"{layers}:{vacuum}"
    if surface is not None and ":" not in surface:
        plane = ",".join(map(str, parse_indices(surface)))
        asked["slab"] = f"{plane}:{thickness}:{SLAB_VACUUM if vacuum is None else vacuum}"
    rng = np.random.default_rng(seed)
    made = edits.apply(made, asked, edits.Chance(rng, rng if random else None))
    _save(made, output)
    _tell(made, as_json, output)


def _with_edits(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every edit of the table in the place of its ``**wanted``."""
    import inspect

    from rhotem.structure.edits import edits

    signature = inspect.signature(command)
    fixed = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            edit.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, typer.Option(f"--{edit.name}", metavar=edit.values, help=edit.help)],
        )
        for edit in edits().values()
    ]
    parameters = [*fixed[:2], *options, *fixed[2:]]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]

    def run(**values: Any) -> None:
        command(**values)

    run.__doc__ = command.__doc__
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


app.command("build")(_with_edits(build))


@app.command()
def interface(
    lower: Annotated[str, typer.Argument(help="Crystal below: a file or the name of a ready phase.")],
    upper: Annotated[str, typer.Argument(help="Crystal above.")],
    output: OutFileOption,
    zone: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="Direction of the lower crystal to the source.")
    ] = "0,0,1",
    up: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="Direction of the lower crystal that points up.")
    ] = None,
    upper_zone: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="The same for the upper crystal.")
    ] = "0,0,1",
    upper_up: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="The same for the upper crystal.")
    ] = None,
    width: Annotated[float, typer.Option(metavar="Å", help="Least extent of each crystal across the boundary.")] = 20.0,
    gap: Annotated[float, typer.Option(metavar="Å", help="Extra distance at the boundaries.")] = 0.0,
    max_strain: Annotated[float, typer.Option(help="Largest strain of the upper crystal.")] = 0.03,
    allow_overlaps: AllowOverlapsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stack two oriented crystals, boundary edge-on: an interface, or a grain boundary of one crystal."""
    from rhotem.structure.assemble import interface as stacked
    from rhotem.structure.orient import orient as oriented

    below = oriented(_load(lower, allow_overlaps=allow_overlaps), zone, up=up, primitive=True)
    above = oriented(_load(upper, allow_overlaps=allow_overlaps), upper_zone, up=upper_up, primitive=True)
    made = stacked(below, above, (width, width), gap, max_strain).structure
    _save(made, output)
    _tell(made, as_json, output)


@app.command()
def polycrystal(
    crystal: StructureArgument,
    output: OutFileOption,
    size: Annotated[str, typer.Option(metavar="x,y,z", help="Sides of the block in Å, without vacuum.")],
    grains: Annotated[int | None, typer.Option(metavar="N", help="Grains of random size and orientation.")] = None,
    columnar: Annotated[
        bool, typer.Option("--columnar", help="Columns along the beam, all with --zone to the source.")
    ] = False,
    misorientation: Annotated[
        float | None, typer.Option(metavar="°", help="Instead of --grains: two grains at this angle.")
    ] = None,
    axis: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="Of --misorientation; without it --zone.")
    ] = None,
    normal: Annotated[Literal["x", "y", "z"], typer.Option(help="Normal of the boundary of --misorientation.")] = "x",
    zone: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="Direction to the source before grains turn.")
    ] = "0,0,1",
    up: Annotated[
        Any, typer.Option(parser=parse_indices, metavar="u,v,w", help="Direction that points up before grains turn.")
    ] = None,
    vacuum: Annotated[
        str, typer.Option(metavar="Å|x,y,z", help="Empty layer along each side, with free surfaces; 0: periodic.")
    ] = "0",
    closest: Annotated[
        float, typer.Option(help="Least distance at boundaries as a fraction of that in the crystal.")
    ] = 0.7,
    as_cut: Annotated[
        bool, typer.Option("--as-cut", help="Leave elements in excess at boundaries and surfaces where they are.")
    ] = False,
    seed: SeedOption = 0,
    allow_overlaps: AllowOverlapsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cut a block of a crystal into grains: random (Voronoi) ones, or two on both sides of a grain boundary."""
    import numpy as np

    from rhotem.battery import polycrystal as tools
    from rhotem.core import InputError
    from rhotem.structure.write import unwritten, write_structure

    if (grains is None) == (misorientation is None):
        raise InputError("polycrystal: give --grains, or --misorientation for two of them")
    from rhotem.structure.edits.table import number, parts

    x, y, z = (number(part) for part in parts(size, "size", 3, ","))
    empty = parts(vacuum, "vacuum", (1, 3), ",")
    layers = tuple(number(part) for part in (empty if len(empty) == 3 else empty * 3))
    given: dict[str, Any] = {"zone": zone, "up": up, "vacuum": layers, "closest": closest, "stoichiometric": not as_cut}
    source = _load(crystal, allow_overlaps=allow_overlaps)
    if grains is None:
        made = tools.bicrystal(source, (x, y, z), misorientation or 0.0, axis=axis, normal=normal, **given)
    else:
        rng = np.random.default_rng(seed)
        made = tools.polycrystal(source, (x, y, z), grains, rng, columnar=columnar, **given)
    with output_file(Path(output)) as target:
        write_structure(made.structure, target)
    formula, cell = made.structure.atoms.get_chemical_formula(), np.diag(made.structure.cell)
    if as_json:
        typer.echo(to_json({"formula": formula, "atoms": len(made.structure), "cell_A": cell, **made.record()}))
        return
    typer.echo(f"{formula}, {len(made.structure)} atoms in {cell[0]:.3f} x {cell[1]:.3f} x {cell[2]:.3f} Å")
    for grain, (volume, atoms) in enumerate(zip(made.volumes, np.bincount(made.grain), strict=True)):
        typer.echo(f"  grain {grain + 1}: {volume / 1e3:.1f} nm³, {atoms} atoms")
    for note in (*made.structure.info["notes"], *unwritten(made.structure, output)):
        typer.echo(f"note: {note}")
    typer.echo(f"written: {output}")


def _summary(structure: "Structure") -> dict[str, Any]:
    """What a structure is."""
    from rhotem.structure.check import check as checked
    from rhotem.structure.debye_waller import thermal_motion
    from rhotem.structure.indices import symmetry

    found = symmetry(structure)
    motion = thermal_motion(structure)
    remarks = dict.fromkeys([*structure.info.get("notes", []), *checked(structure), *motion.remarks])
    return {
        "name": structure.info.get("name", ""),
        "title": structure.info.get("title", ""),
        "formula": structure.atoms.get_chemical_formula(),
        "atoms": len(structure),
        "space_group": found.international if found else "P1",
        "space_group_number": int(found.number) if found else 1,
        "cell": structure.atoms.cell.cellpar().round(5).tolist(),
        "volume_angstrom3": structure.volume,
        "density_g_cm3": float(structure.atoms.get_masses().sum() / structure.volume * 1.66053907),
        "charge": structure.charge,
        "reference": structure.info.get("reference", ""),
        "displacements": motion.words,
        "mean_square_displacements_A2": motion.elements,
        "notes": list(remarks),
    }


def _tell(structure: "Structure", as_json: bool, output: Path | None = None) -> None:
    summary = _summary(structure)
    if as_json:
        typer.echo(to_json({**summary, "file": output}))
        return
    a, b, c, alpha, beta, gamma = summary["cell"]
    title = f" ({summary['title']})" if summary["title"] else ""
    typer.echo(f"{summary['formula']}{title}, {summary['atoms']} atoms, {summary['space_group']}")
    typer.echo(f"a {a:.4f}  b {b:.4f}  c {c:.4f} Å   α {alpha:.2f}  β {beta:.2f}  γ {gamma:.2f}°")
    typer.echo(f"{summary['volume_angstrom3']:.2f} Å³, {summary['density_g_cm3']:.3f} g/cm³")
    if summary["reference"]:
        typer.echo(f"from: {summary['reference']}")
    typer.echo(f"⟨u²⟩: {summary['displacements']}")
    for note in summary["notes"]:
        typer.echo(f"note: {note}")
    if output is not None:
        typer.echo(f"written: {output}")
