"""`Instrument`: what is known of a microscope, with the source of every number."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from rhotem.core.units import ELECTRON_REST_ENERGY
from rhotem.microscope.acquisition.settings import Acquisition
from rhotem.microscope.base import Settings
from rhotem.microscope.detectors import Annular, Detector, DetectorBase, Mapped, largest_angle
from rhotem.microscope.instrument import ABERRATIONS, Microscope
from rhotem.microscope.instruments.residuals import Length, Measured, drawn
from rhotem.microscope.presets import Preset

#: FWHM of a normal distribution in standard deviations; electrons in a pA and a µs.
FWHM, ELECTRONS = math.sqrt(8 * math.log(2)), 6.241509074


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) else value


class Instrument(Settings):
    """A microscope as its operators know it.

    Parameters
    ----------
    name, about, status : str
        ``status``: how well founded the numbers are.
    energy_keV : float
    convergence_mrad : tuple of float
        Semi-angles of the apertures, the usual one first.
    illumination_mrad : float
        Standard deviation of the illumination angle of a parallel beam.
    objective_mrad : float or None
        Semi-angle of the objective aperture of parallel illumination; None: open.
    aberrations : dict of Measured
        By their names up to fifth order; C10 is the error of focusing.
    energy_spread_eV : float
        FWHM of the source's energies, the gun included.
    voltage_ripple, current_ripple : float
        Relative standard deviations of high voltage and of lens current.
    cc : float
        Chromatic aberration in Å (in files ``1.4mm``).
    source_size_A : float
        FWHM of the effective source on the specimen.
    current_pA : float or None
        Of the probe; with the dwell time it gives the dose.
    detectors : tuple of detectors
        Of a scanned probe, with their electronics.
    acquisition : Acquisition
        Scan, beam, layers and camera.
    sources : dict of str
        Where numbers come from, by key ("cc", "detectors.HAADF", "acquisition.jitter").
    """

    rhotem_instrument: Literal[1] = Field(1, alias="rhotem-instrument")
    name: str
    about: str = ""
    status: str = ""
    energy_keV: float = Field(gt=1, lt=5000)
    convergence_mrad: Annotated[tuple[float, ...], BeforeValidator(_listed)] = Field((22.0,), min_length=1)
    illumination_mrad: float = Field(0.1, gt=0, lt=10)
    objective_mrad: float | None = Field(None, gt=0, lt=1000)
    aberrations: dict[str, Measured] = Field(default_factory=dict)
    energy_spread_eV: float = Field(0.0, ge=0)
    voltage_ripple: float = Field(0.0, ge=0, lt=1e-3)
    current_ripple: float = Field(0.0, ge=0, lt=1e-3)
    cc: Length = Field(0.0, ge=0)
    source_size_A: float = Field(0.0, ge=0)
    current_pA: float | None = Field(None, gt=0)
    detectors: tuple[Detector, ...] = ()
    acquisition: Acquisition = Field(default_factory=Acquisition)
    sources: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = [n for n in self.aberrations if n not in ABERRATIONS or n[0] != "C"]
        if unknown:
            names = ", ".join(n for n in ABERRATIONS if n[0] == "C")
            raise ValueError(f"aberrations {', '.join(unknown)}: expected {names}")
        if not all(0 < angle < 200 for angle in self.convergence_mrad):
            raise ValueError(f"convergence_mrad {list(self.convergence_mrad)}: expected angles between 0 and 200 mrad")
        if self.detectors:
            largest_angle(self.detectors)
        stray = [key for key in self.sources if key.partition(".")[0] not in type(self).model_fields]
        if stray:
            raise ValueError(f"sources {', '.join(stray)}: no such key; sources are named by the key they belong to")
        return self

    @property
    def focal_spread(self) -> float:
        """Standard deviation of the focus in Å.

        ``Cc √((f ΔE/E)² + (f ΔV/V)² + (2 ΔI/I)²)`` with ΔE = FWHM/2.355 and the relativistic factor
        ``f = (1 + E/mc²)/(1 + E/2mc²)`` (Reimer & Kohl, Transmission Electron Microscopy, 5th ed., section 2.3).
        """
        energy = 1e3 * self.energy_keV
        factor = (1 + energy / ELECTRON_REST_ENERGY) / (1 + energy / (2 * ELECTRON_REST_ENERGY))
        parts = factor * self.energy_spread_eV / FWHM / energy, factor * self.voltage_ripple, 2 * self.current_ripple
        return self.cc * math.hypot(*parts)

    def dose(self, pixel: float) -> float | None:
        """Electrons per Å² of a scan with pixels of ``pixel`` Å."""
        if self.current_pA is None:
            return None
        return self.current_pA * ELECTRONS * self.acquisition.dwell_us / pixel**2

    def microscope(self, base: Preset, alignment: int | None = 0, pixel: float | None = None) -> Microscope:
        """The microscope in the mode of a preset, whose focus and dose it keeps where the instrument says nothing.

        ``alignment`` is the seed of residual aberrations; None: the measured ones. ``pixel`` in Å: that of the scan.
        """
        rng = None if alignment is None else np.random.default_rng((alignment, 2))
        found = drawn(self.aberrations, rng)
        scanned = base.mode == "stem"
        settings: dict[str, Any] = base.microscope.model_dump() | {
            "energy": 1e3 * self.energy_keV,
            "convergence": self.convergence_mrad[0] if scanned else self.illumination_mrad,
            "objective": None if scanned else self.objective_mrad,
            "defocus": base.microscope.defocus - found.pop("C10", 0.0),
            "cs": found.pop("C30", 0.0),
            "aberrations": found,
            "focal_spread": self.focal_spread,
            "source_size": self.source_size_A if scanned else 0.0,
            "acquisition": self.acquisition.model_copy(update={"instrument": self.name}),
        }
        if scanned:
            step = pixel or base.microscope.pixel
            settings["dose"] = self.dose(step) if step else None
            settings["dose"] = settings["dose"] or base.microscope.dose
        return Microscope(**settings)

    def preset(self, base: Preset, alignment: int | None = 0, pixel: float | None = None) -> Preset:
        """A preset with this instrument's microscope, and its detectors where a probe is scanned for images."""
        own = base.mode == "stem" and self.detectors and not any(d.patterns for d in base.detectors)
        detectors = self.detectors if own else base.detectors
        return base.model_copy(
            update={
                "microscope": self.microscope(base, alignment, pixel),
                "detectors": detectors,
                "instrument": self.name,
                "alignment": alignment,
            }
        )

    def equipped(self, detectors: "tuple[Any, ...] | list[Any]") -> list[Any]:
        """Detectors with the electronics, and the map, of this instrument's of the same name."""
        own = {d.name: d for d in self.detectors}
        found = []
        for detector in detectors:
            match = own.get(detector.name)
            if match is None or _quadrants(match) != _quadrants(detector):
                found.append(detector)
            elif isinstance(match, Mapped) and isinstance(detector, Annular):
                angles = {"inner": detector.inner, "outer": detector.outer, "edges": detector.edges}
                scale = match.mrad_per_pixel or match.sensitivity.record()["mrad_per_pixel"]
                found.append(match.model_copy(update={**angles, "mrad_per_pixel": scale}))
            elif type(match) is type(detector):
                found.append(detector.model_copy(update={"electronics": match.electronics}))
            else:
                found.append(detector)
        return found

    def files(self) -> list[Path]:
        """Maps that its detectors need."""
        return [Path(d.map) for d in self.detectors if isinstance(d, Mapped)]


def _quadrants(detector: DetectorBase) -> tuple[float, ...]:
    """Those of its first channel; of patterns none."""
    return next((channel.region.quadrants for channel in detector.channels()), ())
