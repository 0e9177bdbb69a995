"""Whether a structure is outside of what a model was trained on: one number, and which atoms and why.

The novelty of a structure is the largest of three, each over what is usual at most: the out-of-distribution score
(chemistry and prototype, `rhotem.learned.novelty`), the strain that separates most of its atoms from trained ones
(`rhotem.learned.surroundings`), and that of its strangest atom; with elements that were never trained on
(`rhotem.learned.newcomers`) a fourth, their expected error. Above 1 the density is an extrapolation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.calibration import Calibration, load_calibration
from rhotem.learned.counting import free_remark, stays_free
from rhotem.learned.loaded import Loaded, encoder_room
from rhotem.learned.model import LearnedModel
from rhotem.learned.newcomers import Strangers
from rhotem.learned.novelty import SHARE, UNKNOWN, of_structure
from rhotem.learned.surroundings import Surroundings, load_surroundings
from rhotem.learned.weights import fingerprint
from rhotem.structure.model import Structure

#: Largest usual score: above all 124 held-out labels (2.9) and ready phases (2.5).
SCORE = 3.0
#: Largest usual strain of most atoms, and of one: ready phases strained by 2 % have 0.048, one of their atoms 0.08.
STRAIN, STRAIN_OF_ONE = 0.05, 0.15
#: Mean error of held-out labels of novelty below 1: what the expected error of a new element is measured by.
ERROR = 0.15
#: Largest novelty told.
LARGEST = 10.0
#: Atoms whose arrangement is looked at; more are sampled.
SAMPLED = 200
#: Kinds of atoms named in a warning.
NAMED = 3
#: What is unusual of an atom whose three lengths are longer or shorter than trained.
REASONS = (
    ("its nearest neighbour is too far away", "its nearest neighbour is too close"),
    ("its bonds are too long", "its bonds are too short"),
    ("too much empty space around it", "too crowded around it"),
)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """What weights were trained on, as far as it is stored beside them.

    Parameters
    ----------
    calibration : Calibration or None
    surroundings : Surroundings or None
    """

    calibration: Calibration | None
    surroundings: Surroundings | None

    @classmethod
    def beside(cls, weights: Path) -> "Trained":
        """What lies beside weights; nothing of a model that was not calibrated."""
        try:
            calibration = load_calibration(weights)
        except InputError:
            calibration = None
        return cls(calibration, load_surroundings(weights, fingerprint(weights)))


@dataclass(frozen=True)
class Outside:
    """How far a structure is outside of the training.

    Parameters
    ----------
    novelty : float or None
        1 is the limit; None where nothing is known of the training.
    extrapolated : bool
        Whether it is above the limit for other reasons than atoms that stay free and new elements.
    by_known : float or None
        The same, of known elements alone; None where all are known.
    score : float or None
        Out-of-distribution score.
    strain, strain_of_one : float or None
        Upper quartile over the atoms, and largest.
    atoms : sequence of dict
        The strangest: ``atom`` (from 1), ``element``, ``strain``, ``why``.
    """

    novelty: float | None = None
    extrapolated: bool = False
    score: float | None = None
    strain: float | None = None
    strain_of_one: float | None = None
    by_known: float | None = None
    atoms: Sequence[dict[str, Any]] = ()

    def record(self) -> dict[str, Any]:
        """For the record of a density."""
        if self.novelty is None:
            return {}
        known = {
            "of_known_elements": self.by_known,
            "score": self.score,
            "strain": self.strain,
            "strain_of_one_atom": self.strain_of_one,
        }
        return {
            "novelty": {
                "value": round(self.novelty, 3),
                "limit": 1.0,
                **{name: round(value, 4) for name, value in known.items() if value is not None},
                "atoms": [dict(row) for row in self.atoms],
            }
        }

    def warnings(self, model: str) -> list[str]:
        """One line if the structure is outside."""
        if self.novelty is None or not self.extrapolated:
            return []
        named = "; ".join(f"{row['element']}{row['atom']}: {row['why']}" for row in self.atoms) or "chemistry"
        return [
            f"novelty {self.novelty:.1f}, limit 1: outside of what model {model} was trained on ({named}); its density "
            "is an extrapolation: take --source gpaw or free-atoms, or look at error bars (--uncertainty)"
        ]


def assess(
    trained: Trained,
    model: LearnedModel,
    structure: Structure,
    free: npt.NDArray[np.bool_],
    memory: float | None = None,
) -> Outside:
    """How far a structure is outside of the training, by its elements that were trained on.

    ``free``: atoms (N,) without a predicted density (`rhotem.learned.counting.stays_free`); ``memory``: bytes allowed.
    """
    score = None if trained.calibration is None else _score(trained.calibration, model, structure, memory)
    known = _known(model, structure)
    # beside a new element the chemistry is new; how much that matters is the expected error of the element
    by_score = 0.0 if score is None or not known.all() else max(0.0, score / SCORE)
    if trained.surroundings is None:
        if score is None:
            return Outside()
        return Outside(min(by_score, LARGEST), by_score >= 1.0 and not free.all(), score)
    strain, differences = trained.surroundings.strain(structure)
    strain = np.where(known, strain, 0.0)
    largest = max(by_score, _by_strain(strain))
    bonded = 0.0 if free.all() else max(by_score, _by_strain(strain[~free]))
    atoms = _strangest(structure, strain, differences, free)
    if by_score > _by_strain(strain):
        atoms = [{**row, "why": "its chemistry or arrangement is new"} for row in atoms[:1]]
    # an element without training atoms: infinite
    most, one = (min(float(value), LARGEST) for value in (_most(strain), strain.max()))
    return Outside(min(largest, LARGEST), bonded >= 1.0, score, most, one, atoms=atoms)


def remarks(source: Loaded, structure: Structure, points: int = 0) -> dict[str, Any]:
    """How far a structure is outside of the training, and what is unusual about it, for the record of its density.

    "novelty", and "warnings" where it is above the limit or atoms stay free; "new_elements" where there are some;
    ``points``: of the grid beside it.
    """
    model, found = source.model, Outside()
    free, strangers = stays_free(model, structure), source.strangers(structure)
    if source.novelty:
        if source.trained is None:
            source.trained = Trained.beside(source.path)
        room = encoder_room(model, structure, points, source.memory)
        found = with_strangers(assess(source.trained, model, structure, free, room), strangers)
    warnings = [
        *free_remark(model, structure, free),
        *strangers.warnings(source.name, model.readout.cutoff),
        *found.warnings(source.name),
    ]
    return found.record() | strangers.record() | ({"warnings": warnings} if warnings else {})


def with_strangers(found: Outside, strangers: Strangers) -> Outside:
    """The same with the expected error of elements of few or no labels; without any they are outside by definition."""
    if found.novelty is None or not strangers:
        return found
    by_error = min(LARGEST, max(1.0 if strangers.new else 0.0, strangers.expected_error / ERROR))
    return replace(found, novelty=max(found.novelty, by_error), by_known=found.novelty)


def _known(model: LearnedModel, structure: Structure) -> npt.NDArray[np.bool_]:
    """Atoms (N,) of elements that no expected error is said of: of weights where none was measured those trained on."""
    if model.newcomers is None:
        return np.ones(len(structure), dtype=bool)
    newcomers = model.newcomers
    return np.isin(structure.numbers, sorted(newcomers.trained if newcomers.measured is None else newcomers.known))


def _by_strain(strain: Array) -> float:
    """Novelty by the strain (N,) of atoms."""
    return max(_most(strain) / STRAIN, float(strain.max()) / STRAIN_OF_ONE)


def _most(strain: Array) -> float:
    """Strain that a share `SHARE` of the atoms stays within: one of theirs, so that repeated cells have the same."""
    return float(np.quantile(strain, SHARE, method="inverted_cdf"))


def _score(calibration: Calibration, model: LearnedModel, structure: Structure, memory: float | None) -> float:
    """`Calibration.out_of_distribution`; of many atoms the arrangement of some."""
    novelty = calibration.bank.novelty(model, structure, memory)
    known = _known(model, structure)
    # where all elements are new their arrangement alone
    novelty = novelty[known] if known.any() else np.zeros(1)
    if calibration.arrangements is None or novelty.max() >= UNKNOWN:
        return of_structure(novelty)
    chosen = None
    if len(structure) > SAMPLED:
        chosen = np.sort(np.random.default_rng(0).choice(len(structure), SAMPLED, replace=False))
    return of_structure(novelty, calibration.arrangements.novelty(structure, chosen))


def _strangest(
    structure: Structure, strain: Array, differences: Array, free: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """The atom of the largest strain, and of those elements that have unusual ones, with what is unusual about it."""
    rows: list[dict[str, Any]] = []
    symbols = structure.atoms.get_chemical_symbols()
    for atom in np.argsort(-strain, kind="stable").tolist():
        if symbols[atom] in {row["element"] for row in rows}:
            continue
        length = int(np.abs(differences[atom]).argmax())
        size = float(differences[atom][length])
        why = f"{REASONS[length][int(size < 0)]}, {100 * strain[atom]:.0f} % in length from any trained"
        if not np.isfinite(strain[atom]):
            why = "its element was not trained on"
        if free[atom]:
            why = "no neighbour that the model sees: free, Δn = 0"
        if rows and strain[atom] < STRAIN:
            break
        rows.append(
            {"atom": atom + 1, "element": symbols[atom], "strain": float(min(strain[atom], LARGEST)), "why": why}
        )
        if len(rows) == NAMED:
            break
    return rows
