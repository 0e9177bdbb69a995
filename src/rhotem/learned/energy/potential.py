"""Energy, forces and stress of a structure: SevenNet-0, in numpy and compiled loops.

SevenNet-0 (Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024); code and weights: MIT licence) is a NequIP-type
potential of 89 elements. Its first four layers are the frozen body of the learned density. The sums are those of the
package ``sevenn``; nothing of PyTorch is needed.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.threads import available_threads
from rhotem.learned.encoders.interaction import CUTOFF
from rhotem.learned.energy.kernels import collect
from rhotem.learned.energy.layer import LAYERS, Edges, EnergyLayer, Tensors, back_gated, gated
from rhotem.learned.energy.paths import WIDTHS
from rhotem.learned.energy.radial import SPACING
from rhotem.learned.neighbours import Neighbours
from rhotem.learned.weights import PUBLISHED, Weights, in_precision, read_arrays

WEIGHTS = PUBLISHED["sevennet-0"]
#: Atoms a thread works on at once: their sums should stay in its cache.
ATOMS_AT_ONCE = 32

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Energies:
    """Energy of a structure and its derivatives.

    Parameters
    ----------
    by_atom : (N,) array
        Shares of the atoms, eV.
    forces : (N, 3) array
        eV/Å.
    stress : (3, 3) array
        dE/dε over the volume, eV/Å³; positive under tension, as in ASE.
    """

    by_atom: Floats
    forces: Floats
    stress: Floats

    @property
    def energy(self) -> float:
        """Of the cell, eV."""
        return float(self.by_atom.sum())


@dataclass(frozen=True, eq=False)
class Pass:
    """A structure on its way through the layers: ``x`` (features) and ``y`` (before the gate) of every layer."""

    edges: Edges
    species: npt.NDArray[np.int64]
    x: list[Tensors]
    y: list[Tensors]


class SevenNet0:
    """The potential with its weights.

    Parameters
    ----------
    dtype : dtype
        Precision of the sums over channels; distances, energies and forces are collected in double precision.
    path : Path
        Weights made by scripts/make_energy_weights.py.
    """

    def __init__(self, dtype: npt.DTypeLike = np.float32, path: Path = WEIGHTS) -> None:
        w = self.weights = Weights(in_precision(read_arrays(path), dtype))
        self.dtype: np.dtype = np.dtype(dtype)
        w.check({"readout": (WIDTHS[0],), "shift": (len(w["embedding"]),), "scale": (len(w["embedding"]),)})
        self.layers = [EnergyLayer(w.part("layers", n), w["frequencies"], n) for n in range(LAYERS)]

    @property
    def elements(self) -> list[int]:
        """Atomic numbers it knows."""
        return [int(z) for z in np.flatnonzero(self.weights["species"] >= 0)]

    def evaluate(self, numbers: npt.ArrayLike, positions: npt.ArrayLike, cell: npt.ArrayLike) -> Energies:
        """Energy, forces and stress of a periodic structure; lengths in Å.

        Raises
        ------
        InputError
            If there are no atoms, an element is unknown, two atoms are closer than 0.5 Å, or the cell has no volume.
        """
        edges = Edges.of(Neighbours(positions, cell, CUTOFF), self.dtype)
        with workers() as work:
            went = self.forth(np.asarray(numbers), edges, work)
            return self.back(went, abs(float(np.linalg.det(np.asarray(cell, dtype=float)))), work)

    def start(self, numbers: npt.NDArray) -> tuple[npt.NDArray[np.int64], npt.NDArray]:
        """Its own numbers of the elements, and features before the first layer.

        Raises
        ------
        InputError
            If an element is unknown.
        """
        species = self.weights["species"][numbers]
        if len(species) and species.min() < 0:
            from ase.data import chemical_symbols

            odd = ", ".join(sorted({chemical_symbols[z] for z in numbers[species < 0]}))
            raise InputError(f"potential sevennet-0: does not know {odd}")
        table = self.weights["embedding"]
        return species, table[species][:, None] * self.dtype.type(1.0 / math.sqrt(len(table)))

    def forth(self, numbers: npt.NDArray, edges: Edges, work: "Workers") -> Pass:
        """All layers."""
        species, first = self.start(numbers)
        went = Pass(edges, species, [[first]], [])
        for layer in self.layers:
            y, x = self.through(layer, went.x[-1], edges, work)
            went.y.append(y)
            went.x.append(x)
        return went

    def through(self, layer: EnergyLayer, x: Tensors, edges: Edges, work: "Workers") -> tuple[Tensors, Tensors]:
        """Features before and after the gate of a layer."""
        n, sent = len(x[0]), layer.send(x)
        y = [np.empty((n, 2 * l + 1, w.shape[1]), dtype=self.dtype) for l, w in enumerate(layer.second)]
        after = [np.empty((n, 2 * l + 1, k), dtype=self.dtype) for l, k in zip(range(len(y)), WIDTHS, strict=False)]

        def some(atoms: slice, _: int) -> None:
            made = layer.before_gate(x, sent, edges, atoms)
            for whole, part in zip((*y, *after), (*made, *gated(made)), strict=True):
                whole[atoms] = part

        work(n, some)
        return y, after

    def back(self, went: Pass, volume: float, work: "Workers") -> Energies:
        """Energies of the last layer's features, and their gradient, back through all layers."""
        n, edges, w = len(went.species), went.edges, self.weights
        scale, last = w["scale"][went.species], went.x[-1][0][:, 0]
        by_atom = scale.astype(float) * (last @ w["readout"]) + w["shift"][went.species]
        by_edge = np.zeros((len(edges.source), 9), dtype=self.dtype)
        to_x: Tensors = [(scale[:, None] * w["readout"])[:, None]]
        for index in range(LAYERS - 1, -1, -1):
            to_x = self._back_through(index, went, to_x, by_edge, work)
        forces, virial = np.zeros((n, 3)), np.zeros((3, 3))
        collect(edges.starts, edges.source, edges.vectors, by_edge, 2.0 / SPACING, forces, virial)
        return Energies(by_atom, forces, 0.5 * (virial + virial.T) / volume)

    def _back_through(self, index: int, went: Pass, to_x: Tensors, by_edge: npt.NDArray, work: "Workers") -> Tensors:
        """The gradient by features before a layer, from that by those after it; of edges, added to ``by_edge``."""
        layer, x, y = self.layers[index], went.x[index], went.y[index]
        n, sent = len(went.species), layer.send(x)
        result = [np.empty_like(t) for t in x]
        collected = [np.zeros(len(sent) if index else 0, dtype=self.dtype) for _ in range(work.threads)]

        def some(atoms: slice, thread: int) -> None:
            to_y = back_gated([t[atoms] for t in y], [t[atoms] for t in to_x])
            own = layer.back(to_y, sent, went.edges, atoms, (collected[thread], by_edge))
            for whole, part in zip(result, own, strict=False):
                whole[atoms] = part

        work(n, some)
        if index:
            for l, part in enumerate(layer.back_sent(sum(collected[1:], start=collected[0]))):
                result[l] = result[l] + part if l < len(layer.connect) else part
        return result


class Workers:
    """Threads that work on atoms, always the same ones on the same: sums do not depend on who is first."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int) -> None:
        self.pool, self.threads = pool, threads

    def __call__(self, count: int, job: Callable[[slice, int], None]) -> None:
        """Call ``job(atoms, thread)`` for all atoms, a few at once."""
        bounds = np.linspace(0, count, self.threads + 1).astype(int)

        def share(thread: int) -> None:
            first, last = int(bounds[thread]), int(bounds[thread + 1])
            for start in range(first, last, ATOMS_AT_ONCE):
                job(slice(start, min(start + ATOMS_AT_ONCE, last)), thread)

        if self.threads == 1:
            share(0)
        else:
            list(self.pool.map(share, range(self.threads)))


@contextmanager
def workers() -> Iterator[Workers]:
    """Threads; matrix products within them take one each."""
    threads = available_threads()
    with _blas().limit(limits=1), ThreadPoolExecutor(threads) as pool:
        yield Workers(pool, threads)


@lru_cache(maxsize=1)
def _blas() -> Any:
    """What limits the threads of matrix products; looking for the libraries takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@lru_cache(maxsize=2)
def sevennet_0(dtype: type = np.float32) -> SevenNet0:
    """The potential as shipped, read once."""
    return SevenNet0(dtype)
