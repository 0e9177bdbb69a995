"""Apertures that may be asked of patterns, and the pixels that these are shown on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.camera import Camera, shares
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aperture, corner
from rhotem.scattering.patterns.beams import shift_of

Array = npt.NDArray[np.float64]

#: Relative slack of limits.
SLACK = 1e-9


@dataclass(frozen=True)
class Aperture:
    """An aperture that was asked for.

    Parameters
    ----------
    convergence : float
        mrad.
    tilt : (float, float)
        mrad.
    outer : float
        Where its pattern ends, mrad around the beam.
    centre : (float, float)
        Its centre among the beams that were propagated, 1/Å.
    """

    convergence: float
    tilt: tuple[float, float]
    outer: float
    centre: tuple[float, float]


@dataclass(frozen=True)
class Limits:
    """What patterns hold.

    Parameters
    ----------
    microscope : Microscope
        Its ``convergence`` is the largest, its ``tilt`` what mistilts are around.
    outer, tilt : float
        mrad.
    supercell : (float, float)
        Å.
    """

    microscope: Microscope
    outer: float
    tilt: float
    supercell: tuple[float, float]

    @property
    def step(self) -> tuple[float, float]:
        """Pixel in mrad, as computed."""
        scale = 1e3 * self.microscope.wavelength
        return scale / self.supercell[0], scale / self.supercell[1]

    def aperture(
        self, convergence: float | None = None, tilt: tuple[float, float] | None = None, outer: float | None = None
    ) -> Aperture:
        """An aperture, if its beams and pattern are held.

        Raises
        ------
        InputError
            If they are not; the message says what is.
        """
        largest, base = self.microscope.convergence, self.microscope.tilt
        alpha = largest if convergence is None else convergence
        lean, end = base if tilt is None else (float(tilt[0]), float(tilt[1])), self.outer if outer is None else outer
        if not (np.isfinite(alpha) and alpha > 0 and np.isfinite(end) and end > 0 and np.isfinite(lean).all()):
            raise InputError(f"convergence {alpha}, tilt {lean}, outer {end} mrad: expected positive angles")
        moved = np.tan(1e-3 * np.array(lean)) - np.tan(1e-3 * np.array(base))
        off, room = 1e3 * float(np.hypot(*moved)), shift_of(self.microscope, self.tilt)
        wide = alpha + off > (largest + room) * (1 + SLACK)
        if alpha > largest * (1 + SLACK) and wide:
            raise InputError(f"convergence {alpha:g} mrad: the patterns hold up to {largest:g} mrad")
        if wide or end + off > (self.outer + room) * (1 + SLACK):
            around = f" around {base[0]:g}, {base[1]:g} mrad" if any(base) else ""
            raise InputError(
                f"tilt {lean[0]:g}, {lean[1]:g} mrad with {alpha:g} mrad and patterns to {end:g} mrad: the patterns "
                f"hold mistilts to {self.tilt:g} mrad{around} with {largest:g} mrad and patterns to {self.outer:g} mrad"
            )
        kx, ky = (float(c) / self.microscope.wavelength for c in moved)
        return Aperture(alpha, lean, end, (kx, ky))

    def covered(self, beams: npt.NDArray[np.int64], lens: Aperture) -> Array:
        """Covered part of the pixels of beams (..., 2) in an aperture."""
        step = (1 / self.supercell[0], 1 / self.supercell[1])
        kx, ky = beams[..., 0] * step[0] - lens.centre[0], beams[..., 1] * step[1] - lens.centre[1]
        opened = self.microscope.model_copy(update={"convergence": lens.convergence})
        return np.asarray(aperture(kx, ky, opened, step))

    def half(self, angle: float) -> tuple[int, int]:
        """Pixels on either side of the middle one of a pattern to ``angle`` mrad."""
        k = 1e-3 * angle / self.microscope.wavelength
        return int(k * self.supercell[0] + 0.5), int(k * self.supercell[1] + 0.5)

    def within(self, patterns: Array, lens: Aperture) -> Array:
        """Patterns (n, kx, ky) around the axis, 0 beyond their end around the beam."""
        size, shape = np.array(self.supercell), patterns.shape[1:]
        kx, ky = ((np.arange(n) - n // 2) / side - c for n, side, c in zip(shape, size, lens.centre, strict=True))
        reach = 1e-3 * lens.outer / self.microscope.wavelength + corner((1 / size[0], 1 / size[1]))
        return np.asarray(patterns * (kx[:, None] ** 2 + ky[None] ** 2 <= reach**2))

    def on_pixels(self, patterns: Array, lens: Aperture, camera_step: float | None) -> Array:
        """Patterns (n, kx, ky) around the axis as patterns around the beam, on computed pixels or those of a camera.

        Pixels are spread evenly over their area, also where a tilt is no whole number of them.
        """
        shape = patterns.shape[1:]
        seen = self.within(patterns, lens)
        if camera_step is None:
            half, own, pixel = self.half(lens.outer), (1.0, 1.0), 1.0
        elif not max(self.step) * (1 - SLACK) <= camera_step < np.inf:  # NaN, too
            raise InputError(
                f"camera step {camera_step:g} mrad: the patterns have pixels of {self.step[0]:.3g} × "
                f"{self.step[1]:.3g} mrad; make them with that camera_step"
            )
        else:  # whole pixels of what was seen
            camera = Camera(camera_step)
            end = lens.outer if camera.edge(lens.outer) <= lens.outer else max(0.0, lens.outer - camera_step)
            half, own, pixel = (camera.half(end), camera.half(end)), self.step, camera_step
        x, y = (
            shares(n, width, pixel, h, c * side * width)
            for n, width, h, c, side in zip(shape, own, half, lens.centre, self.supercell, strict=True)
        )
        return np.asarray(np.einsum("ik,tkl,jl->tij", x, seen, y, optimize=True))
