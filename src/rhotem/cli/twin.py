"""`rhotem twin`: the record of one specimen over time, and a watcher that adds and fits what a session writes."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import JsonOption, ProgressBar, QuietOption, to_json, voice
from rhotem.cli.fit import PatternsOption
from rhotem.cli.measurement import with_measurement_options
from rhotem.cli.options import plan_of, with_plan_options
from rhotem.cli.searched import KEYS, TOLERANCE, WITHOUT, Searched, with_search_options
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan
    from rhotem.analysis.voice import Voice
    from rhotem.experiment.twin import Entry, Twin
    from rhotem.experiment.twin.watch import Fitter

app = typer.Typer(
    no_args_is_help=True,
    help="The digital twin of a specimen: measured files, fits with errors, structure, state of charge and macroscopic "
    "numbers over time, in one folder (docs/twin.md).",
)

#: Between these specimens live.
YEARS = 1900, 2200

TwinArgument = Annotated[Path, typer.Argument(metavar="TWIN", help="Folder of the twin.")]
StructureOption = Annotated[
    str | None,
    typer.Option("--structure", metavar="CIF", help="Structure from now on: a file, which is copied, or a phase."),
]
NumberOption = Annotated[
    list[str] | None,
    typer.Option(
        "--number",
        metavar="NAME=VALUE",
        help="cycle=20, x=0.5, soc=80%, temperature=25degC, voltage=3.9V, capacity=152mAh/g, or any name with its "
        "unit; repeat it for more.",
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="When it was so, as 2026-05-04T15:30; files know, the rest is now."),
]
NoteOption = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="In your words.")]
RevisionOption = Annotated[
    int | None, typer.Option("--revision", min=0, metavar="N", help="As it was after so many entries.")
]


@app.command()
def init(
    twin: TwinArgument,
    structure: Annotated[str, typer.Argument(metavar="STRUCTURE", help="CIF, POSCAR, ... or the name of a phase.")],
    name: Annotated[str | None, typer.Option("--name", help="Of the specimen; the folder's without it.")] = None,
) -> None:
    """Make a twin.

    rhotem twin init cell-7 LiCoO2 --name "pouch cell 7, cathode"
    """
    from rhotem.experiment.twin import Twin

    block, kept = _structure(structure)
    made = Twin.create(twin, name or twin.resolve().name)
    made.add(block, file=kept)
    typer.echo(f"{twin}: twin of {made.name}")


@app.command()
@with_measurement_options
def add(
    twin: TwinArgument,
    stated: Stated,
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Measured files.")] = None,
    fit: Annotated[
        Path | None, typer.Option("--fit", metavar="DIR", help="Folder of rhotem fit: its files and what was fitted.")
    ] = None,
    structure: StructureOption = None,
    number: NumberOption = None,
    note: NoteOption = None,
    at: AtOption = None,
) -> None:
    """Add measured files, fits, a structure, numbers; what is given together is one state.

    rhotem twin add cell-7 --number cycle=20 --number capacity=152mAh/g

    rhotem twin add cell-7 haadf.dm4 --fit fit --number x=0.5
    """
    from rhotem.core import InputError
    from rhotem.experiment.twin import Twin, parse_number

    opened = Twin.open(twin)
    numbers = dict(map(parse_number, number or []))
    if len(numbers) < len(number or []):
        raise InputError("--number: a name stands twice; give it once")
    said: dict[str, Any] = {"note": note} if note else {}
    kept = None
    if structure is not None:
        block, kept = _structure(structure)
        said |= block
    blocks = _blocks(opened, files or [], fit, stated)
    if not (numbers or said or blocks):
        raise InputError("nothing to add; give files, --fit, --structure, --number or --note")
    first, pictures, time = blocks[0] if blocks else ({}, {}, None)
    _told(opened.add(said | first, numbers=numbers, at=_time(at) or time, pictures=pictures, file=kept))
    for block, pictures, time in blocks[1:]:
        _told(opened.add(block, at=_time(at) or time, pictures=pictures))


@app.command()
def show(twin: TwinArgument, revision: RevisionOption = None, as_json: JsonOption = False) -> None:
    """What is known: entries by time, and the state now."""
    from rhotem.experiment.twin import Twin
    from rhotem.experiment.twin.page import summary

    opened = Twin.open(twin, revision)
    if as_json:
        entries = [{"number": e.number, "time": e.time.isoformat(), **_numbers(e), **e.said} for e in opened.entries]
        typer.echo(to_json({"name": opened.name, "entries": entries}))
        return
    typer.echo(f"{opened.name}: {summary(opened)}")
    for entry in opened.by_time():
        _told(entry)


@app.command()
def export(
    twin: TwinArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Ends in .html: a page with time lines, .csv: a table, .json: BPX."
        ),
    ],
    revision: RevisionOption = None,
) -> None:
    """A page that opens from disk, a table, or part of a BPX file for cell models (PyBaMM)."""
    from rhotem.core import InputError
    from rhotem.core.output import output_file
    from rhotem.core.table import write_rows
    from rhotem.experiment.twin import Twin
    from rhotem.experiment.twin.export import bpx, rows
    from rhotem.experiment.twin.page import write_page

    opened = Twin.open(twin, revision)
    writers: dict[str, Any] = {
        ".html": lambda path: path.write_text(write_page(opened), "utf-8"),
        ".csv": lambda path: write_rows(path, rows(opened)),
        ".json": lambda path: path.write_text(to_json(bpx(opened)) + "\n", "utf-8"),
    }
    write = writers.get(output.suffix.lower())
    if write is None:
        raise InputError(f"-o {output}: expected {', '.join(writers)}")
    with output_file(output) as part:
        write(part)
    typer.echo(f"written: {output}")


@app.command()
@with_plan_options(only=KEYS, without=WITHOUT)
@with_measurement_options
@with_search_options
def watch(
    twin: TwinArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the instrument writes.")],
    given: dict[str, Any],
    stated: Stated,
    searched: Searched,
    fits: Annotated[bool, typer.Option("--fit/--no-fit", help="Fit files, or only record them.")] = True,
    every: Annotated[float, typer.Option(min=0.05, metavar="s", help="Time between looks.")] = 2.0,
    idle: Annotated[
        float | None, typer.Option(min=0, metavar="s", help="Stop when nothing new came for so long.")
    ] = None,
    patterns: PatternsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Record and fit what a session writes, as it comes, until Ctrl-C.

    Position-averaged patterns, or with --kind image those of one --detector;
    options as of rhotem fit. A file that still grows is waited for, one that
    cannot be read or fitted is recorded with the reason.

    rhotem twin watch cell-7 /data/today --zone 0,0,1 --energy-keV 200
    --convergence-mrad 14
    """
    from rhotem.experiment.twin import Twin, Watched
    from rhotem.experiment.twin import watch as look

    opened = Twin.open(twin)
    said = replace(stated, kind=stated.kind or ("pattern" if fits else None))
    with ProgressBar(quiet) as progress:
        fitter = None
        if fits:
            fitter = _fitter(opened, (said.kind == "image", patterns), given, searched, voice(quiet, progress))
        number = look(Watched(opened, folder, said, fitter), _told, every=every, idle=idle)
    typer.echo(f"{number} new in {twin}")


def _fitter(
    twin: "Twin", how: tuple[bool, Path | None], given: dict[str, Any], searched: Searched, say: "Voice"
) -> "Fitter":
    """What fits files; ``how``: whether they are images, and the file of patterns."""
    from rhotem.experiment.twin.fitters import ImageFitter, PatternFitter

    structure, (image, patterns) = twin.structure(), how
    asked = searched.asked(given, pattern=not image)
    plan_of(structure, asked)  # what is wrong with options is said at once

    def planned(energy: float, convergence: float) -> "Plan":
        lens = {"microscope.energy_keV": energy}
        return plan_of(structure, asked | lens | ({"microscope.convergence_mrad": convergence} if image else {}))

    if image:
        return ImageFitter(planned, say, searched.limits)
    return PatternFitter(planned, say, searched.mistilt, TOLERANCE, patterns)


def _blocks(
    twin: "Twin", files: list[Path], fit: Path | None, stated: Stated
) -> list[tuple[dict[str, Any], dict[str, Any], datetime | None]]:
    """What files and a folder of `rhotem fit` say: blocks, pictures, time; a file that was fitted is there once."""
    from rhotem.core import InputError
    from rhotem.experiment.read import read_measurement
    from rhotem.experiment.twin.measured import block, fits_of, picture, when

    known = twin.known()
    measured = {one.source.sha256: one for one in (read_measurement(path, stated) for path in files)}
    found: list[tuple[dict[str, Any], dict[str, Any], datetime | None]] = []
    for said in fits_of(fit) if fit is not None else []:
        there = [measured.pop(one["source"]["sha256"], None) for one in said["measurements"]]
        shown = {f"measured {n}".removesuffix(" 1"): picture(one) for n, one in enumerate(there, 1) if one is not None}
        found.append((said, shown, next((when(one) for one in there if one is not None), None)))
    for digest, one in measured.items():
        if digest in known:
            raise InputError(f"{one.source.path}: is in the twin already; add its fit with --fit, or --note")
        found.append((block([one]), {"measured": picture(one)}, when(one)))
    return found


def _structure(text: str) -> tuple[dict[str, Any], Path | None]:
    """The block of a structure, and its file if it is one."""
    from rhotem.analysis.run import structure as read

    crystal = read(text)
    path = Path(text) if Path(text).exists() else None
    name = path.name if path else text
    return {"structure": {"name": name, "formula": crystal.formula}}, path


def _time(text: str | None) -> datetime | None:
    from rhotem.core import InputError

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if not YEARS[0] <= found.year <= YEARS[1]:
            raise ValueError
    except ValueError:
        raise InputError(
            f"--at {text}: expected a time as 2026-05-04T15:30, or a date, from {YEARS[0]} to {YEARS[1]}"
        ) from None
    return found if found.tzinfo else found.astimezone()


def _numbers(entry: "Entry") -> dict[str, Any]:
    return {"numbers": {name: vars(one) for name, one in entry.numbers.items()}} if entry.numbers else {}


def _told(entry: "Entry") -> None:
    from rhotem.experiment.twin.page import described, short

    typer.echo(f"{entry.number:>5}  {short(entry.time)}  {described(entry)}")
