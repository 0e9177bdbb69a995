"""`rhotem library`: what libraries hold, and their upkeep."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import JsonOption, ProgressBar, output_folder, to_json
from rhotem.cli.measurement import MeasurementArgument, with_measurement_options
from rhotem.experiment.read.stated import Stated

if TYPE_CHECKING:
    from rhotem.library.entry import Entry
    from rhotem.library.search.picture import Match
    from rhotem.library.store import Library

app = typer.Typer(
    no_args_is_help=True,
    help="Libraries of responses, which `rhotem campaign` fills: list, search, verify, repair, merge, export.",
)

LibraryArgument = Annotated[Path, typer.Argument(metavar="LIBRARY", help="Folder of the library.")]
EntryArgument = Annotated[str, typer.Argument(metavar="ENTRY", help="First digits of its identifier (list).")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1_000_000, metavar="N", help="Most entries shown.")]
FormulaOption = Annotated[str | None, typer.Option("--formula", metavar="LiCoO2", help="Formula, in any order.")]
ElementsOption = Annotated[str | None, typer.Option("--elements", metavar="Li,O", help="All of these elements.")]
WithoutOption = Annotated[str | None, typer.Option("--without", metavar="Co", help="None of these elements.")]
PrototypeOption = Annotated[
    str | None,
    typer.Option("--prototype", metavar="TEXT", help="Anonymous formula and space group, or part: ABC2 166."),
]
SpacegroupOption = Annotated[
    int | None, typer.Option("--spacegroup", min=1, max=230, metavar="N", help="Number of the space group.")
]
DefectOption = Annotated[
    str | None, typer.Option("--defect", metavar="TEXT", help="Part of what a builder did, vacancy Li; none: crystals.")
]
ZoneOption = Annotated[str | None, typer.Option("--zone", metavar="u,v,w", help="Zone axis.")]
PresetOption = Annotated[str | None, typer.Option("--preset", metavar="NAME", help="Preset of the microscope.")]
SourceOption = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Source of the density.")]
TitleOption = Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Part of the title.")]
ThicknessOption = Annotated[
    str | None, typer.Option("--thickness", metavar="FROM,TO", help="A thickness held between these, nm.")
]
EnergyOption = Annotated[float | None, typer.Option("--energy", metavar="keV", help="Beam energy.")]
ContrastOption = Annotated[
    str | None,
    typer.Option(
        "--contrast",
        metavar="TEXT",
        help='Largest measured contrast first: "ABF Li contrast > 0.1 at 1e4 e/A2, 5-15 nm". With a dose it is '
        "at least three times the counting noise of one column.",
    ),
]
AnewOption = Annotated[
    bool, typer.Option("--anew", help="Of --contrast: evaluate what is shown from its response, at 21 foci.")
]
LikeOption = Annotated[
    str | None, typer.Option("--like", metavar="STRUCTURE", help="Nearest structures first: a file or a ready phase.")
]


@app.command("list")
def list_command(
    library: LibraryArgument,
    formula: FormulaOption = None,
    elements: ElementsOption = None,
    without: WithoutOption = None,
    prototype: PrototypeOption = None,
    spacegroup: SpacegroupOption = None,
    defect: DefectOption = None,
    zone: ZoneOption = None,
    preset: PresetOption = None,
    source: SourceOption = None,
    title: TitleOption = None,
    thickness: ThicknessOption = None,
    energy: EnergyOption = None,
    contrast: ContrastOption = None,
    anew: AnewOption = False,
    like: LikeOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """Entries, all or those that meet every condition: search by what they are, show, or are like."""
    from rhotem.core import InputError
    from rhotem.library.search.filters import Filter
    from rhotem.library.store import Library

    if contrast is not None and like is not None:
        raise InputError("--contrast and --like order entries in two ways; give one of them")
    if anew and contrast is None:
        raise InputError("--anew evaluates a contrast; give --contrast")
    conditions = Filter(
        formula=formula,
        elements=_words(elements),
        without=_words(without),
        prototype=prototype,
        spacegroup=spacegroup,
        defect=defect,
        zone=zone,
        preset=preset,
        source=source,
        title=title,
        thickness=_span(thickness),
        energy=energy,
    ).conditions()
    with Library.open(library) as opened:
        if contrast is not None:
            rows = _contrast_rows(opened, contrast, conditions, (limit, anew))
        elif like is not None:
            rows = _like_rows(opened, like, conditions, limit)
        else:
            rows = [_row(entry) for entry in opened.catalogue.entries(conditions, limit=limit)]
    if as_json:
        typer.echo(to_json(rows))
        return
    typer.echo(_entry_table(rows) if rows else "no entry meets this")


@app.command()
@with_measurement_options
def match(
    library: LibraryArgument,
    file: MeasurementArgument,
    stated: Stated,
    image: Annotated[
        str, typer.Option("--image", metavar="NAME,...", help="Images of entries that may be meant: HAADF,ADF. All.")
    ] = "",
    elements: ElementsOption = None,
    formula: FormulaOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Most entries shown.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Entries that look like a measured picture, with thickness, focus and turn. Its pixel must be known within 4 %."""
    from rhotem.experiment.read import read_measurement
    from rhotem.library.search.filters import Filter
    from rhotem.library.search.picture import by_picture
    from rhotem.library.store import Library

    picture = read_measurement(file, stated)
    conditions = Filter(formula=formula, elements=_words(elements)).conditions()
    with Library.open(library) as opened:
        matches = by_picture(opened, picture, _words(image), conditions, limit)
    if as_json:
        rows = [_match_row(one) for one in matches.nearest]
        said = {"least": matches.least, "fringes": matches.fringes, "noisy": matches.noisy}
        typer.echo(to_json(said | {"nearest": [] if matches.noisy else rows}))
        return
    verdict = matches.verdict(str(file))
    if matches.shown:
        if verdict:
            typer.echo(f"{verdict}:", err=True)
        typer.echo(_table([_match_row(one) | {"id": one.entry.id[:8]} for one in matches.shown]))
    else:
        typer.echo(verdict)


def _match_row(match: "Match") -> dict[str, Any]:
    like = match.likeness
    return {
        "id": match.entry.id,
        "title": match.entry.title,
        "zone": match.entry.zone,
        "image": match.image,
        "score": round(like.score, 3),
        "nm": round(match.thickness, 3),
        "defocus_nm": round(match.defocus, 3),
        "turned": f"{like.angle:.1f}°" + (" mirrored" if like.mirrored else ""),
        "scale": round(like.scale, 3),
        "others_as_like": "not known" if match.others is None else f"{100 * match.others:.1f} %",
    }


def _words(text: str | None) -> tuple[str, ...]:
    return () if text is None else tuple(word.strip() for word in text.split(",") if word.strip())


def _span(text: str | None) -> tuple[float, float] | None:
    from rhotem.core import InputError

    if text is None:
        return None
    try:
        least, most = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--thickness {text}: expected FROM,TO in nm, as 5,15") from None
    return least, most


def _row(entry: "Entry", **more: Any) -> dict[str, Any]:
    return {
        "id": entry.id,
        "title": entry.title,
        "formula": entry.formula,
        "zone": entry.zone,
        "thicknesses_nm": list(entry.thicknesses),
        "keV": entry.energy,
        "preset": entry.preset,
        "source": entry.source,
        "MB": round(1e-6 * entry.bytes, 3),
        "state": entry.state,
        **more,
    }


def _contrast_rows(library: "Library", text: str, conditions: list[Any], how: tuple[int, bool]) -> list[dict[str, Any]]:
    from rhotem.library.search.contrast import anew, by_contrast, parse_contrast

    asked = parse_contrast(text)
    hits = by_contrast(library, asked, conditions, how[0])
    if how[1]:
        hits = anew(library, hits, asked)
    return [
        _row(
            hit.entry,
            contrast=round(hit.contrast, 5),
            at_nm=hit.thickness,
            defocus_nm=hit.defocus,
            **({} if hit.snr is None else {"over_noise": round(hit.snr, 2)}),
        )
        for hit in hits
    ]


def _like_rows(library: "Library", name: str, conditions: list[Any], limit: int) -> list[dict[str, Any]]:
    from rhotem.analysis.run import structure
    from rhotem.library.search.similar import similar

    nearest = similar(library, structure(name), limit, conditions)
    return [_row(entry, distance=round(distance, 4)) for entry, distance in nearest]


def _entry_table(rows: list[dict[str, Any]]) -> str:
    """Entries as a table; their state where one is damaged."""
    shown = [{**row, "id": row["id"][:8], "thicknesses_nm": _deep(row["thicknesses_nm"])} for row in rows]
    if all(row["state"] == "good" for row in rows):
        shown = [{key: value for key, value in row.items() if key != "state"} for row in shown]
    return _table(shown)


def _table(rows: list[dict[str, Any]]) -> str:
    """Rows as columns of text."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _deep(values: list[float]) -> str:
    if len(values) < 4:
        return " ".join(f"{t:.3g}" for t in values)
    return f"{values[0]:.3g}-{values[-1]:.3g} ({len(values)})"


@app.command()
def show(library: LibraryArgument, entry: EntryArgument, as_json: JsonOption = False) -> None:
    """Everything that is known of an entry: what its response holds, its columns and their contrasts."""
    from rhotem.library.store import Library

    with Library.open(library) as opened:
        one, said = opened.entry(entry), opened.described(entry)
        if as_json:
            typer.echo(to_json({**_row(one), "contrasts": said["contrasts"], "picture": said["picture"]}))
            return
        typer.echo(f"{one}\n{opened.response(entry)}")
        typer.echo(f"atoms       {one.atoms} in the cell, {one.prototype}" + (f", {one.defect}" if one.defect else ""))
        typer.echo(f"files       {1e-6 * one.bytes:.2f} MB in {one.path.parent}; {one.seconds:.1f} s to make")
        for doubt in said["doubts"]:
            typer.echo(f"warning: {doubt}", err=True)
        rows = [
            {
                "image": c["image"],
                "column": c["label"],
                "thickness": f"{c['thickness']:.3g} nm",
                "defocus": f"{c['defocus']:.3g} nm",
                "contrast": c["contrast"],
            }
            for c in said["contrasts"]
        ]
        typer.echo(_table(rows) if rows else "contrasts   none: it has no columns along the beam")


@app.command()
def verify(
    library: LibraryArgument,
    again: Annotated[
        float | None,
        typer.Option("--again", metavar="%", help="Also make so many per cent of the entries once more, and compare."),
    ] = None,
) -> None:
    """Compare every file with its checksum, and the folders with the catalogue."""
    from rhotem.core import InputError
    from rhotem.library.again import again as make_again
    from rhotem.library.repair import look
    from rhotem.library.store import Library

    if again is not None and not 0 < again <= 100:
        raise InputError(f"--again {again:g}: expected a percentage, such as 10")
    with Library.open(library) as opened:
        with ProgressBar() as progress:
            found = look(opened.catalogue, progress=progress)
            repeated = [] if again is None else make_again(opened, again / 100, progress=progress)
        for line in [*found.lines(), *map(str, repeated)]:
            typer.echo(line)
        if not found.clean:
            raise InputError(
                f"{library}: not as it was written; `rhotem library repair {library}` puts right what it can"
            )
        if any(not one.equal for one in repeated):
            raise InputError(f"{library}: entries differ from what this RhoTEM makes; see above")


@app.command()
def repair(library: LibraryArgument) -> None:
    """Forget entries whose files are gone, take in folders that are whole, lay damaged ones apart."""
    from rhotem.library.hold import hold
    from rhotem.library.repair import DAMAGED
    from rhotem.library.repair import repair as put_right
    from rhotem.library.store import Library

    with Library.open(library, write=True) as opened, hold(opened.folder), ProgressBar() as progress:
        found = put_right(opened.catalogue, progress)
    for line in found.lines():
        typer.echo(line)
    if found.damaged:
        typer.echo(f"damaged entries lie in {library / DAMAGED}; `rhotem campaign resume {library}` makes them again")


@app.command()
def merge(
    library: LibraryArgument, other: Annotated[Path, typer.Argument(metavar="OTHER", help="Library to copy from.")]
) -> None:
    """Copy what another library has and this one has not."""
    from rhotem.library.merge import merge as copy
    from rhotem.library.store import Library

    with Library.open(other) as source, Library.open(library, write=True) as into, ProgressBar() as progress:
        copied, refused = copy(into, source, progress)
    for reason in refused.values():
        typer.echo(f"not copied: {reason}", err=True)
    typer.echo(f"{copied} entries copied into {library}")


@app.command()
def export(
    library: LibraryArgument,
    entries: Annotated[list[str], typer.Argument(metavar="ENTRY...", help="First digits of identifiers, or all.")],
    kind: Annotated[
        str, typer.Option("--format", metavar="NAME", help="hyperspy, nxem, emdatabase, parquet, ro-crate.")
    ] = "hyperspy",
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write.")] = Path("exported"),
) -> None:
    """Write entries for other programs: stacks of images, tables, or the responses with an RO-Crate description."""
    from rhotem.core import InputError
    from rhotem.library.export import FORMATS
    from rhotem.library.store import Library

    if kind not in FORMATS:
        listed = "; ".join(f"{name}: {form.help}" for name, form in FORMATS.items())
        raise InputError(f"--format {kind}: no such format; {listed}")
    with Library.open(library) as opened, output_folder(out) as folder:
        chosen = (
            opened.entries()
            if entries == ["all"]
            else list({(entry := opened.entry(name)).id: entry for name in entries}.values())
        )
        names = FORMATS[kind].write(opened, chosen, folder)
    typer.echo(f"{len(names)} files in {out}: {', '.join(names[:6])}" + (", ..." if len(names) > 6 else ""))
