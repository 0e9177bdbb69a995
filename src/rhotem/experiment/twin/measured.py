"""Entries of measured files and of fits."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.output import RECORD
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.read.frames import good
from rhotem.experiment.read.rosetta import look_up

#: Largest side in pixels of pictures that are kept; larger ones are binned.
SIDE = 256


def when(measurement: Measurement) -> datetime:
    """When a file was recorded: as it says, else when it was written."""
    said = look_up(measurement.metadata, "metadata.General")
    date, hour, zone = (look_up(said, key) for key in ("date", "time", "time_zone"))
    try:
        found = datetime.fromisoformat(f"{date}T{hour}")
        if found.tzinfo is None and zone in ("UTC", "GMT"):  # else that of this machine: names like CEST are no zones
            found = found.replace(tzinfo=UTC)
        return found if found.tzinfo else found.astimezone()
    except (ValueError, OverflowError):  # none, or one like year 1
        return datetime.fromtimestamp(Path(measurement.source.path).stat().st_mtime, UTC)


def picture(measurement: Measurement) -> npt.NDArray[np.float32]:
    """What was recorded as one small picture: of 4D data the mean, of stacks that of good frames."""
    data = np.asarray(measurement.data)
    if measurement.kind == "image stack":
        data = data[good(data)]
    return small(data.mean(axis=tuple(range(data.ndim - 2)), dtype=float) if data.ndim > 2 else data)


def small(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Means of bins, so that no side has more than `SIDE` pixels."""
    size = max(1, int(np.ceil(max(image.shape) / SIDE)))
    high, wide = (min(size, n) for n in image.shape)  # of one line, one pixel high
    rows, columns = image.shape[0] // high, image.shape[1] // wide
    binned = np.asarray(image[: rows * high, : columns * wide], dtype=float).reshape(rows, high, columns, wide)
    return binned.mean(axis=(1, 3)).astype(np.float32)


def fits_of(folder: Path) -> list[dict[str, Any]]:
    """Blocks ``measurements`` and ``fit`` of every fit in a folder of `rhotem fit`.

    Raises
    ------
    InputError
        If it holds none.
    """
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        if "fits" in record:
            found = [_split(one) for one in record["fits"].values()]
        else:
            found = [{"measurements": record["measurements"], "fit": record["fit"]}]
        if not all(_complete(one) for one in found):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{folder}: no result of rhotem fit; give the folder of its --out") from None
    return found


def _complete(block: dict[str, Any]) -> bool:
    sources = [one["source"]["sha256"] for one in block["measurements"]]
    return bool(sources) and all({"value", "error", "unit"} <= set(p) for p in block["fit"]["parameters"].values())


def _split(fit: dict[str, Any]) -> dict[str, Any]:
    said = dict(fit)
    return {"measurements": [said.pop("measurement")], "fit": said}


def block(measured: Sequence[Measurement]) -> dict[str, Any]:
    """The block of some files."""
    return {"measurements": [one.record() for one in measured]}
