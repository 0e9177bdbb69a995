"""Frames of molecular dynamics: displacements of a structure's atoms, whatever wraps, drifts or is repeated."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from rhotem.core import InputError
from rhotem.structure.frames import Frames, frames_of, read_frames
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient

RNG = np.random.default_rng(0)


def crystal() -> Structure:
    """A monoclinic supercell of two elements."""
    atoms = bulk("NaCl", "rocksalt", 5.64).repeat((2, 2, 3))
    atoms.set_cell(atoms.cell.array @ np.array([[1.0, 0.02, 0], [0, 1, 0.03], [0, 0, 1]]), scale_atoms=True)
    return Structure(atoms)


def trajectory(structure: Structure, moved: np.ndarray) -> list[Atoms]:
    """Snapshots as programs write them: drifting, wrapped into the cell, the cell turned and breathing."""
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    found = []
    for number, u in enumerate(moved):
        atoms = structure.atoms.copy()
        atoms.positions += u
        atoms.positions += number * np.array([0.7, -1.3, 2.9])
        atoms.set_cell(atoms.cell.array @ turn.T * (1.0 + 0.002 * (-1) ** number), scale_atoms=True)
        atoms.wrap()
        found.append(atoms)
    return found


def thermal(structure: Structure, count: int = 12, rms: float = 0.1) -> np.ndarray:
    """Displacements without motion of the centre of mass."""
    moved = RNG.normal(0.0, rms, size=(count, len(structure), 3))
    masses = structure.atoms.get_masses()
    return moved - (np.einsum("n,fni->fi", masses, moved) / masses.sum())[:, None]


def test_displacements_are_found_whatever_wraps_drifts_and_turns():
    structure = crystal()
    moved = thermal(structure)
    found = frames_of(trajectory(structure, moved), "md", structure)
    np.testing.assert_allclose(found.displacements, moved, atol=1e-10)


def test_the_mean_is_the_structure_where_none_is_given():
    structure = crystal()
    moved = thermal(structure, 2)
    moved = np.concatenate([moved, -moved])
    snapshots = trajectory(structure, moved)
    found = frames_of(snapshots, "md")
    lengths = np.mean([a.cell.cellpar() for a in snapshots], axis=0)
    np.testing.assert_allclose(found.structure.atoms.cell.cellpar(), lengths, rtol=1e-12)
    apart = found.structure.atoms.get_scaled_positions() - structure.atoms.get_scaled_positions()
    apart -= apart[0]
    np.testing.assert_allclose(apart - np.rint(apart), 0.0, atol=1e-10)
    np.testing.assert_allclose(found.displacements.mean(axis=0), 0.0, atol=1e-10)


def test_the_block_moves_as_the_frames_do():
    """Turned to a zone axis and repeated, every copy of the trajectory's cell is one of the frames."""
    structure = crystal()
    moved = thermal(structure)
    frames = Frames(structure, moved, "md")
    block = orient(structure, (1, 1, 0), "input", max_strain=0.05).repeated(1, 1, 2)
    copies = len(block.structure) // len(structure)
    assert copies >= 2
    for configuration in (0, 5):
        got = frames.of_block(block, configuration)
        turned = moved @ ((np.eye(3) + block.strain) @ block.rotation.T)
        which = [
            {k for k in range(len(frames)) if np.allclose(turned[k][index], u, atol=1e-12)}
            for index, u in zip(block.atom_index, got, strict=True)
        ]
        assert all(len(w) == 1 for w in which)
        used = np.array([w.pop() for w in which])
        assert used[0] == configuration
        per_copy = {tuple(sorted(block.atom_index[used == k])) for k in set(used.tolist())}
        whole = tuple(range(len(structure)))
        assert per_copy == {tuple(sorted(whole * (copies // len(set(used.tolist())))))}
        assert len(set(used.tolist())) == min(copies, len(frames))
    motion = frames.motion(block)
    expected = np.einsum("fni,fnj->nij", turned, turned) / len(frames)
    np.testing.assert_allclose(motion.values, expected[block.atom_index], atol=1e-12)
    assert "12 frames of md" in motion.words and any("copy in another frame" in note for note in motion.remarks)


def test_frames_are_picked_evenly():
    frames = Frames(crystal(), np.arange(20.0)[:, None, None] * np.ones((20, 24, 3)), "md")
    assert frames.picked(4).displacements[:, 0, 0].tolist() == [2.0, 7.0, 12.0, 17.0]
    np.testing.assert_array_equal(frames.picked(20).displacements, frames.displacements)
    with pytest.raises(InputError, match="the trajectory has 20 frames"):
        frames.picked(21)


def test_what_are_no_frames_of_a_structure(tmp_path):
    structure = crystal()
    snapshots = trajectory(structure, thermal(structure, 3))
    order = np.argsort(structure.numbers, kind="stable")
    exchanged = structure.atoms.copy()
    exchanged.positions[[0, 2]] = exchanged.positions[[2, 0]]
    longer = structure.atoms.copy()
    longer.set_cell(longer.cell.array * [[1.05], [1], [1]], scale_atoms=True)
    bare = Atoms("NaCl", positions=[[0, 0, 0], [2, 0, 0]])
    cases = [
        ([snapshots[0], snapshots[1][:-1]], structure, "frame 2 holds other atoms"),
        ([s[order] for s in snapshots], structure, "another order than the structure's"),
        ([exchanged] * 2, structure, "from its place"),
        ([longer] * 2, structure, "mean cell"),
        (snapshots, Structure(bulk("NaCl", "rocksalt", 5.64)), "itself as structure"),
        ([bare] * 2, None, "no periodic cell"),
        (snapshots[:1], None, "one frame has no mean"),
        ([], None, "no frame"),
    ]
    for given, of, words in cases:
        with pytest.raises(InputError, match=words) as error:
            frames_of(given, "md", of)
        assert "\n" not in str(error.value)
    (tmp_path / "bad.xyz").write_text("3\n\nnothing")
    for name in ("bad.xyz", "missing.xyz"):
        with pytest.raises(InputError, match="not read as a trajectory"):
            read_frames(tmp_path / name, structure)


@pytest.mark.parametrize("ending", ["xyz", "traj"])
def test_files_that_ase_reads(tmp_path, ending):
    structure = crystal()
    moved = thermal(structure, 3)
    path = tmp_path / f"md.{ending}"
    write(path, trajectory(structure, moved), format="extxyz" if ending == "xyz" else "traj")
    np.testing.assert_allclose(read_frames(path, structure).displacements, moved, atol=1e-6)


def test_frames_without_elements_are_refused(tmp_path):
    """Types of a LAMMPS dump are no elements; ASE reads them as H, He."""
    text = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 4.03\n0 4.03\n0 4.03\n"
    path = tmp_path / "a.lammpstrj"
    path.write_text(text + "ITEM: ATOMS id type x y z\n1 1 0 0 0\n2 2 2.015 2.015 2.015\n")
    with pytest.raises(InputError, match="no element names"):
        read_frames(path)
