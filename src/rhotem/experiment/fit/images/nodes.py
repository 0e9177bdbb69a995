"""Responses at nodes of what changes scattering itself: occupancies, Debye–Waller scale, mistilt.

A response answers for lens and thickness. What changes the specimen is simulated at three to five values, and images
are interpolated between by Lagrange's polynomial through all of them. With several axes changes are
added: I(a, b) = I(a, b₀) + I(a₀, b) − I(a₀, b₀); their interplay is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.scattering.response import Response, mean_response

Array = npt.NDArray[np.float64]

#: Nodes of an axis.
FEWEST, MOST = 3, 6


@dataclass(frozen=True, eq=False)
class NodeAxis:
    """One property of a specimen at several values.

    Parameters
    ----------
    name : str
        Of the parameter in a fit.
    values : tuple of float
        Increasing.
    responses : tuple of Response
        One for each; atoms displaced alike, else thermal noise bends the curve.
    unit : str
    reference : int
        Node of which the response is the same in all axes.
    """

    name: str
    values: tuple[float, ...]
    responses: tuple[Response, ...]
    unit: str = ""
    reference: int = 0

    def __post_init__(self) -> None:
        number = len(self.values)
        if not FEWEST <= number <= MOST or number != len(self.responses) or (np.diff(self.values) <= 0).any():
            raise InputError(
                f"nodes of {self.name}: {number} values and {len(self.responses)} responses; expected {FEWEST} to "
                f"{MOST} increasing values with a response each"
            )
        first = self.responses[0]
        for one in self.responses[1:]:
            alike = len(one.thicknesses) == len(first.thicknesses) and np.allclose(one.thicknesses, first.thicknesses)
            if not alike or not np.allclose(one.extent, first.extent):
                raise InputError(f"nodes of {self.name}: the responses hold different thicknesses or cells")

    def weights(self, value: float) -> tuple[Array, Array]:
        """Weights (nodes,) of the responses at a value, and their derivatives."""
        nodes = np.array(self.values)
        weights, slopes = np.ones(len(nodes)), np.zeros(len(nodes))
        for i in range(len(nodes)):
            others = np.delete(nodes, i)
            scale = np.prod(nodes[i] - others)
            weights[i] = np.prod(value - others) / scale
            slopes[i] = sum(np.prod(value - np.delete(others, k)) for k in range(len(others))) / scale
        return weights, slopes


@dataclass(frozen=True, eq=False)
class Nodes:
    """Responses of a specimen along some axes.

    Parameters
    ----------
    base : Response
    axes : tuple of NodeAxis
        ``base`` is the response of every axis at its reference.
    draws : tuple of Nodes
        The same with single sets of displacements and arrangements, which all responses are means of: their scatter
        is part of a fit's errors.
    translations : (n, 2) array
        Fractions of the cell by which a crystal repeats within it (`rhotem.structure.beam_symmetry`): arrangements at
        random do not, but their mean does, and images are taken as the mean over these places.
    """

    base: Response
    axes: tuple[NodeAxis, ...] = ()
    draws: "tuple[Nodes, ...]" = ()
    translations: Array = field(default_factory=lambda: np.zeros((1, 2)))

    def __post_init__(self) -> None:
        for axis in self.axes:
            if axis.responses[axis.reference] is not self.base:
                raise InputError(f"nodes of {axis.name}: the reference is not the response that all axes share")

    @classmethod
    def mean(cls, draws: "Sequence[Nodes]") -> "Nodes":
        """The mean of several draws."""
        axes = []
        for place, axis in enumerate(draws[0].axes):
            columns = zip(*(one.axes[place].responses for one in draws), strict=True)
            axes.append(replace(axis, responses=tuple(mean_response(column) for column in columns)))
        base = axes[0].responses[axes[0].reference] if axes else mean_response([one.base for one in draws])
        return cls(base, tuple(axes), tuple(draws) if len(draws) > 1 else ())

    def repeating(self, translations: Array) -> "Nodes":
        """The same, all draws too, of a crystal with these translations."""
        draws = tuple(one.repeating(translations) for one in self.draws)
        return replace(self, draws=draws, translations=translations)

    @property
    def names(self) -> list[str]:
        """Of the parameters."""
        return [axis.name for axis in self.axes]

    @property
    def responses(self) -> list[Response]:
        """The base and all nodes, in the order of weights."""
        return [self.base, *(one for axis in self.axes for one in axis.responses)]

    @property
    def reference(self) -> Array:
        """Values at the base."""
        return np.array([axis.values[axis.reference] for axis in self.axes])

    def weights(self, values: Sequence[float] | Array) -> tuple[Array, Array]:
        """Weights (responses,) at values of all axes, and their derivatives (axes, responses)."""
        number = len(self.responses)
        weights, slopes = np.zeros(number), np.zeros((len(self.axes), number))
        weights[0], start = 1.0 - len(self.axes), 1
        for place, (axis, value) in enumerate(zip(self.axes, values, strict=True)):
            part = slice(start, start + len(axis.values))
            weights[part], slopes[place, part] = axis.weights(float(value))
            start = part.stop
        return weights, slopes
