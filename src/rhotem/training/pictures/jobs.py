"""What networks are trained for: by the recipe of a data set, what goes in, what should come out, and the loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rhotem.core import InputError
from rhotem.learned.pictures.restore import FIRST, picture_inputs, series_inputs
from rhotem.learned.pictures.unet import OUTPUTS
from rhotem.learned.pictures.view import NUMBERS, PICTURES, numbers_seen, pictures_seen
from rhotem.training.pictures.batch import MAPS, Batch, Read, Shard, needed
from rhotem.training.pictures.readable import readable

#: Weight of pixels at columns against the others, and of columns with defects against those without.
AT_COLUMNS, AT_DEFECTS = 3.0, 8.0
#: Least variance of what should come out: a picture without contrast has no relative error.
LEAST = 1e-4


@dataclass(frozen=True)
class Job:
    """What a network is trained for.

    Parameters
    ----------
    recipe : str
        Of the data set.
    outputs : int
        Maps that come out.
    inputs : callable
        ``inputs(plan)`` -> pictures that go in, from the plan of the data set.
    read : callable
        ``read(shard)`` -> what goes in, and what should come out.
    losses : callable
        ``losses(output, batch)`` -> tensors by name.
    weights : mapping
        Of these in the sum.
    adds : bool
        Whether the output, of an untrained network 0, changes pictures that go in.
    widths, patch : tuple of int, int
        Of the network (`rhotem.training.pictures.train.Settings`).
    forgotten : tuple of int
        Numbers of a picture that are left out now and then, all together: the network does without them, too.
    """

    recipe: str
    outputs: int
    inputs: Callable[[Mapping[str, Any]], int]
    read: Callable[[Shard], Read]
    losses: Callable[[torch.Tensor, Batch], dict[str, torch.Tensor]]
    weights: Mapping[str, float]
    adds: bool = True
    widths: tuple[int, ...] = (8, 16, 32, 48)
    patch: int = 1
    forgotten: tuple[int, ...] = ()


def job_of(recipe: str) -> Job:
    """The job of a recipe.

    Raises
    ------
    InputError
        If there is none.
    """
    if recipe not in JOBS:
        raise InputError(f"recipe {recipe!r}: no network is trained on it; choose a data set of {', '.join(JOBS)}")
    return JOBS[recipe]


def _columns(shard: Shard) -> Read:
    arrays, said = shard.read()
    needed(arrays, MAPS, "columns")
    images, numbers = [], []
    for image, one in zip(arrays["image"], said, strict=True):
        seen, share = pictures_seen(image, one["pixel_A"])
        images.append(seen.astype(np.float16))
        numbers.append(numbers_seen(share, one.get("image")))
    maps = [*(arrays[name] for name in MAPS), readable(arrays, said)]
    return Read(np.stack(images), np.stack(maps, axis=1), np.stack(numbers))


def _pairs(shard: Shard) -> Read:
    arrays, _ = shard.read()
    needed(arrays, ("image", "clean"), "denoising")
    seen, wanted = [], []
    for image, clean in zip(arrays["image"], arrays["clean"], strict=True):
        inputs, mean, spread = picture_inputs(image)
        seen.append(inputs.astype(np.float16))
        wanted.append(((clean.astype(np.float32) - mean) / spread).astype(np.float16))
    return Read.without_numbers(np.stack(seen), np.stack(wanted)[:, None])


def _series(shard: Shard) -> Read:
    arrays, said = shard.read()
    needed(arrays, ("images", "wave"), "focal-series")
    inputs = [series_inputs(images, one) for images, one in zip(arrays["images"], said, strict=True)]
    wave = arrays["wave"].astype(np.float32)
    wave -= wave.mean(axis=(2, 3), keepdims=True)
    return Read.without_numbers(np.stack([one.astype(np.float16) for one in inputs]), wave.astype(np.float16))


def column_losses(logits: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """Cross entropies: of columns but for those that noise hides, of species and defects where there is a column.

    Species are learned of hidden columns too: left out, fewer were right (0.80 instead of 0.83 after 400 steps).
    """
    maps = batch.maps
    column, counts = maps[:, 0].float() / 255, maps[:, len(MAPS)] > 0
    at_column = counts * (1 + (AT_COLUMNS - 1) * column)
    entropy = functional.binary_cross_entropy_with_logits
    result = {"column": entropy(logits[:, 0], column, weight=at_column)}
    disc = maps[:, 1] > 0
    total = disc.sum().clamp(min=1)
    species = functional.cross_entropy(logits[:, 1:5], (maps[:, 1].long() - 1).clamp(min=0), reduction="none")
    result["species"] = (species * disc).sum() / total
    for name, place in (("vacancy", 2), ("antisite", 3)):
        share = maps[:, place].float() / 255
        weight = disc * (1 + (AT_DEFECTS - 1) * (share > 0))
        result[name] = entropy(logits[:, place + 3], share, weight=weight, reduction="sum") / total
    return result


def blended(output: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """As `rhotem.learned.pictures.restore.blended`, of several pictures."""
    weights = (output[:, :-1] + output.new_tensor(FIRST)[:, None, None]).softmax(dim=1)
    return (weights * seen).sum(dim=1, keepdim=True) + output[:, -1:]


def relative_losses(output: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """Mean square error of each picture over the variance of what should come out: all doses count alike.

    The first pictures that go in are what is known without a network; its output is added to them.
    """
    made = output + batch.image[:, : output.shape[1]]
    return {"relative": _relative(made, batch).clamp(max=10.0).mean()}


def denoising_losses(output: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """Logarithm of the relative error of each picture: half an error is worth as much at all doses.

    With the errors' squares pictures of few electrons alone counted, and those of many were made worse than they came.
    """
    return {"ln relative": 0.5 * (_relative(blended(output, batch.image), batch) + LEAST).log().mean()}


def _relative(made: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean square error of each picture over the variance of what should come out."""
    wanted = batch.maps.float()
    variance = (wanted - wanted.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(1, 2, 3))
    error = (made - wanted).square().mean(dim=(1, 2, 3))
    return error / variance.clamp(min=LEAST)


#: By recipe.
JOBS = {
    job.recipe: job
    for job in (
        Job(
            "columns",
            len(OUTPUTS),
            lambda plan: PICTURES + NUMBERS,
            _columns,
            column_losses,
            {"column": 1.0, "species": 1.0, "vacancy": 2.0, "antisite": 1.0},
            adds=False,
            widths=(24, 48, 72, 96),
            patch=2,
            forgotten=tuple(range(1, NUMBERS)),
        ),
        Job(
            "denoising",
            len(FIRST) + 1,
            lambda plan: len(FIRST),
            _pairs,
            denoising_losses,
            {"ln relative": 1.0},
            widths=(24, 48, 72, 96),
            patch=2,
        ),
        Job(
            "focal-series",
            2,
            lambda plan: 2 + len(plan["pictures"]["foci_nm"]),
            _series,
            relative_losses,
            {"relative": 1.0},
        ),
    )
}
