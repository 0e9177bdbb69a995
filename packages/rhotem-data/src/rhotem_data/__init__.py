"""Further weights of RhoTEM's learned density; `rhotem.learned.weights` finds them by their entry point."""

from pathlib import Path

#: Folder of the weights.
WEIGHTS = Path(__file__).parent / "weights"
