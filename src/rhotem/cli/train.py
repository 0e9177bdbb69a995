"""`rhotem train`: train the learned density, or go on where a run was stopped."""

from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import JsonOption, ProgressBar, QuietOption, to_json

app = typer.Typer()


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file; docs/model.md lists what it may say.")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a density model on DFT labels; run again to continue after an interruption."""
    from rhotem.core.packages import require
    from rhotem.training.config import read_config

    settings = read_config(config)
    require("torch", extra="training", what="rhotem train")
    from rhotem.training.trainer import Trainer

    with ProgressBar(quiet) as progress:
        trainer = Trainer(settings, progress)
        parts = trainer.split
        if not quiet:
            typer.echo(
                f"{trainer.model.parameters_count} parameters on {trainer.device}; labels: {len(parts.train)} to train "
                f"on, {len(parts.family)} held out in family, {len(parts.unseen)} of unseen chemistry; "
                f"step {trainer.step} of {settings.train.steps}",
                err=True,
            )
        info = trainer.run(progress)
    if as_json:
        typer.echo(to_json({**info, "folder": settings.out}))
        return
    for name, result in info.get("accuracy", {}).items():
        if result:
            typer.echo(
                f"{name}: deformation error {result['deformation_error']:.3f}, median "
                f"{result['deformation_error_median']:.3f}; "
                f"potential {result['potential_error_ratio']:.3f} (free atoms: 1)"
            )
    typer.echo(f"written: {settings.out}")
