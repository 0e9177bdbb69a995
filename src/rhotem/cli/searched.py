"""What a fit searches: options and plans that `rhotem fit`, `weigh` and `twin watch` share."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import with_options
from rhotem.cli.options import OPTICS, SPECIMEN, plan_of

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan
    from rhotem.experiment.fit.images.planned import Limits
    from rhotem.experiment.measurement import Measurement

#: Keys of a plan that mean something to a fit; those of the recording are the file's.
KEYS = (
    "specimen.zone",
    "specimen.plane",
    "specimen.zone_basis",
    "specimen.order",
    "specimen.allow_overlaps",
    "density",
    "motion",
    "microscope.detectors",
    "microscope.cs_mm",
    "microscope.focal_spread_A",
    "microscope.objective_mrad",
    "computing.seed",
    "computing.memory",
    "computing.sampling_A",
    "computing.slice_thickness_A",
)
WITHOUT = ("density.uncertainty",)
#: Configurations of thermal motion, where none are asked for: neighbouring beams go through different ones.
PHONONS = 4
#: Largest thickness in nm of patterns and of images, where none is given.
THICKEST, THICKEST_IMAGE = 120.0, 12.0
#: How far the convergence of a pattern may be from one number that is given.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Searched:
    """What of specimen and lens is tried.

    Parameters
    ----------
    thickest : float or None
        nm; None: `THICKEST`, of images `THICKEST_IMAGE`.
    mistilt : float
        Largest of patterns, mrad.
    foci : (float, float)
        Least and largest defocus of images, nm.
    astigmatism : float
        Largest of images, nm.
    """

    thickest: float | None
    mistilt: float
    foci: tuple[float, float]
    astigmatism: float

    @property
    def limits(self) -> "Limits":
        """Of the lens of images."""
        from rhotem.experiment.fit.images.planned import Limits

        return Limits(self.foci, self.astigmatism)

    def asked(self, given: dict[str, Any], pattern: bool) -> dict[str, Any]:
        """Keys of a plan with the thickness, and motion where nothing is said of it."""
        deep = self.thickest or (THICKEST if pattern else THICKEST_IMAGE)
        return {"motion.phonons": PHONONS} | given | {"specimen.thickness_nm": deep}

    def image_plan(self, structure: str, given: dict[str, Any], measured: "Sequence[Measurement]") -> "Plan":
        """The plan of images; energy and convergence are those of all recordings.

        Raises
        ------
        InputError
            If a recording lacks one, or the plan refuses.
        """
        from rhotem.experiment.fit.pacbed import common_convergence, common_energy

        lens = {"microscope.convergence_mrad": common_convergence(measured, 0.0)[0]}
        lens["microscope.energy_keV"] = common_energy(measured)
        return plan_of(structure, self.asked(given, pattern=False) | lens)

    def pattern_plan(
        self, structure: str, given: dict[str, Any], measured: "Sequence[Measurement]"
    ) -> "tuple[Plan, tuple[float, float]]":
        """The plan of patterns, and least and most convergence in mrad.

        Raises
        ------
        InputError
            As `image_plan`, or if ``given`` changes the lens.
        """
        from rhotem.core import InputError
        from rhotem.experiment.fit.pacbed import common_convergence, common_energy
        from rhotem.experiment.fit.simulated import pattern_plan

        if lens := [place for place in given if place.startswith("microscope.")]:
            raise InputError(f"{', '.join(lens)}: changes no position-averaged pattern; leave it out, or --kind image")
        angles = common_convergence(measured, TOLERANCE)
        asked = self.asked(given, pattern=True) | {"microscope.energy_keV": common_energy(measured)}
        return pattern_plan(plan_of(structure, asked), angles[1]), angles


def with_search_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Searched` in place of its parameter ``searched``."""

    def made(said: dict[str, Any]) -> Searched:
        return Searched(**said | {"foci": foci_of(said["foci"])})

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shown = [inspect.Parameter(name, kind, default=default, annotation=a) for name, (default, a) in _OPTIONS.items()]
    return with_options("searched", shown, made)(command)


def foci_of(text: str) -> tuple[float, float]:
    """Least and largest defocus in nm."""
    from rhotem.core import InputError

    try:
        least, most = (float(part) for part in text.split(","))
    except ValueError:
        least, most = 1.0, 0.0
    if not -1e3 < least < most < 1e3:
        raise InputError(f"--foci {text}: expected two numbers in nm, the least first, as -10,10")
    return least, most


def _option(kind: Any, name: str, about: str, panel: str, **settings: Any) -> Any:
    return Annotated[kind, typer.Option(name, help=about, rich_help_panel=panel, **settings)]


#: Default and annotation of every option.
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "thickest": (
        None,
        _option(
            float | None,
            "--thickest",
            "Largest thickness that is tried; without it 120, of images 12.",
            SPECIMEN,
            min=2,
            metavar="nm",
        ),
    ),
    "mistilt": (
        5.0,
        _option(float, "--mistilt", "Of patterns: the largest mistilt that is tried.", SPECIMEN, min=0, metavar="mrad"),
    ),
    "foci": ("-10,10", _option(str, "--foci", "Of images: defocus values in nm.", OPTICS, metavar="FROM,TO")),
    "astigmatism": (
        2.0,
        _option(float, "--astigmatism", "Of images: the largest that is tried.", OPTICS, min=0, metavar="nm"),
    ),
}
