"""`rhotem labels`: DFT densities in quantity."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="DFT densities in quantity, to train on and to test against.")


@app.command("run")
def run_command(
    plan: Annotated[Path, typer.Argument(help="Plan: YAML, TOML or JSON (docs/labels.md).")],
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler; default: this machine.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do runs that failed before again.")] = False,
    hours: Annotated[float | None, typer.Option(help="Start no run after this time.")] = None,
    known: Annotated[list[Path] | None, typer.Option(help="Labels the sampler stays away from.")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Show the jobs and stop.")] = False,
) -> None:
    """Make the labels of a plan; killed at any moment, the same command continues."""
    import time

    from rhotem.labels.plan import jobs_of, load_plan
    from rhotem.labels.runner import run, wanted

    loaded = load_plan(plan)
    jobs = jobs_of(loaded, plan.parent, known=known or ())
    if list_only:
        for job in jobs:
            typer.echo(f"{job.id}  {wanted(loaded.output, job) or 'to do':13s} {job.info.get('name', '')}")
        return
    begun = time.time()
    counts = run(
        loaded.output,
        jobs,
        time_limit=loaded.limits.time,
        attempts=loaded.limits.attempts,
        retry_failed=retry_failed,
        scheduler=scheduler,
        progress=lambda stage, done, total: typer.echo(f"[{done}/{total}] {stage}"),
        stop=lambda: hours is not None and time.time() - begun > 3600 * hours,
    )
    typer.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "nothing to do")


@app.command()
def status(
    where: Annotated[Path, typer.Argument(help="A plan, or a directory of runs.")],
) -> None:
    """Done, running, failed, rejected with reasons; rate and time to go."""
    from rhotem.core import InputError
    from rhotem.labels.plan import load_plan
    from rhotem.labels.status import names_of
    from rhotem.labels.status import status as look

    directory = where if where.is_dir() else load_plan(where).output
    if not directory.is_dir():
        raise InputError(f"{where}: nothing has run yet; start with  rhotem labels run {where}")
    for line in look(directory).lines(names_of(directory)):
        typer.echo(line)


@app.command()
def pack(
    source: Annotated[Path, typer.Argument(help="Directory of label files.")],
    target: Annotated[Path, typer.Argument(help="Where the compact files go.")],
) -> None:
    """Keep test labels whole and chosen voxels of all others, compactly; drop what quality rejects."""
    from rhotem.labels.pack import pack as do

    outcome = do(source, target)
    for name, what in outcome.items():
        if what not in ("kept", "whole", "voxels"):
            typer.echo(f"rejected: {name}: {what}")
    counts = {what: list(outcome.values()).count(what) for what in ("kept", "whole", "voxels")}
    typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()))


@app.command()
def store(
    path: Annotated[Path, typer.Argument(help="Directory of the store.")],
    sources: Annotated[list[Path], typer.Argument(help="Label files or directories of them.")],
) -> None:
    """Build or extend a label store: treated, checksummed, memory-mapped, ready for training."""
    from rhotem.labels.store import build

    built, unread = build(path, sources)
    for file, reason in unread.items():
        typer.echo(f"rejected: {file}: {reason}")
    for name, entry in built.entries.items():
        if entry.state != "accepted":
            typer.echo(f"{entry.state}: {name}: {'; '.join(entry.reasons)}")
    typer.echo(f"{len(built.ids)} labels in {path} may be used")


@app.command()
def splits(
    path: Annotated[Path, typer.Argument(help="Directory of a store.")],
    target: Annotated[Path, typer.Argument(help="Where the split files go; what they say already stays.")],
) -> None:
    """Write the splits of a store as files."""
    from rhotem.labels.splits import write_splits
    from rhotem.labels.store import LabelStore

    for name, counts in write_splits(target, LabelStore(path).labels()).items():
        typer.echo(f"{name}: " + ", ".join(f"{count} {part}" for part, count in counts.items()))


if __name__ == "__main__":
    app()
