"""`rhotem train`: train the learned density, or go on where a run was stopped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import JsonOption, ProgressBar, QuietOption, to_json

if TYPE_CHECKING:
    from rhotem.training.config import Config

app = typer.Typer()


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file; docs/model.md lists what it may say.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many steps; run again to continue.", show_default="all")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a density model on DFT labels, after the runs it starts from; run again to continue."""
    from rhotem.core.packages import require
    from rhotem.training.config import stages

    chain = stages(config)
    require("torch", extra="training", what="rhotem train")
    there = [n for n, run in enumerate(chain[:-1], 1) if (Path(run.out) / "model.safetensors").is_file()]
    for number, settings in enumerate(chain, 1):
        if number <= max(there, default=0):  # what a run starts from that is there needs no run before it
            continue
        info, done = _train(settings, f"{number} of {len(chain)}: {settings.name}", steps, quiet)
        if as_json and (info or number == len(chain)):
            typer.echo(to_json({**info, "folder": settings.out}))
        elif not as_json:
            _report(info, settings.out)
        if steps is not None and (steps := steps - done) <= 0:
            return


def _train(settings: "Config", title: str, steps: int | None, quiet: bool) -> tuple[dict[str, Any], int]:
    """Train one run, or so many steps of it; what came out, and how many steps were made."""
    from rhotem.training.trainer import Trainer

    with ProgressBar(quiet) as progress:
        trainer = Trainer(settings, progress)
        first, parts = trainer.step, trainer.split
        if not quiet:
            typer.echo(
                f"run {title}; {trainer.model.parameters_count} parameters on {trainer.device}; labels: "
                f"{len(parts.train)} to train on, {len(parts.family)} held out in family, {len(parts.unseen)} of "
                f"unseen chemistry; step {first} of {settings.train.steps}",
                err=True,
            )
            if parts.missing:
                typer.echo(
                    f"{settings.data.split}: {len(parts.missing)} of its labels are in no folder of data.labels "
                    f"({', '.join(parts.missing[:3])}); they are left out",
                    err=True,
                )
        info = trainer.run(progress, None if steps is None else first + steps)
    return info, trainer.step - first


def _report(info: dict[str, Any], folder: str) -> None:
    """Print how good a finished model is, and where a run lies."""
    for name, result in info.get("accuracy", {}).items():
        if result:
            potential = result.get("potential_error_ratio")
            typer.echo(
                f"{name}: deformation error {result['deformation_error']:.3f}, median "
                f"{result['deformation_error_median']:.3f}"
                + (f"; potential {potential:.3f} (free atoms: 1)" if potential is not None else "")
            )
    typer.echo(f"written: {folder}")
