"""Orientation: geometry is exact, directions keep their meaning, Fourier coefficients move by integers."""

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.spacegroup import crystal

from rhotem.core import InputError
from rhotem.structure import indices
from rhotem.structure.indices import primitive_cell, standard_cell
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient

LCO = {"spacegroup": 166, "cellpar": [2.816, 2.816, 14.054, 90, 90, 120]}
LCO_SITES = [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.2605)]


def lco(primitive: bool = False) -> Structure:
    return Structure(crystal(["Li", "Co", "O"], LCO_SITES, primitive_cell=primitive, **LCO))


def triclinic() -> Structure:
    cell = [[5.1, 0.3, 0.2], [1.1, 6.2, 0.4], [-0.7, 1.3, 7.1]]
    return Structure(ase.Atoms("SiOLi", cell=cell, scaled_positions=[[0, 0, 0], [0.4, 0.5, 0.6], [1.7, 0.2, -0.3]]))


def left_handed() -> Structure:
    atoms = lco().atoms
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    return Structure(atoms)


def random_rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def rotated(structure: Structure, seed: int = 0) -> Structure:
    turn = random_rotation(seed)
    atoms = structure.atoms.copy()
    atoms.set_cell(atoms.cell.array @ turn.T)
    atoms.set_positions(structure.positions @ turn.T)
    return Structure(atoms)


def structure_factor(structure: Structure, g: np.ndarray) -> np.ndarray:
    """Σ Z exp(−2πi g·r)/Ω of point atoms, by hand."""
    return (np.exp(-2j * np.pi * g @ structure.positions.T) @ structure.numbers) / structure.volume


CASES = [
    (Structure(bulk("Cu")), (1, 1, 0), {}),
    (Structure(bulk("Cu")), (3, 2, 1), {}),
    (lco(), (1, 0, 0), {}),
    (lco(True), (2, 1, 1), {}),
    (left_handed(), (1, 0, 0), {}),
    (rotated(lco(True), 3), (1, 0, 4), {"plane": True}),
    (triclinic(), (1, 1, 1), {"basis": "input"}),
    (triclinic(), (1, 2, 0), {"basis": "input", "plane": True, "max_strain": 0.03}),
]


@pytest.mark.parametrize("structure, zone, options", CASES)
def test_every_coefficient_of_the_crystal_arrives_at_p_times_h(structure, zone, options):
    cell = orient(structure, zone, **options)
    h = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    before = structure_factor(cell.crystal, h @ np.linalg.inv(cell.crystal.cell).T)
    after = structure_factor(cell.structure, (h @ cell.transform.T) @ np.linalg.inv(cell.structure.cell).T)
    assert np.abs(before - after).max() < 1e-10 * np.abs(before).max()


@pytest.mark.parametrize("structure, zone, options", CASES)
def test_geometry_is_exact(structure, zone, options):
    cell = orient(structure, zone, **options)
    assert cell.transform.dtype.kind == "i"
    assert np.allclose(cell.structure.cell, cell.transform @ cell.crystal.cell, rtol=0, atol=1e-10)
    assert np.allclose(cell.structure.cell, np.diag(cell.lengths))
    assert np.allclose(cell.rotation @ cell.rotation.T, np.eye(3)) and np.linalg.det(cell.rotation) > 0
    assert np.allclose(cell.crystal.cell, structure.cell @ (np.eye(3) + cell.strain) @ cell.rotation.T, atol=1e-9)
    assert np.allclose(cell.strain, cell.strain.T, atol=1e-12)
    assert cell.max_strain <= options.get("max_strain", 0.01)
    assert np.array_equal(cell.crystal.numbers, structure.numbers)
    ours = np.linalg.solve(cell.crystal.cell.T, cell.crystal.positions.T)
    theirs = np.linalg.solve(structure.cell.T, structure.positions.T)
    assert np.allclose(ours, theirs, atol=1e-9)
    # every imaging atom is its crystal atom plus a lattice vector, none twice
    steps = (cell.structure.positions - cell.crystal.positions[cell.atom_index]) @ np.linalg.inv(cell.crystal.cell)
    assert np.allclose(steps, np.rint(steps), atol=1e-7)
    assert len(cell.structure) == len(structure) * abs(round(np.linalg.det(cell.transform)))
    distances = cell.structure.atoms.get_all_distances(mic=True)
    assert distances[np.triu_indices(len(distances), 1)].min() > 0.5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("primitive", [False, True])
@pytest.mark.parametrize("zone", [(1, 0, 0), (1, 1, 0), (0, 0, 1), (2, -1, 0)])
def test_conventional_directions_point_where_crystallography_says(primitive, zone, seed):
    """The hexagonal vectors of LiCoO2 are known by construction; the rhombohedral cell must find the same ones."""
    given = rotated(lco(primitive), seed)
    hexagonal = LCO_HEX @ random_rotation(seed).T
    cell = orient(given, zone)
    strained = hexagonal @ (np.eye(3) + cell.strain) @ cell.rotation.T
    directions = [u @ strained for u in equivalents(zone)]
    # the choice among symmetry-equivalent standard cells is spglib's; one of the family must point to the reader
    assert any(np.allclose(d / np.linalg.norm(d), [0, 0, -1], atol=1e-9) for d in directions)
    assert cell.space_group == "R-3m"
    assert np.isclose(cell.lengths[2], min_repeat(zone), rtol=1e-9)


LCO_HEX = crystal(["Li", "Co", "O"], LCO_SITES, **LCO).cell.array


def equivalents(zone):
    turn, mirror, flip = np.array([[0, -1, 0], [1, -1, 0], [0, 0, 1]]), np.diag([1, 1, 1]), -np.eye(3, dtype=int)
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
    operations = [np.linalg.matrix_power(turn, n) @ m for n in range(3) for m in (mirror, swap)]
    return [sign @ op @ np.array(zone) for op in operations for sign in (np.eye(3, dtype=int), flip)]


def min_repeat(zone):
    """Shortest lattice vector along the zone in the R-centred lattice."""
    lengths = []
    for thirds in range(1, 4):
        v = np.array(zone) * thirds / 3
        if any(np.allclose(v - c, np.rint(v - c)) for c in [(0, 0, 0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)]):
            lengths.append(np.linalg.norm(v @ LCO_HEX))
    return min(lengths)


def test_standard_cell_is_in_the_frame_of_the_input():
    """A monoclinic crystal: unique axis b of the standard cell is the input's, wherever the input is rotated to."""
    atoms = crystal("Si", [(0.1, 0.2, 0.3)], spacegroup=12, cellpar=[9.0, 5.0, 6.0, 90, 105, 90], primitive_cell=True)
    conventional = crystal("Si", [(0.1, 0.2, 0.3)], spacegroup=12, cellpar=[9.0, 5.0, 6.0, 90, 105, 90])
    for seed in range(3):
        turn = random_rotation(seed)
        found = standard_cell(rotated(Structure(atoms), seed)).cell
        b = found[1] / np.linalg.norm(found[1])
        assert np.isclose(np.linalg.norm(found[1]), 5.0)
        assert np.isclose(abs(b @ (turn @ conventional.cell.array[1]) / 5.0), 1.0)


def test_the_zone_separates_li_o_and_co_columns():
    """R-3m ⟨100⟩: every column of atoms along the beam holds one element only (peers: the standard layered view)."""
    cell = orient(lco(), (1, 0, 0), primitive=True).structure
    flat = np.round(cell.positions[:, :2] @ np.linalg.inv(cell.cell[:2, :2]), 5) % 1
    columns: dict = {}
    for xy, number in zip(map(tuple, np.round(flat, 3) % 1), cell.numbers, strict=True):
        columns.setdefault(xy, set()).add(int(number))
    assert all(len(kinds) == 1 for kinds in columns.values())
    assert set.union(*columns.values()) == {3, 8, 27}
    # along [001] they do not separate
    flat = np.round(orient(lco(), (0, 0, 1)).structure.positions[:, :2], 2)
    assert len({tuple(p) for p in flat}) < len(columns)


def test_cells_known_by_hand():
    a = 3.61
    cell = orient(Structure(bulk("Cu", a=a)), (1, 1, 0))
    assert np.allclose(cell.lengths, [a / np.sqrt(2), a, a / np.sqrt(2)])
    assert cell.max_strain < 1e-12 and len(cell.structure) == 2
    # seen from the source with [001] up, [-110] points right: (−1, 1, 0) × (0, 0, 1) = (1, 1, 0), towards the viewer
    assert cell.labels == {"x": "[-110]", "y": "[00-1]", "up": "[001]", "zone": "[110]"}
    # the same from the cubic cell, once it is reduced
    cubic = orient(Structure(bulk("Cu", a=a, cubic=True)), (1, 1, 0), primitive=True)
    assert np.allclose(cubic.lengths, cell.lengths) and len(cubic.structure) == 2
    # smallest [321] cell of a cubic lattice: 42 cubes, and of these the squarest: sides² 6, 21, 14
    simple = orient(Structure(ase.Atoms("Po", cell=np.eye(3) * 3.3, pbc=True)), (3, 2, 1))
    assert len(simple.structure) == 42 and simple.max_strain < 1e-12
    assert np.allclose(sorted(simple.lengths), sorted(3.3 * np.sqrt([6, 14, 21])))


def test_four_indices_are_the_three_index_direction():
    weber = orient(lco(), (2, -1, -1, 0))
    assert weber.zone_conventional.tolist() == [1, 0, 0]
    assert orient(lco(), (1, 0, -1, 4), plane=True).labels["plane"] == "(104)"
    with pytest.raises(InputError, match="third of four"):
        orient(lco(), (1, 0, 0, 0))
    with pytest.raises(InputError, match="hexagonal"):
        orient(Structure(bulk("Cu")), (1, 0, -1, 0))


def test_a_plane_normal_is_the_normal():
    cell = orient(lco(), (1, 0, 4), plane=True)
    normal = np.array([1, 0, 4]) @ np.linalg.inv(cell.origin.cell).T
    turned = cell.rotation @ normal
    angle = np.degrees(np.arccos(-turned[2] / np.linalg.norm(turned)))
    assert angle < np.degrees(2 * cell.max_strain) + 1e-6


def test_up_is_followed():
    cell = orient(lco(), (1, 0, 0), up=(1, 2, 0))
    assert cell.labels["up"] == "[120]"
    with pytest.raises(InputError, match="along the zone axis"):
        orient(lco(), (1, 0, 0), up=(2, 0, 0))


def test_opposite_zone_looks_from_the_other_side():
    front, back = orient(lco(), (1, 0, 0)), orient(lco(), (-1, 0, 0))
    assert np.array_equal(front.zone_conventional, -back.zone_conventional)
    assert np.array_equal(front.axes_conventional[1], back.axes_conventional[1])
    assert np.array_equal(front.axes_conventional[0], -back.axes_conventional[0])


def test_repeats_keep_everything_true():
    structure = Structure(lco().atoms, charge=0.5, moments=np.arange(12.0))
    cell = orient(structure, (1, 0, 0)).repeated(2, 1, 3)
    assert np.allclose(cell.structure.cell, cell.transform @ cell.crystal.cell)
    assert np.array_equal(cell.structure.numbers, cell.crystal.numbers[cell.atom_index])
    assert np.array_equal(cell.structure.moments, structure.moments[cell.atom_index])
    assert np.isclose(cell.structure.charge, 0.5 * len(cell.structure) / len(structure))
    steps = (cell.structure.positions - cell.crystal.positions[cell.atom_index]) @ np.linalg.inv(cell.crystal.cell)
    assert np.allclose(steps, np.rint(steps), atol=1e-7)


def test_primitive_keeps_atoms_where_they_are():
    structure = rotated(lco(), 5)
    cell = orient(structure, (1, 1, 0), primitive=True)
    assert len(cell.crystal) == 4
    # the tiled primitive cell is the input again: same structure factors at the input's own reciprocal vectors
    h = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    g = h @ np.linalg.inv(structure.cell).T
    expected = structure_factor(structure, g)
    turned = g @ np.linalg.inv(np.eye(3) + cell.strain) @ cell.rotation.T
    lattice = np.abs(turned @ cell.crystal.cell.T - np.rint(turned @ cell.crystal.cell.T)).max(axis=1) < 1e-6
    assert np.abs(expected[~lattice]).max() < 1e-9  # centring extinctions
    assert np.allclose(structure_factor(cell.crystal, turned[lattice]), expected[lattice], atol=1e-9)


def test_magnetic_order_counts_when_reducing():
    moments = np.array([1.0, -1.0, 1.0, -1.0])
    atoms = bulk("Ni", cubic=True)
    assert len(orient(Structure(atoms), (0, 0, 1), primitive=True).crystal) == 1
    assert len(orient(Structure(atoms, moments=moments), (0, 0, 1), primitive=True).crystal) == 2


@pytest.mark.parametrize(
    "zone, message",
    [
        ((0, 0, 0), "no direction"),
        ((1, 0), "three whole"),
        ((1, 0.5, 0), "three whole"),
        ((100000, 99999, 7), "at most"),
    ],
)
def test_bad_zones(zone, message):
    with pytest.raises(InputError, match=message):
        orient(lco(), zone)


def test_common_factors_are_removed_with_a_note():
    cell = orient(lco(), (2, 0, 0))
    assert cell.zone_conventional.tolist() == [1, 0, 0]
    assert "common factor" in cell.notes[0]


def test_impossible_limits_say_so():
    with pytest.raises(InputError, match="allow more strain"):
        orient(triclinic(), (3, 2, 1), basis="input", max_atoms=10, max_strain=0.001)


def test_an_orthogonal_cell_larger_than_the_limit_is_taken():
    """A supercell of many atoms is its own imaging cell, whatever the limit of the search."""
    large = Structure(bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((3, 2, 2)))
    large.atoms.rattle(0.1, seed=1)
    cell = orient(large, (0, 0, 1), "input", max_atoms=len(large) // 2)
    assert len(cell.crystal) == len(large)


def test_an_orthogonal_cell_is_taken_as_it_is():
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    cell = ImagingCell.from_orthogonal(Structure(atoms))
    assert np.array_equal(cell.structure.cell, atoms.cell.array)
    assert np.allclose(cell.structure.positions, atoms.positions)
    with pytest.raises(InputError, match="not orthogonal"):
        ImagingCell.from_orthogonal(lco())


def test_symmetry_of_many_atoms_is_looked_for_where_they_repeat(monkeypatch):
    """Crystals keep their names; a defect cell has those of the given cell, with a remark, at once."""
    monkeypatch.setattr(indices, "LARGE", 50)
    block = lco().atoms.repeat((3, 2, 1))  # 72 atoms
    vacancy, swapped = block.copy(), block.copy()
    del vacancy[0]
    swapped.numbers[[0, 5]] = swapped.numbers[[5, 0]]  # as many of every kind as before
    assert swapped.numbers[0] != swapped.numbers[5]
    tilted = swapped.copy()
    tilted.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]]) @ tilted.cell.array)  # the same lattice
    for atoms, repeats in [
        (block, True),
        (vacancy, False),
        (swapped, False),
        (tilted, False),
        (swapped.repeat((1, 1, 2)), True),
        (vacancy.repeat((3, 1, 1)), True),
        (tilted.repeat((1, 2, 1)), True),
    ]:
        shifted = atoms.copy()
        shifted.positions += [0.3, -7.1, 2.0]
        assert indices.is_too_large(Structure(shifted)) is not repeats
    assert standard_cell(Structure(block)).number == 166
    assert primitive_cell(Structure(swapped.repeat((1, 1, 2))))[0].atoms.get_chemical_formula() == "Co18Li18O36"
    made = orient(Structure(vacancy), (0, 0, 1))
    assert "symmetry was not looked for" in made.notes[-1] and made.space_group == "P1"
    np.testing.assert_array_equal(made.axes_conventional, made.axes_input)
