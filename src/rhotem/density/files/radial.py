"""Radial parts inside an augmentation sphere: free-atom shells, smooth stand-ins for them, continuation inwards."""

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rhotem.density import free_atoms

#: What bonding does to the shells of a free atom inside its sphere, fitted to all-electron densities of LiF, LiH, MgO,
#: Si, Al and LiCoO2 (docs/density-files.md); it decides how four conditions fix more than four unknowns.
#: s -> p promotion where the outermost s and p are both occupied: electrons within the sphere, and its spread.
PROMOTION, PROMOTION_SPREAD = 0.30, 0.15
#: Part of an outermost s without p that leaves (metals give it away; hydrogen is neither donor nor acceptor).
S_LOSS, S_SPREAD = 0.35, 0.30
#: Spread in electrons of d and f shells, and of semicore shells.
D_SPREAD, SEMICORE_SPREAD = 0.2, 0.05
#: Spread of the polynomial's terms relative to the free density at the sphere.
POLYNOMIAL = 0.5
#: Step in Å of numerical derivatives of tabulated densities.
STEP = 5e-3

Radial = Callable[[npt.NDArray], npt.NDArray]


class Profile:
    """Valence shells of a free atom within a sphere, each split into a smooth polynomial and a sharp rest.

    The polynomial a + b r² + c r⁴ has the shell's value, slope and curvature at the sphere, so the rest ends smoothly.
    Densities are e/Å³ per electron of the shell.
    """

    def __init__(self, Z: int, electrons: float, radius: float) -> None:
        self.radius = radius
        self.shells, quantum = _shells(Z, electrons)
        self.occupations = np.array([occupation for _, _, occupation in quantum])
        self._polynomials = np.array([_even_polynomial(shell, radius) for shell in self.shells])
        t, w = np.polynomial.legendre.leggauss(200)
        t, w = (t + 1.0) / 2.0, w / 2.0
        #: Radii and weights r² dr of integrals over tabulated densities, dense near the nucleus.
        self._r, self._weights = radius * t**3, w * 3.0 * t**2 * radius * (radius * t**3) ** 2
        within = [4.0 * np.pi * float(np.dot(self._weights, shell(self._r))) for shell in self.shells]
        #: Expected changes of the amplitudes in electrons and their spreads.
        self.expected, self.spread = _expected(Z, quantum, np.array(within))

    def sharp(self, r: npt.NDArray, amplitudes: npt.NDArray | None = None) -> npt.NDArray[np.float64]:
        """Σ amplitude (shell − its polynomial) at ``r``; the amplitudes of the free atom if none are given."""
        amplitudes = self.occupations if amplitudes is None else amplitudes
        rest = [shell(r) - p for shell, p in zip(self.shells, self._smooth(r), strict=True)]
        return np.tensordot(amplitudes, rest, axes=1)

    def smooth(self, r: npt.NDArray, amplitudes: npt.NDArray) -> npt.NDArray[np.float64]:
        """Σ amplitude · polynomial at ``r``."""
        return np.tensordot(amplitudes, self._smooth(r), axes=1)

    def sharp_charge(self, amplitudes: npt.NDArray | None = None) -> float:
        """Electrons in `sharp`."""
        return float(4.0 * np.pi * np.dot(self._weights, self.sharp(self._r, amplitudes)))

    def continuation(
        self, value: float, slope: float, curvature: float, moment: float
    ) -> tuple[npt.NDArray, npt.NDArray]:
        """The smallest change that meets four conditions: amplitudes of the shells, coefficients of (r/R)^0, 2, 4, 6.

        Parameters
        ----------
        value, slope, curvature : float
            Spherical average at the sphere and its derivatives, e/Å³, e/Å⁴, e/Å⁵.
        moment : float
            ∫ r² f dr over the sphere.
        """
        R = self.radius
        at = np.array([R - STEP, R, R + STEP])
        shells = [shell(at) for shell in self.shells]
        powers = np.arange(4) * 2.0
        rows = np.array(
            [
                [s[1] for s in shells] + [1.0] * 4,
                [(s[2] - s[0]) / (2.0 * STEP) for s in shells] + list(powers / R),
                [(s[2] - 2.0 * s[1] + s[0]) / STEP**2 for s in shells] + list(powers * (powers - 1.0) / R**2),
                [float(np.dot(self._weights, s(self._r))) for s in self.shells] + list(R**3 / (powers + 3.0)),
            ]
        )
        free = max(abs(float(np.dot(self.occupations, [s[1] for s in shells]))), 1e-3)
        expected = np.concatenate([self.expected, np.zeros(4)])
        spread = np.concatenate([self.spread, np.full(4, np.hypot(POLYNOMIAL * free, value))])
        missing = np.array([value, slope, curvature, moment]) - rows @ expected
        solution = expected + spread * (np.linalg.pinv(rows * spread) @ missing)
        return solution[:-4], solution[-4:]

    def _smooth(self, r: npt.NDArray) -> npt.NDArray[np.float64]:
        return self._polynomials @ np.array([np.ones_like(r), r**2, r**4]).reshape(3, -1)


def polynomial(ell: int, radius: float, value: float, slope: float, moment: float) -> npt.NDArray[np.float64]:
    """Coefficients of r^l (a + b r² + c r⁴) with given value and slope at ``radius`` and moment ∫ r^(l+2) f dr."""
    powers = ell + 2.0 * np.arange(3)
    # In units of the radius the three conditions are of the same size.
    rows = np.array([np.ones(3), powers, 1.0 / (powers + ell + 3.0)])
    scaled = np.linalg.solve(rows, [value, slope * radius, moment / radius ** (ell + 3)])
    return scaled / radius**powers


def _expected(
    Z: int, quantum: list[tuple[int, int, float]], within: npt.NDArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Expected changes of shell amplitudes and their spreads, in electrons of the whole shell."""
    outermost = max((n for n, ell, _ in quantum if ell <= 1), default=0)
    outer = {ell for n, ell, _ in quantum if n == outermost and ell <= 1}
    expected, spread = np.zeros(len(quantum)), np.zeros(len(quantum))
    for k, (n, ell, occupation) in enumerate(quantum):
        if ell > 1:
            spread[k] = D_SPREAD
        elif n < outermost:
            spread[k] = SEMICORE_SPREAD
        elif outer == {0, 1}:
            expected[k], spread[k] = (2 * ell - 1) * PROMOTION / within[k], PROMOTION_SPREAD / within[k]
        else:
            expected[k], spread[k] = (-S_LOSS * occupation if Z > 1 else 0.0), S_SPREAD * occupation
    return expected, spread


def _shells(Z: int, electrons: float) -> tuple[list[Radial], list[tuple[int, int, float]]]:
    """Densities per electron, and (n, l, occupation), of the shells of a valence."""
    table = free_atoms.load()
    chosen: list[tuple[int, int, float]] = []
    counts = [0.0]
    for n, ell, occupation, _ in table.shells(Z):
        if counts[-1] > electrons - 1e-6:
            break
        chosen.append((n, ell, occupation))
        counts.append(counts[-1] + occupation)
    if abs(counts[-1] - electrons) > 1e-3 or not set(map(round, counts[1:])) <= set(table.valences(Z)):
        # A valence without a shell in between (4f in the core): one function for all of it, treated as a d shell.
        return [lambda r: table.evaluate(Z, r, electrons) / electrons], [(0, 2, electrons)]
    return [_difference(table, Z, *pair) for pair in itertools.pairwise(counts)], chosen


def _difference(table: free_atoms.FreeAtomTable, Z: int, below: float, upto: float) -> Radial:
    """Density per electron of the shell between two electron counts."""

    def shell(r: npt.NDArray) -> npt.NDArray:
        inner = table.evaluate(Z, r, below) if below > 0 else 0.0
        return (table.evaluate(Z, r, upto) - inner) / (upto - below)

    return shell


def _even_polynomial(shell: Radial, radius: float) -> npt.NDArray[np.float64]:
    """Coefficients of 1, r², r⁴ with the shell's value, slope and curvature at ``radius``."""
    low, mid, high = shell(radius + STEP * np.array([-1.0, 0.0, 1.0]))
    rows = np.array([[1.0, radius**2, radius**4], [0.0, 2.0 * radius, 4.0 * radius**3], [0.0, 2.0, 12.0 * radius**2]])
    return np.linalg.solve(rows, [mid, (high - low) / (2.0 * STEP), (low - 2.0 * mid + high) / STEP**2])
