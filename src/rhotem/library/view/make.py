"""An entry to look at: the response of a plan, its position-averaged patterns, and what both were made from."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rhotem.analysis import patterns, responses, results, workflow
from rhotem.analysis import run as steps
from rhotem.analysis.columns import columns
from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.voice import Voice
from rhotem.analysis.where import place_of_images
from rhotem.core import InputError
from rhotem.core.output import output_folder, write_record
from rhotem.core.physics import PHYSICS
from rhotem.library.coefficients.store import save_fixed
from rhotem.library.coefficients.take import fixed_lens
from rhotem.library.density.summary import summarised
from rhotem.library.layout import COEFFICIENTS, DENSITY, RESPONSE
from rhotem.scattering.response import Range
from rhotem.scattering.response.channels import basis

#: Patterns of an entry, beside its response.
PATTERNS = "patterns.zarr"


@dataclass(frozen=True)
class Span:
    """What may be asked of an entry.

    Parameters
    ----------
    thicknesses : tuple of float
        nm, to whole cells.
    range : Range
        Of focus, aberrations and aperture.
    edges : tuple of float or None
        Angles in mrad at which rings may begin and end, beside those of the detectors; None: a regular set.
    patterns : float
        Where position-averaged patterns end, in mrad; 0: none are kept.
    half : bool
        Half precision, half as large.
    error_bar : bool
        Keep what tells the error bar of thermal motion.
    one_lens : bool
        Keep the images of the plan's own lens and detectors alone, as Fourier coefficients: kilobytes.
    """

    thicknesses: tuple[float, ...]
    range: Range
    edges: tuple[float, ...] | None = None
    patterns: float = 0.0
    half: bool = False
    error_bar: bool = True
    one_lens: bool = False


def make_entry(plan: Plan, folder: str | Path, span: Span, voice: Voice | None = None) -> Path:
    """Make the entry of a plan in ``folder``, complete or not there; its lens is where the view begins.

    Raises
    ------
    InputError
        If a response cannot answer the plan, or the potential does not fit into memory; or as
        `rhotem.analysis.responses.response`.
    """
    voice, target = voice or Voice(), Path(folder)
    responses.without_losses(plan.preset().detectors)
    if plan.series or plan.best is not None or not responses.answers(plan):
        raise InputError("a response answers a plan of images of a scanned probe, without a series or defocus best")
    if not span.thicknesses:
        raise InputError("thicknesses: give one or more in nm, such as 5,10")
    basis(plan.preset().detectors, span.edges)  # refuses edges before a density is made
    span.range.below(plan.preset().microscope)
    job = workflow.prepare(plan.changed(thickness_nm=max(span.thicknesses)), voice)
    cut = workflow.cut(job.plan, job.crystal, [job.name])
    if place_of_images(cut, job.name, job.means) != "memory":
        raise InputError("the potential does not fit into memory, where responses are made; take a thinner specimen")
    results.introduce(cut, voice)
    source = workflow.open_source(job, "memory", voice)
    with tempfile.TemporaryDirectory(prefix="rhotem-") as scratch, output_folder(target) as inside:
        potential = workflow.potentials(job, cut, source, ("memory", Path(scratch)), voice)
        results.doubts(potential, False, voice)
        shared: dict[str, Any] = {"memory": job.means.memory, "progress": voice.progress}
        held = responses.response(
            cut,
            potential,
            thicknesses=ladder(cut, span.thicknesses),
            range=span.range,
            edges=span.edges,
            error_bar=span.error_bar,
            announce=lambda made: voice.tell(str(made)),
            **shared,
        )
        if span.one_lens:
            save_fixed(fixed_lens(held), inside / COEFFICIENTS)
        else:
            held.save(inside / RESPONSE, half=span.half)
        # of one lens kilobytes are kept, a summary has ten times as many
        summary = None if span.one_lens else summarised(cut, potential.field, source)
        if summary is not None:
            summary.save(inside / DENSITY)
        if span.patterns:
            depths = [0.1 * t for t in held.thicknesses]
            shown = patterns.patterns(cut, potential, thicknesses=depths, outer=span.patterns, **shared)
            shown.save(inside / PATTERNS)
        write_record(inside, _record(job, cut, potential, target))
    return target


def ladder(cut: Specimen, thicknesses: tuple[float, ...]) -> list[float]:
    """Thicknesses in nm as whole cells of a specimen."""
    length, most = 0.1 * float(cut.cell.lengths[2]), int(cut.repeats[2])
    return [length * n for n in sorted({min(most, max(1, round(t / length))) for t in thicknesses})]


def _record(job: workflow.Job, cut: Specimen, potential: steps.Potentials, target: Path) -> dict[str, Any]:
    """What an entry was made from, and where its columns are."""
    density = potential.field
    found = columns(cut.cell)
    return {
        "plan": results.recorded_plan(job.plan, target),
        "run": {"physics": PHYSICS},
        "specimen": cut.record(),
        "density": {"source": density.source, "reference": density.reference, **density.record},
        "phonons": potential.record(),
        "columns": [{"label": c.label, "x_A": float(c.position[0]), "y_A": float(c.position[1])} for c in found],
    }
