"""What a readout is to whoever wants a density of it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.density.field import OneCentre
from rhotem.learned.radial import Block
from rhotem.structure.model import Structure

Array = npt.NDArray[np.float64]
Announce = Callable[[str], None]
#: What a readout keeps of every atom: arrays for a readout in numpy, tensors for one in torch.
Prepared = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Δn of a structure.

    Parameters
    ----------
    values : array of the grid's shape
        e/Å³, without ``one_centre``.
    one_centre : sequence of OneCentre
        Sharp parts.
    record : dict
        What the electron count needed.
    """

    values: Array
    one_centre: Sequence[OneCentre]
    record: dict[str, Any] = field(default_factory=dict)


def combined(parts: Sequence[Evaluated], shares: Sequence[float]) -> Evaluated:
    """Σ share · part of densities on one grid; sharp parts of an atom on the same radii are added up."""
    terms: dict[tuple[int, bytes, int], OneCentre] = {}
    for part, share in zip(parts, shares, strict=True):
        for term in part.one_centre:
            key = term.atom, np.asarray(term.radii).tobytes(), len(term.values)
            own = share * term.values
            terms[key] = replace(term, values=terms[key].values + own if key in terms else own)
    values = np.sum([share * part.values for part, share in zip(parts, shares, strict=True)], axis=0)
    return Evaluated(values, tuple(terms.values()))


class Readout(Protocol):
    """Made from a `rhotem.learned.model.LearnedModel`.

    ``blocks``: its functions, none where it is not linear; ``cutoff``: reach of an atom in Å; ``receptive_field``: that
    of all of it; ``spacing``: largest step in Å of a grid that holds what is not sharp.
    """

    blocks: tuple[Block, ...]
    cutoff: float
    receptive_field: float
    spacing: float

    def prepare(
        self,
        structure: Structure,
        memory: float | None = None,
        announce: Announce | None = None,
        *,
        reach: float = math.inf,
    ) -> Prepared:
        """What is kept of every atom.

        Raises
        ------
        InputError
            If the structure has no atoms, or atoms closer than 0.5 Å.
        MemoryLimitError
            If it does not fit into memory.
        """
        ...

    def prepare_members(
        self, structure: Structure, memory: float | None = None, announce: Announce | None = None
    ) -> Prepared:
        """The same of every member of an ensemble; of an analytic readout in one more, first, dimension."""
        ...

    def members_at_points(self, prepared: Prepared, structure: Structure, points: Array) -> Array:
        """What every member says at points (P, 3) in Å, (members, P) in e/Å³; from `prepare_members`."""
        ...

    def members_on_grid(self, prepared: Prepared, structure: Structure, grid: PeriodicGrid) -> Iterator[Array]:
        """Δn of one member after the other at the points of a grid, everything on it."""
        ...

    def widened(
        self, prepared: Prepared, structure: Structure, grid: PeriodicGrid, widening: float
    ) -> Iterator[Evaluated]:
        """One member after the other as mean + ``widening`` · (member − mean), with the count right."""
        ...

    def evaluate(self, prepared: Prepared, structure: Structure, grid: PeriodicGrid) -> Evaluated:
        """Δn with its sharp parts apart."""
        ...

    def values(
        self, prepared: Prepared, structure: Structure, grid: PeriodicGrid, progress: Progress = silent
    ) -> Array:
        """Δn at the points of a grid, everything on it."""
        ...

    def at_points(self, prepared: Prepared, structure: Structure, points: Array) -> Array:
        """Δn at points (P, 3) in Å, (P,) in e/Å³."""
        ...

    def features(self, structure: Structure) -> Array | None:
        """Features (N, F) that its novelty is measured by; None: those of the model's encoder."""
        ...

    def contributions(self, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> Array:
        """What each of ``atoms`` brings to Δn at every point, (A, n1, n2, n3) in e/Å³."""
        ...

    def electrons(self, structure: Structure, grid: PeriodicGrid | None = None) -> tuple[Array, Array]:
        """∫ of every atom's contribution, (N,) in e, on ``grid`` where it is not analytic; and what the count added."""
        ...


class Single:
    """A readout that is no ensemble."""

    def prepare_members(
        self, structure: Structure, memory: float | None = None, announce: Announce | None = None
    ) -> Prepared:
        """Refused."""
        raise no_spread()

    def members_at_points(self, prepared: Prepared, structure: Structure, points: Array) -> Array:
        """Refused."""
        raise no_spread()

    def members_on_grid(self, prepared: Prepared, structure: Structure, grid: PeriodicGrid) -> Iterator[Array]:
        """Refused."""
        raise no_spread()

    def widened(
        self, prepared: Prepared, structure: Structure, grid: PeriodicGrid, widening: float
    ) -> Iterator[Evaluated]:
        """Refused."""
        raise no_spread()


def no_spread() -> InputError:
    """Why there are no error bars of a single member."""
    return InputError("model: has a single member, so there is no spread; use a model with several")
