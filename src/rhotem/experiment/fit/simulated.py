"""Patterns to compare with: made once from a plan, kept in a file, taken from there if they are the same."""

from dataclasses import replace
from pathlib import Path

from rhotem.analysis import workflow
from rhotem.analysis.patterns import patterns
from rhotem.analysis.plan import Plan
from rhotem.analysis.plan.identity import identity, inputs
from rhotem.analysis.voice import Voice
from rhotem.core import InputError
from rhotem.scattering.patterns import Patterns, open_patterns

#: Where patterns end, in apertures: beyond what is compared.
OUTER = 1.45
#: Key of the record of patterns that says what they were made from.
MADE_FROM = "fit"


def pattern_plan(plan: Plan, convergence: float) -> Plan:
    """A plan as patterns for a fit need it: the largest aperture (mrad), and nothing but position-averaged patterns."""
    outer = f"PACBED={OUTER * convergence:.4g}"
    return plan.changed(
        {
            "microscope.preset": "pacbed",
            "microscope.convergence_mrad": convergence,
            "microscope.detectors": (outer,),
        }
    )


def patterns_for(plan: Plan, tilt: float, voice: Voice, path: Path | None = None) -> Patterns:
    """Patterns of a plan's specimen at all thicknesses up to its own, all smaller apertures and mistilts.

    Parameters
    ----------
    plan : Plan
        Of `pattern_plan`.
    tilt : float
        Largest mistilt in mrad.
    voice : Voice
    path : Path, optional
        Where they are kept: opened if it is there, else written.

    Raises
    ------
    InputError
        If ``path`` holds patterns of something else; or as making them.
    """
    job = workflow.prepare(plan, voice)
    source = workflow.open_source(job, "memory", voice)
    made_from = {"identity": identity(job.plan, inputs(job.plan, job.crystal, source)), "mistilt_mrad": tilt}
    if path is not None and path.exists():
        held = open_patterns(path)
        if held.record.get(MADE_FROM) != made_from:
            raise InputError(
                f"{path}: holds patterns of another structure, zone axis, energy, convergence, density, thickness, "
                "motion or mistilt; give the same as then, or another --patterns FILE"
            )
        return held
    made = workflow.cut(job.plan, job.crystal, [job.name])
    voice.tell(str(made))
    where = path.parent if path is not None else Path()
    potentials = workflow.potentials(job, made, source, ("memory", where), voice)
    held = patterns(made, potentials, tilt=tilt, announce=lambda told: voice.tell(str(told)), progress=voice.progress)
    held = replace(held, record=held.record | {MADE_FROM: made_from})
    if path is not None:
        held.save(path)
    return held
