"""The layouts in which DeepDFT and ChargE3Net publish weights, read without running anything that a file contains."""

import json
import pickle
import re
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from rhotem.core import InputError

Tensors = dict[str, torch.Tensor]

#: Weights among a folder's files, in the order in which they are looked for.
FILES = ("best_model.pth", "checkpoint.pt", "*.pth", "*.pt", "*.ckpt")
#: JSON files beside the weights that say how the model was made.
SETTINGS_FILES = ("arguments.json", "config.json")
#: What wrappers put before the names of weights.
PREFIXES = ("network.", "module.", "model.")
#: Entries of e3nn that hold no learned numbers.
CONSTANT = re.compile(r"\.output_mask$|\._w3j_\d+_\d+_\d+$|\.(tp|mul)\.weight$|readout\.bias$")

_ATOM_NET = "message_sum_module.message_function.msg_function_"
_PROBE_NET = "message_function.msg_function_"

#: Our name (regular expression) and the official one, by architecture.
RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "deepdft-schnet": (
        (r"embedding\.", "atom_model.atom_embeddings."),
        (r"atoms\.(\d+)\.message\.(edge|node)\.", rf"atom_model.interactions.\1.{_ATOM_NET}\2."),
        (r"atoms\.(\d+)\.transition\.", r"atom_model.interactions.\1.state_transition_function."),
        (r"probes\.(\d+)\.message\.(edge|node)\.", rf"probe_model.messagesum_layers.\1.{_PROBE_NET}\2."),
        (r"probes\.(\d+)\.gate\.", r"probe_model.probe_state_gate_functions.\1."),
        (r"probes\.(\d+)\.transition\.", r"probe_model.probe_state_transition_functions.\1."),
        (r"readout\.", "probe_model.readout_function."),
    ),
    "deepdft-painn": (
        (r"embedding\.", "atom_model.atom_embeddings."),
        (r"atoms\.(\d+)\.filter\.", r"atom_model.interactions.\1.filter_layer."),
        (r"atoms\.(\d+)\.sender\.", r"atom_model.interactions.\1.scalar_message_mlp."),
        (r"updates\.(\d+)\.first\.", r"atom_model.scalar_vector_update.\1.linearU."),
        (r"updates\.(\d+)\.second\.", r"atom_model.scalar_vector_update.\1.linearV."),
        (r"updates\.(\d+)\.mix\.", r"atom_model.scalar_vector_update.\1.combined_mlp."),
        (r"probes\.(\d+)\.message\.filter\.", r"probe_model.message_layers.\1.filter_layer."),
        (r"probes\.(\d+)\.message\.sender\.", r"probe_model.message_layers.\1.scalar_message_mlp."),
        (r"probes\.(\d+)\.gate\.", r"probe_model.message_layers.\1.update_gate_mlp."),
        (r"probes\.(\d+)\.update\.first\.", r"probe_model.scalar_vector_update.\1.linearU."),
        (r"probes\.(\d+)\.update\.second\.", r"probe_model.scalar_vector_update.\1.linearV."),
        (r"probes\.(\d+)\.update\.mix\.", r"probe_model.scalar_vector_update.\1.combined_mlp."),
        (r"readout\.", "probe_model.readout_function."),
    ),
    "charge3net": (
        (r"(atom|probe)s\.(\d+)\.radial(\d)$", r"\1_model.convolutions.\2.fc.layer\3.weight"),
        (r"(atom|probe)s\.(\d+)\.own$", r"\1_model.convolutions.\2.sc.weight"),
        (r"(atom|probe)s\.(\d+)\.before$", r"\1_model.convolutions.\2.lin1.weight"),
        (r"(atom|probe)s\.(\d+)\.after$", r"\1_model.convolutions.\2.lin2.weight"),
        (r"(atom|probe)s\.(\d+)\.angle$", r"\1_model.convolutions.\2.lin3.weight"),
        (r"(atom|probe)_(mean|inv_std)$", r"\1_model.basis.\2"),
        (r"readout$", "probe_model.readout.weight"),
    ),
}
#: A part of names that only this architecture has.
MARKS = {"charge3net": ".convolutions.", "deepdft-painn": ".filter_layer.", "deepdft-schnet": ".messagesum_layers."}


def official_name(architecture: str, name: str) -> str:
    """The official name of our parameter or buffer ``name``."""
    for pattern, replacement in RULES[architecture]:
        found = re.match(pattern, name)
        if found:
            return found.expand(replacement) + name[found.end() :]
    raise KeyError(name)


def read_checkpoint(path: Path) -> tuple[Path, Tensors, dict[str, Any]]:
    """The file with the weights, its tensors by official name, and the settings stored in it or beside it.

    Parameters
    ----------
    path : Path
        ``best_model.pth``, ``charge3net_*.pt``, a Lightning ``.ckpt``, or a folder with one of them.

    Raises
    ------
    InputError
        If nothing is there, the file is damaged, or it asks for what may not be loaded.
    """
    file = _find(path)
    try:
        inert = _inert(file)
        with torch.serialization.safe_globals(inert) if inert else nullcontext():
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        raise InputError(
            f"checkpoint {file}: asks for {found[1] if found else 'Python objects'} to be run, which no file of "
            "weights needs; do not trust it"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"checkpoint {file}: damaged or not a PyTorch file ({line}); download it again") from None
    if not isinstance(content, Mapping):
        raise InputError(f"checkpoint {file}: holds a {type(content).__name__}, expected a state dict")
    return file, _weights(file, content), _settings(file, content)


def _inert(file: Path) -> list[Any]:
    """A stand-in that does nothing for every class or function that a file names and torch does not know.

    Training programs store schedulers and options beside the weights. Nothing of that is needed, and none of it is
    imported or called: the unpickler of ``weights_only`` gets these classes in its place. What it blocks stays blocked.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except (RuntimeError, ValueError, OSError, AttributeError, pickle.UnpicklingError):
        return []  # not a zip file, damaged, or torch before 2.6: loading says what is wrong
    return [(type(name.rpartition(".")[2], (_Nothing,), {}), name) for name in names]


class _Nothing:
    def __new__(cls, *_: object, **__: object) -> "_Nothing":
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        """Take anything."""

    def __setstate__(self, _: object) -> None:
        """Forget it."""


def architecture_of(file: Path, tensors: Tensors) -> str:
    """Which architecture the names of the weights belong to.

    Raises
    ------
    InputError
        If none.
    """
    for architecture, mark in MARKS.items():
        if any(mark in name for name in tensors):
            return architecture
    some = ", ".join(list(tensors)[:3])
    raise InputError(f"checkpoint {file}: weights of neither DeepDFT nor ChargE3Net (they begin with {some})")


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"checkpoint {path}: no such file or folder")
    for pattern in FILES:
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            raise InputError(f"checkpoint {path}: holds {', '.join(f.name for f in found)}; name one")
        if found:
            return found[0]
    raise InputError(f"checkpoint {path}: no {', '.join(FILES)} in this folder")


def _weights(file: Path, content: Mapping[str, Any]) -> Tensors:
    """The tensors, without what wrappers put before their names."""
    for key in ("model", "state_dict"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
    for prefix in PREFIXES:
        inner = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        tensors = inner or tensors
    if not tensors:
        raise InputError(
            f"checkpoint {file}: no tensors under 'model' or 'state_dict' (there are: {', '.join(content)})"
        )
    return tensors


def _settings(file: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in the file before those beside it."""
    if isinstance(content.get("config"), Mapping):
        return dict(content["config"])
    for name in SETTINGS_FILES:
        side = file.parent / name
        if side.is_file():
            try:
                read = json.loads(side.read_text())
            except ValueError as error:
                raise InputError(f"checkpoint {side}: not JSON ({error})") from error
            if isinstance(read, dict):
                return read
    return {}
