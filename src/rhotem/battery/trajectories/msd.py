"""Mean square displacement of the atoms of an element, over all overlapping windows of a trajectory."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.battery.trajectories.model import Trajectory
from rhotem.core import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Msd:
    """⟨|r(t + τ) − r(t)|²⟩ over atoms and windows.

    Parameters
    ----------
    element : str
    atoms : int
        Number of atoms.
    times : (L,) array
        τ in fs, 0 first.
    values : (L,) array
        Å².
    axes : (L, 3) array
        The same along x, y, z; their sum is ``values``.
    """

    element: str
    atoms: int
    times: Floats
    values: Floats
    axes: Floats


def mean_square_displacement(trajectory: Trajectory, element: str, *, drift: bool = False) -> Msd:
    """MSD of an element at all lags up to the length of the trajectory.

    By fast Fourier transforms (V. Calandrini et al., Collection SFN 12, 201 (2011), eq. 27): linear in frames but for a
    logarithm. The motion of the centre of mass is taken off unless ``drift``.

    Raises
    ------
    InputError
        If there is no such element, one frame, or times are not known.
    """
    chosen = trajectory.atoms_of(element)
    step = trajectory.step
    paths = trajectory.paths(drift=drift)[:, chosen]
    axes = windows(paths).mean(axis=1)
    times: Floats = np.arange(len(paths)) * np.float64(step)
    return Msd(element, len(chosen), times, axes.sum(axis=1), axes)


def windows(paths: Floats) -> Floats:
    """Mean over windows of the squared displacement of every path (F, N, k) at every lag, (F, N, k)."""
    frames = len(paths)
    if frames < 2:
        raise InputError("one frame has no motion; give a trajectory")
    paths = paths - paths[0]
    length = 2 * frames
    spectrum = np.fft.rfft(paths, n=length, axis=0)
    products = np.fft.irfft(np.abs(spectrum) ** 2, n=length, axis=0)[:frames]
    squares = np.concatenate([np.zeros_like(paths[:1]), np.cumsum(paths**2, axis=0)])
    lags = np.arange(frames)
    # Σ r(t)² + r(t+τ)² over the windows: without the last τ and without the first τ
    both = squares[frames - lags] + squares[frames] - squares[lags]
    count = (frames - lags).reshape(-1, *[1] * (paths.ndim - 1))
    return np.asarray(np.maximum(both - 2.0 * products, 0.0) / count)
