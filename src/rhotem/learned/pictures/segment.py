"""Columns of a picture by a network: places with errors, species, vacancies, antisites."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.pictures.normalise import resampled
from rhotem.learned.pictures.unet import expanded, forward
from rhotem.learned.pictures.view import guessed, view
from rhotem.learned.pictures.weights import Weights

Floats = npt.NDArray[np.float64]

#: Å within which there is one column, and within which its place and species are averaged.
APART, AROUND = 0.7, 0.45
#: Å: on larger pixels columns of a crystal are hardly apart, whatever they are interpolated to.
COARSEST = 0.5
#: Most pixels of a picture at the network's scale.
MOST = 4096 * 4096
#: Names of the classes.
CLASSES = ("light", "anion", "transition metal", "other")
#: Probability of its most probable class from which on the species of a column is not unsure.
SURE = 0.6


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Columns of a picture.

    Parameters
    ----------
    places, errors : (n, 2) array
        Pixels (x, y) of the picture as it was given, and standard deviation of each.
    probability : (n,) array
        That there is a column.
    classes : (n, 4) array
        Probabilities of `CLASSES`.
    vacancy, antisite : (n,) array
        Shares of sites as the network estimates them.
    spread : (n, 3) array
        Standard deviation over the members of probability, vacancy and antisite.
    map : (rows, columns) array
        Probability of a column at the network's pixel.
    mode : str or None
        What the network took the picture for; None: it was not told, and columns are bright.
    """

    places: Floats
    errors: Floats
    probability: Floats
    classes: Floats
    vacancy: Floats
    antisite: Floats
    spread: Floats
    map: npt.NDArray[np.float32]
    mode: str | None = None

    @property
    def species(self) -> list[str]:
        """Most probable class of every column."""
        return [CLASSES[i] for i in self.classes.argmax(axis=1)] if len(self.classes) else []

    @property
    def unsure(self) -> npt.NDArray[np.bool_]:
        """Of which columns no class has a probability of `SURE`."""
        return np.asarray(self.classes.max(axis=1, initial=0.0) < SURE)


def segment(
    image: npt.NDArray[Any], pixel: tuple[float, float], weights: Weights, mode: str | None = None
) -> Segmentation:
    """Find the columns of a picture.

    Parameters
    ----------
    image : (rows, columns) array
        Bright or dark columns, any unit.
    pixel : (float, float)
        Size of a pixel down and right in Å.
    weights : Weights
    mode : str, optional
        Which image it is, of `rhotem.learned.pictures.view.MODES`; None: not known, ABF if columns are dark.

    Raises
    ------
    InputError
        If the picture is too small or too large at the network's pixel, or its own pixels are too coarse.
    """
    if max(pixel) > COARSEST:
        raise InputError(
            f"pixels of {max(pixel):.4g} Å: columns are hardly apart on them; expected {COARSEST} Å at most"
        )
    wanted = float(weights.header["pixel_A"])
    sides = np.array(image.shape) * np.array(pixel) / wanted
    if sides.min() < 32 or sides.prod() > MOST:
        raise InputError(
            f"picture of {image.shape[1]} × {image.shape[0]} pixels of {pixel[1]:.4g} Å: the network sees columns at "
            f"{wanted:g} Å a pixel, on which it is {sides[1]:.0f} × {sides[0]:.0f}; expected 32 to 4096 a side"
        )
    values = resampled(image, pixel, wanted)
    if mode is None and weights.inputs > 1:
        mode = guessed(values, wanted)
    found = from_logits(logits(view(values, wanted, mode, weights.inputs), weights), wanted, weights.header)
    scale = wanted / np.array([pixel[1], pixel[0]])
    places = (found.places + 0.5) * scale - 0.5
    return replace(found, places=places, errors=found.errors * scale, mode=mode)


def logits(values: npt.NDArray[np.float32], weights: Weights) -> npt.NDArray[np.float32]:
    """Logits (members, outputs, rows, columns) of what is seen of a picture ([inputs,] rows, columns).

    Every member sees the picture and the picture turned by 180°; the mean knows no direction, so that places are not
    shifted.
    """
    padded, inside = expanded(values, weights.multiple)
    turned = np.ascontiguousarray(padded[..., ::-1, ::-1])
    result = []
    for one in weights.members:
        upright = forward(one, padded, weights.levels, weights.patch)
        back = forward(one, turned, weights.levels, weights.patch)[:, ::-1, ::-1]
        result.append((0.5 * (upright + back))[(slice(None), *inside)])
    return np.stack(result)


def from_logits(seen: npt.NDArray[np.float32], pixel: float, header: Any) -> Segmentation:
    """Columns from logits ``seen`` (members, outputs, rows, columns); places in pixels of the network."""
    from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter

    chances = 1 / (1 + np.exp(-seen[:, 0]))
    mean = chances.mean(axis=0)
    radius = max(round(APART / pixel / 2 + 0.5), 1)
    smooth = gaussian_filter(mean, 0.5)
    peaks = (smooth == maximum_filter(smooth, size=2 * radius + 1)) & (mean >= float(header["threshold"]))
    start = np.argwhere(peaks)[:, ::-1].astype(float)
    each = np.stack([_centres(one, start, AROUND / pixel) for one in chances]) if len(start) else np.zeros((1, 0, 2))
    places = each.mean(axis=0)
    error = each.std(axis=0, ddof=1) if len(each) > 1 else np.zeros_like(places)
    floor = float(header.get("sigma_floor_A", 0.0)) / pixel
    errors = np.hypot(float(header.get("sigma_scale", 1.0)) * error, floor)

    def at(maps: npt.NDArray) -> Floats:
        blurred = [gaussian_filter(one, 1.0) for one in maps]
        where = places[:, ::-1].T
        return np.stack([map_coordinates(one, where, order=1, mode="nearest") for one in blurred])

    kinds = np.exp(seen[:, 1:5] - seen[:, 1:5].max(axis=1, keepdims=True))
    kinds = (kinds / kinds.sum(axis=1, keepdims=True)).mean(axis=0)
    defects = 1 / (1 + np.exp(-seen[:, 5:7]))
    chance, vacancy, antisite = at(chances), at(defects[:, 0]), at(defects[:, 1])
    spread = np.stack([values.std(axis=0) for values in (chance, vacancy, antisite)], axis=1)
    return Segmentation(
        places=places,
        errors=errors,
        probability=np.array([mean[int(y), int(x)] for x, y in start]),
        classes=at(kinds).T,
        vacancy=vacancy.mean(axis=0),
        antisite=antisite.mean(axis=0),
        spread=spread,
        map=mean,
    )


def _centres(chance: npt.NDArray[np.float32], start: Floats, radius: float) -> Floats:
    """Centroids (n, 2) of a map within ``radius`` pixels around themselves, from every start by four steps."""
    reach = int(np.ceil(radius)) + 1
    padded = np.pad(chance, reach)
    step = np.arange(-reach, reach + 1)
    dx, dy = np.meshgrid(step, step)
    places = start.copy()
    for _ in range(4):
        whole = np.rint(np.clip(places, 0, np.array(chance.shape[::-1]) - 1)).astype(int)
        rows = whole[:, 1, None, None] + dy + reach
        columns = whole[:, 0, None, None] + dx + reach
        apart = places - whole
        near = (dx - apart[:, 0, None, None]) ** 2 + (dy - apart[:, 1, None, None]) ** 2 <= radius**2
        weight = np.where(near, padded[rows, columns], 0.0) + 1e-12 * near
        total = weight.sum(axis=(1, 2))
        places = (
            whole + np.stack([(weight * dx).sum(axis=(1, 2)), (weight * dy).sum(axis=(1, 2))], axis=1) / total[:, None]
        )
    return places
