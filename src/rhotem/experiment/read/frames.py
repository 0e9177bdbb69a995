"""Frames of a stack that are no recording like the others: blank, burnt, there twice, of another brightness."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.provenance import array_sha256
from rhotem.experiment.read.checks import saturated

#: Share of a frame's pixels at its top value from which it is burnt.
BURNT = 0.01
#: Times the median brightness of all frames from which, or below the inverse of which, a frame is of another exposure.
BRIGHT = 5.0


def faults(frames: Sequence[npt.NDArray[Any]] | npt.NDArray[Any]) -> dict[int, str]:
    """What is wrong with frames, by their places from 0; "is blank" completes "frame 3".

    A mean over a stack hides a frame that is saturated: 12 % of one frame of twenty are 0.6 % of all pixels.
    """
    found: dict[int, str] = {}
    levels = np.array([float(np.mean(one)) for one in frames])
    middle = float(np.median(levels))
    seen: dict[str, int] = {}
    for n, one in enumerate(frames):
        share = saturated(np.asarray(one))
        same = seen.setdefault(array_sha256(np.ascontiguousarray(one)), n)
        if np.ptp(one) == 0:
            found[n] = "is blank"
        elif share > BURNT:
            found[n] = f"is burnt: {100 * share:.0f} % of its pixels are saturated"
        elif same != n:  # noise is never the same twice
            found[n] = f"is the same recording as {same + 1}"
        elif len(frames) > 2 and middle > 0 and not middle / BRIGHT < levels[n] < middle * BRIGHT:
            found[n] = f"has {levels[n] / middle:.2g} times the brightness of the others"
    return found


def good(frames: Sequence[npt.NDArray[Any]] | npt.NDArray[Any]) -> list[int]:
    """Places of the frames that nothing is wrong with; all where there is none such."""
    wrong = faults(frames)
    return [n for n in range(len(frames)) if n not in wrong] or list(range(len(frames)))


def named(wrong: dict[int, str]) -> str:
    """All of them in one line: ``frame 2 is blank, frame 5 is burnt: …``."""
    return ", ".join(f"frame {n + 1} {what}" for n, what in wrong.items())
