"""`rhotem battery`: specimens of battery papers, one sub-command per builder of `rhotem.battery.builders`."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rhotem.battery.builders import Builder, builders
from rhotem.battery.builders.table import REQUIRED
from rhotem.battery.potentials import DEFAULT, potential_names
from rhotem.cli.common import JsonOption, OutFileOption, ProgressBar, QuietOption, SeedOption, to_json
from rhotem.cli.options import AllowOverlapsOption

if TYPE_CHECKING:
    from rhotem.battery.specimen import Specimen

app = typer.Typer(
    no_args_is_help=True, help="Defects, interfaces, surfaces and cracks of battery materials, relaxed if asked."
)

RelaxOption = Annotated[bool, typer.Option("--relax", help="Relax the atoms with a potential.")]
CellOption = Annotated[bool, typer.Option("--relax-cell", help="Relax atoms and cell.")]
PotentialOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", help=f"Potential of --relax: {', '.join(potential_names())}, or a folder of `rhotem distil`."
    ),
]
ForceOption = Annotated[float, typer.Option(metavar="eV/Å", help="Largest force at which --relax stops.")]
StepsOption = Annotated[int, typer.Option(min=1, help="Most steps of --relax.")]
OptimiserOption = Annotated[Literal["fire", "lbfgs"], typer.Option(help="Optimiser of --relax.")]
#: How atoms are relaxed: options and their defaults.
HOW: dict[str, tuple[Any, Any]] = {
    "potential": (PotentialOption, DEFAULT),
    "fmax": (ForceOption, 0.05),
    "steps": (StepsOption, 200),
    "optimiser": (OptimiserOption, "fire"),
}


def build(
    builder: Builder,
    crystals: list[str],
    output: Path,
    relaxation: dict[str, Any],
    options: dict[str, Any],
    *,
    seed: int,
    allow_overlaps: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build, relax if asked, and write a specimen."""
    import numpy as np

    from rhotem.analysis.specimen import structure
    from rhotem.battery.finish import finished
    from rhotem.battery.specimen import write_specimen
    from rhotem.structure.write import check_ending

    check_ending(output)
    builder.check_arguments(crystals)
    with ProgressBar(quiet or as_json) as progress:
        goes_on = {"progress": progress, "folder": output.with_suffix(".runs")} if builder.long else {}
        made = builder.specimen(
            crystals,
            lambda name: structure(name, allow_overlaps=allow_overlaps),
            np.random.default_rng(seed),
            **options,
            **goes_on,
        )
        made, record = finished(made, relaxation, progress)
    record = {"builder": builder.name, "arguments": crystals, "options": options, "seed": seed, **record}
    write_specimen(made, output, record)
    _tell(made, record, output, as_json)


def _tell(made: "Specimen", record: dict[str, Any], output: Path, as_json: bool) -> None:
    import numpy as np

    from rhotem.battery.specimen import labels_of
    from rhotem.structure.write import unwritten

    if as_json:
        labels = made.record()
        del labels["atoms"]
        typer.echo(to_json({**labels, **record, "atoms": len(made.structure), "file": output}))
        return
    lengths = np.linalg.norm(made.structure.cell, axis=1)
    text = " x ".join(f"{length:.3f}" for length in lengths)
    typer.echo(f"{made.structure.atoms.get_chemical_formula()}, {len(made.structure)} atoms, cell {text} Å")
    counts = np.bincount(made.region, minlength=len(made.regions))
    for region, atoms in zip(made.regions, counts, strict=True):
        typer.echo(f"  {region['name']}: {atoms} atoms")
    if made.defects:
        kinds = [str(defect["kind"]) for defect in made.defects]
        typer.echo("  " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)))
    for note in (*made.structure.info.get("notes", []), *unwritten(made.structure, output)):
        typer.echo(f"note: {note}")
    typer.echo(f"written: {output}, {labels_of(output).name}")


def _check_relaxation(asked: dict[str, Any]) -> None:
    """Refuse settings of a relaxation that is not asked for."""
    from rhotem.core import InputError

    changed = [name for name, (_, default) in HOW.items() if asked[name] != default]
    if changed and not (asked["relax"] or asked["relax_cell"]):
        raise InputError(f"--{changed[0]}: atoms are not relaxed; add --relax, or leave it out")


def _command(builder: Builder) -> Callable[..., None]:
    """The function that typer reads a builder's sub-command from."""

    def run(**values: Any) -> None:
        taken = {option.name: values.pop(option.name) for option in builder.options}
        relaxation = {key: values.pop(key) for key in ("relax", "relax_cell", *HOW)}
        _check_relaxation(relaxation)
        build(builder, relaxation=relaxation, options=taken, **values)

    fixed: list[tuple[str, Any, Any]] = [
        (
            "crystals",
            Annotated[list[str], typer.Argument(metavar=builder.crystals, help="Files or ready phases.")],
            ...,
        ),
        ("output", OutFileOption, ...),
    ]
    for option in builder.options:
        said = typer.Option(f"--{option.name.replace('_', '-')}", metavar=option.values or None, help=option.help)
        fixed.append((option.name, Annotated[option.kind, said], ... if option.default is REQUIRED else option.default))
    fixed += [
        ("relax", RelaxOption, False),
        ("relax_cell", CellOption, False),
        *((name, note, default) for name, (note, default) in HOW.items()),
        ("seed", SeedOption, 0),
        ("allow_overlaps", AllowOverlapsOption, False),
        ("quiet", QuietOption, False),
        ("as_json", JsonOption, False),
    ]
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, kind, default=default, annotation=note) for name, note, default in fixed]
    run.__doc__ = builder.help
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {name: note for name, note, _ in fixed}
    return run


for _builder in builders().values():
    app.command(_builder.name)(_command(_builder))
