"""Checkpoints as the official codes wrote them: same layouts, same random numbers drawn in the same order."""

import hashlib
import json
import math
from pathlib import Path

import torch
from torch import nn

DATA = Path(__file__).parents[1] / "data" / "peers"
LAYOUTS = json.loads((DATA / "layouts.json").read_text())
SETTINGS = {
    "charge3net": {
        "num_interactions": 3, "num_neighbors": 20, "mul": 500, "lmax": 4, "cutoff": 4.0, "basis": "gaussian",
        "num_basis": 20,
    },
    "deepdft-painn": {"cutoff": 4.0, "num_interactions": 3, "node_size": 128, "use_painn_model": True},
    "deepdft-schnet": {"cutoff": 4.0, "num_interactions": 6, "node_size": 128, "use_painn_model": False},
}  # fmt: skip


def state_dict(name: str) -> dict[str, torch.Tensor]:
    """The weights that the reference densities were calculated with."""
    layout = LAYOUTS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(layout["seed"])
        weights = _charge3net(layout) if name == "charge3net" else _deepdft(layout)
    digest = hashlib.sha256(b"".join(w.numpy().tobytes() for w in weights.values())).hexdigest()
    if digest != layout["sha256"]:
        raise AssertionError(f"{name}: this torch draws other random numbers than the one that made the reference")
    return weights


def _deepdft(layout: dict) -> dict[str, torch.Tensor]:
    shapes = dict(map(tuple, layout["weights"]))
    weights: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        if name in weights:
            continue
        if "embedding" in name:
            weights[name] = nn.Embedding(*shape).weight.detach()
            continue
        bias = name.removesuffix("weight") + "bias"
        layer = nn.Linear(shape[1], shape[0], bias=bias in shapes)
        weights[name] = layer.weight.detach()
        if bias in shapes:
            weights[bias] = layer.bias.detach()
    return weights


def _charge3net(layout: dict) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    for name, shape in layout["weights"]:
        weights[name] = _statistics(name) if ".basis." in name else torch.randn(shape)
    return weights


def _statistics(name: str) -> torch.Tensor:
    """Mean and inverse spread of the 20 Gaussians of distance, as e3nn's function makes them."""
    from e3nn.math import soft_one_hot_linspace

    values = soft_one_hot_linspace(torch.linspace(0.0, 4.0, 4001)[1:], 0.0, 4.0, 20, "gaussian", False)
    spread, mean = torch.std_mean(values, dim=0)
    return mean if name.endswith("mean") else torch.reciprocal(spread)


def write(folder: Path, name: str) -> Path:
    """The checkpoint of ``name`` in its published layout; path of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = state_dict(name)
    if name == "charge3net":
        path = folder / "charge3net_test.pt"
        torch.save({"epoch": 0, "step": 0, "model": weights, "best_nmape": math.inf}, path)
        return path
    path = folder / "best_model.pth"
    torch.save({"model": weights, "step": 0, "best_val_mae": math.inf}, path)
    (folder / "arguments.json").write_text(json.dumps(SETTINGS[name]))
    return path
