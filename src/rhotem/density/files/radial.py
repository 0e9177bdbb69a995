"""Radial parts inside an augmentation sphere: free-atom shells, smooth stand-ins for them, continuation inwards."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rhotem.density import free_atoms

#: Expected size of changes, which decides how four conditions fix more than four unknowns: amplitude of a valence
#: shell in electrons, of a semicore shell, and the polynomial's terms relative to the free density at the sphere.
VALENCE, SEMICORE, POLYNOMIAL = 5.0, 0.05, 0.5
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
        self.shells, self.occupations, self.sizes = _shells(Z, electrons)
        self._polynomials = np.array([_even_polynomial(shell, radius) for shell in self.shells])
        t, w = np.polynomial.legendre.leggauss(200)
        t, w = (t + 1.0) / 2.0, w / 2.0
        #: Radii and weights r² dr of integrals over tabulated densities, dense near the nucleus.
        self._r, self._weights = radius * t**3, w * 3.0 * t**2 * radius * (radius * t**3) ** 2

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
        prior = np.concatenate([self.sizes, np.full(4, POLYNOMIAL * free)])
        scaled = rows * prior
        solution = prior * (np.linalg.pinv(scaled) @ np.array([value, slope, curvature, moment]))
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


def _shells(Z: int, electrons: float) -> tuple[list[Radial], npt.NDArray, npt.NDArray]:
    """Densities per electron, occupations and expected changes of the shells of a valence."""
    table = free_atoms.load()
    chosen: list[tuple[int, int, float, float, float]] = []
    counted = 0.0
    for n, ell, occupation, _ in table.shells(Z):
        if counted > electrons - 1e-6:
            break
        chosen.append((n, ell, occupation, counted, counted + occupation))
        counted += occupation
    if abs(counted - electrons) > 1e-3 or not set(map(round, (c[4] for c in chosen))) <= set(table.valences(Z)):
        # A valence that leaves out a shell in between (4f in the core): one function for all of it.
        return [lambda r: table.evaluate(Z, r, electrons) / electrons], np.array([electrons]), np.array([VALENCE])
    outermost = max(n for n, ell, *_ in chosen if ell <= 1) if any(c[1] <= 1 for c in chosen) else 0
    sizes = [SEMICORE if ell <= 1 and n < outermost else VALENCE for n, ell, *_ in chosen]
    shells = [_difference(table, Z, below, upto) for _, _, _, below, upto in chosen]
    return shells, np.array([c[2] for c in chosen]), np.array(sizes)


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
