"""What turns spread, size, place and novelty into error bars, as it is stored beside weights."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.arrangement import ArrangementBank
from rhotem.learned.novelty import UNKNOWN, NoveltyBank, of_structure
from rhotem.learned.weights import find_model, fingerprint, read_arrays, read_header, save_arrays, write_json
from rhotem.structure.model import Structure

#: Share of errors that an interval shall cover, and half-width of a Gaussian's interval of that share over its σ.
LEVEL, HALF_WIDTH = 0.9, 1.6449
#: Version of the stored calibration.
FORMAT = 2
#: What the scale of an error is read from, in this order.
COLUMNS = ("constant", "spread", "size", "size squared", "distance", "distance squared", "novelty")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What turns inputs into error bars.

    Parameters
    ----------
    weights : (7,) array
        Logarithm of the typical |error| (e/Å³) is inputs @ weights.
    factor : float
        Half-width of the interval over the typical error: 90 % of held-out errors are inside.
    potential_factor : float
        By how much the members must be spread more than their typical errors, for the projected potential (`widening`).
    bank : NoveltyBank
    report : dict
        What was measured, families left out one by one.
    arrangements : ArrangementBank or None
        For the out-of-distribution score.
    """

    weights: Array
    factor: float
    potential_factor: float
    bank: NoveltyBank
    report: dict[str, Any] = field(default_factory=dict)
    arrangements: ArrangementBank | None = None

    def sigma(self, inputs: Array) -> Array:
        """Standard deviation of a Gaussian with the same 90 % interval, e/Å³."""
        return np.exp(inputs @ self.weights) * (self.factor / HALF_WIDTH)

    def out_of_distribution(self, structure: Structure, novelty: Array) -> float:
        """Score of a structure, the novelty (N,) of whose atoms is known: how unlike everything trained on it is.

        The median of structures of known prototypes is near 0; 10: an element was never trained on.
        """
        known = self.arrangements is not None and novelty.max() < UNKNOWN
        return of_structure(novelty, self.arrangements.novelty(structure) if known and self.arrangements else None)


def uncertainty_path(weights: Path) -> Path:
    """Where the calibration of weights lies: in the folder ``uncertainty`` beside them, apart from weights."""
    return weights.parent / "uncertainty" / weights.name


def save_calibration(weights: Path, calibration: Calibration, like: Path | None = None) -> Path:
    """Write the calibration beside the weights: arrays, and numbers in JSON.

    ``like``: weights whose calibration knows the same training atoms; it is read from there, and not written again.

    Raises
    ------
    InputError
        If that one knows others.
    """
    path = uncertainty_path(weights)
    path.parent.mkdir(exist_ok=True)
    numbers = np.array([*calibration.weights, calibration.factor, calibration.potential_factor])
    known = calibration.bank.arrays() | (calibration.arrangements.arrays() if calibration.arrangements else {})
    content: dict[str, Any] = {
        "format_version": FORMAT,
        "columns": list(COLUMNS),
        "level": LEVEL,
        "weights": fingerprint(weights),
    }
    if witness := read_header(weights).get("judged_by"):
        content["judged_by"] = fingerprint(find_model(witness))
    if like is not None:
        theirs = _known_atoms(like)
        if theirs.keys() != known.keys() or not all(
            np.allclose(a, known[name], rtol=1e-9) for name, a in theirs.items()
        ):
            raise InputError(
                f"calibration: {like.stem} knows other training atoms than {weights.stem}; calibrate without it"
            )
        content["known"] = {"model": like.stem, "sha256": _digest(theirs)}
        known = {}
    save_arrays(path, {"scale": numbers, **known})
    write_json(path.with_suffix(".json"), content | {"report": calibration.report})
    return path


def _known_atoms(weights: Path) -> dict[str, npt.NDArray]:
    """Training atoms and arrangements in the calibration beside weights."""
    return {name: a for name, a in read_arrays(uncertainty_path(weights)).items() if name != "scale"}


def _digest(arrays: dict[str, npt.NDArray]) -> str:
    """SHA-256 of arrays."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


def load_calibration(weights: Path) -> Calibration:
    """The calibration beside weights.

    Raises
    ------
    InputError
        If there is none, or it is damaged or of another version.
    """
    path = uncertainty_path(weights)
    if not path.is_file():
        raise InputError(
            f"model {weights.stem}: has no calibrated uncertainty; `rhotem model calibrate RUN` makes it from the "
            "labels that the run held out"
        )
    arrays = read_arrays(path)
    try:
        side = json.loads(path.with_suffix(".json").read_text())
        numbers = arrays["scale"].astype(float)
        if side["format_version"] != FORMAT or side["columns"] != list(COLUMNS) or len(numbers) != len(COLUMNS) + 2:
            raise KeyError("columns")
        if side["weights"] != fingerprint(weights):
            raise InputError(f"calibration {path}: made for other weights than {weights.name}; calibrate again")
        witness = read_header(weights).get("judged_by")
        if side.get("judged_by") != (fingerprint(find_model(witness)) if witness else None):
            raise InputError(
                f"calibration {path}: made beside another {witness or 'model'} than is here; calibrate again"
            )
        if "known" in side:
            arrays = _known_atoms(find_model(side["known"]["model"]))
            if _digest(arrays) != side["known"]["sha256"]:
                raise InputError(
                    f"calibration {path}: made beside another {side['known']['model']} than is here; calibrate again"
                )
        bank = NoveltyBank.from_arrays(arrays)
        arrangements = ArrangementBank.from_arrays(arrays)
        return Calibration(numbers[:-2], float(numbers[-2]), float(numbers[-1]), bank, side["report"], arrangements)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"calibration {path}: damaged or of another version; calibrate again") from error
