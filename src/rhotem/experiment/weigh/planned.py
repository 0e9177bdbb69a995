"""Hypotheses from a plan: one response each, atoms displaced alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rhotem.analysis import run as steps
from rhotem.analysis import workflow
from rhotem.analysis.patterns import patterns
from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.voice import Voice
from rhotem.core import InputError
from rhotem.density.source import source_class
from rhotem.experiment.fit.frame import FEW, frame_of
from rhotem.experiment.fit.images.planned import Limits, alike_potentials, recordings, response_for
from rhotem.experiment.fit.model import Setting
from rhotem.experiment.fit.pacbed import fit_pattern
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.weigh.images import ImageHypothesis
from rhotem.experiment.weigh.patterns import PatternHypothesis
from rhotem.experiment.weigh.weighing import TRIALS, Weighing, weigh
from rhotem.scattering.patterns import Patterns
from rhotem.scattering.patterns.mean import mean_patterns

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


def weigh_pattern(
    measured: Measurement,
    plans: dict[str, Plan],
    tilt: float,
    angles: tuple[float, float],
    voice: Voice,
    *,
    trials: int = TRIALS,
    draws: int = DRAWS,
) -> Weighing:
    """Weigh hypotheses on a position-averaged pattern of counted electrons.

    Parameters
    ----------
    measured : Measurement
    plans : dict
        Name -> plan of `rhotem.experiment.fit.simulated.pattern_plan`. Atoms of all move as those of the first.
    tilt : float
        Largest mistilt in mrad.
    angles : (float, float)
        Least and most convergence in mrad.
    voice : Voice
    trials, draws : int
        As `weigh_recordings`.

    Raises
    ------
    InputError
        If values are no electrons, no hypothesis is like the pattern, or a step of a fit refuses.
    """
    first = next(iter(plans.values()))
    if not measured.counts:
        raise InputError(f"{measured.source.path}: patterns are weighed where values are electrons; say --counts")
    frame_of(measured, FEW)
    for plan in plans.values():
        workflow.read_crystal(plan)  # refused before anything is computed
    sets: dict[str, tuple[Patterns, ...]] = {}
    reference: Specimen | None = None
    for name, plan in plans.items():
        voice.tell(f"hypothesis  {name}")
        made, sets[name] = _sets(plan, tilt, voice, reference, draws)
        reference = reference or made
    means = {name: mean_patterns(one) for name, one in sets.items()}
    settings = _searched(measured, means, angles, voice)
    best = next(iter(settings.values()))
    hypotheses = [
        # one that is unlike the pattern starts where another ends
        PatternHypothesis(name, held, angles, settings.get(name, best), sets[name] if draws > 1 else ())
        for name, held in means.items()
    ]
    frame = frame_of(measured, 0.5 * sum(angles) / min(held.step[0] for held in means.values()))
    return weigh(hypotheses, frame, trials=trials, seed=first.computing.seed, progress=voice.progress)


def _searched(
    measured: Measurement, held: dict[str, Patterns], angles: tuple[float, float], voice: Voice
) -> dict[str, Setting]:
    """Where the pattern fits each hypothesis; those that it is unlike are told of and left out."""
    found: dict[str, Setting] = {}
    last: InputError | None = None
    for name, one in held.items():
        try:
            found[name] = fit_pattern(measured, one, angles, progress=voice.progress).setting
        except InputError as error:
            last = error
            voice.tell(f"hypothesis  {name}: {error}")
    if not found:
        assert last is not None
        raise last
    return found


def _sets(
    plan: Plan, tilt: float, voice: Voice, alike: Specimen | None, draws: int
) -> tuple[Specimen, tuple[Patterns, ...]]:
    """A specimen and its patterns, one for each set of displacements; atoms at rest have one."""
    job = workflow.prepare(plan, voice)
    made = workflow.cut(job.plan, job.crystal, [job.name])
    field = steps.density(made, workflow.open_source(job, "memory", voice), allow_polar=plan.density.allow_polar)
    found = []
    for draw in range(draws if job.moving.get("phonons") else 1):
        moving = job.moving | {"seed": job.moving.get("seed", 0) + draw}
        potentials = alike_potentials(made, field, job.means.memory, alike, moving)
        found.append(patterns(made, potentials, tilt=tilt, progress=voice.progress))
    return made, tuple(found)
