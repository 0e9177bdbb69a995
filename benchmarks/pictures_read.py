"""What the benchmarks of `rhotem segment` have in common: their options, and the pictures as a network reads them."""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhotem.learned.pictures import load_weights
from rhotem.learned.pictures.segment import Segmentation, from_logits, logits
from rhotem.learned.pictures.view import view
from rhotem.learned.pictures.weights import Weights
from rhotem.library.dataset import open_dataset
from rhotem.library.dataset.store import TABLE

#: Standard deviations of the noise above which a column is easily read.
READABLE = 4.0


@dataclass(frozen=True, eq=False)
class Read:
    """A picture as a network sees it (rows, columns), its label maps, table and settings, the columns found, CPU s."""

    image: np.ndarray
    arrays: dict[str, np.ndarray]
    said: dict[str, Any]
    found: Segmentation
    seconds: float

    @property
    def table(self) -> np.ndarray:
        """A row for every column that is there."""
        return self.arrays["table"]

    @property
    def above(self) -> np.ndarray:
        """How far every column stands above the noise; columns of ABF may be dark."""
        above = self.table[:, TABLE.index("above")]
        return np.abs(above) if self.said["image"] == "ABF" else above

    @property
    def pixel(self) -> float:
        """Å."""
        return float(self.said["pixel_A"])


def options(description: str) -> argparse.ArgumentParser:
    """A data set, a network, and which pictures: every ``--step``-th of a split."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--network", help="without it the one that comes with RhoTEM")
    parser.add_argument("--split", default="test")
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--untold", dest="told", action="store_false", help="the network is not told the image")
    return parser


def pictures(asked: argparse.Namespace, wanted: Callable[[Any], bool] = lambda said: True) -> Iterator[Read]:
    """The pictures that were asked for; ``wanted``: of which settings."""
    weights = load_weights(asked.network)
    for place, (arrays, said) in enumerate(open_dataset(asked.dataset).pictures(asked.split)):
        if place % asked.step == 0 and wanted(said):
            began = time.process_time()
            seen = view(arrays["image"], said["pixel_A"], said["image"] if asked.told else None, weights.inputs)
            found = read(seen, said["pixel_A"], weights)
            yield Read(seen[0], arrays, said, found, time.process_time() - began)


def read(image: np.ndarray, pixel: float, weights: Weights) -> Segmentation:
    """Columns of what is seen of a picture, at its own pixel."""
    return from_logits(logits(image, weights), pixel, weights.header)
