"""Where the user's own files are kept."""

import os
from pathlib import Path


def models_folder() -> Path:
    """Folder of imported models: ``RHOTEM_MODELS``, else ``rhotem/models`` in the user's data folder (XDG)."""
    own = os.environ.get("RHOTEM_MODELS")
    if own:
        return Path(own)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "rhotem" / "models"
