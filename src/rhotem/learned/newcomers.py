"""Elements that weights were never trained on, or on few labels: predicted with a known error, or left free.

What a pretrained encoder knows of an element, and what its relatives among the trained ones have
(`rhotem.learned.relatives`), predicts much of its Δn before the first label. How much was measured on labels of such
elements, and lies beside the weights. Where free atoms are expected to be better, where nothing was measured, and
beyond the encoder's elements, the learned part is taken away around the atom (`rhotem.learned.removal`).
An element with few labels is trained; what is expected of it was measured on compounds held out.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.relatives import NOBLE, electronegativity, relatives
from rhotem.learned.weights import fingerprint, write_json

#: Version of what is stored.
FORMAT = 1
#: Error from which free atoms, which have 1, are as good.
FREE = 1.0
#: Electronegativity (Pauling) below which an element gives its electrons away, and from which one takes them. Labels
#: of the former are compounds with the latter: where there is none, as in their metals, free atoms are better.
GIVES, TAKES = 1.3, 1.9
#: Labels, trained on and held out together, below which neither an element's density nor its error is well known.
FEW = 6


@dataclass(frozen=True)
class Measured:
    """What weights make of elements that they were never trained on, measured on labels of these.

    Parameters
    ----------
    errors : dict
        By atomic number, Σ|Δn̂ − Δn|/Σ|Δn| within the cutoff of its atoms, weighted as far as an atom reaches; mean of
        the compounds. Free atoms have 1.
    potential : dict
        By atomic number, the error of the potential of its compounds (`rhotem.density.metrics`), geometric mean.
    compounds : dict
        By atomic number, the compounds measured.
    factor, potential_factor : float
        By how much error bars of voxels, and of the projected potential, are widened in such structures.
    report : dict
        Coverage of these intervals, every compound left out once.
    untrained : Measured or None
        What earlier weights made of elements before they were trained on them: what is expected of those that these
        were not trained on either. None: all that is measured here is that.
    """

    errors: Mapping[int, float]
    potential: Mapping[int, float]
    compounds: Mapping[int, Sequence[str]]
    factor: float = 1.0
    potential_factor: float = 1.0
    report: dict[str, Any] = field(default_factory=dict)
    untrained: "Measured | None" = None

    def error(self, number: int, *, of_potential: bool = False) -> float:
        """Expected error of an element; where none was measured that of its measured relatives."""
        known = self.potential if of_potential else self.errors
        if number in known:
            return known[number]
        measured = sorted(known)
        return float(relatives(number, measured) @ np.array([known[z] for z in measured]))


@dataclass(frozen=True)
class Strangers:
    """Elements of a structure that a model was not trained on.

    Parameters
    ----------
    predicted : dict
        Expected errors of Δn and of its potential, and the compounds measured, by atomic number.
    free : dict
        Why an element is left free, by atomic number.
    few : dict
        How many labels there are of those that were trained on.
    whole : bool
        One of them makes the whole structure free atoms: of readouts that cannot leave out single atoms.
    """

    predicted: Mapping[int, tuple[float, float, Sequence[str]]]
    free: Mapping[int, str]
    few: Mapping[int, int] = field(default_factory=dict)
    whole: bool = False

    def __bool__(self) -> bool:
        return bool(self.predicted or self.free)

    @property
    def new(self) -> list[int]:
        """Those that were not trained on, or are left free."""
        return sorted({*self.predicted, *self.free} - (self.few.keys() - self.free.keys()))

    @property
    def names(self) -> str:
        """These, for messages."""
        return named(self.new)

    def fill(self, numbers: npt.NDArray[np.int64]) -> bool:
        """Whether they leave nothing that is learned among atoms with these numbers."""
        return self.whole or (bool(self.free) and set(numbers.tolist()) <= set(self.free))

    @property
    def expected_error(self) -> float:
        """Of the worst; 0 where there are none."""
        return max([error for error, _, _ in self.predicted.values()] + [FREE] * bool(self.free), default=0.0)

    def record(self) -> dict[str, Any]:
        """For the record of a density."""
        if not self:
            return {}
        said: dict[str, dict[str, Any]] = {"zero_shot": {}, "few_labels": {}}
        for z, (error, potential, compounds) in self.predicted.items():
            said["few_labels" if z in self.few else "zero_shot"][named([z])] = {
                **({"labels": self.few[z]} if z in self.few else {}),
                "expected_error": round(error, 3),
                "expected_error_of_potential": round(potential, 3),
                "measured_on": list(compounds),
            }
        return {"new_elements": {**said, "free": {named([z]): why for z, why in self.free.items()}}}

    def warnings(self, model: str, reach: float) -> list[str]:
        """A line on those predicted, and one on those left free within ``reach`` (Å)."""
        lines = []
        for numbers, said in (
            (
                [z for z in self.predicted if z not in self.few],
                "was not trained on {}: predicted by what is known of relatives",
            ),
            ([z for z in self.predicted if z in self.few], "was trained on few labels of {}"),
        ):
            if numbers:
                each = "; ".join(map(self._expected, numbers))
                lines.append(
                    f"model {model} {said.format(named(numbers))}, expected error of Δn and of its potential (free "
                    f"atoms 1): {each}; or --source gpaw"
                )
        if self.free:
            why = "; ".join(sorted({f"{named([z])}: {reason}" for z, reason in self.free.items()}))
            lines.append(
                f"model {model} was not trained on {named(self.free)}: free atoms within {reach:g} Å of "
                f"{'it' if len(self.free) == 1 else 'them'} ({why}); or --source gpaw"
            )
        return lines

    def _expected(self, z: int) -> str:
        """What is expected of an element, and how that is known."""
        error, potential, compounds = self.predicted[z]
        why = ", ".join(compounds) if compounds else "estimated from its relatives"
        return f"{named([z])} {error:.2f} and {potential:.2f} ({why})"


class Newcomers:
    """Elements that one set of weights was not trained on.

    Parameters
    ----------
    trained : sequence of int
        Atomic numbers trained on.
    encoded : sequence of int or None
        Those the encoder was pretrained on; None: its tables are all there is.
    weights : Path or None
        Where the weights lie, and beside them what was measured.
    measured : Measured, optional
        Instead of that.
    labels : mapping, optional
        How many labels, trained on and held out, have an element, by atomic number.
    """

    def __init__(
        self,
        trained: Sequence[int],
        encoded: Sequence[int] | None = None,
        weights: Path | None = None,
        measured: Measured | None = None,
        labels: Mapping[int, int] | None = None,
    ) -> None:
        self.trained, self.weights = frozenset(trained), weights
        self.few = {z: n for z, n in (labels or {}).items() if n < FEW and z in self.trained}
        self.encoded = None if encoded is None else frozenset(encoded)
        if measured is not None:
            self.measured = measured

    @cached_property
    def measured(self) -> Measured | None:
        """What lies beside the weights; None where nothing was measured."""
        return None if self.weights is None else load_measured(self.weights)

    @property
    def known(self) -> frozenset[int]:
        """Elements that there is nothing to say of: trained on, and on more than a few labels."""
        return self.trained - self.few.keys()

    def among(self, numbers: Iterable[int]) -> Strangers:
        """What becomes of the elements of a structure."""
        predicted: dict[int, tuple[float, float, Sequence[str]]] = {}
        free: dict[int, str] = {}
        numbers = set(numbers)
        taken = max((electronegativity(z) for z in numbers), default=0.0) >= TAKES
        for z in sorted(numbers - self.known):
            if why := self._why_free(z, taken):
                free[z] = why
            elif (measured := self._expecting(z, numbers)) is not None:
                compounds = measured.compounds.get(z, ())
                predicted[z] = (measured.error(z), measured.error(z, of_potential=True), compounds)
        return Strangers(predicted, free, {z: n for z, n in self.few.items() if z in predicted or z in free})

    def _expecting(self, z: int, numbers: set[int]) -> Measured | None:
        """What is expected of an element beside others.

        Where compounds were better before it was trained on than what is held out now, these count: often only the
        element itself is held out, and labels have not made compounds worse.
        """
        own = self.measured_of(z)
        before = own.untrained if own and len(numbers) > 1 else None
        if own is None or before is None or z not in before.errors:
            return own
        better = before.error(z) < own.error(z) and before.potential[z] < own.error(z, of_potential=True)
        return before if better else own

    def measured_of(self, z: int) -> Measured | None:
        """What an element's expected error is taken from; None where nothing was measured."""
        measured = self.measured
        return measured.untrained or measured if measured and z not in self.trained else measured

    def left_free(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Atoms (N,) around which the learned part is taken away."""
        return np.isin(numbers, sorted(self.among(set(numbers.tolist())).free))

    def _why_free(self, z: int, taken: bool) -> str:
        if z in NOBLE:
            return "a closed shell"
        if self.encoded is not None and z not in self.encoded:
            return "its encoder does not know it either"
        measured = self.measured_of(z)
        if measured is None:
            return "" if z in self.trained else "its error was not measured for these weights"
        if electronegativity(z) < GIVES and not taken and z not in self.trained:
            return "no element takes its electrons here, and in its metal free atoms are better"
        errors = measured.error(z), measured.error(z, of_potential=True)
        if max(errors) >= FREE:
            return f"the expected error of Δn {errors[0]:.2f}, of its potential {errors[1]:.2f}, free atoms 1"
        return ""


def named(numbers: Iterable[int]) -> str:
    """Symbols of elements, for messages."""
    from ase.data import chemical_symbols

    return ", ".join(chemical_symbols[z] for z in sorted(numbers))


def measured_path(weights: Path) -> Path:
    """Where it is stored what weights make of new elements: beside their calibration."""
    return weights.parent / "uncertainty" / f"{weights.stem}-elements.json"


def save_measured(weights: Path, measured: Measured) -> Path:
    """Write it beside the weights, whose fingerprint it keeps."""
    path = measured_path(weights)
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"format_version": FORMAT, "weights": fingerprint(weights), **_content(measured)})
    return path


def _content(measured: Measured) -> dict[str, Any]:
    """As it is stored."""
    elements = {
        named([z]): {
            "number": z,
            "error": round(measured.errors[z], 4),
            "error_of_potential": round(measured.potential[z], 4),
            "compounds": list(measured.compounds[z]),
        }
        for z in sorted(measured.errors)
    }
    widened = {"factor": measured.factor, "potential_factor": measured.potential_factor}
    content = {"elements": elements, "widened": widened, "report": measured.report}
    return content if measured.untrained is None else {**content, "untrained": _content(measured.untrained)}


def _measured(content: Mapping[str, Any]) -> Measured:
    """Back again."""
    rows = {int(row["number"]): row for row in content["elements"].values()}
    return Measured(
        {z: float(row["error"]) for z, row in rows.items()},
        {z: float(row["error_of_potential"]) for z, row in rows.items()},
        {z: tuple(row["compounds"]) for z, row in rows.items()},
        float(content["widened"]["factor"]),
        float(content["widened"]["potential_factor"]),
        content["report"],
        _measured(content["untrained"]) if "untrained" in content else None,
    )


def load_measured(weights: Path) -> Measured | None:
    """Back again; None where there is nothing, or that of other weights.

    Raises
    ------
    InputError
        If it is damaged.
    """
    path = measured_path(weights)
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        if content["format_version"] != FORMAT or content["weights"] != fingerprint(weights):
            return None
        return _measured(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged; `python benchmarks/new_elements.py` makes it again") from error
