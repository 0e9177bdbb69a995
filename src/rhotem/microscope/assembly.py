"""Probes put together from the beams of an aperture, and what detectors see of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rhotem.microscope.coherence import focal_nodes
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aberration_phase, aperture, aperture_weights, opening_of, soft_aperture
from rhotem.microscope.record import Recorder
from rhotem.microscope.rim import Edge, Rim

Complex = npt.NDArray[np.complex64]
Array = npt.NDArray[np.floating]

#: Bytes of diffracted intensity held at a time while probes are assembled.
PROBE_BYTES = 16 * 1024**2


@dataclass(frozen=True)
class BeamGroup:
    """Beams of the probe that share κ.

    Parameters
    ----------
    kappa : (2,) int array
        κ in units of 1/L, folded into the first reciprocal cell of P.
    vectors : (n, 2) int array
        H in units of 1/P.
    """

    kappa: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.int64]


def path(microscope: Microscope, kx: npt.NDArray, ky: npt.NDArray, length: float) -> npt.NDArray:
    """Phase in rad that plane waves (1/Å) lose over ``length`` Å along the tilted crystal's axis."""
    tx, ty = np.tan(1e-3 * np.array(microscope.tilt))
    phase = np.pi * microscope.wavelength * (kx**2 + ky**2) + 2 * np.pi * (kx * tx + ky * ty)
    return np.asarray(length * phase)


@dataclass(frozen=True, eq=False)
class Assembly:
    """Probes of one microscope as sums of the beams of a supercell.

    Parameters
    ----------
    microscope : Microscope
    supercell : (float, float)
        Å.
    tiling : (int, int)
        The supercell in cells of the potential.
    groups : tuple of BeamGroup
        All beams of its aperture; those beyond add nothing.
    thickness : float
        Of a slice, Å.
    edge_average : bool
        Average over the pixels of aperture and detector edges (`rhotem.microscope.rim`).
    """

    microscope: Microscope
    supercell: tuple[float, float]
    tiling: tuple[int, int]
    groups: tuple[BeamGroup, ...]
    thickness: float
    edge_average: bool = True

    def members(self, group: BeamGroup) -> npt.NDArray[np.int64]:
        """Beams (n, 2) of a group in units of the supercell's reciprocal cell."""
        return np.asarray(group.kappa + group.vectors * np.array(self.tiling))

    def covered(self, group: BeamGroup, areas: bool = False) -> Array:
        """What each beam of a group counts in a sum over the aperture; without averages abTEM's soft edge.

        ``areas``: parts of pixels inside it, which patterns take, instead of weights to fourth order.
        """
        kx, ky = self._frequencies(self.members(group))
        averaged = aperture if areas else aperture_weights
        weights = averaged if self.edge_average else soft_aperture
        return weights(kx, ky, self.microscope, (1 / self.supercell[0], 1 / self.supercell[1]))

    @cached_property
    def norm(self) -> float:
        """What amplitudes are divided by."""
        power = 1 if self.edge_average else 2
        return float(np.sqrt(sum((self.covered(group) ** power).sum() for group in self.groups)))

    def entrance_phase(self, beams: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Phase in rad that beams (n, 2) of the supercell lose before the middle of the first slice."""
        return path(self.microscope, *self._frequencies(beams), self.thickness / 2)

    def add(
        self,
        group: BeamGroup,
        matrix: Complex,
        beams: npt.NDArray[np.int64],
        positions: npt.NDArray[np.float64],
        recorder: Recorder,
    ) -> None:
        """Add the diffracted intensities of all probes in the components of one κ.

        Parameters
        ----------
        group : BeamGroup
        matrix : (n, m) array
            What its beams scatter into those detected, for unit amplitude.
        beams : (m, 2) int array
            These, in units of the supercell's reciprocal cell.
        positions : (p, 2) array
            Probe positions in Å.
        recorder : Recorder
        """
        weights = recorder.weights(beams)
        size = max(1, PROBE_BYTES // (8 * len(beams)))
        covered, area = self.covered(group, recorder.pixelated), self.covered(group, areas=True)
        rim = None
        if self.edge_average:
            edge = np.flatnonzero(((covered != 0) & (covered != 1)) | (covered != area))
            there = Edge(self.members(group)[edge], covered[edge], area[edge], matrix[edge], edge)
            rim = Rim(there, self.norm, opening_of(self.microscope), beams, recorder)
        # the mean pattern takes fewer products from pairs of beams, unless these are more than probes
        paired = rim is not None and not recorder.pixelated and len(matrix) <= len(positions)
        pairs = np.zeros(2 * (len(matrix) if paired else 0,), dtype=np.complex128)
        for offset, share in zip(*focal_nodes(self.microscope), strict=True):
            for start in range(0, len(positions), size):
                rows = slice(start, min(start + size, len(positions)))
                plane_waves = self.plane_waves(group, positions[rows], offset)
                waves = (plane_waves * covered.astype(np.float32)) @ matrix
                intensity = waves.real**2
                intensity += waves.imag**2
                if paired:
                    plain = plane_waves * area.astype(np.float32)
                    pairs += share * (plain.conj().T @ plain)
                else:
                    shown = intensity if rim is None else rim.shown(plane_waves, waves)
                    recorder.show(rows, beams, np.float32(share) * shown)
                if rim is not None:
                    intensity += rim.background
                    recorder.sums[rows] += share * rim.correction(plane_waves, waves)
                if share != 1:
                    intensity *= np.float32(share)
                recorder.add(rows, weights, intensity)
        if paired and rim is not None:
            total = (matrix.conj() * (pairs.astype(np.complex64) @ matrix)).real.sum(axis=0, dtype=np.float64)
            recorder.show_mean(beams, total + len(positions) * rim.background_shown)

    def _frequencies(self, h: npt.NDArray[np.int64]) -> tuple[npt.NDArray, npt.NDArray]:
        return h[:, 0] / self.supercell[0], h[:, 1] / self.supercell[1]

    def plane_waves(self, group: BeamGroup, positions: npt.NDArray[np.float64], defocus: float) -> Complex:
        """Amplitudes (positions, beams) of normalised probes whose aperture were open everywhere."""
        beams = self.members(group)
        kx, ky = self._frequencies(beams)
        chi = aberration_phase(kx, ky, self.microscope, defocus) + self.entrance_phase(beams)
        phase = positions[:, :1] * kx + positions[:, 1:] * ky
        return (np.exp(-1j * (chi + 2 * np.pi * phase)) / self.norm).astype(np.complex64)
