"""What a result was made from: versions, hashes, settings."""

import hashlib
import importlib.metadata
import platform
from functools import cache
from pathlib import Path

import numpy as np

#: Packages whose version can change a number in a result.
PACKAGES = (
    "rhotem",
    "numpy",
    "scipy",
    "ase",
    "spglib",
    "abtem",
    "pyfftw",
    "finufft",
    "numba",
    "gpaw",
    "torch",
    "sevenn",
    "nep-adapters",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that can change a result."""
    known = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **{name: said for name, said in known.items() if said is not None}}


@cache
def _version(name: str) -> str | None:
    """Version of a package, None if it is not there; its description is read once."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def array_sha256(*arrays: np.ndarray) -> str:
    """SHA-256 over dtype, shape and bytes of arrays, hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
