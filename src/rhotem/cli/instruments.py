"""`rhotem instruments`: the real microscopes that `rhotem image --instrument` knows."""

from typing import Annotated

import typer

from rhotem.cli.common import JsonOption, to_json

app = typer.Typer(invoke_without_command=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME|FILE", help="Name of an instrument, or its YAML file.")]


@app.callback()
def root(context: typer.Context) -> None:
    """Real microscopes: their aberrations, envelopes, detectors and noise.

    Without a command: the list.
    """
    if context.invoked_subcommand is None:
        list_instruments()


@app.command("list")
def list_instruments(as_json: JsonOption = False) -> None:
    """Instruments by name, and the folder for your own."""
    from rhotem.microscope.instruments import instruments_folder, listed

    found = listed()
    if as_json:
        typer.echo(to_json({name: one.model_dump(mode="json", by_alias=True) for name, one in found.items()}))
        return
    width = max(map(len, found), default=0)
    for name, one in found.items():
        typer.echo(f"{name:<{width}}  {one.energy_keV:g} kV, {one.convergence_mrad[0]:g} mrad: {one.about}")
    typer.echo(f"your own: {instruments_folder()}/NAME.yaml; `rhotem instruments template` shows one")


@app.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Everything that is known of an instrument, where it comes from, and what may be switched off."""
    from rhotem.microscope.instruments import CONTRIBUTIONS, get_instrument
    from rhotem.microscope.instruments.registry import path_of

    path, one = path_of(name), get_instrument(name)
    if as_json:
        typer.echo(to_json({"file": str(path), **one.model_dump(mode="json", by_alias=True)}))
        return
    typer.echo(f"# {path}\n{path.read_text(encoding='utf-8').rstrip()}\n")
    typer.echo(f"focal spread {one.focal_spread:.3g} Å (standard deviation)")
    if one.current_pA is not None:
        typer.echo(f"dose {one.dose(0.2):.3g} e/Å² at steps of 0.2 Å")
    typer.echo("\n--without NAME switches off one contribution:")
    width = max(map(len, CONTRIBUTIONS))
    for key, contribution in CONTRIBUTIONS.items():
        typer.echo(f"  {key:<{width}}  {contribution.about}")


@app.command()
def template() -> None:
    """Print a file with every key: `rhotem instruments template > mine.yaml`."""
    from rhotem.microscope.instruments.registry import template as text

    typer.echo(text().rstrip())
