r"""Where the beam loses energy to the core of an atom: a density of probability, from abTEM's atomic wave functions.

A core electron (n, l) goes to the continuum at ε above the edge, and the beam loses E = ε − E_nl. In first order the
wave behind the atom is H(r)ψ(r) with, per channel (l', λ, μ) of final states and multipoles,

    H(k) = γ √2 / (2π² k_n q²) √(4π (2l'+1)(2l+1)) (l' λ l; 0 0 0) R(q) Y_λμ(q̂),     q = (k, −k_z),  k_z = k_0 − k_n

(Saldin & Rez, Philos. Mag. B 55, 481, 1987; abTEM writes the same sum over all m and m', which the addition theorem of
a full shell leaves out). R is the overlap ∫ u_nl j_λ(2πqr) u_εl' dr. Only atoms are asked of abTEM, which asks GPAW.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MissingDependencyError
from rhotem.core.units import ELECTRON_REST_ENERGY, wavelength
from rhotem.density.harmonics import real_harmonics

Array = npt.NDArray[np.float64]

#: Shells by the letter of an edge: n, l.
SHELLS = {"K": (1, 0), "L1": (2, 0), "L23": (2, 1), "M23": (3, 1), "M45": (3, 2)}
#: Energy in eV above an edge at which it is looked at.
ABOVE = 10.0
#: Points of κ on half of each axis of a reciprocal cell; they crowd at its middle, where 1/q² is as narrow as E/2γT.
NODES, CROWDING = 10, 3
#: Points of the table of overlaps R(q).
POINTS = 400
#: Smallest part of its maximum to which a bound wave is followed.
BOUND = 1e-6


@dataclass(frozen=True)
class CoreEdge:
    """A core-loss edge.

    Parameters
    ----------
    symbol : str
        Element.
    shell : str
        One of `SHELLS`.
    above : float
        Energy loss in eV beyond the edge.

    Raises
    ------
    InputError
        If there is no such element or shell, or the loss is not that of an edge.
    """

    symbol: str
    shell: str
    above: float = ABOVE

    @classmethod
    def named(cls, name: str, above: float = ABOVE) -> "CoreEdge":
        """The edge of a name such as ``Li-K`` or ``Co-L23``.

        Raises
        ------
        InputError
            If there is no such element or shell.
        """
        from ase.data import atomic_numbers

        symbol, _, shell = name.partition("-")
        if not atomic_numbers.get(symbol) or shell not in SHELLS:  # ASE's X has number 0
            raise InputError(
                f"edge {name!r}: expected an element and one of {', '.join(SHELLS)}, such as O-K or Co-L23"
            )
        if not 0 < above <= 200:
            raise InputError(f"edge {name}: {above:g} eV above it; expected more than 0 and at most 200 eV")
        return cls(symbol, shell, above)

    @property
    def name(self) -> str:
        """As in `named`; with the loss beyond the edge, ``O-K@30``, where it is not the usual one."""
        loss = "" if self.above == ABOVE else f"@{self.above:g}"
        return f"{self.symbol}-{self.shell}{loss}"

    @property
    def channels(self) -> int:
        """Channels (l', λ, μ) of `Ionisation.channels`."""
        return sum(2 * order + 1 for _, order in multipoles(SHELLS[self.shell][1]))

    @property
    def number(self) -> int:
        """Atomic number."""
        from ase.data import atomic_numbers

        return int(atomic_numbers[self.symbol])


def multipoles(l: int) -> list[tuple[int, int]]:
    """Angular momenta l' of final states of a shell ``l``, dipole transitions and the one beside them, with their λ."""
    return [
        (final, order) for final in range(max(0, l - 1), l + 2) for order in range(abs(final - l), final + l + 1, 2)
    ]


@dataclass(frozen=True, eq=False)
class Atom:
    """What one core electron and the states it goes to are.

    Parameters
    ----------
    energy : float
        Of the bound state, eV, negative.
    l : int
        Its angular momentum.
    radii, bound : arrays
        Bohr; u_nl there.
    final : dict
        u_εl' at ``radii`` by l', per √Rydberg.
    """

    energy: float
    l: int
    radii: Array
    bound: Array
    final: dict[int, Array]


@lru_cache(maxsize=32)
def atom(edge: CoreEdge) -> Atom:
    """Wave functions of an edge; dipole transitions and the one beside them (l' = l − 1 … l + 1).

    Raises
    ------
    InputError
        If the atom has no such shell.
    MissingDependencyError
        If GPAW, which solves atoms, is not there.
    """
    try:
        from abtem.inelastic import core_loss
    except ImportError:
        raise MissingDependencyError("core losses need abTEM: pip install 'abtem>=1.0.11'") from None
    n, l = SHELLS[edge.shell]
    try:
        bound = core_loss.calculate_bound_radial_wavefunction(edge.number, n, l)
        finals = {
            k: core_loss.calculate_continuum_radial_wavefunction(edge.number, n, l, k, edge.above)
            for k in sorted({final for final, _ in multipoles(l)})
        }
    except ImportError:
        raise MissingDependencyError("core losses need GPAW, which solves the atoms: see docs/install.md") from None
    except RuntimeError:
        raise InputError(f"edge {edge.name}: {edge.symbol} has no electrons in that shell") from None
    except KeyError:
        raise InputError(f"edge {edge.name}: no {edge.symbol} among the atoms that GPAW solves") from None
    there = np.abs(bound(bound.radial_grid))
    ends = [final.radial_grid[-1] for final in finals.values()]  # abTEM extrapolates beyond
    reach = min(bound.radial_grid[np.flatnonzero(there > BOUND * there.max())[-1]], *ends)
    radii = np.linspace(0.0, float(reach), 20000)
    waves = {k: np.asarray(final(radii), dtype=float) for k, final in finals.items()}
    return Atom(float(bound.energy), l, radii, np.asarray(bound(radii), dtype=float), waves)


@dataclass(frozen=True, eq=False)
class Ionisation:
    """H(k) of one edge for beams of one energy, in Å²/√eV: |H(r)|² is a probability per eV.

    Parameters
    ----------
    edge : CoreEdge
    energy : float
        Of the beam, eV.
    reach : float
        Largest in-plane frequency k in 1/Å; nothing is scattered beyond.

    Raises
    ------
    InputError
        If the beam has less than the loss; or as `atom`.
    """

    edge: CoreEdge
    energy: float
    reach: float

    def __post_init__(self) -> None:
        if not self.loss < self.energy:
            raise InputError(
                f"edge {self.edge.name}: a loss of {1e-3 * self.loss:.1f} keV, but the beam has "
                f"{1e-3 * self.energy:g} keV; take an outer shell such as L23"
            )

    @property
    def loss(self) -> float:
        """Energy loss in eV."""
        return self.edge.above - atom(self.edge).energy

    def record(self) -> dict[str, float]:
        """JSON-ready: loss, and cross-section of the free atom."""
        return {"loss_eV": self.loss, "above_edge_eV": self.edge.above, "cross_section_A2_per_eV": cross_section(self)}

    @property
    def behind(self) -> float:
        """1/λ of the beam that lost it, 1/Å."""
        return 1 / wavelength(self.energy - self.loss)

    @property
    def along(self) -> float:
        """k_z in 1/Å."""
        return 1 / wavelength(self.energy) - self.behind

    @cached_property
    def _radial(self) -> list[tuple[int, Any]]:
        """Multipole λ and strength · R(q), as splines, of every l' and λ."""
        from ase.units import Bohr, Rydberg
        from scipy.interpolate import CubicSpline
        from scipy.special import spherical_jn

        found, rows = atom(self.edge), []
        q = np.linspace(0.0, 1.001 * float(np.hypot(self.reach, self.along)), POINTS)
        for final, order in multipoles(found.l):
            waves = spherical_jn(order, 2 * np.pi * Bohr * q[:, None] * found.radii)
            overlap = np.trapezoid(waves * (found.bound * found.final[final]), found.radii, axis=1)
            number = 4 * np.pi * (2 * final + 1) * (2 * found.l + 1)
            strength = np.sqrt(number) * _three_j(final, order, found.l)
            rows.append((order, CubicSpline(q, strength * overlap / (Bohr * np.sqrt(Rydberg)))))
        return rows

    def channels(self, kx: Array, ky: Array) -> Iterator[Array]:
        """H at frequencies in 1/Å (any shape), channel after channel, without factors of modulus 1.

        Real harmonics: those of one λ hold as much as Y_λμ together, and are real.
        """
        k2 = np.asarray(kx**2 + ky**2)
        q, inside = np.sqrt(k2 + self.along**2), k2 <= self.reach**2
        mass = 1 + self.energy / ELECTRON_REST_ENERGY
        common = np.where(inside, mass * np.sqrt(2) / (2 * np.pi**2 * self.behind * q**2), 0.0)
        directions = np.stack([kx, ky, np.full(k2.shape, -self.along)], axis=-1).reshape(-1, 3)
        harmonics = real_harmonics(directions, max(order for order, _ in self._radial))
        for order, radial in self._radial:
            amplitude = common * radial(np.where(inside, q, 0.0))
            for column in harmonics.T[order**2 : (order + 1) ** 2]:
                yield amplitude * column.reshape(k2.shape)


def _three_j(*angular: int) -> float:
    """Size of the 3j symbol of three l with m = 0: its square is half the integral of three Legendre polynomials."""
    points, weights = np.polynomial.legendre.leggauss(sum(angular) // 2 + 1)
    values = [np.polynomial.legendre.Legendre.basis(l)(points) for l in angular]
    return float(np.sqrt(0.5 * (weights * np.prod(values, axis=0)).sum()))


def cross_section(ionisation: Ionisation, angle: float | None = None) -> float:
    """dσ/dE of one atom in Å²/eV for scattering to ``angle`` mrad, or to the reach: ∫ |H(k)|² d²k by rings."""
    most = ionisation.reach if angle is None else 1e-3 * angle * ionisation.behind
    k = np.concatenate([[0.0], np.geomspace(1e-5, most, 4000)])
    density = sum(np.abs(one) ** 2 for one in ionisation.channels(k, np.zeros_like(k)))
    return float(np.trapezoid(2 * np.pi * k * density, k))


def lattice(ionisation: Ionisation, extent: tuple[float, float], shape: tuple[int, int]) -> Array:
    """Σ_R |H(r − R)|² per eV on the grid of a cell (Å), one atom in its corner: a probability at each point.

    Atoms scatter into states of their own, so intensities add over the lattice; by Bloch sums of H this is a mean over
    κ. H is as sharp at k = 0 as E/2γT, which no cell resolves: κ crowd there. All four quarters of them are alike.
    """
    import scipy.fft

    t = (np.arange(NODES) + 0.5) / NODES
    nodes = list(zip(0.5 * t**CROWDING, t ** (CROWDING - 1) / (t ** (CROWDING - 1)).sum(), strict=True))
    gx, gy = (np.fft.fftfreq(n) * n for n in shape)
    half = np.zeros((shape[0], shape[1] // 2 + 1))
    for (u, a), (v, b) in product(nodes, nodes):
        kx, ky = np.meshgrid((gx + u) / extent[0], (gy + v) / extent[1], indexing="ij")
        for one in ionisation.channels(kx, ky):
            wave = scipy.fft.rfft2(one)
            half += a * b * (wave.real**2 + wave.imag**2)
    # H is real: |H(−r)| = |H(r)|
    total = np.zeros(shape)
    total[:, : half.shape[1]] = half
    beyond = np.arange(half.shape[1], shape[1])
    total[:, beyond] = half[-np.arange(shape[0])][:, shape[1] - beyond]
    for axis in (0, 1):
        total = 0.5 * (total + np.roll(np.flip(total, axis), 1, axis))
    return np.asarray(total / (extent[0] * extent[1]) ** 2)
