"""Real Clebsch–Gordan couplings turn with their arguments and keep variances."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rhotem.learned.couplings import coupling, couplings, part, solid_harmonics

ALL = [(a, b, c) for a in range(5) for b in range(5) for c in range(abs(a - b), min(a + b, 4) + 1)]


def representation(l: int, turn: np.ndarray) -> np.ndarray:
    """D of l from harmonics themselves: Y(turned v) = Y(v) D."""
    v = np.random.default_rng(1).normal(size=(30, 3))
    plain, turned = (solid_harmonics(x, l)[:, part(l)] for x in (v, v @ turn.T))
    return np.linalg.lstsq(plain, turned, rcond=None)[0]


@pytest.mark.parametrize("path", ALL, ids=str)
def test_turned_products_are_products_turned(path):
    """Also where l1 + l2 + l3 is odd: pseudotensors turn like tensors."""
    turn = Rotation.from_rotvec([0.4, -0.2, 1.3]).as_matrix()
    a, b, c = (representation(l, turn) for l in path)
    table = coupling(*path)
    np.testing.assert_allclose(np.einsum("ai,bj,abk->ijk", a, b, table), table @ c.T, atol=1e-12)


@pytest.mark.parametrize("path", ALL, ids=str)
def test_components_keep_unit_variance(path):
    """Σ over both arguments is 1 for every component, and components are orthogonal."""
    table = coupling(*path)
    np.testing.assert_allclose(np.einsum("abk,abl->kl", table, table), np.eye(2 * path[2] + 1), atol=1e-14)


def test_scalars_are_scalar_products_and_vectors_cross_products():
    """Conventions: m = −1, 0, 1 are y, z, x; the sign of the cross product is that of e3nn and of trained weights."""
    np.testing.assert_allclose(coupling(1, 1, 0)[:, :, 0], np.eye(3) / np.sqrt(3.0), atol=1e-15)
    rng = np.random.default_rng(0)
    v, w = rng.normal(size=(2, 3))
    found = np.einsum("a,b,abc->c", v[[1, 2, 0]], w[[1, 2, 0]], coupling(1, 1, 1))
    np.testing.assert_allclose(found, np.cross(v, w)[[1, 2, 0]] / np.sqrt(2.0), atol=1e-15)


def test_there_are_as_many_as_selection_rules_say():
    assert len(ALL) == 65 and len(couplings(4, 4, 4)) == sum(sum(p) % 2 == 0 for p in ALL)
