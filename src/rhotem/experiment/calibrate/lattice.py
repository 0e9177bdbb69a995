"""Images calibrated against a lattice: pixel, affine distortion, drift, hand, each with its error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.calibrate.displacement import Windows, displacements
from rhotem.experiment.calibrate.gradient import mean_gradient
from rhotem.experiment.calibrate.origin import decided, matched
from rhotem.experiment.calibrate.projection import Projection, project
from rhotem.experiment.calibrate.rows import row_displacements
from rhotem.experiment.calibrate.search import ANISOTROPY, DIFFERENT, EQUAL, candidates
from rhotem.experiment.measurement import Measurement
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Rounds of the refinement, and correlation of the cell below which an image is said to be of something else.
ROUNDS, LEAST = 3, 0.5
#: Orientations that are refined: those that no symmetry of the lattice connects.
MOST_REFINED = 4
#: Relative spread of the steps along rows from which a remark is due.
UNEVEN = 0.003


@dataclass(frozen=True)
class Value:
    """A number and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.5g} ± {self.error:.2g}"


@dataclass(frozen=True, eq=False)
class ImageLattice:
    """How a lattice lies in an image: ``matrix @ (x, y) = R + origin`` for a column R of the projection.

    Parameters
    ----------
    matrix : (2, 2) array
        Å per pixel. Its first column is a step along a row (the fast axis), the second a step to the next row.
    covariance : (2, 2, 2) array
        Of its first and of its second column, Å² per pixel².
    origin : (2,) array
        Å.
    projection : Projection
    match : float
        Correlation of the image's mean cell with columns of Z^1.7.
    hand : str
        "as seen from the source", "mirrored" or "the lattice cannot tell".
    windows : Windows
        What the refined matrix leaves.
    remarks : tuple of str
    """

    matrix: Floats
    covariance: Floats
    origin: Floats
    projection: Projection
    match: float
    hand: str
    windows: Windows
    remarks: tuple[str, ...] = ()

    @property
    def pixel(self) -> Value:
        """Å: geometric mean of both axes."""
        return self._value(lambda m: np.sqrt(abs(np.linalg.det(m))))

    @property
    def pixel_x(self) -> Value:
        """Å along a row, the fast axis."""
        return self._value(lambda m: np.linalg.norm(m[:, 0]))

    @property
    def pixel_y(self) -> Value:
        """Å from row to row, the slow axis."""
        return self._value(lambda m: np.linalg.norm(m[:, 1]))

    @property
    def rotation(self) -> Value:
        """Degrees from the x axis of the projection to the rows of the image, from x to y."""
        return self._value(lambda m: np.rad2deg(np.arctan2(m[1, 0], m[0, 0])))

    @property
    def shear(self) -> Value:
        """Degrees by which rows and columns deviate from a right angle."""
        return self._value(lambda m: np.rad2deg(np.arcsin(m[:, 0] @ m[:, 1] / np.prod(np.linalg.norm(m, axis=0)))))

    @property
    def drift(self) -> tuple[Value, Value]:
        """Å per row, right and down, that the specimen moved, if the scan has square pixels and right angles."""
        return self._value(lambda m: _moved(m)[0]), self._value(lambda m: _moved(m)[1])

    def _value(self, function: Callable[[Floats], Any]) -> Value:
        """A function of the matrix with its error, by finite differences."""
        value, variance = float(function(self.matrix)), 0.0
        step = 1e-4 * np.linalg.norm(self.matrix)
        for column, covariance in enumerate(self.covariance):
            slope = np.empty(2)
            for row in range(2):
                change = np.zeros((2, 2))
                change[row, column] = step
                slope[row] = (function(self.matrix + change) - function(self.matrix - change)) / (2 * step)
            variance += float(slope @ covariance @ slope)
        return Value(value, float(np.sqrt(variance)))

    def positions(
        self, shape: tuple[int, int], margin: float = 0.0
    ) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pixels (x, y) of every column in an image of this shape, its index in the projection, and its cell (i, j)."""
        corners = np.array([[0, 0], [shape[1], 0], [0, shape[0]], [shape[1], shape[0]]], dtype=float)
        to_cell = np.linalg.inv(self.projection.vectors)
        cells = (corners @ self.matrix.T - self.origin) @ to_cell
        low, high = np.floor(cells.min(axis=0)).astype(int) - 1, np.ceil(cells.max(axis=0)).astype(int) + 1
        i, j = (n.ravel() for n in np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True))))
        lattice = np.stack([i, j], axis=1)
        places = (lattice[:, None] + self.projection.positions[None]) @ self.projection.vectors + self.origin
        pixels = np.linalg.solve(self.matrix, places.reshape(-1, 2).T).T
        kinds = np.tile(np.arange(len(self.projection.positions), dtype=np.int64), len(lattice))
        inside = ((pixels >= margin) & (pixels <= np.array(shape[::-1]) - 1 - margin)).all(axis=1)
        owner = np.repeat(lattice, len(self.projection.positions), axis=0)
        return np.asarray(pixels[inside]), kinds[inside], owner[inside]

    def record(self) -> dict[str, Any]:
        """Numbers, JSON-ready."""
        names = ("pixel", "pixel_x", "pixel_y", "rotation", "shear")
        values = {name: vars(getattr(self, name)) for name in names}
        moved = self.windows.values
        return {
            "matrix_A_per_pixel": self.matrix.tolist(),
            "origin_A": self.origin.tolist(),
            **values,
            "drift_A_per_row": [vars(v) for v in self.drift],
            "match": self.match,
            "hand": self.hand,
            "residual_A": float(np.sqrt((moved**2).sum(axis=-1).mean())),
            "axes": self.projection.axes,
            "remarks": list(self.remarks),
        }


def _moved(matrix: Floats) -> Floats:
    """What is left of the step from row to row beside a step of a square scan, against its sign: the specimen's way."""
    right = matrix[:, 0]
    hand = np.sign(np.linalg.det(matrix))
    down = hand * np.array([-right[1], right[0]])
    rest = matrix[:, 1] - down
    return np.array([-(rest @ right), -(rest @ down)]) / np.linalg.norm(right)


def find_lattice(measurement: Measurement, structure: Structure, zone: Sequence[int]) -> ImageLattice:
    """Lay the lattice of a crystal along a zone axis over an image.

    The scale of the image, where it is known, is believed within 8 %. Errors come from the scatter of the lattice
    between windows: rows scatter as wholes (drift, jitter), so that steps from row to row get theirs from the means of
    rows of windows, steps along a row from their slopes.

    Raises
    ------
    InputError
        If it is no image, its pixels are not square, it has no lattice, too few periods, or not that of the structure.
    """
    if measurement.kind != "image":
        raise InputError(f"{measurement.source.path}: lattices are found in images, this is a {measurement.kind}")
    if measurement.pixel and not 1 / ANISOTROPY < measurement.pixel[0] / measurement.pixel[1] < ANISOTROPY:
        down, right = measurement.pixel
        raise InputError(
            f"{measurement.source.path}: pixels of {right:.4g} Å along rows and {down:.4g} Å down; lattices are found "
            "on square ones: resample the image"
        )
    image = np.asarray(measurement.data, dtype=float)
    projection = project(structure, zone)
    known = float(np.sqrt(np.prod(measurement.pixel))) if measurement.pixel else None
    try:
        found = candidates(image, projection, known)
    except InputError as error:
        raise InputError(f"{measurement.source.path}: {error}" if measurement.source.path else str(error)) from None
    best = found[0]
    near = [c.matrix for c in found if c.score > EQUAL * best.score and abs(c.pixel / best.pixel - 1) < DIFFERENT]
    # amplitudes are the same after half a turn, columns need not be
    laid = _orientations(image, [turned for matrix in near for turned in (matrix, -matrix)], projection)
    chosen, hand = decided([one.matrix for one in laid], [one.match for one in laid])
    one = laid[chosen]
    if one.match < LEAST:
        raise InputError(
            f"{measurement.source.path}: the image has the lattice, but not the columns of the structure "
            f"(correlation {one.match:.2f}); check structure and zone; columns must be bright: invert a bright field"
        )
    rivals = [c for c in found if abs(c.pixel / best.pixel - 1) > DIFFERENT and c.score > EQUAL * best.score]
    remarks = tuple(f"{c.pixel:.4g} Å per pixel explains the peaks as well; say --pixel-A" for c in rivals[:1])
    remarks += _uneven(one)
    return ImageLattice(one.matrix, one.covariance, one.origin, projection, one.match, hand, one.windows, remarks)


def calibrated(measurement: Measurement, lattice: ImageLattice) -> Measurement:
    """The measurement with the pixel that the lattice gives, and a remark that says so."""
    x, y = lattice.pixel_x, lattice.pixel_y
    before = measurement.axes[-1].scale
    was = f", the file says {before:.5g} Å" if before else ""
    remark = f"pixel by the lattice: {x} Å along rows, {y} Å down{was}"
    axes = (replace(measurement.axes[0], scale=y.value), replace(measurement.axes[1], scale=x.value))
    return replace(measurement, axes=axes, remarks=(*measurement.remarks, remark))


@dataclass(frozen=True, eq=False)
class _Laid:
    """A lattice laid over the image in one orientation."""

    matrix: Floats
    covariance: Floats
    windows: Windows
    origin: Floats
    match: float


def _orientations(image: Floats, matrices: list[Floats], projection: Projection) -> list[_Laid]:
    """Refined orientations; those that a symmetry of the lattice makes of another need no refinement of their own."""
    refined: list[tuple[Floats, Floats, Windows]] = []
    laid: list[_Laid] = []
    for matrix in matrices:
        for before in refined:
            turn = _symmetry(matrix @ np.linalg.inv(before[0]), projection)
            if turn is not None:
                laid.append(_turned(*before, turn, projection))
                break
        else:
            if len(refined) < MOST_REFINED:
                refined.append(_refined(image, matrix, projection))
                laid.append(_turned(*refined[-1], np.eye(2), projection))
    return laid


def _symmetry(matrix: Floats, projection: Projection) -> Floats | None:
    """The orthogonal matrix near one that maps the lattice, whose cell may be centred, onto itself; None without."""
    vectors = projection.vectors
    whole = np.round(2 * vectors @ matrix.T @ np.linalg.inv(vectors)) / 2
    exact = (np.linalg.inv(vectors) @ whole @ vectors).T
    close = np.abs(exact - matrix).max() < 0.1
    return exact if close and np.allclose(exact.T @ exact, np.eye(2), atol=1e-6) else None


def _turned(matrix: Floats, covariance: Floats, windows: Windows, turn: Floats, projection: Projection) -> _Laid:
    windows = replace(windows, values=windows.values @ turn.T, reflections=windows.reflections @ turn.T)
    origin, match = matched(windows.reflections, windows.coefficients, projection)
    return _Laid(turn @ matrix, turn @ covariance @ turn.T, windows, origin, match)


def _uneven(laid: _Laid) -> tuple[str, ...]:
    """A remark if the steps along rows differ from place to place, in all rows alike."""
    mean = laid.windows.values.mean(axis=0) @ np.linalg.inv(laid.matrix).T  # pixels
    local = np.gradient(mean[:, 0], laid.windows.x)
    spread = float(local.std())
    if spread < UNEVEN:
        return ()
    return (f"steps along rows differ by {100 * spread:.1f} % (rms) from place to place: the scan is not linear",)


def _refined(image: Floats, matrix: Floats, projection: Projection) -> tuple[Floats, Floats, Windows]:
    """Matrix without a mean displacement gradient, covariance of its columns, and the windows that are left."""
    for _ in range(ROUNDS):
        windows = displacements(image, matrix, projection)
        rows = row_displacements(image, matrix, windows)
        gradient, covariance = mean_gradient(windows, rows)
        matrix = matrix - gradient
    return matrix, covariance, displacements(image, matrix, projection)
