"""`weigh`: evidences of hypotheses on one recording, their false alarms, and the dose that would decide."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.experiment.weigh.dose import DECIDED, factor_that_decides
from rhotem.experiment.weigh.hypothesis import Explained, Hypothesis
from rhotem.experiment.weigh.trials import Drawing, Trials, Worlds, run_trials, worlds

Array = npt.NDArray[np.float64]

#: Mean square of residuals over noise above which none of the hypotheses explains a recording.
POOR = 1.5
#: Errors by displacements that a verdict must survive.
SURE = 2.0
#: Part of the expected ln odds by which measured ones may differ.
STRANGE = 0.5
#: Standard deviations from which measured odds are not those of the best hypothesis.
FAR = 4.0
#: Doses this much beyond the recorded one are not simulated.
FARTHEST = 1e4
#: Recordings simulated for each hypothesis, where no number is given.
TRIALS = 20


@dataclass(frozen=True, eq=False)
class Weighing:
    """What a recording says of several hypotheses.

    Parameters
    ----------
    hypotheses : tuple of Hypothesis
    data
    found : list of Explained
    unit : float
        Of `unit_of`.
    motion : (hypotheses,) array
        Standard error of ln odds of the best over each that displacements of atoms make; 0 where one set is all.
    worlds : Worlds
    trials : Trials
        At the recorded dose.
    check : Trials or None
        At the dose that should decide between the best two; None where no dose does, or the recorded one is enough.
    same : tuple of (str, str)
        Names of hypotheses that are the same structure and density.
    """

    hypotheses: tuple[Hypothesis, ...]
    data: Any
    found: list[Explained]
    unit: float
    motion: Array
    worlds: Worlds
    trials: Trials
    check: Trials | None
    same: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[str]:
        """Of the hypotheses."""
        return [one.name for one in self.hypotheses]

    @property
    def evidence(self) -> Array:
        """Ln evidence of every hypothesis above that of the best."""
        return relative([one.evidence(self.unit) for one in self.found])

    @property
    def criterion(self) -> Array:
        """−½ BIC of every hypothesis above that of the best."""
        return relative([one.criterion(self.unit) for one in self.found])

    @property
    def probabilities(self) -> Array:
        """Of the hypotheses, equally likely before, if one of them is true."""
        weights = np.exp(self.evidence)
        return np.asarray(weights / weights.sum())

    @property
    def order(self) -> list[int]:
        """Places of the hypotheses, the best first."""
        return [int(n) for n in np.argsort(-self.evidence, kind="stable")]

    @property
    def margin(self) -> float:
        """Ln odds of the best over the second."""
        return float(-self.evidence[self.order[1]])

    @property
    def shaken(self) -> float:
        """Standard error of `margin` that displacements of atoms make."""
        return float(self.motion[self.order[1]])

    @property
    def explained(self) -> bool:
        """Whether the best hypothesis explains the recording: no residuals that are much larger than noise."""
        return self.found[self.order[0]].excess <= POOR

    @property
    def decided(self) -> bool:
        """Whether the recording decides: odds of 20:1 and more that survive what the simulation does not know.

        They do if displacements of atoms were `SURE` of their errors luckier; if the best explains the recording; and
        if odds beyond those that it would give differ from these by less than half: else something else makes them.
        """
        strange = self.beyond and abs(self.margin - self.expected[0]) > STRANGE * self.expected[0]
        return self.margin - SURE * self.shaken >= DECIDED and self.explained and not strange

    @property
    def expected(self) -> tuple[float, float]:
        """Expected ln odds of the best over the second if the best is true, and their standard deviation."""
        first, second = self.order[:2]
        mean = float(self.worlds.apart(self.unit)[first, second])
        return mean, float(np.sqrt(2 * mean))

    @property
    def beyond(self) -> bool:
        """Whether the measured odds are none that the best would give: something counts that no hypothesis holds."""
        mean, deviation = self.expected
        return abs(self.margin - mean) > max(FAR * float(np.hypot(deviation, self.shaken)), 1.0)

    @property
    def factor(self) -> float:
        """Dose over the recorded one that would decide between the best and each of its rivals, whichever is true."""
        first, *others = self.order
        return max(pair_factor(self.worlds.apart(self.unit), first, n) for n in others)

    @property
    def dose(self) -> float | None:
        """e/Å² of the recording, if known."""
        return self.hypotheses[self.order[0]].dose(self.data, self.found[self.order[0]].state)

    @property
    def remarks(self) -> list[str]:
        """Hypotheses that may explain more beyond an end of what was tried, and electrons that seem to be none."""
        pairs = zip(self.hypotheses, self.found, strict=True)
        return [f"{one.name}: {line}" for one, found in pairs for line in one.at_bounds(self.data, found.state)]

    def false_alarm(self, rival: int) -> float:
        """Share of simulated recordings of a rival that speak for the best at least as much as the measured one."""
        first = self.order[0]
        seen = self.trials.evidence[rival, :, first] - self.trials.evidence[rival, :, rival]
        return float((seen >= self.evidence[first] - self.evidence[rival] - 1e-9).mean())

    def record(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        apart = self.worlds.apart(self.unit)
        first = self.order[0]
        rows = {
            one.name: {
                "ln_evidence": float(self.evidence[n]),
                "half_bic": float(self.criterion[n]),
                "probability": float(self.probabilities[n]),
                "minus_ln_likelihood": found.cost / self.unit,
                "excess": found.excess,
                "parameters": one.says(found.state),
                "error_by_displacements": float(self.motion[n]),
                "false_alarm": None if n == first else self.false_alarm(n),
                "dose_factor": None if n == first else pair_factor(apart, first, n),
            }
            for n, (one, found) in enumerate(zip(self.hypotheses, self.found, strict=True))
        }
        return {
            "hypotheses": rows,
            "best": self.names[first],
            "decided": self.decided,
            "error_of_ln_odds_by_displacements": self.shaken,
            "expected_ln_odds_of_best": {"mean": self.expected[0], "deviation": self.expected[1]},
            "beyond_expected": self.beyond,
            "remarks": self.remarks,
            "same": [list(pair) for pair in self.same],
            "unit": self.unit,
            "dose_e_per_A2": self.dose,
            "dose_factor": self.factor,
            "ln_odds_expected_of_each_truth": apart,
            "chosen": self.trials.chosen,
            "trials": self.trials.evidence.shape[1],
            "check": None if self.check is None else {"factor": self.check.factor, "decided": self.check.decided},
        }


def unit_of(best: Explained) -> float:
    """Difference of cost that is one unit of −ln likelihood: the excess where it is more than that of chance."""
    chance = 3.0 * np.sqrt(2.0 / best.points)
    return best.excess if best.excess > 1.0 + chance else 1.0


def displaced(hypotheses: Sequence[Hypothesis], data: Any, found: Sequence[Explained], unit: float) -> Array:
    """Standard errors of ln odds of the best over each by the scatter of single sets of displacements; 0 of one set."""
    draws = [one.drawn() for one in hypotheses]
    number = min(len(one) for one in draws)
    if number < 2:
        return np.zeros(len(draws))
    evidence = np.array(
        [
            [one[n].explain(data, e.state).evidence(unit) for one, e in zip(draws, found, strict=True)]
            for n in range(number)
        ]
    )
    best = int(np.argmax([one.evidence(unit) for one in found]))
    scatter = (evidence[:, [best]] - evidence).std(axis=0, ddof=1)
    return np.asarray(scatter / np.sqrt(number))


def relative(values: Sequence[float]) -> Array:
    """Values above the largest."""
    array = np.array(values)
    return np.asarray(array - array.max())


def pair_factor(apart: Array, one: int, other: int) -> float:
    """Dose over the recorded one that decides between two hypotheses whichever is true."""
    return factor_that_decides(float(min(apart[one, other], apart[other, one])))


def weigh(
    hypotheses: Sequence[Hypothesis], data: Any, *, trials: int = TRIALS, seed: int = 0, progress: Progress = silent
) -> Weighing:
    """Weigh hypotheses on one recording.

    Parameters
    ----------
    hypotheses : sequence of Hypothesis
        Two or more with different names; simulated with the same displacements of atoms, else thermal noise decides.
    data
        What they explain: a list of `rhotem.experiment.fit.images.Recorded` for `ImageHypothesis`.
    trials : int
        Recordings simulated of each hypothesis.
    seed : int
        Of their noise.
    progress : Progress

    Raises
    ------
    InputError
        If there are fewer than two hypotheses or none explains the recording.
    """
    names = [one.name for one in hypotheses]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"hypotheses {', '.join(names) or 'none'}: expected two or more with different names")
    if trials < 1:
        raise InputError(f"trials {trials}: expected 1 or more")
    found = []
    for place, one in enumerate(hypotheses):
        found.append(one.explain(data))
        progress("hypotheses", place + 1, len(names))
    # the best of each may be near that of another: what one search missed, another may have found
    best = min(found, key=lambda one: one.cost)
    again = [one.explain(data, best.state) for one in hypotheses]
    found = [min(pair, key=lambda one: one.cost) for pair in zip(found, again, strict=True)]
    unit = unit_of(min(found, key=lambda one: one.excess))
    motion = displaced(hypotheses, data, found, unit)
    base = worlds(hypotheses, data, found, progress)
    drawing = Drawing(trials, seed, unit)
    simulated = run_trials(hypotheses, base, drawing, progress=progress)
    made = Weighing(tuple(hypotheses), data, found, unit, motion, base, simulated, None)
    if not 1.0 < made.factor < FARTHEST:
        return made
    check = run_trials(hypotheses, base, drawing, made.factor, progress)
    return replace(made, check=check)
