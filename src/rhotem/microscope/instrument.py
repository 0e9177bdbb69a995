"""The microscope: what an operator sets, with units and signs of docs/conventions.md."""

import math
import re
from typing import Self

from pydantic import Field, model_validator

from rhotem.core import InputError
from rhotem.core.units import interaction_constant, wavelength
from rhotem.microscope.acquisition.settings import Acquisition
from rhotem.microscope.base import Settings

#: Names of aberration coefficients (Å) and their azimuths (rad) as abTEM and Krivanek name them, up to fifth order.
ABERRATIONS = (
    *("C10", "C12", "phi12", "C21", "phi21", "C23", "phi23", "C30", "C32", "phi32", "C34", "phi34"),
    *("C41", "phi41", "C43", "phi43", "C45", "phi45", "C50", "C52", "phi52", "C54", "phi54", "C56", "phi56"),
)


#: Mistilt in mrad beyond which a beam is no longer one along the zone.
STEEPEST = 1000.0


class Microscope(Settings):
    """Illumination of a scanning transmission electron microscope.

    Parameters
    ----------
    energy : float
        Beam energy in eV.
    convergence : float
        Convergence semi-angle of the probe in mrad.
    defocus : float
        Defocus in Å; positive is underfocus (the probe is focused inside the specimen), ``C10 = −defocus``.
    cs : float
        Third-order spherical aberration C30 in Å.
    aberrations : dict
        Further coefficients by their abTEM names, e.g. ``{"C12": 20.0, "phi12": 0.3}`` (Å, rad).
    source_size : float
        Full width at half maximum of the Gaussian effective source in Å.
    focal_spread : float
        Standard deviation of the defocus by chromatic aberration in Å.
    dose : float or None
        Electrons per Å² of the scan; None: no counting noise.
    pixel : float or None
        Scan step, or camera pixel referred to the specimen, in Å, of images with counting noise; None: the positions
        that were computed.
    field : float
        Least side in Å of the field of view of images with counting noise: the periodic image is continued, the noise
        is not.
    camera_step : float or None
        Pixel in mrad of diffraction patterns, square: a supercell large enough is computed. None: as the supercell
        that images need has it.
    tilt : (float, float)
        How far the beam leans towards +x and +y of the image, off the zone axis, in mrad; small-angle.
    objective : float or None
        Semi-angle in mrad of the objective aperture, of parallel illumination; None: open, to 100 mrad.
    precession : float
        Semi-angle in mrad of the cone on which a parallel beam is precessed, and descanned, for diffraction.
    acquisition : Acquisition or None
        How the instrument spoils what it records; None: nothing but counting noise.

    Raises
    ------
    InputError
        If a value is outside its physical range or an aberration has no known name.
    """

    energy: float = Field(200e3, gt=1e3, lt=5e6)
    convergence: float = Field(22.0, gt=0, lt=200)
    defocus: float = 0.0
    cs: float = 0.0
    aberrations: dict[str, float] = Field(default_factory=dict)
    source_size: float = Field(0.0, ge=0)
    focal_spread: float = Field(0.0, ge=0)
    dose: float | None = Field(None, gt=0)
    pixel: float | None = Field(0.2, gt=0)
    field: float = Field(25.0, ge=0)
    camera_step: float | None = Field(None, gt=0)
    tilt: tuple[float, float] = (0.0, 0.0)
    objective: float | None = Field(None, gt=0, lt=1000)
    precession: float = Field(0.0, ge=0, lt=100)
    acquisition: Acquisition | None = None

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if math.hypot(*self.tilt) >= STEEPEST:
            raise ValueError(
                f"tilt {self.tilt[0]:g},{self.tilt[1]:g} mrad: expected less than {STEEPEST:g} mrad (1 rad is 57°); "
                "another zone is a direction of its own"
            )
        return self

    @model_validator(mode="after")
    def _known_aberrations(self) -> Self:
        unknown = sorted(set(self.aberrations) - set(ABERRATIONS))
        if unknown:
            raise ValueError(f"aberrations {', '.join(unknown)} are not known; use {', '.join(ABERRATIONS)}")
        for name, value in (("C10", self.defocus), ("C30", self.cs)):
            if value and name in self.aberrations:
                raise ValueError(f"{name} is given twice, by name and in aberrations; give it once")
        return self

    @property
    def wavelength(self) -> float:
        """Relativistic electron wavelength in Å."""
        return wavelength(self.energy)

    @property
    def interaction(self) -> float:
        """Interaction constant σ in rad/(V·Å)."""
        return interaction_constant(self.energy)

    @property
    def coefficients(self) -> dict[str, float]:
        """All non-zero aberration coefficients by name."""
        found = {"C10": -self.defocus, "C30": self.cs, **self.aberrations}
        return {name: value for name, value in found.items() if value}


#: Lengths in Å and angles in rad by the units that aberrations may be written in.
LENGTHS = {"": 10.0, "Å": 1.0, "A": 1.0, "nm": 10.0, "um": 1e4, "µm": 1e4, "μm": 1e4, "mm": 1e7}
ANGLES = {"": math.pi / 180, "deg": math.pi / 180, "°": math.pi / 180, "rad": 1.0}
#: A number as it is written.
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def parse_length(text: str) -> float:
    """A length in Å written with its unit: ``2nm``, ``-5 um``, ``1.2 mm``; without one it is in nm.

    Raises
    ------
    InputError
        If it is no number or the unit is not known.
    """
    match = re.fullmatch(rf"\s*({NUMBER})\s*(\D*?)\s*", text)
    if match is None or match[2] not in LENGTHS:
        raise InputError(f"length {text!r}: expected a number with the unit Å, nm, um or mm")
    return float(match[1]) * LENGTHS[match[2]]


def parse_aberration(text: str) -> tuple[str, float]:
    """Name and value (Å, rad) of an aberration written as ``C30=-5um``, ``C12=2nm`` or ``phi12=30``.

    A coefficient without a unit is in nm, an azimuth in degrees.

    Raises
    ------
    InputError
        If the name, the number or the unit is not known.
    """
    match = re.fullmatch(rf"\s*(\w+)\s*=\s*({NUMBER})\s*(\D*?)\s*", text)
    name = match[1] if match else text.split("=")[0].strip()
    known = {a.lower(): a for a in ABERRATIONS}
    if name.lower() not in known:
        raise InputError(f"aberration {text!r}: {name!r} is not known; use {', '.join(ABERRATIONS)}")
    name = known[name.lower()]
    units = ANGLES if name.startswith("phi") else LENGTHS
    if match is None or match[3] not in units:
        raise InputError(
            f"aberration {text!r}: expected {name}= and a number in "
            + ("degrees or with the unit rad" if units is ANGLES else "nm or with the unit Å, nm, um or mm")
        )
    return name, float(match[2]) * units[match[3]]
