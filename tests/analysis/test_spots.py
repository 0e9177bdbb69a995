"""The preset saed: spots have the crystal's own indices and absences; what cannot be told apart is refused."""

import csv

import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.core import InputError
from rhotem.microscope.outputs import write_images
from rhotem.structure.indices import standard_cell
from rhotem.structure.phases import phase


@pytest.mark.parametrize(
    ("name", "zone", "centred"),
    [
        ("Li2MnO3", (1, 0, 0), lambda h, k, l: (h + k) % 2 == 0),
        ("LiCoO2", (1, 0, 0), lambda h, k, l: (-h + k + l) % 3 == 0),
        ("LiMn2O4", (1, 1, 0), lambda h, k, l: h % 2 == k % 2 == l % 2),
    ],
)
def test_spots_have_the_indices_and_absences_of_the_crystal(name, zone, centred):
    """Angle λ/d of each (hkl) with hu + kv + lw = 0; no spot that the lattice forbids, in higher Laue zones either."""
    cut = run.specimen(run.structure(name), zone, thickness=2.0, preset="saed")
    images = run.image(cut, run.potential(cut, run.density(cut, "free-atoms"), phonons=0))
    rows = [row for row in images.plane_wave.spots() if row["intensity"] > 1e-5]
    assert len(rows) > 20
    reciprocal = np.linalg.inv(standard_cell(phase(name)).cell).T
    for row in rows:
        hkl = (row["h"], row["k"], row["l"])
        assert centred(*hkl)
        if np.dot(hkl, zone):  # Laue zones that the Ewald sphere reaches lie towards the source
            assert np.dot(hkl, zone) > 0 and row["angle_mrad"] > 40
            continue
        angle = 1e3 * cut.preset.microscope.wavelength * np.linalg.norm(hkl @ reciprocal)
        assert row["angle_mrad"] == pytest.approx(angle, rel=2 * cut.cell.max_strain + 1e-6)
    assert images.plane_wave.diffuse.sum() == 0
    # right-handed as the picture: the spot along +x is the reciprocal vector along +x
    x = next(row for row in rows if row["i"] > 0 and row["j"] == 0)
    turned = cut.cell.rotation @ (np.array([x["h"], x["k"], x["l"]]) @ reciprocal)
    assert turned[0] > 0 and np.abs(turned[1:]).max() < 0.02 * turned[0]


def test_spots_and_diffuse_scattering_are_written(tmp_path):
    import zarr

    cut = run.specimen(run.structure("LiF"), (1, 0, 0), thickness=0.8, preset="saed")
    field = run.density(cut, "free-atoms")
    images = run.image(cut, run.potential(cut, field, phonons=3))
    written = write_images(images, tmp_path)
    assert {"diffraction.png", "spots.csv", "images.zarr"} == set(written)
    with open(tmp_path / "spots.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(images.plane_wave.spots()) > 0
    assert (rows[0]["h"], rows[0]["k"], rows[0]["l"]) == ("0", "0", "0")
    assert float(rows[0]["intensity"]) == pytest.approx(images.plane_wave.elastic.max(), rel=1e-5)
    group = zarr.open_group(str(tmp_path / "images.zarr"), mode="r")
    np.testing.assert_allclose(group["diffraction"][:], images.diffraction)
    step = group["diffuse"].attrs["step_mrad"]
    diffuse = float(np.sum(group["diffuse"][:]) * step[0] * step[1])
    assert diffuse + images.diffraction.sum() == pytest.approx(1 - images.record["diffraction"]["beyond_the_grid"])
    with pytest.raises(InputError, match="give 2 or more"):
        run.image(cut, run.potential(cut, field, phonons=1))
