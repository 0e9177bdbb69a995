"""Active learning: the structures on which models disagree most, without taking two of a kind."""

from collections.abc import Callable, Sequence

import numpy as np

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.convert import as_kind
from rhotem.density.source import DensitySource
from rhotem.labels.fingerprint import fingerprint, similarity
from rhotem.structure.model import Structure

#: Grid step in Å at which densities are compared: disagreement is asked for, not the density.
SPACING = 0.35
#: Candidates more alike than this are one choice.
ALIKE = 0.95


def disagreement(structure: Structure, sources: Sequence[DensitySource], spacing: float = SPACING) -> float:
    """Mean over pairs of models of Σ|Δn_a − Δn_b| over the mean Σ|Δn|: 0 for one opinion, about 1 for guesses."""
    grid = PeriodicGrid.from_spacing(structure.cell, spacing)
    fields = np.array([as_kind(source(structure, grid), "deformation").values for source in sources])
    scale = np.abs(fields).mean()
    pairs = [np.abs(a - b).mean() for i, a in enumerate(fields) for b in fields[:i]]
    return float(np.mean(pairs) / max(scale, 1e-12))


def by_disagreement(sources: Sequence[DensitySource]) -> Callable[[Sequence[Structure], int], list[int]]:
    """A ``select`` for `rhotem.labels.sampler.sample`: highest disagreement first.

    Raises
    ------
    InputError
        If there are fewer than two models: one cannot disagree.
    """
    if len(sources) < 2:
        raise InputError(f"active selection: {len(sources)} model given; two or more are needed to disagree")

    def select(structures: Sequence[Structure], count: int) -> list[int]:
        scores = [disagreement(s, sources) for s in structures]
        prints = [fingerprint(s.atoms) for s in structures]
        chosen: list[int] = []
        for index in np.argsort(scores)[::-1]:
            if len(chosen) == count:
                break
            if all(similarity(prints[index], prints[other]) < ALIKE for other in chosen):
                chosen.append(int(index))
        return chosen

    return select
