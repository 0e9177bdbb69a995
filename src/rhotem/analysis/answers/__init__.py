"""Propagations that answer for many settings of a series: one file for each kind, one row here."""

from collections.abc import Sequence
from typing import Any

from rhotem.analysis.answers.averaged import Averaged
from rhotem.analysis.answers.base import Answer, Needs
from rhotem.analysis.answers.lens import Lens
from rhotem.analysis.plan import Plan

__all__ = ["ANSWERS", "Answer", "Needs", "answer_for"]

#: The first that takes a plan does it.
ANSWERS: Sequence[Answer[Any]] = (Lens(), Averaged())


def answer_for(plan: Plan) -> Answer[Any] | None:
    """What answers a plan from a propagation shared with others; None: it is a run of its own."""
    return next((answer for answer in ANSWERS if answer.takes(plan)), None)
