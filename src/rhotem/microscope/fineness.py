"""How finely a crystal must be computed so that its images do not depend on the grid, whatever is detected.

What scatters beyond the band limit of the waves is lost to the beam at every slice. A grid that carries the outermost
detector and no more therefore breaks channelling. Three numbers bound the error of every image by about one per cent of
its range; their constants come from convergence (benchmarks/wave_grid.py, docs/microscope.md), their form from physics:

- a frequency that the bound states of atomic columns need, larger for atoms at rest, whose Laue zones are sharp;
- one beyond which all atoms of the specimen together scatter a small share of the beam,
  ``N t σ(>q)`` with ``σ(>q) = π (λγ Z / 2π² a₀)² / q²`` (the Born cross-section of a bare nucleus);
- the frequency up to which a heavy atom's potential must be known before ``exp(iσV)`` is taken.

How thick slices are is a matter of where atoms lie (`rhotem.microscope.slicing`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core.units import MOTT_BETHE, VOLT_PER_FE, interaction_constant
from rhotem.microscope.instrument import Microscope

#: Frequency in 1/Å that bound states need in up to 10 nm, of atoms that vibrate and at rest. It grows with the square
#: root of a larger thickness; of atoms that vibrate with its fourth root from `THICK` Å on, because what a cut of their
#: bound states does to phases falls with the fourth power of the frequency, and Laue rings are not sharp there.
BOUND, BOUND_AT_REST, THICK = 5.5, 7.5, 300.0
#: Share of the beam that may be scattered beyond the grid, of atoms that vibrate and at rest, and of a plane wave.
LOST, LOST_AT_REST, LOST_PARALLEL = 0.02, 0.005, 0.0025
#: Frequency in 1/Å of the potential per unit of atomic number, from `STRONG` on growing to the second at Z = 79 and
#: 200 kV, which follows the interaction constant; and the least.
PER_CHARGE, PER_STRONG_CHARGE, LEAST = 0.4, 0.5, 10.0
#: Further share of the outermost detector's angle that is carried, of any atoms; and for the heaviest, from `STRONG` on
#: growing to this at Z = 79.
LEAST_MARGIN, MARGIN, STRONG = 0.05, 0.35, 40
#: The same for any atoms at rest: rings of higher-order Laue zones are as sharp at the edge of a detector as anywhere,
#: and beams of the probe reach that edge by way of angles up to the convergence beyond it.
MARGIN_AT_REST = 0.4
#: Thickest slice in Å of anything.
THICKEST = 2.0
#: Width in Å of the part of a cell that is looked at as a whole: a grain, a particle, a layer.
PART = 8.0
#: How fast an error grows with a grid coarser than it should be.
GROWTH = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scatterers:
    """What of a crystal decides how finely it must be computed.

    Parameters
    ----------
    charge2 : float
        Σ Z² per volume in 1/Å³, of the densest part.
    heaviest : int
        Largest atomic number.
    """

    charge2: float
    heaviest: int

    @classmethod
    def of(
        cls, numbers: npt.NDArray[np.int64], positions: Floats, lengths: Floats, vacuum: float = 0.0
    ) -> "Scatterers":
        """Those of atoms in an orthogonal cell with sides ``lengths`` (Å), ``vacuum`` Å of it empty along the beam."""
        z, volume = np.asarray(numbers, dtype=float), float(np.prod(lengths))
        filled = volume * (1.0 - vacuum / float(lengths[2]))
        densest = max(_densest(z**2, positions[:, axis], float(lengths[axis])) for axis in (0, 1))
        return cls(densest / filled, int(np.max(numbers)))

    def reach(
        self, microscope: Microscope, thickness: float, outer: float, at_rest: bool, parallel: bool = False
    ) -> float:
        """Angle in mrad that the waves' grid must carry.

        Parameters
        ----------
        microscope : Microscope
        thickness : float
            Å.
        outer : float
            The outermost angle that is detected, mrad.
        at_rest : bool
            Whether atoms are at rest.
        parallel : bool
            The image of a plane wave behind a lens, and its spots: sharp whether atoms vibrate or not.
        """
        lost, bound = (LOST_AT_REST, BOUND_AT_REST) if at_rest or parallel else (LOST, BOUND)
        bound *= max(1.0, np.sqrt(thickness / 100.0))
        if thickness > THICK and not (at_rest or parallel):
            bound *= (THICK / thickness) ** 0.25
        if parallel:
            lost, bound = LOST_PARALLEL, max(bound, LEAST)
        far = np.sqrt(np.pi * self.charge2 * thickness / lost) * _born(microscope)
        recorded = outer * (1.0 + max(MARGIN * self._strength, LEAST_MARGIN))
        if at_rest:
            recorded = max(recorded, outer * (1.0 + MARGIN_AT_REST), outer + microscope.convergence)
        return float(max(1e3 * microscope.wavelength * max(bound, far), recorded))

    def oversampling(self, step: float, microscope: Microscope, parallel: bool = False) -> int:
        """How many times finer than waves with ``step`` (Å) the potential must be sampled.

        Waves of a parallel beam carry what light elements need by themselves.
        """
        carried, strength = 1.0 / (3.0 * step), self._strength
        strong = PER_STRONG_CHARGE * microscope.interaction / interaction_constant(200e3)
        needed = ((1.0 - strength) * PER_CHARGE + strength * max(PER_CHARGE, strong)) * self.heaviest
        return max(1 if parallel else 2, int(np.ceil(max(LEAST, needed) / carried - 0.1)))

    @property
    def _strength(self) -> float:
        """How far the heaviest element is on the way from `STRONG` (0) to Z = 79 (1)."""
        return max(0.0, self.heaviest - STRONG) / (79 - STRONG)


def past_rings(angle: float, microscope: Microscope, period: float) -> float:
    """The least angle in mrad, ``angle`` or beyond, that cuts through no Laue ring which stands apart.

    Rings of a crystal with ``period`` Å along the beam (`beam_period`) lie at √(2nλ/period), each as wide as the beam
    converges. What comes back from a ring of which a grid holds a half is neither that of the whole nor that of none.
    Two rings that overlap by less than a quarter of their width stand apart, too: the cut is between their middles.
    """
    half = microscope.convergence

    def ring(order: int) -> float:
        return float(1e3 * np.sqrt(2 * order * microscope.wavelength / period))

    order = max(1, round((1e-3 * angle) ** 2 * period / (2 * microscope.wavelength)))
    near = min((order, order + 1, max(1, order - 1)), key=lambda n: abs(ring(n) - angle))
    step = ring(near + 1) - ring(near)
    cut = step > 1.5 * half and abs(ring(near) - angle) < half
    return max(angle, ring(near) + min(half, 0.5 * step)) if cut else angle


def coarse_error(reach: float, needed: float) -> float:
    """About how far images of a grid that carries ``reach`` mrad are off, as a share of their range."""
    return min(1.0, 0.01 * (needed / reach) ** GROWTH)


def _born(microscope: Microscope) -> float:
    """λγ/(2π²a₀): what a bare proton scatters to q is this over λ q², in the first Born approximation."""
    return microscope.interaction * VOLT_PER_FE * MOTT_BETHE  # σ h²/2πm = λγ


def _densest(weights: Floats, heights: Floats, length: float) -> float:
    """Largest sum of ``weights`` in equal parts at least `PART` Å wide, times their number."""
    parts = max(1, int(length / PART))
    place = np.floor(np.mod(heights / length, 1.0) * parts).astype(np.int64) % parts
    return float(np.bincount(place, weights, parts).max() * parts)
