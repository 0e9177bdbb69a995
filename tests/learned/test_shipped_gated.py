"""The gated weights of the package rhotem-data: error bars that hold, elements without labels atom by atom."""

import ase.build
import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.density.convert import as_kind
from rhotem.density.field import caption
from rhotem.learned.calibration import load_calibration, uncertainty_path
from rhotem.learned.source import Model
from rhotem.learned.weights import find_model
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


@pytest.fixture(scope="module")
def gated() -> Model:
    return Model("gated", positive="off")


def test_error_bars_cover_families_never_calibrated_on():
    report = load_calibration(find_model("gated")).report
    assert 0.85 < report["overall"]["coverage"] < 0.95 and 0.85 < report["potential"]["coverage"] < 0.95
    assert all(0.85 < share < 0.95 for share in report["overall"]["coverage_by_quintile"])
    assert report["foretold"]["auroc_bad_expected"] > 0.9
    # atoms trained on are those of the default weights, and kept there
    assert uncertainty_path(find_model("gated")).stat().st_size < 1000


@pytest.mark.slow
def test_members_and_the_other_kind_of_readout_are_spread(gated):
    crystal = phase("LiF")
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.2)
    gated.check_members(crystal)
    values = [as_kind(f, "deformation").values for f in gated.members(crystal, grid)]
    assert len(values) == gated.member_count == 3
    mean = as_kind(gated(crystal, grid), "deformation").values
    # the count of each is put right by itself
    np.testing.assert_allclose(np.mean(values[:2], axis=0), mean, atol=1e-3 * np.abs(mean).max())
    for own in values:
        assert grid.integrate(own) == pytest.approx(0.0, abs=1e-6)
        assert np.abs(own - mean).max() > 1e-3 * np.abs(mean).max()


@pytest.mark.slow
def test_elements_of_few_or_no_labels(gated):
    """Strontium, thallium, and radium beyond the encoder: said as by the default weights."""
    crystal = Structure(ase.build.bulk("LiF", "rocksalt", a=4.03, cubic=True).repeat((2, 1, 1)))
    grid, fields = PeriodicGrid.from_spacing(crystal.cell, 0.3), {}
    plain = as_kind(gated(crystal, grid), "deformation").values
    for z in (38, 81, 88):
        atoms = crystal.atoms.copy()
        atoms.numbers[0] = z
        fields[z] = gated(Structure(atoms), grid)
        values = as_kind(fields[z], "deformation").values
        assert grid.integrate(values) == pytest.approx(0.0, abs=1e-5)
        assert np.abs(values).max() > 0.2 * np.abs(plain).max()  # the others keep theirs
    assert "Sr" in fields[38].record["new_elements"]["few_labels"]
    assert 0.05 < fields[81].record["new_elements"]["zero_shot"]["Tl"]["expected_error"] < 1.0
    assert "Ra" in fields[88].record["new_elements"]["free"]
    assert "free atoms around Ra" in caption(fields[88].source, fields[88].record)
    assert "fallback" not in fields[88].record
