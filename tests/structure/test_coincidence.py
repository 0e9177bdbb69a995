"""Coherent interfaces against geometry done by hand."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.structure.coherent import POISSON, Boundary, Side, coherent_interface
from rhotem.structure.coincidence import match_planes
from rhotem.structure.model import Structure


def rocksalt(a, cation="Li", anion="F"):
    from ase.build import bulk

    return Structure(bulk(cation + anion, "rocksalt", a=a))


def metal(a, symbol="Al", lattice="fcc"):
    from ase.build import bulk

    return Structure(bulk(symbol, lattice, a=a))


def turned(rows, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return rows @ np.array([[c, s], [-s, c]])


@pytest.mark.parametrize("angle", [0.0, 31.0])
@pytest.mark.parametrize(
    ("lower", "upper", "counts"),
    [
        (np.eye(2) * 3.0, np.eye(2) * 3.0 * 2**0.5 * 1.02, (2, 1)),  # a square and its diagonal
        (np.array([[1.0, 0], [0.5, 0.75**0.5]]) * 2.0, np.array([[1.0, 0], [0.5, 0.75**0.5]]) * 2.0 * 7**0.5, (7, 1)),
        (np.diag([2.0, 3.0]), np.diag([4.0, 3.0]) * 0.99, (2, 1)),
    ],
)
def test_the_smallest_common_cell_of_two_plane_lattices(lower, upper, counts, angle):
    """Known coincidences: the diagonal of a square, √7 of a triangular lattice, a doubled rectangle; turned or not."""
    match = match_planes(lower, turned(upper, angle), 0.03)
    assert (round(np.linalg.det(match.lower)), round(np.linalg.det(match.upper))) == counts
    strained = match.upper @ turned(upper, angle) @ match.rotation @ (np.eye(2) + match.strain)
    np.testing.assert_allclose(strained, match.lower @ lower, atol=1e-9)
    np.testing.assert_allclose(match.rotation @ match.rotation.T, np.eye(2), atol=1e-12)
    assert np.linalg.det(match.rotation) == pytest.approx(1)
    size = np.sqrt(counts[0] * np.linalg.det(lower) / (counts[1] * np.linalg.det(upper)))
    np.testing.assert_allclose(match.principal, size - 1, atol=1e-9)  # the same in every direction


def test_no_match_is_said():
    with pytest.raises(InputError, match="no common cell"):
        match_planes(np.eye(2) * 3.0, np.eye(2) * 3.4, 0.01, 30.0)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_strain_is_shared_as_asked(share):
    """LiF(100) and Al(100): squares of a/√2. Al takes its share of a(LiF)/a(Al) − 1, LiF what is then left."""
    made = coherent_interface(
        Side(rocksalt(4.026), (1, 0, 0), 2), Side(metal(4.10), (1, 0, 0), 2), share=share, max_strain=0.02
    )
    above = share * (4.026 / 4.10 - 1)
    side = 4.10 / 2**0.5 * (1 + above)
    lengths = made.atoms.cell.lengths()
    np.testing.assert_allclose(lengths[:2], side, atol=1e-8)
    record = made.info["interface"]
    np.testing.assert_allclose(record["strain_upper"], above, atol=1e-8)
    np.testing.assert_allclose(record["strain_lower"], side / (4.026 / 2**0.5) - 1, atol=1e-8)
    # Al layers are a/2 apart, and thicker by Poisson's ratio where compressed
    heights = np.sort(made.positions[made.numbers == 13, 2])
    assert heights[1] - heights[0] == pytest.approx(2.05 * (1 - POISSON / (1 - POISSON) * 2 * above))


def test_layers_make_the_composition_and_gaps_are_those_asked_for():
    made = coherent_interface(Side(rocksalt(4.026), (1, 0, 0), 3), Side(metal(4.05), (1, 0, 0), 2), gap=2.5)
    assert made.atoms.get_chemical_formula() == "Al2F3Li3"
    salt, aluminium = (made.positions[test, 2] for test in (made.numbers != 13, made.numbers == 13))
    height = made.cell[2, 2]
    assert aluminium.min() - salt.max() == pytest.approx(2.5)
    assert salt.min() + height - aluminium.max() == pytest.approx(2.5)
    np.testing.assert_allclose(made.cell[:2, 2], 0.0, atol=1e-12)


@pytest.mark.parametrize(("plane", "layers"), [((1, 0, 0), (2, 3)), ((1, 1, 0), (1, 2))])
def test_a_crystal_on_itself_is_the_crystal(plane, layers):
    """Registry and natural gap: rocksalt on rocksalt continues it at both boundaries, also with odd layers."""
    import spglib

    crystal = rocksalt(4.21, "Mg", "O")
    made = coherent_interface(Side(crystal, plane, layers[0]), Side(crystal, plane, layers[1]))
    cell = (made.cell, made.atoms.get_scaled_positions(), made.numbers)
    assert spglib.get_spacegroup(cell, 1e-4).startswith("Fm-3m")
    assert made.volume / len(made) == pytest.approx(crystal.volume / len(crystal))


def test_atoms_across_keep_their_distance():
    """Polar planes whose own spacing is too small: the gap opens to the covalent radii; a given one is refused."""
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    sides = Side(rocksalt(4.026), (1, 1, 0), 2), Side(metal(2.95, "Li", "bcc"), (1, 1, 0), 2)
    made = coherent_interface(*sides, max_strain=0.05)
    i, j, d = neighbor_list("ijd", made.atoms, 4.0)
    across = (i < 4) != (j < 4)
    assert (d / (covalent_radii[made.numbers][i] + covalent_radii[made.numbers][j]))[across].min() > 0.98
    with pytest.raises(InputError, match="widen the gap"):
        coherent_interface(*sides, gap=0.3, max_strain=0.05)


def test_it_is_the_same_every_time():
    sides = Side(rocksalt(4.21, "Mg", "O"), (1, 0, 0), 2), Side(rocksalt(4.026), (1, 0, 0), 2)
    one, two = (coherent_interface(*sides) for _ in range(2))
    assert np.array_equal(one.positions, two.positions)
    assert np.array_equal(one.cell, two.cell)


def test_what_makes_no_sense_is_refused():
    salt = rocksalt(4.0)
    with pytest.raises(InputError, match="layers of 1"):
        coherent_interface(Side(salt, (1, 0, 0), 0), Side(salt, (1, 0, 0), 1))


def test_the_energy_of_a_boundary_is_that_of_the_whole_cell():
    """Shifts change the plane sum as they change Ewald's sum of both slabs in a cell with a wide vacuum."""
    from ase.build import fcc100

    from rhotem.structure.ordering import ewald_matrix

    below = fcc100("Li", (1, 2, 2), a=4.1, vacuum=None, orthogonal=True)
    below.symbols[[0, 3]] = "F"
    above = below.copy()
    boundary = Boundary.of(below, above, 2.2)
    charges = np.array([-1.0, 1, 1, -1])
    np.testing.assert_array_equal(boundary.charges, np.outer(charges, charges).ravel())

    def whole(shift):
        upper = above.copy()
        upper.positions += [*shift, 2.2 + np.ptp(below.positions[:, 2])]
        atoms = below + upper
        atoms.set_cell([*below.cell.array[:2], [0, 0, 30.0]])
        q = np.tile(charges, 2)
        return 0.5 * q @ ewald_matrix(atoms.cell.array, atoms.get_scaled_positions()) @ q

    still = Boundary(boundary.flat, boundary.height, boundary.charges, 1e-3 * boundary.contact, boundary.plane)
    shifts = [np.zeros(2), np.array([0.7, 0.0]), np.array([1.2, 2.3])]
    changes = [still.energy(s) - still.energy(shifts[0]) for s in shifts]
    np.testing.assert_allclose(changes, [whole(s) - whole(shifts[0]) for s in shifts], atol=1e-5)
    assert np.ptp(changes) > 0.01
