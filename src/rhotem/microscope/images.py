"""`ImageSet`: the calibrated images of one simulation."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.detectors import unit
from rhotem.microscope.diffraction import Diffraction
from rhotem.microscope.scan import Scan, fourier_resample, translation_average
from rhotem.microscope.signals import field_of_view


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one scan, all with the same positions.

    Parameters
    ----------
    images : dict of (nx, ny) arrays
        By name: HAADF, ABF, … as fractions of the incident beam, iDPC in rad, DPC and CoM in mrad, dDPC in mrad/Å.
    scan : Scan
        Positions; axis 0 is x, axis 1 is y of the imaging cell.
    diffraction : (2Nx+1, 2Ny+1) array
        Position-averaged diffraction pattern (PACBED), fraction of the beam per pixel, zero angle in the middle. Of
        parallel illumination: elastic intensity at the reciprocal vectors of the imaging cell. Of a response: empty.
    angular_step : (float, float)
        Pixel of the diffraction patterns in mrad.
    patterns : dict of (nx, ny, Kx, Ky) arrays
        Diffraction patterns of pixelated detectors.
    record : dict
        Microscope, detectors, algorithm, plan, times.
    plane_wave : Diffraction or None
        Spots and diffuse scattering, of parallel illumination.
    clean : dict of (nx, ny) arrays
        The same optics recorded without a flaw and without noise; empty where nothing but counting spoils images.
    exit_wave : (mx, my) complex array or None
        Mean wave of one cell behind the specimen, of parallel illumination; 1 in vacuum.
    displacements : (2, nx, ny) array or None
        Å along x and y of the probe from the positions of the scan, where there are any.
    """

    images: dict[str, npt.NDArray]
    scan: Scan
    diffraction: npt.NDArray[np.float64]
    angular_step: tuple[float, float]
    patterns: dict[str, npt.NDArray] = field(default_factory=dict)
    record: dict = field(default_factory=dict)
    plane_wave: Diffraction | None = None
    clean: dict[str, npt.NDArray] = field(default_factory=dict)
    displacements: npt.NDArray[np.float64] | None = None
    exit_wave: npt.NDArray[np.complexfloating] | None = None

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        if name not in self.images:
            raise InputError(f"no image {name!r}; there are {', '.join(self.images)}")
        return self.images[name]

    def __str__(self) -> str:
        step, size = self.scan.step, self.scan.size
        rows: list[tuple[str, ...]] = [("image", "unit", "least", "mean", "most")]
        for name, image in self.images.items():
            rows.append((name, self.unit(name) or "beam", *_range(image)))
        rows += [(name, "beam", "patterns", f"{p.shape[2]} x {p.shape[3]}", "") for name, p in self.patterns.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1])])
            + "".join(f"  {cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True))
            for row in rows
        ]
        head = (
            f"{self.scan.shape[0]} x {self.scan.shape[1]} positions, {step[0]:.3g} x {step[1]:.3g} Å apart, "
            f"on {size[0]:.2f} x {size[1]:.2f} Å"
        )
        lines = [head, *(line.rstrip() for line in table)] if len(rows) > 1 else []
        if not lines and self.plane_wave is None and self.diffraction.size:
            (n, m), (a, b) = self.diffraction.shape, self.angular_step
            share = 100 * float(self.diffraction.sum())
            lines = [f"PACBED: {n} x {m} pixels of {a:.3g} x {b:.3g} mrad, {share:.4g} % of the beam"]
        return "\n".join([*lines, *([str(self.plane_wave)] if self.plane_wave else [])])

    def unit(self, name: str) -> str:
        """Unit of an image; empty for fractions of the beam."""
        return str(self.record.get("units", {}).get(name) or unit(name))

    def without_flaws(self) -> "ImageSet":
        """The clean images, with the record of the recorded ones."""
        record = {**self.record, "units": {}, "clean": True}
        return replace(
            self, images=self.clean, clean={}, patterns={}, displacements=None, exit_wave=None, record=record
        )

    @property
    def sampling(self) -> tuple[float, float]:
        """Å per pixel along x and y."""
        return self.scan.step

    def resampled(self, step: float) -> "ImageSet":
        """The same images with pixels not above ``step`` (Å): exact for a noise-free scan of a periodic cell.

        Raises
        ------
        InputError
            If the scan is not periodic.
        """
        self._require_periodic("resampling")
        shape = (int(np.ceil(self.scan.size[0] / step - 1e-9)), int(np.ceil(self.scan.size[1] / step - 1e-9)))
        images = {name: fourier_resample(image, shape) for name, image in self.images.items()}
        return replace(self, images=images, scan=replace(self.scan, shape=shape), patterns={}, clean={})

    def recorded(self, pixel: float, field: float = 0.0) -> "ImageSet":
        """The same images at positions at most ``pixel`` (Å) apart, continued over whole cells to ``field`` (Å) a side.

        Steps coarser than those that determine the image pick values out of it, as a scan does.

        Raises
        ------
        InputError
            If the scan is not periodic.
        """
        self._require_periodic("another field of view")
        scan, images = self.scan, {}
        for name, image in self.images.items():
            images[name], scan = field_of_view(image, self.scan, pixel, field)
        return replace(self, images=images, scan=scan, patterns={})

    def averaged(self, translations: npt.NDArray[np.float64]) -> "ImageSet":
        """Images averaged over lattice ``translations`` (n, 2) in Å of the projected crystal."""
        self._require_periodic("averaging over translations")
        images = {name: translation_average(image, translations, self.scan.size) for name, image in self.images.items()}
        return replace(self, images=images, patterns={})

    def _require_periodic(self, what: str) -> None:
        if not self.scan.periodic:
            raise InputError(f"{what} needs a scan of the whole periodic cell; this one covers a part of it")


def _range(image: npt.NDArray) -> list[str]:
    """Least, mean and most of an image in words; what is rounding beside its size is 0."""
    most = float(np.abs(image).max(initial=0.0))
    seen = (float(image.min()), float(image.mean()), float(image.max()))
    return [f"{0.0 if abs(value) < 1e-12 * most else value:.4g}" for value in seen]
