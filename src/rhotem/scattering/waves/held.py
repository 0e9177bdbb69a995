"""`Waves`: patterns and images of any probe, from one propagation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.assembly import Assembly, BeamGroup
from rhotem.microscope.derive import derive_images, phonon_errors
from rhotem.microscope.images import ImageSet
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.record import Recorder, recorder_of
from rhotem.microscope.scan import Scan
from rhotem.microscope.scatter import Samples
from rhotem.microscope.settings import Detector, Pixelated, farthest_angle
from rhotem.scattering.patterns.ladder import weights_of
from rhotem.scattering.response.limits import ROUNDING, check_probe, replaced
from rhotem.scattering.response.range import Range
from rhotem.scattering.waves.store import save_waves


@dataclass(frozen=True, eq=False)
class Waves:
    """The scattering matrix of one specimen, for all configurations and some exits.

    Parameters
    ----------
    microscope : Microscope
        Its ``energy``, ``tilt`` and ``camera_step`` stay, its ``convergence`` is the largest.
    range : Range
        Defocus, aberrations and apertures that the supercell was made for.
    outer : float
        Where patterns end, mrad.
    supercell : (float, float)
        Å.
    thicknesses : tuple of float
        Å, increasing.
    groups : tuple of BeamGroup
    outgoing : tuple of (m, 2) int arrays
        Beams that those of each group are scattered into, in units of the supercell's reciprocal cell.
    matrices : tuple of (configurations, thicknesses, n, m) complex64 arrays
    record : dict
        How it was made.
    """

    microscope: Microscope
    range: Range
    outer: float
    supercell: tuple[float, float]
    thicknesses: tuple[float, ...]
    groups: tuple[BeamGroup, ...]
    outgoing: tuple[npt.NDArray[np.int64], ...]
    matrices: tuple[npt.NDArray[np.complex64], ...]
    record: dict[str, Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the matrices."""
        return sum(matrix.nbytes for matrix in self.matrices)

    def cbed(
        self,
        positions: npt.ArrayLike,
        *,
        thickness: float | None = None,
        **settings: Any,
    ) -> npt.NDArray[np.float64]:
        """Convergent-beam patterns (positions, kx, ky) as fractions of the beam in every pixel.

        Parameters
        ----------
        positions : (n, 2) array
            Å.
        thickness : float or None
            Å; None: the largest.
        **settings
            As `images`; the source is a point.
        """
        level = self.level(thickness)
        asked = self._asked({**settings, "dose": None, "source_size": 0.0}, level)
        places = np.atleast_2d(np.asarray(positions, dtype=float))
        detector = Pixelated(outer=self.outer)
        recorder = recorder_of(asked, (detector,), len(places), self.supercell)
        for configuration in range(self._configurations):
            self._through(asked, configuration, level, places, recorder)
        scan = Scan((len(places), 1), self.supercell)  # in the order given
        shown = derive_images(
            recorder.folded(scan.shape, (1, 1), self._configurations), scan, asked, (detector,), None, {}
        )
        return np.asarray(shown.patterns[detector.name][:, 0], dtype=np.float64)

    def images(
        self,
        detectors: Sequence[Detector],
        *,
        thickness: float | None = None,
        scan: Scan | None = None,
        rng: np.random.Generator | None = None,
        **settings: Any,
    ) -> ImageSet:
        """Images and patterns as a simulation with complete configurations gives them.

        Parameters
        ----------
        detectors : sequence of detectors
            Any that do not reach beyond the corners of patterns to ``outer``.
        thickness : float or None
            Å; None: the largest.
        scan : Scan or None
            Positions; None: those that determine the image of the potential's cell.
        rng : numpy Generator or None
            Needed with a dose.
        **settings
            Fields of `Microscope` that differ: ``convergence`` in mrad, ``defocus``, ``cs`` in Å, ``aberrations``,
            ``source_size``, ``focal_spread`` in Å, ``dose`` in e/Å² (None: no counting).

        Raises
        ------
        InputError
            If a setting, a detector or the thickness is not held.
        """
        level, shown = self.level(thickness), tuple(detectors)
        asked = self._asked(settings, level)
        if asked.dose is not None and rng is None:
            raise InputError("a dose needs a random generator: pass rng=numpy.random.default_rng(seed)")
        most = farthest_angle([Pixelated(outer=self.outer)], asked.camera_step)
        far = max(shown, key=lambda d: farthest_angle([d], asked.camera_step))
        if farthest_angle([far], asked.camera_step) > most * (1 + ROUNDING):
            raise InputError(f"detector {far.name}: the waves hold patterns to {self.outer:g} mrad and their corners")
        scan = scan or Scan.cell(self.extent, asked)
        recorder = recorder_of(asked, shown, len(scan.positions), self.supercell)
        sample = Samples(recorder, scan.shape, (1, 1))
        for configuration in range(self._configurations):
            self._through(asked, configuration, level, scan.positions, recorder)
            sample.take()
        mean = sample.mean()
        record = {**self.record, "microscope": asked.model_dump(), "detectors": [d.model_dump() for d in shown]}
        record |= {"thickness": self.thicknesses[level], "waves": True}
        record["phonon_error"] = phonon_errors(sample, mean, scan, asked, shown)
        return derive_images(mean, scan, asked, shown, rng, record)

    def level(self, thickness: float | None) -> int:
        """Place of a thickness in Å; None: the largest.

        Raises
        ------
        InputError
            If it is not held.
        """
        asked = self.thicknesses[-1] if thickness is None else thickness
        weights = weights_of(self.thicknesses, [asked], False, self.record["plan"]["slice_thickness"], "waves")
        return int(weights[0].argmax()) - 1

    def save(self, path: str | Path) -> None:
        """Write it as a Zarr group (`rhotem.scattering.waves.open_waves` reads it)."""
        save_waves(self, Path(path))

    @property
    def _configurations(self) -> int:
        return int(self.record["configurations"])

    @property
    def extent(self) -> tuple[float, float]:
        """Sides in Å of the cell of the potential."""
        m, n = self.record["plan"]["tiling"]
        return self.supercell[0] / m, self.supercell[1] / n

    def _asked(self, settings: dict[str, Any], level: int) -> Microscope:
        asked = replaced(self.microscope, settings, "a set of waves")
        check_probe(asked, self.microscope, min(self.supercell), self.thicknesses[level], "set of waves")
        return asked

    def _through(
        self,
        asked: Microscope,
        configuration: int,
        level: int,
        positions: npt.NDArray[np.float64],
        recorder: Recorder,
    ) -> None:
        """Add what probes of one configuration give."""
        plan = self.record["plan"]
        probe = Assembly(asked, self.supercell, tuple(plan["tiling"]), self.groups, plan["slice_thickness"])
        for group, beams, matrices in zip(self.groups, self.outgoing, self.matrices, strict=True):
            probe.add(group, matrices[configuration, level], beams, positions, recorder)
