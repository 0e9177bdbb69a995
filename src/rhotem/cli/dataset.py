"""`rhotem dataset`: labelled pictures for networks."""

from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import JsonOption, ProgressBar, QuietOption, to_json

app = typer.Typer(
    no_args_is_help=True,
    help="Labelled pictures for networks, drawn from a library of responses; labels are exact, from the structure "
    "(docs/dataset.md). Killed at any moment, make goes on.",
)

FolderArgument = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of the data set.")]
LibraryOption = Annotated[
    Path, typer.Option("--library", "-l", metavar="DIR", help="Keeps the responses; made if there is none.")
]


@app.command("make")
def make_command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan of a data set, YAML or JSON (docs/dataset.md).")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the data set.")] = Path("dataset"),
    library: LibraryOption = Path("library"),
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Processes.")] = 1,
    quiet: QuietOption = False,
) -> None:
    """Make the pictures of a plan; responses and shards that are there are not made again."""
    from rhotem.library.dataset.load import load_dataset_plan
    from rhotem.library.dataset.make import make

    chosen = load_dataset_plan(plan)

    def report(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    with ProgressBar(quiet) as progress:
        outcome = make(chosen, library, out, workers=workers, report=report, progress=progress)
    made = f"{outcome.drawn} shards drawn, {outcome.kept} were there"
    typer.echo(f"{out}: {made}; {chosen.pictures.each} pictures each")
    for title, why in outcome.lacking.items():
        typer.echo(f"without pictures: {title}: {why}", err=True)


@app.command()
def status(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Shards that are there and that are not, by split."""
    from rhotem.library.dataset import open_dataset
    from rhotem.library.dataset.store import SPLITS

    dataset = open_dataset(folder)
    counts = {
        split: {
            "made": sum(s.there for s in dataset.every if s.about["split"] == split),
            "planned": sum(s.about["split"] == split for s in dataset.every),
        }
        for split in SPLITS
    }
    each = int(dataset.about["plan"]["pictures"]["each"])
    if as_json:
        typer.echo(to_json({"name": dataset.about["name"], "pictures_each": each, "splits": counts}))
        return
    typer.echo(f"{dataset.about['name']}: recipe {dataset.about['recipe']}, {each} pictures a shard")
    for split, count in counts.items():
        typer.echo(f"{split:<11} {count['made']} of {count['planned']} shards, {each * count['made']} pictures")


@app.command("verify")
def verify_command(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Read every shard and compare it with its checksums; exit code 2 if something is damaged."""
    from rhotem.library.dataset import open_dataset
    from rhotem.library.dataset.verify import verify

    with ProgressBar(as_json) as progress:
        findings = verify(open_dataset(folder), progress)
    typer.echo(to_json(vars(findings)) if as_json else "\n".join(findings.lines()))
    if findings.damaged:
        raise typer.Exit(2)


@app.command()
def export(
    folder: FolderArgument,
    layout: Annotated[str, typer.Option("--to", metavar="LAYOUT", help="webdataset, temimagenet or coco.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.")],
    split: Annotated[str | None, typer.Option("--split", help="train, validation or test; without it all.")] = None,
) -> None:
    """Write the pictures in the layout of another program."""
    from rhotem.core.output import output_folder
    from rhotem.library.dataset import open_dataset
    from rhotem.library.dataset.layouts import layout_of

    dataset = open_dataset(folder)
    chosen = layout_of(layout, dataset.about["recipe"])
    with output_folder(out) as target:
        number = chosen.write(dataset, split, target)
    typer.echo(f"{number} pictures in {out}")


@app.command("train")
def train_command(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the training; it goes on where it was.")],
    steps: Annotated[
        int, typer.Option("--steps", min=4, help="Of the whole training, half of them the first cycle.")
    ] = 1400,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Pictures of one step.")] = 8,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", metavar="s", min=0, help="Stop after so much processor time; train on later."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights and order of the pictures.")] = 0,
    quiet: QuietOption = False,
) -> None:
    """Train the network of a data set's recipe: columns (`rhotem segment`), denoising, focal-series; needs PyTorch."""
    from rhotem.core.packages import require

    require("torch", extra="training", what="training")
    from rhotem.learned.pictures.weights import load_weights
    from rhotem.library.dataset import open_dataset
    from rhotem.training.pictures.calibrate import calibrated
    from rhotem.training.pictures.jobs import job_of
    from rhotem.training.pictures.train import Settings, train

    dataset = open_dataset(folder)
    quarter = max(steps // 4, 1)
    cycles = (steps - 2 * quarter, quarter, quarter)
    job = job_of(dataset.about["recipe"])
    inputs = job.inputs(dataset.about["plan"])
    settings = Settings(
        cycles=cycles, batch=batch, seed=seed, recipe=job.recipe, widths=job.widths, patch=job.patch, inputs=inputs
    )

    def report(row: dict) -> None:
        if not quiet:
            typer.echo(
                "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), err=True
            )

    with ProgressBar(quiet) as progress:
        run = train(dataset.shards("train"), settings, out, progress, seconds=seconds, report=report)
    if run.step < run.steps:
        typer.echo(f"{out}: step {run.step} of {run.steps}; the same command goes on")
        return
    said = {"dataset": dataset.about["name"], "identity": dataset.about["identity"]}
    path, draft = out / "network.safetensors", out / "network.part"
    watched = any(s.there and s.about["split"] == "validation" for s in dataset.every)
    if settings.recipe == "columns" and watched:
        run.export(draft, said)  # killed here, no network is left that does not know its threshold
        said |= calibrated(load_weights(draft), dataset.shards("validation"))
        draft.unlink()
    run.export(path, said)
    use = f"; `rhotem segment IMAGE --network {path}` uses it" if settings.recipe == "columns" else ""
    typer.echo(f"{path}: {run.spent:.0f} s of processor time{use}")
