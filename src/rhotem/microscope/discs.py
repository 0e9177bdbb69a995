"""Discs of a small aperture, indexed: what a nanobeam pattern shows of every reflection.

Discs that do not overlap do not interfere, so their intensities depend on no position of the probe: the mean pattern of
a scan holds them all. Thermal diffuse scattering lies under them; its level is taken between the discs, where a block
of several cells puts its share.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.units import wavelength
from rhotem.microscope.diffraction import FAINTEST, indices
from rhotem.microscope.images import ImageSet

Array = npt.NDArray[np.float64]

#: Widest aperture in mrad whose pattern is one of discs; faintest disc of a list, as a part of the beam.
WIDEST, FAINTEST_DISC = 2.5, 10 * FAINTEST
#: Distance from a whole number that an index may have: of a strained cell.
WHOLE = 0.02
#: Pixels beyond the aperture into which the edge of a disc reaches.
EDGE = 0.75


def indexed_discs(images: ImageSet) -> list[dict[str, Any]]:
    """Discs of the mean pattern of a scan, the direct beam among them, strongest first.

    Parameters
    ----------
    images : ImageSet
        Of a specimen (`rhotem.analysis.run.image`), whose record says the cell and its indices.

    Returns
    -------
    list of dict
        Of the zero-order Laue zone. ``i``, ``j``: indices of the imaging cell; ``h``, ``k``, ``l`` in the crystal;
        ``angle_mrad``; ``intensity`` of the disc above what lies around it, and that ``background`` under it, as
        fractions of the beam. Empty where discs overlap or no crystal is known.
    """
    cell, microscope = images.record.get("reciprocal"), images.record.get("microscope", {})
    if not cell or images.plane_wave is not None or not images.diffraction.size:
        return []
    alpha, step = microscope["convergence"], np.array(images.angular_step)
    if alpha > WIDEST:
        return []
    spacing = 1e3 * wavelength(microscope["energy"]) / np.array(cell["cell_A"])
    half = np.array(images.diffraction.shape) // 2
    places = _reflections(np.array(cell["hkl"]), (half * step - alpha) / spacing)
    radius = alpha + EDGE * float(step.max())
    apart = min((float(np.hypot(*(p * spacing))) for p in places if p.any()), default=np.inf)
    if apart < 2 * radius:
        return []
    kx, ky = np.meshgrid(*(np.arange(-m, m + 1) * s for m, s in zip(half, step, strict=True)), indexing="ij")
    away = [np.hypot(kx - x, ky - y) for x, y in places * spacing]
    between = np.min(away, axis=0) > radius
    rows = []
    for (i, j), distance in zip(places.tolist(), away, strict=True):
        disc, around = distance <= radius, (distance <= apart - radius) & between
        background = int(disc.sum()) * float(images.diffraction[around].mean()) if around.any() else 0.0
        intensity = float(images.diffraction[disc].sum()) - background
        if intensity > max(FAINTEST_DISC, background):
            names = dict(zip("hkl", indices(np.array(cell["hkl"]), i, j), strict=True))
            where = {"i": i, "j": j, **names, "angle_mrad": float(np.hypot(i * spacing[0], j * spacing[1]))}
            rows.append({**where, "intensity": intensity, "background": background})
    return sorted(rows, key=lambda row: -row["intensity"])


def _reflections(hkl: Array, most: Array) -> npt.NDArray[np.int64]:
    """Vectors (n, 2) of the imaging cell up to ``most`` that are whole indices of the crystal, of the zero zone."""
    i, j = (np.arange(-int(n), int(n) + 1) for n in most)
    places = np.stack(np.meshgrid(i, j, indexing="ij"), axis=-1).reshape(-1, 2)
    whole = places @ hkl[:, :2].T
    return np.asarray(places[np.abs(whole - np.rint(whole)).max(axis=1) < WHOLE])
