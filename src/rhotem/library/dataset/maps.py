"""Labels of every pixel, from the pixels at which columns are seen."""

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.scene import Scene

Floats = npt.NDArray[np.float64]

#: Å: standard deviation of the Gaussian that marks a column, and radius of the disc that has its labels.
WIDTH, RADIUS = 0.3, 0.5
#: Dark fields show columns whose Σ Z^1.7 is at least this part of the largest (as `rhotem read --columns`).
FAINTEST = 0.1
#: Å: standard deviations of the blurs of a column and of its surroundings.
INNER, OUTER = 0.25, 0.7


def visible(scene: Scene, image: str) -> npt.NDArray[np.bool_]:
    """Which columns an image can show at all: dark fields no light ones beside heavy ones."""
    return scene.weights >= FAINTEST if image.endswith("ADF") or image == "ADF" else scene.weights > 0


def label_maps(
    scene: Scene, seen: Floats, index: npt.NDArray, shape: tuple[int, int], pixel: float
) -> dict[str, npt.NDArray]:
    """Maps (rows, columns) of 8 bits: ``columns`` (255 at a column), ``species``, ``occupancy``, ``vacancy`` and
    ``antisite`` (255: all sites), ``region`` (that of the nearest column).

    Parameters
    ----------
    scene : Scene
    seen : (n, 2) array
        Pixels x, y of columns.
    index : (n,) int array
        Which column of the scene each is.
    shape : (int, int)
    pixel : float
        Å.
    """
    if not len(seen):
        return {name: np.zeros(shape, dtype=np.uint8) for name in MAPS}
    nearest = nearest_column(seen, shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance, which = pixel * np.hypot(x - seen[nearest, 0], y - seen[nearest, 1]), index[nearest]
    disc = distance <= RADIUS

    def marked(values: npt.NDArray) -> npt.NDArray[np.uint8]:
        return np.where(disc, np.rint(255 * values[which]), 0).astype(np.uint8)

    return {
        "columns": np.rint(255 * np.exp(-0.5 * (distance / WIDTH) ** 2)).astype(np.uint8),
        "species": np.where(disc, scene.species[which], 0).astype(np.uint8),
        "occupancy": marked(1.0 - scene.vacant),
        "vacancy": marked(scene.vacant),
        "antisite": marked(scene.exchanged),
        "region": scene.region[which].astype(np.uint8),
    }


def nearest_column(seen: Floats, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """The row of ``seen`` (n, 2), pixels x, y, that is nearest to every pixel (rows, columns).

    Squares of the two distances are sums over columns and rows: five times as fast as a tree for a hundred columns.
    """
    squares = [(np.arange(n)[:, None] - seen[None, :, axis]) ** 2 for n, axis in zip(shape, (1, 0), strict=True)]
    down, right = (one.astype(np.float32) for one in squares)
    return np.asarray((down[:, None] + right[None]).argmin(axis=-1), dtype=np.int64)


def above_noise(clean: npt.NDArray, noisy: npt.NDArray, seen: Floats, pixel: float) -> Floats:
    """How far columns stand above the noise (n,), in its standard deviations; negative where they are dark.

    Height over the surroundings, a blur of `INNER` less one of `OUTER`, in what is expected, over the standard
    deviation of the same of the noise of the whole picture.

    Parameters
    ----------
    clean, noisy : (rows, columns) array
    seen : (n, 2) array
        Pixels x, y of columns.
    pixel : float
        Å.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    def local(values: npt.NDArray) -> Floats:
        values = np.asarray(values, dtype=np.float64)
        return np.asarray(gaussian_filter(values, INNER / pixel) - gaussian_filter(values, OUTER / pixel))

    noise = float(local(np.asarray(noisy, dtype=np.float64) - clean).std())
    heights = map_coordinates(local(clean), seen[:, ::-1].T, order=1, mode="nearest")
    return np.asarray(heights / max(noise, 1e-30), dtype=np.float64)


#: Names of the maps.
MAPS = ("columns", "species", "occupancy", "vacancy", "antisite", "region")
