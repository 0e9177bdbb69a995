"""Tables and figures of docs/bonding-in-cathodes.md from what benchmarks/bonding.py and bonding_defects.py left.

python benchmarks/bonding_page.py [FOLDER OF FIGURES]      # docs/images; docs/bonding-in-cathodes.csv has all numbers
"""

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bonding import CONFIGURATIONS, MEMBERS, MISSING, RUNS, ZONES, crystal, specimen
from rhotem.analysis.columns import columns, contrast

#: Images of the tables; True: the excess over the mean in rad, else (I - mean)/mean.
IMAGES = {"HAADF": False, "ABF": False, "iDPC": True, "iCoM": True}
NAMES = {"HAADF": "HAADF", "ABF": "ABF", "iDPC": "iDPC", "iCoM": "CoM, integrated"}
SOURCES = ("free", "learned", "dft")
#: nm of the table; reflections of a phase, the least intensity of one at 2 nm as a part of the beam.
TABLE_AT, REFLECTIONS, LEAST = 6.0, 3, 2e-5
#: Colours that the colour blind tell apart (Okabe & Ito), markers beside them.
COLOURS = {"Li": ("#009E73", "o"), "O": ("#D55E00", "s"), "P": ("#CC79A7", "v")}
METALS = (("#0072B2", "^"), ("#56B4E9", "D"), ("#E69F00", "P"))
TITLES = {
    "LiCoO2": "LiCoO$_2$ [100]",
    "LiNiO2": "LiNiO$_2$ [100]",
    "NMC": "Li$_6$Ni$_4$MnCoO$_{12}$ [100]",
    "LiMn2O4": "LiMn$_2$O$_4$ [110]",
    "LiFePO4": "LiFePO$_4$ [010]",
    "Li2MnO3": "Li$_2$MnO$_3$ [100]",
}


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
            result.append(Curve(phase, image, label, depth, values, pairs.mean(axis=0), error, scatter, density, slope))
    return result


def _pooled(values: np.ndarray) -> float:
    """Standard error of the mean of (configurations, thicknesses), the variance pooled over thickness."""
    return float(np.sqrt(np.mean(values.var(axis=0, ddof=1)) / len(values))) if len(values) > 1 else np.nan


def table(every: list[Curve]) -> str:
    """Column contrast at one thickness."""
    lines = [
        "| phase, nm | image | column | free atoms | ± | learned | DFT | change | ± phonons | ± density | / error |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for c in every:
        at = int(np.abs(c.thickness - TABLE_AT).argmin())
        error = np.hypot(c.phonons, np.nan_to_num(c.density[at]))
        dft = f"{c.values['dft'][at]:+.4f}" if "dft" in c.values else ""
        density = f"{c.density[at]:.4f}" if np.isfinite(c.density[at]) else ""
        lines.append(
            f"| {c.phase}, {c.thickness[at]:.1f} | {c.image} | {c.column} | {c.values['free'][at]:+.4f} | {c.scatter:.4f} | "
            f"{c.values['learned'][at]:+.4f} | {dft} | {c.difference[at]:+.4f} | {c.phonons:.4f} | {density} | "
            f"{abs(c.difference[at]) / error:.1f} |"
        )
    return "\n".join(lines)


def misread(every: list[Curve]) -> str:
    """What free atoms would read off the learned density's lithium columns."""
    lines = [
        "| phase | image | nm | occupancy of Li read as | thickness read as (nm) |",
        "|---|---|---|---|---|",
    ]
    for c in every:
        if c.column != "Li" or c.image == "HAADF":
            continue
        for at, nm in enumerate(c.thickness):
            if not any(abs(nm - t) < 0.6 for t in (4.0, 10.0, 20.0)):
                continue
            occupancy = "" if c.occupancy is None else f"{1 + c.difference[at] / c.occupancy[at]:.2f}"
            slope = np.gradient(c.values["free"], c.thickness)[at]
            moved = c.difference[at] / slope
            read = f"{nm + moved:.1f}" if abs(moved) < 0.5 * nm else "no answer near"
            lines.append(f"| {c.phase} | {c.image} | {nm:.1f} | {occupancy} | {read} |")
    return "\n".join(lines)


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
    members = [m["beams"][0] for n in MEMBERS if (m := pieces(phase, f"member{n}-0")) is not None]
    change = np.where((pair["learned"][0] > LEAST) & (g > 0), np.abs(ratio["learned"][0] - 1), 0.0)
    change[change < 3 * error["learned"][0]] = 0.0
    chosen: list[int] = []
    for row in np.argsort(-change):
        same = any(abs(g[row] - g[c]) < 1e-3 for c in chosen)
        if change[row] > 0 and not same and len(chosen) < REFLECTIONS:
            chosen.append(int(row))
    result = []
    for row in chosen:
        both = [0.5 * (np.abs(m[0, row]) ** 2 + np.abs(m[0, opposite[row]]) ** 2) for m in members]
        density = float(np.std(both, ddof=1) / np.mean(both)) if len(both) > 1 else np.nan
        index = max(tuple(hkl[k].tolist()) for k in (row, opposite[row]))
        part = [{s: v[:, row] for s, v in x.items()} for x in (pair, ratio, error)]
        result.append(Spot(phase, index, depth, *part, density))
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


def defects() -> tuple[str, list[dict[str, Any]]]:
    """Dose for d′ = 5 by defect, thickness and image."""
    found = [json.loads(p.read_text()) for p in sorted(RUNS.glob("defect-*.json"))]
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
        if "enough" in one:
            rows.setdefault(key, {})["SSB"] = one["enough"]
        notes += [f"{key[0]}, {key[1]} nm, {image}: d′ {d:.2f}" for image, d in one.get("measured", {}).items()]
    images = ("HAADF", "ABF", "iDPC", "iCoM", "SSB", "ring", "4D")
    lines = [f"| defect | nm | {' | '.join(images)} | ring (mrad) |", "|---" * (len(images) + 3) + "|"]
    for (feature, nm), row in sorted(rows.items()):
        cells = " | ".join(f"{row[i]:.1e}" if i in row else "" for i in images)
        lines.append(f"| {feature} | {nm} | {cells} | {str(row.get('name', '')).removeprefix('ring ')} |")
    listed = [{"feature": k[0], "nm": k[1], **v} for k, v in sorted(rows.items())]
    return "\n".join([*lines, "", "measured at predicted 3.5: " + "; ".join(notes)]), listed


def style(labels: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every kind of column."""
    metals = [label for label in labels if label not in COLOURS]
    return {**COLOURS, **dict(zip(metals, METALS, strict=False))}


def draw_contrast(every: list[Curve], path: Path) -> None:
    """Learned minus free atoms over thickness: phases across, images down."""
    from matplotlib.figure import Figure

    phases = list(dict.fromkeys(c.phase for c in every))
    figure = Figure(figsize=(2.55 * len(phases), 8.4), layout="constrained", dpi=95)
    axes = figure.subplots(len(IMAGES), len(phases), squeeze=False)
    for column, phase in enumerate(phases):
        own = [c for c in every if c.phase == phase]
        drawn = style([c.column for c in own if c.image == "ABF"])
        for row, image in enumerate(IMAGES):
            here = axes[row, column]
            for c in (c for c in own if c.image == image):
                colour, marker = drawn[c.column]
                scale = 1e3 if IMAGES[image] else 1e2
                bars = {"color": colour, "marker": marker, "ms": 3.5, "lw": 1.1, "capsize": 1.5}
                here.errorbar(c.thickness, scale * c.difference, scale * c.phonons, label=c.column, **bars)
                band = np.isfinite(c.density)
                low, high = (scale * (c.difference + sign * c.density)[band] for sign in (-1, 1))
                here.fill_between(c.thickness[band], low, high, color=colour, alpha=0.25, lw=0)
                if "dft" in c.values and not np.array_equal(c.values["dft"], c.values["learned"]):
                    apart = c.difference + c.values["dft"] - c.values["learned"]
                    here.plot(c.thickness, scale * apart, marker="x", ls="none", color="black", ms=4)
            here.axhline(0.0, color="black", lw=0.5)
            here.tick_params(labelsize=7)
            if row == 0:
                here.set_title(TITLES[phase], fontsize=9)
                here.legend(fontsize=6.5, ncols=2, handlelength=1.2, columnspacing=0.8)
            if column == 0:
                here.set_ylabel(
                    f"{NAMES[image]}\n({'10$^{-3}$ rad' if IMAGES[image] else '% of the mean'})", fontsize=8
                )
            if row == len(IMAGES) - 1:
                here.set_xlabel("thickness (nm)", fontsize=8)
    figure.savefig(path)


def draw_spots(every: list[Spot], path: Path) -> None:
    """Intensity over that of free atoms."""
    from matplotlib.figure import Figure

    phases = list(dict.fromkeys(s.phase for s in every))
    figure = Figure(figsize=(2.55 * len(phases), 2.9), layout="constrained", dpi=95)
    axes = np.atleast_1d(figure.subplots(1, len(phases)))
    for here, phase in zip(axes, phases, strict=True):
        for s, (colour, marker) in zip((s for s in every if s.phase == phase), METALS, strict=False):
            label = "(" + " ".join(map(str, s.hkl)) + ")"
            bars = {"color": colour, "marker": marker, "ms": 3.5, "lw": 1.1, "capsize": 1.5}
            here.errorbar(s.thickness, s.ratio["learned"], s.phonons["learned"], label=label, **bars)
            if "dft" in s.ratio:
                here.plot(s.thickness, s.ratio["dft"], "x", color="black", ms=4)
        here.axhline(1.0, color="black", lw=0.5)
        here.set_title(TITLES[phase], fontsize=9)
        here.set_xlabel("thickness (nm)", fontsize=8)
        here.tick_params(labelsize=7)
        here.legend(fontsize=6.5)
    axes[0].set_ylabel("intensity / free atoms", fontsize=8)
    figure.savefig(path)


def draw_defects(listed: list[dict[str, Any]], path: Path) -> None:
    """Dose for d′ = 5."""
    from matplotlib.figure import Figure

    images = ("HAADF", "ABF", "iDPC", "iCoM", "SSB", "ring", "4D")
    colours = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7")
    marks = dict(zip(images, zip(colours, "sovD^P*", strict=True), strict=True))
    figure = Figure(figsize=(7.6, 3.4), layout="constrained", dpi=95)
    axes = figure.subplots()
    for place, row in enumerate(listed):
        for number, image in enumerate(i for i in images if i in row):
            colour, marker = marks[image]
            label = image if place == 0 or image not in listed[0] else None
            axes.plot(place + 0.09 * (number - 3), row[image], marker, color=colour, ms=7, ls="none", label=label)
    axes.set_xticks(range(len(listed)), [f"{r['feature']}\n{r['nm']} nm" for r in listed], fontsize=8)
    axes.set(yscale="log")
    axes.set_ylabel("dose for d′ = 5 (e/Å²)", fontsize=9)
    axes.grid(axis="y", lw=0.3)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), fontsize=8, ncols=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(path)


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


def main() -> None:
    """Print the tables, draw the figures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    every = [c for phase in ZONES for c in curves(phase)]
    reflections = [s for phase in ZONES for s in spots(phase)]
    listed, numbers = defects()
    print(*(table(every), misread(every), spot_table(reflections), listed), sep="\n\n")
    draw_contrast(every, folder / "bonding-contrast.png")
    draw_spots(reflections, folder / "bonding-reflections.png")
    draw_defects(numbers, folder / "bonding-defects.png")
    write(every, reflections, folder.parent / "bonding-in-cathodes.csv")
    for phase in ZONES:
        print(phase, crystal(phase).formula, "complete" if any(s.phase == phase for s in reflections) else "missing")


if __name__ == "__main__":
    main()
