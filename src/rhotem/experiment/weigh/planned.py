"""Hypotheses from a plan: one response each, atoms displaced alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rhotem.analysis import workflow
from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.voice import Voice
from rhotem.core import InputError
from rhotem.density.source import source_class
from rhotem.experiment.fit.images.planned import Limits, recordings, response_for
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.weigh.images import ImageHypothesis
from rhotem.experiment.weigh.weighing import TRIALS, Weighing, weigh

#: Sets of displacements, where no number is given.
DRAWS = 4


@dataclass(frozen=True)
class Named:
    """A hypothesis as it is typed: ``STRUCTURE`` or ``STRUCTURE@SOURCE``.

    Parameters
    ----------
    name : str
    structure : str
    source : str or None
        Of its density; None: that of the others.
    """

    name: str
    structure: str
    source: str | None = None


def parse_hypotheses(texts: Sequence[str]) -> list[Named]:
    """Hypotheses with names of their own; the same one twice is told apart by a number.

    Raises
    ------
    InputError
        If there are fewer than two, or there is no such source.
    """
    if len(texts) < 2:
        raise InputError(f"{len(texts)} hypothesis to weigh; give two or more: STRUCTURE or STRUCTURE@SOURCE")
    found: list[Named] = []
    for text in texts:
        structure, at, source = (text, "", "") if Path(text).exists() or "@" not in text else text.rpartition("@")
        if at:
            source_class(source)
        stem = Path(structure).stem if Path(structure).exists() else structure
        name = f"{stem}@{source}" if source else stem
        taken = {one.name for one in found}
        name = next(n for n in (name, *(f"{name} ({i})" for i in range(2, len(texts) + 2))) if n not in taken)
        found.append(Named(name, structure, source or None))
    return found


def weigh_recordings(
    measured: Sequence[Measurement],
    plans: dict[str, Plan],
    limits: Limits,
    voice: Voice,
    *,
    trials: int = TRIALS,
    draws: int = DRAWS,
) -> Weighing:
    """Weigh hypotheses on images of one scan.

    Parameters
    ----------
    measured : sequence of Measurement
        One image for every detector of the plans, in their order.
    plans : dict
        Name -> plan, which differ in structure or density only. Atoms of all move as those of the first.
    limits : Limits
    voice : Voice
    trials : int
        Recordings simulated of each.
    draws : int
        Sets of displacements; two or more tell the error that thermal motion makes.

    Raises
    ------
    InputError
        If there are fewer than two plans, or a step of a fit refuses.
    """
    first = next(iter(plans.values()))
    images = recordings(measured, first)
    for plan in plans.values():
        workflow.read_crystal(plan)  # refused before anything is computed
    hypotheses: list[ImageHypothesis] = []
    reference: Specimen | None = None
    for name, plan in plans.items():
        voice.tell(f"hypothesis  {name}")
        try:
            held = response_for(measured[0], plan, limits, voice, alike=reference, draws=draws)
        except InputError as error:
            raise InputError(f"hypothesis {name}: {error}") from None
        hypotheses.append(ImageHypothesis(name, held.response, held.pixels, held.draws))
        reference = reference or held.specimen
    return weigh(hypotheses, images, trials=trials, seed=first.computing.seed, progress=voice.progress)
