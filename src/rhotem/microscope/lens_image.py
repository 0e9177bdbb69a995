"""The image of a lens, as the mean of those of exit waves that come one after another, and its error."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.coherence import Lens
from rhotem.microscope.scatter import error_of

Array = npt.NDArray[np.float64]

#: Bytes of exit waves that are kept before their images are added up; a pair of beams is then looked at once for all.
WAVE_BYTES = 128 * 1024**2
#: Parts of the configurations whose images are compared; more parts cost more passes of the lens.
PARTS = 4


class MeanImage:
    """Adds up images of exit waves of thermal configurations, many at a time.

    Configurations are dealt to `PARTS` parts in turn. With n_g of N configurations in the mean A_g of a part, the
    variance of the mean A of all is ``Σ n_g (A_g − A)² / N(G − 1)``.
    """

    def __init__(self, lens: Lens) -> None:
        self._lens, self._number = lens, 0
        self._sums: Array = np.zeros((PARTS, *lens.cell))
        self._counts = np.zeros(PARTS)
        self._waiting: list[list[npt.NDArray[np.complex64]]] = [[] for _ in range(PARTS)]

    def add(self, wave: npt.NDArray[np.complex64]) -> None:
        """Take the exit wave of one more configuration, as Fourier coefficients (nx, ny)."""
        self._waiting[self._number % PARTS].append(wave)
        self._number += 1
        if sum(w.nbytes for waves in self._waiting for w in waves) > WAVE_BYTES:
            self._look()

    def _look(self) -> None:
        for part, waves in enumerate(self._waiting):
            if waves:
                self._sums[part] += len(waves) * self._lens.image(np.stack(waves))
                self._counts[part] += len(waves)
                waves.clear()

    def image(self) -> Array:
        """Mean image (cell x, cell y) in units of the incident intensity."""
        self._look()
        return np.asarray(self._sums.sum(axis=0) / self._number)

    def error(self) -> dict[str, Any]:
        """Standard error of the mean by thermal motion, as `rhotem.microscope.derive.phonon_errors` puts it.

        Nothing of a single configuration.
        """
        mean, seen = self.image(), self._counts > 0
        parts = int(seen.sum())
        if parts < 2:
            return {}
        counts = self._counts[seen]
        means = self._sums[seen] / counts[:, None, None]
        variance = np.einsum("g,gxy->xy", counts, (means - mean) ** 2) / (self._number * (parts - 1))
        how = f"{parts} parts of the configurations"
        return {"phonon_error": {"from": how, "images": {"HRTEM": error_of(mean, variance)}}}
