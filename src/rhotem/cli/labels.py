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
    list_only: Annotated[bool, typer.Option("--list", help="Show the jobs and stop.")] = False,
) -> None:
    """Make the labels of a plan; killed at any moment, the same command continues."""
    import time

    from rhotem.labels.plan import jobs_of, load_plan
    from rhotem.labels.runner import run, wanted

    loaded = load_plan(plan)
    jobs = jobs_of(loaded, plan.parent)
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


if __name__ == "__main__":
    app()
