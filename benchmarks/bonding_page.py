"""Tables and figures of docs/bonding-in-cathodes.md from what benchmarks/bonding.py and bonding_defects.py left.

python benchmarks/bonding_page.py [FOLDER]      # docs: tables into the page, images; bonding-in-cathodes.csv
"""

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bonding import CONFIGURATIONS, MEMBERS, MISSING, RUNS, ZONES, specimen
from bonding_figures import IMAGES, draw_contrast, draw_defects, draw_spots
from rhotem.analysis.columns import columns, contrast

SOURCES = ("free", "learned", "dft")
#: nm of the table; reflections of a phase, the least intensity of one at 2 nm as a part of the beam.
TABLE_AT, REFLECTIONS, LEAST = 6.0, 3, 2e-5
#: Standard errors from which on a change is printed in bold.
CERTAIN = 3.0


@dataclass
class Curve:
    """One kind of column in one image of one phase over thickness (nm); arrays (thicknesses,).

    ``phonons``: standard error of the difference, ``scatter``: of a value; ``density``: of the learned value by the
    members; ``occupancy``: change of the free atoms' value by a whole column of lithium.
    """

    phase: str
    image: str
    column: str
    thickness: np.ndarray
    values: dict[str, np.ndarray]
    difference: np.ndarray
    phonons: float
    scatter: float
    density: np.ndarray
    occupancy: np.ndarray | None


def pieces(phase: str, stem: str) -> dict[str, np.ndarray] | None:
    """A file of a phase, if it is there."""
    path = RUNS / f"{phase}-{stem}.npz"
    return dict(np.load(path)) if path.exists() else None


def _contrasts(made: dict[str, np.ndarray], image: str, size: tuple[float, float], found: list[Any]) -> dict[str, Any]:
    """Contrast of every kind of column over thickness."""
    rows = [contrast(one.astype(float), size, found, IMAGES[image]) for one in made[image]]
    return {c.label: np.array([next(r.value for r in row if r.label == c.label) for row in rows]) for c in rows[0]}


def curves(phase: str) -> list[Curve]:
    """All columns and images of a phase; the phonon error is pooled over thickness."""
    cut = specimen(phase)
    found, size = columns(cut.cell), tuple(float(v) for v in cut.cell.lengths[:2])
    made = {s: [pieces(phase, f"{s}-{n}") for n in range(CONFIGURATIONS)] for s in SOURCES}
    members = [m for n in MEMBERS if (m := pieces(phase, f"member{n}-0")) is not None]
    vacant = pieces(phase, "vacant-0")
    if made["free"][0] is None or made["learned"][0] is None:
        return []
    result, depth = [], made["free"][0]["thickness"].astype(float)
    for image in IMAGES:
        held = {s: [_contrasts(m, image, size, found) for m in made[s] if m is not None] for s in SOURCES}
        spread = [_contrasts(m, image, size, found) for m in members] if members and image in members[0] else []
        fewer = _contrasts(vacant, image, size, found) if vacant is not None else None
        for label in held["free"][0]:
            pairs = np.array([b[label] - a[label] for a, b in zip(held["free"], held["learned"], strict=False)])
            error = _pooled(pairs)
            scatter = _pooled(np.array([h[label] for h in held["free"]]))
            density = np.full(len(depth), np.nan)
            if len(spread) > 1:
                own = np.array([s[label] for s in spread])
                density[: own.shape[1]] = own.std(axis=0, ddof=1)[: len(depth)]
            slope = None if fewer is None else (held["free"][0][label] - fewer[label]) / MISSING
            values = {s: np.mean([h[label] for h in held[s]], axis=0) for s in SOURCES if held[s]}
            if "dft" in values:  # may have fewer configurations
                values["free_with_dft"] = np.mean([h[label] for h in held["free"][: len(held["dft"])]], axis=0)
            result.append(Curve(phase, image, label, depth, values, pairs.mean(axis=0), error, scatter, density, slope))
    return result


def _pooled(values: np.ndarray) -> float:
    """Standard error of the mean of (configurations, thicknesses), the variance pooled over thickness."""
    return float(np.sqrt(np.mean(values.var(axis=0, ddof=1)) / len(values))) if len(values) > 1 else np.nan


def table(every: list[Curve]) -> str:
    """Column contrast at one thickness: free atoms, change by bonding ± both errors, the same change of DFT."""
    lines = [
        "| phase, nm | column | HAADF (%) | ABF (%) | iDPC (mrad) | CoM, integrated (mrad) |",
        "|---|---|---|---|---|---|",
    ]
    for phase, column in dict.fromkeys((c.phase, c.column) for c in every):
        own = {c.image: c for c in every if (c.phase, c.column) == (phase, column)}
        at = int(np.abs(own["ABF"].thickness - TABLE_AT).argmin())
        cells = " | ".join(_cell(own[image], at) for image in IMAGES)
        lines.append(f"| {phase}, {own['ABF'].thickness[at]:.1f} | {column} | {cells} |")
    return "\n".join(lines)


def _cell(c: Curve, at: int) -> str:
    scale = 1e3 if IMAGES[c.image] else 1e2
    error = float(np.hypot(c.phonons, np.nan_to_num(c.density[at])))
    change = f"{scale * c.difference[at]:+.2f}" + (f" ± {scale * error:.2f}" if np.isfinite(error) else "")
    change = f"**{change}**" if abs(c.difference[at]) > CERTAIN * error else change
    dft = f" ({scale * (c.values['dft'] - c.values['free_with_dft'])[at]:+.2f})" if "dft" in c.values else ""
    return f"{scale * c.values['free'][at]:.1f}; {change}{dft}"


def scatter(every: list[Curve]) -> str:
    """How much better a difference with shared displacements is known than its two values."""
    ratios = [c.scatter / c.phonons for c in every if c.phonons > 0]
    return f"scatter of a value over that of a difference: median {np.median(ratios):.0f}, of {len(ratios)}"


def misread(every: list[Curve]) -> str:
    """What free atoms would read off the learned density's lithium columns: occupancy · thickness in nm."""
    images = [image for image in IMAGES if image != "HAADF"]
    own = {(c.phase, c.image): c for c in every if c.column == "Li"}
    lines = [f"| phase | nm | {' | '.join(images)} |", "|---" * (len(images) + 2) + "|"]
    for phase in dict.fromkeys(c.phase for c in every):
        depth = own[phase, images[0]].thickness
        for at in [n for n, nm in enumerate(depth) if any(abs(nm - t) < 0.6 for t in (4.0, 10.0, 20.0))]:
            cells = " | ".join(_read(own[phase, image], at) for image in images)
            lines.append(f"| {phase} | {depth[at]:.1f} | {cells} |")
    return "\n".join(lines)


def _read(c: Curve, at: int) -> str:
    """Occupancy and thickness; none where the change is within its error or the slope leads nowhere near."""
    error = np.hypot(c.phonons, np.nanmax(np.nan_to_num(c.density)))
    if not np.isfinite(error):
        return ""
    if not abs(c.difference[at]) > 2 * error:
        return "within the error"
    moved = c.difference[at] / np.gradient(c.values["free"], c.thickness)[at]
    read = f"{c.thickness[at] + moved:.1f}" if abs(moved) < 0.5 * c.thickness[at] else "far off"
    return read if c.occupancy is None else f"{100 * (1 + c.difference[at] / c.occupancy[at]):.0f} % · {read}"


@dataclass
class Spot:
    """A reflection over thickness: elastic intensities by source, their ratio learned/free and its errors."""

    phase: str
    hkl: tuple[int, int, int]
    thickness: np.ndarray
    intensity: dict[str, np.ndarray]
    ratio: dict[str, np.ndarray]
    phonons: dict[str, np.ndarray]
    density: float


def _elastic(waves: np.ndarray) -> np.ndarray:
    """Unbiased elastic intensity of waves (configurations, ...)."""
    n = len(waves)
    return (n * np.abs(waves.mean(0)) ** 2 - (np.abs(waves) ** 2).mean(0)) / (n - 1)


def spots(phase: str) -> list[Spot]:
    """Reflections that bonding changes most, Friedel pairs together."""
    made = {s: m for s in SOURCES if (m := pieces(phase, f"{s}-plane")) is not None}
    if not {"free", "learned"} <= set(made):
        return []
    hkl, ij = made["free"]["hkl"].astype(int), made["free"]["ij"]
    lengths = np.array([float(v) for v in specimen(phase).cell.lengths[:2]])
    g = np.hypot(*(ij / lengths).T)
    opposite = [int(np.flatnonzero((ij == -p).all(1))[0]) for p in ij]
    pair = {s: 0.5 * (_elastic(m["beams"]) + _elastic(m["beams"])[:, opposite]) for s, m in made.items()}
    leave = {
        s: [
            0.5 * (_elastic(rest) + _elastic(rest)[:, opposite])
            for k in range(len(m["beams"]))
            for rest in [np.delete(m["beams"], k, axis=0)]
        ]
        for s, m in made.items()
    }
    depth = pieces(phase, "free-0")["thickness"].astype(float)  # type: ignore[index]  # there with the others
    with np.errstate(all="ignore"):
        ratio = {s: pair[s] / pair["free"] for s in made if s != "free"}
        jack = {s: np.array([a / b for a, b in zip(leave[s], leave["free"], strict=True)]) for s in ratio}
    number = len(made["free"]["beams"])
    error = {s: np.sqrt((number - 1) * j.var(axis=0)) for s, j in jack.items()}
    members = np.array([m["beams"][0, 0] for n in MEMBERS if (m := pieces(phase, f"member{n}-0")) is not None])
    density = np.full(len(g), np.nan)
    if len(members) > 1:
        both = 0.5 * (np.abs(members) ** 2 + np.abs(members[:, opposite]) ** 2)
        density = both.std(axis=0, ddof=1) / both.mean(axis=0)
    change = np.where((pair["learned"][0] > LEAST) & (g > 0), np.abs(ratio["learned"][0] - 1), 0.0)
    unsure = np.maximum(3 * error["learned"][0], np.nan_to_num(density) * ratio["learned"][0])
    change[~(change > unsure)] = 0.0
    chosen: list[int] = []
    for row in np.argsort(-change):
        same = any(abs(g[row] - g[c]) < 1e-3 for c in chosen)
        if change[row] > 0 and not same and len(chosen) < REFLECTIONS:
            chosen.append(int(row))
    result = []
    for row in chosen:
        index = max(tuple(hkl[k].tolist()) for k in (row, opposite[row]))
        part = [{s: v[:, row] for s, v in x.items()} for x in (pair, ratio, error)]
        result.append(Spot(phase, index, depth, *part, float(density[row])))
    return result


def spot_table(every: list[Spot]) -> str:
    """Reflections at the thinnest and at about 10 nm."""
    lines = [
        "| phase | hkl | nm | free atoms | learned | learned / free | ± phonons | ± density | DFT / free |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for s in every:
        for at in (0, int(np.abs(s.thickness - 10).argmin())):
            dft = f"{s.ratio['dft'][at]:.3f}" if "dft" in s.ratio else ""
            name = " ".join(map(str, s.hkl))
            lines.append(
                f"| {s.phase} | ({name}) | {s.thickness[at]:.1f} | {s.intensity['free'][at]:.2e} | "
                f"{s.intensity['learned'][at]:.2e} | {s.ratio['learned'][at]:.3f} | {s.phonons['learned'][at]:.3f} | "
                f"{s.density:.3f} | {dft} |"
            )
    return "\n".join(lines)


def defects(kind: str = "defect") -> tuple[str, list[dict[str, Any]]]:
    """Dose for d′ = 5 by defect, thickness and image; ``kind`` "relaxed": of those whose atoms gave way."""
    found = [json.loads(p.read_text()) for p in sorted(RUNS.glob(f"{kind}-*.json"))]
    rows: dict[tuple[str, str], dict[str, float]] = {}
    notes = []
    for one in found:
        key = one["feature"], f"{one['thickness']:g}"
        for row in one.get("rows", []):
            ring = row["angles"] and row["image"] == "ring"
            name = f"ring {row['angles'][0]:g}–{row['angles'][1]:g}" if ring else row["image"]
            rows.setdefault(key, {})["ring" if ring else row["image"]] = row["enough"]
            if ring:
                rows[key]["name"] = name
        rows.setdefault(key, {}).update(one.get("patterns", {}))
        notes += [f"{key[0]}, {key[1]} nm, {image}: d′ {d:.2f}" for image, d in one.get("measured", {}).items()]
        if one.get("moved_A"):
            notes.append(f"{key[0]}, {key[1]} nm: {one['moved_A']:.2f} Å")
    known = ("HAADF", "ABF", "iDPC", "iCoM", "SSB", "ring", "4D", "pixels")
    images = tuple(image for image in known if any(image in row for row in rows.values()))
    lines = [f"| defect | nm | {' | '.join(images)} | ring (mrad) |", "|---" * (len(images) + 3) + "|"]
    for (feature, nm), row in sorted(rows.items()):
        cells = " | ".join(f"{row[i]:.1e}" if i in row else "" for i in images)
        lines.append(f"| {feature} | {nm} | {cells} | {str(row.get('name', '')).removeprefix('ring ')} |")
    listed = [{"feature": k[0], "nm": k[1], **v} for k, v in sorted(rows.items())]
    said = "atoms give way by up to: " if kind == "relaxed" else "measured at predicted 3.5: "
    return "\n".join([*lines, "", said + "; ".join(notes)]), listed


def write(every: list[Curve], reflections: list[Spot], path: Path) -> None:
    """All numbers behind the figures."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            ("phase", "image", "column", "nm", "free", "learned", "dft", "difference", "phonons", "density", "per_Li")
        )
        for c in every:
            for at, nm in enumerate(c.thickness):
                dft = c.values["dft"][at] if "dft" in c.values else np.nan
                slope = np.nan if c.occupancy is None else c.occupancy[at]
                numbers = (
                    c.values["free"][at],
                    c.values["learned"][at],
                    dft,
                    c.difference[at],
                    c.phonons,
                    c.density[at],
                )
                row = [f"{v:.5g}" if np.isfinite(v) else "" for v in (nm, *numbers, slope)]
                out.writerow((c.phase, c.image, c.column, *row))
        for s in reflections:
            for at, nm in enumerate(s.thickness):
                dft = s.intensity["dft"][at] if "dft" in s.intensity else np.nan
                change = s.intensity["learned"][at] - s.intensity["free"][at]
                error = s.phonons["learned"][at] * s.intensity["free"][at]
                numbers = (s.intensity["free"][at], s.intensity["learned"][at], dft, change, error)
                numbers = (*numbers, s.density * s.intensity["learned"][at])
                row = [f"{v:.5g}" if np.isfinite(v) else "" for v in (nm, *numbers)]
                out.writerow((s.phase, "SAED", " ".join(map(str, s.hkl)), *row, ""))


def put(page: Path, tables: dict[str, str]) -> None:
    """Tables between the marks ``<!-- NAME -->`` and ``<!-- end -->`` of a page."""
    text = page.read_text()
    for name, own in tables.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        if mark:
            text = f"{before}{mark}{own}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    page.write_text(text)


def main() -> None:
    """Tables into the page, figures beside it, all numbers into a table of their own."""
    docs = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    every = [c for phase in ZONES for c in curves(phase)]
    reflections = [s for phase in ZONES for s in spots(phase)]
    listed, numbers = defects()
    tables = {"contrast": table(every), "scatter": scatter(every), "misread": misread(every)}
    tables |= {"reflections": spot_table(reflections), "defects": listed, "relaxed": defects("relaxed")[0]}
    print(*tables.values(), sep="\n\n")
    put(docs / "bonding-in-cathodes.md", tables)
    draw_contrast(every, docs / "images/bonding-contrast.png")
    draw_spots(reflections, docs / "images/bonding-reflections.png")
    draw_defects(numbers, docs / "images/bonding-defects.png")
    write(every, reflections, docs / "bonding-in-cathodes.csv")


if __name__ == "__main__":
    main()
