"""The learned density by planes is the learned density."""

import ase.build
import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.learned.planes import stream
from rhotem.learned.source import Model
from rhotem.structure.model import Structure


def test_planes_are_those_of_the_grid():
    model = Model(positive="off")
    atoms = ase.build.bulk("LiF", "rocksalt", a=4.03, cubic=True)
    atoms.positions += np.random.default_rng(0).normal(0.0, 0.05, atoms.positions.shape)
    structure = Structure(atoms)
    by_planes = stream(model, structure)
    field = model(structure, by_planes.grid)
    values = np.concatenate([by_planes.planes(range(a, b)) for a, b in ((0, 7), (7, 8), (8, by_planes.grid.shape[2]))])
    # the field's sum is the exact count; the functions' own is nearly that
    np.testing.assert_allclose(np.moveaxis(values, 0, 2), field.values, atol=1e-6 * np.abs(field.values).max())
    np.testing.assert_array_equal(by_planes.one_centre[3].values, field.one_centre[3].values)
    held = sum(model.model.readout.blocks[0].electrons @ c[:, 0] for c in by_planes.one_centre.coefficients)
    assert abs(by_planes.grid.integrate(values) + held) < 1e-6 * 4 * len(structure)


def test_elements_beyond_the_encoder_are_free_atoms_as_in_memory():
    """With the same warning, in the same words of source and record."""
    model, polonium = Model(), Structure(ase.build.bulk("Po", "sc", a=3.35))
    by_planes = stream(model, polonium)
    whole = model(polonium, by_planes.grid)
    assert not by_planes.planes(range(2)).any() and not len(by_planes.one_centre)
    assert (by_planes.source, by_planes.record) == (whole.source, whole.record) and "free atoms" in whole.source
    assert "not trained on Po" in whole.record["warnings"][0]
    with pytest.raises(InputError, match="not trained on Po, whose part in the charge"):
        stream(model, Structure(polonium.atoms, charge=1.0))
