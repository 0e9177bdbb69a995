"""`rhotem view`: the virtual microscope in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import QuietOption

app = typer.Typer()


@app.command()
def view(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="Library, or folder with entries of `rhotem response`; without it the demonstration of rhotem-data.",
        ),
    ] = None,
    entry: Annotated[
        str | None, typer.Option("--entry", metavar="NAME", help="Begin with this entry; needed for a report of many.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="Write one entry as a page that opens from disk, and end."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on this computer; 0: any that is free.")
    ] = 5006,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    quiet: QuietOption = False,
) -> None:
    """Turn the knobs of a microscope: images follow at once, from one propagation.

    Every setting is answered by a response (`rhotem response` makes one), with
    the numbers that a simulation would give. Sliders end where it ends.

    The page is for this computer alone, and for whoever knows its address with
    the token. From elsewhere: ssh -L 5006:127.0.0.1:5006 HOST, then that
    address. Ctrl-C ends it.
    """
    from rhotem.core import InputError
    from rhotem.library.view.demonstration import demonstration
    from rhotem.library.view.entries import entries_in, named

    place = demonstration() if folder is None else folder
    entries = entries_in(place)
    if entry is not None:
        known = named(entries, entry)
        if len(known) != 1:
            there = ", ".join(one.id for one in (known or entries)[:20])
            raise InputError(f"--entry {entry}: {place} holds {there}; name one")
        entries = [*known, *(one for one in entries if one is not known[0])]
    if report is not None:
        from rhotem.library.view.report import write_report

        if entry is None and len(entries) > 1:
            raise InputError(f"--report: {place} holds {len(entries)} entries; say which with --entry {entries[0].id}")
        write_report(entries[0], report, entries)
        if not quiet:
            typer.echo(f"{entries[0].title}: {report}")
        return
    from rhotem.library.view.server import serve

    def tell(address: str) -> None:
        typer.echo(f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'} of {place}\n{address}\nCtrl-C ends it")

    serve(entries, port=port, browser=browser, tell=tell)
