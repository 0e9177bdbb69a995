"""Iterative ptychography by quantem: one slice or several, gradient descent of the amplitudes of the patterns."""

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rhotem.core import InputError, Progress, silent
from rhotem.microscope.images import ImageSet
from rhotem.microscope.reconstruct.base import Method, phase_images
from rhotem.microscope.reconstruct.bridge import amplitude, dataset, require_quantem, rim_as_amplitude, said
from rhotem.microscope.reconstruct.data import ScannedPatterns
from rhotem.microscope.scan import Scan

Array = npt.NDArray[np.float64]

#: Patterns of a step of the optimiser, and its size in rad: Adam moves every pixel by about so much.
BATCH, STEP = 48, 1e-3
#: What is said of its phases.
DOUBT = (
    "phases of a thin test object were 5 to 17 % low, of details beyond the aperture's frequency more, and several "
    "slices are untested: "
    "look, do not measure (docs/reconstructions.md); ssb is within 5 %"
)


class Ptychography(Method):
    """Iterative ptychography (quantem): the phase of every slice, with the probe that energy and lens make.

    Parameters
    ----------
    iterations : int
        Passes over all patterns.
    slices : int
        Of the object; more than one is multislice ptychography.
    thickness_nm : float
        Of the specimen, which the slices divide.
    """

    about: ClassVar[str] = "iterative ptychography of a defocused probe, one slice or several (quantem)"
    extra: ClassVar[str] = "reconstruct"

    kind: Literal["ptychography"] = "ptychography"
    iterations: int = Field(20, ge=1)
    slices: int = Field(1, ge=1)
    thickness_nm: float = Field(0.0, ge=0)

    def reconstruct(self, patterns: ScannedPatterns, progress: Progress = silent) -> ImageSet:
        """Phase in rad of all slices together, and of each where there are several; means are zero.

        Raises
        ------
        InputError
            If several slices have no thickness, or the patterns are turned against the scan.
        """
        require_quantem("ptychography")
        if self.slices > 1 and not self.thickness_nm:
            raise InputError(f"ptychography: {self.slices} slices of which thickness? Say --thickness in nm")
        if patterns.rotation:
            raise InputError("ptychography: patterns must not be turned against the scan; use ssb or wiener")
        repeated = _repeated(patterns) if patterns.scan.periodic else patterns
        solver = self._solver(repeated)
        for done in range(self.iterations):
            self._iterate(solver, first=done == 0)
            progress("ptychography", done + 1, self.iterations)
        slices, scan = _on_scan(np.asarray(solver.obj_cropped, np.float64), solver, patterns)
        slices -= slices.mean(axis=(1, 2), keepdims=True)
        images = {"ptychography": slices.sum(axis=0)}
        if self.slices > 1:
            images |= {f"slice {number + 1}": one for number, one in enumerate(slices)}
        losses = [float(loss) for loss in solver._iter_losses]
        return phase_images(images, patterns, scan, said("ptychography", losses=losses, remarks=[DOUBT]))

    def _solver(self, patterns: ScannedPatterns) -> Any:
        from quantem.diffractive_imaging.dataset_models import PtychographyDatasetRaster
        from quantem.diffractive_imaging.ptychography_lite import PtychoLite

        made, _ = dataset(rim_as_amplitude(patterns))
        raster = PtychographyDatasetRaster.from_dataset4dstem(
            made, verbose=False, learn_descan=False, learn_scan_positions=False
        )
        raster.preprocess(
            com_fit_function="constant",
            force_com_rotation=0.0,
            force_com_transpose=False,
            plot_rotation=False,
            plot_com=False,
            probe_energy=patterns.microscope.energy,
        )
        size = [int(n) for n in raster.roi_shape]
        return PtychoLite.from_dataset(
            raster,
            num_slices=self.slices,
            slice_thicknesses=10 * self.thickness_nm / self.slices if self.slices > 1 else None,
            obj_type="pure_phase",
            energy=patterns.microscope.energy,
            semiangle_cutoff=patterns.microscope.convergence,
            polar_parameters=patterns.microscope.coefficients,
            vacuum_probe_intensity=_vacuum(patterns, (size[0], size[1])),
            obj_padding_px=(size[0] // 2, size[1] // 2),
            verbose=False,
            rng=0,
        )

    def _iterate(self, solver: Any, first: bool) -> None:
        from quantem.diffractive_imaging.ptychography import Ptychography as Solver

        optimiser: dict[str, Any] = {"object": {"name": "adam", "lr": STEP}}
        Solver.reconstruct(
            solver,
            num_iters=1,
            optimizer_params=optimiser if first else None,
            scheduler_params={"object": {"name": "none"}} if first else None,
            batch_size=BATCH,
        )


def _repeated(patterns: ScannedPatterns) -> ScannedPatterns:
    """A periodic scan over two cells a side: one in the middle is seen from all sides."""
    scan = patterns.scan
    twice = Scan((2 * scan.shape[0], 2 * scan.shape[1]), (2 * scan.size[0], 2 * scan.size[1]), scan.origin)
    return replace(patterns, data=np.tile(patterns.data, (2, 2, 1, 1)), scan=twice)


def _vacuum(patterns: ScannedPatterns, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Intensity of the probe on the detector, zero angle in the corner."""
    axes = (np.fft.fftfreq(n, 1 / (n * s)) for n, s in zip(shape, patterns.angular_step, strict=True))
    kx, ky = np.meshgrid(*axes, indexing="ij")
    return np.asarray(amplitude(patterns, kx, ky) ** 2, np.float32)


def _on_scan(slices: Array, solver: Any, patterns: ScannedPatterns) -> tuple[Array, Scan]:
    """Slices (n, nx, ny) over the field of the scan; of a periodic one over one cell."""
    pixel, scan = [float(length) for length in solver.dset.obj_sampling], patterns.scan
    _, nx, ny = slices.shape
    if not scan.periodic:
        return slices, Scan((nx, ny), (nx * pixel[0], ny * pixel[1]), scan.origin, periodic=False)
    from scipy.interpolate import RectBivariateSpline

    shape = [int(np.ceil(length / p)) for length, p in zip(scan.size, pixel, strict=True)]
    # half a cell is left aside before and behind; rolling brings the first position back to the corner
    at = [length * (0.5 + np.arange(n) / n) for length, n in zip(scan.size, shape, strict=True)]
    x, y = (p * np.arange(n) for p, n in zip(pixel, (nx, ny), strict=True))
    cells = [_rolled(RectBivariateSpline(x, y, one)(*at)) for one in slices]
    return np.stack(cells), Scan((shape[0], shape[1]), scan.size, scan.origin)


def _rolled(cell: Array) -> Array:
    """A cell that starts half a period off, from its corner; exact by Fourier phases for any number of pixels."""
    n, m = cell.shape
    shift = np.exp(-1j * np.pi * (np.rint(np.fft.fftfreq(n) * n)[:, None] + np.rint(np.fft.fftfreq(m) * m)[None]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(cell) * shift).real, np.float64)
