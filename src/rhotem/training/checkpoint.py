"""Networks on disk: those of `rhotem.learned.weights`, as modules of torch."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhotem.core import InputError
from rhotem.core.provenance import versions
from rhotem.learned.model import LearnedModel, read_settings
from rhotem.learned.relatives import SPECIES, with_newcomers
from rhotem.learned.weights import (
    BODY,
    FORMAT,
    FORMAT_VERSION,
    PUBLISHED,
    find_model,
    published_body,
    read_arrays,
    read_header,
    read_weights,
    write_json,
)
from rhotem.training.network.encoders.sevennet import Pretrained
from rhotem.training.network.model import DensityModel, make_model


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors so that a file is complete or the old one."""
    from safetensors.torch import save_file

    temporary = path.with_suffix(".tmp")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary)
    os.replace(temporary, path)


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors; raises InputError if the file is not there, truncated or something else."""
    return {name: torch.from_numpy(array) for name, array in read_arrays(path).items()}


def save_model(path: str | Path, model: DensityModel, info: dict[str, Any] | None = None, half: bool = False) -> None:
    """Write ``path`` (.safetensors) and the JSON beside it: format, settings, versions, and ``info``.

    ``half``: numbers of 16 bits, right to 5e-4 of each; they are read as numbers of 32. Pretrained layers as published
    are then left out: they come with the package.
    """
    path = Path(path).with_suffix(".safetensors")
    tensors = dict(model.state_dict())
    tensors = halved(tensors) if half else tensors
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, "settings": model.settings.model_dump(mode="json")}
    if half and (body := _published(model, tensors)):
        header["body"] = body
        tensors = {name: t for name, t in tensors.items() if not name.startswith(BODY)}
    save_tensors(path, tensors)
    write_json(path.with_suffix(".json"), {**header, "versions": versions(), "info": info or {}})


def _published(model: DensityModel, tensors: dict[str, torch.Tensor]) -> dict[str, Any] | None:
    """Which published body the model stands on, as `rhotem.learned.weights.read_weights` takes it; None: its own."""
    settings = model.settings.sevennet
    if not isinstance(model.encoder, Pretrained) or settings.name not in PUBLISHED:
        return None
    known = published_body(settings.name, settings.layers)
    own = {name: t.numpy() for name, t in tensors.items() if name.startswith(BODY)}
    if known.keys() != own.keys() or not all(np.array_equal(known[name], a) for name, a in own.items()):
        return None
    return {"name": settings.name, "layers": settings.layers}


def halved(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same with its real numbers in 16 bits."""
    return {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}


def load_network(name: str | Path, device: str = "cpu") -> tuple[DensityModel, dict[str, Any]]:
    """A network by path or name of shipped weights ("default"), and the content of its JSON.

    Raises
    ------
    InputError
        If it is not there, truncated, of a newer format, of an unknown architecture, or its weights do not fit it.
    """
    path = find_model(name)
    header = read_header(path)
    model = make_model(read_settings(header, path))
    try:
        arrays = read_weights(path, header)
        model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise InputError(f"model {path}: weights do not fit the settings in its JSON; the two files differ") from error
    return model.to(device).eval(), header


def rows_of_relatives(model: DensityModel) -> dict[str, torch.Tensor]:
    """Its weights, in the tables of elements the rows that elements without training are predicted with.

    A run that goes on from them with such elements starts where their prediction is (`rhotem.learned.relatives`),
    not at rows that nothing has touched.
    """
    state = dict(model.state_dict())
    arrays = {name: t.numpy() for name, t in state.items() if name != SPECIES}
    filled = with_newcomers(arrays, model.settings.elements)
    return state | {name: torch.from_numpy(filled[name]) for name in arrays}


def as_learned(model: DensityModel) -> LearnedModel:
    """What predicts with the present weights of a network, in their precision; weights on a CPU are shared."""
    return LearnedModel(model.settings, {name: t.detach().cpu().numpy() for name, t in model.state_dict().items()})


def as_network(model: LearnedModel) -> DensityModel:
    """The network with the weights, and in the precision, of what predicts."""
    arrays = model.weights.arrays
    precision = next(a.dtype for a in arrays.values() if a.dtype.kind == "f")
    network = make_model(model.settings).to(torch.float64 if precision == np.float64 else torch.float32)
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in arrays.items()})
    except RuntimeError as error:
        raise ValueError("weights do not fit the settings") from error
    return network.eval()
