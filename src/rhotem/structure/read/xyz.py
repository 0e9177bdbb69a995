"""xyz and extended xyz: the last frame."""

import io
import re
from dataclasses import replace

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import Reading, isotopes_remark, of_symbol
from rhotem.structure.read.objects import from_atoms

#: Keys that some programs write small, and a cell written as JSON.
_KEYS = re.compile(r"(^|\s)(lattice|properties)\s*=", re.IGNORECASE)
_MATRIX = re.compile(r"Lattice\s*=\s*\"?(\[\s*\[.*?\]\s*\])\"?")


def read_xyz(text: Text) -> Contents:
    """Structure of a plain or extended xyz file.

    Raises
    ------
    InputError
        Unknown symbols, numbers that are none, fewer lines than the first line says.
    """
    frames = _frames(text)
    _, comment, rows = frames[-1]
    notes = [f"{text.path.name}: the last of {len(frames)} frames is read"] if len(frames) > 1 else []
    comment = _KEYS.sub(lambda match: match[1] + match[2].capitalize() + "=", comment)
    comment = _MATRIX.sub(lambda match: 'Lattice="' + " ".join(re.findall(r"[^\s,\[\]]+", match[1])) + '"', comment)
    if "Lattice" in comment or "Properties" in comment:
        contents = _extended(text, comment, rows)
    else:
        contents = _plain(text, rows)
        if comment.strip() and len(comment.split()) >= 3 and _cell_like(comment):
            notes.append(f"{text.path.name}: the comment line {comment.strip()[:40]!r} is not read as a cell")
    return replace(contents, notes=(*notes, *contents.notes))


def is_xyz(head: str) -> bool:
    """Whether a text begins like xyz: a number of atoms alone, a comment, rows of a symbol and numbers."""
    lines = head.splitlines()
    return bool(lines) and lines[0].strip().isdigit() and (lines[0].strip() == "0" or len(lines) > 2)


def _frames(text: Text) -> list[tuple[int, str, list[str]]]:
    frames: list[tuple[int, str, list[str]]] = []
    while text.more:
        line = text.need("the number of atoms")
        if not line.strip():
            continue
        if not line.strip().isdigit():
            if frames and not re.match(r"\s*[A-Za-z]{1,2}\s+[-+.\d]", line):
                break  # what other programs append
            raise text.fail("the number of atoms" if not frames else f"no more atom than the {frames[-1][0]} announced")
        count = int(line)
        comment = text.need("the comment line")
        rows = [text.need(f"atom {n + 1} of {count}") for n in range(count)]
        frames.append((count, comment, rows))
    return frames


def _row(text: Text, row: str, n: int) -> tuple[Reading, list[float]]:
    words = row.split()
    reading = of_symbol(re.sub(r"(?<=[A-Za-z])\d+$", "", words[0])) if words else None
    if words and words[0].upper() in ("X", "XX", "DU", "BQ"):
        raise InputError(f"{text.path}: atom {n + 1} is a dummy ({words[0]}), not among H to Cm; remove it")
    if reading is None:
        raise InputError(
            f"{text.path}: atom {n + 1}: unknown element {words[0] if words else ''}; expected a chemical symbol"
        )
    try:
        values = [number(word) for word in words[1:4]]
    except ValueError:
        values = []
    if len(values) < 3:
        bad = any(word.lower().strip("+-") in ("nan", "inf", "infinity") for word in words[1:4])
        why = "a position that is not a finite number" if bad else "no three coordinates"
        raise InputError(f"{text.path}: atom {n + 1} ({row.strip()[:50]!r}) has {why}")
    return reading, values


def _plain(text: Text, rows: list[str]) -> Contents:
    read = [_row(text, row, n) for n, row in enumerate(rows)]
    cell = np.zeros((3, 3))
    # "VEC1 a b c" behind coordinates and TV rows are other programs' cells
    return Contents(
        cell,
        np.array([values for _, values in read]).reshape(-1, 3),
        tuple(reading.symbol for reading, _ in read),
        notes=isotopes_remark(text.path.name, (reading.isotope for reading, _ in read)),
    )


def _extended(text: Text, comment: str, rows: list[str]) -> Contents:
    """By ASE, with symbols made plain first."""
    import ase.io
    from ase.io.extxyz import key_val_str_to_dict

    try:
        properties = str(key_val_str_to_dict(comment).get("Properties", "species:S:1:pos:R:3"))
    except Exception as error:  # ASE's parser of the comment line fails in many ways
        raise InputError(f"{text.path}: its comment line cannot be read ({error})") from error
    fields = properties.split(":")
    widths = [int(width) for width in fields[2::3]]
    names = [name.lower() for name in fields[0::3]]
    column = sum(widths[: names.index("species")]) if "species" in names else None
    readings: list[Reading] = []
    lines = []
    for n, row in enumerate(rows):
        words = row.split()[: sum(widths)] if "Properties" not in comment else row.split()
        if len(words) != sum(widths):
            raise InputError(
                f"{text.path}: atom {n + 1} ({row.strip()[:50]!r}) has {len(words)} values, Properties {sum(widths)}"
            )
        if column is not None:
            at = sum(widths[: names.index("pos")]) if "pos" in names else 1
            reading, _ = _row(text, " ".join([words[column], *words[at : at + 3]]), n)
            readings.append(reading)
            words[column] = reading.symbol
        lines.append(" ".join(words))
    stream = io.StringIO(f"{len(rows)}\n{comment}\n" + "".join(f"{line}\n" for line in lines))
    try:
        atoms = ase.io.read(stream, format="extxyz")
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{text.path}: it cannot be read as extended xyz ({reason})") from error
    assert isinstance(atoms, ase.Atoms)
    contents = from_atoms(atoms)
    lengths = np.linalg.norm(contents.cell, axis=1)
    open_axes = [f"{'abc'[i]} ({lengths[i]:.2f} Å)" for i in range(3) if lengths[i] > 1e-6 and not atoms.pbc[i]]
    notes = (*isotopes_remark(text.path.name, (reading.isotope for reading in readings)), *contents.notes)
    if open_axes:
        notes = (*notes, f"{text.path.name}: not periodic along {', '.join(open_axes)}, it says; taken as a period")
    return replace(contents, notes=notes)


def _cell_like(comment: str) -> bool:
    try:
        return all(number(word) > 0 for word in comment.split()[:3])
    except ValueError:
        return False
