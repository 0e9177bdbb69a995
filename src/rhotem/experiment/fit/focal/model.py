"""Images of a focal series at the pixels of a camera, with derivatives by all parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.fit.focal.pairs import Pairs
from rhotem.experiment.fit.focal.state import LENS, NAMES, FocalState, Photo

#: Part of the stated focal spread that is tried at least.
LEAST_SPREAD = 0.6

Array = npt.NDArray[np.float64]
Waves = npt.NDArray[np.complexfloating]


@dataclass(frozen=True, eq=False)
class FocalLimits:
    """What is tried, in Å: defocus of the first image, Cs, and the largest astigmatism; focal spread to start from."""

    defocus: tuple[float, float]
    cs: tuple[float, float]
    astigmatism: float
    focal_spread: float = 30.0

    @property
    def least_spread(self) -> float:
        """Least focal spread that is tried."""
        return LEAST_SPREAD * self.focal_spread


class Model:
    """What a camera would record of a focal series.

    Parameters
    ----------
    pairs : Pairs
    photos : sequence of Photo
        All of one shape.
    steps : sequence of float
        Stated focus of each image from that of the first, Å; positive is more underfocus.
    limits : FocalLimits
    """

    def __init__(self, pairs: Pairs, photos: Sequence[Photo], steps: Sequence[float], limits: FocalLimits) -> None:
        shapes = {np.shape(one.values) for one in photos}
        if len(shapes) != 1 or len(steps) != len(photos):
            raise InputError(
                f"focal series: {len(photos)} images of {len(shapes)} shapes, {len(steps)} foci; expected one or more "
                "of one shape, and a focus for each"
            )
        self.pairs, self.photos, self.limits = pairs, list(photos), limits
        self.steps = np.asarray(steps, dtype=float) - steps[0]
        rows, columns = shapes.pop()
        self.shape = (int(rows), int(columns))

    def lens(self, state: FocalState, image: int) -> Array:
        """Values of `rhotem.experiment.fit.focal.pairs.LENS` of one image."""
        focus = state.defocus + state.focus_step * self.steps[image]
        return np.array([focus, state.Cs, state.C12a, state.C12b, state.focal_spread])

    def spectra(self, state: FocalState, pairs: Pairs, products: Waves) -> Waves:
        """Fourier coefficients (images, q) of images in the cell, blurred, from products of beams."""
        lenses = [pairs.transfer(self.lens(state, n), False)[0] for n in range(len(self.photos))]
        return np.asarray(np.array([pairs.gathered(products * one) for one in lenses]) * self._blur(state, pairs))

    def _blur(self, state: FocalState, held: Pairs) -> Array:
        return np.asarray(np.exp(-2 * np.pi**2 * state.blur**2 * (held.q**2).sum(axis=1)))

    def shown(self, state: FocalState) -> Array:
        """Expected values (images, pixels)."""
        total, _ = self.pairs.total(state.thickness)
        columns, rows = self._waves(state)
        spectra = self.spectra(state, self.pairs, self.pairs.products(state.thickness)[0])
        result = []
        for spectrum, one in zip(spectra, state.each, strict=True):
            modulation = self._image(spectrum * self._origin(one), columns, rows)
            result.append(one[2] * (total + modulation) + one[3])
        return np.array(result).reshape(len(result), -1)

    def with_slopes(self, state: FocalState) -> tuple[Array, Array]:
        """Expected values (images, pixels), and derivatives (parameters, images, pixels) as `FocalState.whole`."""
        number, pixels = len(self.photos), self.shape[0] * self.shape[1]
        shown, slopes = np.empty((number, pixels)), np.zeros((len(state.whole), number, pixels))
        waves, products = self._waves(state), self.pairs.products(state.thickness)
        for n in range(number):
            value, common, own = self._one(state, n, waves, products)
            shown[n] = value
            slopes[: len(NAMES), n] = common
            slopes[len(NAMES) + 4 * n : len(NAMES) + 4 * n + 4, n] = own
        return shown, slopes

    def _one(
        self, state: FocalState, n: int, waves: tuple[Waves, Waves], products: tuple[Waves, Waves]
    ) -> tuple[Array, Array, Array]:
        """One image, and its derivatives by what all share and by its own."""
        pairs, (gain, offset) = self.pairs, state.each[n, 2:]
        total, thicker = pairs.total(state.thickness)
        factor, rates = pairs.transfer(self.lens(state, n))
        value = products[0] * factor
        turned = self._blur(state, pairs) * self._origin(state.each[n])
        spectrum = pairs.gathered(value) * turned
        by_lens = pairs.gathered(value * rates) * turned
        by_depth = pairs.gathered(products[1] * factor) * turned
        by_blur = -4 * np.pi**2 * state.blur * (pairs.q**2).sum(axis=1) * spectrum
        draw = [self._image(one, *waves) for one in (spectrum, by_depth, *by_lens, by_blur)]
        along = [self._image(2j * np.pi * pairs.q[:, axis] * spectrum, *waves) for axis in (0, 1)]
        common = np.zeros((len(NAMES), *self.shape))
        common[0] = draw[1] + thicker
        common[1], common[2] = draw[2], self.steps[n] * draw[2]
        common[3:LENS] = draw[3:]
        row, column = np.indices(self.shape)
        for axis in (0, 1):
            common[LENS + 2 * axis], common[LENS + 2 * axis + 1] = along[axis] * column, along[axis] * row
        plain = total + draw[0]
        own = np.stack([gain * along[0], gain * along[1], plain, np.ones(self.shape)])
        whole = gain * plain + offset
        return whole.ravel(), gain * common.reshape(len(NAMES), -1), own.reshape(4, -1)

    def _origin(self, each: Array) -> Waves:
        return np.exp(2j * np.pi * (self.pairs.q @ each[:2]))

    def _waves(self, state: FocalState) -> tuple[Waves, Waves]:
        """exp(2πi q·r) along columns (q, columns) and rows (rows, q)."""
        return factors(self.pairs.q, state.affine, self.shape)

    def _image(self, spectrum: Waves, columns: Waves, rows: Waves) -> Array:
        """Modulation (rows, columns) of a spectrum in the upper half plane."""
        return 2 * np.asarray(((rows * spectrum) @ columns).real)


def factors(q: Array, affine: Array, shape: tuple[int, int]) -> tuple[Waves, Waves]:
    """Factors (q, columns) and (rows, q) of exp(2πi q·r) at the pixels of an image."""
    right, down = q @ affine[:, 0], q @ affine[:, 1]
    columns = np.exp(2j * np.pi * right[:, None] * np.arange(shape[1]))
    return columns, np.exp(2j * np.pi * np.arange(shape[0])[:, None] * down)
