"""Position-averaged patterns of every thickness, aperture and mistilt, from one propagation."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from rhotem.analysis import patterns
from rhotem.analysis import run as steps
from rhotem.analysis.answers.base import Answer, Keys, Needs, direct_seconds, planned
from rhotem.analysis.answers.group import Group
from rhotem.analysis.plan import Plan
from rhotem.analysis.responses import shared_ground
from rhotem.analysis.specimen import Specimen
from rhotem.core import Progress, silent
from rhotem.microscope.images import ImageSet
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.presets import Preset
from rhotem.microscope.settings import PositionAveraged, largest_angle
from rhotem.scattering.patterns import Patterns
from rhotem.scattering.patterns.plan import Wanted, plan_patterns


class Averaged(Answer[Patterns]):
    """`rhotem.scattering.patterns`: what no aberration, source or scan changes."""

    keys: ClassVar[Keys] = {
        "specimen": ("thickness_nm",),
        "microscope": (
            *("defocus_nm", "cs_mm", "aberrations", "convergence_mrad", "tilt_mrad", "source_size_A", "detectors"),
        ),
        "recording": ("dose_e_per_A2", "scan_step_A", "field_of_view_A", "camera_step_mrad"),
    }

    def takes(self, plan: Plan) -> bool:
        """Position-averaged detectors alone."""
        detectors = plan.preset().detectors
        return bool(detectors) and all(d.averaged for d in detectors) and shared_ground(plan)

    def whole(self, presets: Sequence[Preset]) -> Preset:
        """With the largest aperture and angle, the finest camera, and mistilts around the zone axis or their middle."""
        lenses = [preset.microscope for preset in presets]
        steps_asked = [lens.camera_step for lens in lenses if lens.camera_step is not None]
        update = {
            "convergence": max(lens.convergence for lens in lenses),
            "tilt": middle(lenses),
            "camera_step": min(steps_asked, default=None),
        }
        detector = PositionAveraged(outer=max(largest_angle(preset.detectors) for preset in presets))
        microscope = lenses[0].model_copy(update=update)
        return presets[0].model_copy(update={"microscope": microscope, "detectors": (detector,)})

    def needs(self, group: Group) -> Needs | str:
        """As `rhotem.scattering.patterns.plan`."""
        whole, job, number = group.whole, group.jobs[0], len(group.names)
        wanted = Wanted(
            largest_angle(whole.preset.detectors),
            tilt_of(group),
            exits=len({made.repeats[2] for made in group.cuts}),
            symmetry=patterns.symmetry_of(whole),
            repeats=(int(whole.repeats[0]), int(whole.repeats[1])),
            configurations=max(1, job.moving.get("phonons") or 0),
        )
        microscope = whole.preset.microscope
        plan = planned(
            lambda: plan_patterns(steps.sizes_of(whole), microscope, wanted, memory=job.means.memory, most=np.inf)
        )
        if isinstance(plan, str):
            return plan
        seconds, _ = direct_seconds(group)
        if number * seconds < plan.seconds:
            return f"{number} times about {seconds:.0f} s, {plan.seconds:.0f} s for all together"
        return Needs(str(plan), plan.seconds)

    def made(self, group: Group, potential: steps.Potentials, progress: Progress = silent) -> Patterns:
        """Patterns of the thickest specimen."""
        return patterns.patterns(
            group.whole,
            potential,
            thicknesses=group.thicknesses,
            tilt=tilt_of(group),
            most=np.inf,
            memory=group.jobs[0].means.memory,
            progress=progress,
        )

    def images(self, cut: Specimen, held: Patterns, plan: Plan) -> ImageSet:
        """The pattern of one setting."""
        return patterns.image(cut, held)


def middle(lenses: Sequence[Microscope]) -> tuple[float, float]:
    """The tilt that mistilts are around: the zone axis if it lies among them, whose symmetry saves beams."""
    tilts = np.array([lens.tilt for lens in lenses])
    centre = 0.5 * (tilts.min(axis=0) + tilts.max(axis=0))
    among = np.hypot(*centre) <= np.hypot(*(tilts - centre).T).max() * (1 + 1e-9)
    return (0.0, 0.0) if among else (float(centre[0]), float(centre[1]))


def tilt_of(group: Group) -> float:
    """Largest mistilt of a group in mrad."""
    base = np.array(group.whole.preset.microscope.tilt)
    return max(float(np.hypot(*(np.array(lens.tilt) - base))) for lens in group.microscopes)
