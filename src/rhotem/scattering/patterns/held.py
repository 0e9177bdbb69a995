"""`Patterns`: position-averaged diffraction at any thickness, aperture and mistilt, from one propagation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.images import ImageSet
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.scan import Scan
from rhotem.microscope.scatter import image_errors
from rhotem.scattering.patterns.aperture import Aperture, Limits
from rhotem.scattering.patterns.beams import Scattered, shift_of
from rhotem.scattering.patterns.ladder import weights_of
from rhotem.scattering.patterns.store import save_patterns

Array = npt.NDArray[np.float64]

#: What is said of the error bar.
COMPARED = {
    False: "one share of the beams in two configurations",
    True: "two halves of the configurations",
}


@dataclass(frozen=True, eq=False)
class Twin:
    """What other displacements of the atoms would change, from one share of the beams.

    Parameters
    ----------
    scattered : Scattered
        Differences of two configurations, or of halves of all.
    dealt : (n,) int array
        The share of every beam; those of 0 are these.
    scale : float
        One standard error of what this share adds, over such a difference.
    """

    scattered: Scattered
    dealt: npt.NDArray[np.int64]
    scale: float

    def error(self, weights: Array) -> float:
        """One standard error of a whole pattern over the difference that the share makes in it.

        Shares fluctuate by themselves, each as this one in proportion to its ``weights`` (n,) of beams; of this one the
        mean of two configurations was taken where there are others.
        """
        sizes = np.bincount(self.dealt, weights)
        if len(sizes) == 1:
            return self.scale
        return self.scale * float(np.sqrt((sizes**2).sum() / sizes[0] ** 2 - 0.5)) if sizes[0] > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Patterns:
    """Intensities that the beams of an aperture scatter: position-averaged patterns are sums of them.

    Parameters
    ----------
    microscope : Microscope
        Its ``convergence`` is the largest, its ``tilt`` what mistilts are around.
    outer, tilt : float
        Where patterns end, around the beam, and the largest mistilt, mrad.
    supercell : (float, float)
        Å; its beams are the pixels.
    thicknesses : tuple of float
        Å, increasing.
    between : bool
        Whether thicknesses between those, and below the first, are interpolated.
    group : (operations, 2, 2) int array
        Symmetry on beams of the supercell.
    scattered : Scattered
    twin : Twin or None
        What tells the error bar of thermal motion.
    record : dict
        How they were made.
    """

    microscope: Microscope
    outer: float
    tilt: float
    supercell: tuple[float, float]
    thicknesses: tuple[float, ...]
    between: bool
    group: npt.NDArray[np.int64]
    scattered: Scattered
    twin: Twin | None
    record: dict[str, Any]

    @property
    def nbytes(self) -> int:
        """Bytes of intensities."""
        return self.scattered.values.nbytes + (self.twin.scattered.values.nbytes if self.twin else 0)

    @property
    def step(self) -> tuple[float, float]:
        """Pixel in mrad, as computed."""
        return self.limits.step

    @property
    def limits(self) -> Limits:
        """What can be asked for."""
        return Limits(self.microscope, self.outer, self.tilt, self.supercell)

    def __str__(self) -> str:
        depths = self.thicknesses
        held = f"{0.1 * depths[0]:.3g} to {0.1 * depths[-1]:.4g} nm, {len(depths)} thicknesses"
        between = ", any between by interpolation" if self.between else ""
        return "\n".join(
            [
                f"patterns    {len(self.scattered.beams)} beams, {len(self.group)} operations of symmetry, "
                f"{1e-6 * self.nbytes:.1f} MB",
                f"aperture    to {self.microscope.convergence:g} mrad, mistilt to {self.tilt:g} mrad",
                f"pixels      {self.step[0]:.3f} × {self.step[1]:.3f} mrad, to {self.outer:g} mrad around the beam",
                f"thickness   {held}{between}",
            ]
        )

    def pacbed(
        self,
        *,
        thickness: float | Sequence[float] | None = None,
        convergence: float | None = None,
        tilt: tuple[float, float] | None = None,
        camera_step: float | None = None,
        outer: float | None = None,
    ) -> npt.NDArray[np.float64]:
        """Position-averaged pattern as fractions of the beam in every pixel, the beam in the middle.

        Parameters
        ----------
        thickness : float or sequence of float
            Å; None: the largest. A sequence gives (thicknesses, kx, ky), one number (kx, ky).
        convergence : float or None
            mrad; None: the largest.
        tilt : (float, float) or None
            How far the beam leans towards +x and +y off the zone axis, in mrad; None: as these were made.
        camera_step : float or None
            Square pixels of a camera in mrad, not finer than those computed; None: those computed.
        outer : float or None
            Where the pattern ends, in mrad; None: that of the detector.

        Raises
        ------
        InputError
            If any of these is not held; the message says what is.
        """
        asked = self.thicknesses[-1] if thickness is None else thickness
        depths = np.atleast_1d(np.asarray(asked, dtype=float))
        lens = self.limits.aperture(convergence, tilt, outer)
        mixing = weights_of(self.thicknesses, depths.tolist(), self.between, self._slice)
        shown = self._mixed(self.scattered, lens, mixing)
        result = np.maximum(self.limits.on_pixels(shown, lens, camera_step), 0.0)  # a cubic may swing below
        return np.asarray(result if np.ndim(asked) else result[0])

    def around_axis(
        self, *, thickness: float, convergence: float, tilt: tuple[float, float]
    ) -> tuple[npt.NDArray[np.float64], tuple[float, float]]:
        """Pattern (kx, ky) as `pacbed` with the axis in the middle, and where the beam is, in pixels from there.

        Nothing is spread between pixels: of a tilt that is no whole number of them `pacbed` blurs a pattern by up to
        half a pixel, and least squares prefer tilts that blur as the measured pattern is blurred.
        """
        lens = self.limits.aperture(convergence, tilt, None)
        mixing = weights_of(self.thicknesses, [thickness], self.between, self._slice)
        shown = self.limits.within(self._mixed(self.scattered, lens, mixing), lens)
        x, y = (float(c * side) for c, side in zip(lens.centre, self.supercell, strict=True))
        return np.maximum(shown[0], 0.0), (x, y)

    def images(
        self,
        *,
        thickness: float | None = None,
        convergence: float | None = None,
        tilt: tuple[float, float] | None = None,
        camera_step: float | None = None,
        outer: float | None = None,
    ) -> ImageSet:
        """The same as what a simulation gives, with its record and the error bar of thermal motion."""
        depth = self.thicknesses[-1] if thickness is None else float(thickness)
        pattern = self.pacbed(thickness=depth, convergence=convergence, tilt=tilt, camera_step=camera_step, outer=outer)
        lens = self.limits.aperture(convergence, tilt, outer)
        errors: dict[str, Any] = {"from": "not known from one configuration", "images": {}}
        if self.twin is not None:
            mixing = weights_of(self.thicknesses, [depth], self.between, self._slice)
            change = self._mixed(self.twin.scattered, lens, mixing)
            weights = (self.limits.covered(self._images(self.scattered), lens) * self.scattered.shares).sum(axis=0)
            field = self.twin.error(weights) * self.limits.on_pixels(change, lens, camera_step)[0]
            found = image_errors(
                pattern.reshape(-1, 1), field.reshape(1, -1, 1), lambda flat: {"PACBED": flat.reshape(pattern.shape)}
            )
            errors = {"from": COMPARED[self.record["complete"]], "images": found}
        step = self.step if camera_step is None else (camera_step, camera_step)
        microscope = self.microscope.model_copy(
            update={"convergence": lens.convergence, "tilt": lens.tilt, "camera_step": camera_step}
        )
        record = {**self.record, "microscope": microscope.model_dump(), "thickness": depth, "patterns": True}
        scan = Scan((1, 1), self.supercell)
        return ImageSet({}, scan, pattern, step, {}, record | {"phonon_error": errors})

    def save(self, path: str | Path) -> None:
        """Write them as a Zarr group (`rhotem.scattering.patterns.open_patterns` reads it)."""
        save_patterns(self, Path(path))

    def at(self, thicknesses: Sequence[float]) -> "Patterns":
        """The same with some of its thicknesses (Å), and none between."""
        rows = weights_of(self.thicknesses, thicknesses, False, self._slice).argmax(axis=1) - 1
        kept = tuple(self.thicknesses[n] for n in rows)
        scattered = replace(self.scattered, values=self.scattered.values[rows])
        twin = self.twin and replace(
            self.twin, scattered=replace(self.twin.scattered, values=self.twin.scattered.values[rows])
        )
        return replace(self, thicknesses=kept, between=False, scattered=scattered, twin=twin)

    @property
    def _slice(self) -> float:
        return float(self.record["plan"]["slice_thickness"])

    def _mixed(self, scattered: Scattered, lens: Aperture, mixing: Array) -> Array:
        """Patterns (thicknesses, kx, ky) around the axis as sums of levels; of a twin nothing is at the entrance."""
        whole = scattered is self.scattered
        images = self._images(scattered)
        covered = self.limits.covered(images, lens) * scattered.shares
        norm = float(covered.sum()) if whole else self._norm(lens)
        if norm <= 0:
            raise InputError(
                f"convergence {lens.convergence:g} mrad: less than a pixel of {max(self.step):.2f} mrad; make patterns "
                "with finer ones (camera_step)"
            )
        half = self.limits.half(self.outer + shift_of(self.microscope, self.tilt))
        needed = np.flatnonzero(mixing[:, 1:].any(axis=0))
        sums = scattered.summed(covered, self.group, half, needed)
        result = np.tensordot(mixing[:, 1 + needed], sums, axes=1)
        if whole and mixing[:, 0].any():
            entrance = np.zeros(result.shape[1:])
            inside = covered > 0
            np.add.at(entrance, tuple((images[inside] + np.array(half)).T), covered[inside])
            result += mixing[:, 0, None, None] * entrance
        return np.asarray(result / norm)

    def _norm(self, lens: Aperture) -> float:
        """Beams of an aperture."""
        covered = self.limits.covered(self._images(self.scattered), lens)
        return float((covered * self.scattered.shares).sum())

    def _images(self, scattered: Scattered) -> npt.NDArray[np.int64]:
        """Beams (operations, n, 2) that symmetry maps those propagated to."""
        return np.asarray(np.einsum("gij,nj->gni", self.group, scattered.beams))
