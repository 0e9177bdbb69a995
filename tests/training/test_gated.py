"""The compiled gated readout against its network in PyTorch, its pieces, its members, and what it refuses."""

import ase
import ase.build
import numpy as np
import pytest
import torch

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.density.convert import as_kind
from rhotem.density.field import DensityField
from rhotem.learned import dense
from rhotem.learned.kernels.activation import silu
from rhotem.learned.members import check_members
from rhotem.learned.model import load_model
from rhotem.learned.newcomers import Newcomers
from rhotem.learned.pairs import probe_pairs
from rhotem.learned.readouts.gated.pieces import TOGETHER, pieces
from rhotem.learned.readouts.gated.settings import GatedSettings
from rhotem.learned.settings import ModelSettings, NequipSettings
from rhotem.learned.source import Model
from rhotem.learned.weights import read_arrays
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase
from rhotem.training.checkpoint import as_learned, load_network, save_model
from rhotem.training.network.model import DensityModel, make_model
from rhotem.training.network.readouts.spherical import Pairs, Probes

SMALL = NequipSettings(channels=8, scalars=16, embedding=4, radial_width=8, lmax_sent=2)
CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46]])


def crystal(charge: float = 0.0) -> Structure:
    return Structure(ase.Atoms([27, 8, 3, 8], SITES @ CELL, cell=CELL, pbc=True), charge=charge)


def make(gate: str = "full", members: int = 1, **sizes) -> DensityModel:
    """Random weights whose gate is not nearly even."""
    gated = GatedSettings(**{"channels": 6, "functions": 10, "radial_width": 12, "width": 12, "gate": gate, **sizes})
    settings = ModelSettings(readout="gated", nequip=SMALL, gated=gated, elements=[3, 8, 9, 27], members=members)
    model = make_model(settings, seed=1)
    with torch.no_grad():
        for readout in model.readouts:
            readout.chemical[-1].weight.mul_(30.0)
            readout.compress.weight.mul_(5.0)
    return model.eval()


def by_torch(model: DensityModel, structure: Structure, points: np.ndarray) -> np.ndarray:
    """Mean of the members at points, by the networks that were trained."""
    dtype = next(model.parameters()).dtype
    point, atom, vectors = probe_pairs(points, structure.positions, structure.cell, model.readout.cutoff)
    near = (vectors**2).sum(1) < model.readout.cutoff**2
    counts = np.bincount(atom[near], minlength=len(structure)).tolist()
    pairs = Pairs(torch.from_numpy(point[near]), torch.from_numpy(vectors[near]).to(dtype), counts)
    probes = Probes(len(points), pairs, pairs)
    with torch.no_grad():
        features = model.encoder(graph := model.graph(structure))
        each = [r.at_points(r(features, graph), probes).double().numpy() for r in model.readouts]
    return np.mean(each, axis=0)


@pytest.mark.parametrize("gate", ["full", "no-vacuum", "softmax", "sum"])
@pytest.mark.parametrize(("precision", "limit"), [("double", 1e-8), ("float", 3e-6)])
def test_compiled_it_is_the_network_in_torch(gate, precision, limit):
    """At points in and out of the cell, and at nuclei; of single precision the radial functions come from a table."""
    model = getattr(make(gate), precision)()
    structure = crystal()
    points = np.random.default_rng(0).normal(size=(300, 3)) * 4.0
    points[:4] = structure.positions
    expected = by_torch(model, structure, points)
    readout = as_learned(model).readout
    found = readout.at_points(readout.prepare(structure), structure, points)
    np.testing.assert_allclose(found, expected, atol=limit * np.abs(expected).max())
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("lmax", [1, 3])
def test_compiled_with_fewer_directions(lmax):
    model = make(lmax=lmax).double()
    points = np.random.default_rng(0).random((50, 3)) @ CELL
    readout = as_learned(model).readout
    found = readout.at_points(readout.prepare(crystal()), crystal(), points)
    np.testing.assert_allclose(found, by_torch(model, crystal(), points), atol=1e-9)


@pytest.mark.parametrize("charge", [0.0, 0.5])
def test_the_density_of_several_is_their_mean_and_counted(charge):
    model, structure = make(members=3).double(), crystal(charge)
    points = np.random.default_rng(0).random((60, 3)) @ CELL
    ready = as_learned(model).readout
    prepared = ready.prepare(structure)
    expected = by_torch(model, structure, points)
    np.testing.assert_allclose(ready.at_points(prepared, structure, points), expected, atol=1e-9)
    single = as_learned(make().double()).readout
    alone = single.at_points(single.prepare(structure), structure, points)
    assert np.abs(alone - expected).max() > 0.05 * np.abs(expected).max()
    grid = PeriodicGrid(CELL, (9, 10, 11))
    assert grid.integrate(ready.values(prepared, structure, grid)) == pytest.approx(-charge, abs=1e-9)
    found, _ = ready.electrons(structure, grid)
    assert found.sum() == pytest.approx(-charge, abs=1e-9)
    np.testing.assert_allclose(
        ready.contributions(structure, grid, range(4)).sum(0), ready.values(prepared, structure, grid), atol=1e-9
    )


def rows_of(point: np.ndarray, atom: np.ndarray, vectors: np.ndarray) -> list[tuple]:
    """Pairs that can be compared."""
    return [tuple(row) for row in np.column_stack([point, atom, np.round(vectors, 6)]).tolist()]


@pytest.mark.parametrize("at_once", [300, 10**6])
@pytest.mark.parametrize("spread", [0.05, 1.0, 9.0])
def test_pieces_hold_every_point_once_and_all_its_atoms(spread, at_once, monkeypatch):
    """Of points close together, all over the cell, and far outside of it; sorted in parts and together."""
    monkeypatch.setattr("rhotem.learned.readouts.gated.pieces.AT_ONCE", at_once)
    structure, cutoff = crystal(), 3.0
    points = np.random.default_rng(2).normal(size=(1000, 3)) * spread
    seen, pairs = [], []
    for piece in pieces(points, structure, cutoff):
        assert len(piece.rows) <= 2 * TOGETHER
        seen.append(piece.rows)
        vectors = piece.points[:, None] - piece.images
        near = (vectors**2).sum(2) < cutoff**2
        point, image = np.nonzero(near)
        pairs += rows_of(piece.rows[point], piece.owner[image], vectors[near])
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(len(points)))
    point, atom, vectors = probe_pairs(points, structure.positions, CELL, cutoff)
    inside = (vectors**2).sum(1) < cutoff**2
    expected = set(rows_of(point[inside], atom[inside], vectors[inside]))
    assert len(pairs) == len(set(pairs)) == len(expected) and set(pairs) == expected


def test_the_activation_of_single_precision():
    x = np.concatenate([np.linspace(-120.0, 120.0, 4001), [0.0, -1e30, 1e30]]).astype(np.float32)
    exact = dense.silu(x.astype(float))
    np.testing.assert_allclose(silu(x.copy()), exact, rtol=5e-7, atol=1e-7)


def test_threads_do_not_change_it(monkeypatch):
    ready, structure = as_learned(make()).readout, crystal()
    grid, results = PeriodicGrid(CELL, (20, 21, 22)), []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results.append(ready.values(ready.prepare(structure), structure, grid))
    np.testing.assert_array_equal(*results)


def test_it_is_a_source_of_densities_without_torch(tmp_path):
    import subprocess
    import sys

    save_model(tmp_path / "g.safetensors", make(members=2), {"name": "g"})
    code = (
        "import sys; from rhotem.learned.source import Model; from rhotem.structure.phases import phase;"
        f"from rhotem.core import PeriodicGrid; s = phase('LiCoO2'); m = Model({str(tmp_path / 'g.safetensors')!r});"
        "f = m(s, PeriodicGrid.from_spacing(s.cell, 0.5)); assert abs(f.values).max() > 0;"
        "print([p for p in ('torch', 'rhotem.training') if p in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_result_that_does_not_fit_is_refused_before_anything_is_calculated(tmp_path):
    save_model(tmp_path / "g.safetensors", make(), {"name": "g"})
    model, structure = Model(str(tmp_path / "g.safetensors"), memory=6e8), crystal()
    with pytest.raises(MemoryLimitError, match="coarser grid"):
        model(structure, PeriodicGrid(structure.cell, (300, 300, 300)))


# -- members ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_members_one_by_one_and_widened():
    """Each is the readout of one set of weights; widened, their mean stays, their spread grows, the count is exact."""
    model, structure = make(members=2).double(), crystal(0.5)
    ready = as_learned(model).readout
    grid, each = PeriodicGrid(CELL, (13, 14, 15)), ready.prepare_members(structure)
    points = grid.points().reshape(-1, 3)
    at_points = ready.members_at_points(each, structure, points[:90])
    for own, network in zip(at_points, model.readouts, strict=True):
        alone = make().double()
        alone.encoder.load_state_dict(model.encoder.state_dict())
        alone.readout.load_state_dict(network.state_dict())
        np.testing.assert_allclose(own, by_torch(alone, structure, points[:90]), atol=1e-9)
    np.testing.assert_allclose(at_points.mean(0), ready.at_points(each, structure, points[:90]), atol=1e-12)
    on_grid = np.stack(list(ready.members_on_grid(each, structure, grid)))
    plain, wide = ([total(e, structure, grid) for e in ready.widened(each, structure, grid, w)] for w in (1.0, 2.5))
    np.testing.assert_allclose(np.mean(wide, axis=0), np.mean(plain, axis=0), atol=1e-9)
    np.testing.assert_allclose(np.std(wide, axis=0), 2.5 * np.std(plain, axis=0), atol=1e-9)
    for values in (*on_grid, *plain, *wide):
        assert grid.integrate(values) == pytest.approx(-0.5, abs=1e-6)
    assert np.abs(np.array(plain) - on_grid).sum() < 0.02 * np.abs(on_grid).sum()
    assert on_grid.std(0).mean() > 0.05 * np.abs(on_grid).mean()


def total(found, structure: Structure, grid: PeriodicGrid) -> np.ndarray:
    """All of a density on the grid."""
    return as_kind(
        DensityField("deformation", structure, grid, found.values, one_centre=found.one_centre), "deformation"
    ).values


def test_of_one_member_there_is_no_spread(tmp_path):
    save_model(tmp_path / "g.safetensors", make(), {"name": "g"})
    with pytest.raises(InputError, match=r"single member.*leave out --uncertainty"):
        check_members(Model(str(tmp_path / "g.safetensors")), phase("LiCoO2"))


# -- left free --------------------------------------------------------------------------------------------------------


def with_one(number: int) -> tuple[Structure, int]:
    """Displaced lithium fluoride with another atom on a site in its middle."""
    atoms = ase.build.bulk("LiF", "rocksalt", a=4.03, cubic=True).repeat(2)
    atoms.positions += 0.1 * np.random.default_rng(0).normal(size=atoms.positions.shape)
    apart = np.linalg.norm(atoms.positions - atoms.cell.sum(0) / 2, axis=1)
    site = int(np.argmin(np.where(atoms.numbers == 3, apart, np.inf)))
    atoms.numbers[site] = number
    return Structure(atoms), site


def test_what_is_taken_away_is_neutral_and_local():
    """Cobalt, of which nothing is known: no charge and no dipole go with it, nothing changes beyond twice the reach."""
    structure, site = with_one(27)
    model = as_learned(make(members=2, cutoff=2.1).double())
    readout, grid = model.readout, PeriodicGrid.from_spacing(structure.cell, 0.3)
    prepared = readout.prepare(structure)
    before = readout.values(prepared, structure, grid)
    model.newcomers = Newcomers([3, 9])
    after = readout.values(prepared, structure, grid)
    away = grid.points() - structure.positions[site]
    away = (away @ np.linalg.inv(grid.cell) + 0.5) % 1.0 @ grid.cell - 0.5 * grid.cell.sum(0)
    distance, change = np.linalg.norm(away, axis=-1), after - before
    assert np.abs(change[distance > 2.0 * readout.cutoff]).max() < 1e-9 < 0.01 * np.abs(change).max()
    assert grid.integrate(after) == pytest.approx(0.0, abs=1e-9)
    moments = [grid.integrate(change * away[..., axis]) for axis in range(3)]
    assert np.abs(moments).max() < 2e-3 * grid.integrate(np.abs(change) * distance)
    # shares of the atoms are of the same density; of the removed one nothing is left
    found, _ = readout.electrons(structure, grid)
    assert found.sum() == pytest.approx(0.0, abs=1e-9) and abs(found[site]) < 1e-9
    near = structure.atoms.get_distances(site, range(len(structure)), mic=True) < 2.0 * readout.cutoff + 0.5
    parts = readout.contributions(structure, grid, np.flatnonzero(near).tolist())
    inside = distance < 0.5
    np.testing.assert_allclose(parts.sum(0)[inside], after[inside], atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("charge", [0.0, 0.5])
def test_what_is_left_is_counted_with_its_sharp_parts_apart(charge):
    """Cobalt removed from four atoms: the same density on the grid and around the atoms, every member's alike."""
    structure, grid = crystal(charge), PeriodicGrid(CELL, (26, 28, 30))
    model = as_learned(make(members=2))
    model.newcomers = Newcomers([3, 8])
    readout = model.readout
    prepared = readout.prepare(structure)
    values = readout.values(prepared, structure, grid)
    sharp = readout.evaluate(prepared, structure, grid)
    assert np.abs(total(sharp, structure, grid) - values).sum() < 0.03 * np.abs(values).sum()
    assert sum(sharp.record["electrons_by_atom"]) == pytest.approx(-charge, abs=1e-3)
    for found in (sharp, *readout.widened(prepared, structure, grid, 1.5)):
        assert grid.integrate(total(found, structure, grid)) == pytest.approx(-charge, abs=1e-6)


def test_atoms_without_neighbours_stay_free():
    """An oxygen atom 7 Å away from a molecule: nothing around it, and the molecule neutral by itself."""
    atoms = ase.Atoms([3, 8, 8], [[2, 2, 2], [3.6, 2, 2], [10.5, 9.0, 9.0]], cell=np.eye(3) * 14.0, pbc=True)
    structure, grid = Structure(atoms), PeriodicGrid(np.eye(3) * 14.0, (40, 41, 42))
    readout = as_learned(make().double()).readout
    values = readout.values(readout.prepare(structure), structure, grid)
    apart = np.linalg.norm(grid.points() - atoms.positions[2], axis=-1)
    assert not values[apart < 3.0].any() and np.abs(values).max() > 1e-3
    assert grid.integrate(values) == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(InputError, match="cannot be charged"):
        alone = Structure(atoms[[2]], charge=1.0)
        readout.values(readout.prepare(alone), alone, grid)


def test_weights_keep_no_copy_of_published_layers(tmp_path):
    """Read again they are the same bit for bit, in torch and compiled; changed layers are kept."""
    whole, header = load_network("default")
    save_model(tmp_path / "m.safetensors", whole, header["info"], half=True)
    assert not [name for name in read_arrays(tmp_path / "m.safetensors") if name.startswith("encoder.body.")]
    again = load_network(tmp_path / "m.safetensors")[0].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.state_dict().items())
    expected, found = (load_model(name)[0].weights.arrays for name in ("default", tmp_path / "m.safetensors"))
    assert expected.keys() == found.keys() and all(np.array_equal(expected[name], found[name]) for name in expected)
    with torch.no_grad():
        whole.encoder.body.embedding[0, 0] += 1.0
    save_model(tmp_path / "m.safetensors", whole, header["info"], half=True)
    assert torch.equal(load_network(tmp_path / "m.safetensors")[0].encoder.body.embedding, whole.encoder.body.embedding)


def test_another_body_than_there_is_is_refused(tmp_path):
    import json

    whole, header = load_network("default")
    save_model(tmp_path / "m.safetensors", whole, header["info"], half=True)
    side = json.loads((tmp_path / "m.json").read_text())
    body = side["body"]
    for wrong, said in (
        (body | {"name": "sevennet-9"}, "sevennet-9"),
        (body | {"layers": "four"}, "damaged"),
        ({"name": "sevennet-0"}, "damaged"),
        ("sevennet-0", "damaged"),
        (body | {"layers": 2}, "do not fit"),
    ):
        (tmp_path / "m.json").write_text(json.dumps(side | {"body": wrong}))
        with pytest.raises(InputError, match=said):
            load_model(tmp_path / "m.safetensors")


def test_shipped_weights_are_their_networks_in_torch():
    """Lithium cobalt oxide, two members: compiled in single precision, and the networks that were trained."""
    structure = phase("LiCoO2")
    network, header = load_network("gated")
    points = np.random.default_rng(1).random((200, 3)) @ structure.cell
    readout = load_model("gated")[0].readout
    expected = by_torch(network, structure, points)
    found = readout.at_points(readout.prepare(structure), structure, points)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert network.settings.members == len(readout.maps) == 2
    assert header["info"]["accuracy"]["family"]["deformation_error"] < 0.17
