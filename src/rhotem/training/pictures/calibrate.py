"""What a network is told about itself on pictures that it was not trained on: threshold and errors of places."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.learned.pictures.score import Score, compare
from rhotem.learned.pictures.segment import from_logits, logits
from rhotem.learned.pictures.view import view
from rhotem.learned.pictures.weights import Weights
from rhotem.training.pictures.batch import Shard

#: Thresholds that are tried, and pictures of each shard that are looked at.
THRESHOLDS, MOST = tuple(0.05 * n for n in range(2, 15)), 12
#: Share of the columns found that are to be there: one that is invented is worse than one that is missed.
PRECISION = 0.9
#: Å: common errors that are tried; by how much scatter is tried to be too small.
FLOORS, SCALES = np.geomspace(0.01, 0.4, 30), np.linspace(0.0, 10.0, 41)
#: Quantile of the errors over σ that is made one: two thirds of normal errors are below.
TWO_THIRDS = 0.6827


def calibrated(weights: Weights, shards: Sequence[Shard]) -> dict[str, Any]:
    """``threshold`` from which `PRECISION` of the columns are there; ``sigma_floor_A`` and ``sigma_scale`` of errors.

    The floor is the error that all members have in common.
    """
    pictures = [picture for shard in shards for picture in _some(shard)]
    header = dict(weights.header)
    seen = [
        logits(view(image, said["pixel_A"], said.get("image"), weights.inputs), weights) for image, _, said in pictures
    ]
    best = next(
        (t for t in THRESHOLDS if _score(pictures, seen, header | {"threshold": t}).precision >= PRECISION), 0.7
    )
    best = round(best, 2)
    header |= {"threshold": best, "sigma_floor_A": 0.0, "sigma_scale": 1.0}
    score = _score(pictures, seen, header)
    floor, scale = _sigmas(np.concatenate(score.errors), np.concatenate(score.sigmas))
    return {"threshold": best, "sigma_floor_A": round(floor, 4), "sigma_scale": round(scale, 3)}


def _sigmas(errors: npt.NDArray[Any], sigmas: npt.NDArray[Any]) -> tuple[float, float]:
    """Floor in Å and scale of σ² = floor² + (scale · scatter)²: the likeliest for normal errors.

    Both are then widened until two thirds are covered, because errors have wider tails.
    """

    def unlikely(pair: tuple[float, float]) -> float:
        stated = np.hypot(pair[0], pair[1] * sigmas)
        return float((np.log(stated) + 0.5 * (errors / stated) ** 2).mean())

    floor, scale = min(((f, s) for f in FLOORS for s in SCALES), key=unlikely)
    wider = float(np.quantile(np.abs(errors) / np.hypot(floor, scale * sigmas), TWO_THIRDS))
    return wider * floor, wider * scale


def _some(shard: Shard) -> list[tuple[Any, Any, dict[str, Any]]]:
    arrays, said = shard.read()
    starts = arrays["starts"]
    # evenly spaced, but not by whole steps: images come in turns, and every third may be of one detector
    chosen = np.unique(np.linspace(0, len(said) - 1, MOST).astype(int))
    return [(arrays["image"][i], arrays["table"][starts[i] : starts[i + 1]], said[i]) for i in chosen]


def _score(pictures: Sequence[tuple[Any, Any, dict[str, Any]]], seen: Sequence[Any], header: dict[str, Any]) -> Score:
    score = Score()
    for (image, table, said), one in zip(pictures, seen, strict=True):
        pixel = float(said["pixel_A"])
        compare(score, from_logits(one, pixel, header), table, pixel, image.shape)
    return score
