"""Named settings that microscopists of battery materials use; each says how well founded it is."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from rhotem.core import InputError
from rhotem.microscope.settings import (
    Annular,
    CenterOfMass,
    Detector,
    Enhanced,
    Microscope,
    Pixelated,
    PositionAveraged,
    Segmented,
    Settings,
    largest_angle,
)


class Preset(Settings):
    """Microscope, detectors and a usual specimen thickness.

    Parameters
    ----------
    name, about, status : str
        ``status`` says where the numbers come from: "common practice" or a publication.
    microscope : Microscope
    detectors : tuple of detectors
    thickness : float
        Usual specimen thickness in nm.
    mode : "stem", "hrtem", "diffraction" or "holography"
        Scanned focused probe, or parallel illumination.
    changed : tuple of str
        Settings that are not the preset's own any more (`adjusted`).
    instrument : str
        The named instrument whose microscope it is; "": an ideal one.
    alignment : int or None
        Seed of its residual aberrations; None: none.
    without : tuple of str
        Contributions of the instrument that are switched off.
    """

    name: str
    about: str
    status: str
    microscope: Microscope
    detectors: tuple[Detector, ...] = ()
    thickness: float = Field(10.0, gt=0)
    mode: str = "stem"
    changed: tuple[str, ...] = ()
    instrument: str = ""
    alignment: int | None = None
    without: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _mode(self) -> Self:
        if self.mode not in _MEANINGLESS:
            raise ValueError(f"mode {self.mode!r} is not one of {', '.join(_MEANINGLESS)}")
        return self

    def adjusted(self, detectors: Sequence[Detector] = (), **microscope: Any) -> "Preset":
        """The same preset with other detectors, and with some settings of the microscope replaced.

        Parameters
        ----------
        detectors : sequence of detectors
            Instead of the preset's; none: the preset's stay.
        **microscope
            Fields of `Microscope` in its units (eV, mrad, Å). None leaves a setting as it is; ``aberrations`` are added
            to the preset's, and one called C10 or C30 replaces defocus or cs.

        Returns
        -------
        Preset
            Its ``changed`` names what was replaced.

        Raises
        ------
        InputError
            If a value is outside its range, or means nothing in this preset's mode.
        """
        changes = {name: value for name, value in microscope.items() if value is not None}
        if detectors:
            largest_angle(list(detectors))
        changed = [*changes, *(["detectors"] if detectors else [])]
        for name in changed:
            if name in _MEANINGLESS[self.mode]:
                beam = "a scanned probe" if self.mode == "stem" else "parallel illumination"
                modes = [mode for mode, without in _MEANINGLESS.items() if name not in without]
                others = [preset.name for preset in PRESETS.values() if preset.mode in modes]
                raise InputError(
                    f"preset {self.name}: {name.replace('_', ' ')} means nothing with {beam} for {self.mode}; leave it "
                    f"out, or choose a preset such as {others[0]}"
                )
        if not changed:
            return self
        settings = self.microscope.model_dump() | changes
        added = dict(changes.get("aberrations", {}))
        azimuths = {f"phi{name[1:]}" for name in added if name[0] == "C"}  # a new coefficient has its own
        kept = {name: value for name, value in self.microscope.aberrations.items() if name not in azimuths}
        settings["aberrations"] = kept | added
        for name, field in (("C10", "defocus"), ("C30", "cs")):
            if name in added and field not in changes:
                settings[field] = 0.0
            elif name not in added and field in changes:
                settings["aberrations"].pop(name, None)
        update = {
            "microscope": Microscope(**settings),
            "detectors": tuple(detectors) or self.detectors,
            "changed": tuple(sorted({*self.changed, *changed})),
        }
        return self.model_copy(update=update)


_COMMON = "common practice"

#: Settings without meaning in a mode.
_MEANINGLESS: dict[str, tuple[str, ...]] = {
    "stem": ("objective", "precession"),
    "hrtem": ("detectors", "source_size", "camera_step", "precession"),
    "diffraction": ("detectors", "source_size", "dose", "camera_step"),
    "holography": ("detectors", "source_size", "dose", "camera_step", "precession"),
}

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="layered-oxide",
            about="layered oxides: HAADF, ABF and iDPC in one scan",
            status=_COMMON,
            microscope=Microscope(energy=200e3, convergence=22.0),
            detectors=(
                Annular(name="HAADF", inner=68, outer=200),
                Annular(name="ABF", inner=11, outer=22),
                Segmented(inner=6, outer=22),
            ),
        ),
        Preset(
            name="layered-oxide-idpc",
            about="layered oxides at 300 kV: iDPC from four segments, HAADF",
            status=_COMMON,
            microscope=Microscope(energy=300e3, convergence=21.0, dose=1e4),
            detectors=(Segmented(inner=6, outer=24), Annular(name="HAADF", inner=50, outer=200)),
        ),
        Preset(
            name="light-elements",
            about="light columns: enhanced ABF, ABF and iDPC of eight segments in one scan",
            status="common practice; enhanced ABF of Findlay et al., Ultramicroscopy 136, 31 (2014)",
            microscope=Microscope(energy=200e3, convergence=22.0),
            detectors=(
                Enhanced(inner=11, outer=22),
                Annular(name="ABF", inner=11, outer=22),
                Segmented(inner=6, outer=22, segments=8),
            ),
            thickness=5.0,
        ),
        Preset(
            name="dark-fields",
            about="low-, medium- and high-angle dark field: strain and light elements beside Z contrast",
            status=_COMMON,
            microscope=Microscope(energy=200e3, convergence=22.0),
            detectors=(
                Annular(name="LAADF", inner=25, outer=50),
                Annular(name="MAADF", inner=50, outer=80),
                Annular(name="HAADF", inner=80, outer=200),
            ),
        ),
        Preset(
            name="low-voltage",
            about="thin and beam-sensitive specimens at 80 kV: LAADF, ABF",
            status=_COMMON,
            microscope=Microscope(energy=80e3, convergence=30.0),
            detectors=(Annular(name="LAADF", inner=30, outer=100), Annular(name="ABF", inner=15, outer=30)),
            thickness=5.0,
        ),
        Preset(
            name="ptychography",
            about="4D-STEM, defocused probe, pixelated detector to twice the convergence angle",
            status=_COMMON,
            microscope=Microscope(energy=300e3, convergence=20.0, defocus=150.0, dose=1e3),
            detectors=(Pixelated(outer=40.0), CenterOfMass(outer=40.0)),
        ),
        Preset(
            name="cryo-sei-hrtem",
            about="solid-electrolyte interphase, parallel beam, direct detector",
            status="common practice; Li2CO3 critical dose about 750 e/Å² (PMC4100024)",
            microscope=Microscope(energy=300e3, convergence=0.1, defocus=300.0, cs=1e7, focal_spread=30.0, dose=100.0),
            mode="hrtem",
        ),
        Preset(
            name="pacbed",
            about="position-averaged convergent-beam diffraction for thickness and tilt",
            status="ranges of PACBED-CNN: 300 kV, 15–25 mrad, to 100 nm, tilt 0–10 mrad",
            microscope=Microscope(energy=300e3, convergence=20.0),
            detectors=(PositionAveraged(outer=60.0),),
            thickness=30.0,
        ),
        Preset(
            name="saed",
            about="selected-area diffraction, parallel beam",
            status=_COMMON,
            microscope=Microscope(energy=200e3, convergence=0.1),
            thickness=20.0,
            mode="diffraction",
        ),
        Preset(
            name="precession",
            about="precession electron diffraction: the mean over a cone of beams, nearer to kinematic intensities",
            status="common practice; Vincent & Midgley, Ultramicroscopy 53, 271 (1994)",
            microscope=Microscope(energy=200e3, convergence=0.1, precession=17.0),
            thickness=20.0,
            mode="diffraction",
        ),
        Preset(
            name="nanobeam",
            about="nanobeam 4D-STEM: small discs that hardly overlap, for strain and phases",
            status=_COMMON,
            microscope=Microscope(energy=200e3, convergence=1.5),
            detectors=(Pixelated(outer=40.0),),
            thickness=20.0,
        ),
        Preset(
            name="hrtem",
            about="corrected HRTEM with a slightly negative spherical aberration: bright atoms, and the exit wave",
            status="Jia, Lentzen & Urban, Science 299, 870 (2003)",
            microscope=Microscope(
                energy=300e3, convergence=0.15, defocus=-55.0, cs=-1.5e5, focal_spread=30.0, dose=1e4, pixel=0.1
            ),
            thickness=5.0,
            mode="hrtem",
        ),
        Preset(
            name="holography",
            about="off-axis holography: phase and amplitude of the image wave from the sideband",
            status="common practice; Lichte & Lehmann, Rep. Prog. Phys. 71, 016102 (2008)",
            microscope=Microscope(energy=300e3, convergence=0.05, focal_spread=30.0, objective=25.0),
            thickness=5.0,
            mode="holography",
        ),
    )
}

#: What `rhotem image` uses when nothing is said.
DEFAULT_PRESET = "layered-oxide"


def get_preset(name: str) -> Preset:
    """The preset called ``name``.

    Raises
    ------
    InputError
        If there is none; the message lists them.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r} is not known; choose one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
