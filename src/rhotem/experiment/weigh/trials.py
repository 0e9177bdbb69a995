"""Recordings simulated from every hypothesis and weighed as the measured one: how often verdicts err."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import Progress, silent
from rhotem.experiment.weigh.dose import DECIDED
from rhotem.experiment.weigh.hypothesis import Explained, Hypothesis

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Worlds:
    """What would be recorded, without noise, if each hypothesis were true, and how the others explain it.

    Parameters
    ----------
    expected : list
        Noise-free recordings, one for each truth.
    explained : list of list of Explained
        ``explained[truth][hypothesis]``.
    """

    expected: list[Any]
    explained: list[list[Explained]]

    def apart(self, unit: float = 1.0) -> Array:
        """Expected ln of the likelihood ratio (truths, hypotheses) of the truth over each, at the recorded dose."""
        costs = np.array([[one.cost for one in row] for row in self.explained])
        return np.maximum(costs - np.diag(costs)[:, None], 0.0) / unit


def worlds(hypotheses: Sequence[Hypothesis], data: Any, found: Sequence[Explained], progress: Progress) -> Worlds:
    """Fit every hypothesis to what each of them, at its best, would record without noise."""
    expected, rows, number = [], [], len(hypotheses)
    for k, truth in enumerate(hypotheses):
        expected.append(truth.recorded(data, found[k].state))
        row = []
        for j, one in enumerate(hypotheses):
            row.append(one.explain(expected[k], found[k].state if j == k else found[j].state))
            progress("expected", k * number + j + 1, number**2)
        rows.append(row)
    return Worlds(expected, rows)


@dataclass(frozen=True, eq=False)
class Trials:
    """ln evidences of simulated recordings.

    Parameters
    ----------
    factor : float
        Their dose over that of the measured one.
    evidence : (truths, trials, hypotheses) array
    """

    factor: float
    evidence: Array

    def odds(self, truth: int, rival: int) -> Array:
        """Ln odds of the truth over a rival in every recording of it."""
        return self.evidence[truth, :, truth] - self.evidence[truth, :, rival]

    @property
    def chosen(self) -> Array:
        """Shares (truths, hypotheses) of recordings in which a hypothesis had the largest evidence."""
        number = self.evidence.shape[2]
        best = self.evidence.argmax(axis=2)
        return np.stack([(best == j).mean(axis=1) for j in range(number)], axis=1)

    @property
    def decided(self) -> Array:
        """Shares (truths, hypotheses) in which a hypothesis beat every other by the odds that decide."""
        ordered = np.sort(self.evidence, axis=2)
        clear = ordered[..., -1] - ordered[..., -2] >= DECIDED
        best = self.evidence.argmax(axis=2)
        return np.stack([((best == j) & clear).mean(axis=1) for j in range(self.evidence.shape[2])], axis=1)


@dataclass(frozen=True)
class Drawing:
    """How recordings are drawn: their number for each truth, the seed, and the variance over that of counting."""

    number: int
    seed: int
    unit: float = 1.0


def run_trials(
    hypotheses: Sequence[Hypothesis], base: Worlds, drawing: Drawing, factor: float = 1.0, progress: Progress = silent
) -> Trials:
    """Simulate recordings of every hypothesis at ``factor`` times the dose and weigh them.

    Fits start at what explains the noise-free recording: nothing is searched again.
    """
    rng = np.random.default_rng((drawing.seed, 3))
    number = len(hypotheses)
    evidence = np.zeros((number, drawing.number, number))
    for k, truth in enumerate(hypotheses):
        clean = truth.recorded(base.expected[k], base.explained[k][k].state, factor)
        starts = [
            one.scaled(base.expected[k], e.state, factor) for one, e in zip(hypotheses, base.explained[k], strict=True)
        ]
        for trial in range(drawing.number):
            data = truth.noisy(clean, rng, drawing.unit)
            for j, one in enumerate(hypotheses):
                evidence[k, trial, j] = one.explain(data, starts[j]).evidence(drawing.unit)
            progress(f"trials, {factor:.3g} × dose", k * drawing.number + trial + 1, number * drawing.number)
    return Trials(factor, evidence)
