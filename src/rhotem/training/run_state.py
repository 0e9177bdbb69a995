"""What a training run needs to go on bit for bit as if never stopped, in its folder."""

import json
import math
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from rhotem.core import InputError
from rhotem.learned.weights import write_json
from rhotem.training.checkpoint import load_tensors, save_tensors
from rhotem.training.config import Config
from rhotem.training.log import trim
from rhotem.training.network.model import DensityModel
from rhotem.training.split import Split


class Run(Protocol):
    """What of a training run is kept: weights, their average, the optimiser, the generator, the step."""

    config: Config
    folder: Path
    split: Split
    model: DensityModel
    average: DensityModel
    optimiser: torch.optim.AdamW
    rng: np.random.Generator
    step: int
    spent: float
    best: float
    waited: int


def save_state(run: Run) -> None:
    """Everything needed to go on as if never stopped."""
    tensors = {f"model.{k}": v for k, v in run.model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in run.average.state_dict().items()}
    for index, state in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
    name = f"state-{run.step % 2}.safetensors"  # the JSON, written last, says which of two is whole
    save_tensors(run.folder / name, tensors)
    write_json(
        run.folder / "state.json",
        {
            "file": name,
            "step": run.step,
            "spent": run.spent,
            "best": None if math.isinf(run.best) else run.best,
            "waited": run.waited,
            "generator": run.rng.bit_generator.state,
            "config": identity(run),
        },
    )


def load_state(run: Run) -> None:
    """Continue the run of this folder.

    Raises
    ------
    InputError
        If it was made with another configuration, or is damaged.
    """
    path = run.folder / "state.json"
    try:
        state = json.loads(path.read_text())
        if state["config"] != identity(run):
            raise InputError(f"run {run.folder}: made with another configuration; give another `out` or remove it")
        tensors = load_tensors(run.folder / state["file"])
        for prefix, module in (("model.", run.model), ("average.", run.average)):
            module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
        whole = run.optimiser.state_dict()
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, index, entry = key.split(".", 2)
                whole["state"].setdefault(int(index), {})[entry] = value
        run.optimiser.load_state_dict(whole)
        run.rng.bit_generator.state = state["generator"]
        run.step, run.spent, run.waited = state["step"], state["spent"], state["waited"]
        run.best = math.inf if state["best"] is None else state["best"]
    except (KeyError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"run {run.folder}: its state is damaged ({error}); remove it to start anew") from error
    trim(run.folder, run.step)


def identity(run: Run) -> dict:
    """What must be the same for a run to be continued."""
    content = run.config.model_dump(mode="json")
    for name in ("device", "threads", "save_every", "start", "half"):
        content["train"].pop(name)
    content.pop("out")
    if content["distil"] is None:
        content.pop("distil")
    for name in ("labels", "split"):
        content["data"].pop(name)
    content["train_names"] = [label.name for label in run.split.train]
    return content
