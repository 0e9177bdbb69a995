"""The structure object."""

import pytest

from rhotem.structure.phases import phase


@pytest.mark.parametrize(
    ("name", "formula"), [("LiCoO2", "LiCoO2"), ("Li3PO4", "Li3PO4"), ("Na3V2(PO4)3", "Na3V2P3O12"), ("LiC6", "LiC6")]
)
def test_formula_is_written_as_chemists_do(name, formula):
    assert phase(name).formula == formula
