"""A U-Net in numpy: convolutions of 3 × 3 as nine matrix products.

O. Ronneberger, P. Fischer, T. Brox, MICCAI 2015, LNCS 9351, 234. Levels have two convolutions each; the way down halves
by maxima, the way up doubles by repetition and joins what the way down had. With a patch of p the p × p pixels of a
square are channels of one place, on the way in and out, so that the finest level is p times coarser than the picture
and costs less (W. Shi et al., CVPR 2016, 1874). The network that `rhotem.training.pictures.network` trains is the same.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: What the last layer says: a column, its class (logits of `rhotem.library.dataset.scene.SPECIES[1:]`), defects.
OUTPUTS = ("column", "light", "anion", "transition metal", "other", "vacancy", "antisite")


def forward(weights: Mapping[str, Array], image: Array, levels: int, patch: int = 1) -> Array:
    """Outputs (n, rows, columns), logits of `OUTPUTS` of columns; sides are multiples of patch · 2^(levels − 1).

    Parameters
    ----------
    weights : mapping
        ``down0.0.weight`` (out, in, 3, 3), ``down0.0.bias`` …, ``up0.0.weight`` …, ``last.weight`` (out, in, 1, 1).
    image : (rows, columns) or (inputs, rows, columns) array
    levels, patch : int
    """
    values: Array = np.asarray(image, dtype=np.float32)
    values = gathered(values[None] if values.ndim == 2 else values, patch)
    kept: list[Array] = []
    for level in range(levels):
        if level:
            c, h, w = values.shape
            values = values.reshape(c, h // 2, 2, w // 2, 2).max(axis=(2, 4))
        values = _twice(weights, f"down{level}", values)
        kept.append(values)
    for level in range(levels - 2, -1, -1):
        values = np.concatenate([kept[level], values.repeat(2, axis=1).repeat(2, axis=2)])
        values = _twice(weights, f"up{level}", values)
    last = weights["last.weight"][:, :, 0, 0]
    result: Array = np.tensordot(last, values, axes=1) + weights["last.bias"][:, None, None]
    return scattered(result, patch)


def gathered(values: Array, patch: int) -> Array:
    """Pictures (n, rows, columns) with squares of ``patch`` pixels as channels (n patch², rows / patch, …)."""
    n, rows, columns = values.shape
    parts = values.reshape(n, rows // patch, patch, columns // patch, patch).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(parts.reshape(n * patch**2, rows // patch, columns // patch))


def scattered(values: Array, patch: int) -> Array:
    """The way back from `gathered`."""
    n, rows, columns = values.shape
    parts = values.reshape(n // patch**2, patch, patch, rows, columns).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(parts.reshape(n // patch**2, rows * patch, columns * patch))


def _twice(weights: Mapping[str, Array], name: str, values: Array) -> Array:
    for part in (0, 1):
        values = _convolved(values, weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"])
        np.maximum(values, 0.0, out=values)
    return values


def _convolved(values: Array, kernel: Array, bias: Array) -> Array:
    """Cross-correlation with zeros around the picture."""
    c, h, w = values.shape
    padded = np.zeros((c, h + 2, w + 2), dtype=np.float32)
    padded[:, 1:-1, 1:-1] = values
    result = np.empty((len(kernel), h * w), dtype=np.float32)
    result[:] = bias[:, None]
    for i in range(3):
        for j in range(3):
            shifted = np.ascontiguousarray(padded[:, i : i + h, j : j + w]).reshape(c, h * w)
            result += kernel[:, :, i, j] @ shifted
    return result.reshape(len(kernel), h, w)


def shapes(
    widths: tuple[int, ...], inputs: int = 1, outputs: int = len(OUTPUTS), patch: int = 1
) -> dict[str, tuple[int, ...]]:
    """Shape of every weight for so many channels a level, pictures that go in and maps that come out."""
    result: dict[str, tuple[int, ...]] = {}

    def add(name: str, out: int, inside: int, side: int = 3) -> None:
        result[f"{name}.weight"] = (out, inside, side, side)
        result[f"{name}.bias"] = (out,)

    for level, width in enumerate(widths):
        add(f"down{level}.0", width, widths[level - 1] if level else inputs * patch**2)
        add(f"down{level}.1", width, width)
    for level in range(len(widths) - 1):
        add(f"up{level}.0", widths[level], widths[level] + widths[level + 1])
        add(f"up{level}.1", widths[level], widths[level])
    add("last", outputs * patch**2, widths[0], 1)
    return result


def expanded(values: Array, multiple: int) -> tuple[Array, tuple[slice, slice]]:
    """A picture (…, rows, columns) mirrored below and on the right to sides that are multiples, and where it is."""
    rows, columns = values.shape[-2:]
    more = [(-n) % multiple for n in (rows, columns)]
    mode: Any = "reflect" if min(rows, columns) > max(more) else "edge"
    before: list[tuple[int, int]] = [(0, 0)] * (values.ndim - 2)
    return np.pad(values, [*before, (0, more[0]), (0, more[1])], mode=mode), (slice(0, rows), slice(0, columns))
