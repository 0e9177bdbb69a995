"""What stands in a plan, and what follows from it."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from rhotem.analysis.optics import Optics, adjusted_preset
from rhotem.analysis.plan.problems import At
from rhotem.analysis.plan.section import Section
from rhotem.analysis.plan.sections import (
    ComputingSection,
    DensitySection,
    MicroscopeSection,
    MotionSection,
    RecordingSection,
    SpecimenSection,
)
from rhotem.analysis.plan.series import Steps, values_of
from rhotem.core.words import parse_memory, parse_phonons
from rhotem.microscope.presets import Preset

#: Version of the format of plans.
FORMAT = 1


def _version(value: Any) -> Any:
    if value != FORMAT or isinstance(value, bool):
        raise ValueError(f"format {value!r}: this version of RhoTEM reads plans of format {FORMAT}")
    return value


def _not_empty(value: Any) -> Any:
    for name, values in value.items():
        if not values_of(values):
            raise At(("series", name), "no values; give a list, or from, to and steps")
    return value


class Contents(Section):
    """The keys of a plan; `rhotem.analysis.plan.model.Plan` can do something with them."""

    rhotem: Annotated[int, BeforeValidator(_version)] = Field(FORMAT, description="Version of this format.")
    specimen: SpecimenSection
    motion: MotionSection = Field(default_factory=MotionSection, description="How the atoms move.")
    density: DensitySection = Field(default_factory=DensitySection, description="Where the density comes from.")
    microscope: MicroscopeSection = Field(default_factory=MicroscopeSection, description="The instrument.")
    recording: RecordingSection = Field(default_factory=RecordingSection, description="What is recorded.")
    computing: ComputingSection = Field(default_factory=ComputingSection, description="How it is computed.")
    series: Annotated[dict[str, Steps | tuple[Any, ...]], AfterValidator(_not_empty)] = Field(
        default_factory=dict,
        description="Keys of the sections, each with a list of values or {from, to, steps}: one run for every "
        "combination.",
    )

    def preset(self) -> Preset:
        """Microscope and detectors."""
        return adjusted_preset(self.microscope.preset, **self.optics())

    def optics(self) -> Optics:
        """What differs from the preset, as `rhotem.analysis.optics.adjusted_preset` takes it."""
        m, r = self.microscope, self.recording
        return {
            "instrument": m.instrument,
            "alignment": m.alignment,
            "without": m.without,
            "scan_step": r.scan_step_A,
            "energy": m.energy_keV,
            "convergence": m.convergence_mrad,
            "defocus": None if isinstance(m.defocus_nm, str) else m.defocus_nm,
            "cs": m.cs_mm,
            "aberrations": m.aberrations,
            "tilt": m.tilt_mrad,
            "source_size": m.source_size_A,
            "focal_spread": m.focal_spread_A,
            "objective": m.objective_mrad,
            "precession": m.precession_mrad,
            "detectors": m.detectors,
            "dose": r.dose_e_per_A2,
            "camera_step": r.camera_step_mrad,
        }

    @property
    def best(self) -> str | None:
        """Image whose contrast the focus makes largest, "" for the first one; None: the focus is given."""
        return self.microscope.defocus_nm.partition(":")[2] if isinstance(self.microscope.defocus_nm, str) else None

    @property
    def memory(self) -> int | None:
        """Bytes allowed, or None."""
        return None if self.computing.memory is None else parse_memory(self.computing.memory)

    @property
    def precision(self) -> float | None:
        """Error by thermal motion asked for instead of a number of configurations, as a fraction of the range."""
        read = None if self.motion.phonons is None else parse_phonons(str(self.motion.phonons))
        return read if isinstance(read, float) else None
