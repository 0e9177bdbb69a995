"""`rhotem distil`: a fast potential of one material, taught by SevenNet-0."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rhotem.battery.distillation.distil import Settings
from rhotem.battery.potentials import DEFAULT
from rhotem.cli.common import JsonOption, ProgressBar, QuietOption, SeedOption, StructureArgument, to_json
from rhotem.cli.options import AllowOverlapsOption

app = typer.Typer()


@app.command()
def distil(
    structure: StructureArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder; the same command goes on after a stop.")],
    temperature: Annotated[
        float, typer.Option(metavar="K", help="Hottest run that the potential is for.")
    ] = Settings.temperature,
    element: Annotated[
        str,
        typer.Option("--element", "-e", metavar="Li", help="Ion that moves; without it the first of Li, Na, K, ..."),
    ] = "",
    frames: Annotated[int, typer.Option(metavar="N", help="About so many frames to learn from.")] = Settings.frames,
    members: Annotated[
        int, typer.Option(metavar="N", help="Potentials of the committee that watches runs; 1: nothing watches.")
    ] = Settings.members,
    epochs: Annotated[
        int, typer.Option(metavar="N", min=10, help="Passes of the training over the frames.")
    ] = Settings.epochs,
    potential: Annotated[str, typer.Option(metavar="NAME", help="Teacher.")] = DEFAULT,
    turns: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Run a larger cell, learn from what was new, run again: at most N times."
        ),
    ] = Settings.turns,
    stay: Annotated[
        float, typer.Option(metavar="ps", help="Turns end when runs at --temperature stay inside for so long.")
    ] = Settings.stay,
    seed: SeedOption = 0,
    allow_overlaps: AllowOverlapsOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """A fast potential (NEP) of one material, taught by SevenNet-0: minutes to make, some 20 times faster to run.

    Explores a small cell: rattled, strained, moving from cold to hotter than --temperature, with and without vacancies,
    with ions held halfway through hops. Labels these frames, trains a committee, prints its errors on frames held out.
    With --turns the committee runs a cell of 150 atoms or more; where it is lost, frames are labelled and learned from,
    from the weights that are there; one run of every turn is held out. More turns go on from those that were taken.
    `rhotem md --potential DIR` runs it, and stops where the committee disagrees.

    Example: rhotem distil LiCoO2 --temperature 900 --out LiCoO2-nep
    """
    from rhotem.analysis.specimen import structure as read
    from rhotem.battery.distillation.distil import distil as make
    from rhotem.battery.distillation.fit import train_nep
    from rhotem.battery.nep import check_installed

    check_installed()

    settings = Settings(temperature, element, frames, members, epochs, potential, seed, turns, stay)
    crystal = read(structure, allow_overlaps=allow_overlaps)
    with ProgressBar(quiet or as_json) as progress:
        record = make(crystal, settings, out, train_nep, progress)
    if as_json:
        typer.echo(to_json(record))
        return
    _tell(record, out)


def _tell(record: dict[str, Any], out: Path) -> None:
    held = record["held_out"]
    by_element = ", ".join(f"{symbol} {error:.3f}" for symbol, error in held["force_by_element"].items())
    typer.echo(
        f"{record['frames']} frames of {record['material']} to learn from, {held['frames']} held out\n"
        f"held out: {held['energy_meV_per_atom']:.2f} meV/atom, {held['force_eV_per_A']:.3f} eV/Å of "
        f"{held['labels_rms_force_eV_per_A']:.2f} ({by_element}), {held['stress_GPa']:.2f} GPa"
    )
    if record["hop_error_eV"] is not None:
        typer.echo(f"ions halfway through a hop: {record['hop_error_eV']:+.3f} eV too high in the mean")
    if record["members"]:
        typer.echo(
            f"committee of {1 + len(record['members'])}: stops a run where forces differ by more than "
            f"{record['limit_eV_per_A']:.2f} eV/Å"
        )
    for number, turn in enumerate(record.get("turns", []), 1):
        far = ", ".join(f"{run['name']} {run['ps']:.1f}" for run in turn["runs"])
        wrong = turn["held_out"]
        error = (
            f"; held out {wrong['force_eV_per_A']:.3f} eV/Å, {wrong['energy_meV_per_atom']:.1f} meV/atom"
            if wrong
            else ""
        )
        typer.echo(f"runs {number}: inside for ps: {far}{error}")
    typer.echo(f"written: {out}, nep.txt, {', '.join([*record['members'], 'nep.json'])}")
