"""A small picture of an entry: its images side by side, grey, seen from the source."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.scattering.response import Response

#: Pixels of a tile's side, and Å that it shows.
SIDE, SHOWN = 96, 12.0


def draw_thumbnail(held: Response, path: Path, defocus: float) -> None:
    """PNG of the images at the largest thickness and a focus in nm, a tile each, black and white at its extremes."""
    from PIL import Image

    images = held.images(defocus=10.0 * defocus).recorded(SHOWN / SIDE, SHOWN)
    shown = [image for name, image in images.images.items() if not name.endswith(("x", "y"))]
    gap = np.full((SIDE, 2), 255, dtype=np.uint8)
    parts: list[Any] = []
    for image in shown:
        tile = image.T[:SIDE, :SIDE]  # rows of a picture go down, along y
        low, high = float(tile.min()), float(tile.max())
        grey = np.zeros((SIDE, SIDE), dtype=np.uint8)
        grey[: tile.shape[0], : tile.shape[1]] = 255 * (tile - low) / (high - low if high > low else 1.0)
        parts += [grey, gap]
    Image.fromarray(np.hstack(parts[:-1])).save(path, optimize=True)
