"""Images for every setting of the lens and every detector, from a scattering response."""

from collections.abc import Sequence
from typing import ClassVar

from rhotem.analysis import responses
from rhotem.analysis import run as steps
from rhotem.analysis.answers.base import Answer, Keys, Needs, direct_seconds, planned
from rhotem.analysis.answers.group import Group
from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.core import Progress, silent
from rhotem.microscope.images import ImageSet
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.plan import probe_window
from rhotem.microscope.presets import Preset
from rhotem.scattering.response import Range, Response
from rhotem.scattering.response.channels import basis
from rhotem.scattering.response.plan import plan_response


class Lens(Answer[Response]):
    """`rhotem.scattering.response`: signals of a scanned probe."""

    keys: ClassVar[Keys] = {
        "specimen": ("thickness_nm",),
        "microscope": (
            "defocus_nm",
            "cs_mm",
            "aberrations",
            "convergence_mrad",
            "source_size_A",
            "detectors",
            "alignment",
        ),
        "recording": ("dose_e_per_A2", "scan_step_A", "field_of_view_A"),
    }

    def takes(self, plan: Plan) -> bool:
        """Images of detectors that sum up signals."""
        return plan.best is None and responses.answers(plan)

    def whole(self, presets: Sequence[Preset]) -> Preset:
        """With the largest aperture and the detectors of all."""
        detectors = list(dict.fromkeys(detector for preset in presets for detector in preset.detectors))
        renamed = (d.model_copy(update={"name": f"{n} {d.name}"}) for n, d in enumerate(detectors))
        largest = max(preset.microscope.convergence for preset in presets)
        microscope = presets[0].microscope.model_copy(update={"convergence": largest})
        return presets[0].model_copy(update={"microscope": microscope, "detectors": tuple(renamed)})

    def check(self, cut: Specimen) -> None:
        """Refuse a probe that is too wide."""
        probe_window(cut.preset.microscope, float(cut.block.lengths[2]))

    def needs(self, group: Group) -> Needs | str:
        """As `rhotem.scattering.response.plan`."""
        whole, job, number = group.whole, group.jobs[0], len(group.names)
        plan = planned(
            lambda: plan_response(
                steps.sizes_of(whole),
                whole.preset.microscope,
                basis(whole.preset.detectors, []),
                range_of(group.microscopes),
                exits=len({made.repeats[2] for made in group.cuts}),
                configurations=max(1, job.moving.get("phonons") or 0),
                repeats=whole.repeats[:2],
                memory=job.means.memory,
            )
        )
        if isinstance(plan, str):
            return plan
        if plan.worth > number:
            return f"one propagation for all takes less time from {plan.worth} settings on"
        seconds, windows = direct_seconds(group)  # cells so large that probes see a window of them only
        if windows and number * seconds < plan.seconds:
            return f"{number} times about {seconds:.0f} s in windows, {plan.seconds:.0f} s without"
        return Needs(str(plan), plan.seconds)

    def made(self, group: Group, potential: steps.Potentials, progress: Progress = silent) -> Response:
        """The response of the thickest specimen."""
        return responses.response(
            group.whole,
            potential,
            thicknesses=group.thicknesses,
            range=range_of(group.microscopes),
            edges=[],
            memory=group.jobs[0].means.memory,
            progress=progress,
        )

    def images(self, cut: Specimen, held: Response, plan: Plan) -> ImageSet:
        """Images of one setting."""
        return responses.image(
            cut,
            held,
            seed=plan.computing.seed,
            scan_step=plan.recording.scan_step_A,
            field_of_view=plan.recording.field_of_view_A,
        )


def range_of(microscopes: Sequence[Microscope]) -> Range:
    """What a response must hold for these."""
    foci = [-microscope.coefficients.get("C10", 0.0) for microscope in microscopes]
    span = Range(defocus=(min(foci), max(foci)))
    for microscope in microscopes:
        span = span.around(microscope)
    return span
