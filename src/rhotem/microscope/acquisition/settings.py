"""What an instrument does to a recording, in numbers: one class for each contribution, absent where there is none.

The kinds follow the taxonomy of Lobato, Friedrich & Van Aert, npj Comput. Mater. 10, 10 (2024): scan distortions and
jitter, rows, black pixels, slow and fast scans, read-out, dark counts and the transfer of cameras.
"""

from typing import Self

from pydantic import Field, model_validator

from rhotem.microscope.base import Settings


class Jitter(Settings):
    """Random displacement of the probe along both axes, exponentially correlated in time.

    Parameters
    ----------
    sigma_pm : float
        Standard deviation along each axis.
    time_us : float
        Correlation time: far below the dwell time every pixel moves alone, far above it whole rows shift.
    """

    sigma_pm: float = Field(ge=0)
    time_us: float = Field(gt=0)


class Hum(Settings):
    """Displacement by the field of the mains, a sine of random phase.

    Parameters
    ----------
    x_pm, y_pm : float
        Amplitudes.
    frequency_Hz : float
    """

    x_pm: float = 0.0
    y_pm: float = 0.0
    frequency_Hz: float = Field(50.0, gt=0)


class Drift(Settings):
    """Steady motion of the specimen; the probe meets the specimen displaced by minus this times the time."""

    x_pm_per_s: float = 0.0
    y_pm_per_s: float = 0.0


class Flyback(Settings):
    """What the way back costs: time, and a probe that still settles where a row begins.

    Parameters
    ----------
    time_us : float
        Between the end of a row and the beginning of the next.
    settle_pm : float
        Displacement against the direction of the row at its first pixel.
    settle_us : float
        Time constant with which the displacement decays.
    """

    time_us: float = Field(0.0, ge=0)
    settle_pm: float = 0.0
    settle_us: float = Field(1.0, gt=0)


class Distortion(Settings):
    """Wrong calibration of the scan coils: the axes' scales, and the angle between them off 90°.

    ``r' = ((1 + scale_x) x + skew y, (1 + scale_y) y)`` about the first position.
    """

    scale_x: float = Field(0.0, gt=-0.5, lt=0.5)
    scale_y: float = Field(0.0, gt=-0.5, lt=0.5)
    skew_mrad: float = Field(0.0, gt=-500, lt=500)


class Flicker(Settings):
    """Fluctuation of the beam current, relative standard deviation, exponentially correlated in time."""

    sigma: float = Field(ge=0, lt=0.5)
    time_us: float = Field(gt=0)


class Carbon(Settings):
    """Layer of amorphous carbon, as contamination or support leaves it."""

    thickness_nm: float = Field(gt=0, le=50)
    density_g_per_cm3: float = Field(2.0, gt=0)


class Electronics(Settings):
    """From electrons on a detector to the counts that are stored.

    Parameters
    ----------
    gain : float
        Counts for one electron.
    offset : float
        Counts without any electron (black level).
    dqe : float
        Detective quantum efficiency at zero frequency: pulses scatter in height, so that n electrons have the variance
        n/dqe.
    dark_e_per_us : float
        Electrons counted without a beam.
    read_noise : float
        Standard deviation in counts of every reading.
    row_noise, row_memory : float
        Standard deviation in counts of an offset of whole rows, and the number of rows over which this decays.
    black_pixels : float
        Share of pixels that lose their electrons.
    lag_us : float
        Decay time of the scintillator and the amplifier: a pixel still shows what the ones before it saw.
    bits : int or None
        Resolution of the converter: whole counts from 0 to 2^bits − 1.
    """

    gain: float = Field(1.0, gt=0)
    offset: float = 0.0
    dqe: float = Field(1.0, gt=0, le=1)
    dark_e_per_us: float = Field(0.0, ge=0)
    read_noise: float = Field(0.0, ge=0)
    row_noise: float = Field(0.0, ge=0)
    row_memory: float = Field(0.0, ge=0)
    black_pixels: float = Field(0.0, ge=0, lt=1)
    lag_us: float = Field(0.0, ge=0)
    bits: int | None = Field(None, ge=4, le=32)


class CameraChip(Settings):
    """Camera of parallel illumination.

    Parameters
    ----------
    mtf, dqe : tuple of (float, float)
        Modulation transfer and detective quantum efficiency at fractions of the Nyquist frequency, rising from 0; both
        isotropic, constant beyond the last point. The pixel's own sinc is part of the MTF.
    gain, offset, read_noise : float
        As of `Electronics`.
    dark_e_per_pixel : float
        Electrons that a pixel counts without a beam during the exposure.
    bits : int or None
    """

    mtf: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    dqe: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    gain: float = Field(1.0, gt=0)
    offset: float = 0.0
    read_noise: float = Field(0.0, ge=0)
    dark_e_per_pixel: float = Field(0.0, ge=0)
    bits: int | None = Field(None, ge=4, le=32)

    @model_validator(mode="after")
    def _curves(self) -> Self:
        for name, curve in (("mtf", self.mtf), ("dqe", self.dqe)):
            places = [q for q, _ in curve]
            if places != sorted(set(places)) or places[:1] != [0]:
                raise ValueError(f"{name}: fractions of the Nyquist frequency must rise from 0")
            if not all(0 < value <= 1 for _, value in curve):
                raise ValueError(f"{name}: values must lie between 0 and 1")
        if self.mtf[0][1] != 1:
            raise ValueError("mtf: 1 at frequency 0 by definition; the gain holds the rest")
        return self


class Acquisition(Settings):
    """Everything that spoils a recording beside optics and counting.

    Parameters
    ----------
    instrument : str
        Name of what it belongs to.
    dwell_us : float
        Time of one probe position; x is the fast axis.
    counting : bool
        Whether electrons are drawn; else detectors see what is expected.
    jitter, hum, drift, flyback, distortion
        Of the scan.
    flicker : Flicker or None
        Of the beam.
    carbon : Carbon or None
        On the specimen.
    camera : CameraChip or None
        Of parallel illumination.

    What detectors do is in each detector's ``electronics``.
    """

    instrument: str = ""
    dwell_us: float = Field(10.0, gt=0)
    counting: bool = True
    jitter: Jitter | None = None
    hum: Hum | None = None
    drift: Drift | None = None
    flyback: Flyback | None = None
    distortion: Distortion | None = None
    flicker: Flicker | None = None
    carbon: Carbon | None = None
    camera: CameraChip | None = None

    @property
    def moves(self) -> bool:
        """Whether probes are anywhere but where they should be."""
        settled = self.flyback is None or self.flyback.settle_pm == 0
        return not settled or any((self.jitter, self.hum, self.drift, self.distortion))
