"""Atomic columns of an imaging cell and the intensity an image gives them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from rhotem.structure.orient import ImagingCell


@dataclass(frozen=True, eq=False)
class Column:
    """Atoms that project onto one point.

    Parameters
    ----------
    label : str
        Elements of the column, the most frequent first, of equal ones the heavier: "Co", "Li/Co", "F/Li".
    position : (2,) array
        Mean projected position (x, y) in Å.
    rows : tuple of int
        Its atoms in the cell.
    """

    label: str
    position: npt.NDArray[np.float64]
    rows: tuple[int, ...]

    @property
    def count(self) -> int:
        """Atoms of the column in the cell."""
        return len(self.rows)


def columns(cell: ImagingCell, tolerance: float = 0.3) -> list[Column]:
    """Columns of an orthogonal cell seen along z; atoms closer than ``tolerance`` (Å) in projection share one."""
    atoms = cell.structure.atoms
    extent = np.diag(cell.structure.cell)[:2]
    xy = atoms.positions[:, :2]
    free = list(range(len(atoms)))
    found = []
    while free:
        seed = xy[free[0]]
        offset = (xy[free] - seed + extent / 2) % extent - extent / 2
        inside = np.linalg.norm(offset, axis=1) < tolerance
        members = [i for i, hit in zip(free, inside, strict=True) if hit]
        elements = Counter(int(atoms.numbers[i]) for i in members)
        ordered = sorted(elements, key=lambda z: (-elements[z], -z))
        centre = (seed + offset[inside].mean(axis=0)) % extent
        found.append(Column("/".join(chemical_symbols[z] for z in ordered), centre, tuple(members)))
        free = [i for i, hit in zip(free, inside, strict=True) if not hit]
    return found


def column_intensity(
    image: npt.NDArray,
    extent: tuple[float, float],
    column: Column,
    radius: float = 0.3,
    origin: tuple[float, float] = (0.0, 0.0),
) -> float:
    """Mean of a periodic image over a disk of ``radius`` (Å) around a column.

    The image is band-limited by the aperture, so its Fourier series is exact between pixels; the disk average
    multiplies each coefficient by the Airy factor 2 J1(x)/x, x = 2π|k|radius.
    """
    from scipy.special import j1

    coefficients = np.fft.fft2(image) / image.size
    kx = np.fft.fftfreq(image.shape[0], extent[0] / image.shape[0])[:, None]
    ky = np.fft.fftfreq(image.shape[1], extent[1] / image.shape[1])[None, :]
    x = 2 * np.pi * radius * np.hypot(kx, ky)
    airy = np.where(x > 0, 2 * j1(x) / np.where(x > 0, x, 1), 1.0)
    phase = np.exp(2j * np.pi * (kx * (column.position[0] - origin[0]) + ky * (column.position[1] - origin[1])))
    return float((coefficients * airy * phase).sum().real)


@dataclass(frozen=True)
class Contrast:
    """Contrast of one kind of column in one image: (I_column − I_mean)/I_mean, or the plain excess if ``absolute``."""

    label: str
    columns: int
    value: float
    spread: float


def contrast(
    image: npt.NDArray,
    extent: tuple[float, float],
    found: list[Column],
    absolute: bool = False,
    radius: float = 0.3,
) -> list[Contrast]:
    """Contrast by column label; ``spread`` is the standard deviation over the columns of that label.

    ``absolute`` is for images whose mean has no meaning (iDPC): the excess over the mean in the image's own unit.
    """
    mean = float(image.mean())
    scale = 1.0 if absolute else mean
    result = []
    for label in sorted({c.label for c in found}):
        values = (
            np.array([column_intensity(image, extent, c, radius) - mean for c in found if c.label == label]) / scale
        )
        result.append(Contrast(label, len(values), float(values.mean()), float(values.std())))
    return result
