"""Pictures of many images side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.core.figures import blank_figure

#: An image (nx, ny) and its sides in Å.
Tile = tuple[npt.NDArray[np.floating], tuple[float, float]]
#: Height in inches of what stands above the images, and width of one of them.
HEAD, TILE = 0.6, 1.1
#: Letters of a title for an inch.
LETTERS = 16


def draw_montage(
    tiles: Sequence[Sequence[Tile | None]],
    path: str | Path,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> None:
    """Draw rows of images of equal scale of grey, each with its label; None leaves a place empty."""
    heights = [max((size[1] / size[0] for _, size in filter(None, line)), default=1.0) for line in tiles]
    size = np.clip([TILE * len(columns) + HEAD, TILE * sum(heights) + HEAD], [3.0, 1.5], 30.0)
    figure = blank_figure(float(size[0]), float(size[1]), dpi=150)
    axes = figure.subplots(len(rows), len(columns), squeeze=False, gridspec_kw={"height_ratios": heights})
    for one, label in zip(axes[0], columns, strict=True):
        one.set_title(label, fontsize=7)
    for row, label, line in zip(tiles, rows, axes, strict=True):
        shown = [image for image, _ in filter(None, row)]
        least, most = (min(i.min() for i in shown), max(i.max() for i in shown)) if shown else (0.0, 1.0)
        for tile, one in zip(row, line, strict=True):
            one.set(xticks=[], yticks=[])
            if tile is None:
                one.set_frame_on(False)
                continue
            image, (a, b) = tile
            one.imshow(image.T, cmap="gray", extent=(0.0, a, b, 0.0), vmin=least, vmax=most, interpolation="bicubic")
        line[0].set_ylabel(label, fontsize=7)
    narrow = len(title) > LETTERS * size[0]
    figure.suptitle(title.replace(": ", ":\n", 1) if narrow else title, fontsize=8)
    figure.savefig(path)
