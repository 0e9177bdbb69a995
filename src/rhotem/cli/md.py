"""`rhotem md`: atoms in motion, by a potential."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from rhotem.battery.potentials import DEFAULT, potential_names
from rhotem.cli.common import JsonOption, ProgressBar, QuietOption, SeedOption, StructureArgument, to_json
from rhotem.cli.options import AllowOverlapsOption

app = typer.Typer()


@app.command()
def md(
    structure: StructureArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Frames, extended xyz; the same run again goes on.")],
    temperature: Annotated[float, typer.Option(metavar="K", help="Temperature; with nve that of the start.")] = 300.0,
    time: Annotated[float, typer.Option(metavar="ps", help="Length of the whole run.")] = 1.0,
    ensemble: Annotated[
        Literal["nvt", "npt", "nve"],
        typer.Option(help="Constant temperature, temperature and pressure, or energy."),
    ] = "nvt",
    pressure: Annotated[float, typer.Option(metavar="GPa", help="Pressure of npt.")] = 0.0,
    step: Annotated[
        float | None, typer.Option(metavar="fs", help="Time step; 1 unless given, with hydrogen 0.5.")
    ] = None,
    every: Annotated[float, typer.Option(metavar="fs", help="Time between frames.")] = 10.0,
    repeat: Annotated[str, typer.Option(metavar="a,b,c", help="Repeat the cell along its axes first.")] = "1,1,1",
    potential: Annotated[
        str,
        typer.Option(
            metavar="NAME", help=f"Potential: {', '.join(potential_names())}, or a folder of `rhotem distil`."
        ),
    ] = DEFAULT,
    seed: SeedOption = 0,
    allow_overlaps: AllowOverlapsOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Molecular dynamics with SevenNet-0, without PyTorch: frames that ASE, OVITO and `rhotem` read.

    A run that was killed goes on with the same command and gives the same frames; a longer --time prolongs it.
    It ends with a word where the temperature runs away, an atom leaves, or a distilled potential is lost.
    Best from a relaxed structure: `rhotem battery ... --relax`.

    Example: rhotem md LiCoO2 --repeat 3,3,1 --temperature 600 --time 5 --out hot.extxyz
    """
    from rhotem.analysis.specimen import structure as read
    from rhotem.battery.dynamics import Settings, run
    from rhotem.structure.edits.table import parts, whole
    from rhotem.structure.model import Structure

    settings = Settings(temperature, time, ensemble, pressure, step, every, seed, potential)
    counts = tuple(whole(n) for n in parts(repeat, "--repeat", 3, ","))
    crystal = read(structure, allow_overlaps=allow_overlaps)
    crystal = Structure(crystal.atoms.repeat(tuple(counts)), info=crystal.info)
    settings = settings.fitted(crystal)
    if not (quiet or as_json):
        specimen = f"{crystal.atoms.get_chemical_formula()}, {len(crystal)} atoms"
        typer.echo(
            f"{specimen}, {settings.steps} steps of {settings.step:g} fs, {ensemble} at {temperature:g} K, {potential}"
        )
    with ProgressBar(quiet or as_json) as progress:
        record = run(crystal, settings, out, progress)
    if as_json:
        typer.echo(to_json(record))
        return
    typer.echo(f"{record['frames']} frames; second half: {record['temperature_K']:.0f} K, {record['energy_eV']:.3f} eV")
    if record["alarms"]:
        typer.echo(f"the committee disagreed beyond its limit at {record['alarms']} looks, and no longer at the next")
    typer.echo(f"written: {out}")
