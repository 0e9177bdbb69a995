"""Training: resumable bit for bit on a CPU, everything it did in one folder."""

import copy
import csv
import json
import math
import time
import zlib
from pathlib import Path

import numpy as np
import torch

from rhotem.core import InputError, Progress, silent
from rhotem.models.checkpoint import load_tensors, save_model, save_tensors, write_json
from rhotem.models.config import Config
from rhotem.models.dataset import Sample, join_probes, make_sample, read_labels
from rhotem.models.evaluate import evaluate_label, overall
from rhotem.models.graph import join
from rhotem.models.loss import PotentialTarget, potential_error, potential_target, voxel_error
from rhotem.models.model import make_model
from rhotem.models.split import Split, split

COLUMNS = (
    "step", "minutes", "learning_rate", "loss", "voxel_error", "potential_error", "family_deformation_error",
    "family_potential_error_ratio", "family_nmae_valence_percent", "free_atom_nmae_percent",
    "unseen_deformation_error", "unseen_potential_error_ratio",
)  # fmt: skip


class Trainer:
    """The state of a run: weights, their average, the optimiser, the generator, the step."""

    def __init__(self, config: Config, progress: Progress = silent) -> None:
        self.config = config
        t = config.train
        if t.threads:
            torch.set_num_threads(t.threads)
        self.device = pick_device(t.device)
        self.folder = Path(config.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.split: Split = split(read_labels(config.data.labels, progress), config.data, t.seed)
        elements = sorted({int(z) for label in self.split.train for z in label.structure.numbers})
        config.model.elements = elements
        self.model = make_model(config.model, t.seed).to(self.device)
        self.average = copy.deepcopy(self.model)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=t.learning_rate, weight_decay=t.weight_decay)
        self.rng = np.random.default_rng(t.seed)
        self.step, self.spent, self.best, self.waited = 0, 0.0, math.inf, 0
        self.samples: list[Sample] = []
        self.targets: list[PotentialTarget] = []
        self._prepare(progress)
        if (self.folder / "state.json").exists():
            self.load_state()

    def _prepare(self, progress: Progress) -> None:
        d = self.config.data
        for done, label in enumerate(self.split.train):
            rng = np.random.default_rng([self.config.train.seed, zlib.crc32(label.name.encode())])
            self.samples.append(make_sample(label, self.model.cutoffs, d.batches, d.points, rng))
            self.targets.append(potential_target(label, self.model.readout.blocks))
            progress("drawing voxels", done + 1, len(self.split.train))
        write_json(
            self.folder / "config.json",
            {
                "config": self.config.model_dump(mode="json"),
                "test_parents": self.split.test_parents,
                "train": [label.name for label in self.split.train],
                "family": [label.name for label in self.split.family],
                "unseen": [label.name for label in self.split.unseen],
                "parameters": self.model.parameters_count,
            },
        )

    # -- one step -------------------------------------------------------------------------------------------------

    def learning_rate(self) -> float:
        """Linear warm-up, then half a cosine to zero."""
        t = self.config.train
        rise = min(1.0, (self.step + 1) / max(1, t.warmup))
        return t.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * self.step / t.steps))

    def train_step(self) -> tuple[float, float, float]:
        """One update; loss, voxel error, potential error of the batch."""
        t = self.config.train
        count = min(t.structures_per_step, len(self.samples))
        chosen = self.rng.choice(len(self.samples), count, replace=False)
        sets = self.rng.integers(0, self.config.data.batches, count)
        graph = join([self.samples[i].graph for i in chosen]).to(self.device)
        probes = join_probes([self.samples[i].probes[b] for i, b in zip(chosen, sets, strict=True)]).to(self.device)
        coefficients = self.model(graph)
        predicted = self.model.readout.at_points(coefficients, probes)
        voxel, potential, start, atom = predicted.new_zeros(()), predicted.new_zeros(()), 0, 0
        for i, b in zip(chosen, sets, strict=True):
            s, n, atoms = self.samples[i], self.config.data.points, len(self.samples[i].graph.numbers)
            target, weight = s.target[b].to(self.device), s.weight[b].to(self.device)
            voxel = voxel + voxel_error(predicted[start : start + n], target, weight, s.scale) / count
            if t.potential_weight:
                own = tuple(c[atom : atom + atoms] for c in coefficients)
                potential = potential + potential_error(own, self.targets[i].to(self.device)) / count
            start, atom = start + n, atom + atoms
        loss = voxel + t.potential_weight * potential
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), t.clip)
        self.optimiser.step()
        self.step += 1
        decay = min(t.ema, self.step / (self.step + 10.0))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(now, 1.0 - decay)
        return float(loss.detach()), float(voxel.detach()), float(potential.detach())

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self, progress: Progress = silent, until: int | None = None) -> dict:
        """Train to the last step (or ``until``), evaluating and saving on the way; returns the final summary."""
        t = self.config.train
        last = min(t.steps, until or t.steps)
        recent: list[tuple[float, float, float]] = []
        while self.step < last:
            began = time.monotonic()
            recent.append(self.train_step())
            self.spent += time.monotonic() - began
            if not math.isfinite(recent[-1][0]):
                raise InputError(f"training: the loss is not finite at step {self.step}; lower train.learning_rate")
            progress("training", self.step, t.steps)
            if self.step % t.evaluate_every == 0 or self.step == t.steps:
                self._log(np.mean(recent, axis=0))
                recent = []
            if self.step % t.save_every == 0 or self.step == last:
                self.save_state()
            if t.patience and self.waited >= t.patience:
                break
        self.save_state()
        return self.finish() if self.step == t.steps or (t.patience and self.waited >= t.patience) else {}

    def _log(self, losses: np.ndarray) -> None:
        limit = self.config.train.evaluate_structures
        self.average.eval()
        family, unseen = (
            overall([evaluate_label(self.average, label) for label in part[:limit]])
            for part in (self.split.family, self.split.unseen)
        )
        row = {
            "step": self.step,
            "minutes": self.spent / 60.0,
            "learning_rate": self.learning_rate(),
            **dict(zip(("loss", "voxel_error", "potential_error"), map(float, losses), strict=True)),
            **{f"family_{k}": family.get(k) for k in ("deformation_error", "potential_error_ratio")},
            "family_nmae_valence_percent": family.get("nmae_valence_percent"),
            "free_atom_nmae_percent": family.get("free_atom_nmae_percent"),
            **{f"unseen_{k}": unseen.get(k) for k in ("deformation_error", "potential_error_ratio")},
        }
        path = self.folder / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            if fresh:
                writer.writeheader()
            writer.writerow({k: (f"{v:.5g}" if isinstance(v, float) else v) for k, v in row.items()})
        now = float(family["deformation_error"] if family else losses[0])
        self.waited = 0 if now < self.best else self.waited + 1
        self.best = min(self.best, now)

    def finish(self) -> dict:
        """Evaluate everything held out, write the model with its measured accuracy and the learning curve."""
        self.average.eval()
        results = {}
        for name, part in (("family", self.split.family), ("unseen", self.split.unseen)):
            each = [evaluate_label(self.average, label) for label in part]
            results[name] = {"overall": overall(each), "structures": each}
        info = {
            "name": self.config.name,
            "labels": len(self.split.train),
            "steps": self.step,
            "minutes": self.spent / 60.0,
            "accuracy": {name: r["overall"] for name, r in results.items()},
            "test_parents": self.split.test_parents,
            "unseen": self.config.data.unseen,
        }
        save_model(self.folder / "model.safetensors", self.average, info)
        write_json(self.folder / "results.json", results)
        learning_curve(self.folder)
        return info

    # -- state ----------------------------------------------------------------------------------------------------

    def save_state(self) -> None:
        """Everything needed to go on as if never stopped."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
        name = f"state-{self.step % 2}.safetensors"  # the JSON, written last, says which of two is whole
        save_tensors(self.folder / name, tensors)
        write_json(
            self.folder / "state.json",
            {
                "file": name,
                "step": self.step,
                "spent": self.spent,
                "best": None if math.isinf(self.best) else self.best,
                "waited": self.waited,
                "generator": self.rng.bit_generator.state,
                "config": self._identity(),
            },
        )

    def load_state(self) -> None:
        """Continue the run of this folder.

        Raises
        ------
        InputError
            If it was made with another configuration, or is damaged.
        """
        path = self.folder / "state.json"
        try:
            state = json.loads(path.read_text())
            if state["config"] != self._identity():
                raise InputError(f"run {self.folder}: made with another configuration; give another `out` or remove it")
            tensors = load_tensors(self.folder / state["file"])
            for prefix, module in (("model.", self.model), ("average.", self.average)):
                module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
            whole = self.optimiser.state_dict()
            for key, value in tensors.items():
                if key.startswith("optimiser."):
                    _, index, entry = key.split(".", 2)
                    whole["state"].setdefault(int(index), {})[entry] = value
            self.optimiser.load_state_dict(whole)
            self.rng.bit_generator.state = state["generator"]
            self.step, self.spent, self.waited = state["step"], state["spent"], state["waited"]
            self.best = math.inf if state["best"] is None else state["best"]
        except (KeyError, ValueError, RuntimeError, OSError) as error:
            raise InputError(f"run {self.folder}: its state is damaged ({error}); remove it to start anew") from error
        _trim_log(self.folder / "log.csv", self.step)

    def _identity(self) -> dict:
        content = self.config.model_dump(mode="json")
        for name in ("device", "threads", "save_every"):
            content["train"].pop(name)
        content.pop("out")
        return content


def pick_device(name: str) -> torch.device:
    """The device called ``name``; "auto": CUDA where there is one.

    Raises
    ------
    InputError
        If it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name}: unknown; give auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name}: torch finds no CUDA device; give cpu")
    return device


def _trim_log(path: Path, step: int) -> None:
    """Drop rows after the step that a run continues from."""
    if not path.exists():
        return
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if int(row["step"]) <= step]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def learning_curve(folder: Path) -> None:
    """Draw ``learning-curve.png`` from ``log.csv``."""
    from matplotlib.figure import Figure

    with (folder / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for column, label in (
        ("voxel_error", "training voxels"),
        ("family_deformation_error", "held out, in family"),
        ("unseen_deformation_error", "unseen chemistry"),
    ):
        points = [(int(r["step"]), float(r[column])) for r in rows if r[column]]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
    axes.axhline(1.0, color="grey", lw=0.8, ls="--", label="free atoms")
    axes.set(xlabel="step", ylabel="deformation error", yscale="log")
    axes.legend()
    figure.savefig(folder / "learning-curve.png", dpi=150)
