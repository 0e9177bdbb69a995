"""Weights on disk: safetensors beside a JSON that says what they are. No pickle."""

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.registry import registered

FORMAT, FORMAT_VERSION = "rhotem-model", 1

#: Weights that come with the package.
SHIPPED = Path(__file__).parent / "shipped"
#: Weights of the project in other packages.
ELSEWHERE = {"fast": "rhotem-data", "gated": "rhotem-data"}

#: Published layers that come with the package, of which weights need not keep a copy; where they are in a model.
PUBLISHED = {"sevennet-0": Path(__file__).parent / "energy" / "sevennet-0.safetensors"}
BODY = "encoder.body."

Arrays = Mapping[str, npt.NDArray]


class Weights:
    """Arrays of a network, part by part.

    Parameters
    ----------
    arrays : mapping
        By full name, such as ``encoder.layers.0.send.weight``.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        inside: dict[str, dict[str, npt.NDArray]] = {}
        self._own: dict[str, npt.NDArray] = {}
        for name, array in arrays.items():
            first, dot, rest = name.partition(".")
            if dot:
                inside.setdefault(first, {})[rest] = array
            else:
                self._own[first] = array
        self._parts = {first: Weights(own) for first, own in inside.items()}

    def __getitem__(self, name: str) -> npt.NDArray:
        """The array called ``name``, "part.name" of a part; KeyError without it."""
        first, dot, rest = name.partition(".")
        return self._parts[first][rest] if dot else self._own[first]

    def __contains__(self, name: str) -> bool:
        return name in self._own

    def part(self, *names: str | int) -> "Weights":
        """A part, such as ``part("layers", 0)``; without arrays where there is none."""
        found = self
        for name in names:
            found = found._parts.get(str(name), NOTHING)
        return found

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless arrays are there and have the shapes that settings say."""
        for name, shape in shapes.items():
            try:
                found = self[name].shape
            except KeyError:
                found = None
            if found != shape:
                raise ValueError(f"{name}: shape {found}, settings say {shape}")

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return not self.arrays

    @cached_property
    def numbered(self) -> list["Weights"]:
        """The parts whose names are numbers, in order."""
        return [self._parts[str(n)] for n in sorted(int(name) for name in self._parts if name.isdigit())]

    @cached_property
    def listed(self) -> list[npt.NDArray]:
        """The arrays whose names are numbers, in order."""
        return [self._own[str(n)] for n in sorted(int(name) for name in self._own if name.isdigit())]


#: A part that is not there.
NOTHING = Weights({})


def read_arrays(path: Path) -> dict[str, npt.NDArray]:
    """Arrays of a file by name, as stored.

    Raises
    ------
    InputError
        If the file is not there, truncated or something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise InputError(f"model {path}: no such file; `rhotem model list` shows what there is")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"model {path}: truncated or not safetensors ({error}); copy or download it again") from error


def read_weights(path: Path, header: Mapping[str, Any]) -> dict[str, npt.NDArray]:
    """Arrays of a model, with those of a published body that it stands on and keeps no copy of.

    Raises
    ------
    InputError
        As `read_arrays`, and if this version has no such body, or the header does not say which.
    """
    arrays = read_arrays(path)
    body = header.get("body")
    if body is not None:
        if not isinstance(body, dict) or not isinstance(body.get("layers"), int):
            raise InputError(f"model {path}: what its JSON says of the body is damaged; copy or download it again")
        if body.get("name") not in PUBLISHED:
            raise InputError(f"model {path}: stands on {body.get('name')}, which is not here; update RhoTEM")
        arrays |= published_body(body["name"], body["layers"])
    return arrays


def published_body(name: str, layers: int) -> dict[str, npt.NDArray]:
    """The first layers of a published body as weights have them: by name in a model, real numbers of 16 bits."""
    own = [("species", "embedding", "frequencies"), tuple(f"layers.{n}." for n in range(layers))]
    found = {k: a for k, a in read_arrays(PUBLISHED[name]).items() if k in own[0] or k.startswith(own[1])}
    return {BODY + k: a for k, a in in_precision(found, np.float16).items()}


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays so that a file is complete or the old one."""
    from safetensors.numpy import save_file

    temporary = path.with_suffix(".tmp")
    save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, temporary)
    os.replace(temporary, path)


def in_precision(arrays: Arrays, dtype: npt.DTypeLike) -> dict[str, npt.NDArray]:
    """The same with all real numbers in one precision."""
    return {name: a.astype(dtype, copy=False) if a.dtype.kind == "f" else a for name, a in arrays.items()}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a file is complete or the old one."""
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, path)


def read_header(path: Path) -> dict[str, Any]:
    """The JSON beside weights, its format checked.

    Raises
    ------
    InputError
        If it is missing, damaged, or of a newer format.
    """
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
    """Path of the weights called ``name``: a file, a run folder, or installed weights.

    Raises
    ------
    InputError
        If there are none.
    """
    path = Path(name)
    if str(name) in ("model", "learned"):  # as the source is called
        return find_model("default")
    if str(name).startswith("model:"):
        return find_model(str(name).removeprefix("model:"))
    for candidate in (path, path / "model.safetensors"):
        if candidate.is_file():
            return candidate.with_suffix(".safetensors")
    installed = installed_models()
    if str(name) in installed:
        return installed[str(name)]
    known = ", ".join(installed) or "none"
    more = f"; {name} comes with {ELSEWHERE[str(name)]}: pip install it" if str(name) in ELSEWHERE else ""
    raise InputError(f"model {name}: neither a file nor a run folder nor installed weights (there are: {known}){more}")


def installed_models() -> dict[str, Path]:
    """Weights by name: those of this package, then those of packages with an entry point in ``rhotem.weights``."""
    found: dict[str, Path] = {}
    for folder in (SHIPPED, *(Path(entry.load()) for entry in registered("rhotem.weights").values())):
        for path in sorted(folder.glob("*.safetensors")):
            found.setdefault(path.stem, path)
    return found


def fingerprint(weights: Path) -> str:
    """SHA-256 of a file of weights, as it is without a spin head: error bars of another density are worth nothing."""
    content = weights.read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    if b'"spin.' in header:
        from safetensors.numpy import load, save

        content = save({name: array for name, array in load(content).items() if not name.startswith("spin.")})
    return hashlib.sha256(content).hexdigest()
