"""`FixedLens`: the signals of some detectors at one setting of the lens, as Fourier coefficients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Detector

Array = npt.NDArray[Any]

#: Settings that do not belong to the lens: what they do to an image follows from its coefficients.
FREE = ("source_size", "dose", "pixel", "field", "acquisition")
#: Relative difference up to which a setting is that of the lens, for rounding.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class FixedSignals:
    """Signals of one detector at one thickness: what `rhotem.scattering.response.asked.Asked` is of a response.

    Parameters
    ----------
    recorder : Recorder
        Without positions; its columns are those of ``values``.
    cell : (float, float)
        Å.
    indices : (n, 2) integer array
        Frequencies, as multiples of 1 / cell: one of each pair q and −q, the first is zero.
    values : (columns, n) complex array
        Signals are ``Re Σ w c exp(−2πi q·r)``, w = 1 at zero, else 2.
    """

    recorder: Recorder
    cell: tuple[float, float]
    indices: npt.NDArray[np.int64]
    values: npt.NDArray[np.complex128]

    def spectrum(self, microscope: Microscope) -> Array:
        """Coefficients (n, columns): the lens is one."""
        return self.values.T

    def signals(self, spectrum: Array, scan: Scan, source_size: float) -> Array:
        """Signals (columns, nx, ny) at the positions of the whole cell, blurred by a source of that FWHM in Å.

        Raises
        ------
        InputError
            If the scan is not one of the whole cell.
        """
        if not (scan.periodic and np.allclose(scan.size, self.cell, rtol=1e-9) and scan.origin == (0.0, 0.0)):
            raise InputError("coefficients of images give images of one whole cell")
        q2 = ((self.indices / np.array(self.cell)) ** 2).sum(axis=1)
        blur = np.exp(-2 * np.pi**2 * source_size**2 / (8 * np.log(2)) * q2)
        grid = np.zeros((*scan.shape, spectrum.shape[1]), dtype=complex)
        # the rim of a soft aperture has frequencies that few positions take for others, as every scan does
        place = tuple((self.indices % np.array(scan.shape)).T)
        np.add.at(grid, place, spectrum * (blur * np.where(q2 > 0, 2.0, 1.0))[:, None])
        return np.asarray(np.fft.fft2(grid, axes=(0, 1)).real.transpose(2, 0, 1))


@dataclass(frozen=True, eq=False)
class FixedLens:
    """Images that one lens makes of a specimen, at some thicknesses.

    Everything that does not belong to the lens may be asked: source size, dose, scan. It answers as a
    `rhotem.scattering.response.Response` does, but for the lens.

    Parameters
    ----------
    microscope : Microscope
    detectors : tuple of detectors
    cell, supercell : (float, float)
        Å: the periodic cell that images show, and that of the probe.
    thicknesses : tuple of float
        Å.
    indices : (n, 2) integer array
        Frequencies, as `FixedSignals`.
    values : (thicknesses, rows, n) complex array
        Coefficients of signals.
    rows : tuple of tuple of int
        Of every detector the rows of ``values`` that its channels are, then those of its disjoint parts, in which
        electrons are counted.
    record : dict
        How it was made; ``physics`` is the version of the physics (`rhotem.core.physics`).
    rounding : float
        Largest error of a coefficient by half precision, over the largest of its row; 0: none.
    """

    microscope: Microscope
    detectors: tuple[Detector, ...]
    cell: tuple[float, float]
    supercell: tuple[float, float]
    thicknesses: tuple[float, ...]
    indices: npt.NDArray[np.int64]
    values: npt.NDArray[np.complex128]
    rows: tuple[tuple[int, ...], ...]
    record: dict[str, Any]
    rounding: float = 0.0

    @property
    def extent(self) -> tuple[float, float]:
        """Sides in Å of the periodic cell that images show."""
        return self.cell

    def level(self, thickness: float | None) -> int:
        """Place of a thickness in Å; None: the largest.

        Raises
        ------
        InputError
            If it is not held.
        """
        from rhotem.scattering.response.limits import level_of

        return level_of(self.thicknesses, thickness, self.record["plan"]["slice_thickness"], "there are images of")

    def asked(self, settings: Mapping[str, Any], thickness: float) -> Microscope:
        """The microscope with source, dose and scan replaced.

        Raises
        ------
        InputError
            If another lens is asked for.
        """
        from rhotem.scattering.response.limits import replaced

        asked = replaced(self.microscope, settings, "these images")
        lens, held = (one.model_dump(exclude=set(FREE)) | one.coefficients for one in (asked, self.microscope))
        others = sorted(key for key in lens.keys() | held.keys() if not _same(lens.get(key), held.get(key)))
        if others:
            raise InputError(
                f"{', '.join(others)}: these images are of one lens; `rhotem response` makes what others ask"
            )
        return asked

    def ready(self, detectors: tuple[Detector, ...], level: int, *, counted: bool = False) -> FixedSignals:
        """One of the detectors at one thickness.

        Raises
        ------
        InputError
            If there are no images of that detector.
        """
        if len(detectors) != 1 or detectors[0] not in self.detectors:
            held = ", ".join(name for one in self.detectors for name in one.image_names())
            raise InputError(f"these images are {held}, each of its own detector; `rhotem response` makes others")
        recorder = Recorder(detectors, 0, self.microscope.wavelength, self.supercell, counted=counted)
        rows = list(self.rows[self.detectors.index(detectors[0])][: recorder.sums.shape[1]])
        return FixedSignals(recorder, self.cell, self.indices, self.values[level, rows])


def _same(one: Any, other: Any) -> bool:
    """Whether two settings are equal; a coefficient of zero is as good as none."""
    if isinstance(one, dict) or isinstance(other, dict):  # compared by their coefficients
        return True
    if isinstance(one, (int, float, type(None))) and isinstance(other, (int, float, type(None))):
        return abs((one or 0.0) - (other or 0.0)) <= ROUNDING * max(1.0, abs(other or 0.0))
    return bool(one == other)
