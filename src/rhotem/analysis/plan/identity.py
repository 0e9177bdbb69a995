"""What a result is made from: hashes of everything that a run reads, and the identity of its result."""

import hashlib
import json
from pathlib import Path
from typing import Any

from rhotem.analysis.plan.model import Plan
from rhotem.core.physics import PHYSICS
from rhotem.core.provenance import array_sha256, file_sha256
from rhotem.density.source import is_density_file
from rhotem.structure.model import Structure


def inputs(plan: Plan, crystal: Structure, source: object) -> dict[str, str]:
    """SHA-256 of what a run reads, by key of the plan; of a ready phase that of its atoms.

    ``density.weights`` is that of the weights of a learned density, which say where they lie (``path``).
    """
    structure = Path(plan.specimen.structure)
    atoms = array_sha256(crystal.cell, crystal.numbers, crystal.positions)
    hashes = {"specimen.structure": path_sha256(structure) if structure.exists() else atoms}
    if plan.motion.frames is not None:
        hashes["motion.frames"] = path_sha256(Path(plan.motion.frames))
    if plan.density.source is not None and is_density_file(plan.density.source):
        hashes["density.source"] = path_sha256(Path(plan.density.source))
    elif isinstance(weights := getattr(source, "path", None), Path) and weights.is_file():
        hashes["density.weights"] = file_sha256(weights)
    if plan.microscope.instrument is not None:
        hashes |= instrument_hashes(plan.microscope.instrument)
    return hashes


def instrument_hashes(name: str) -> dict[str, str]:
    """SHA-256 of an instrument's file with the maps of its detectors."""
    from rhotem.microscope.instruments.registry import path_of, read_instrument

    path = path_of(name)
    digest = hashlib.sha256(file_sha256(path).encode())
    for inner in read_instrument(path).files():
        digest.update(file_sha256(inner).encode())
    return {"microscope.instrument": digest.hexdigest()}


def path_sha256(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names."""
    if not path.is_dir():
        return file_sha256(path)
    digest = hashlib.sha256()
    for inner in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{inner.relative_to(path).as_posix()} {file_sha256(inner)}\n".encode())
    return digest.hexdigest()


def identity(plan: Plan, hashes: dict[str, str]) -> str:
    """Identity of a result: SHA-256 of the plan without its section computing, of the inputs and of the physics.

    Two results of one identity show the same, up to noise and to the accuracy of the numerics. Paths do not count,
    what lies there does.
    """
    data: dict[str, Any] = plan.data(full=True)
    for name in ("computing", "series"):
        data.pop(name)
    data["density"].pop("gpaw_cache")
    for name in ("specimen.structure", "motion.frames", "density.source", "microscope.instrument"):
        section, _, key = name.partition(".")
        if name in hashes:
            data[section][key] = hashes[name]
        elif name == "density.source" and "density.weights" in hashes:
            data[section][key] = "weights"
    text = json.dumps({"plan": data, "inputs": hashes, "physics": PHYSICS}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
