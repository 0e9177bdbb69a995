"""Snapshots of molecular dynamics: how far every atom of a structure is from its place, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.debye_waller import ThermalMotion
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.structure.orient import ImagingCell

Floats = npt.NDArray[np.float64]

#: The mean cell of the frames may differ so far from the structure's: share of a length, and degrees.
STRETCH, TURN = 0.02, 1.0
#: Mean positions may be so far (Å) from the structure's: beyond, atoms were exchanged or have left their sites; and
#: from where on it is remarked upon.
AWAY, NOTABLE = 1.0, 0.1


@dataclass(frozen=True, eq=False)
class Frames:
    """Displacements of a structure's atoms in frames of a trajectory.

    Parameters
    ----------
    structure : Structure
        What the displacements refer to, in its own cell and order of atoms.
    displacements : (F, N, 3) array
        Å, Cartesian, in the frame of ``structure``: differences of fractional coordinates to the nearest image, in the
        structure's cell, without the rigid motion of the whole (centre of mass).
    source : str
        Name of the file.
    notes : tuple of str
        Remarks for the user.
    """

    structure: Structure
    displacements: Floats
    source: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.displacements)

    def picked(self, number: int) -> "Frames":
        """So many of the frames, spread evenly over the trajectory.

        Raises
        ------
        InputError
            If there are fewer, or none is asked for.
        """
        if not 1 <= number <= len(self):
            raise InputError(f"{self.source}: {number} configurations asked for, the trajectory has {len(self)} frames")
        chosen = np.floor((np.arange(number) + 0.5) * len(self) / number).astype(int)
        return Frames(self.structure, self.displacements[chosen], self.source, self.notes)

    def of_block(self, block: "ImagingCell", number: int) -> Floats:
        """Displacements (N, 3) in Å of the atoms of an imaging cell in configuration ``number``.

        Where it holds the trajectory's cell several times, every copy takes another frame as far as there are enough:
        equal ones would scatter in step.
        """
        self._check(block)
        own = len(self.structure)
        copies = len(block.structure) // own
        step = max(1, len(self) // copies)
        which = (number + step * np.arange(copies)) % len(self)
        moved = np.concatenate([self.displacements[k] for k in which])[_order(block, own)]
        return np.asarray(moved @ ((np.eye(3) + block.strain) @ block.rotation.T))

    def motion(self, block: "ImagingCell") -> ThermalMotion:
        """How far atoms of an imaging cell move: ⟨u_i u_j⟩ over all frames, and what the console says of it."""
        self._check(block)
        means = np.einsum("fni,fnj->nij", self.displacements, self.displacements) / len(self)
        turn = block.rotation @ (np.eye(3) + block.strain)
        values = np.einsum("ij,njk,lk->nil", turn, means[np.asarray(block.atom_index)], turn)
        symbols = np.array(block.structure.atoms.get_chemical_symbols())
        mean = np.trace(values, axis1=1, axis2=2) / 3.0
        elements = {s: float(mean[symbols == s].mean()) for s in dict.fromkeys(symbols.tolist())}
        copies = len(block.structure) // len(self.structure)
        words = ", ".join(f"{s} {u:.3g}" for s, u in elements.items())
        notes = list(self.notes)
        if copies > 1:
            how = "every copy in another frame" if copies <= len(self) else "more often than there are frames"
            notes.append(f"the trajectory's cell stands {copies} times in the block, {how}")
        words += f" Å² (mean over {len(self)} frames of {self.source}, one a configuration)"
        return ThermalMotion(values, None, words, f"{len(self)} frames of {self.source}", tuple(notes), elements)

    def _check(self, block: "ImagingCell") -> None:
        given, crystal = self.structure.numbers, block.crystal.numbers
        if len(given) != len(crystal) or (given != crystal).any():
            raise InputError(
                f"{self.source}: frames of {len(given)} atoms, the specimen's crystal has {len(crystal)}; cut it from "
                "the structure of the frames, with primitive=False"
            )


def _order(block: "ImagingCell", own: int) -> npt.NDArray[np.int64]:
    """For every atom of a block its row in copies of the trajectory's atoms, one copy after another."""
    order = np.argsort(block.atom_index, kind="stable")
    rows = np.empty(len(order), dtype=np.int64)
    # sorted by atom, all copies of each in the order they come
    rows[order] = np.tile(np.arange(len(order) // own) * own, own) + np.asarray(block.atom_index)[order]
    return rows


def read_frames(path: str | Path, structure: Structure | None = None) -> Frames:
    """Frames of a trajectory that ASE reads: extended xyz, .traj, XDATCAR, ...

    Parameters
    ----------
    path : path
    structure : Structure, optional
        Whose atoms move: the same elements in the same order, nearly the same cell. None: the mean of the frames.

    Raises
    ------
    InputError
        If the file cannot be read, frames have other atoms, or are not snapshots of this structure.
    """
    import ase.io

    from rhotem.structure.read.formats import read_contents

    name = Path(path).name
    try:
        last = read_contents(Path(path))  # refuses what has no elements, or rows that are wrong
        read = ase.io.read(path, index=":")
    except Exception as error:  # every reader of ASE has errors of its own
        raise InputError(f"--frames {path}: not read as a trajectory ({error or type(error).__name__})") from error
    frames = read if isinstance(read, list) else [read]
    if tuple(frames[-1].get_chemical_symbols()) != last.symbols:
        raise InputError(f"--frames {path}: its elements are read in two ways; write it as extended xyz")
    return frames_of(frames, name, structure)


def frames_of(snapshots: Sequence[ase.Atoms], name: str, structure: Structure | None = None) -> Frames:
    """As `read_frames`, of snapshots that were read already."""
    if not snapshots:
        raise InputError(f"{name}: no frame in it")
    first = snapshots[0]
    for number, atoms in enumerate(snapshots):
        if len(atoms) != len(first) or (atoms.numbers != first.numbers).any():
            raise InputError(f"{name}: frame {number + 1} holds other atoms than the first, or another order of them")
        if atoms.cell.rank < 3 or not np.isfinite(atoms.positions).all():
            raise InputError(f"{name}: frame {number + 1} has no periodic cell or a position that is no number")
    if structure is None:
        if len(snapshots) < 2:
            raise InputError(f"{name}: one frame has no mean; give the structure as well, or a trajectory")
        structure = _mean(snapshots, name)
    _same_atoms(structure, first, name)
    _same_cell(structure, snapshots, name)
    masses = structure.atoms.get_masses()
    reference = np.asarray(np.linalg.solve(structure.cell.T, structure.positions.T).T, dtype=np.float64)
    moved = np.array([_apart(atoms, reference, masses) @ structure.cell for atoms in snapshots])
    away = np.linalg.norm(moved.mean(axis=0), axis=1)
    if away.max() > AWAY:
        worst = int(away.argmax())
        who = f"atom {worst + 1} ({structure.atoms.symbols[worst]})"
        raise InputError(
            f"{name}: {who} is on average {away.max():.2f} Å from its place in the structure; give the structure "
            "of this trajectory, or the trajectory itself as structure"
        )
    notes = []
    if away.max() > NOTABLE:
        far = f"mean positions in {name} are up to {away.max():.2f} Å from the structure's"
        notes.append(f"{far}; the density is the structure's")
    if len(snapshots) == 1:
        notes.append(f"{name} holds one frame: an image of one snapshot, no average")
    return Frames(structure, moved, name, tuple(notes))


def _apart(atoms: ase.Atoms, reference: Floats, masses: Floats) -> Floats:
    """Fractional displacements from a reference without the motion of the centre of mass, whatever cells wrap."""
    raw = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T - reference
    apart = raw - raw[0]
    apart -= np.rint(apart)
    return np.asarray(apart - masses @ apart / masses.sum())


def _mean(snapshots: Sequence[ase.Atoms], name: str) -> Structure:
    """The mean structure of the frames: of their cells, and of fractional coordinates where drift is taken off."""
    first = snapshots[0]
    reference: Floats = np.linalg.solve(first.cell.array.T, first.positions.T).T
    masses = first.get_masses()
    mean = reference + np.mean([_apart(atoms, reference, masses) for atoms in snapshots], axis=0)
    cell = np.mean([atoms.cell.array for atoms in snapshots], axis=0)
    atoms = ase.Atoms(first.numbers, cell=cell, scaled_positions=mean, pbc=True)
    note = f"mean of {len(snapshots)} frames"
    return Structure(atoms, info={"name": name, "file": name, "notes": [note]})


def _same_atoms(structure: Structure, atoms: ase.Atoms, name: str) -> None:
    if len(structure) == len(atoms) and (structure.numbers == atoms.numbers).all():
        return
    theirs, ours = atoms.get_chemical_formula(), structure.atoms.get_chemical_formula()
    if sorted(structure.numbers.tolist()) == sorted(atoms.numbers.tolist()):
        raise InputError(f"{name}: the atoms of its frames are in another order than the structure's; write both alike")
    raise InputError(
        f"{name}: frames of {theirs}, the structure is {ours}; give the structure of this trajectory, or the "
        "trajectory itself as structure (its mean is taken)"
    )


def _same_cell(structure: Structure, snapshots: Sequence[ase.Atoms], name: str) -> None:
    theirs = np.mean([atoms.cell.cellpar() for atoms in snapshots], axis=0)
    ours = structure.atoms.cell.cellpar()
    if np.abs(theirs[:3] / ours[:3] - 1).max() > STRETCH or np.abs(theirs[3:] - ours[3:]).max() > TURN:
        raise InputError(
            f"{name}: the mean cell of its frames is {np.round(theirs, 2).tolist()}, the structure's "
            f"{np.round(ours, 2).tolist()}; give the structure of this trajectory"
        )
