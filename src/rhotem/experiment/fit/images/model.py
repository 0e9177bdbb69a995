"""Images of a response at the pixels of a scan, with derivatives by all parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.fit.images.nodes import Nodes
from rhotem.experiment.fit.images.recorded import Recorded, same_scan
from rhotem.experiment.fit.images.state import LENS, NAMES, State, bow
from rhotem.microscope.scan import Scan
from rhotem.scattering.patterns.ladder import POINTS, cubic
from rhotem.scattering.response import Response

Array = npt.NDArray[np.float64]

#: Points of the cell's image for those that determine it; splines through them err by some 1e-4 of the range.
FINE = 3
#: Least astigmatism in Å at which its azimuth has a derivative.
LEAST = 1e-3
#: Derivatives of the response that are asked for.
SLOPES = ("defocus", "C12", "phi12", "source_size")


class Model:
    """What the detectors of a scan would record.

    Parameters
    ----------
    response : Response or Nodes
        With four or more thicknesses; edges of all detectors held.
    images : list of Recorded
    """

    def __init__(self, response: Response | Nodes, images: list[Recorded]) -> None:
        self.nodes = response if isinstance(response, Nodes) else Nodes(response)
        response = self.nodes.base
        if len(response.thicknesses) < POINTS:
            held = len(response.thicknesses)
            raise InputError(f"the response holds {held} thicknesses; a fit needs {POINTS} or more")
        self.response, self.images, self.shape = response, images, same_scan(images)
        self.detectors: Any = tuple(dict.fromkeys(one.detector for one in images))
        given = [name for one in self.detectors for name in one.image_names()]
        if len(set(given)) < len(given):
            raise InputError("images: two detectors give images of one name; name the detectors")
        coarse = Scan.cell(response.extent, response.microscope)
        self.cell = Scan((FINE * coarse.shape[0], FINE * coarse.shape[1]), response.extent)
        rows, columns = np.indices(self.shape)
        self.columns, self.rows = columns.ravel(), rows.ravel()
        self._kept = _repeating(self.nodes.translations, self.cell.shape)
        self.bow = bow(self.rows, self.shape[0])
        self.astigmatism = float(response.range.aberrations.get("C12", 0.0))
        kept = dict(response.microscope.aberrations)
        self._aberrations = {name: value for name, value in kept.items() if name not in ("C10", "C12", "phi12")}
        #: Images at the settings that were asked for last: derivatives are asked for where images just were.
        self._asked: dict[str, Any] = {}
        self._known: dict[tuple[Response, float], Array] = {}

    def settings(self, state: State) -> dict[str, Any]:
        """What is asked of the response; astigmatism beyond its range is the largest that it holds."""
        lens = state.lens
        size = min(max(lens["C12"], LEAST), self.astigmatism) if self.astigmatism else 0.0
        return {
            "defocus": lens["defocus"],
            "source_size": lens["source_size"],
            "aberrations": self._aberrations | ({"C12": size, "phi12": lens["phi12"]} if size else {}),
        }

    def cells(self, state: State) -> Array:
        """Noise-free images (images, nx, ny) of the cell."""
        weights, _ = cubic(self.response.thicknesses, state.thickness)
        levels = np.flatnonzero(weights)
        depths = [self.response.thicknesses[n] for n in levels]
        mixing, _ = self.nodes.weights(self.between(state))
        whole = np.zeros((len(self.images), *self.cell.shape))
        for share, response in zip(mixing, self.nodes.responses, strict=True):
            if share:
                stack = self.series(depths, self.settings(state), response)
                whole += share * np.tensordot(weights[levels], stack, axes=(0, 1))
        return whole

    def between(self, state: State) -> Array:
        """Values between nodes; a state that says none is at the reference."""
        return state.nodes if len(state.nodes) else self.nodes.reference

    def series(self, depths: Sequence[float], settings: dict[str, Any], response: Response | None = None) -> Array:
        """Images (images, depths, nx, ny) of the cell at thicknesses that are held; None: of the base."""
        held = response or self.response
        if settings != self._asked:
            self._asked, self._known = settings, {}
        missing = [depth for depth in depths if (held, depth) not in self._known]
        if missing:
            many = {name: [value] * len(missing) for name, value in settings.items()}
            stack = held.series(self.detectors, thickness=missing, scan=self.cell, threads=1, **many)
            images = self._mean(np.stack([stack[one.name].astype(float) for one in self.images], axis=1))
            self._known |= {(held, depth): shown for depth, shown in zip(missing, images, strict=True)}
        return np.stack([self._known[held, depth] for depth in depths], axis=1)

    def cell_slopes(self, state: State) -> tuple[Array, Array, Array]:
        """Those images, and their derivatives: (5, images, nx, ny) by thickness, defocus, C12a, C12b and source, and
        (axes, images, nx, ny) by what nodes are of.
        """
        mixing, steepness = self.nodes.weights(self.between(state))
        shape = (len(self.images), *self.cell.shape)
        whole, lens = np.zeros(shape), np.zeros((LENS, *shape))
        along = np.zeros((len(self.nodes.axes), *shape))
        for share, slopes, response in zip(mixing, steepness.T, self.nodes.responses, strict=True):
            if not share and not slopes.any():
                continue
            shown, changes = self._lens_slopes(state, response)
            whole += share * shown
            lens += share * changes
            along += slopes[:, None, None, None] * shown
        return whole, lens, along

    def _lens_slopes(self, state: State, response: Response) -> tuple[Array, Array]:
        """Images of one response, and their derivatives by thickness, defocus, C12a, C12b and source."""
        weights, slopes = cubic(response.thicknesses, state.thickness)
        settings, lens = self.settings(state), state.lens
        size, turn = max(lens["C12"], LEAST), lens["phi12"]
        names = SLOPES if self.astigmatism else tuple(name for name in SLOPES if name not in ("C12", "phi12"))
        shape = (len(self.images), *self.cell.shape)
        whole, result = np.zeros(shape), np.zeros((LENS, *shape))
        for level in np.flatnonzero(weights):
            depth = response.thicknesses[level]
            shown = self.series([depth], settings, response)[:, 0]
            found = response.gradients(names, self.detectors, thickness=depth, scan=self.cell, **settings)
            lenses = {name: self._mean(np.stack([found[name][one.name] for one in self.images])) for name in names}
            whole += weights[level] * shown
            result[0] += slopes[level] * shown
            result[1] += weights[level] * lenses["defocus"]
            result[4] += weights[level] * lenses["source_size"]
            if self.astigmatism:
                co, si = np.cos(2 * turn), np.sin(2 * turn)
                result[2] += weights[level] * (co * lenses["C12"] - si * lenses["phi12"] / (2 * size))
                result[3] += weights[level] * (si * lenses["C12"] + co * lenses["phi12"] / (2 * size))
        return whole, result

    def _mean(self, images: Array) -> Array:
        """The mean of images (..., nx, ny) over the places by which the crystal repeats."""
        if self._kept is None:
            return images
        import scipy.fft

        return np.asarray(scipy.fft.ifft2(scipy.fft.fft2(images) * self._kept).real)

    def positions(self, state: State) -> tuple[Array, Array]:
        """Where pixels lie in the cell, Å along x and y."""
        x = state.x + state.x_column * self.columns + state.x_row * self.rows + state.x_bend * self.bow
        y = state.y + state.y_column * self.columns + state.y_row * self.rows + state.y_bend * self.bow
        return x, y

    def shown(self, state: State) -> Array:
        """Expected values (images, pixels), gain and offset included."""
        simulated = self._at(self.cells(state), state)
        return state.gains[:, None] * simulated + state.offsets[:, None]

    def with_slopes(self, state: State) -> tuple[Array, Array]:
        """Expected values (images, pixels), and their derivatives (parameters, images, pixels) as `State.whole`."""
        cells, lens, nodes = self.cell_slopes(state)
        simulated = self._at(cells, state)
        number, pixels = simulated.shape
        slopes = np.zeros((len(NAMES) + 2 * number + len(nodes), number, pixels))
        for place in range(LENS):
            slopes[place] = self._at(lens[place], state)
        along = [self._at(g, state) for g in self._gradients(cells)]
        factors = (np.ones(pixels), self.columns, self.rows, self.bow)
        for axis, gradient in enumerate(along):
            places = (5 + axis, 7 + 2 * axis, 8 + 2 * axis, 11 + axis)
            for place, factor in zip(places, factors, strict=True):
                slopes[place] = gradient * factor
        for place, one in enumerate(nodes):
            slopes[len(NAMES) + 2 * number + place] = self._at(one, state)
        slopes *= state.gains[:, None]
        for place in range(number):
            slopes[len(NAMES) + place, place] = simulated[place]
            slopes[len(NAMES) + number + place, place] = 1.0
        return state.gains[:, None] * simulated + state.offsets[:, None], slopes

    def _at(self, cells: Array, state: State) -> Array:
        """Images of the cell (images, nx, ny) at the pixels of the scan: (images, pixels)."""
        from scipy.ndimage import map_coordinates

        x, y = self.positions(state)
        step = self.cell.step
        places = [x / step[0], y / step[1]]
        return np.stack([map_coordinates(one, places, order=3, mode="grid-wrap") for one in cells])

    def _gradients(self, cells: Array) -> tuple[Array, Array]:
        """Derivatives of images of the cell along x and y, per Å."""
        import scipy.fft

        waves = scipy.fft.fft2(cells)
        result = []
        for axis, (number, length) in enumerate(zip(self.cell.shape, self.cell.size, strict=True)):
            q = np.fft.fftfreq(number) * number / length
            if number % 2 == 0:
                q[number // 2] = 0.0
            along = q[:, None] if axis == 0 else q[None]
            result.append(scipy.fft.ifft2(2j * np.pi * along * waves).real)
        return result[0], result[1]


def _repeating(translations: Array, shape: tuple[int, int]) -> Array | None:
    """1 at the frequencies (nx, ny) of a cell that its translations leave, 0 at others; None if it has none."""
    if len(translations) < 2:
        return None
    whole = [np.fft.fftfreq(n) * n for n in shape]
    turns = np.exp(
        2j * np.pi * (whole[0][:, None] * translations[:, 0, None, None] + whole[1] * translations[:, 1, None, None])
    )
    return np.asarray(np.abs(turns.mean(axis=0)) > 0.5, dtype=float)
