"""What to record next, from the record of a fit and a plan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rhotem.analysis import responses, workflow
from rhotem.analysis.plan import Plan
from rhotem.analysis.voice import Voice
from rhotem.core import InputError
from rhotem.experiment.ahead.known import Known
from rhotem.experiment.ahead.settings import Asked, Told, what_tells
from rhotem.experiment.fit.images.nodes import Nodes
from rhotem.experiment.fit.images.planned import DOUBT, DRAWS, LADDER, SIDE, depths_of, doubted, sets_of_potentials
from rhotem.experiment.fit.images.recorded import Recorded
from rhotem.experiment.fit.images.specimens import Making, exchange_nodes
from rhotem.microscope.settings import Annular
from rhotem.scattering.response import Range

#: Å by which foci of the response go beyond those asked for, at least, and errors of the defocus that they hold.
ROOM, ERRORS = 10.0, 3.0
#: Errors of the thickness that a response holds, and thicknesses in nm that it holds at least.
FARTHEST, LEAST = 4.0, 7.0
#: Standard deviation of a uniform prior over its width; astigmatism in Å where nothing is known of it, source in Å.
UNIFORM, UNKNOWN = 12**-0.5, (10.0, 0.3)


@dataclass(frozen=True)
class Choice:
    """What may be chosen next.

    Parameters
    ----------
    foci, doses : sequences of float
        nm, e/Å².
    ring : float or None
        mrad: try every ring with edges so far apart, too.
    """

    foci: Sequence[float]
    doses: Sequence[float]
    ring: float | None = None


def plan_after(known: Known, asked: dict[str, Any], changes: dict[str, Any]) -> Plan:
    """The plan of a fit for the next scan, only as thick as the specimen may be; after a pattern one that scans.

    Parameters
    ----------
    known : Known
    asked : dict
        The plan's data in the record of the fit.
    changes : dict
        By place, as `Plan.changed`.
    """
    plan = Plan.model_validate(asked)
    if plan.preset().mode != "stem" or plan.microscope.preset == "pacbed":
        plan = plan.changed({"microscope.preset": None, "microscope.detectors": None})
    depths = [known.values[0], *[depth for (depth, _), _ in known.rivals]]
    deepest = 0.1 * (max(depths) + FARTHEST * float(np.sqrt(known.covariance[0, 0]))) + 2 * LADDER
    thickest = min(max(deepest, LEAST), plan.specimen.thickness_nm or LEAST)
    return plan.changed({"specimen.thickness_nm": round(thickest, 2), **changes})


def next_settings(known: Known, plan: Plan, choice: Choice, voice: Voice) -> tuple[Known, list[Told]]:
    """Expected information of all settings, the most first; with the posterior, its unknown lens as wide as is tried.

    Parameters
    ----------
    known : Known
    plan : Plan
        That of the fit, its thickness the largest that is tried; detectors, aperture and energy are the next scan's.
    choice : Choice
    voice : Voice

    Raises
    ------
    InputError
        If the plan scans no probe, a detector maps core losses, or the thickness is not within what is tried.
    """
    preset = plan.preset()
    if preset.mode != "stem":
        raise InputError(f"preset {preset.name} scans no probe; what is next is asked of scanned images")
    responses.without_losses(preset.detectors)
    rings = [] if choice.ring is None else rings_of(preset.microscope.convergence, choice.ring, preset.detectors)
    every = [*preset.detectors, *rings]
    images = [image for one in every for image in recorded(one)]
    known = with_ranges(known, choice)
    job = workflow.prepare(plan, voice)
    cut = workflow.cut(plan, job.crystal, [job.name])
    cut = replace(cut, preset=cut.preset.model_copy(update={"detectors": tuple(every)}))
    held = depths_of(cut)
    if not 10 * held[0] <= known.values[0] <= 10 * held[-1]:
        raise InputError(f"the fit found {0.1 * known.values[0]:.3g} nm; plans hold {held[0]:.3g} to {held[-1]:.3g} nm")
    nodes = _nodes(known, job, cut, span_of(known, choice), voice)
    first = sum(len(recorded(one)) for one in preset.detectors)
    together = [tuple(range(first))] if first > 1 else []  # rings overlap
    asked = Asked(images, [*together, *[(place,) for place in range(len(images))]], choice.foci, choice.doses)
    return known, what_tells(known, nodes, asked, seed=plan.computing.seed, progress=voice.progress)


def rings_of(convergence: float, step: float, detectors: Sequence[Any]) -> list[Annular]:
    """Rings with edges ``step`` mrad apart up to the outermost edge of the detectors, named by their angles."""
    outermost = max(float(getattr(one, "outer", 0.0)) for one in detectors)
    edges = [float(edge) for edge in np.arange(step, outermost + 1e-6, step)]
    if len(edges) < 2 or len(edges) > 24:
        raise InputError(
            f"--rings {step:g}: {max(0, len(edges) - 1)} rings up to {outermost:g} mrad, the outermost edge of the "
            "detectors; expected 1 to 23"
        )
    found = []
    for n, inner in enumerate(edges):
        for outer in edges[n + 1 :]:
            if outer > 0.5 * convergence:
                found.append(Annular(name=f"ring{inner:g}-{outer:g}", inner=inner, outer=outer))
    return found


def recorded(detector: Any) -> list[Recorded]:
    """Images of a detector, without electrons yet; its inner angle may be off by `DOUBT`."""
    blank, names = np.zeros((SIDE, SIDE)), detector.image_names()
    if len(names) > 1:
        return [Recorded(detector, blank, True, image=name) for name in names]
    inner = float(getattr(detector, "inner", 0.0))
    doubt = detector.model_copy(update={"inner": inner * (1 + DOUBT)}) if inner else None
    return [Recorded(detector, blank, True, doubt=doubt)]


def with_ranges(known: Known, choice: Choice) -> Known:
    """The posterior with priors as wide as what is tried where a fit says nothing of the lens."""
    covariance = known.covariance.copy()
    widths = [0.0, 10 * UNIFORM * max(float(np.ptp(choice.foci)), 1.0), UNKNOWN[0], UNKNOWN[0], UNKNOWN[1]]
    for place, width in enumerate(widths):
        if np.isinf(covariance[place, place]):
            covariance[place, place] = width**2
    return replace(known, covariance=covariance)


def span_of(known: Known, choice: Choice) -> Range:
    """What of the lens a response has to hold."""
    spread = ROOM + ERRORS * float(np.sqrt(known.covariance[1, 1]))
    sizes = np.sqrt(np.diag(known.covariance)[2:4])
    largest = float(np.hypot(*(np.abs(known.values[2:4]) + ERRORS * sizes)))
    return Range(
        defocus=(10 * min(choice.foci) - spread, 10 * max(choice.foci) + spread),
        aberrations={"C12": largest} if sizes.any() else {},
    )


def _nodes(known: Known, job: workflow.Job, cut: Any, span: Range, voice: Voice) -> Nodes:
    """Responses of the specimen, at all shares of what atoms exchange."""
    edges, depths = doubted(cut.preset.detectors), depths_of(cut)
    if known.exchange is not None:
        making = Making(cut, depths, span, DRAWS, dict(job.moving), voice.progress, edges)
        found = exchange_nodes(making, known.exchange.elements, known.exchange.shares)
        return replace(found, draws=())
    potentials = next(sets_of_potentials(job, cut, voice))
    return Nodes(
        responses.response(
            cut,
            potentials,
            thicknesses=depths,
            range=span,
            edges=edges,
            memory=job.means.memory,
            announce=lambda told: voice.tell(str(told)),
            progress=voice.progress,
        )
    )
