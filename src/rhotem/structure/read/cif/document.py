"""CIF text to blocks of values: gemmi's parser, and what is done for files that break the grammar."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from rhotem.core import InputError

#: Loops without which there is no structure: a broken one is refused, another one left out.
NEEDED = ("_atom_site", "_symmetry", "_space_group", "_cell")
#: Characters that word processors put into CIFs.
_TYPED = str.maketrans("₀₁₂₃₄₅₆₇₈₉−–\u00a0‘’“”\x00", "0123456789-- ''\"\" ")
#: A digit with a bar above it, combining macron or overline: 3̄ is -3.
_BARRED = re.compile("([0-9])\\s?[\u0304\u0305]")
#: Values of CIF 2.0 that no structure needs: texts in three quotes, lists and tables.
_TRIPLE = re.compile(r"(?<=\s)(\"{3}|'{3}).*?\1(?=\s|$)", re.DOTALL)
_LIST = re.compile(r"(?<=[\s(,:])(?:\[[^\[\]{}]*\]|\{[^\[\]{}]*\})")
_TERM = r"(?:\d*\*?[xyzXYZ]|\d+/\d+|\d*\.\d+)"
_PART = rf"[-+]?[ \t]*{_TERM}(?:[ \t]*[-+][ \t]*{_TERM})*"
#: An operation without quotes although it has blanks, its number before it or not.
_BARE_OPERATION = re.compile(
    rf"^([ \t]*(?:\d+[ \t]+)?)({_PART}[ \t]*,[ \t]*{_PART}[ \t]*,[ \t]*{_PART})(?=[ \t\r]*$)", re.MULTILINE
)
_TOKEN = re.compile(r"'.*?'(?=\s|$)|\".*?\"(?=\s|$)|#.*|\S+")


@dataclass(frozen=True, eq=False)
class Block:
    """Values of one data block by tag: lower case, dots of DDLm written as underscores.

    Parameters
    ----------
    name : str
    values : dict
        Tag -> its values, one for a tag outside loops. Unquoted; ``?`` and ``.`` only where they stood unquoted.
    """

    name: str
    values: dict[str, list[str]]

    def column(self, *tags: str) -> list[str] | None:
        """Values of the first of these tags that the block has."""
        return next((self.values[tag] for tag in tags if tag in self.values), None)

    def filled(self, tag: str) -> list[str]:
        """Values of a tag but those that say nothing."""
        return [text for text in self.values.get(tag, []) if text.strip() not in ("?", ".", "")]

    def text(self, *tags: str) -> str:
        """First value of the first of these tags that says something; else empty."""
        for tag in tags:
            column = self.values.get(tag)
            if column and column[0].strip() not in ("?", ".", ""):
                return column[0].strip()
        return ""

    def number(self, *tags: str) -> float | None:
        """A number, its standard uncertainty dropped; None where nothing readable stands."""
        text = self.text(*tags)
        try:
            return value_of(text) if text else None
        except ValueError:
            return None


def value_of(text: str) -> float:
    """Number of ``0.2822(3)``, ``.5`` or ``1/3``; ValueError for anything else."""
    bare = re.sub(r"\s*\(\d*\.?\d*\)$", "", text.strip())
    if re.fullmatch(r"[+-]?\d+/\d+", bare):
        return float(Fraction(bare))
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", bare):
        raise ValueError(f"{text!r} is not a number")
    return float(bare)


def blocks(path: Path, text: str) -> tuple[list[Block], list[str]]:
    """Data blocks of a CIF and remarks.

    Raises
    ------
    InputError
        If the text is no CIF, or an atom row has not as many values as there are columns: names the row.
    """
    from gemmi import cif

    clean = _BARRED.sub(r"-\1", text.translate(_TYPED))
    if clean.lstrip().startswith("#\\#CIF_2"):
        clean = _without_cif2(clean)
    clean = _BARE_OPERATION.sub(lambda m: m[0] if not re.search(r"\s", m[2].strip()) else f"{m[1]}'{m[2]}'", clean)
    clean = "".join(c if c.isascii() else "~" for c in clean) if not clean.isascii() else clean
    notes: list[str] = []
    try:
        document = cif.read_string(clean, 0)
    except ValueError as error:
        repaired = _repaired(path, clean, notes)
        try:
            document = cif.read_string(repaired, 0)
        except ValueError as second:
            reason = re.sub(r"^string:", "line ", f"{error}; mended: {second}".replace("\n", " "))
            raise InputError(f"{path}: no valid CIF ({reason})") from error
    return [Block(block.name.strip() or "unnamed", _values(path, block)) for block in document], notes


def _without_cif2(text: str) -> str:
    """Texts in three quotes on one line, lists and tables as words without blanks: what CIF 1.1 can say."""
    text = _TRIPLE.sub(lambda m: "'" + re.sub(r"[\s'\"]+", " ", m[0]).strip() + "'", text)
    while True:
        plain = _LIST.sub(lambda m: "(" + re.sub(r"[\s'\"]+", ",", m[0][1:-1].strip()) + ")", text)
        if plain == text:
            return text
        text = plain


def _values(path: Path, block: Any) -> dict[str, list[str]]:
    from gemmi import cif

    values: dict[str, list[str]] = {}

    def put(tag: str, column: list[str]) -> None:
        tag = tag.lower().replace(".", "_")
        plain = [raw if raw in ("?", ".") else cif.as_string(raw) for raw in column]
        before = values.get(tag)
        if before is not None and before != plain and tag.startswith(NEEDED):
            if before[0] in ("?", ".", "") and len(before) == 1:
                values[tag] = plain
                return
            if plain[0] in ("?", ".", "") and len(plain) == 1:
                return
            raise InputError(f"{path}: {tag} stands twice in block {block.name} with different values; remove one")
        values[tag] = plain

    for item in block:
        if item.pair is not None:
            put(item.pair[0], [item.pair[1]] if item.pair[1] else ["?"])
        elif item.loop is not None:
            loop = item.loop
            width, cells = loop.width(), loop.values
            for column, tag in enumerate(loop.tags):
                put(tag, cells[column::width])
    return values


@dataclass
class _Token:
    kind: str  # data, loop, tag, value
    text: str
    line: int


def _tokens(path: Path, text: str) -> Iterator[_Token]:
    lines = text.splitlines()
    n = 0
    while n < len(lines):
        line = lines[n]
        n += 1
        if line.startswith(";"):
            start, body = n, [line]
            while n < len(lines) and not lines[n].startswith(";"):
                body.append(lines[n])
                n += 1
            if n == len(lines):
                raise InputError(f"{path}: the text that starts with ';' in line {start} does not end")
            n += 1
            yield _Token("value", "\n".join([*body, ";"]), start)
            rest = lines[n - 1][1:]
        else:
            rest = line
        for match in _TOKEN.finditer(rest):
            word = match[0]
            if word[0] == "#":
                break
            low = word.lower()
            if low == "loop_":
                kind = "loop"
            elif low.startswith(("data_", "save_", "global_", "stop_")):
                kind = "data" if low.startswith("data_") else "other"
            else:
                kind = "tag" if word[0] == "_" else "value"
            yield _Token(kind, word, n)


@dataclass
class _Loop:
    tags: list[str] = field(default_factory=list)
    cells: list[_Token] = field(default_factory=list)


def _repaired(path: Path, text: str, notes: list[str]) -> str:
    """The same CIF written so that the grammar holds; what cannot be mended without guessing is refused."""
    tokens = [token for token in _tokens(path, text) if token.kind != "other"]
    if not any(token.kind in ("tag", "data") for token in tokens):
        raise InputError(f"{path}: it cannot be read as a structure, no CIF: it has neither data_ nor a tag")
    out: list[str] = []
    n = 0
    if tokens[0].kind != "data":
        notes.append(f"{path.name}: does not start with data_; what stands before it is read, too")
        n = next(i for i, token in enumerate(tokens) if token.kind != "value")
        if tokens[n].kind != "data":
            out.append("data_unnamed")
    while n < len(tokens):
        token = tokens[n]
        n += 1
        if token.kind == "loop":
            loop = _Loop()
            while n < len(tokens) and tokens[n].kind == "tag" and not loop.cells:
                loop.tags.append(tokens[n].text)
                n += 1
            while n < len(tokens) and tokens[n].kind == "value":
                loop.cells.append(tokens[n])
                n += 1
            out += _loop(path, loop, notes)
            continue
        rest = []
        while n < len(tokens) and tokens[n].kind == "value":
            rest.append(tokens[n])
            n += 1
        if token.kind == "data":
            out.append(token.text)
        else:
            out.append(_pair(path, token, rest, notes))
    return "\n".join(out) + "\n"


def _pair(path: Path, tag: _Token, rest: list[_Token], notes: list[str]) -> str:
    if not rest:
        notes.append(f"{path.name}: {tag.text} has no value")
        return f"{tag.text} ?"
    if len(rest) == 1:
        return f"{tag.text}\n{_whole(rest[0].text)}"
    if any(token.line != rest[0].line for token in rest):
        if tag.text.lower().startswith(NEEDED):
            extra = next(token for token in rest if token.line != rest[0].line)
            raise InputError(f"{path}: line {extra.line}, {extra.text[:40]!r}, belongs to no tag and to no loop")
        return f"{tag.text} ?"
    joined = " ".join(token.text for token in rest).replace('"', "").replace("'", "")
    notes.append(f"{path.name}: {tag.text} has several words without quotes; read as '{joined}'")
    return f'{tag.text} "{joined}"'


def _loop(path: Path, loop: _Loop, notes: list[str]) -> list[str]:
    if not loop.tags or not loop.cells:
        return []
    width = len(loop.tags)
    if len(loop.cells) % width:
        tags = [tag.lower() for tag in loop.tags]
        if any(tag.startswith(NEEDED) for tag in tags):
            raise InputError(_wrong_row(path, loop))
        notes.append(f"{path.name}: the loop of {loop.tags[0]} has an incomplete row and is left out")
        return []
    rows = [loop.cells[i : i + width] for i in range(0, len(loop.cells), width)]
    return ["loop_", *loop.tags, *("\n".join(_whole(cell.text) for cell in row) for row in rows)]


def _wrong_row(path: Path, loop: _Loop) -> str:
    """Which row has a wrong number of values, in words."""
    width = len(loop.tags)
    lines: dict[int, list[str]] = {}
    for cell in loop.cells:
        lines.setdefault(cell.line, []).append(cell.text)
    for number, cells in lines.items():
        if len(cells) % width:
            row = " ".join(cells)[:60]
            return f"{path}: line {number}, {row!r}, has {len(cells)} values for the {width} columns of its table"
    return f"{path}: the loop of {loop.tags[0]} has {len(loop.cells)} values, no multiple of its {width} columns"


def _whole(text: str) -> str:
    """A value that gemmi reads as one: unterminated quotes are closed."""
    quote = text[0]
    if quote in "'\"" and (len(text) == 1 or text[-1] != quote):
        bare = text[1:].replace('"', "")
        return f'"{bare}"'
    return text
