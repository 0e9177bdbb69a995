"""Training: resumable bit for bit on a CPU, everything it did in one folder."""

import copy
import math
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, Progress, silent
from rhotem.density.metrics import valence_electrons
from rhotem.labels.label import Label
from rhotem.learned.calibration import load_calibration, save_calibration, uncertainty_path
from rhotem.learned.weights import find_model, write_json
from rhotem.training.checkpoint import as_learned, halved, load_network, rows_of_relatives, save_model
from rhotem.training.config import Config
from rhotem.training.dataset import Sample, make_sample, read_labels
from rhotem.training.device import pick_device
from rhotem.training.distil import Distillation
from rhotem.training.evaluate import evaluate_label, overall
from rhotem.training.log import LOSSES, MEASURED, append, learning_curve
from rhotem.training.loss import PotentialTarget, potential_error, potential_target, sharpened, voxel_error
from rhotem.training.network.encoders.base import AtomFeatures
from rhotem.training.network.encoders.sevennet import Pretrained
from rhotem.training.network.graph import Graph, join
from rhotem.training.network.model import DensityModel, make_model
from rhotem.training.run_state import load_state, save_state
from rhotem.training.shares import deal, drawn_shares, labels_by_element
from rhotem.training.spin import SpinTraining
from rhotem.training.split import Split, split
from rhotem.training.watch import Watched, values_at


class Trainer:
    """The state of a run: weights, their average, the optimiser, the generator, the step.

    ``labels``: those of the configuration where they have been read already (several runs in one process).
    """

    def __init__(self, config: Config, progress: Progress = silent, labels: Sequence[Label] | None = None) -> None:
        self.config = config
        t = config.train
        if t.threads:
            torch.set_num_threads(t.threads)
        self.device = pick_device(t.device)
        self.folder = Path(config.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        read = read_labels(config.data.labels, progress) if labels is None else labels
        self.split: Split = split(read, config.data, t.seed)
        elements = sorted({int(z) for label in self.split.train for z in label.structure.numbers})
        #: what the model it starts from says of itself
        self.header: dict[str, Any] = {}
        #: features of frozen layers that are known already, by label
        self.known: dict[str, torch.Tensor] = {}
        self.model = self._make(elements).to(self.device)
        self.distil = Distillation.of(config.distil, self.model, self.split, self.folder, progress)
        self.average = copy.deepcopy(self.model)
        self.trained: list[torch.Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.averaged: list[torch.Tensor] = [p for p in self.average.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self._groups(), lr=t.learning_rate, fused=True)
        self.rng = np.random.default_rng(t.seed)
        self.step, self.spent, self.best, self.waited = 0, 0.0, math.inf, 0
        self.samples: list[Sample] = []
        self.targets: list[PotentialTarget | None] = []
        self.members: list[list[int]] = []
        #: how often each label is drawn; None: all alike
        self.shares: npt.NDArray[np.float64] | None = None
        self.watched: dict[str, list[Watched]] = {}
        self.spin: SpinTraining | None = None
        self._prepare(progress)
        if (self.folder / "state.json").exists():
            load_state(self)

    def _groups(self) -> list[dict[str, Any]]:
        """Weights that decay; those that do not: what belongs to an element, and offsets; and pretrained ones."""
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        tuned = [p for name, p in named if name.startswith("encoder.body.")]
        named = [(name, p) for name, p in named if not name.startswith("encoder.body.")]
        free = [p for name, p in named if p.ndim < 2 or "log_scale" in name or "embedding" in name]
        chosen = {id(p) for p in free}
        decaying = [p for _, p in named if id(p) not in chosen]
        decay = self.config.train.weight_decay
        parts = [(decaying, decay, 1.0), (free, 0.0, 1.0)]
        if tuned:  # they do not decay: zero is not where they come from
            parts.append((tuned, 0.0, self.config.train.encoder_rate))
        return [{"params": p, "weight_decay": own, "rate": rate} for p, own, rate in parts]

    def _make(self, elements: list[int]) -> DensityModel:
        model = self._started(elements)
        if self.config.train.encoder_rate:
            if not isinstance(model.encoder, Pretrained):
                raise InputError("train.encoder_rate: only for a pretrained encoder; set model.encoder = sevennet")
            model.encoder.tune()
        if self.config.train.only == "spin":
            if model.spin is None or self.config.train.encoder_rate:
                raise InputError(
                    "train.only = spin: trains a spin head alone; set model.spin = true and no encoder_rate"
                )
            model.requires_grad_(False)
            model.spin.requires_grad_(True)
        return model

    def _started(self, elements: list[int]) -> DensityModel:
        t = self.config.train
        if t.encoder:
            return self._encoder_taken(elements)
        if not t.start:
            self.config.model.elements = elements
            model = make_model(self.config.model, t.seed)
            if isinstance(model.encoder, Pretrained):
                model.encoder.load_published(self.config.model.sevennet.name)
                graphs = [make_sample(label, model.cutoffs).graph for label in self.split.train]
                pairs = zip(self.split.train, model.encoder.standardise(graphs), strict=True)
                self.known = {label.name: features for label, features in pairs}
            return model
        known, self.header = load_network(t.start)
        wanted = {"members": self.config.model.members, "elements": sorted({*known.settings.elements, *elements})}
        if self.config.train.only == "spin":  # the density stays what it was
            wanted = {"elements": known.settings.elements}
        wanted["spin"] = known.settings.spin or self.config.model.spin
        self.config.model = known.settings.model_copy(update=wanted)
        model = make_model(self.config.model, t.seed)
        kept = self.config.train.only == "spin"  # its tables of elements, too
        model.load_state_dict(known.state_dict() if kept else rows_of_relatives(known), strict=False)
        for other in list(model.others)[len(known.others) :]:  # new members start as copies and part on their labels
            other.load_state_dict(model.readout.state_dict())
        return model

    def _encoder_taken(self, elements: list[int]) -> DensityModel:
        """A new readout on the encoder of another model."""
        t = self.config.train
        if t.start:
            raise InputError("train.encoder: the model of train.start has its own; give one of the two")
        known, _ = load_network(t.encoder)
        if known.settings.peer is not None:
            raise InputError(f"train.encoder {t.encoder}: a published network has no encoder of ours")
        own = {name: getattr(known.settings, name) for name in ("encoder", "nequip", "sevennet")}
        self.config.model = self.config.model.model_copy(update={**own, "elements": elements})
        model = make_model(self.config.model, t.seed)
        filled = rows_of_relatives(known)
        model.load_state_dict({k: v for k, v in filled.items() if k.startswith("encoder.")}, strict=False)
        return model

    def _prepare(self, progress: Progress) -> None:
        t, parts = self.config.train, self.split.held_out
        todo = len(self.split.train) + sum(map(len, parts.values()))
        count = self.model.settings.members
        trained = [label for label in self.split.train if t.only == "all" or label.magnetization is not None]
        for label in trained:
            self.samples.append(self._sample(label))
            self.targets.append(self._target(label, self.samples[-1]))
            progress("preparing", len(self.samples), todo)
        self.members = deal(trained, count, t.member_share, t.seed)
        if self.config.data.balance:
            self.shares = drawn_shares([label.structure.numbers for label in trained], self.config.data.balance)
        for name, labels in parts.items():
            self.watched[name] = [self._watch(label) for label in labels]
        if self.model.spin is not None:
            watched = self.watched.items()
            held_out = {n: [(label, w.sample) for label, w in zip(parts[n], own, strict=True)] for n, own in watched}
            pairs = list(zip(trained, self.samples, strict=True))
            self.spin = SpinTraining(self.model, pairs, held_out, t.structures_per_step, self.config.data.points)
            self.average.settings.spin_elements = self.model.settings.spin_elements
        write_json(
            self.folder / "config.json",
            {
                "config": self.config.model_dump(mode="json"),
                "test_parents": self.split.test_parents,
                "train": [label.name for label in self.split.train],
                **{name: [label.name for label in labels] for name, labels in parts.items()},
                "parameters": self.model.parameters_count,
            },
        )

    def _sample(self, label: Label) -> Sample:
        """A label to draw from, with the frozen features of its atoms."""
        sample = make_sample(label, self.model.cutoffs)
        order = torch.argsort(sample.graph.centre, stable=True)  # sorted edges are summed up faster
        edges = {name: getattr(sample.graph, name)[order] for name in ("centre", "neighbour", "vectors")}
        sample.graph = replace(sample.graph, **edges)
        if isinstance(self.model.encoder, Pretrained) and not self.config.train.encoder_rate:
            known = self.known.pop(label.name, None)
            if known is None:
                known = self.model.encoder.given(sample.graph.to(self.device)).cpu()
            sample.graph = replace(sample.graph, extra=known)
        return sample

    def _target(self, label: Label, sample: Sample) -> PotentialTarget | None:
        """What the potential is compared with; of chosen voxels alone an estimate, the better the model at hand."""
        if not (self.model.can.linear and self.config.train.potential_weight > 0):
            return None
        goal = potential_target(label, self.model.readout.blocks)
        if label.has_coefficients or not self.header:
            return goal
        with torch.no_grad():
            coefficients = self.model(sample.graph.to(self.device))
            places = (sample.positions() @ label.grid.cell).astype(np.float32)
            predicted = values_at(self.model.readouts, coefficients, sample, places).cpu().numpy()
            return sharpened(goal.to(self.device), label, coefficients, predicted)

    def _watch(self, label: Label) -> Watched:
        rng = np.random.default_rng(zlib.crc32(label.name.encode()))
        sample = self._sample(label)
        drawn = sample.draw(self.config.train.evaluate_points, rng)
        electrons = label.absolute_mean * label.grid.volume
        free = 100.0 * electrons / valence_electrons(label.structure)
        return Watched(sample, drawn, self._target(label, sample) if label.has_coefficients else None, free)

    # -- one step -------------------------------------------------------------------------------------------------

    def learning_rate(self) -> float:
        """Linear warm-up, then half a cosine to zero unless it is to stay."""
        t = self.config.train
        rise = min(1.0, (self.step + 1) / max(1, t.warmup))
        if t.schedule == "constant":
            return t.learning_rate * rise
        return t.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * self.step / t.steps))

    def train_step(self) -> tuple[float, float, float, float]:
        """One update; loss, voxel error, potential error and error of m of the batch (NaN for what it did not see)."""
        t = self.config.train
        loss, (voxel, potential, spin) = torch.zeros(()), torch.full((3,), math.nan)
        if self.distil is not None:
            loss = self.distil.loss(self.model, self.rng, t.potential_weight)
        if t.only == "all" and (self.distil is None or self.step >= self.distil.settings.alone * t.steps):
            voxel, potential = self._label_errors()
            loss = loss + voxel + t.potential_weight * potential
        if self.spin is not None:
            spin = self.spin.loss(self.model, self.rng, self.device)
            loss = loss + t.spin_weight * spin
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate() * group["rate"]
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, t.clip)
        self.optimiser.step()
        self.step += 1
        decay = min(t.ema, self.step / (self.step + 10.0))
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, self.trained, 1.0 - decay)
        return float(loss.detach()), float(voxel.detach()), float(potential.detach()), float(spin.detach())

    def _label_errors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Voxel error and potential error of labels drawn anew."""
        count = min(self.config.train.structures_per_step, len(self.samples))
        chosen = self.rng.choice(len(self.samples), count, replace=False, p=self.shares)
        samples = [self.samples[i] for i in chosen]
        drawn = [s.draw(self.config.data.points, self.rng) for s in samples]
        members = [int(self.rng.choice(self.members[i])) for i in chosen]
        graph = join([s.graph for s in samples]).to(self.device)
        if self.config.train.encoder_rate:
            graph = replace(graph, extra=self.model.encoder.given(graph))
        features = self.model.encoder(self._dropped(graph))
        given = self._read(features, graph, samples, members)
        voxel, potential = features.scalars.new_zeros(()), features.scalars.new_zeros(())
        for i, sample, member, own_given, d in zip(chosen, samples, members, given, drawn, strict=True):
            predicted = values_at([self.model.readouts[member]], own_given, sample, d.points)
            error = voxel_error(predicted, d.target.to(self.device), d.weight.to(self.device), sample.scale)
            voxel = voxel + error / count
            potential_goal = self.targets[i]
            if potential_goal is not None:
                potential = potential + potential_error(own_given, potential_goal.to(self.device)) / count
        return voxel, potential

    def _dropped(self, graph: Graph) -> Graph:
        """The graph with some of its pretrained scalars forgotten, the others larger to make up for it."""
        share = self.config.train.feature_dropout
        if graph.extra is None or not share:
            return graph
        scalars = self.model.encoder.settings.extra
        mask = (self.rng.random((len(graph.extra), scalars)) >= share) / (1.0 - share)
        kept = graph.extra[:, :scalars] * torch.from_numpy(mask).to(graph.extra)
        return replace(graph, extra=torch.cat([kept, graph.extra[:, scalars:]], dim=1))

    def _read(
        self, features: AtomFeatures, graph: Graph, samples: list[Sample], members: list[int]
    ) -> list[tuple[torch.Tensor, ...]]:
        """What the member chosen for every structure makes of its atoms."""
        sizes = [len(s.graph.numbers) for s in samples]
        if not len(self.model.others):
            blocks = [block.split(sizes) for block in self.model.readout(features, graph)]
            return list(zip(*blocks, strict=True))
        readouts = self.model.readouts
        own = zip(features.scalars.split(sizes), features.tensors.split(sizes), strict=True)
        return [
            readouts[member](AtomFeatures(*f), s.graph.to(self.device))
            for member, f, s in zip(members, own, samples, strict=True)
        ]

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self, progress: Progress = silent, until: int | None = None) -> dict:
        """Train to the last step (or ``until``), evaluating and saving on the way; returns the final summary."""
        t = self.config.train
        last = min(t.steps, until or t.steps)
        recent: list[tuple[float, float, float, float]] = []
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
                save_state(self)
            if t.patience and self.waited >= t.patience:
                break
        save_state(self)
        return self.finish() if self.step == t.steps or (t.patience and self.waited >= t.patience) else {}

    def _log(self, losses: np.ndarray) -> None:
        self.average.eval()
        t = self.config.train
        row: dict[str, float] = {
            "step": self.step,
            "minutes": self.spent / 60.0,
            "learning_rate": self.learning_rate(),
            **{k: float(v) for k, v in zip(LOSSES, losses, strict=True) if math.isfinite(v)},
        }
        for name, watched in self.watched.items():
            each = np.array([w.measure(self.average, self.device) for w in watched]).T
            measured = [np.mean(m[np.isfinite(m)]) if np.isfinite(m).any() else math.nan for m in each]
            row |= {f"{name}_{column}": float(value) for column, value in zip(MEASURED, measured, strict=True)}
        if self.spin is not None:
            found = self.spin.measure(self.average, t.evaluate_points, self.device)
            row |= {f"{name}_spin_error": value for name, value in found.items()}
        if self.distil is not None:
            row["distillation"] = self.distil.measure(self.average)
        append(self.folder, row)
        column = "spin_error" if t.only == "spin" else "deformation_error"
        goal = next((row[f"{k}_{column}"] for k in ("validation", "family") if f"{k}_{column}" in row), losses[0])
        self.waited = 0 if goal < self.best else self.waited + 1
        self.best = min(self.best, float(goal))

    def finish(self) -> dict:
        """Evaluate everything held out, write the model with its measured accuracy and the learning curve."""
        self.average.eval()
        half = self.config.train.half
        if half:  # what is measured is what is written
            self.average.load_state_dict(halved(self.average.state_dict()))
        if self.config.train.only == "spin":
            return self._finish_spin()
        results: dict[str, Any] = {}
        ready = as_learned(self.average)
        for name, part in self.split.held_out.items():
            each = [evaluate_label(ready, label) for label in part]
            results[name] = {"overall": overall(each), "structures": each}
        earlier = self.header.get("info", {})
        accuracy = {name: r["overall"] for name, r in results.items()}
        if "unseen" in earlier.get("accuracy", {}):  # measured before what was left out was trained on, too
            accuracy.setdefault("unseen", earlier["accuracy"]["unseen"])
        info = {
            "name": self.config.name,
            "labels": len(self.split.train),
            "labels_by_element": labels_by_element([*self.split.train, *chain(*self.split.held_out.values())]),
            "steps": earlier.get("steps", 0) + self.step,
            "minutes": earlier.get("minutes", 0.0) + self.spent / 60.0,
            "accuracy": accuracy,
            "test_parents": self.split.test_parents,
            "unseen": self.config.data.unseen or earlier.get("unseen", []),
        }
        if self.distil is not None:
            info["distilled"] = self.distil.summary(self.average)
        if self.spin is not None:
            results["spin"] = self.spin.summary(self.average)
            info["spin"] = {name: r["overall"] for name, r in results["spin"].items()}
        save_model(self.folder / "model.safetensors", self.average, info, half)
        write_json(self.folder / "results.json", results)
        learning_curve(self.folder)
        return info

    def _finish_spin(self) -> dict:
        """Write the model with a trained spin head; what is known of its density has not changed."""
        found = self.spin.summary(self.average) if self.spin else {}
        spin = {name: r["overall"] for name, r in found.items()}
        info = {**self.header.get("info", {}), "name": self.config.name, "spin": spin}
        save_model(self.folder / "model.safetensors", self.average, info, self.config.train.half)
        write_json(self.folder / "results.json", {"spin": found})
        learning_curve(self.folder)
        start = self.config.train.start
        if start and uncertainty_path(find_model(start)).is_file():  # error bars of a density that is the same
            save_calibration(self.folder / "model.safetensors", load_calibration(find_model(start)))
        return info
