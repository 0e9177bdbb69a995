"""The search for orthogonal cells against brute force, and the integer arithmetic beneath."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rhotem.structure.indices import triangle
from rhotem.structure.lattice import complete, coset_representatives, integer_inverse, search, stretch

SMALL = [v for v in np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), -1).reshape(-1, 3) if v.any()]


def brute_force(cell, axis, max_strain):
    """Smallest volume of any orthogonal-within-strain cell with third vector ``axis`` and sides up to 4 cells."""
    third = axis @ cell
    sides = [
        v
        for v in SMALL
        if abs((v @ cell) @ third) <= 2.5 * max_strain * np.linalg.norm(v @ cell) * np.linalg.norm(third)
    ]
    best = np.inf
    for i, a in enumerate(sides):
        for b in sides[i + 1 :]:
            rows = np.array([a, b, axis]) @ cell
            volume = abs(np.linalg.det(rows))
            if volume < 1e-6 or volume >= best:
                continue
            gram = rows / np.linalg.norm(rows, axis=1)[:, None]
            if np.abs(gram @ gram.T - np.eye(3)).max() > 2.5 * max_strain:
                continue
            if np.abs(np.linalg.eigvalsh(stretch(rows)[1])).max() <= max_strain:
                best = volume
    return best


@pytest.mark.parametrize("seed", range(12))
def test_nothing_smaller_exists(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(3, 7, 3)) + rng.uniform(-1.5, 1.5, (3, 3))
    axis = [np.array(z) for z in [(0, 0, 1), (1, 1, 0), (1, 0, 1), (1, 1, 1)]][seed % 4]
    found = search(cell, axis, plane=False, max_strain=0.03, max_volume=1e4)
    volume = brute_force(cell, axis, 0.03)
    assert volume == np.inf or (found is not None and found.volume <= volume * (1 + 1e-6))
    if found is not None:
        assert found.vectors[2].tolist() == axis.tolist()
        assert found.strain <= 0.03


@pytest.mark.parametrize("axis", [(1, 0, 0), (1, 1, 0), (2, 1, 1), (3, 2, 1)])
def test_cubic_lattices_need_no_strain(axis):
    """In a simple cubic lattice the strain-free cells are known: sides normal to [uvw] and to each other."""
    axis = np.array(axis)
    found = search(np.eye(3), axis, plane=False, max_strain=0.01, max_volume=1e4)
    normal = [v for v in SMALL if v @ axis == 0]
    best = min(
        abs(np.linalg.det(np.array([a, b, axis]))) for i, a in enumerate(normal) for b in normal[i + 1 :] if a @ b == 0
    )
    assert found.strain < 1e-12 and found.volume == pytest.approx(best)


indices = st.tuples(*[st.integers(-9, 9)] * 3)


@given(indices)
@settings(max_examples=100, deadline=None)
def test_completed_vectors_are_a_basis(vector):
    assume(np.gcd.reduce(vector) == 1)
    basis = complete(vector)
    assert abs(round(np.linalg.det(basis))) == 1 and basis[2].tolist() == list(vector)
    assert np.array_equal(integer_inverse(basis) @ basis, np.eye(3))


@given(st.tuples(indices, indices, indices))
@settings(max_examples=100, deadline=None)
def test_representatives_fill_the_cell_once(rows):
    transform = np.array(rows)
    determinant = abs(round(np.linalg.det(transform)))
    assume(0 < determinant < 400)
    shifts = coset_representatives(transform)
    assert len(shifts) == determinant
    inside = shifts @ np.linalg.inv(transform)
    inside = np.round(inside - np.floor(inside + 1e-9), 7)
    assert len({tuple(p) for p in inside}) == determinant
    assert abs(round(np.linalg.det(triangle(transform)))) == determinant


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_stretch_is_a_polar_decomposition(seed):
    rows = np.random.default_rng(seed).normal(size=(3, 3)) + 3 * np.eye(3)
    lengths, strain, rotation = stretch(rows)
    assert np.allclose(rotation @ rotation.T, np.eye(3)) and np.allclose(strain, strain.T)
    assert np.allclose(rows @ (np.eye(3) + strain) @ rotation.T, np.diag(lengths))
