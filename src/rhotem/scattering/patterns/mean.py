"""The mean of patterns with other displacements of the atoms."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rhotem.core import InputError
from rhotem.scattering.patterns.held import Patterns


def mean_patterns(sets: Sequence[Patterns]) -> Patterns:
    """The mean of patterns of one specimen with other displacements: fewer errors of thermal motion.

    Raises
    ------
    InputError
        If there are none, or they hold different beams or thicknesses.
    """
    if not sets:
        raise InputError("mean of patterns: give one or more")
    first, number = sets[0], len(sets)
    if number == 1:
        return first
    kept = first.scattered
    for other in (one.scattered for one in sets[1:]):
        if other.values.shape != kept.values.shape or not np.array_equal(other.beams, kept.beams):
            raise InputError("mean of patterns: they hold different beams or thicknesses")
    mean = np.mean([one.scattered.values.astype(np.float32) for one in sets], axis=0)
    record = {**first.record, "sets_of_displacements": number}
    return replace(first, scattered=replace(kept, values=mean.astype(kept.values.dtype)), twin=None, record=record)
