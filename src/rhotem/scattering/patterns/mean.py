"""The mean of patterns with other displacements of the atoms."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.scattering.patterns.held import Patterns


def mean_patterns(sets: Sequence[Patterns]) -> Patterns:
    """The mean of patterns of one specimen with other displacements: fewer errors of thermal motion.

    Raises
    ------
    InputError
        If there are none, or they hold different beams, lenses or thicknesses.
    """
    if not sets:
        raise InputError("mean of patterns: give one or more")
    first, number = sets[0], len(sets)
    if number == 1:
        return first
    kept = first.scattered
    for other in sets[1:]:
        same = _held(other) == _held(first) and np.array_equal(other.scattered.beams, kept.beams)
        if not same or not np.array_equal(other.group, first.group):
            raise InputError("mean of patterns: they hold different beams, lenses or thicknesses")
    mean = np.mean([one.scattered.values.astype(np.float32) for one in sets], axis=0)
    record = {**first.record, "sets_of_displacements": number}
    return replace(first, scattered=replace(kept, values=mean.astype(kept.values.dtype)), twin=None, record=record)


def _held(one: Patterns) -> tuple[Any, ...]:
    """What patterns of one specimen share, beside their beams."""
    lens = one.microscope.energy, one.microscope.tilt, one.microscope.convergence
    return lens, one.outer, one.supercell, one.thicknesses, one.scattered.values.shape
