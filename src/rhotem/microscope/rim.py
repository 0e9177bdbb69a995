"""Edges of the probe's aperture on the beams of a supercell, averaged over the pixels that those stand for."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.microscope.record import Recorder

Complex = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class Edge:
    """Beams at the edge of the aperture: those that count neither wholly nor not at all.

    Parameters
    ----------
    beams : (m, 2) int array
        In units of the supercell's reciprocal cell.
    covered : (m,) array
        What each counts in a sum over the aperture (`rhotem.microscope.optics.aperture_weights`).
    area : (m,) array
        Part of its pixel inside the aperture.
    matrix : (m, n) array
        What each scatters into the n beams that are detected, for unit amplitude.
    index : (m,) int array
        Their places among the beams of the probe.
    """

    beams: npt.NDArray[np.int64]
    covered: npt.NDArray[np.floating]
    area: npt.NDArray[np.floating]
    matrix: Complex
    index: npt.NDArray[np.int64]


class Rim:
    """What beams at the rim of the aperture add beyond their mean amplitude.

    In an infinite crystal beams of different κ never interfere, so the beams of L are points of a quadrature over κ.
    A beam at the rim stands for a pixel of which only the part f lies inside the aperture. The mean intensity over the
    pixel is that of the mean amplitude, f, plus f(1 − f) times the beam's own: an incoherent background. Where a
    detector ends inside the same pixel the two edges are correlated: with part o of the pixel inside both, w inside the
    detector and ψ₁, ψ₀ the wave with and without the beam, the signal is o|ψ₁|² + (w − o)|ψ₀|². Without both terms
    the error of the quadrature is first order in 1/L. With f, o and w from areas it is second order: their sums are
    those of means over pixels. Signals take weights that undo that (`rhotem.microscope.optics.quadrature`), a few per
    cent below 0 and above 1 beside the edge, in the same formulas. Patterns, where every pixel is seen, keep areas, and
    with them what is recorded beside them.

    Parameters
    ----------
    edge : Edge
    norm : float
        What amplitudes of the probe are divided by: the root of Σ f.
    opening : float
        Radius of the aperture in 1/Å.
    beams : (n, 2) int array
        The beams that are detected.
    recorder : Recorder
        Of the detectors.
    """

    def __init__(
        self, edge: Edge, norm: float, opening: float, beams: npt.NDArray[np.int64], recorder: Recorder
    ) -> None:
        self.edge = edge
        shares = (np.stack([f * (1 - f) for f in (edge.covered, edge.area)]) / norm**2).astype(np.float32)
        self.background, self.background_shown = shares @ (edge.matrix.real**2 + edge.matrix.imag**2)
        place = {tuple(beam): i for i, beam in enumerate(beams.tolist())}
        seen = [i for i, beam in enumerate(edge.beams.tolist()) if tuple(beam) in place]
        members, covered = edge.beams[seen], edge.covered[seen]
        self.index, self.part = edge.index[seen], covered.astype(np.float32)
        self.pixels = np.array([place[tuple(beam)] for beam in members.tolist()], dtype=np.int64)
        self.direct = edge.matrix[seen, self.pixels]
        both = recorder.weights(members, opening)
        self.excess = both - self.part[:, None] * recorder.weights(members)

    def correction(self, plane_waves: Complex, waves: Complex) -> npt.NDArray[np.float32]:
        """Signals (positions, channels) that the correlation of aperture and detector edges adds.

        ``plane_waves`` (positions, beams of the probe) are amplitudes of an aperture open everywhere, ``waves``
        (positions, n) the diffracted wave.
        """
        own = plane_waves[:, self.index] * self.direct
        here = waves[:, self.pixels]
        cross = 2 * (here.real * own.real + here.imag * own.imag)
        return (cross + (1 - 2 * self.part) * (own.real**2 + own.imag**2)) @ self.excess

    def shown(self, plane_waves: Complex, waves: Complex) -> npt.NDArray[np.float32]:
        """Intensities (positions, n) of patterns, from covered parts of pixels; arguments as `correction`."""
        edge = self.edge
        moved = (edge.area - edge.covered).astype(np.float32)
        plain = waves + (plane_waves[:, edge.index] * moved) @ edge.matrix if moved.any() else waves
        return plain.real**2 + plain.imag**2 + self.background_shown
