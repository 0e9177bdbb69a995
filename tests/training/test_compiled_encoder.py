"""The compiled encoder against the plain one; neighbours against ASE; surroundings recognised as equal."""

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.neighborlist import primitive_neighbor_list

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.learned import spin
from rhotem.learned.coefficients import atom_coefficients, encoder_of, member_coefficients
from rhotem.learned.neighbours import Neighbours, same_surroundings
from rhotem.learned.settings import ModelSettings
from rhotem.learned.source import Model
from rhotem.learned.spin import spin_coefficients
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned
from rhotem.training.network.model import DensityModel, make_model
from rhotem.training.network.predict import prepared

SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [-1.48, 0.07, 2.46]])
CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])


def crystal(charge: float = 0.0, repeat: tuple[int, int, int] = (1, 1, 1)) -> Structure:
    atoms = ase.Atoms([27, 8, 3, 8], SITES @ CELL, cell=CELL, pbc=True).repeat(repeat)
    return Structure(atoms, charge=charge)


def rattled(repeat: tuple[int, int, int] = (3, 3, 3)) -> Structure:
    structure = crystal(repeat=repeat)
    moved = np.random.default_rng(0).normal(0.0, 0.03, structure.positions.shape)
    return Structure(ase.Atoms(structure.numbers, structure.positions + moved, cell=structure.cell, pbc=True))


def small(seed: int = 0, **settings) -> DensityModel:
    made = ModelSettings(elements=[3, 8, 27], **settings)
    made.nequip.channels, made.nequip.scalars, made.nequip.cutoff = 8, 16, 4.0
    return make_model(made, seed).eval()


def largest_difference(model: DensityModel, structure: Structure, **options) -> float:
    plain = [c.double().numpy() for c in prepared(model, structure)]
    fast = atom_coefficients(as_learned(model), structure, **options)
    scale = [np.abs(c).max((0, 2), keepdims=True) for c in plain]
    return max(float((np.abs(a - b) / s).max()) for a, b, s in zip(plain, fast, scale, strict=True))


@pytest.mark.parametrize("charge", [0.0, 0.7])
def test_compiled_is_plain(charge):
    assert largest_difference(small().double(), crystal(charge)) < 1e-9
    assert largest_difference(small(), crystal(charge)) < 1e-5


def test_compiled_is_plain_at_full_size_and_with_other_settings():
    assert largest_difference(make_model(ModelSettings(elements=[3, 8, 27])).double(), crystal()) < 1e-9
    model = ModelSettings(elements=[3, 8, 27], members=3)
    model.nequip.channels, model.nequip.layers, model.nequip.lmax_sent = 4, 3, 3
    assert largest_difference(make_model(model).double(), crystal(0.5)) < 1e-9


def test_tiles_are_the_whole_and_threads_change_nothing(monkeypatch):
    structure = rattled((4, 3, 3))
    model = small().double()
    whole = atom_coefficients(as_learned(model), structure)
    encoder = encoder_of(as_learned(model), structure)
    monkeypatch.setattr("rhotem.learned.encoder.LEAST", 100)
    assert encoder.needed(np.arange(len(structure))) > 110 * encoder.bytes_per_atom
    tiled = atom_coefficients(as_learned(model), structure, memory=137 * encoder.bytes_per_atom)
    monkeypatch.setattr("rhotem.learned.encoder.available_threads", lambda: 3)
    threads = atom_coefficients(as_learned(model), structure)
    for a, b, c in zip(whole, tiled, threads, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-12)
        np.testing.assert_allclose(c, a, atol=1e-12)


@pytest.mark.parametrize("cutoff", [2.2, 4.9])
@pytest.mark.parametrize("repeat", [(1, 1, 1), (5, 1, 3)])
def test_neighbours_as_ase_finds_them(cutoff, repeat):
    structure = rattled(repeat)
    i, j, v = primitive_neighbor_list("ijD", [True] * 3, structure.cell, structure.positions, cutoff)
    found = Neighbours(structure.positions, structure.cell, cutoff)
    starts, neighbour, vectors = found.around(np.arange(len(structure)))
    centre = np.repeat(np.arange(len(structure)), np.diff(starts))

    def key(a, b, d):
        return sorted(zip(a.tolist(), b.tolist(), map(tuple, np.round(d, 6) + 0.0), strict=True))

    assert key(centre, neighbour, vectors) == key(i, j, v)


def test_a_repeated_cell_is_evaluated_once():
    model, structure = small().double(), crystal(repeat=(3, 2, 3))
    encoder = encoder_of(as_learned(model), structure)
    assert len(encoder.representatives) == 4
    assert largest_difference(model, structure) < 1e-9


def test_a_defect_changes_what_is_near_it_and_nothing_else():
    """Rock salt with one vacancy: atoms beyond the receptive field keep the class, and the features, of the crystal."""
    atoms = ase.build.bulk("LiO", "rocksalt", a=4.2, cubic=True).repeat((6, 6, 6))
    hole = atoms.positions[0].copy()
    del atoms[0]
    model, structure = small().double(), Structure(atoms)
    reach = model.encoder.receptive_field
    encoder = encoder_of(as_learned(model), structure)
    away = atoms.copy()
    away.append(ase.Atom("X", hole))
    distance = away.get_distances(-1, np.arange(len(atoms)), mic=True)
    for z in (3, 8):
        far = (structure.numbers == z) & (distance > reach)
        near = (structure.numbers == z) & (distance < 2.2)
        assert len(np.unique(encoder.classes[far])) == 1
        assert not set(encoder.classes[far]) & set(encoder.classes[near])
    assert len(encoder.representatives) < np.count_nonzero(distance <= reach) + 2
    assert largest_difference(model, structure) < 1e-9


def test_small_displacements_are_told_apart():
    structure = crystal(repeat=(2, 2, 2))
    positions = structure.positions.copy()
    positions[5] += [1e-5, 0.0, 0.0]
    kinds = [
        len(np.unique(same_surroundings(Neighbours(p, structure.cell, 4.0), structure.numbers.astype(np.int64))))
        for p in (structure.positions, positions)
    ]
    assert kinds[0] == 4 and kinds[1] > 4


def test_absurd_structures_are_refused():
    model = as_learned(small())
    close = Structure(ase.Atoms([8, 8], [[0, 0, 0], [0.3, 0, 0]], cell=np.eye(3) * 4.0, pbc=True))
    with pytest.raises(InputError, match=r"0\.30 Å apart"):
        atom_coefficients(model, close)
    with pytest.raises(InputError, match="no atoms"):
        atom_coefficients(model, Structure(ase.Atoms(cell=np.eye(3) * 4.0, pbc=True)))


def test_a_defect_reaches_as_far_as_asked():
    """Beyond ``reach`` of a vacancy atoms have the features of the crystal; within it, what far atoms do not change."""
    model = small(sevennet={}, nequip={"layers": 2}).double()
    structure = crystal(repeat=(6, 2, 2))
    del structure.atoms[0]
    ready = as_learned(model)
    bulk = [c.numpy() for c in prepared(model, crystal())]
    exact, short = atom_coefficients(ready, structure), atom_coefficients(ready, structure, reach=4.0)
    cutoff = model.encoder.cutoff
    away = structure.atoms.copy()
    away.append(ase.Atom("Co", SITES[0] @ CELL))
    distance = away.get_distances(-1, np.arange(len(structure)), mic=True)
    site = np.arange(1, len(structure) + 1) % 4
    far, near = distance > cutoff, distance < cutoff
    assert (far & (distance < 2 * cutoff)).sum() > 5
    sharp = [c[0] for c in (bulk, exact, short)]  # the wide block also carries the count of the cell
    scale = np.abs(sharp[0]).max()
    assert np.abs(sharp[2][far] - sharp[0][site[far]]).max() < 1e-9 * scale
    assert np.abs(sharp[1][far] - sharp[0][site[far]]).max() > 1e-6 * scale
    assert np.abs(sharp[2][near] - sharp[0][site[near]]).max() > 1e-6 * scale
    np.testing.assert_allclose(sharp[2][near], sharp[1][near], atol=0.05 * scale)


@pytest.mark.parametrize("charge", [0.0, 0.5])
def test_every_member_is_that_of_the_plain_form(charge, monkeypatch):
    """Float32 to 1e-5, float64 to 1e-9, in tiles and whole; atoms of equal surroundings share their features."""
    monkeypatch.setattr("rhotem.learned.encoder.LEAST", 1)
    structure = crystal(charge, (2, 1, 1))
    for model, limit in ((small(members=3), 1e-5), (small(members=3).double(), 1e-9)):
        plain = [c.numpy() for c in prepared(model, structure, members=True)]
        for memory in (None, 1e3):
            found = member_coefficients(as_learned(model), structure, memory)
            for a, b in zip(plain, found, strict=True):
                assert b.shape == a.shape and b.dtype == a.dtype
                assert np.abs(a - b).max() < limit * np.abs(a).max()
                assert np.abs(a[0] - a[1]).max() > 0.01 * np.abs(a).max()  # members differ


@pytest.mark.parametrize("double", [False, True])
def test_the_magnetisation_is_that_of_the_plain_form(double, monkeypatch):
    """Signs differ among atoms of equal surroundings; some atoms at a time."""
    model = small(spin=True, spin_elements=[27, 8])
    model = model.double() if double else model
    structure = crystal(repeat=(2, 2, 1))
    signs = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], len(structure))
    graph = model.graph(structure)
    with torch.no_grad():
        plain = model.spin(model.encoder(graph), graph, torch.from_numpy(signs).to(graph.vectors))
    monkeypatch.setattr(spin, "AT_ONCE", 5)
    found = spin_coefficients(as_learned(model), structure, signs, memory=1e6)
    assert len(encoder_of(as_learned(model), structure).representatives) == 4 < len(structure)
    for a, b in zip(plain, found, strict=True):
        assert np.abs(a.numpy() - b).max() < (1e-9 if double else 1e-5) * float(a.abs().max())


def test_members_obey_the_memory(tmp_path):
    """Little memory is refused by name; with enough the encoder is told how much, and the densities are the same."""
    from rhotem.learned.calibration import COLUMNS, Calibration
    from rhotem.learned.members import member_fields
    from rhotem.learned.novelty import NoveltyBank
    from rhotem.training.checkpoint import save_model

    save_model(tmp_path / "m.safetensors", small(members=3), {"name": "m"})
    structure, told = crystal(repeat=(2, 1, 1)), []
    grid = PeriodicGrid.from_spacing(structure.cell, 0.6)
    bank = NoveltyBank(*(np.zeros(n) for n in ((0,), (0, 1), (1, 1), (0,), (0, 1))), 1.0)
    calibration = Calibration(np.zeros(len(COLUMNS)), 1.0, 1.0, bank)
    fields = []
    for memory in (None, 6e8):
        source = Model(str(tmp_path / "m.safetensors"), memory=memory, announce=told.append)
        fields.append([f.values for f in member_fields(source, structure, grid, calibration)])
    np.testing.assert_allclose(fields[1], fields[0], atol=1e-9 * np.abs(fields[0]).max())
    assert len(told) == 2 and all("8 atoms, 4 kinds" in line for line in told)
    with pytest.raises(MemoryLimitError, match="allowed"):
        list(member_fields(Model(str(tmp_path / "m.safetensors"), memory=4e8), structure, grid, calibration))
