"""What a detector would record of a position-averaged pattern: beams, pose, blur and background."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.frame import Frame
from rhotem.scattering.patterns import Patterns

Array = npt.NDArray[np.float64]

#: Names of the parameters in the order of arrays, their units and scales.
NAMES = (
    "thickness", "convergence", "tilt_x", "tilt_y",
    "scale", "right", "down", "rotation", "blur", "diffuse", "floor",
)  # fmt: skip
UNITS = ("Å", "mrad", "mrad", "mrad", "px/mrad", "px", "px", "rad", "mrad", "", "")
STEPS = np.array([2.0, 0.05, 0.05, 0.05, 0.01, 0.3, 0.3, 2e-3, 0.02, 0.01, 2e-3])
#: Steps of finite differences. Forward ones of 0.05 mrad moved fitted tilts by 0.09 pixels of the simulation.
DIFFERENCES = STEPS * np.array([1.0, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
#: Those that change the beams; the others only place, blur and lift a pattern.
BEAMS = 4
#: Å; a pattern of less tells nothing of the thickness.
THINNEST = 5.0
#: Width of the broad part of inelastic scattering in apertures, and the least blur in mrad.
BROAD = 0.35


@dataclass(frozen=True, eq=False)
class Setting:
    """One value of every parameter.

    Parameters
    ----------
    values : (11,) array
        ``thickness`` Å; ``convergence`` and ``tilt_x``, ``tilt_y`` mrad, the tilt in the frame of the crystal;
        ``scale`` pixels for a mrad; ``right``, ``down`` pixels from the first guess of the disc to the beam;
        ``rotation`` rad from x of the crystal to x of the picture, from right to down; ``blur`` of the detector
        (standard deviation), mrad; ``diffuse``: electrons of a broad background for one of the pattern; ``floor``: the
        constant background over the pattern's mean in the disc.
    hand : int
        1; −1: the picture is a mirror image.
    """

    values: Array
    hand: int = 1

    def __getattr__(self, name: str) -> float:
        if name in NAMES:
            return float(self.values[NAMES.index(name)])
        raise AttributeError(name)

    def with_values(self, values: npt.ArrayLike) -> Self:
        """The same hand with other values."""
        return type(self)(np.asarray(values, dtype=float), self.hand)


@dataclass(frozen=True, eq=False)
class Pattern:
    """A pattern as it was computed: fractions of the beam (nx, ny), and the beam's place in pixels from the middle."""

    values: Array
    beam: tuple[float, float]


class Model:
    """Intensities on the bins of one frame.

    Parameters
    ----------
    patterns : Patterns
    frame : Frame
    convergence : (float, float)
        Least and most in mrad.

    Attributes
    ----------
    low, high : (11,) arrays
        Bounds of the parameters.
    """

    def __init__(self, patterns: Patterns, frame: Frame, convergence: tuple[float, float]) -> None:
        self.patterns, self.frame = patterns, frame
        most, free = patterns.tilt, np.inf
        depth = patterns.thicknesses[-1]
        self.low = np.array([THINNEST, convergence[0], -most, -most, 0.0, -free, -free, -free, 0.0, 0.0, 0.0])
        self.high = np.array([depth, convergence[1], most, most, free, free, free, free, 1.0, 3.0, 0.5])

    def beams(self, values: Array) -> Pattern:
        """The pattern on the simulation's pixels; a tilt beyond the largest held is that."""
        tilt = values[2:4] * min(1.0, self.patterns.tilt / max(float(np.hypot(*values[2:4])), 1e-9)) * (1 - 1e-9)
        return Pattern(
            *self.patterns.around_axis(
                thickness=float(values[0]), convergence=float(values[1]), tilt=(float(tilt[0]), float(tilt[1]))
            )
        )

    def shown(self, simulated: Pattern, setting: Setting, smooth: float = 0.0) -> Array:
        """A pattern on the bins of the frame, its mean in the disc 1; ``smooth`` in mrad widens it besides the blur."""
        from scipy.ndimage import gaussian_filter, map_coordinates

        step, pattern = self.patterns.step, simulated.values
        mean = pattern.sum() * step[0] * step[1] / (np.pi * setting.convergence**2)
        width = float(np.hypot(setting.blur, smooth))
        sharp = gaussian_filter(pattern, [width / s for s in step], mode="nearest", truncate=3.0) / mean
        broad = gaussian_filter(pattern, [BROAD * setting.convergence / s for s in step], mode="nearest", truncate=3.0)
        whole = sharp + setting.diffuse * broad / mean
        kx, ky = self.angles(setting)
        middle = [n // 2 + b for n, b in zip(pattern.shape, simulated.beam, strict=True)]
        places = [k / s + m for k, s, m in zip((kx, ky), step, middle, strict=True)]
        return map_coordinates(whole, places, order=3, mode="nearest") + setting.floor

    def angles(self, setting: Setting) -> tuple[Array, Array]:
        """Angles ``kx, ky`` in mrad, in the frame of the crystal, of the frame's bins."""
        right, down = (self.frame.x - setting.right) / setting.scale, (self.frame.y - setting.down) / setting.scale
        right = setting.hand * right
        co, si = np.cos(setting.rotation), np.sin(setting.rotation)
        return co * right + si * down, -si * right + co * down
