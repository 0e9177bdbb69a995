"""`rhotem cite`: the works that a result stands on."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rhotem.core import InputError
from rhotem.core.output import RECORD

app = typer.Typer()


@app.command()
def cite(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="A record.json, or the folder of a result.")],
    bibtex: Annotated[bool, typer.Option("--bibtex", help="As entries of BibTeX.")] = False,
) -> None:
    """List what to cite for a result: programs, densities, weights, tables, the crystal and its thermal motion."""
    from rhotem.analysis.references import references

    path = record / RECORD if record.is_dir() else record
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there; give the record.json of a result, or its folder") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a record ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: no record of RhoTEM: expected the record.json of an output folder")
    works = references(content)
    typer.echo("\n\n".join(w.bibtex() for w in works) if bibtex else "\n".join(f"- {w}" for w in works))
