"""From a specimen to a response and a montage."""

from pathlib import Path

import numpy as np
import pytest

from rhotem.analysis import responses, run
from rhotem.core import InputError
from rhotem.microscope.settings import Annular
from rhotem.scattering.response import Range

SILICON = Path(__file__).parents[2] / "examples" / "Si.cif"
ABF = (Annular(name="ABF", inner=11, outer=22),)


def test_a_montage_from_one_propagation(tmp_path):
    """Rows are thicknesses, columns foci; each is the image of a direct run to 1e-5."""
    cut = run.specimen(run.structure(SILICON), zone=(0, 0, 1), thickness=1.1)
    potentials = list(run.potential(cut, run.density(cut, "free-atoms"), phonons=0))
    held = responses.response(cut, potentials, detectors=ABF, range=Range(defocus=20), edges=[])
    depths = [0.1 * t for t in held.thicknesses]
    images = responses.montage(
        held, "ABF", tmp_path / "montage.png", thicknesses=depths, defocus=[-2.0, 0.0, 1.0], source_size=0.5
    )
    assert images.shape[:2] == (1, 3) and (tmp_path / "montage.png").stat().st_size > 1000
    one = held.images(defocus=-20.0, source_size=0.5)["ABF"]
    assert np.abs(images[0, 0] - one).max() < 1e-6
    assert np.abs(images[0, 0] - images[0, 2]).max() > 1e-3
    with pytest.raises(InputError, match="no image 'HAADF'; there are ABF"):
        responses.montage(held, "HAADF", tmp_path / "x.png", thicknesses=depths, defocus=[0.0])


def test_parallel_illumination_has_no_response():
    cut = run.specimen(run.structure(SILICON), zone=(0, 0, 1), thickness=1, preset="saed")
    with pytest.raises(InputError, match="preset saed scans no probe"):
        responses.response(cut, [])
