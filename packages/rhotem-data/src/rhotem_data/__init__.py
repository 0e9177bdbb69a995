"""Further weights of the learned density, potentials of single materials, entries to look at; found by entry points."""

from pathlib import Path

#: Folder of the weights.
WEIGHTS = Path(__file__).parent / "weights"
#: Folder of the entries that `rhotem view` shows without another one.
ENTRIES = Path(__file__).parent / "entries"
#: Folder of the potentials of single materials.
NEP = Path(__file__).parent / "nep"
