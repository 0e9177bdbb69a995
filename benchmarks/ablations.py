"""Short trainings that differ in one thing each: what the results section of docs/model.md is made of.

    python benchmarks/ablations.py [--out data/training/ablations.jsonl] [--scratch DIR] [--list] [RUN ...]

Every run has the settings of data/training/ablations.toml but for what `RUNS` names. One process, one core, run after
run; a finished run is one line of the output and is not repeated. Frozen features are calculated once and kept in the
scratch folder. Errors are those of 4000 drawn voxels per cell, and of the analytic coefficients for the potential.
`benchmarks/ablations_tables.py` prints the tables.
"""

import argparse
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhotem.labels.label import Label
from rhotem.labels.splits import read_split, unit_hash
from rhotem.learned.radial import Block
from rhotem.learned.settings import SevenNetSettings
from rhotem.training.checkpoint import as_learned, load_tensors, save_model, save_tensors
from rhotem.training.config import Config, read_config
from rhotem.training.dataset import read_labels
from rhotem.training.evaluate import evaluate_label
from rhotem.training.loss import PotentialTarget, potential_target
from rhotem.training.network.encoders.sevennet import SevenNet
from rhotem.training.network.graph import Graph, build_graph
from rhotem.training.network.model import DensityModel, make_model
from rhotem.training.trainer import Trainer

BASE = Path("data/training/ablations.toml")
#: Atoms whose encoder is timed: up to so many of the cells tested in family. Repetitions, of which the fastest counts.
TIMED_ATOMS, REPEATS = 60, 3


@dataclass(frozen=True)
class Run:
    """A training: what differs from the base, by dotted name; the share of the parents of the training set it sees."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    seed: int = 0


def repeated(runs: Sequence[Run], *seeds: int) -> list[Run]:
    """The same runs with other seeds."""
    return [replace(r, seed=s) for s in seeds for r in runs]


NEAR, FAR = "model.spherical.near.", "model.spherical.far."
#: The gated readout is ten times slower: it and what it is compared with are trained for less.
GATED = {"train.steps": 200, "data.points": 200}
#: Pretrained layers in the loop cost thirty times as much: they, and the same without, go on from a trained model.
TUNED = {"train.start": "baseline", "train.steps": 100, "train.learning_rate": 1e-3, "train.warmup": 20}

BASELINE = Run("baseline")
CURVE = [Run(f"parents-{n}", share=1 / n) for n in (8, 4, 2)]
LONG = [
    Run("parents-all-long" if n == 1 else f"parents-{n}-long", {"train.steps": 2400}, share=1 / n) for n in (1, 8, 2, 4)
]
#: The encoder of the shipped weights instead of that of the base.
SHIPPED_BODY = {"model.sevennet.name": "sevennet-0", "model.sevennet.tensors": "all"}
SHIPPED_CURVE = [
    Run(f"shipped-body-{n}", {"train.steps": 2400, **SHIPPED_BODY}, share=1 / n, seed=seed)
    for seed in (0, 1)
    for n in (1, 8, 2, 4)
]
CAPACITY = [
    Run("channels-96", {"model.nequip.channels": 96, **SHIPPED_BODY}),
    Run("layers-2", {"model.nequip.layers": 2, "model.nequip.lmax_sent": 2, **SHIPPED_BODY}),
]
UNSEEN = [Run(f"without-{c}", {"data.unseen": [c]}) for c in ("olivine", "spinel", "graphite", "Na", "SEI")]
LMAX = [Run(f"lmax-{l}", {"model.nequip.lmax": l, NEAR + "lmax": l, FAR + "lmax": min(l, 3)}) for l in (2, 3, 6)]
LOSS = [
    Run("voxels-only", {"train.potential_weight": 0.0}),
    Run("potential-1", {"train.potential_weight": 1.0}),
]
REGULARISATION = [Run("no-regularisation", {"train.weight_decay": 0.0, "train.feature_dropout": 0.0})]
ONE_CENTRE = [
    Run("near-from-0.3", {NEAR + "narrowest": 0.3, NEAR + "functions": 6}),
    Run("near-l3", {NEAR + "lmax": 3}),
]
#: Wide functions that reach farther: the outer shells of alkali atoms do.
WIDE = [Run("wide-to-6.5", {FAR + "widest": 2.2, FAR + "functions": 5, FAR + "cutoff": 6.5})]
OTHERS = [
    Run("sevennet-0", {"model.sevennet.name": "sevennet-0"}),
    Run("sevennet-0-all", SHIPPED_BODY),
    Run("sevennet-l3i5-all", {"model.sevennet.tensors": "all"}),
    Run("scratch", {"model.encoder": "nequip", "model.nequip.layers": 2, "model.nequip.lmax_sent": 2}),
]
GATES = [
    Run("spherical-200", GATED),
    *(
        Run(f"gate-{g}", {"model.readout": "gated", "model.gated.gate": g, **GATED})
        for g in ("full", "no-vacuum", "softmax", "sum")
    ),
]
TUNING = [Run("frozen-on", TUNED), Run("tuned-on", {"train.encoder_rate": 0.1, **TUNED})]

REPEATED = ("sevennet-0", "sevennet-0-all", "lmax-3", "voxels-only")

RUNS = [
    BASELINE, *repeated([BASELINE], 1), *CURVE, *UNSEEN, *LMAX, *LOSS, *ONE_CENTRE, *WIDE, *OTHERS, *LONG, *GATES,
    *repeated([r for r in [*OTHERS, *LMAX, *LOSS] if r.name in REPEATED], 1),
    *REGULARISATION, *TUNING, *CAPACITY, *SHIPPED_CURVE, *repeated([*CURVE], 1),
]  # fmt: skip
#: Readouts without analytic coefficients whose potential is taken from the grid of the label instead: minutes.
ON_GRID = ("gate-full",)
#: Only their cost is measured: the other runs differ in labels or loss.
TIMED_RUNS = (
    "baseline",
    "lmax-2",
    "lmax-3",
    "lmax-6",
    "near-from-0.3",
    "near-l3",
    "sevennet-0",
    "scratch",
    "gate-full",
)


class Shared:
    """What runs have in common: labels, frozen features, targets of the potential."""

    def __init__(self, base: Config, scratch: Path) -> None:
        self.scratch = scratch
        self.parts = read_split(Path(base.data.split))
        names = {name for part, listed in self.parts.items() if part != "excluded" for name in listed}
        self.labels = read_labels(base.data.labels, wanted=names)
        self._features: dict[str, dict[str, torch.Tensor]] = {}
        self._targets: dict[str, PotentialTarget] = {}
        self._functions: tuple[Block, ...] = ()

    def labels_of(self, run: Run) -> list[Label]:
        """All labels, of the training parents only a share: the first in the order of a hash, so shares are nested."""
        train = set(self.parts["train"])
        parents = sorted({x.parent for x in self.labels if x.name in train}, key=lambda p: unit_hash(f"{run.seed} {p}"))
        kept = set(parents[: round(run.share * len(parents))])
        return [x for x in self.labels if x.name not in train or x.parent in kept]

    def remember(self, body: SevenNet, settings: SevenNetSettings) -> None:
        """Let frozen layers calculate every structure once."""
        name = settings.name if settings.tensors == "last" else f"{settings.name}-all"
        path = self.scratch / f"{name}.safetensors"
        if name not in self._features:
            self._features[name] = load_tensors(path) if path.exists() else {}
        known, calculate = self._features[name], body.forward

        def forward(graph: Graph) -> torch.Tensor:
            order = torch.argsort(graph.centre, stable=True)
            key = hashlib.sha256(graph.numbers.numpy().tobytes() + graph.vectors[order].numpy().tobytes()).hexdigest()
            if key not in known:
                known[key] = calculate(graph)
            return known[key]

        body.forward = forward  # type: ignore[method-assign]  # of this one object

    def save(self) -> None:
        """Keep the features for the next process."""
        for name, known in self._features.items():
            save_tensors(self.scratch / f"{name}.safetensors", known)

    def target(self, label: Label, model: DensityModel) -> PotentialTarget:
        """`potential_target`, once for all runs with these functions in a row."""
        functions = model.readout.blocks
        if functions != self._functions:
            self._targets, self._functions = {}, functions
        if label.name not in self._targets:
            self._targets[label.name] = potential_target(label, functions)
        return self._targets[label.name]


class Short(Trainer):
    """A training of this file."""

    def __init__(self, config: Config, labels: Sequence[Label], shared: Shared) -> None:
        self.shared = shared
        super().__init__(config, labels=labels)
        if config.train.potential_weight == 0.0:  # still measured on what is held out
            self.targets = [None] * len(self.samples)

    def _started(self, elements: list[int]) -> DensityModel:
        settings, t = self.config.model, self.config.train
        if settings.encoder != "sevennet" or t.start:
            model = super()._started(elements)
            if not t.encoder_rate and t.start:
                self.shared.remember(model.encoder.body, settings.sevennet)
            return model
        settings.elements = elements
        model = make_model(settings, self.config.train.seed)
        model.encoder.load_published(settings.sevennet.name)
        self.shared.remember(model.encoder.body, settings.sevennet)
        model.encoder.standardise([graph_of(label, model).to("cpu") for label in self.split.train])
        return model

    def _target(self, label: Label) -> PotentialTarget | None:
        return self.shared.target(label, self.model) if self.model.can.linear else None

    def result(self) -> dict[str, dict[str, list[float | None]]]:
        """By part and cell: deformation error, potential error, NMAE of free atoms in %, are all elements known."""
        self.average.eval()
        out: dict[str, dict[str, list[float | None]]] = {}
        for part, watched in self.watched.items():
            for w in watched:
                error, potential, _, free = w.measure(self.average, self.device)
                known = set(w.sample.graph.numbers.tolist()) <= set(self.average.settings.elements)
                row = [round(error, 4), None if math.isnan(potential) else round(potential, 4), round(free, 2)]
                out.setdefault(part, {})[w.sample.name] = [*row, int(known)]
        return out

    def potentials_on_grid(self, parts: dict[str, dict[str, list[float | None]]]) -> None:
        """Put the potential's errors into a `result` that has none, of what is held out in family and watched."""
        for part in ("family", "validation"):
            for label in self.split.held_out[part]:
                measured = evaluate_label(as_learned(self.average), label)["potential_error_ratio"]
                parts[part][label.name][1] = round(measured, 4)

    def cost(self) -> dict[str, float]:
        """Atoms per CPU second of the encoder and voxels per CPU second of the readout, one thread."""
        model, labels = self.average, self.split.held_out["family"]
        body = getattr(model.encoder, "body", None)
        if body is not None:
            body.__dict__.pop("forward", None)  # calculate, not remember
        smallest = min(labels, key=lambda label: label.grid.size)
        sizes = np.cumsum([len(label.structure) for label in labels])
        graphs = [
            graph_of(label, model).to("cpu") for label, size in zip(labels, sizes, strict=True) if size <= TIMED_ATOMS
        ]
        atoms = sum(len(g.numbers) for g in graphs)
        encoded, read = [], []
        with torch.no_grad():
            ready = as_learned(model)
            given = ready.readout.prepare(smallest.structure)
            for _ in range(REPEATS):
                began = time.process_time()
                for graph in graphs:
                    model.encoder(graph)
                encoded.append(time.process_time() - began)
                began = time.process_time()
                ready.readout.values(given, smallest.structure, smallest.grid)
                read.append(time.process_time() - began)
        return {"atoms_per_second": atoms / min(encoded), "voxels_per_second": smallest.grid.size / min(read)}


def graph_of(label: Label, model: DensityModel) -> Graph:
    """The atoms of a label as the encoder sees them."""
    s = label.structure
    return build_graph(s.numbers, s.positions, s.cell, model.encoder.cutoff, s.charge)


def configured(run: Run, scratch: Path) -> Config:
    """The base with the changes of a run."""
    content = read_config(BASE).model_dump()
    changes = {**run.changes, "out": str(scratch / "run"), "train.seed": run.seed}
    if "train.start" in changes:
        changes["train.start"] = str(scratch / f"{changes['train.start']}.safetensors")
    for name, value in changes.items():
        *path, last = name.split(".")
        place = content
        for step in path:
            place = place[step]
        place[last] = value
    return Config.model_validate(content)


def perform(run: Run, shared: Shared) -> dict[str, Any]:
    """Train and measure; one line of the output."""
    config = configured(run, shared.scratch)
    trainer = Short(config, shared.labels_of(run), shared)
    shared.save()
    trainer.train_step()  # compiles
    losses, began = [], time.process_time()
    while trainer.step < config.train.steps:
        losses.append(trainer.train_step())
    seconds = (time.process_time() - began) / (config.train.steps - 1)
    last = np.mean(losses[-100:], axis=0)
    if run == BASELINE:
        save_model(shared.scratch / run.name, trainer.average)
    measured = trainer.result()
    if run.name in ON_GRID:
        trainer.potentials_on_grid(measured)
    timed = trainer.cost() if run.name in TIMED_RUNS and not run.seed else {}
    return {
        "run": run.name,
        "seed": run.seed,
        "steps": config.train.steps,
        "labels": len(trainer.split.train),
        "parents": len({label.parent for label in trainer.split.train}),
        "trained_parameters": sum(p.numel() for p in trainer.trained),
        "training_error": round(float(last[1]), 4),
        "seconds_per_step": round(seconds, 4),
        "parts": measured,
        **{name: round(value, 1) for name, value in timed.items()},
    }


def describe(shared: Shared) -> dict[str, Any]:
    """The line that says what the cells are: formula and prototype by name."""
    return {"cells": {x.name: [x.formula, x.family] for x in shared.labels}}


def finished(path: Path) -> list[dict[str, Any]]:
    """Lines of the output."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(path: Path, line: dict[str, Any]) -> None:
    """Add a line."""
    with path.open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="RUN", help="only these; without any: all")
    parser.add_argument("--out", type=Path, default=Path("data/training/ablations.jsonl"))
    parser.add_argument("--scratch", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--list", action="store_true", help="print the runs that are left")
    options = parser.parse_args()
    lines = finished(options.out)
    done = {(line["run"], line["seed"]) for line in lines if "run" in line}
    left = [r for r in RUNS if (r.name, r.seed) not in done and (not options.names or r.name in options.names)]
    if options.list:
        print("\n".join(f"{r.name} seed {r.seed}" for r in left))
        return
    options.scratch.mkdir(parents=True, exist_ok=True)
    shared = Shared(read_config(BASE), options.scratch)
    if not any("cells" in line for line in lines):
        write(options.out, describe(shared))
    for run in left:
        began = time.process_time()
        line = perform(run, shared)
        write(options.out, line)
        errors = {part: float(np.mean([v[0] for v in cells.values()])) for part, cells in line["parts"].items()}
        shown = " ".join(f"{part} {error:.3f}" for part, error in errors.items())
        print(f"{run.name} seed {run.seed}: {shown}; {time.process_time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
