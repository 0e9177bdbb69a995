"""`rhotem charge-series`: states of charge of a battery crystal, their voltage, lattice and charges."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.battery.potentials import DEFAULT, general_potentials
from rhotem.cli.common import (
    JsonOption,
    ProgressBar,
    QuietOption,
    SeedOption,
    StructureArgument,
    output_folder,
    to_json,
    voice,
    write_record,
)
from rhotem.cli.options import AllowOverlapsOption, plan_of, with_plan_options

if TYPE_CHECKING:
    from rhotem.battery.charging.make import Series

app = typer.Typer()


#: What of a plan decides the images.
KEYS = ("specimen.zone", "specimen.thickness_nm", "motion.phonons", "motion.temperature_K", "microscope")


@app.command()
@with_plan_options(KEYS)
def charge_series(
    structure: StructureArgument,
    given: dict[str, Any],
    x: Annotated[
        str | None,
        typer.Option(
            metavar="1,0.5,0",
            help="Shares of the mobile ions that are in; 1,0.75,0.5,0.25,0 unless given, as far as metals allow.",
        ),
    ] = None,
    ion: Annotated[str, typer.Option(metavar="Li", help="The mobile ion; without it Li, else Na, else K.")] = "",
    orderings: Annotated[
        int, typer.Option(min=1, help="Orderings of lowest electrostatic energy that are relaxed at every x.")
    ] = 3,
    stackings: Annotated[
        str | None,
        typer.Option(
            metavar="O1,P3",
            help="Stackings of a layered oxide tried beside its own at every x; none: only its own. Without it O1 of "
            "the empty lithium oxide.",
        ),
    ] = None,
    repeat: Annotated[
        str | None, typer.Option(metavar="a,b,c", help="Repeat the cell; without it the smallest that holds every x.")
    ] = None,
    charges: Annotated[bool, typer.Option("--charges/--no-charges", help="Charges of elements in the density.")] = True,
    source: Annotated[str, typer.Option(metavar="NAME", help="Density of the charges; model: learned.")] = "model",
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Images of every state, and what changes to the next.")
    ] = False,
    potential: Annotated[
        str, typer.Option(metavar="NAME", help=f"Potential: {', '.join(general_potentials())}.")
    ] = DEFAULT,
    fmax: Annotated[float, typer.Option(metavar="eV/Å", help="Largest force at which a relaxation stops.")] = 0.03,
    steps: Annotated[int, typer.Option(min=1, help="Most steps of a relaxation.")] = 300,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder; states are kept there as they are done, the same command goes on."),
    ] = Path("charge-series"),
    seed: SeedOption = 0,
    allow_overlaps: AllowOverlapsOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """States of charge of a battery crystal: orderings, lattice, convex hull, voltage raw and calibrated, charges.

    At every x the orderings of lowest electrostatic energy are relaxed, cell and
    all, and the lowest is kept. Voltages are those of the convex hull at 0 K,
    raw and shifted by what the potential is off for known electrodes of the same
    redox couple, with the error of that. Writes states.csv, voltages.csv,
    charge-series.png, ocp.bpx.json (for PyBaMM) and states/x*.extxyz, which
    `rhotem image` takes.

    Example: rhotem charge-series LiFePO4 --x 1,0.5,0 --out lfp
    """
    from rhotem.analysis.specimen import structure as read
    from rhotem.battery.charging.asked import Asked, parse_x
    from rhotem.battery.charging.images import draw_state_images, state_images
    from rhotem.battery.charging.make import charge_series as make
    from rhotem.battery.charging.report import record, write_report

    named = (
        None if stackings is None else tuple(s.strip() for s in stackings.split(",") if s.strip() not in ("", "none"))
    )
    asked = Asked(parse_x(x) if x else None, ion, orderings, named, repeat, potential, fmax, steps, seed)
    crystal = read(structure, allow_overlaps=allow_overlaps)
    with output_folder(out) as folder:
        with ProgressBar(quiet or as_json) as progress:
            series = make(crystal, asked, out, density=source if charges else None, progress=progress)
            plan = plan_of(structure, given) if images else None
            shown = state_images(series, plan, out, voice(True, progress)) if plan is not None else None
        write_report(series, folder)
        if shown is not None:
            draw_state_images(series, shown, folder / "images.png")
        told = write_record(folder, record(series))
    if as_json:
        typer.echo(to_json(told))
    elif not quiet:
        typer.echo("\n".join([*_words(series), f"written: {out}, {', '.join(sorted(told['files']))}, states"]))


def _words(series: "Series") -> list[str]:
    """A series in a few lines."""
    host, first = series.host, series.states[0].lattice
    size = " x ".join(map(str, host.repeats))
    lines = [
        f"{host.crystal.formula}: {len(series.states)} states in {size} cells, {len(host.structure)} atoms at x = 1"
    ]
    lines.append("   x     meV/site  hull  stacking        a        b        c   volume")
    for state, energy in zip(series.states, series.formation, strict=True):
        a, b, c, v = (state.lattice[key] for key in ("a_A", "b_A", "c_A", "volume_A3"))
        stable = "yes" if series.on_hull(state) else "no"
        lines.append(
            f"{state.x:6.3f}  {1e3 * energy:8.1f}  {stable:>4s}  {state.stacking:10s} {a:8.3f} {b:8.3f} {c:8.3f}  "
            f"{100 * (v / first['volume_A3'] - 1):+.2f} %"
        )
    lines.append(f"voltage against {host.ion}:")
    for step in [*series.steps, series.mean]:
        shown = "  " + " + ".join(step.couples)
        calibrated = (
            f", calibrated {step.calibrated.value:.2f} ± {step.calibrated.error:.2f} V" if step.calibrated else ""
        )
        word = "mean " if step is series.mean else ""
        lines.append(f"  {word}x {step.high:.3f} to {step.low:.3f}: raw {step.raw:.2f} V{calibrated}{shown}")
    for state in series.states:
        if state.charges:
            parts = ", ".join(
                f"{element} {q.get('bader', q['hirshfeld']):+.2f}" for element, q in state.charges.items()
            )
            lines.append(f"charges at x = {state.x:.3f} (e): {parts}")
    return [*lines, *(f"note: {note}" for note in series.notes)]
