"""Our readouts and the published networks at equal budgets of CPU time: the race of docs/peers.md.

    OMP_NUM_THREADS=1 python benchmarks/race.py tune  [--labels FOLDER ...] [--results data/training/race.jsonl]
    OMP_NUM_THREADS=1 python benchmarks/race.py run   [--seeds 3] [--minutes 85] [--scratch runs/race] [--only NAME ...]
    python benchmarks/race.py table [--image docs/images/race.png]

One process, one thread. The clock is the CPU time of the process: everything from structures to weights counts (graphs,
features of the pretrained encoder, Fourier coefficients of the labels), reading labels and evaluating do not. Every run
is looked at twice, at both budgets; the learning rate stays constant after the warm-up and averaged weights are
evaluated, so that one run serves both. Every look appends a line to the results; run again, it goes on. Seeds are
outermost, then budgets. The small variants of the published networks are chosen by two trials each; ours are not tuned.
"""

import argparse
import ctypes
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from statistics import fmean, median, stdev
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import numpy as np
import torch

from rhotem.core import InputError
from rhotem.density.metrics import score, valence_electrons
from rhotem.labels.label import Label
from rhotem.labels.splits import read_split
from rhotem.training.checkpoint import as_learned
from rhotem.training.config import Config
from rhotem.training.dataset import make_sample, read_labels
from rhotem.training.loss import voxel_error
from rhotem.training.network.model import DensityModel
from rhotem.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
SPLIT = ROOT / "data/training/split-218.json"
#: CPU seconds of training at which a run is looked at, and of a tuning trial.
BUDGETS, TRIAL = (60.0, 180.0), 15.0
#: Voxels of every held-out cell, drawn once for all; the smallest cells are evaluated on their whole grids, too.
VOXELS, TUNING_VOXELS, WHOLE = 150, 60, 3

TICKS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
HEAD = "contestant, parameters, steps, deformation error, NMAE %, potential error, voxels per CPU second, MB, seeds"

OURS = {
    "encoder": "sevennet",
    "nequip": {"layers": 1, "lmax_sent": 0, "channels": 48, "scalars": 128},
    "spherical": {"near": {"narrowest": 0.05, "widest": 0.8, "functions": 12, "lmax": 4, "cutoff": 2.2}},
}


@dataclass(frozen=True)
class Way:
    """One way to train a contestant: model, structures and voxels per step, learning rate, decay of weights."""

    model: dict[str, Any]
    structures: int
    voxels: int
    rate: float
    decay: float = 0.0


@dataclass(frozen=True)
class Contestant:
    """Ways to choose from by tuning; a single one is not tuned. ``dear``: its whole grids only with the first seed."""

    ways: tuple[Way, ...]
    dear: bool = False
    colour: str = field(default="black", compare=False)


def peer(architecture: str, **settings: Any) -> dict[str, Any]:
    """Model settings of a published network."""
    return {"peer": {"architecture": architecture, **settings}}


#: Published: DeepDFT's NMC models (2 × 1000 probes, Adam 1e-4, mean square error, 10⁷ steps); ChargE3Net for the
#: Materials Project (Adam 5e-3, L1, 10⁶ steps of 16 × 200 probes; here 4 × 50: theirs takes 25 s). Loss: ours for all.
CONTESTANTS = {
    "RhoTEM spherical": Contestant((Way(OURS, 4, 500, 4e-3, 1e-4),), colour="tab:blue"),
    "RhoTEM gated": Contestant((Way({**OURS, "readout": "gated"}, 2, 150, 4e-3, 1e-4),), colour="tab:cyan"),
    "DeepDFT SchNet, small": Contestant(
        (
            Way(peer("deepdft-schnet", size=64), 2, 200, 2e-3),
            Way(peer("deepdft-schnet", size=32), 2, 200, 5e-3),
        ),
        colour="tab:orange",
    ),
    "DeepDFT PaiNN, small": Contestant(
        (
            Way(peer("deepdft-painn", size=64), 2, 200, 2e-3),
            Way(peer("deepdft-painn", size=32), 2, 200, 5e-3),
        ),
        colour="tab:red",
    ),
    "ChargE3Net, small": Contestant(
        (
            Way(peer("charge3net", mul=60, lmax=2), 2, 100, 5e-3),
            Way(peer("charge3net", mul=60, lmax=4, interactions=2), 2, 100, 5e-3),
        ),
        colour="tab:green",
    ),
    "DeepDFT SchNet": Contestant((Way(peer("deepdft-schnet", interactions=6), 2, 1000, 1e-4),), colour="peru"),
    "DeepDFT PaiNN": Contestant((Way(peer("deepdft-painn"), 2, 1000, 1e-4),), colour="darkred"),
    "ChargE3Net": Contestant((Way(peer("charge3net"), 4, 50, 5e-3),), dear=True, colour="darkgreen"),
}


@dataclass
class Course:
    """Labels by use."""

    train: list[Label]
    validation: list[Label]
    test: list[Label]

    @classmethod
    def of(cls, folders: Sequence[str], split: Path) -> "Course":
        """Labels of folders as the split says; where it knows none of a part, a fifth of the parents by hash."""
        labels = list({label.name: label for label in read_labels(folders) if not label.suspect}.values())
        parts = read_split(split)
        named = [[x for x in labels if x.name in set(parts[p])] for p in ("train", "validation", "test")]
        if not all(named):
            number = [crc32(x.parent.encode()) % 5 for x in labels]
            named = [[x for x, n in zip(labels, number, strict=True) if n in kept] for kept in ((2, 3, 4), (1,), (0,))]
        if not all(named):
            raise InputError(f"labels {', '.join(folders)}: too few to race on")
        return cls(*named)


def config(way: Way, seed: int, folder: str) -> Config:
    """What the trainer is told."""
    return Config.model_validate(
        {
            "name": "race",
            "out": folder,
            "data": {"labels": ["given"], "points": way.voxels, "test_fraction": 0.0},
            "train": {
                "structures_per_step": way.structures,
                "learning_rate": way.rate,
                "weight_decay": way.decay,
                "schedule": "constant",
                "warmup": 20,
                "ema": 0.995,
                "threads": 1,
                "device": "cpu",
                "seed": seed,
            },
            "model": way.model,
        }
    )


class DivergedError(RuntimeError):
    """A loss that is not finite, after so many CPU seconds."""


def trained(way: Way, seed: int, labels: list[Label], folder: Path, before: float) -> Iterator[tuple[Trainer, float]]:
    """A run after its preparation and after every step, with its CPU seconds.

    ``before``: those it had when it was saved in ``folder``; its preparation counts once.
    """
    began = time.process_time()
    trainer = Trainer(config(way, seed, str(folder)), labels=labels)
    spent = before or time.process_time() - began
    while True:
        trainer.average.eval()
        yield trainer, spent
        began = time.process_time()
        loss = trainer.train_step()[0]
        spent += time.process_time() - began
        if not isfinite(loss):
            raise DivergedError(spent)


def memory() -> dict[str, float]:
    """Memory of this process in MB, now (VmRSS) and at most since the last call (VmHWM); freed pages are given back."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    status = Path("/proc/self/status").read_text().splitlines()
    found = {
        k: float(v.split()[0]) / 1024 for k, v in (line.split(":", 1) for line in status) if k in ("VmRSS", "VmHWM")
    }
    Path("/proc/self/clear_refs").write_text("5")
    return found


def sampled(model: DensityModel, labels: list[Label], voxels: int) -> dict[str, Any]:
    """Errors on the same few voxels of every cell."""
    errors, nmae, free = [], [], []
    for label in labels:
        sample = make_sample(label, model.cutoffs)
        drawn = sample.draw(voxels, np.random.default_rng(crc32(label.name.encode())))
        with torch.no_grad():
            predicted = model.readout.at_points(model(sample.graph), sample.probes(drawn.points))
        errors.append(float(voxel_error(predicted, drawn.target, drawn.weight, sample.scale)))
        moved = float(np.abs(label.treated).sum()) * label.grid.voxel_volume
        free.append(100.0 * moved / valence_electrons(label.structure))
        nmae.append(errors[-1] * free[-1])
    return {
        "deformation_error": fmean(errors),
        "deformation_error_median": median(errors),
        "nmae_valence_percent": fmean(nmae),
        "free_atom_nmae_percent": fmean(free),
        "each": {label.name: round(e, 4) for label, e in zip(labels, errors, strict=True)},
    }


def whole(model: DensityModel, labels: list[Label]) -> dict[str, Any]:
    """Metrics on whole grids, and voxels per CPU second from atoms to array."""
    rows, seconds, ready = [], 0.0, as_learned(model)
    for label in labels:
        began = time.process_time()
        values = ready.readout.values(ready.readout.prepare(label.structure), label.structure, label.grid)
        seconds += time.process_time() - began
        rows.append(score(values, label.treated, label.structure, label.grid))
    return {
        "potential_error_ratio": fmean(r.potential_error_ratio for r in rows),
        "whole_deformation_error": fmean(r.deformation_error for r in rows),
        "voxels_per_cpu_s": sum(label.grid.size for label in labels) / seconds,
    }


def read(path: Path) -> list[dict[str, Any]]:
    """Lines written so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(path: Path, row: dict[str, Any]) -> None:
    """One more line."""
    with path.open("a") as stream:
        stream.write(json.dumps(row) + "\n")
    print({k: v for k, v in row.items() if k != "each"}, flush=True)


def tune(course: Course, path: Path) -> None:
    """A short trial of every way of the contestants that have several; the preparation does not count."""
    done = {(r["contestant"], r["way"]) for r in read(path) if r["kind"] == "trial"}
    for name, contestant in CONTESTANTS.items():
        for number, way in enumerate(contestant.ways if len(contestant.ways) > 1 else ()):
            if (name, number) in done:
                continue
            with TemporaryDirectory() as folder:
                steps = trained(way, 100, course.train, Path(folder), 0.0)
                trainer, prepared_in = next(steps)
                while next(steps)[1] < prepared_in + TRIAL:
                    pass
                found = sampled(trainer.average, course.validation, TUNING_VOXELS)["deformation_error"]
            write(
                path, {"kind": "trial", "contestant": name, "way": number, "validation": found, "steps": trainer.step}
            )


def chosen(rows: list[dict[str, Any]], name: str) -> int:
    """The way with the smaller error on validation labels, of those that did not diverge in a longer run."""
    lost = {r["way"] for r in rows if r["kind"] == "diverged" and r["contestant"] == name}
    trials = [r for r in rows if r["kind"] == "trial" and r["contestant"] == name and r["way"] not in lost]
    return min(trials, key=lambda r: r["validation"])["way"] if trials else 0


def runs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Looks at the ways that were chosen."""
    return [r for r in rows if r["kind"] == "run" and r["way"] == chosen(rows, r["contestant"])]


def run(course: Course, path: Path, scratch: Path, seeds: int, minutes: float, names: Sequence[str]) -> None:
    """All looks that are not in the results yet, until the CPU time is used up."""
    for seed in range(seeds):
        for budget in BUDGETS:
            for name in names:
                if time.process_time() > 60.0 * minutes - budget:
                    print("CPU time used up; run again to go on")
                    return
                try:
                    look(course, path, scratch, (name, seed, budget))
                except DivergedError as error:
                    way = chosen(read(path), name)
                    write(path, {"kind": "diverged", "contestant": name, "way": way, "train_cpu_s": error.args[0]})
                    look(course, path, scratch, (name, seed, budget))


def look(course: Course, path: Path, scratch: Path, what: tuple[str, int, float]) -> None:
    """Train a contestant up to a budget, from the state of the budget before, and evaluate it."""
    name, seed, budget = what
    contestant, rows = CONTESTANTS[name], read(path)
    way = chosen(rows, name)
    own = {r["budget"]: r for r in runs(rows) if (r["contestant"], r["seed"]) == (name, seed)}
    if budget in own:
        return
    folder = scratch / f"{name}-{seed}-{way}".replace(" ", "-")
    last = own[max(own)] if own and folder.exists() else {"train_cpu_s": 0.0}
    resident = memory()["VmRSS"]
    for trainer, spent in trained(contestant.ways[way], seed, course.train, folder, last["train_cpu_s"]):
        prepared_in = spent if not trainer.step else last.get("prepare_cpu_s", 0.0)
        last = {**last, "prepare_cpu_s": prepared_in}
        if spent >= budget:
            break
    row = {
        "kind": "run",
        "contestant": name,
        "seed": seed,
        "way": way,
        "budget": budget,
        "train_cpu_s": round(spent, 1),
        "prepare_cpu_s": round(last["prepare_cpu_s"], 1),
        "steps": trainer.step,
        "parameters": sum(p.numel() for p in trainer.trained),
        "memory_mb": round(memory()["VmHWM"] - resident),
        **sampled(trainer.average, course.test, VOXELS),
    }
    if not contestant.dear or (seed, budget) == (0, BUDGETS[-1]):
        cells = sorted(course.test, key=lambda label: label.grid.size)[:WHOLE]
        row |= whole(trainer.average, cells)
    write(path, row)
    trainer.run(until=trainer.step)  # no step more: saves its state


def spread(rows: list[dict[str, Any]], column: str, digits: int = 3) -> str:
    """Mean over the seeds, with the standard deviation of one seed."""
    values = [r[column] for r in rows if column in r]
    if not values:
        return "–"
    return f"{fmean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def table(path: Path, image: Path | None) -> None:
    """Print the table of the results and draw both plots."""
    rows = runs(read(path))
    head = HEAD.split(", ")
    for budget in BUDGETS:
        print(f"\nAfter {budget:g} s of CPU time:\n\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        for name in CONTESTANTS:
            own = [r for r in rows if r["contestant"] == name and r["budget"] == budget]
            if not own:
                continue
            cells = [
                name,
                f"{own[0]['parameters']:,}",
                f"{fmean(r['steps'] for r in own):.0f}",
                spread(own, "deformation_error"),
                spread(own, "nmae_valence_percent", 2),
                spread(own, "potential_error_ratio"),
                spread(own[:1], "voxels_per_cpu_s", 0),
                f"{max(r.get('memory_mb', 0) for r in own) or '–'}",
                str(len(own)),
            ]
            print("| " + " | ".join(cells) + " |")
        if rows:
            free = rows[0]["free_atom_nmae_percent"]
            print(f"| free atoms | 0 | 0 | 1 | {free:.2f} | 1 | | | |")
    if image is not None:
        draw(rows, image)


def draw(rows: list[dict[str, Any]], image: Path) -> None:
    """Error against cost of training, and against speed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    looks = {(r["contestant"], r["budget"]) for r in rows}
    common = max(b for b in BUDGETS if all((name, b) in looks for name, _ in looks))
    for name, contestant in CONTESTANTS.items():
        points = [
            (b, [r["deformation_error"] for r in rows if r["contestant"] == name and r["budget"] == b]) for b in BUDGETS
        ]
        points = [(b, e) for b, e in points if e]
        if not points:
            continue
        style = {
            "color": contestant.colour,
            "marker": "s" if name.startswith("RhoTEM") else "o",
            "markerfacecolor": contestant.colour if "," in name or name.startswith("RhoTEM") else "white",
            "capsize": 3,
        }
        errors = [stdev(e) if len(e) > 1 else 0.0 for _, e in points]
        left.errorbar([b for b, _ in points], [fmean(e) for _, e in points], errors, label=name, **style)
        speed = [r["voxels_per_cpu_s"] for r in rows if r["contestant"] == name and "voxels_per_cpu_s" in r]
        if speed:
            which = [b for b, _ in points].index(common)
            right.errorbar(median(speed), fmean(points[which][1]), errors[which], **style)
    for axes, label in (
        (left, "CPU seconds of training"),
        (right, f"voxels per CPU second (error after {common:g} s)"),
    ):
        axes.axhline(1.0, color="grey", linestyle=":", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel=label)
        axes.grid(alpha=0.3, which="both")
    left.set_xlim(0.8 * BUDGETS[0], 1.25 * BUDGETS[-1])
    left.set_xticks(BUDGETS, [f"{b:g}" for b in BUDGETS])
    left.minorticks_off()
    left.set_yticks(TICKS, [f"{t:g}" for t in TICKS])
    left.set_ylabel("deformation error (free atoms: 1)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    figure.savefig(image, dpi=150)


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tune", "run", "table"])
    committed = [str(ROOT / f"data/labels/{name}") for name in ("whole", "demo", "voxels", "shards")]
    parser.add_argument("--labels", nargs="+", default=committed)
    parser.add_argument("--split", type=Path, default=SPLIT)
    parser.add_argument("--results", type=Path, default=ROOT / "data/training/race.jsonl")
    parser.add_argument("--scratch", type=Path, default=ROOT / "runs/race")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS), metavar="NAME")
    parser.add_argument("--minutes", type=float, default=85.0)
    parser.add_argument("--image", type=Path)
    options = parser.parse_args()
    if options.what == "table":
        table(options.results, options.image)
        return
    torch.set_num_threads(1)
    course = Course.of(options.labels, options.split)
    print(
        f"{len(course.train)} labels to train on, {len(course.validation)} to tune with, {len(course.test)} to test on"
    )
    warm_up(course)
    if options.what == "tune":
        tune(course, options.results)
    else:
        run(course, options.results, options.scratch, options.seeds, options.minutes, options.only)


def warm_up(course: Course) -> None:
    """Compile what is compiled once per installation."""
    way = CONTESTANTS["RhoTEM spherical"].ways[0]
    small = sorted(course.train, key=lambda label: label.grid.size)[:2]
    with TemporaryDirectory() as folder:
        for trainer, _ in trained(way, 0, small, Path(folder), 0.0):
            whole(trainer.average, small[:1])
            if trainer.step:
                break


if __name__ == "__main__":
    main()
