"""Tables and figure of the results section of docs/model.md from the runs of `benchmarks/ablations.py`.

    python benchmarks/ablations_tables.py [data/training/ablations.jsonl] [--figure docs/images/model-results.png]

Held out: the cells of the parts "family" and "validation" together. Errors of free atoms are 1.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from ase.formula import Formula

Line = dict[str, Any]
#: Columns of a cell in the output of a run.
ERROR, POTENTIAL, FREE, KNOWN = range(4)
HELD_OUT = ("family", "validation")
BAR = 0.06
#: Learning curves: encoder, and what the names of its runs begin with.
CURVES = {"l3i5": ("baseline", "parents-"), "0, all": ("shipped-body-",)}
#: Sc to Cu.
D_ELEMENTS = range(21, 30)

#: Rows of the ablation tables: title, the run to compare with, runs and what they are called.
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "angular momentum": (
        "baseline",
        {"lmax-2": "l ≤ 2", "lmax-3": "l ≤ 3", "lmax-6": "l ≤ 6"},
    ),
    "near functions": (
        "baseline",
        {"near-from-0.3": "none narrower than 0.3 Å", "near-l3": "no l = 4 in them, features to l = 4"},
    ),
    "wide functions": ("baseline", {"wide-to-6.5": "five up to 2.2 Å that end at 6.5 Å"}),
    "loss": (
        "baseline",
        {
            "voxels-only": "voxels only",
            "potential-1": "potential with weight 1",
            "no-regularisation": "no decay, nothing forgotten",
        },
    ),
    "encoder": (
        "baseline",
        {
            "sevennet-0": "SevenNet-0, frozen",
            "sevennet-0-all": "SevenNet-0, tensors of all layers",
            "sevennet-l3i5-all": "SevenNet-l3i5, tensors of all layers",
            "scratch": "from scratch, two layers",
        },
    ),
    "size, SevenNet-0 of all layers": (
        "sevennet-0-all",
        {"channels-96": "twice the channels", "layers-2": "two trained layers"},
    ),
    "pretrained layers, 100 steps more": ("frozen-on", {"tuned-on": "trained, a tenth of the rate"}),
    "readout, 200 steps": ("spherical-200", {"gate-full": "gated, w_geo in the softmax, vacuum channel"}),
    "gate, 200 steps": (
        "gate-full",
        {
            "gate-no-vacuum": "without the vacuum channel",
            "gate-softmax": "plain softmax",
            "gate-sum": "none, Σ w_geo s",
        },
    ),
}
BASES = {
    "baseline": "base: l ≤ 4, near functions from 0.05 Å, potential 0.3, SevenNet-l3i5 frozen, Δn",
    "sevennet-0-all": "SevenNet-0, tensors of all layers",
    "frozen-on": "base, 100 steps more",
    "spherical-200": "base, spherical readout, 200 steps of 200 voxels",
}


def cells(line: Line, parts: tuple[str, ...] = HELD_OUT) -> dict[str, list[float | None]]:
    """Cells of a run by name."""
    return {name: row for part in parts for name, row in line["parts"].get(part, {}).items()}


def errors(line: Line, column: int = ERROR) -> np.ndarray:
    """A metric of all held-out cells, in the order of their names; NaN where it was not measured."""
    return np.array([row[column] for _, row in sorted(cells(line).items())], dtype=float)


def groups(lines: list[Line]) -> dict[str, np.ndarray]:
    """Held-out cells by kind, as masks in the order of their names."""
    described = next(line["cells"] for line in lines if "cells" in line)
    names = sorted(cells(next(line for line in lines if "run" in line)))
    d = np.array([any(atomic_numbers[x] in D_ELEMENTS for x in Formula(described[n][0]).count()) for n in names])
    carbon = np.array([described[n][1] == "graphite" for n in names])
    return {"d elements": d, "graphite": carbon, "other": ~d & ~carbon}


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
    known = {(line["run"], line["seed"]): line for line in lines if "run" in line}
    kinds = groups(lines)
    head = [f"{kind} ({mask.sum()})" for kind, mask in kinds.items()]
    head = ["", "deformation error, mean (median)", *head, "cell by cell, %", "potential error", "s/step"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    seen: set[str] = set()
    for title, (base, members) in GROUPS.items():
        seeds = sorted(seed for name, seed in known if name == base)
        rows = [] if base in seen else [(base, BASES[base], seed) for seed in seeds]
        seen.add(base)
        rows += [(name, text, seed) for name, text in members.items() for seed in seeds]
        for name, text, seed in rows:
            line = known.get((name, seed))
            if line is None:
                continue
            other = known[base, seed if name != base else 0]
            e = errors(line)
            seen.add(name)
            what = f"{title}: {text}" if name != base else f"**{text}**"
            row = [what + (f", seed {seed}" if seed else ""), shown(e)]
            row += [f"{e[mask].mean():.3f}" for mask in kinds.values()]
            row += [against(line, other) if line is not other else "", shown(errors(line, POTENTIAL))]
            print("| " + " | ".join([*row, f"{line['seconds_per_step']:.3f}"]) + " |")


@dataclass(frozen=True)
class Curve:
    """Error against training parents of one encoder, seed and number of steps, and the fit size · N^−power."""

    encoder: str
    seed: int
    steps: int
    runs: list[Line]
    every: list[float]
    common: list[float]
    size: float
    power: float

    @property
    def parents(self) -> list[int]:
        """N."""
        return [line["parents"] for line in self.runs]

    @property
    def needed(self) -> float:
        """Parents at which the fit reaches the bar: extrapolated."""
        return (self.size / BAR) ** (1.0 / self.power)


def curves(lines: list[Line]) -> list[Curve]:
    """Learning curves: of all cells, and (fitted) of those whose elements every share knows.

    A cell with an element that was not trained on counts as free atoms: that is what a model gives for it.
    """
    sets: dict[tuple[str, int, int], list[Line]] = {}
    for line in lines:
        for encoder, names in CURVES.items():
            if line.get("run", "").startswith(names):
                sets.setdefault((encoder, line["steps"], line["seed"]), []).append(line)
    found = []
    for (encoder, steps, seed), members in sorted(sets.items()):
        own = sorted(members, key=lambda x: x["parents"])
        if len(own) < 3:
            continue
        same = np.min([errors(x, KNOWN) for x in own], axis=0) > 0
        every = [float(np.where(errors(x, KNOWN) > 0, errors(x), 1.0).mean()) for x in own]
        common = [float(errors(x)[same].mean()) for x in own]
        slope, offset = np.polyfit(np.log([x["parents"] for x in own]), np.log(common), 1)
        found.append(Curve(encoder, seed, steps, own, every, common, float(np.exp(offset)), float(-slope)))
    return found


def learning_curve(lines: list[Line]) -> None:
    """Table of `curves`, and how many parents the bar needs by the fits."""
    print("| encoder | steps | seed | parents | labels | held out, all | elements known | copies | trained on |")
    print("|---|---|---|---|---|---|---|---|---|")
    for c in curves(lines):
        for line, every, common in zip(c.runs, c.every, c.common, strict=True):
            copies = fmean(row[ERROR] for row in line["parts"]["rattled"].values())
            sizes = f"{c.encoder} | {c.steps} | {c.seed} | {line['parents']} | {line['labels']}"
            print(f"| {sizes} | {every:.3f} | {common:.3f} | {copies:.3f} | {line['training_error']:.3f} |")
    for c in curves(lines):
        fit = f"{c.size:.2f} · N^−{c.power:.2f}; {BAR} at N = {c.needed:.2g}, extrapolated"
        print(f"{c.encoder}, {c.steps} steps, seed {c.seed}: {fit}")


def left_out(lines: list[Line]) -> None:
    """One row per chemistry that was left out, and its prototypes below the table."""
    described = next(line["cells"] for line in lines if "cells" in line)
    below = []
    print("| left out | cells | deformation error | potential error | NMAE % | free atoms % | new element |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        if not line.get("run", "").startswith("without-"):
            continue
        rows = list(line["parts"]["unseen"].values())
        each = [[row[k] for row in rows] for k in (ERROR, POTENTIAL, FREE)]
        both = " | ".join(f"{fmean(v):.3f} ({median(v):.3f})" for v in each[:2])
        nmae = fmean(e * f for e, f in zip(each[0], each[2], strict=True))
        new = "" if all(row[KNOWN] for row in rows) else f"in {sum(not row[KNOWN] for row in rows)} cells"
        name = line["run"].removeprefix("without-")
        kinds: dict[str, list[float]] = {}
        for cell, row in line["parts"]["unseen"].items():
            kinds.setdefault(described[cell][1], []).append(row[ERROR])
        each_kind = sorted(kinds.items(), key=lambda item: fmean(item[1]))
        below.append(f"{name}: " + ", ".join(f"{kind} ({len(v)}) {fmean(v):.2f}" for kind, v in each_kind))
        print(f"| {name} | {len(rows)} | {both} | {nmae:.2f} | {fmean(each[2]):.2f} | {new} |")
    print("\n".join(below))


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

    figure = Figure(figsize=(12, 5.2), layout="constrained", dpi=90)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    _draw_curves(left, curves(lines))
    _draw_bars(right, lines)
    figure.savefig(path)


def _draw_curves(axes: Any, found: list[Curve]) -> None:
    for c, colour in zip(found, ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown"), strict=False):
        label = f"SevenNet-{c.encoder}: {c.steps} steps, seed {c.seed}"
        axes.plot(c.parents, c.common, "o-", color=colour, label=label)
        axes.plot(c.parents, [x["training_error"] for x in c.runs], "x:", color=colour, lw=0.8)
    best = max(found, key=lambda c: c.steps)
    n = np.geomspace(best.parents[0], 4 * best.parents[-1], 20)
    axes.plot(n, best.size * n**-best.power, "k--", lw=0.8, label=f"{best.size:.2f} N$^{{-{best.power:.2f}}}$")
    axes.axhline(BAR, color="tab:red", lw=0.8, ls="--", label=f"bar, {BAR}")
    axes.set(xlabel="training parents N", ylabel="deformation error", xscale="log", yscale="log", ylim=(0.02, 0.5))
    axes.set_title("held-out cells whose elements all shares know", fontsize=9)
    axes.minorticks_off()
    for axis, ticks in (
        (axes.xaxis, [*found[0].parents, 4 * best.parents[-1]]),
        (axes.yaxis, [0.06, 0.1, 0.2, 0.3, 0.4]),
    ):
        axis.set_ticks(ticks, [f"{t:g}" for t in ticks])
    axes.plot([], [], "x:", color="0.4", lw=0.8, label="the same, error on what it was trained on")
    axes.legend(fontsize=7, loc="lower left")


def _draw_bars(axes: Any, lines: list[Line]) -> None:
    known = {(line["run"], line["seed"]): line for line in lines if "run" in line}
    d = groups(lines)["d elements"]
    masks = {"all held-out cells": np.ones_like(d), "cells with d elements": d}
    names: list[str] = []
    logs: list[np.ndarray] = []
    for title, (base, members) in GROUPS.items():
        for name, text in members.items():
            pairs = [(x, known[base, s]) for (run, s), x in known.items() if run == name and (base, s) in known]
            if pairs:
                names.append(f"{title}: {text}")
                logs.append(np.mean([np.log(errors(x) / errors(y)) for x, y in pairs], axis=0))
    at = np.arange(len(names))[::-1]
    for offset, (kind, mask) in zip((0.19, -0.19), masks.items(), strict=True):
        mean = np.array([log[mask].mean() for log in logs])
        spread = np.array([log[mask].std(ddof=1) / np.sqrt(mask.sum()) for log in logs])
        bars = (np.exp(mean) - np.exp(mean - spread), np.exp(mean + spread) - np.exp(mean))
        axes.barh(at + offset, np.expm1(mean), left=1.0, xerr=bars, ecolor="0.3", height=0.36, label=kind)
    axes.set_yticks(at, names, fontsize=7)
    first = errors(known["baseline", 0])
    for (run, seed), line in known.items():
        if run == "baseline" and seed:
            axes.axvline(np.exp(np.log(errors(line) / first).mean()), color="0.6", lw=1.0, ls=":")
    axes.axvline(1.0, color="k", lw=0.8)
    axes.set(xscale="log", xlabel="ratio to the base (dotted: another seed)")
    axes.set_xticks(ticks := [0.8, 1.0, 1.25, 1.6, 2.0, 2.5], [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_title("deformation error, cell by cell", fontsize=9)
    axes.legend(fontsize=7, loc="lower right")


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
