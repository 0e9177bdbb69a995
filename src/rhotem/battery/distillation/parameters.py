"""Parameters of a neuroevolution potential as one vector, and as GPUMD's file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from rhotem.battery.distillation.gradient import (
    ANGLES,
    DESCRIPTORS,
    FUNCTIONS,
    NEURONS,
    ORDER,
    PAIRS,
    POLYNOMIALS,
)
from rhotem.core import InputError

Array = npt.NDArray[np.float64]

#: Neighbours that GPUMD makes room for; files must say.
ROOM = (200, 100)
#: Å, and share of the sum of two covalent radii: where nuclei begin to repel (J. F. Ziegler, J. P. Biersack, U.
#: Littmark, The Stopping and Range of Ions in Solids, 1985).
REPULSION = "zbl 1 2 0.7"


class Parameters:
    """Network, coefficients of the radial functions, and scales of descriptors of a potential.

    Parameters
    ----------
    elements : sequence of str
    vector : array
        All that is learned but the constant of the energy, one after the other.
    scale : array, (DESCRIPTORS,)
    constant : float
        eV, taken off every atom.
    """

    def __init__(self, elements: Sequence[str], vector: Array, scale: Array, constant: float) -> None:
        self.elements, self.vector, self.scale, self.constant = list(elements), vector, scale, constant

    @classmethod
    def zero(cls, elements: Sequence[str]) -> Self:
        """Of no energy but the repulsion of nuclei."""
        size = sum(int(np.prod(shape)) for shape in shapes(len(elements)))
        return cls(elements, np.zeros(size), np.ones(DESCRIPTORS), 0.0)

    @classmethod
    def random(cls, elements: Sequence[str], rng: np.random.Generator) -> Self:
        """To begin with."""
        made = cls.zero(elements)
        spreads = ((DESCRIPTORS + NEURONS) ** -0.5, 0.0, (NEURONS + 1.0) ** -0.5, 0.1, 0.1)
        for part, spread in zip(made.parts(), spreads, strict=True):
            part[...] = rng.normal(0.0, 1.0, part.shape) * spread
        return made

    def parts(self, vector: Array | None = None) -> tuple[Array, ...]:
        """Views of a vector of this shape: weights, thresholds and outputs of neurons, coefficients of both kinds."""
        whole, views, start = self.vector if vector is None else vector, [], 0
        for shape in shapes(len(self.elements)):
            size = int(np.prod(shape))
            views.append(whole[start : start + size].reshape(shape))
            start += size
        return tuple(views)

    def text(self) -> str:
        """GPUMD's file."""
        w0, b0, w1, c2, c3 = self.parts()
        head = [
            f"nep4_zbl {len(self.elements)} {' '.join(self.elements)}",
            REPULSION,
            f"cutoff {PAIRS:g} {ANGLES:g} {ROOM[0]} {ROOM[1]}",
            f"n_max {FUNCTIONS[0] - 1} {FUNCTIONS[1] - 1}",
            f"basis_size {POLYNOMIALS[0] - 1} {POLYNOMIALS[1] - 1}",
            f"l_max {ORDER} 2 0",
            f"ANN {NEURONS} 0",
        ]
        networks = [np.concatenate([w0[a].ravel(), b0[a], w1[a]]) for a in range(len(self.elements))]
        coefficients = [c.transpose(2, 3, 0, 1).ravel() for c in (c2, c3)]
        numbers = np.concatenate([*networks, [self.constant], *coefficients, self.scale])
        return "\n".join([*head, *(f"{number:.9e}" for number in numbers)]) + "\n"

    @classmethod
    def read(cls, path: Path, elements: Sequence[str]) -> Self:
        """From a file of this shape.

        Raises
        ------
        InputError
            If it is of another shape or of other elements.
        """
        made = cls.zero(elements)
        lines, wanted = path.read_text().splitlines(), made.text().splitlines()
        # the room for neighbours, in the line of the cutoffs, may be another one
        alike = [line.split()[:3] for line in lines[1:7]] == [line.split()[:3] for line in wanted[1:7]]
        if lines[:1] != wanted[:1] or not alike or len(lines) != len(wanted):
            raise InputError(f"distil: {path}: a potential of another shape; distil into another folder")
        numbers = np.array(lines[7:], dtype=float)
        each = NEURONS * (DESCRIPTORS + 2)
        w0, b0, w1, c2, c3 = made.parts()
        for a in range(len(elements)):
            own = numbers[a * each : (a + 1) * each]
            w0[a], b0[a], w1[a] = own[: -2 * NEURONS].reshape(w0[a].shape), own[-2 * NEURONS : -NEURONS], own[-NEURONS:]
        start = len(elements) * each
        made.constant = float(numbers[start])
        start += 1
        for c in (c2, c3):
            c[...] = numbers[start : start + c.size].reshape(c.shape[2:] + c.shape[:2]).transpose(2, 3, 0, 1)
            start += c.size
        made.scale = numbers[start:]
        return made


def shapes(count: int) -> tuple[tuple[int, ...], ...]:
    """Of the parts of the vector."""
    return (
        (count, NEURONS, DESCRIPTORS),
        (count, NEURONS),
        (count, NEURONS),
        (count, count, FUNCTIONS[0], POLYNOMIALS[0]),
        (count, count, FUNCTIONS[1], POLYNOMIALS[1]),
    )
