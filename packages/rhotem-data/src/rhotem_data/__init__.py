"""Further weights of RhoTEM's learned density, and entries to look at; found by their entry points."""

from pathlib import Path

#: Folder of the weights.
WEIGHTS = Path(__file__).parent / "weights"
#: Folder of the entries that `rhotem view` shows without another one.
ENTRIES = Path(__file__).parent / "entries"
