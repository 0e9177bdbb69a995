"""V4 (docs/validation-images.md): HAADF is blind to bonding, ABF and structure factors are not."""

from dataclasses import replace

import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.analysis.columns import column_intensity, columns
from rhotem.analysis.factors import factor_table
from rhotem.density.field import DensityField

pytestmark = [pytest.mark.gpaw, pytest.mark.slow]


def scaled(field: DensityField, factor: float) -> DensityField:
    """The field with its bonding part, and only that, multiplied."""
    one_centre = tuple(replace(term, values=factor * term.values) for term in field.one_centre)
    return replace(field, values=factor * field.values, one_centre=one_centre)


@pytest.fixture(scope="module")
def case(dft):
    """LiCoO2 along [100], 3 nm: free atoms, PBE+U, and PBE+U with a deliberate error of 5 % in Δn."""
    from rhotem.labels.gpaw_density import deformation_field

    structure, calculation = dft("LiCoO2")
    bonded = deformation_field(calculation, structure)
    fields = {"free": scaled(bonded, 0.0), "bonded": bonded, "wrong": scaled(bonded, 1.05)}
    cut = run.specimen(structure, (1, 0, 0), thickness=3.0, primitive=False)
    images = {
        name: run.image(cut, run.potential(cut, field, phonons=2, seed=3), phonons=2) for name, field in fields.items()
    }
    return cut, fields, images


def signals(case, name: str, image: str) -> np.ndarray:
    cut, _, images = case
    found = columns(cut.cell)
    return np.array([column_intensity(images[name][image], images[name].scan.size, c) for c in found])


def test_haadf_hardly_knows_about_bonding(case):
    """Within 1-2 % on every column that HAADF sees (Co, O)."""
    free, bonded = (signals(case, name, "HAADF") for name in ("free", "bonded"))
    visible = free > 0.05 * free.max()
    change = np.abs(bonded / free - 1)[visible].max()
    print(f"HAADF, DFT against free atoms: at most {100 * change:.2f} % on a visible column")
    assert change < 0.02


def test_abf_sees_bonding_more_than_haadf_does(case):
    changes = {}
    for image in ("HAADF", "ABF"):
        free, bonded = (case[2][name][image] for name in ("free", "bonded"))
        changes[image] = np.abs(bonded - free).max() / np.ptp(free)
    print({k: f"{100 * v:.2f} % of the contrast range" for k, v in changes.items()})
    assert changes["ABF"] > 2 * changes["HAADF"]


def test_five_per_cent_of_the_bonding_part_is_detected(case):
    """It shows in low-order structure factors and in ABF, proportionally, and stays invisible in HAADF."""
    _, fields, images = case
    right, wrong = (factor_table(fields[name], 0.6) for name in ("bonded", "wrong"))
    bonding = np.abs(right.bonded - right.free)
    error = np.abs(wrong.bonded - right.bonded)
    assert np.allclose(error, 0.05 * bonding, atol=1e-6 * np.abs(right.free).max())
    assert (error / np.abs(right.free).clip(0.05 * np.abs(right.free).max())).max() > 1e-3
    spread = {}
    for image in ("HAADF", "ABF"):
        difference = np.abs(images["wrong"][image] - images["bonded"][image]).max()
        spread[image] = difference / np.ptp(images["free"][image])
    print({k: f"{100 * v:.3f} % of the contrast range" for k, v in spread.items()})
    # Both runs have the same displacements; single precision leaves 1e-5.
    assert spread["ABF"] > 2e-4 and spread["ABF"] > spread["HAADF"]
