"""Convergent-beam patterns by Bloch waves: discs of every thickness from one diagonalisation a direction."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.units import wavelength
from rhotem.scattering.blochwave.waves import BlochWaves

Array = npt.NDArray[np.float64]

#: Directions of a disc that are computed at once, at most: more need a coarser pixel.
MOST = 200_000


@dataclass(frozen=True, eq=False)
class ConvergentBeam:
    """Discs of a convergent beam, one a reflection, as functions of the direction of the incident wave.

    Parameters
    ----------
    energy : float
        eV.
    convergence : float
        Semi-angle in mrad.
    step : float
        Distance of directions in mrad.
    centre : (2,) array
        k_t of the middle of the discs in 1/Å.
    hkl : (N, 3) int array
        Reflections, Miller indices of the crystal's cell.
    g : (N, 2) array
        Their components across the beam in 1/Å.
    thicknesses : (T,) array
        Å.
    discs : (T, N, n, n) array
        Part of the incident current that each reflection takes of each direction [i_x, i_y], the middle of a disc in
        the middle; the square around the discs is computed one pixel beyond their rim and zero elsewhere.
    """

    energy: float
    convergence: float
    step: float
    centre: Array
    hkl: npt.NDArray[np.int64]
    g: Array
    thicknesses: Array
    discs: npt.NDArray[np.float32]

    @property
    def angles(self) -> Array:
        """Directions in mrad along an axis of a disc, from its middle."""
        n = self.discs.shape[-1]
        return (np.arange(n) - n // 2) * self.step

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Which pixels of a disc are within the aperture."""
        return np.hypot(self.angles[:, None], self.angles[None]) <= self.convergence

    def means(self) -> Array:
        """Part of the beam in each disc, shape (T, N)."""
        return np.asarray(self.discs[..., self.inside].mean(axis=-1, dtype=float))

    def pattern(self, thickness: int = -1, outer: float | None = None) -> Array:
        """Diffraction pattern on a camera with the discs' pixels: part of the beam per pixel, [i_x, i_y].

        Where discs overlap their intensities are added: the pattern of an incoherent or a defocused beam, or the mean
        over probe positions.

        Parameters
        ----------
        thickness : int
            Which of the thicknesses.
        outer : float, optional
            Half side in mrad; None: all discs.
        """
        from scipy.ndimage import map_coordinates

        places = self.g * wavelength(self.energy) * 1e3
        reach = np.abs(places).max() + self.convergence if outer is None else outer
        half = int(np.ceil(reach / self.step))
        angle = np.arange(-half, half + 1) * self.step
        total = np.zeros((len(angle), len(angle)))
        middle = self.discs.shape[-1] // 2
        for disc, place in zip(self.discs[thickness], places, strict=True):
            x, y = (np.flatnonzero(np.abs(angle - p) <= self.convergence) for p in place)
            if len(x) == 0 or len(y) == 0:
                continue
            away = np.meshgrid(angle[x] - place[0], angle[y] - place[1], indexing="ij")
            values = map_coordinates(disc, [middle + a / self.step for a in away], order=1)
            total[np.ix_(x, y)] += np.where(np.hypot(*away) <= self.convergence, values, 0.0)
        return np.asarray(total * self.step**2 / (np.pi * self.convergence**2))


def disc_directions(energy: float, convergence: float, step: float, tilt: tuple[float, float] = (0.0, 0.0)) -> Array:
    """Incident directions of a disc and one pixel around it: k_t in 1/Å, shape (n, n, 2), NaN outside.

    Parameters
    ----------
    energy : float
        eV.
    convergence, step : float
        Semi-angle and pixel in mrad.
    tilt : (float, float)
        How far the beam leans towards +x and +y, in mrad.

    Raises
    ------
    InputError
        If an angle is not positive, or the pixel so fine that there are too many directions.
    """
    if not (convergence > 0 and step > 0):
        raise InputError(f"convergence {convergence:g}, pixel {step:g} mrad: expected positive angles")
    half = int(np.ceil(convergence / step)) + 1
    if (2 * half + 1) ** 2 > MOST:
        finest = 2.0 * convergence / np.sqrt(MOST)
        raise InputError(f"pixel {step:g} mrad: {(2 * half + 1) ** 2} directions; use {finest:.2g} mrad or more")
    offset = np.arange(-half, half + 1) * step
    x, y = np.meshgrid(offset, offset, indexing="ij")
    k = np.stack([x, y], axis=-1) * 1e-3 / wavelength(energy) + tilted(energy, tilt)
    k[np.hypot(x, y) > convergence + 1.5 * step] = np.nan
    return k


def tilted(energy: float, tilt: tuple[float, float]) -> Array:
    """k_t in 1/Å of a beam that leans by ``tilt`` (mrad) towards +x and +y."""
    slope = np.tan(1e-3 * np.asarray(tilt, dtype=float))
    return np.asarray(slope / np.sqrt(1.0 + slope @ slope) / wavelength(energy))


def smallest_spacing(waves: BlochWaves) -> float:
    """Angle in mrad between the closest discs of the zero-order Laue zone: half of it is where they touch."""
    flat = np.abs(waves.g[:, 2]) < 1e-6
    across = np.linalg.norm(waves.g[flat, :2], axis=1)
    return float(1e3 * wavelength(waves.energy) * across[across > 0].min())


def convergent_beam(
    waves: BlochWaves,
    thicknesses: npt.ArrayLike,
    convergence: float,
    step: float,
    tilt: tuple[float, float] = (0.0, 0.0),
    progress: Progress = silent,
) -> ConvergentBeam:
    """Discs of all exact beams at every thickness.

    Parameters
    ----------
    waves : BlochWaves
        Selected for these directions.
    thicknesses : (T,) array
        Å.
    convergence, step : float
        Semi-angle of the beam and pixel, in mrad.
    tilt : (float, float)
        How far the beam leans towards +x and +y off the crystal's axis, in mrad.
    progress : Progress

    Raises
    ------
    InputError
        If a setting is none.
    """
    k = disc_directions(waves.energy, convergence, step, tilt)
    there = ~np.isnan(k[..., 0])
    depth = np.atleast_1d(np.asarray(thicknesses, dtype=float))
    found = waves.intensities(k[there], depth, progress)
    discs = np.zeros((len(depth), len(waves.beams.exact), *there.shape), dtype=np.float32)
    discs[..., there] = found.transpose(0, 2, 1)
    centre = tilted(waves.energy, tilt)
    return ConvergentBeam(
        waves.energy, convergence, step, centre, waves.beams.exact, waves.g[:, :2].copy(), depth, discs
    )
