"""Where to start: every thickness, mistilt, rotation and scale, compared by their fringes alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from rhotem.core import Progress, silent
from rhotem.experiment.fit.contrast import LIFT, SLOW
from rhotem.experiment.fit.frame import Frame
from rhotem.experiment.fit.model import Setting
from rhotem.scattering.patterns import Patterns

Array = npt.NDArray[np.float64]

#: Compared radius in apertures, and smoothing in pixels of the simulation: neighbouring nodes of the search overlap.
RADIUS, COARSE = 1.1, 1.2
#: Distances of nodes: mistilt and shift of the centre in mrad, rotation in degrees, scale, aperture.
TILT, SHIFT, TURN, SCALE, APERTURE = 1.7, 0.9, 4.5, 0.03, 0.04
#: True radius of the aperture over that of the bright area.
RADII = (0.78, 1.02)
#: Starts that are handed on, and how far in Å and mrad two of them are apart.
STARTS, APART = 10, (45.0, 1.0)


@dataclass(frozen=True, eq=False)
class Library:
    """Fringes of simulated patterns on their own pixels.

    Parameters
    ----------
    nodes : (n, 4) array
        Thickness in Å, aperture and mistilt in mrad.
    rows : (n, pixels) float32 array
        Mean 0 and length 1.
    x, y : (pixels,) arrays
        Angles in mrad.
    mask : (nx, ny) bool array
    step : float
        Pixel in mrad.
    aperture : float
        mrad; the middle of those held.
    turns : int
        Rotations of the crystal about the beam.
    mirrored : bool
        Whether it has a mirror, so that a picture and its mirror image cannot be told apart.
    """

    nodes: Array
    rows: npt.NDArray[np.float32]
    x: Array
    y: Array
    mask: npt.NDArray[np.bool_]
    step: float
    aperture: float
    turns: int
    mirrored: bool


def make_library(patterns: Patterns, convergence: tuple[float, float], progress: Progress = silent) -> Library:
    """Fringes at nodes of thickness, mistilt and aperture (least and most, mrad)."""
    least, most = convergence
    number = max(1, round((most - least) / (2 * APERTURE * least)) + 1)
    apertures = np.linspace(least, most, 2 * number + 1)[1::2]
    tilts, depths = tilt_nodes(patterns.tilt), np.array(patterns.thicknesses)
    middle = 0.5 * (least + most)
    outer = min(patterns.outer, 1.6 * middle)
    nodes, rows = [], []
    half = patterns.limits.half(outer)
    kx, ky = np.meshgrid(*(s * np.arange(-h, h + 1) for s, h in zip(patterns.step, half, strict=True)), indexing="ij")
    mask = np.hypot(kx, ky) < RADIUS * middle
    for place, (aperture, tilt) in enumerate(product(apertures, tilts)):
        stack = patterns.pacbed(thickness=depths.tolist(), convergence=float(aperture), tilt=tilt, outer=outer)
        rows.append(normed(fringes(stack, middle / patterns.step[0])[:, mask]).astype(np.float32))
        nodes.append(np.column_stack([depths, np.tile([aperture, *tilt], (len(depths), 1))]))
        progress("fringes", place + 1, len(apertures) * len(tilts))
    mirrors = np.linalg.det(patterns.group.astype(float)) < 0
    return Library(
        np.concatenate(nodes),
        np.concatenate(rows),
        kx[mask],
        ky[mask],
        mask,
        patterns.step[0],
        middle,
        int((~mirrors).sum()),
        bool(mirrors.any()),
    )


def tilt_nodes(most: float) -> list[tuple[float, float]]:
    """Mistilts on rings up to the largest that is held, some 1.7 mrad apart."""
    nodes = [(0.0, 0.0)]
    rings = int(np.ceil(most / TILT - 1e-9))
    for ring in range(1, rings + 1):
        size = 0.98 * most * ring / rings
        angles = 2 * np.pi * (np.arange(6 * ring) + 0.5 * (ring % 2)) / (6 * ring)
        nodes += [(float(size * np.cos(a)), float(size * np.sin(a))) for a in angles]
    return nodes


def fringes(patterns: Array, aperture: float) -> Array:
    """Logarithms of patterns (n, kx, ky) without their slow part; the aperture in pixels."""
    from scipy.ndimage import gaussian_filter

    disc = patterns.sum(axis=(1, 2), keepdims=True) / (np.pi * aperture**2)
    smooth = gaussian_filter(patterns, (0, COARSE, COARSE), mode="nearest", truncate=3.0)
    logarithm = np.log(np.maximum(smooth / disc, 0.0) + LIFT)
    return logarithm - gaussian_filter(logarithm, (0, SLOW * aperture, SLOW * aperture), mode="nearest", truncate=3.0)


def normed(rows: Array) -> Array:
    """Rows with mean 0 and length 1."""
    rows = rows - rows.mean(axis=-1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def starts(frame: Frame, library: Library, scales: Array, number: int = STARTS) -> list[tuple[float, Setting]]:
    """Settings from which to refine, with their correlation; the best first, no two alike.

    Parameters
    ----------
    frame : Frame
    library : Library
    scales : (s,) array
        Pixels for a mrad that are tried.
    number : int
    """
    best = np.full(len(library.nodes), -np.inf)
    poses = np.zeros((len(library.nodes), 5))
    for tried, rows in _seen(frame, library, scales):
        scores = library.rows @ rows.T
        place = scores.argmax(axis=1)
        score = scores[np.arange(len(best)), place]
        better = score > best
        best[better], poses[better] = score[better], tried[place[better]]
    chosen: list[int] = []
    for place in np.argsort(-best):
        node = library.nodes[place]
        others = library.nodes[chosen]
        near = np.abs(others[:, 0] - node[0]) < APART[0]
        near &= np.hypot(others[:, 2] - node[2], others[:, 3] - node[3]) < APART[1]
        if not near.any():
            chosen.append(int(place))
        if len(chosen) == number:
            break
    return [(float(best[n]), _setting(library.nodes[n], poses[n])) for n in chosen]


def _setting(node: Array, pose: Array) -> Setting:
    """What a node and a pose (scale, right, down, rotation, hand) are."""
    scale, right, down, rotation, hand = (float(v) for v in pose)
    values = [*node, scale, scale * right, scale * down, rotation, 0.2, 0.3, 0.02]
    return Setting(np.array(values), int(hand))


def _seen(frame: Frame, library: Library, scales: Array) -> Iterator[tuple[Array, npt.NDArray[np.float32]]]:
    """Poses (n, 5) and the fringes (n, pixels) of the picture at the library's angles, for one scale after another."""
    turns = np.deg2rad(np.arange(0.0, 360.0 / library.turns, TURN))
    shifts = SHIFT * np.array([-1.0, 0.0, 1.0])
    hands = (1,) if library.mirrored else (1, -1)
    for scale in scales:
        picture = picture_fringes(frame, library, float(scale))
        poses = np.array([(scale, a, b, r, h) for a, b, r, h in product(shifts, shifts, turns, hands)])
        yield poses, np.stack([seen(picture, frame, library, pose) for pose in poses]).astype(np.float32)


def picture_fringes(frame: Frame, library: Library, scale: float) -> Array:
    """Logarithm of the picture without its slow part, if ``scale`` pixels are a mrad."""
    from scipy.ndimage import gaussian_filter

    level = float(frame.values[np.hypot(frame.x, frame.y) < min(RADII) * frame.disc.radius].mean())
    width = scale / frame.bin
    values = gaussian_filter(frame.values, COARSE * library.step * width, mode="nearest", truncate=3.0)
    logarithm = np.log(np.maximum(values / level, 0.0) + LIFT)
    return logarithm - gaussian_filter(logarithm, SLOW * library.aperture * width, mode="nearest", truncate=3.0)


def seen(picture: Array, frame: Frame, library: Library, pose: Array) -> Array:
    """A picture at the library's angles: (pixels,), mean 0 and length 1.

    ``pose`` is the scale, the shift of the beam to the right and downwards in mrad, the rotation and the hand.
    """
    from scipy.ndimage import map_coordinates

    scale, right, down, rotation, hand = pose
    co, si = np.cos(rotation), np.sin(rotation)
    x, y = hand * (co * library.x - si * library.y) + right, si * library.x + co * library.y + down
    places = [(scale * y - frame.y[0, 0]) / frame.bin, (scale * x - frame.x[0, 0]) / frame.bin]
    return normed(map_coordinates(picture, places, order=1, mode="nearest"))


def scales_of(frame: Frame, convergence: tuple[float, float]) -> Array:
    """Pixels for a mrad that the bright area allows, with an aperture between two in mrad."""
    least, most = RADII[0] * frame.disc.radius / convergence[1], RADII[1] * frame.disc.radius / convergence[0]
    return np.geomspace(least, most, 1 + int(np.ceil(np.log(most / least) / SCALE)))
