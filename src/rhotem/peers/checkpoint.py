"""Peers on disk: official checkpoints in, safetensors beside JSON out, as for every model of RhoTEM."""

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from rhotem.core import InputError
from rhotem.core.folders import models_folder
from rhotem.core.provenance import file_sha256, versions
from rhotem.learned.couplings import coupling
from rhotem.learned.weights import FORMAT, FORMAT_VERSION, read_header, write_json
from rhotem.peers.charge3net import ChargE3NetSettings
from rhotem.peers.deepdft import STEP, DeepDFTSettings
from rhotem.peers.irreps import hidden_irreps
from rhotem.peers.networks import Peer, PeerSettings, make_peer
from rhotem.peers.official import CONSTANT, Tensors, architecture_of, official_name, read_checkpoint
from rhotem.training.checkpoint import load_tensors, save_tensors

#: Official names of settings.
DEEPDFT_NAMES = {"num_interactions": "interactions", "node_size": "size", "cutoff": "cutoff"}
CHARGE3NET_NAMES = {
    "num_interactions": "interactions",
    "num_neighbors": "neighbours",
    "mul": "mul",
    "lmax": "lmax",
    "cutoff": "cutoff",
    "basis": "basis",
    "num_basis": "functions",
    "spin": "spin",
}
#: Largest lmax that is tried where a file does not say.
LARGEST_LMAX = 8


def import_checkpoint(
    path: str | Path,
    name: str,
    given: Mapping[str, Any] | None = None,
    info: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Path:
    """Convert an official checkpoint once; afterwards ``name`` is a density source.

    Parameters
    ----------
    path : path
        ``best_model.pth`` (with ``arguments.json`` beside it), ``charge3net_*.pt``, a Lightning file, or a folder.
    name : str
        What the model shall be called.
    given : mapping, optional
        Settings that the files do not say, by our names: ``{"cutoff": 4.0}``.
    info : mapping, optional
        Kept with the weights; ``{"valence": {"Li": 1}}`` where the training data had other PAW sets than the
        Materials Project's.
    folder : Path, optional
        Instead of the user's models folder.

    Returns
    -------
    Path of the safetensors file.

    Raises
    ------
    InputError
        If the file cannot be read safely, a weight is missing, unknown or of the wrong shape: the line names it.
    """
    if not name or Path(name).name != name or name.startswith("."):
        raise InputError(f"model name {name!r}: expected a plain word, without slashes")
    file, tensors, said = read_checkpoint(Path(path))
    settings = settings_of(file, tensors, said, given or {})
    model = make_peer(settings)
    fill(file, model, tensors)
    folder = models_folder() if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.safetensors"
    source = {"name": name, "imported_from": file.name, "sha256": file_sha256(file)}
    save_peer(target, model, {**source, **(info or {})})
    return target


def save_peer(path: str | Path, model: Peer, info: Mapping[str, Any] | None = None) -> None:
    """Write ``path`` (.safetensors) and the JSON beside it."""
    path = Path(path).with_suffix(".safetensors")
    save_tensors(path, dict(model.state_dict()))
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, "settings": model.settings.model_dump(mode="json")}
    write_json(path.with_suffix(".json"), {**header, "versions": versions(), "info": dict(info or {})})


def load_peer(name: str | Path, device: str = "cpu") -> tuple[Peer, dict[str, Any]]:
    """A peer by the name it was imported under or by path, and the content of its JSON.

    Raises
    ------
    InputError
        If it is not there, is no peer, or its two files differ.
    """
    path = find_peer(name)
    header = read_header(path)
    model = make_peer(_validated(path, dict(header.get("settings", {}))))
    try:
        model.load_state_dict(load_tensors(path))
    except RuntimeError as error:
        raise InputError(f"model {path}: weights do not fit the settings in its JSON; the two files differ") from error
    return model.to(device).eval(), header


def find_peer(name: str | Path) -> Path:
    """Path of the imported weights called ``name``.

    Raises
    ------
    InputError
        If there are none.
    """
    path = Path(name)
    for candidate in (path, models_folder() / f"{name}.safetensors"):
        if candidate.is_file():
            return candidate.with_suffix(".safetensors")
    known = ", ".join(imported_models()) or "none"
    raise InputError(f"model {name}: neither a file nor an imported model (there are: {known}); rhotem model import")


def imported_models() -> list[str]:
    """Names of the models in the user's folder."""
    return sorted(p.stem for p in models_folder().glob("*.safetensors"))


def settings_of(file: Path, tensors: Tensors, said: Mapping[str, Any], given: Mapping[str, Any]) -> PeerSettings:
    """Settings: what the weights show, over that what the files say, over that what the user says.

    Raises
    ------
    InputError
        If a setting is unknown or out of range, or the weights fit no size of the architecture.
    """
    architecture = architecture_of(file, tensors)
    names = CHARGE3NET_NAMES if architecture == "charge3net" else DEEPDFT_NAMES
    known = {ours: said[theirs] for theirs, ours in names.items() if said.get(theirs) is not None}
    if architecture == "charge3net":
        shown = _charge3net_sizes(file, tensors) if not {"mul", "lmax"} <= {*known, *given} else {}
    else:
        shown = _deepdft_sizes(tensors)
    return _validated(file, {"architecture": architecture, **shown, **known, **given})


def fill(file: Path, model: Peer, tensors: Tensors) -> None:
    """Load official weights into ``model``.

    Raises
    ------
    InputError
        If one is missing, of the wrong shape, not finite, or not of this model; the line names it.
    """
    architecture = model.settings.architecture
    own = model.state_dict()
    names = {name: official_name(architecture, name) for name in own}
    found = {}
    for name, official in names.items():
        value, expected = tensors.get(official), tuple(own[name].shape)
        if value is None:
            raise InputError(f"checkpoint {file}: {official} is missing, expected {expected}; the file is incomplete")
        if tuple(value.shape) != expected:
            raise InputError(
                f"checkpoint {file}: {official} has shape {tuple(value.shape)}, expected {expected}; "
                "the settings do not belong to these weights"
            )
        if not torch.isfinite(value).all():
            raise InputError(f"checkpoint {file}: {official} contains values that are not finite")
        found[name] = value.to(own[name].dtype)
    extra = sorted(k for k in set(tensors) - set(names.values()) if not CONSTANT.search(k))
    if extra:
        raise InputError(
            f"checkpoint {file}: {extra[0]} does not belong to {architecture} of these settings ({len(extra)} such); "
            "give the right settings"
        )
    _check_couplings(file, tensors)
    model.load_state_dict(found)


def _check_couplings(file: Path, tensors: Tensors) -> None:
    """Coupling coefficients that e3nn stored must be today's: older versions had other signs."""
    for name, value in tensors.items():
        if "._w3j_" in name:
            l1, l2, l3 = (int(x) for x in name.split("_")[-3:])
            ours = torch.tensor(coupling(l1, l2, l3)) / math.sqrt(2 * l3 + 1)  # norm 1
            if not torch.allclose(value.double(), ours, atol=1e-5):
                raise InputError(f"checkpoint {file}: {name} differs from e3nn's; written by an e3nn of other signs")


def _validated(path: Path, settings: dict[str, Any]) -> PeerSettings:
    kind = ChargE3NetSettings if settings.get("architecture") == "charge3net" else DeepDFTSettings
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"model {path}: {where}: {first['msg']}") from None


def _rounds(tensors: Tensors, group: str) -> int:
    """Number of entries of a list of layers."""
    return len({name.split(".")[2] for name in tensors if name.startswith(group)})


def _deepdft_sizes(tensors: Tensors) -> dict[str, Any]:
    embedding = tensors.get("atom_model.atom_embeddings.weight")
    shown: dict[str, Any] = {"interactions": _rounds(tensors, "atom_model.interactions.")}
    if embedding is not None and embedding.dim() == 2:
        shown["size"] = embedding.shape[1]
    gaussians = tensors.get("probe_model.messagesum_layers.0.message_function.msg_function_edge.0.weight")
    if gaussians is not None and gaussians.dim() == 2:
        shown["cutoff"] = gaussians.shape[1] * STEP
    return shown


def _charge3net_sizes(file: Path, tensors: Tensors) -> dict[str, Any]:
    """Sizes of a ChargE3Net from the lengths of its flat weights, which is all that official files say."""
    needed = ("probe_model.basis.mean", "probe_model.readout.weight", "probe_model.convolutions.0.lin1.weight")
    for name in needed:
        if name not in tensors:
            raise InputError(f"checkpoint {file}: {name} is missing; the file is incomplete")
    mean, readout, first = (len(tensors[name]) for name in needed)
    shown = {"interactions": _rounds(tensors, "atom_model.convolutions."), "functions": mean}
    for spin, lmax in itertools.product((False, True), range(LARGEST_LMAX + 1)):
        scalars = readout // (2 if spin else 1)
        likely = scalars * (lmax + 1)
        for mul in sorted(range(max(1, likely - lmax), likely + lmax + 1), key=lambda m: abs(m - likely)):
            sizes = [n for (l, p), n in hidden_irreps(mul, lmax).items() if p == (-1) ** l]
            # The features of the first round have natural parity only.
            if sizes[0] == scalars and sum(n * n for n in sizes) == first:
                return {**shown, "mul": mul, "lmax": lmax, "spin": spin}
    raise InputError(f"checkpoint {file}: its sizes fit no mul and lmax; give them with --set mul=... --set lmax=...")
