"""Training of a network that reads pictures: resumable bit for bit on a CPU, everything in one folder."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhotem.core import InputError, Progress, silent
from rhotem.learned.pictures.view import NUMBERS, PICTURES
from rhotem.learned.pictures.weights import save_weights
from rhotem.learned.weights import write_json
from rhotem.training.checkpoint import load_tensors, save_tensors
from rhotem.training.pictures.batch import Shard
from rhotem.training.pictures.jobs import job_of
from rhotem.training.pictures.loader import Pictures
from rhotem.training.pictures.network import UNet, plain


@dataclass(frozen=True)
class Settings:
    """How a network is trained.

    Parameters
    ----------
    widths : tuple of int
        Channels from the finest level to the coarsest.
    cycles : tuple of int
        Steps of each cosine of the learning rate; a member of the ensemble is taken at the end of each (G. Huang et
        al., Snapshot ensembles, ICLR 2017).
    batch, side : int
        Pictures of a step, and pixels of the square that is taken out of each.
    learning_rate : float
    seed : int
    keep_every : int
        Steps between states on disk.
    pixel_A : float
        Middle of the pixels that it sees.
    recipe : str
        Of the pictures (`rhotem.training.pictures.jobs`).
    inputs : int
        Pictures that it sees at a time, planes of numbers included.
    patch : int
        Pixels of a square that are channels (`rhotem.learned.pictures.unet`).
    """

    widths: tuple[int, ...] = (24, 48, 72, 96)
    cycles: tuple[int, ...] = (700, 350, 350)
    batch: int = 8
    side: int = 64
    learning_rate: float = 3e-3
    seed: int = 0
    keep_every: int = 50
    pixel_A: float = 0.2
    recipe: str = "columns"
    inputs: int = PICTURES + NUMBERS
    patch: int = 2


class Run:
    """One training: network, optimiser, step, and the folder that they are kept in."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{folder}: is a file; give a folder for the training")
        torch.manual_seed(settings.seed)
        self.job = job_of(settings.recipe)
        self.network = self._new()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
        self.step, self.spent = 0, 0.0
        if (self.folder / "state.json").exists():
            self._load()

    def _new(self) -> UNet:
        network = UNet(self.settings.widths, self.settings.inputs, self.job.outputs, self.settings.patch)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a step takes 0.85 of the time
        if self.job.adds:  # begins with what is known without it; otherwise one seed in three never came back to that
            torch.nn.init.zeros_(network.last.weight)
            torch.nn.init.zeros_(network.last.get_parameter("bias"))
        return network

    @property
    def steps(self) -> int:
        """Steps of all cycles."""
        return sum(self.settings.cycles)

    def rate(self, step: int) -> float:
        """Learning rate of a step: a cosine in each cycle, a short warm-up at the beginning."""
        start = 0
        for cycle in self.settings.cycles:
            if step < start + cycle:
                part = (step - start) / cycle
                warm = min(1.0, (step + 1) / 50)
                return warm * self.settings.learning_rate * 0.5 * (1 + float(np.cos(np.pi * part))) + 1e-6
            start += cycle
        return 1e-6

    def train(
        self, pictures: Pictures, seconds: float | None = None, report: Callable[[dict], None] = lambda row: None
    ) -> bool:
        """Train until the end, or for so many seconds of processor time; whether it is at its end.

        Raises
        ------
        InputError
            If nothing can be kept in the folder.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)  # not before there is something to train on
        except OSError as error:
            raise InputError(f"{self.folder}: no training can be kept there ({error.strerror})") from None
        began, self.network = time.process_time(), self.network.train()
        sums: dict[str, float] = {}
        ends = set(np.cumsum(self.settings.cycles).tolist())
        while self.step < self.steps:
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate(self.step)
            batch = pictures.batch(self.settings.batch, self.settings.seed, self.step, self.settings.side)
            parts = self.job.losses(self.network(batch.image), batch)
            total = torch.stack([weight * parts[name] for name, weight in self.job.weights.items()]).sum()
            self.optimiser.zero_grad(set_to_none=True)
            total.backward()
            self.optimiser.step()
            self.step += 1
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if self.step in ends:
                save_tensors(self.folder / f"member-{self.step}.safetensors", dict(self.network.state_dict()))
            if self.step % self.settings.keep_every == 0 or self.step in ends:
                now = time.process_time()
                self.spent, began = self.spent + now - began, now
                row = {name: value / self.settings.keep_every for name, value in sums.items()}
                report({"step": self.step, "seconds": round(self.spent, 1), **row})
                sums = {}
                self._save()
                if seconds is not None and self.spent >= seconds and self.step < self.steps:
                    return False
        return True

    def members(self) -> list[dict[str, Any]]:
        """Weights of the members that are there."""
        made = []
        for step in np.cumsum(self.settings.cycles).tolist():
            path = self.folder / f"member-{step}.safetensors"
            if path.exists():
                network = self._new()
                network.load_state_dict(load_tensors(path))
                made.append(plain(network))
        return made

    def export(self, path: Path, said: dict[str, Any]) -> None:
        """Write the ensemble as one file, without PyTorch's needs.

        Raises
        ------
        InputError
            If no cycle has ended.
        """
        members = self.members()
        if not members:
            raise InputError(f"{self.folder}: no cycle has ended yet; train on")
        base = {"widths": list(self.settings.widths), "pixel_A": self.settings.pixel_A, "threshold": 0.35}
        base |= {"job": self.job.recipe, "inputs": self.settings.inputs, "outputs": self.job.outputs}
        base |= {"patch": self.settings.patch}
        save_weights(path, members, {**base, "training": asdict(self.settings), "seconds": self.spent, **said})

    def _save(self) -> None:
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
        name = f"state-{self.step}.safetensors"
        save_tensors(self.folder / name, tensors)
        said = {"file": name, "step": self.step, "spent": self.spent, "settings": asdict(self.settings)}
        write_json(self.folder / "state.json", said)  # from now on this state counts
        for older in self.folder.glob("state-*.safetensors"):
            if older.name != name:
                older.unlink()

    def _load(self) -> None:
        said = json.loads((self.folder / "state.json").read_text())
        if said["settings"] != json.loads(json.dumps(asdict(self.settings))):
            raise InputError(f"{self.folder}: holds a training with other settings; give another folder")
        tensors = load_tensors(self.folder / said["file"])
        network = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        self.network.load_state_dict(network)
        state: dict[int, dict[str, Any]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = value
        known = self.optimiser.state_dict()
        self.optimiser.load_state_dict({"state": state, "param_groups": known["param_groups"]})
        self.step, self.spent = int(said["step"]), float(said["spent"])


def train(shards: Sequence[Shard], settings: Settings, folder: Path, progress: Progress = silent, **how: Any) -> Run:
    """Train a network on shards, or go on with it; ``how``: as `Run.train`."""
    run = Run(settings, folder)
    run.train(Pictures(shards, progress, settings.recipe), **how)
    return run
