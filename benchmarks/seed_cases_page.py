"""Tables and figures of docs/seed-cases.md from what benchmarks/seed_cases.py left.

python benchmarks/seed_cases_page.py [FOLDER]      # docs: tables into the page, images
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bonding_page import put
from rhotem.analysis.columns import Column, columns, contrast
from seed_cases import RUNS, SHEETS, ZEOLITE_CELLS, ZEOLITE_LENS, lens, sheet_cut
from seed_cases_figures import draw_salts, draw_sheets, draw_zeolite

#: Standard errors from which on a change is printed in bold.
CERTAIN = 3.0
#: Words of the sources in tables.
SOURCES = {"free-atoms": "free", "model": "learned", "gpaw": "DFT"}


def arrays(stem: str) -> dict[str, np.ndarray] | None:
    """A file of arrays, if it is there."""
    path = RUNS / f"{stem}.npz"
    return dict(np.load(path)) if path.exists() else None


def numbers(stem: str) -> dict[str, Any] | None:
    """A file of numbers, if it is there."""
    path = RUNS / f"{stem}.json"
    return json.loads(path.read_text()) if path.exists() else None


def named(name: str) -> tuple[list[Column], tuple[float, float]]:
    """Columns of a sheet, those with a missing atom by another name, and the cell."""
    cut = sheet_cut(name, "CoM=60")
    found, whole = columns(cut.cell), SHEETS[name]
    most = max(c.count for c in found)
    rename = {(whole, 1): f"{whole}, one missing"} if whole and most > 1 else {}
    size = (float(cut.cell.lengths[0]), float(cut.cell.lengths[1]))
    return [replace(c, label=rename.get((c.label, c.count), c.label)) for c in found], size


def heights(stack: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """mrad above the mean of every kind of column, and of the difference that matters; (configurations,)."""
    found, size = named(name)
    rows = [{c.label: 1e3 * c.value for c in contrast(one.astype(float), size, found, True)} for one in stack]
    result = {label: np.array([row[label] for row in rows]) for label in rows[0]}
    if SHEETS[name]:
        result["contrast of the vacancy"] = result[SHEETS[name]] - result[f"{SHEETS[name]}, one missing"]
    else:
        result["N − B"] = result["N"] - result["B"]
    return result


def sheet_table() -> str:
    """Phases at columns of the sheets: free atoms, change by bonding with its error, change of DFT."""
    lines = ["| sheet | column | SSB (mrad) | iCoM (mrad) |", "|---|---|---|---|"]
    for name in SHEETS:
        made = {s: arrays(f"sheet-{name}-{s}") for s in (*SOURCES, "members")}
        if made["free-atoms"] is None or made["model"] is None:
            continue
        cells: dict[str, list[str]] = {}
        for image in ("SSB", "iCoM"):
            held = {s: heights(m[image], name) for s, m in made.items() if m is not None}
            for label in held["free-atoms"]:
                cells.setdefault(label, []).append(_cell({s: h[label] for s, h in held.items()}))
        lines += [f"| {name} | {label} | {' | '.join(own)} |" for label, own in cells.items()]
    return "\n".join(lines)


def _cell(values: dict[str, np.ndarray]) -> str:
    free, apart = values["free-atoms"], values["model"] - values["free-atoms"]
    phonons = apart.std(ddof=1) / np.sqrt(len(apart))
    error = np.hypot(phonons, values["members"].std(ddof=1) if "members" in values else np.nan)
    change = f"{apart.mean():+.2f} ± {error:.2f}"
    change = f"**{change}**" if abs(apart.mean()) > CERTAIN * error else change
    dft = f" ({(values['gpaw'] - free).mean():+.2f})" if "gpaw" in values else ""
    return f"{free.mean():.1f} ± {free.std(ddof=1) / np.sqrt(len(free)):.1f}; {change}{dft}"


def dose_row(stem: str) -> dict[str, float]:
    """Dose in e/Å² for d′ = 5 by image."""
    made = numbers(stem)
    if made is None:
        return {}
    return {row["image"]: row["enough"] for row in made["rows"]} | made.get("patterns", {})


def dose_table(stems: dict[str, str], images: tuple[str, ...]) -> str:
    """Rows of doses."""
    lines = [f"| | {' | '.join(images)} |", "|---" * (len(images) + 1) + "|"]
    for stem, words in stems.items():
        row = dose_row(stem)
        if row:
            lines.append(f"| {words} | {' | '.join(f'{row[i]:.1e}' if i in row else '' for i in images)} |")
    return "\n".join(lines)


def molecule_table() -> str:
    """The molecule's own phase: the error of free atoms and of the learned density against DFT."""
    made = {s: m for s in SOURCES if (m := arrays(f"molecule-{s}")) is not None}
    if "gpaw" not in made:
        return "not calculated"
    truth = made["gpaw"]["projected"].astype(float)
    lines = ["| benzene alone | largest phase (mrad) | rms difference to DFT, % of free atoms' |", "|---|---|---|"]
    sigma = 1e3 * lens(ZEOLITE_LENS, "CoM=30").microscope.interaction
    bonding = np.sqrt(np.mean((made["free-atoms"]["projected"] - truth) ** 2))
    for source, m in made.items():
        values = m["projected"].astype(float)
        off = np.sqrt(np.mean((values - truth) ** 2)) / bonding
        lines.append(f"| {SOURCES[source]} | {sigma * values.max():.0f} | {100 * off:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Tables into the page, figures beside it."""
    docs = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    light = ("ADF", "ABF", "iDPC", "iCoM", "SSB", "pixels")
    sheet_rows = {
        "doses-MoS2-vacancy-S": "MoS₂, one S missing",
        "doses-WS2-vacancy-S": "WS₂, one S missing",
        "doses-hBN-vacancy-B": "hBN, one B missing",
        "doses-hBN-vacancy-N": "hBN, one N missing",
        "doses-MoS2-density": "MoS₂, bonding, one cell",
        "doses-WS2-density": "WS₂, bonding, one cell",
        "doses-hBN-density": "hBN, bonding, one cell",
    }
    salts = {
        f"doses-{name}-vacancy-Li{tail}": f"{name}, {words}"
        for name in ("LiF", "Li2O")
        for tail, words in (("-100%", "a whole Li column missing"), ("", "one Li missing"))
    }
    zeolite = {
        f"doses-zeolite-{s}-{n}": f"{2 * n} nm, {n} molecule{'s' * (n > 1)}, {SOURCES[s]}"
        for n in ZEOLITE_CELLS
        for s in ("free-atoms", "model")
    }
    tables = {
        "sheets": sheet_table(),
        "sheet-doses": dose_table(sheet_rows, light),
        "zeolite": dose_table(zeolite, light[:4]),
        "molecule": molecule_table(),
        "salts": dose_table(salts, ("HAADF", *light[1:])),
    }
    print(*tables.values(), sep="\n\n")
    put(docs / "seed-cases.md", tables)
    draw_sheets(docs / "images/seed-sheets.png")
    draw_zeolite(docs / "images/seed-zeolite.png")
    draw_salts(docs / "images/seed-salts.png")


if __name__ == "__main__":
    main()
