"""The learned density of frames that follow each other: only what changed is evaluated anew.

An atom's features after a layer depend on its neighbours' before it. Those of atoms that moved, and of their old and
new neighbours, are evaluated again; after every layer what differs from the frame before by more than a tolerance is
handed on, and everything else is taken over. The tolerance is compared with what was handed on last, so that small
changes do not add up over frames. Functions of atoms whose coefficients changed are taken off the grid and put on it
again. What the electron count asks of every atom, one function each, changes by nearly the same share everywhere: a
multiple of one grid, and atoms that differ from that.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.source import DensitySource
from rhotem.learned.count_grid import MOST, CountGrid
from rhotem.learned.counting import count_exactly
from rhotem.learned.encoder import EDGES_AT_ONCE, single_threaded
from rhotem.learned.encoders.stage import AtomFeatures, States, Surroundings
from rhotem.learned.grid import count_correction
from rhotem.learned.kernels.grid import BlockOnGrid, add_block
from rhotem.learned.loaded import Loaded
from rhotem.learned.neighbours import Neighbours
from rhotem.learned.outside import remarks
from rhotem.learned.readouts.spherical.coefficients import electrons_by_atom
from rhotem.learned.readouts.spherical.predict import SharpTerms
from rhotem.structure.model import Structure

Array = npt.NDArray[np.float64]
#: Grid values so that no density is negative, if asked for, and what was (`rhotem.learned.source.Model.checked`).
Checked = Callable[[Array, Sequence[OneCentre], Structure, PeriodicGrid], tuple[Array, dict[str, Any]]]
Names = npt.NDArray[np.int64]

#: Change of an atom's features, of their root mean square, below which neighbours are not told of it.
TOLERANCE = 2e-5
#: Å: atoms moved by less are where they were; and how far one moves until novelty is looked at again.
STILL, NOVEL = 1e-9, 0.5


@dataclass(eq=False)
class _Kept:
    """What is kept of the frame before: features after every layer, coefficients, and the grid of uncorrected atoms."""

    structure: Structure
    grid: PeriodicGrid
    levels: list[States]
    sent: list[npt.NDArray]
    parts: list[npt.NDArray]
    held: Array
    share: Array
    values: Array
    sums: Array
    drawn: Array
    said: dict[str, Any]
    assessed: Array
    widest: CountGrid | None = None


class Following:
    """A learned density as a source that remembers the structure before.

    The first frame, and any of other atoms, another cell or grid, costs what the model costs. Where the model cannot be
    taken apart (another readout, elements without training, spin, a bound on memory) every frame does.

    Parameters
    ----------
    model : Loaded
    whole : DensitySource
        The same model as a source of whole densities.
    checked : callable
        `Checked`.
    tolerance : float
        `TOLERANCE`; 0: whatever changed at all.
    """

    def __init__(self, model: Loaded, whole: DensitySource, checked: Checked, tolerance: float = TOLERANCE) -> None:
        self.model, self.tolerance = model, tolerance
        self._whole, self._checked = whole, checked
        self.spacing, self.path = model.model.readout.spacing, model.path
        self._kept: _Kept | None = None
        #: atoms evaluated at every layer of the last frame, and those drawn on the grid again
        self.evaluated: list[int] = []

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """As `Model`, within the tolerance."""
        model = self.model
        whole = model.memory is not None or model.spin or model.reach < np.inf
        if whole or not hasattr(model.model.readout, "maps") or model.strangers(structure):
            return self._whole(structure, grid)
        model.check_charge(structure)
        kept = self._kept
        if kept is None or not _alike(kept, structure, grid):
            kept = _empty(model, structure, grid)
            changed = self._encode(kept, structure, None)
        else:
            moved = np.flatnonzero(np.linalg.norm(_apart(structure, kept.structure.positions), axis=1) > STILL)
            changed = self._encode(kept, structure, moved)
        self._draw(kept, structure, changed)
        kept.structure = structure
        self._kept = kept
        return self._field(kept, structure)

    def _encode(self, kept: _Kept, structure: Structure, moved: Names | None) -> Names:
        """Features and coefficients of what changed, into what is kept; atoms whose coefficients did. None: all."""
        encoder, count = self.model.model.any_encoder, len(structure)
        near = Neighbours(structure.positions, structure.cell, encoder.cutoff)
        everything = np.ones(count, dtype=bool)
        geometry, told = everything, everything
        if moved is not None:
            before = Neighbours(kept.structure.positions, structure.cell, encoder.cutoff)
            geometry, told = np.zeros((2, count), dtype=bool)
            geometry[moved] = True
            for lists in (before, near):
                geometry[lists.around(moved)[1]] = True
        self.evaluated = []
        stages = encoder.stages()
        with single_threaded() as threads, ThreadPoolExecutor(threads) as pool:
            for level, stage in enumerate(stages):
                asked = geometry | told
                if moved is not None and told.any():
                    asked[near.around(np.flatnonzero(told))[1]] = True
                atoms = np.flatnonzero(asked)
                self.evaluated.append(len(atoms))
                if moved is None:
                    kept.sent.append(stage.send(kept.levels[level]))
                elif told.any():
                    rows = np.flatnonzero(told)
                    kept.sent[level][rows] = stage.send({k: v[rows] for k, v in kept.levels[level].items()})
                after = self._layer(pool, near, structure, (stage, kept.levels[level], kept.sent[level]), atoms)
                if level == len(stages) - 1:
                    return self._read(kept, structure, atoms, after, moved is None)
                if moved is None:
                    kept.levels.append(after)
                    continue
                changed = self._differ(kept.levels[level + 1], after, atoms)
                for name, values in after.items():
                    kept.levels[level + 1][name][atoms[changed]] = values[changed]
                told = np.zeros(count, dtype=bool)
                told[atoms[changed]] = True
        raise AssertionError("an encoder without layers")

    def _layer(
        self,
        pool: ThreadPoolExecutor,
        near: Neighbours,
        structure: Structure,
        layer: tuple[Any, States, npt.NDArray],
        atoms: Names,
    ) -> States:
        """States of some atoms after a layer, rows as ``atoms``."""
        stage, before, sent = layer
        if not len(atoms):
            return {}

        def piece(own: Names) -> States:
            starts, other, vectors = near.around(own)
            numbers = structure.numbers
            found: States = stage(before, sent, Surroundings(own, numbers[own], starts, other, numbers[other], vectors))
            return found

        made = list(pool.map(piece, _pieces(near, atoms)))
        return {name: np.concatenate([one[name] for one in made]) for name in made[0]}

    def _differ(self, before: States, after: States, atoms: Names) -> npt.NDArray[np.bool_]:
        """Which of the evaluated atoms differ from what is kept."""
        changed = np.zeros(len(atoms), dtype=bool)
        for name, values in after.items():
            old = before[name]
            scale = float(np.sqrt(np.mean(np.square(old, dtype=np.float64))))
            apart = np.abs(values - old[atoms]).reshape(len(atoms), -1).max(axis=1)
            changed |= apart > self.tolerance * scale
        return changed

    def _read(self, kept: _Kept, structure: Structure, atoms: Names, after: States, first: bool) -> Names:
        """Coefficients of the atoms evaluated last; those that changed."""
        readout: Any = self.model.model.readout
        blocks, maps = readout.blocks, readout.maps
        if not len(atoms):
            return atoms
        features, numbers = AtomFeatures(after["scalars"], after["kept"]), structure.numbers[atoms]
        parts = [np.zeros((len(atoms), *p.shape[1:]), dtype=features.scalars.dtype) for p in kept.parts]
        held, share = np.empty((2, len(maps), len(atoms)))
        for index, own in enumerate(maps):
            coefficients, share[index] = own(features, numbers)
            held[index] = electrons_by_atom(blocks, tuple(coefficients))
            for total, c in zip(parts, coefficients, strict=True):
                total += c / total.dtype.type(len(maps))
        changed = np.ones(len(atoms), dtype=bool)
        if not first:
            new = {str(n): p for n, p in enumerate(parts)}
            changed = self._differ({str(n): p for n, p in enumerate(kept.parts)}, new, atoms)
        rows = atoms[changed]
        for total, part in zip(kept.parts, parts, strict=True):
            total[rows] = part[changed]
        kept.held[:, rows], kept.share[:, rows] = held[:, changed], share[:, changed]
        return rows

    def _draw(self, kept: _Kept, structure: Structure, changed: Names) -> None:
        """Wide functions of changed and of moved atoms taken off the grid and put on again."""
        block = self.model.model.readout.blocks[-1]
        moved = np.linalg.norm(_apart(structure, kept.structure.positions), axis=1) > STILL
        moved[changed] = True
        rows = np.flatnonzero(moved)
        far = kept.parts[-1].astype(float)
        whole = len(rows) > MOST * len(structure)
        self.evaluated.append(len(structure) if whole else len(rows))
        if whole:
            kept.values[:], rows = 0.0, np.arange(len(structure))
        elif len(rows):
            old = BlockOnGrid(block, kept.grid, kept.structure.positions[rows])
            add_block(kept.values, 0, old, -kept.drawn[rows])
        if len(rows):
            new = BlockOnGrid(block, kept.grid, structure.positions[rows])
            kept.sums[rows] = add_block(kept.values, 0, new, far[rows])
            kept.drawn[rows] = far[rows]

    def _field(self, kept: _Kept, structure: Structure) -> DensityField:
        """The density of a frame: what is kept, and what the electron count adds."""
        model, grid = self.model, kept.grid
        readout: Any = model.model.readout
        block, electrons = readout.blocks[-1], float(readout.blocks[-1].electrons[-1])
        result = tuple(part.astype(float) for part in kept.parts)
        missing = (-structure.charge - kept.held.sum(axis=1)) / kept.share.sum(axis=1)
        result[-1][:, -1, 0] += (kept.share * missing[:, None]).mean(axis=0) / electrons
        count_exactly(model.model, structure, result)
        added = result[-1][:, -1, 0] - kept.parts[-1][:, -1, 0].astype(float)
        sums = kept.sums.copy()
        sums[:, 0] += added * sums[:, 1] / np.sqrt(4.0 * np.pi)
        widest, correction, electrons_moved = count_correction(block, result[-1], sums * grid.voxel_volume)
        shares = kept.share.mean(axis=0)
        if kept.widest is None:
            kept.widest = CountGrid(widest, grid, len(structure))
        values = kept.values + kept.widest.drawn(added + correction[:, 0, 0], shares, structure.positions)
        if not kept.said or np.linalg.norm(_apart(structure, kept.assessed), axis=1).max() > NOVEL:
            kept.said, kept.assessed = remarks(model, structure, grid.size), structure.positions.copy()
        terms = SharpTerms(readout.blocks[0], result[0])
        values, negative = self._checked(values, terms, structure, grid)
        return DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=values,
            one_centre=terms,
            reference=free_atoms.load().identifier,
            source=f"model {model.name}",
            record={
                "model": model.name,
                "accuracy": model.header["info"].get("accuracy", {}),
                "receptive_field_A": readout.receptive_field,
                **kept.said,
                "electrons_by_atom": electrons_by_atom(readout.blocks, result).tolist(),
                "grid_count_correction_e": electrons_moved,
                **negative,
                "followed": {"atoms_evaluated": list(self.evaluated), "tolerance": self.tolerance},
            },
        )


def _alike(kept: _Kept, structure: Structure, grid: PeriodicGrid) -> bool:
    """Whether only positions differ from the frame before."""
    was = kept.structure
    return (
        kept.grid == grid
        and len(was) == len(structure)
        and bool((was.numbers == structure.numbers).all())
        and bool(np.abs(was.cell - structure.cell).max() < STILL)
        and was.charge == structure.charge
    )


def _apart(structure: Structure, positions: Array) -> Array:
    """From positions to those of the structure, by the nearest image, Å."""
    apart = np.linalg.solve(structure.cell.T, (structure.positions - positions).T).T
    return np.asarray((apart - np.rint(apart)) @ structure.cell)


def _empty(model: Loaded, structure: Structure, grid: PeriodicGrid) -> _Kept:
    """What is kept before the first frame."""
    readout: Any = model.model.readout
    encoder, count = model.model.any_encoder, len(structure)
    start = encoder.start(structure.numbers, structure.charge / count)
    shapes = [(count, b.functions, (b.lmax + 1) ** 2) for b in readout.blocks]
    parts = [np.zeros(shape, dtype=encoder.dtype) for shape in shapes]
    members = len(readout.maps)
    held, share = np.zeros((2, members, count))
    values, sums = np.zeros(grid.shape), np.zeros((count, 2))
    drawn = np.zeros(shapes[-1])
    return _Kept(structure, grid, [start], [], parts, held, share, values, sums, drawn, {}, structure.positions.copy())


def _pieces(near: Neighbours, atoms: Names) -> Iterator[Names]:
    """Atoms in pieces of about the same number of edges."""
    volume = abs(np.linalg.det(near.cell))
    mean = 4.2 * near.cutoff**3 * len(near.positions) / volume
    step = int(np.clip(EDGES_AT_ONCE / max(mean, 1.0), 1, 256))
    return (atoms[start : start + step] for start in range(0, len(atoms), step))
