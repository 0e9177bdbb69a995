"""Every column of an image as a Gaussian: place, height, width, each with its error."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.calibrate.lattice import ImageLattice
from rhotem.experiment.measurement import Measurement

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Radius of the pixels that are fitted, in the distance to the nearest column, and Å that no column exceeds.
RADIUS, LARGEST = 0.55, 1.5
#: Rounds over all columns, each with the others' last Gaussians taken off, and steps of a fit.
ROUNDS, STEPS = 3, 15
#: A column is lost if it moves farther than this part of the distance to the nearest.
LOST = 0.5
#: Columns whose Σ Z^1.7 is a smaller part of the largest are left out: dark fields do not show them.
FAINTEST = 0.1


@dataclass(frozen=True, eq=False)
class FittedColumns:
    """Columns of an image, fitted one by one.

    Parameters
    ----------
    kinds : (n,) int array
        Index of each in ``lattice.projection``; ``labels[kind]`` are its elements.
    cells : (n, 2) int array
        Cell of the lattice it belongs to.
    expected : (n, 2) array
        Pixels (x, y) where the lattice has it.
    places, place_errors : (n, 2) array
        Pixels (x, y).
    heights, height_errors, widths, width_errors : (n,) array
        Above its surroundings in the image's unit; standard deviation in pixels.
    volumes, volume_errors : (n,) array
        2π · height · width² in the image's unit times pixel².
    means, mean_errors : (n,) array
        Mean of the image within the fitted pixels: background included, as atoms are counted by.
    fitted : (n,) bool array
        False where no Gaussian was found; its numbers are NaN.
    lattice : ImageLattice
    """

    kinds: Ints
    cells: Ints
    expected: Floats
    places: Floats
    place_errors: Floats
    heights: Floats
    height_errors: Floats
    widths: Floats
    width_errors: Floats
    volumes: Floats
    volume_errors: Floats
    means: Floats
    mean_errors: Floats
    fitted: npt.NDArray[np.bool_]
    lattice: ImageLattice

    @property
    def labels(self) -> tuple[str, ...]:
        """Elements of every column."""
        return tuple(self.lattice.projection.labels[kind] for kind in self.kinds)


def fit_columns(
    measurement: Measurement, lattice: ImageLattice, sign: int = 1, faintest: float = FAINTEST
) -> FittedColumns:
    """Fit every visible column of an image by a round Gaussian on a constant.

    Neighbours are taken off by their own Gaussians, over several rounds. Errors come from the scatter of the pixels
    around the fit.

    Parameters
    ----------
    measurement : Measurement
        An image, corrected or not: columns are searched where the lattice has them.
    lattice : ImageLattice
    sign : 1 or -1
        −1: columns are dark (bright field).
    faintest : float
        Columns of a smaller weight, relative to the largest, are not fitted; 0 for images that show light atoms.

    Raises
    ------
    InputError
        If no column lies far enough inside the image.
    """
    image = sign * np.asarray(measurement.data, dtype=float)
    visible = lattice.projection.weights >= faintest
    radius = _radius(lattice, visible)
    expected, kinds, cells = lattice.positions(image.shape, margin=radius + 1)
    kept = visible[kinds]
    expected, kinds, cells = expected[kept], kinds[kept], cells[kept]
    if not len(expected):
        raise InputError(f"{measurement.source.path}: no column lies inside the image")
    fits = np.full((len(expected), 5), np.nan)  # x, y, height, width, background
    errors = np.full_like(fits, np.nan)
    start = np.column_stack([expected, np.full((len(expected), 3), np.nan)])
    model = np.zeros_like(image)
    for turn in range(ROUNDS):
        for i in range(len(expected)):
            before = fits[i] if turn and np.isfinite(fits[i]).all() else None
            fits[i], errors[i] = _fit(image, model, start[i] if before is None else before, expected[i], radius, before)
        model = _sum(fits, image.shape)
    means, mean_errors = _means(image, fits, radius)
    good = np.isfinite(fits).all(axis=1)
    height, width = fits[:, 2], fits[:, 3]
    volume = 2 * np.pi * height * width**2
    relative = np.hypot(errors[:, 2] / height, 2 * errors[:, 3] / width)
    return FittedColumns(
        kinds=kinds,
        cells=cells,
        expected=expected,
        places=fits[:, :2],
        place_errors=errors[:, :2],
        heights=height,
        height_errors=errors[:, 2],
        widths=width,
        width_errors=errors[:, 3],
        volumes=volume,
        volume_errors=np.abs(volume * relative),
        means=sign * means,
        mean_errors=mean_errors,
        fitted=good,
        lattice=lattice,
    )


def _radius(lattice: ImageLattice, visible: npt.NDArray[np.bool_]) -> float:
    """Pixels around a column that are its own."""
    places = lattice.projection.positions[visible]
    shifts = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 1, 1, 2)
    apart = np.linalg.norm((places[:, None] - places[None] + shifts) @ lattice.projection.vectors, axis=-1)
    nearest = float(apart[apart > 0.1].min())
    return min(RADIUS * nearest, LARGEST) / lattice.pixel.value


def _box(image: Floats, place: Floats, radius: float) -> tuple[Floats, Floats, tuple[slice, slice]]:
    """Coordinates x, y of the square around a place, and where it lies."""
    low = np.maximum(np.floor(place - radius).astype(int), 0)
    high = np.minimum(np.ceil(place + radius).astype(int) + 1, image.shape[::-1])
    where = (slice(low[1], high[1]), slice(low[0], high[0]))
    y, x = np.mgrid[where]
    return x.astype(float), y.astype(float), where


def _fit(
    image: Floats, model: Floats, start: Floats, expected: Floats, radius: float, before: Floats | None
) -> tuple[Floats, Floats]:
    """Parameters and errors of one column by Gauss–Newton steps; NaN where they do not converge."""
    x, y, where = _box(image, expected, radius)
    values = image[where] - model[where]
    if before is not None:
        values = values + _gaussian(before, x, y)
    inside = (x - expected[0]) ** 2 + (y - expected[1]) ** 2 <= radius**2
    x, y, values = x[inside], y[inside], values[inside]
    p = np.array(start)
    if not np.isfinite(p).all():
        low = float(np.percentile(values, 20))
        weight = np.maximum(values - low, 0.0)
        total = max(float(weight.sum()), 1e-300)
        p = np.array([(weight * x).sum() / total, (weight * y).sum() / total, np.ptp(values), 0.5 * radius, low])
    damping, square = 1e-3, np.inf
    for _ in range(STEPS):
        gaussian = _gaussian(p, x, y)
        rest = values - gaussian - p[4]
        now = float(rest @ rest)
        u, v = (x - p[0]) / p[3], (y - p[1]) / p[3]
        slopes = np.stack(
            [gaussian * u / p[3], gaussian * v / p[3], gaussian / p[2], gaussian * (u * u + v * v) / p[3], 0 * x + 1]
        )
        normal = slopes @ slopes.T
        if abs(square - now) < 1e-8 * now:
            break
        square = now
        p = p + np.linalg.lstsq(normal + damping * np.diag(np.diag(normal)), slopes @ rest, rcond=None)[0]
        p[3] = np.clip(p[3], 0.2 * radius, 2 * radius)
        if not np.isfinite(p).all() or p[2] == 0:
            break
    moved = np.hypot(*(p[:2] - expected))
    if not np.isfinite(p).all() or p[2] <= 0 or moved > LOST * radius / RADIUS or len(x) < 8:
        return np.full(5, np.nan), np.full(5, np.nan)
    variance = float(rest @ rest) / (len(x) - 5)
    return p, np.sqrt(np.maximum(np.diag(variance * np.linalg.pinv(normal)), 0.0))


def _gaussian(p: Floats, x: Floats, y: Floats) -> Floats:
    return np.asarray(p[2] * np.exp(-((x - p[0]) ** 2 + (y - p[1]) ** 2) / (2 * p[3] ** 2)))


def _sum(fits: Floats, shape: tuple[int, ...]) -> Floats:
    """All Gaussians without their backgrounds."""
    model = np.zeros(shape)
    for p in fits[np.isfinite(fits).all(axis=1)]:
        x, y, where = _box(model, p[:2], 4 * p[3])
        model[where] += _gaussian(p, x, y)
    return model


def _means(image: Floats, fits: Floats, radius: float) -> tuple[Floats, Floats]:
    """Mean of the image around every column, and its error by the scatter of the pixels around the Gaussians."""
    means, errors = np.full(len(fits), np.nan), np.full(len(fits), np.nan)
    for i, p in enumerate(fits):
        if not np.isfinite(p).all():
            continue
        x, y, where = _box(image, p[:2], radius)
        inside = (x - p[0]) ** 2 + (y - p[1]) ** 2 <= radius**2
        rest = image[where] - _gaussian(p, x, y) - p[4]
        means[i] = image[where][inside].mean()
        errors[i] = rest[inside].std() / np.sqrt(inside.sum())
    return means, errors
