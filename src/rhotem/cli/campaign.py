"""`rhotem campaign`: many specimens into a library."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rhotem.cli.common import JsonOption, ProgressBar, QuietOption, to_json

if TYPE_CHECKING:
    from rhotem.library.campaign.driver import Crew
    from rhotem.library.campaign.ledger import Ledger
    from rhotem.library.store import Library

app = typer.Typer(
    no_args_is_help=True,
    help="Many specimens into a library: responses that answer for every lens. A plan says which (docs/library.md); "
    "killed at any moment, resume goes on.",
)

PlanArgument = Annotated[Path, typer.Argument(metavar="PLAN", help="Campaign, YAML or JSON (docs/library.md).")]
LibraryArgument = Annotated[Path, typer.Argument(metavar="LIBRARY", help="Folder of the library.")]
NameArgument = Annotated[
    str | None, typer.Argument(metavar="CAMPAIGN", help="Its name; may be left out where there is only one.")
]
LibraryOption = Annotated[
    Path, typer.Option("--library", "-l", metavar="DIR", help="Folder of the library; made if there is none.")
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, metavar="N", help="Processes here, or tasks at once on a cluster.")
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers see the library (docs/clusters.md)."
    ),
]
CatalogueOption = Annotated[
    str | None,
    typer.Option(
        "--catalogue",
        metavar="URL",
        help="Database of a new library, postgresql://USER@HOST/DATABASE, instead of SQLite in its folder.",
    ),
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost and stop.")]
SampleOption = Annotated[
    int, typer.Option("--sample", min=1, metavar="N", help="Tasks that are planned; the others cost as these do.")
]


@app.command("run")
def run_command(
    plan: PlanArgument,
    library: LibraryOption = Path("library"),
    workers: WorkersOption = 2,
    scheduler: SchedulerOption = None,
    catalogue: CatalogueOption = None,
    dry_run: DryOption = False,
    quiet: QuietOption = False,
) -> None:
    """Do the tasks of a plan; what the library has already is not done again."""
    from rhotem.library.campaign.driver import Crew
    from rhotem.library.campaign.expand import tasks_of
    from rhotem.library.campaign.ledger import Ledger
    from rhotem.library.campaign.load import load_campaign
    from rhotem.library.store import Library

    campaign = load_campaign(plan)
    if dry_run:
        cost(plan, workers=workers)
        return
    tasks = tasks_of(campaign)
    with Library.create(library, catalogue) as opened:
        ledger = Ledger(opened.catalogue, campaign.name)
        ledger.begin(campaign.model_dump_json(by_alias=True), tasks)
        _drive(opened, ledger, Crew(workers, scheduler), quiet)


@app.command()
def cost(
    plan: PlanArgument, workers: WorkersOption = 2, sample: SampleOption = 200, as_json: JsonOption = False
) -> None:
    """Say how many tasks a plan has, and the time and space that they will take."""
    from rhotem.library.campaign.cost import costs
    from rhotem.library.campaign.load import load_campaign

    with ProgressBar(as_json) as progress:
        said = costs(load_campaign(plan), sample, progress)
    typer.echo(to_json(said.record(workers)) if as_json else said.text(workers))


@app.command()
def status(library: LibraryArgument, name: NameArgument = None, as_json: JsonOption = False) -> None:
    """Done, waiting and failed tasks with their reasons; rate and time to go."""
    from rhotem.library.campaign.ledger import Ledger, ledgers
    from rhotem.library.campaign.status import lines, record
    from rhotem.library.store import Library

    with Library.open(library) as opened:
        chosen = ledgers(opened.catalogue) if name is None else [Ledger.named(opened.catalogue, name)]
        if as_json:
            typer.echo(to_json([record(ledger) for ledger in chosen]))
            return
        for line in [line for ledger in chosen for line in lines(ledger)] or ["no campaign yet"]:
            typer.echo(line)


@app.command()
def resume(
    library: LibraryArgument,
    name: NameArgument = None,
    workers: WorkersOption = 2,
    scheduler: SchedulerOption = None,
    quiet: QuietOption = False,
) -> None:
    """Go on with a campaign: tasks that wait, were in flight or were cancelled."""
    _again(library, name, ("cancelled",), (workers, scheduler), quiet)


@app.command()
def retry(
    library: LibraryArgument,
    name: NameArgument = None,
    workers: WorkersOption = 2,
    scheduler: SchedulerOption = None,
    quiet: QuietOption = False,
) -> None:
    """Do the tasks that failed once more, and go on."""
    _again(library, name, ("failed",), (workers, scheduler), quiet)


@app.command()
def cancel(library: LibraryArgument, name: NameArgument = None) -> None:
    """Start no further task; those in flight end. `resume` goes on."""
    from rhotem.library.campaign.ledger import Ledger
    from rhotem.library.store import Library

    with Library.open(library, write=True) as opened:
        ledger = Ledger.named(opened.catalogue, name)
        typer.echo(f"{ledger.name}: {ledger.change(('waiting',), 'cancelled')} tasks cancelled")


def _again(library: Path, name: str | None, states: tuple[str, ...], crew: tuple[int, str | None], quiet: bool) -> None:
    from rhotem.library.campaign.driver import Crew
    from rhotem.library.campaign.ledger import Ledger
    from rhotem.library.store import Library

    with Library.open(library, write=True) as opened:
        _drive(opened, Ledger.named(opened.catalogue, name), Crew(*crew), quiet, states)


def _drive(library: "Library", ledger: "Ledger", crew: "Crew", quiet: bool, again: tuple[str, ...] = ()) -> None:
    """Work, and tell how it gets on: in one line on a terminal, elsewhere in a line for every task."""
    import sys

    from rhotem.core import InputError
    from rhotem.library.campaign.driver import drive
    from rhotem.library.campaign.model import Campaign
    from rhotem.library.campaign.tally import Tally

    limits = Campaign.model_validate_json(ledger.plan()).limits
    live = sys.stderr.isatty()

    def report(tally: Tally) -> None:
        if live and not quiet:
            typer.echo(f"\r\033[2K{tally}", nl=False, err=True)
        elif not quiet:
            typer.echo(f"{tally.last}\n{tally}")

    tally = drive(ledger, limits, crew, report, again)
    if live and not quiet:
        typer.echo("\r\033[2K", nl=False, err=True)
    spent = f"{tally.seconds:.0f} s of processor time, workers busy {100 * tally.busy:.0f} %"
    typer.echo(f"{ledger.name}: {tally}; {spent if tally.to_do else 'nothing to do'}")
    if tally.failed and not tally.done:
        raise InputError(f"none of {tally.failed} tasks could be done, the last: {tally.last}")
    if failed := tally.failed + tally.given_up:
        told = f"`rhotem campaign status {library.folder}` says why {failed} failed"
        typer.echo(f"{told}, `rhotem campaign retry {library.folder}` does them again", err=True)
