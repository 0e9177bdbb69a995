"""Stacks of images with the descriptions that emdatabase's index takes: one YAML file beside every stack.

The index (https://github.com/electronmicroscopy/emdatabase, package ``em-database``) lists data that lie elsewhere: a
description names the file, its MD5 and size, and where it is served from. That is known only once the stacks are
published, so `SOURCE` stands there, on a host that does not exist (RFC 2606);
authors, licence and DOI are theirs to add.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

import rhotem
from rhotem.library.entry import Entry
from rhotem.library.export.stacks import file_name, stacks
from rhotem.library.store import Library
from rhotem.microscope.formats.registry import FORMATS
from rhotem.microscope.formats.signal import Signal

#: Where the files are served from: for whoever publishes them to replace.
SOURCE = "https://example.invalid/replace-with-where-you-publish"
#: Format of the stacks.
STACK = FORMATS["hspy"]
#: Values of an axis that are listed one by one.
SHOWN = 6


def write(library: Library, entries: list[Entry], folder: Path) -> list[str]:
    """A stack and its description for every image of every entry."""
    names = []
    for entry in entries:
        for stack in stacks(library, entry):
            name = file_name(entry, f"-{stack.name}{STACK.ending}")
            STACK.write(stack, folder / name)
            key = _key(entry, stack)
            document = {key: _described(entry, stack, folder / name)}
            text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)
            (folder / f"{key}.yaml").write_text(text, "utf-8")
            names += [name, f"{key}.yaml"]
    return names


def _key(entry: Entry, stack: Signal) -> str:
    """An identifier of Python that says what it is: RhoTEM_LiCoO2_ABF_375d8a73."""
    said = f"RhoTEM_{entry.formula}_{stack.name}_{entry.id[:8]}"
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in said)


def _described(entry: Entry, stack: Signal, path: Path) -> dict[str, Any]:
    """A record of emdatabase's schema; what an experiment alone has is left out."""
    content = path.read_bytes()
    depths, foci = (axis.values for axis in stack.axes[:2])
    said: dict[str, Any] = {
        "description": (
            f"Simulated noise-free {stack.name} images of {entry.title} ({entry.formula}) along {entry.zone}, one "
            f"cell, thickness {_listed(depths)} nm, defocus {_listed(foci)} nm, {entry.convergence:g} mrad, electron "
            f"density {entry.source}; axes thickness, defocus, y, x are calibrated; RhoTEM {rhotem.__version__}, entry "
            f"{entry.id}."
        ),
        "source": SOURCE,
        "checksum": f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}",
        "file": path.name,
        "size_bytes": len(content),
    }
    if entry.energy == round(entry.energy):  # its schema takes whole numbers
        said["voltage"] = f"{entry.energy:.0f} kV"
    tags = [stack.name, entry.formula, *entry.elements, entry.prototype, entry.defect, "RhoTEM"]
    return said | {
        "technique": ["STEM", "Simulated"],
        "tags": list(dict.fromkeys(tag for tag in tags if tag)),
        "kind": "dataset",
    }


def _listed(values: npt.NDArray[np.float64]) -> str:
    """Some values, or how many there are between which."""
    if len(values) <= SHOWN:
        return ", ".join(f"{value:.3g}" for value in values)
    return f"{values.min():.3g} to {values.max():.3g} ({len(values)})"
