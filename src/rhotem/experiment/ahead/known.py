"""What is known of a specimen and its lens: a posterior as the record of a fit tells it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.output import RECORD
from rhotem.experiment.fit.images.specimens import Exchange, parse_exchange
from rhotem.experiment.fit.images.state import LENS, NAMES, UNITS

Array = npt.NDArray[np.float64]

#: Å of a pixel of the next scan where the fit was one of a pattern, and of its source.
PIXEL, SOURCE = 0.2, 0.8
#: Odds below which a minimum is no rival, and most rivals.
RARE, RIVALS = 1e-3, 3


@dataclass(frozen=True, eq=False)
class Known:
    """A posterior.

    Parameters
    ----------
    names, units : tuples of str
        Thickness and lens as `rhotem.experiment.fit.images.state.NAMES`, then what nodes are of.
    values : (p,) array
    covariance : (p, p) array
        0 of what was not free, infinite on the diagonal of what is not known.
    matrix : (2, 2) array
        Takes (column, row) of the scan to Å along x and y.
    rivals : tuple of ((float, float), float)
        Thickness and defocus in Å of other minima, and their odds to the best one.
    exchange : Exchange or None
        What the node is of, and at which shares.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: Array
    covariance: Array
    matrix: Array
    rivals: tuple[tuple[tuple[float, float], float], ...] = ()
    exchange: Exchange | None = None

    @property
    def specimen(self) -> list[int]:
        """Places of what is the specimen's, not the lens's."""
        return [0, *range(LENS, len(self.names))]


def read_known(path: str | Path) -> tuple[Known, dict[str, Any]]:
    """The posterior in the record of a `rhotem fit`, and the plan that was asked for.

    Raises
    ------
    InputError
        If it is no record of a fit of scanned images or of one pattern.
    """
    path = Path(path)
    path = path / RECORD if path.is_dir() else path
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: no record of a fit ({type(error).__name__}); give the folder of rhotem fit"
        ) from None
    said = record if isinstance(record, dict) else {}
    asked, fit, fits = said.get("asked"), said.get("fit"), said.get("fits")
    if isinstance(asked, dict) and isinstance(fit, dict) and "source_size" in fit.get("parameters", {}):
        return _of_images(fit), asked
    if isinstance(asked, dict) and isinstance(fits, dict) and len(fits) == 1:
        return _of_pattern(next(iter(fits.values()))), asked
    if isinstance(fits, dict) and len(fits) > 1:
        raise InputError(f"{path}: fits of {len(fits)} patterns; what is next is asked of one specimen: fit one alone")
    raise InputError(f"{path}: no record of a fit of scanned images or of a pattern; give the folder of rhotem fit")


def _of_images(fit: dict[str, Any]) -> Known:
    numbers, nodes = fit["parameters"], fit.get("nodes") or {}
    exchange = None
    for name, row in nodes.items():
        exchange = parse_exchange(f"{name}={','.join(f'{100 * value:.10g}' for value in row['at'])}")
    whole = np.array(fit["covariance"], dtype=float)
    places = [*range(LENS), *range(len(whole) - len(nodes), len(whole))]
    values = [numbers[n]["value"] for n in NAMES[:LENS]] + [one["value"] for one in nodes.values()]
    best, *others = fit["minima"]
    rivals = [
        ((10 * one["thickness_nm"], 10 * one["defocus_nm"]), one["odds"] / max(best["odds"], 1e-300))
        for one in others[:RIVALS]
        if one["odds"] > RARE * best["odds"]
    ]
    matrix = [[numbers["x_column"]["value"], numbers["x_row"]["value"]]]
    matrix.append([numbers["y_column"]["value"], numbers["y_row"]["value"]])
    return Known(
        (*NAMES[:LENS], *nodes),
        (*UNITS[:LENS], *[one["unit"] for one in nodes.values()]),
        np.array(values, dtype=float),
        whole[np.ix_(places, places)],
        np.array(matrix, dtype=float),
        tuple(rivals),
        exchange,
    )


def _of_pattern(fit: dict[str, Any]) -> Known:
    """A pattern tells of the thickness alone; nothing is known of the lens of a scan."""
    covariance = np.diag([(10 * fit["thickness_error_nm"]) ** 2, *[np.inf] * (LENS - 1)])
    values = np.array([10 * fit["thickness_nm"], 0.0, 0.0, 0.0, SOURCE])
    best, *others = fit["minima"]
    rivals = [
        ((10 * one["thickness_nm"], 0.0), one["odds"] / max(best["odds"], 1e-300))
        for one in others[:RIVALS]
        if one["odds"] > RARE * best["odds"]
    ]
    return Known(NAMES[:LENS], UNITS[:LENS], values, covariance, PIXEL * np.eye(2), tuple(rivals))
