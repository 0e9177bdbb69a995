"""The detectability of a change in the specimen of a plan."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rhotem.analysis import workflow
from rhotem.analysis.detect.features import Feature, Relaxation
from rhotem.analysis.detect.rings import ring_edges
from rhotem.analysis.detect.simulated import simulate_feature
from rhotem.analysis.detect.sweep import Detectability, sweep
from rhotem.analysis.plan import Plan
from rhotem.analysis.responses import without_losses
from rhotem.analysis.uncertainty import check, ensemble
from rhotem.analysis.voice import Voice
from rhotem.core import InputError, Progress, silent
from rhotem.density.source import default_source
from rhotem.microscope.detectors import largest_angle


def detectability(
    plan: Plan,
    feature: Feature,
    *,
    dose: float,
    defocus: Sequence[float],
    thicknesses: Sequence[float] = (),
    phonons: int = 0,
    rings: float | None = None,
    relaxed: Relaxation | None = None,
    voice: Voice | None = None,
    progress: Progress = silent,
) -> Detectability:
    """How well a change of the plan's specimen is seen at a dose.

    Parameters
    ----------
    plan : Plan
        Structure, zone axis, density, microscope and detectors.
    feature : Feature
        Of `rhotem.analysis.detect.features.parse_feature`.
    dose : float
        e/Å².
    defocus, thicknesses : sequences of float
        nm. No thickness: the plan's, else the preset's, of a sheet or kept cell its own. Atoms that change lie evenly
        in the depth of each specimen, so that every thickness is propagated; a change of the density costs one
        propagation for all.
    phonons : int
        Configurations of thermal motion, the same for both specimens; 0: at rest.
    rings : float, optional
        mrad: look for the best ring with edges so far apart, too, and weigh all parts of the plane at once.
    relaxed : callable, optional
        How atoms give way to the change (`rhotem.analysis.detect.features.make_pair`).
    voice, progress
        Told what is done.

    Raises
    ------
    InputError
        If the preset scans no probe, records patterns only or core losses, or the specimen has no such column.
    """
    say = voice or Voice()
    preset = plan.preset()
    if preset.mode != "stem":
        raise InputError(f"preset {preset.name} scans no probe; detectability is of scanned images")
    without_losses(preset.detectors)
    detectors = tuple(d for d in preset.detectors if not d.patterns)
    if not detectors:
        raise InputError(f"preset {preset.name} records patterns only; name detectors, --detector ABF=11-22")
    if dose <= 0:
        raise InputError(f"dose {dose:g} e/Å²: expected a positive number")
    if feature.kind == "density" and plan.density.source == "free-atoms":
        raise InputError(
            "feature density: compares free atoms with a source of bonded density; name one, --source model"
        )
    if feature.kind == "density" and relaxed is not None:
        raise InputError("feature density: no atom changes, so none gives way; leave --relax out")
    crystal, moving = workflow.moving_crystal(plan.changed({"motion.phonons": phonons}), say)
    edges = ring_edges(rings, preset.microscope.convergence, largest_angle(detectors)) if rings is not None else []
    members = ensemble(plan.density.source or default_source()) if plan.density.uncertainty else None
    depths = list(thicknesses) or [t for t in (plan.specimen.thickness_nm,) if t]
    held: list[Detectability] = []
    groups = [depths] if feature.kind == "density" or not depths else [[depth] for depth in depths]
    for group in groups:
        sized = plan.changed({"specimen.thickness_nm": max(group, default=None), "motion.phonons": phonons})
        cut = workflow.cut(sized, crystal, [plan.density.source or "model"])
        cut = replace(cut, preset=preset.model_copy(update={"detectors": detectors}))
        say.tell(f"{cut}\n{feature}")
        if members is not None:
            check(cut, members)
            say.tell(f"error bars: one propagation more for each of {members.member_count} members of the density")
        made = simulate_feature(
            cut,
            feature,
            source=plan.density.source,
            defocus=[10.0 * f for f in defocus],
            thicknesses=group if len(group) > 1 else None,
            progress=progress,
            announce=lambda told: say.tell(str(told)),
            memory=plan.memory,
            edges=edges,
            members=members,
            relaxed=relaxed,
            **moving,
        )
        real = [0.1 * t for t in made.before.thicknesses]
        told: dict[str, Any] = {"dose": dose, "defocus": defocus, "thicknesses": real}
        seen = sweep(made, feature, **told, edges=edges, progress=progress)
        specimen = f"{cut.crystal.formula} along {cut.cell.labels['zone']}"
        seen = replace(seen, told={**seen.told, "specimen": specimen})
        if made.pair is not None and made.pair.moved is not None:
            say.tell(f"relaxed: atoms give way by up to {made.pair.moved:.2f} Å")
            seen = replace(seen, told={**seen.told, "relaxed_A": made.pair.moved})
        if cut.vacuum:  # behind a sheet the beam goes on through nothing
            seen = replace(seen, rows=[replace(row, thickness=cut.thickness) for row in seen.rows])
        held.append(seen)
    return _joined(held)


def _joined(held: list[Detectability]) -> Detectability:
    """Several thicknesses as one."""
    rows = [row for each in held for row in each.rows]
    shown: dict[str, Any] = {}
    for name in held[0].shown:
        shown[name] = min(held, key=lambda each: each.best(name).enough).shown[name]
    return replace(held[0], rows=rows, shown=shown)
