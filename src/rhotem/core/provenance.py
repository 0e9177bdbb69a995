"""What a result was made from: versions, hashes, settings."""

import hashlib
import importlib.metadata
import platform
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
)


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


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
