"""Weights on disk: safetensors beside a JSON that says what they are. No pickle."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from rhotem.core import InputError, MissingDependencyError
from rhotem.core.provenance import versions
from rhotem.models.model import DensityModel, ModelSettings, make_model

FORMAT, FORMAT_VERSION = "rhotem-model", 1

#: Weights that come with the package.
SHIPPED = Path(__file__).parent / "weights"


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors so that a file is complete or the old one."""
    try:
        from safetensors.torch import save_file
    except ImportError as error:
        raise MissingDependencyError("safetensors is not installed; pip install 'rhotem[models]'") from error
    temporary = path.with_suffix(".tmp")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary)
    os.replace(temporary, path)


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors.

    Raises
    ------
    InputError
        If the file is not there, truncated or something else.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingDependencyError("safetensors is not installed; pip install 'rhotem[models]'") from error
    if not path.is_file():
        raise InputError(f"model {path}: no such file; `rhotem model list` shows what there is")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"model {path}: truncated or not safetensors ({error}); copy or download it again") from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a file is complete or the old one."""
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, path)


def save_model(path: str | Path, model: DensityModel, info: dict[str, Any] | None = None, half: bool = False) -> None:
    """Write ``path`` (.safetensors) and the JSON beside it: format, settings, versions, and ``info``.

    ``half``: numbers of 16 bits, right to 5e-4 of each; they are read as numbers of 32.
    """
    path = Path(path).with_suffix(".safetensors")
    tensors = dict(model.state_dict())
    save_tensors(path, halved(tensors) if half else tensors)
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, "settings": model.settings.model_dump(mode="json")}
    write_json(path.with_suffix(".json"), {**header, "versions": versions(), "info": info or {}})


def halved(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same with its real numbers in 16 bits."""
    return {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}


def load_model(name: str | Path, device: str = "cpu") -> tuple[DensityModel, dict[str, Any]]:
    """A model by path or name of shipped weights ("default"), and the content of its JSON.

    Raises
    ------
    InputError
        If it is not there, truncated, of a newer format, of an unknown architecture, or its weights do not fit it.
    """
    path = find_model(name)
    header = read_header(path)
    try:
        settings = ModelSettings.model_validate(header["settings"])
    except (KeyError, ValidationError) as error:
        raise InputError(
            f"model {path}: architecture or settings unknown to this version of RhoTEM; update RhoTEM or train again"
        ) from error
    model = make_model(settings)
    tensors = load_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"model {path}: weights do not fit the settings in its JSON; the two files differ") from error
    return model.to(device).eval(), header


def read_header(path: Path) -> dict[str, Any]:
    """The JSON beside weights, its format checked."""
    side = path.with_suffix(".json")
    try:
        header = json.loads(side.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"model {side}: missing or damaged; it belongs beside {path.name}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"model {side}: not the description of a RhoTEM model")
    version = header.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise InputError(
            f"model {side}: format version {version}, this RhoTEM reads up to {FORMAT_VERSION}; update RhoTEM"
        )
    return header


def find_model(name: str | Path) -> Path:
    """Path of the weights called ``name``: a file, a run folder, or shipped weights.

    Raises
    ------
    InputError
        If there are none.
    """
    path = Path(name)
    for candidate in (path, path / "model.safetensors", SHIPPED / f"{name}.safetensors"):
        if candidate.is_file():
            return candidate.with_suffix(".safetensors")
    shipped = ", ".join(shipped_models()) or "none"
    raise InputError(f"model {name}: neither a file nor a run folder nor shipped weights (there are: {shipped})")


def shipped_models() -> list[str]:
    """Names of the weights in the package."""
    return sorted(p.stem for p in SHIPPED.glob("*.safetensors"))
