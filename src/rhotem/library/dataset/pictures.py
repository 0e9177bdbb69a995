"""`Pictures`: how pictures of a data set are recorded."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from rhotem.analysis.plan.problems import At
from rhotem.analysis.plan.section import Section, number
from rhotem.library.dataset.spread import Drawn, Spread

#: Most pixels of a side, and of all pictures of a response together: these are in memory at once, some 10 bytes each.
LARGEST, MOST = 2048, 2.5e8
#: Largest share of a picture beyond the specimen, and Å over which it becomes thin if nothing else is said.
MOST_VACUUM, EDGE = 0.9, 4.0
#: Keys of the edge of a specimen, of scans of one image alone.
OF_EDGES = ("vacuum", "edge_A")


def several(value: Any) -> Any:
    """A text as a list of one."""
    return [value] if isinstance(value, str) else value


class Pictures(Section):
    """How pictures are recorded: every key is a number, a list, or a distribution, drawn for each picture."""

    each: Annotated[int, *number("each", least=1)] = Field(100, description="Pictures of one response.")
    pixels: Annotated[int, *number("pixels", least=4, below=LARGEST + 1)] = Field(128, description="Side of a picture.")
    images: Annotated[tuple[str, ...], BeforeValidator(several)] = Field(
        ("HAADF", "ABF", "iDPC"), description="Images of the campaign's detectors, each as often."
    )
    foci_nm: tuple[float, ...] | None = Field(
        None, description="Of the recipe focal-series: foci of a series, from defocus_nm on; positive is underfocus."
    )
    pixel_A: Drawn = Field(
        default_factory=lambda: Spread(uniform=(0.15, 0.25)), description="Distance of scan positions."
    )
    dose_e_per_A2: Drawn = Field(
        default_factory=lambda: Spread(loguniform=(300.0, 1e5)), description="Electrons per Å² of the scan."
    )
    rotation_deg: Drawn = Field(
        default_factory=lambda: Spread(uniform=(0.0, 360.0)), description="Scan against the crystal."
    )
    defocus_nm: Drawn = Field(default_factory=lambda: Spread(choices=(0.0,)), description="Positive is underfocus.")
    C12_nm: Drawn = Field(
        default_factory=lambda: Spread(choices=(0.0,)), description="Twofold astigmatism, of any azimuth."
    )
    convergence_mrad: Drawn | None = Field(None, description="Semi-angle; without it the campaign's.")
    source_size_A: Drawn = Field(default_factory=lambda: Spread(uniform=(0.5, 1.0)), description="FWHM of the source.")
    focal_spread_A: Drawn = Field(default_factory=lambda: Spread(choices=(30.0,)), description="Standard deviation.")
    vacuum: Drawn | None = Field(
        None, description="Share of a picture beyond the straight edge of the specimen, 0 to 0.9; without it none."
    )
    edge_A: Drawn | None = Field(
        None, description="Distance over which the specimen becomes thin at its edge; 4 if left out."
    )
    dwell_us: Drawn = Field(default_factory=lambda: Spread(choices=(10.0,)), description="Time of one position.")
    jitter_pm: Drawn = Field(
        default_factory=lambda: Spread(uniform=(0.0, 8.0)), description="Standard deviation of the probe's place."
    )
    jitter_us: Drawn = Field(
        default_factory=lambda: Spread(loguniform=(10.0, 3000.0)), description="Correlation time of the jitter."
    )
    drift_pm_per_s: Drawn = Field(
        default_factory=lambda: Spread(uniform=(0.0, 60.0)), description="Speed of the specimen, in any direction."
    )
    skew_mrad: Drawn = Field(
        default_factory=lambda: Spread(uniform=(-15.0, 15.0)), description="Angle of the scan's axes off 90°."
    )

    camera_mrad: Annotated[float | None, *number("camera", "mrad", above=0)] = Field(
        None, description="Of recipes of patterns: their pixel."
    )
    tilt_mrad: Drawn | None = Field(
        None, description="Of the recipe pattern-potential: mistilt of a position-averaged pattern, in any direction."
    )
    planes: Annotated[tuple[Literal["thickness", "phase", "sigma"], ...] | None, BeforeValidator(several)] = Field(
        None, description="Of the recipe columns: further planes of labels."
    )
    along: str | None = Field(
        None, description="Of the recipe fast-series: option of a builder whose values, in their order, are its states."
    )
    frames: Annotated[int | None, *number("frames", least=2, below=1001)] = Field(
        None, description="Of the recipe fast-series: pictures of a series."
    )

    @model_validator(mode="after")
    def _limits(self) -> Self:
        positive = ("pixel_A", "dose_e_per_A2", "convergence_mrad", "dwell_us", "jitter_us")
        least_zero = ("C12_nm", "source_size_A", "focal_spread_A", "jitter_pm", "drift_pm_per_s", "tilt_mrad")
        for name in (*positive, *least_zero, *OF_EDGES):
            spread = getattr(self, name)
            low = 1.0 if spread is None else spread.bounds[0]
            if low < 0 or (low == 0 and name in positive):
                raise At(
                    ("pictures", name), f"{low:g}: expected {'positive numbers' if name in positive else '0 or more'}"
                )
        if self.vacuum is not None and self.vacuum.bounds[1] > MOST_VACUUM:
            raise At(("pictures", "vacuum"), f"{self.vacuum.bounds[1]:g}: expected a share of {MOST_VACUUM} at most")
        if self.edge_A is not None and self.vacuum is None:
            raise At(("pictures", "edge_A"), "a specimen without vacuum has no edge; give vacuum, or leave it out")
        if self.each * (self.frames or 1) * self.pixels**2 > MOST:
            most = int(MOST / self.pixels**2 / (self.frames or 1))
            raise At(("pictures", "each"), f"{self.each} pictures of {self.pixels} pixels: expected at most {most}")
        if not self.images:
            raise At(("pictures", "images"), "name at least one image")
        return self
