"""Where the user's own files are kept, and where work is done beside them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def models_folder() -> Path:
    """Folder of imported models: ``RHOTEM_MODELS``, else ``rhotem/models`` in the user's data folder (XDG)."""
    own = os.environ.get("RHOTEM_MODELS")
    if own:
        return Path(own)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "rhotem" / "models"


def instruments_folder() -> Path:
    """Folder of the user's instruments: ``RHOTEM_INSTRUMENTS``, else ``rhotem/instruments`` of the user's settings."""
    own = os.environ.get("RHOTEM_INSTRUMENTS")
    if own:
        return Path(own)
    settings = os.environ.get("XDG_CONFIG_HOME")
    return (Path(settings) if settings else Path.home() / ".config") / "rhotem" / "instruments"


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Temporary folder beside ``target``, on the same disk; deleted at the end. Makes the parent folder if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".tmp", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
