"""`ViewSettings`: what the operator of the virtual microscope has set, in the units of plans."""

import math
from typing import Any

from pydantic import Field

from rhotem.microscope.base import Settings

#: Å of a nm.
NM = 10.0


class ViewSettings(Settings):
    """One position of all knobs.

    Parameters
    ----------
    image : str
        Name of an image of one of the detectors.
    inner_mrad, outer_mrad : float or None
        Angles of its ring; None: those of the detector.
    thickness_nm : float
    convergence_mrad : float
        Semi-angle of the aperture.
    defocus_nm : float
        Positive is underfocus.
    aberrations : dict
        Coefficients in nm by name (C12, C21, C30, …), azimuths in degrees (phi12, phi21, …).
    source_size_A : float
        FWHM of the effective source.
    focal_spread_A : float
        Standard deviation of the focus.
    dose_e_per_A2 : float or None
        None: no counting noise.
    seed : int
        Of the counted electrons.
    field_of_view_A : float
        Least side of the picture, in whole cells.
    scan_step_A : float
        Largest distance of neighbouring positions.
    scan_rotation_deg : float
        The fast axis of the scan, turned from +x of the cell towards +y; the crystal in the picture turns against it.
    """

    image: str
    inner_mrad: float | None = Field(None, ge=0)
    outer_mrad: float | None = Field(None, gt=0)
    thickness_nm: float = Field(gt=0)
    convergence_mrad: float = Field(gt=0)
    defocus_nm: float = 0.0
    aberrations: dict[str, float] = Field(default_factory=dict)
    source_size_A: float = Field(0.0, ge=0)
    focal_spread_A: float = Field(0.0, ge=0)
    dose_e_per_A2: float | None = Field(None, gt=0)
    seed: int = Field(0, ge=0)
    field_of_view_A: float = Field(20.0, gt=0)
    scan_step_A: float = Field(0.1, gt=0)
    scan_rotation_deg: float = Field(0.0, ge=-180, le=180)

    def changed(self, **changes: Any) -> "ViewSettings":
        """The same but for ``changes``, checked."""
        return ViewSettings(**(self.model_dump() | changes))

    @property
    def rotation(self) -> float:
        """Rotation of the scan in rad."""
        return math.radians(self.scan_rotation_deg)

    def lens(self) -> dict[str, Any]:
        """What `rhotem.scattering.response.Response.images` takes for the lens, in Å, rad and mrad; without the dose.

        A coefficient without size is left out, with its azimuth.
        """
        sizes = {name: NM * value for name, value in self.aberrations.items() if name[0] == "C" and value}
        turned = {f"phi{name[1:]}": self.aberrations.get(f"phi{name[1:]}", 0.0) for name in sizes}
        azimuths = {name: math.radians(value) for name, value in turned.items() if value}
        return {
            "convergence": self.convergence_mrad,
            "defocus": NM * self.defocus_nm,
            "cs": 0.0,
            "aberrations": {**sizes, **azimuths},
            "source_size": self.source_size_A,
            "focal_spread": self.focal_spread_A,
        }

    @property
    def recording(self) -> dict[str, float]:
        """Distance of the positions and least side of the field of view in Å, as a `Microscope` has them."""
        return {"pixel": self.scan_step_A, "field": self.field_of_view_A}
