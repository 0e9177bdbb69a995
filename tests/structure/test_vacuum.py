"""The widest gap between atomic planes, from geometry."""

import ase
import numpy as np
import pytest

from rhotem.structure.model import Structure
from rhotem.structure.vacuum import widest_gap


@pytest.mark.parametrize("shift", [0.0, 4.0, 9.0])
def test_a_slab_in_an_oblique_cell(shift: float) -> None:
    """Two planes 2 Å apart in a cell 12 Å high, also if the cell's end cuts the slab: 10 Å are empty."""
    cell = np.array([[3.0, 0, 0], [1.0, 3.0, 0], [0.7, -0.4, 12.0]])
    atoms = ase.Atoms("Li2", positions=[[0.3, 0.2, 1.0 + shift], [1.0, 1.5, 3.0 + shift]], cell=cell, pbc=True)
    start, width, period = widest_gap(Structure(atoms), 2)
    assert (width, period) == pytest.approx((10.0, 12.0))
    assert start == pytest.approx((3.0 + shift) % 12.0)


def test_one_plane_is_a_gap_of_the_whole_period() -> None:
    atoms = ase.Atoms("Li", positions=[[0.1, 0.2, 0.3]], cell=np.diag([2.0, 3.0, 4.0]), pbc=True)
    assert [widest_gap(Structure(atoms), axis)[1] for axis in range(3)] == pytest.approx([2.0, 3.0, 4.0])
