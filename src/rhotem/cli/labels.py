"""`rhotem labels`: DFT densities in quantity."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rhotem.labels.listing import Listing

app = typer.Typer(no_args_is_help=True, help="DFT densities in quantity, to train on and to test against.")


@app.command("run")
def run_command(
    plan: Annotated[Path, typer.Argument(help="Plan: YAML, TOML or JSON (docs/labels.md).")],
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler; default: this machine.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do runs that failed before again.")] = False,
    hours: Annotated[float | None, typer.Option(help="Start no run after this time.")] = None,
    known: Annotated[list[Path] | None, typer.Option(help="Labels (folders, shards) that are not made again.")] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Two or more models: the sampler takes what they dispute most.")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Show the jobs and stop.")] = False,
) -> None:
    """Make the labels of a plan; killed at any moment, the same command continues."""
    import time

    from rhotem.battery.potentials import potential_calculator
    from rhotem.labels.plan import jobs_of, load_plan
    from rhotem.labels.read import places
    from rhotem.labels.runner import run, wanted

    loaded = load_plan(plan)
    choose = _selection(select)
    planned = jobs_of(loaded, plan.parent, choose, known or (), potential_calculator)
    held = places(known or ())
    jobs = [job for job in planned if job.id not in held]
    if len(jobs) < len(planned):
        typer.echo(f"{len(planned) - len(jobs)} of {len(planned)} labels are known")
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


def _selection(models: list[str] | None) -> Callable | None:
    """What ``--select`` means: disagreement of the named models, None for farthest points."""
    if not models:
        return None
    from rhotem.labels.selection import by_disagreement
    from rhotem.learned.source import Model

    return by_disagreement([Model(name) for name in models])


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
    small: Annotated[
        float | None, typer.Option(help="Only the smallest labels, one per parent, up to so many MB.")
    ] = None,
    known: Annotated[
        list[Path] | None, typer.Option(help="Labels elsewhere: a higher state of one of them is not kept.")
    ] = None,
) -> None:
    """Keep test labels whole and chosen voxels of all others; of several states of a structure, the lowest."""
    from rhotem.labels.pack import pack as do
    from rhotem.labels.pack import small_selection

    if small is not None:
        typer.echo(f"{len(small_selection([source], target, int(small * 1e6)))} labels in {target}")
        return
    outcome = do(source, target, known=known or ())
    for name, what in outcome.items():
        if what.startswith(("higher: ", "same: ")):
            typer.echo(f"not kept: {name}: {what}")
        elif what not in ("kept", "whole", "voxels"):
            typer.echo(f"rejected: {name}: {what}")
    counts = {what: list(outcome.values()).count(what) for what in ("kept", "whole", "voxels")}
    typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()))


@app.command()
def shard(
    source: Annotated[Path, typer.Argument(help="Directory of label files.")],
    folder: Annotated[Path, typer.Argument(help="Directory of shards; the new one is the next number.")],
    known: Annotated[list[Path] | None, typer.Option(help="Directories of labels that are kept elsewhere.")] = None,
    split: Annotated[
        Path | None, typer.Option(help="Only labels that this split names; those it tests against keep their grids.")
    ] = None,
) -> None:
    """Write the accepted labels that no shard has into one new file; other shards stay as they are."""
    from rhotem.labels.shards import add_shard

    made, outcome = add_shard(source, folder, known or (), split)
    for name, what in outcome.items():
        if what not in ("added", "kept"):
            typer.echo(f"not taken: {name}: {what}")
    count = list(outcome.values()).count("added")
    typer.echo(
        f"{count} labels in {made}, {made.stat().st_size / max(count, 1) / 1e3:.1f} kB each" if made else "nothing new"
    )


@app.command()
def check(
    sources: Annotated[list[Path], typer.Argument(help="Label files, shards, or folders of either.")],
) -> None:
    """Read and judge labels: which may be used, which not and why, and of which a lower state is known."""
    from rhotem.labels.listing import listing

    listed = listing(sources)
    _tell(listed)
    typer.echo(f"{len(listed.usable)} labels may be used")


def _tell(listed: "Listing") -> None:
    """Print what may not be used."""
    for file, reason in listed.unread.items():
        typer.echo(f"rejected: {file}: {reason}")
    for name, verdict in listed.verdicts.items():
        if verdict.state != "accepted":
            typer.echo(f"{verdict.state}: {name}: {'; '.join(verdict.reasons)}")
    for name, (lowest, gap) in listed.higher.items():
        typer.echo(f"not used: {name}: {gap:.3f} eV per cell above {lowest}")


@app.command()
def splits(
    target: Annotated[Path, typer.Argument(help="Where the split files go; what they say already stays.")],
    sources: Annotated[list[Path], typer.Argument(help="Label files, shards, or folders of either.")],
) -> None:
    """Write who is trained on and who is tested against as files."""
    from rhotem.labels.listing import listing
    from rhotem.labels.splits import write_splits

    listed = listing(sources)
    _tell(listed)
    for name, counts in write_splits(target, listed.usable).items():
        typer.echo(f"{name}: " + ", ".join(f"{count} {part}" for part, count in counts.items()))


@app.command()
def add(
    density: Annotated[Path, typer.Argument(help="CHGCAR, AECCAR2, cube …, or a VASP directory.")],
    target: Annotated[Path, typer.Argument(help="Directory of label files.")],
    vasprun: Annotated[Path | None, typer.Option(help="vasprun.xml; found in a VASP directory.")] = None,
    charge: Annotated[float, typer.Option(help="Charge of the cell in e.")] = 0.0,
    prototype: Annotated[str, typer.Option(help="What the structure is, for splits.")] = "",
    kind: Annotated[str | None, typer.Option(help="What the file holds, where its name does not say.")] = None,
) -> None:
    """Make a label of somebody's own DFT run."""
    from rhotem.core import InputError
    from rhotem.labels.external import from_density
    from rhotem.labels.npz import write_npz
    from rhotem.labels.quality import judge

    record = from_density(density, vasprun, charge, prototype, kind=kind)
    verdict = judge(record)
    if verdict.state == "rejected":
        raise InputError(f"{density}: rejected: {'; '.join(verdict.reasons)}")
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{record.meta['job']}.npz"
    write_npz(record, path)
    told = "; ".join((*verdict.reasons, *verdict.warnings))
    typer.echo(f"{path}: {verdict.state}" + (f" ({told})" if told else ""))


@app.command()
def export(
    sources: Annotated[list[Path], typer.Argument(help="Label files or directories of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="FILE.extxyz for all, or a CHGCAR, cube … for one.")],
) -> None:
    """Write labels for other programs."""
    from rhotem.core import InputError
    from rhotem.labels.export import export_density, write_extxyz
    from rhotem.labels.read import places

    if output.suffix in (".xyz", ".extxyz"):
        typer.echo(f"{output}: {write_extxyz(sources, output)} structures")
    elif len(sources) == 1 and not sources[0].is_dir():
        typer.echo(f"{export_density(sources[0], output)}: valence density")
    else:
        count = len(places(sources))
        raise InputError(f"{output}: {count} labels for one density file; name one label, or -o FILE.extxyz")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Label.")],
    second: Annotated[Path, typer.Argument(help="Label of the same structure.")],
) -> None:
    """Relative difference of two labels of one structure, outside 0.15 Å of the nuclei."""
    from rhotem.labels.noise import relative_difference
    from rhotem.labels.read import read_label

    typer.echo(f"{relative_difference(read_label(first), read_label(second)):.3e}")


@app.command()
def noise(
    structure: Annotated[Path, typer.Argument(help="Structure file or label.")],
    ecut: Annotated[float, typer.Option(help="Cutoff of the reference in eV.")] = 600.0,
    kpt_density: Annotated[float, typer.Option(help="k-point density of the reference in Å.")] = 3.5,
    lcao: Annotated[
        bool, typer.Option("--lcao", help="Judge atomic orbitals instead of the labels' plane waves.")
    ] = False,
) -> None:
    """What the noise of labels is: the labels' settings against better ones, in the three metrics."""
    import tempfile

    from rhotem.labels.gpaw_settings import DftSettings
    from rhotem.labels.noise import label_noise
    from rhotem.labels.read import read_label
    from rhotem.structure.read import read_structure

    subject = read_label(structure).structure if structure.suffix == ".npz" else read_structure(structure)
    reference = DftSettings(ecut=ecut, kpt_density=kpt_density, density_convergence=1e-5)
    with tempfile.TemporaryDirectory() as scratch:
        measured = label_noise(subject, DftSettings(), reference, Path(scratch), lcao)
    for name, value in measured.scores.as_dict().items():
        typer.echo(f"{name:32s} {value:.5f}")
    typer.echo(f"{'energy difference (meV/atom)':32s} {1000 * measured.energy_difference:.2f}")
    typer.echo(f"{'total moments (Bohr magnetons)':32s} {measured.moments[0]:.3f} {measured.moments[1]:.3f}")
    typer.echo(f"{'seconds':32s} {measured.seconds[0]:.0f} {measured.seconds[1]:.0f}")


if __name__ == "__main__":
    app()
