"""Density of the spherical readout: coefficients by the encoder, values on grids, single points."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.density.field import OneCentre
from rhotem.learned.coefficients import atom_coefficients, member_coefficients
from rhotem.learned.counting import count_exactly
from rhotem.learned.couplings import solid_harmonics
from rhotem.learned.grid import counted_on_grid, on_grid
from rhotem.learned.pairs import probe_pairs
from rhotem.learned.radial import Block
from rhotem.learned.readouts.base import Announce, Array, Evaluated
from rhotem.learned.readouts.spherical.coefficients import CoefficientMap, blocks_of, electrons_by_atom
from rhotem.learned.repeats import find_repetition
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.learned.model import LearnedModel

#: Radii of one-centre parts.
RADII = 160
#: Pairs of points and atoms handled at once.
PAIRS = 4096

Coefficients = tuple[npt.NDArray, ...]


class SphericalReadout:
    """See `rhotem.learned.readouts.base.Readout`; ``maps``: one per member."""

    #: Functions of 0.6 Å and wider, those that go on the grid, have nothing beyond 2.5 1/Å: 3e-7 of the largest
    #: coefficient of LiCoO2.
    spacing = 0.2

    def __init__(self, model: "LearnedModel") -> None:
        self.model = model
        s = model.settings
        self.blocks = blocks_of(s.spherical)
        self.cutoff = max(b.cutoff for b in self.blocks)
        channels = model.any_encoder.channels
        #: from features to coefficients, one per member
        self.maps = [CoefficientMap(self.blocks, own, channels, s.spherical.width) for own in model.readout_weights]

    @property
    def receptive_field(self) -> float:
        """Reach in Å of what decides about a coefficient."""
        return self.model.any_encoder.receptive_field

    def prepare(
        self,
        structure: Structure,
        memory: float | None = None,
        announce: Announce | None = None,
        *,
        reach: float = math.inf,
    ) -> Coefficients:
        """Coefficients of every atom, per block (N, functions, (lmax+1)²); the mean of the members."""
        return atom_coefficients(self.model, structure, memory, announce=announce, reach=reach)

    def prepare_members(
        self, structure: Structure, memory: float | None = None, announce: Announce | None = None
    ) -> Coefficients:
        """Those of every member, (members, N, functions, (lmax+1)²), in the precision of the weights."""
        return member_coefficients(self.model, structure, memory, announce=announce)

    def members_at_points(self, prepared: Coefficients, structure: Structure, points: Array) -> Array:
        """From coefficients of several members, (members, P)."""
        return self.at_points(prepared, structure, points)

    def members_on_grid(self, prepared: Coefficients, structure: Structure, grid: PeriodicGrid) -> Iterator[Array]:
        """One after the other."""
        for k in range(len(prepared[0])):
            yield self.values(tuple(c[k] for c in prepared), structure, grid)

    def widened(
        self, prepared: Coefficients, structure: Structure, grid: PeriodicGrid, widening: float
    ) -> Iterator[Evaluated]:
        """Their mean and one of them in double precision at a time."""
        mean = tuple(c.mean(0, dtype=float) for c in prepared)
        for k in range(len(prepared[0])):
            own = tuple(m + widening * (c[k].astype(float) - m) for c, m in zip(prepared, mean, strict=True))
            count_exactly(self.model, structure, own)
            yield self.evaluate(own, structure, grid)

    def evaluate(self, prepared: Coefficients, structure: Structure, grid: PeriodicGrid) -> Evaluated:
        """The wide block on the grid, the sharp one around the atoms."""
        values, moved = self._repeated(prepared[1], structure, grid)
        held = electrons_by_atom(self.blocks, prepared).tolist()
        record = {"electrons_by_atom": held, "grid_count_correction_e": moved}
        return Evaluated(values, SharpTerms(self.blocks[0], prepared[0]), record)

    def values(
        self, prepared: Coefficients, structure: Structure, grid: PeriodicGrid, progress: Progress = silent
    ) -> Array:
        """All blocks on the grid, without putting the count of its samples right."""
        return on_grid(self.blocks, prepared, structure.positions, grid, progress)

    def at_points(self, prepared: Coefficients, structure: Structure, points: Array) -> Array:
        """Δn at points (P, 3) in Å, (P,) in e/Å³; coefficients of several members give (members, P)."""
        several = prepared[0].ndim == 4
        given = [c if several else c[None] for c in prepared]
        result = np.zeros((len(given[0]), len(points)))
        for block, c in zip(self.blocks, given, strict=True):
            flat = c.reshape(*c.shape[:2], -1)
            point, atom, vectors = probe_pairs(points, structure.positions, structure.cell, block.cutoff)
            for start in range(0, len(point), PAIRS):
                piece = slice(start, start + PAIRS)
                radial = block.radial(np.linalg.norm(vectors[piece], axis=1)).T
                functions = radial[:, :, None] * solid_harmonics(vectors[piece], block.lmax)[:, None]
                basis = functions.reshape(len(functions), -1)
                for member, values in zip(flat, result, strict=True):
                    values += np.bincount(point[piece], (basis * member[atom[piece]]).sum(1), len(points))
        return result if several else result[0]

    def features(self, structure: Structure) -> None:
        """None: those of the encoder."""

    def contributions(self, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> Array:
        """What the functions of each of ``atoms`` hold at every point, (A, n1, n2, n3) in e/Å³."""
        prepared = self.prepare(structure)
        own = ([c[atom : atom + 1] for c in prepared] for atom in atoms)
        return np.stack(
            [on_grid(self.blocks, c, structure.positions[[a]], grid) for a, c in zip(atoms, own, strict=True)]
        )

    def electrons(self, structure: Structure, grid: PeriodicGrid | None = None) -> tuple[Array, Array]:
        """Analytic, so that no grid matters; inside the network the count is part of every atom's own map."""
        members = self.prepare_members(structure)
        electrons = electrons_by_atom(self.blocks, tuple(c.mean(0, dtype=float) for c in members))
        rounding = np.full(len(structure), (-structure.charge - electrons.sum()) / len(structure))
        return electrons + rounding, rounding

    def _repeated(self, far: Array, structure: Structure, grid: PeriodicGrid) -> tuple[Array, float]:
        """`counted_on_grid`; evaluates one cell of a repeated structure and copies it to the others."""
        repetition = find_repetition(structure, grid.shape)
        if repetition is None:
            return counted_on_grid(self.blocks[1], far, structure.positions, grid)
        counts = np.array(repetition.counts)
        n1, n2, n3 = (int(n) for n in np.array(grid.shape) // counts)
        one = PeriodicGrid(grid.cell / counts[:, None], (n1, n2, n3))
        positions = structure.positions[repetition.atoms]
        values, moved = counted_on_grid(self.blocks[1], far[repetition.atoms], positions, one)
        return np.tile(values, repetition.counts), moved * float(counts.prod())


class SharpTerms(Sequence[OneCentre]):
    """The sharp block of every atom as radial functions, R_lm(r) = Σ_n c_nlm r^l G_n(r), made when asked for.

    Parameters
    ----------
    block : Block
    coefficients : (N, functions, (lmax+1)²) array
    """

    def __init__(self, block: Block, coefficients: Array) -> None:
        self.block, self.coefficients = block, coefficients
        self.radii = np.linspace(0.0, np.sqrt(block.cutoff), RADII) ** 2
        self._functions = block.radial(self.radii)
        self._powers = np.concatenate([np.tile(self.radii**l, (2 * l + 1, 1)) for l in range(block.lmax + 1)])

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, atom: Any) -> Any:
        if isinstance(atom, slice):
            return tuple(self[a] for a in range(*atom.indices(len(self))))
        if not -len(self) <= atom < len(self):
            raise IndexError(atom)
        atom = atom % len(self)
        return OneCentre(atom, self.radii, (self.coefficients[atom].T @ self._functions) * self._powers)
