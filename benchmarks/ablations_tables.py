"""Tables and figure of the results section of docs/model.md from the runs of `benchmarks/ablations.py`.

    python benchmarks/ablations_tables.py [data/training/ablations.jsonl] [--figure docs/images/model-results.png]

Held out: the cells of the parts "family" and "validation" together. Errors of free atoms are 1.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

Line = dict[str, Any]
#: Columns of a cell in the output of a run.
ERROR, POTENTIAL, FREE, KNOWN = range(4)
HELD_OUT = ("family", "validation")
BAR = 0.06

#: Rows of the ablation tables: title, the run to compare with, runs and what they are called.
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "angular momentum of features and of the near functions": (
        "baseline",
        {"lmax-2": "l ≤ 2", "lmax-3": "l ≤ 3", "lmax-6": "l ≤ 6"},
    ),
    "near functions": (
        "baseline",
        {"near-from-0.3": "none narrower than 0.3 Å", "near-l3": "no l = 4 in them, features to l = 4"},
    ),
    "loss": (
        "baseline",
        {
            "voxels-only": "voxels only",
            "potential-1": "potential with weight 1",
            "no-regularisation": "no decay, nothing forgotten",
        },
    ),
    "encoder": ("baseline", {"sevennet-0": "SevenNet-0, frozen", "scratch": "from scratch, two layers"}),
    "target": ("baseline", {"target-density": "valence density"}),
    "pretrained layers, 100 steps on from the baseline": ("frozen-on", {"tuned-on": "trained, a tenth of the rate"}),
    "readout, 200 steps": (
        "spherical-200",
        {"gate-full": "gated, w_geo and vacuum channel", "gate-softmax": "plain softmax", "gate-sum": "Σ w_geo s"},
    ),
}
BASES = {
    "baseline": "l ≤ 4, near functions from 0.05 Å, potential 0.3, SevenNet-l3i5 frozen, Δn",
    "frozen-on": "frozen",
    "spherical-200": "spherical",
}


def cells(line: Line, parts: tuple[str, ...] = HELD_OUT) -> dict[str, list[float | None]]:
    """Cells of a run by name."""
    return {name: row for part in parts for name, row in line["parts"].get(part, {}).items()}


def errors(line: Line, column: int = ERROR) -> np.ndarray:
    """A metric of all held-out cells, in the order of their names; NaN where it was not measured."""
    return np.array([row[column] for _, row in sorted(cells(line).items())], dtype=float)


def shown(values: np.ndarray) -> str:
    """Mean and median."""
    return "–" if np.isnan(values).any() else f"{values.mean():.3f} ({np.median(values):.3f})"


def against(line: Line, base: Line, column: int = ERROR) -> str:
    """Ratio to another run, cell by cell: geometric mean and its standard error in %, change of the mean."""
    log = np.log(errors(line, column) / errors(base, column))
    if np.isnan(log).any():
        return "–"
    return f"{100 * np.expm1(log.mean()):+.0f} ± {100 * log.std(ddof=1) / np.sqrt(len(log)):.0f}"


def ablations(lines: list[Line]) -> None:
    """One table: every run beside the one it differs from in one thing."""
    known = {(line["run"], line["seed"]): line for line in lines}
    print("| | seed | deformation error, mean (median) | potential error, mean (median) | cell by cell, % | s/step |")
    print("|---|---|---|---|---|---|")
    seen: set[str] = set()
    for title, (base, members) in GROUPS.items():
        seeds = sorted(seed for name, seed in known if name == base)
        rows = [] if base in seen else [(base, f"{BASES[base]}", seed) for seed in seeds]
        seen.add(base)
        rows += [(name, text, seed) for name, text in members.items() for seed in seeds]
        for name, text, seed in rows:
            line = known.get((name, seed))
            if line is None:
                continue
            other = known[base, seed if name != base else 0]
            ratio = against(line, other) if line is not other else ""
            what = f"{title}: {text}" if name != base else f"**{text}**"
            print(
                f"| {what} | {seed} | {shown(errors(line))} | {shown(errors(line, POTENTIAL))} | {ratio} "
                f"| {line['seconds_per_step']:.3f} |"
            )


def curve(lines: list[Line]) -> tuple[list[tuple[int, int, float, float]], tuple[float, float]]:
    """Error against parents: (seed, parents, of all cells, of cells that every share knows), and the fit a N^−b.

    A cell with an element that was not trained on counts as free atoms: that is what a model gives for it.
    """
    runs = [x for x in lines if x["run"] == "baseline" or x["run"].startswith("parents-")]
    points = []
    for seed in sorted({x["seed"] for x in runs}):
        own = sorted((x for x in runs if x["seed"] == seed), key=lambda x: x["parents"])
        common = np.min([errors(x, KNOWN) for x in own], axis=0) > 0
        for x in own:
            e = np.where(errors(x, KNOWN) > 0, errors(x), 1.0)
            points.append((seed, x["parents"], float(e.mean()), float(e[common].mean())))
    n, e = np.array([p[1] for p in points]), np.array([p[3] for p in points])
    slope, offset = np.polyfit(np.log(n), np.log(e), 1)
    return points, (float(np.exp(offset)), float(-slope))


def learning_curve(lines: list[Line]) -> None:
    """Table of `curve`, and how many parents the bar needs by the fit."""
    points, (size, power) = curve(lines)
    print("| seed | parents | labels | deformation error, all cells | cells of known elements | copies | training |")
    print("|---|---|---|---|---|---|---|")
    for seed, parents, every, common in points:
        line = next(x for x in lines if x["seed"] == seed and x["parents"] == parents and runs_of_curve(x))
        copies = fmean(row[ERROR] for row in line["parts"]["rattled"].values())
        print(
            f"| {seed} | {parents} | {line['labels']} | {every:.3f} | {common:.3f} | {copies:.3f} "
            f"| {line['training_error']:.3f} |"
        )
    need = (size / BAR) ** (1.0 / power)
    print(f"fit: {size:.2f} · N^−{power:.2f}; {BAR} at N = {need:.0f} parents, extrapolated")


def runs_of_curve(line: Line) -> bool:
    """Whether a run is a point of the learning curve."""
    return line["run"] == "baseline" or line["run"].startswith("parents-")


def left_out(lines: list[Line]) -> None:
    """One row per chemistry that was left out; beside it the same cells where they were trained on or held out."""
    print("| left out | cells | deformation error | potential error | NMAE % | free atoms % | new element |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        if not line["run"].startswith("without-"):
            continue
        rows = list(line["parts"]["unseen"].values())
        each = [[row[k] for row in rows] for k in (ERROR, POTENTIAL, FREE)]
        both = " | ".join(f"{fmean(v):.3f} ({median(v):.3f})" for v in each[:2])
        nmae = fmean(e * f for e, f in zip(each[0], each[2], strict=True))
        new = "" if all(row[KNOWN] for row in rows) else f"in {sum(not row[KNOWN] for row in rows)} cells"
        name = line["run"].removeprefix("without-")
        print(f"| {name} | {len(rows)} | {both} | {nmae:.2f} | {fmean(each[2]):.2f} | {new} |")


def costs(lines: list[Line]) -> None:
    """Sizes and times of the architectures, one thread of a shared machine."""
    print("| run | trained parameters | CPU s per step | encoder, atoms per CPU s | readout, voxels per CPU s |")
    print("|---|---|---|---|---|")
    for line in lines:
        if "atoms_per_second" in line:
            print(
                f"| {line['run']} | {line['trained_parameters']:,} | {line['seconds_per_step']:.3f} "
                f"| {line['atoms_per_second']:.0f} | {line['voxels_per_second']:,.0f} |"
            )


def draw(lines: list[Line], path: Path) -> None:
    """Learning curve, and every ablation beside what it is compared with."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained", dpi=90)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    points, (size, power) = curve(lines)
    seeds = sorted({p[0] for p in points})
    for seed in seeds:
        own = [p for p in points if p[0] == seed]
        left.plot([p[1] for p in own], [p[3] for p in own], "o-", label=f"held out, seed {seed}")
    need = (size / BAR) ** (1.0 / power)
    n = np.geomspace(min(p[1] for p in points), min(need, 1e5), 50)
    left.plot(n, size * n**-power, "k:", lw=1, label=f"{size:.2f} N$^{{-{power:.2f}}}$, extrapolated")
    left.axhline(BAR, color="tab:red", lw=0.8, ls="--", label=f"bar, {BAR}")
    left.set(xlabel="training parents N", ylabel="deformation error", xscale="log", yscale="log")
    left.set_title("cells of known elements, equal steps", fontsize=9)
    left.legend(fontsize=8)
    known = {(line["run"], line["seed"]): line for line in lines}
    names, values, low, high = [], [], [], []
    for base, members in GROUPS.values():
        for name, text in members.items():
            logs = [
                np.log(errors(line) / errors(known[base, seed]))
                for (run, seed), line in known.items()
                if run == name and (base, seed) in known
            ]
            if logs:
                log = np.mean(logs, axis=0)
                error = log.std(ddof=1) / np.sqrt(len(log))
                names.append(text)
                values.append(np.exp(log.mean()))
                low.append(values[-1] - np.exp(log.mean() - error))
                high.append(np.exp(log.mean() + error) - values[-1])
    at = np.arange(len(names))[::-1]
    right.barh(at, np.array(values) - 1.0, left=1.0, xerr=(low, high), color="tab:blue", ecolor="0.3", height=0.65)
    right.set_yticks(at, names, fontsize=8)
    spread = [np.exp(np.log(errors(known["baseline", s]) / errors(known["baseline", 0])).mean()) for s in seeds[1:]]
    for value in spread:
        right.axvline(value, color="tab:orange", lw=0.8)
    right.axvline(1.0, color="k", lw=0.8)
    right.set(xscale="log", xlabel="error over that of the comparison, cell by cell (orange: other seeds)")
    right.set_xticks(ticks := [0.8, 1.0, 1.25, 1.5, 2.0, 2.5], [f"{t:g}" for t in ticks])
    right.minorticks_off()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lines", nargs="?", type=Path, default=Path("data/training/ablations.jsonl"))
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.lines.read_text().splitlines()]
    for title, table in (
        ("Ablations", ablations),
        ("Learning curve", learning_curve),
        ("Left-out chemistries", left_out),
        ("Cost", costs),
    ):
        print(f"\n{title}")
        table(lines)
    if options.figure:
        draw(lines, options.figure)


if __name__ == "__main__":
    main()
