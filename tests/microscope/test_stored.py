"""Attributes of stored responses have a checksum: what was changed on the disk is seen, older stores are read."""

import json
import math

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.stored import read_group, write_group
from rhotem.scattering.response.store import sealed, unbroken

FORM = ("rhotem-response", 1)
SAID = {
    "rounding": 1.25e-4,
    "microscope": {"energy": 2e5, "defocus": -0.0, "aberrations": {"C12": 0.1 + 0.2}},
    "thicknesses_angstrom": (10.0, 1 / 3, 5e-324),
    "columns": [[0, "1"], [1, "x"]],
    "record": {"configurations": 4, "words": "Å ", "none": None, "error": math.nan, "far": math.inf},
}


@pytest.fixture
def stored(tmp_path):
    def store(said):
        write_group(tmp_path / "a.zarr", FORM, {"matrix": np.arange(6.0).reshape(2, 3)}, said)
        return tmp_path / "a.zarr"

    return store


def test_what_was_written_is_what_is_read(stored):
    """Numbers, texts and what is no number come back as they were, by way of the disk."""
    path = stored(sealed(SAID))
    unbroken(path, read_group(path, FORM, "responses")[1])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rounding", 1.26e-4),
        ("microscope", {"energy": 3e5}),
        ("record", {}),
        ("another", 1),
        ("attributes_checksum", 7),
    ],
)
def test_any_change_is_one_line(stored, key, value):
    path = stored(sealed(SAID))
    about = path / "zarr.json"
    whole = json.loads(about.read_text())
    whole["attributes"][key] = value
    about.write_text(json.dumps(whole))
    with pytest.raises(InputError, match=r"a\.zarr: what it says of itself differs from what was written"):
        unbroken(path, read_group(path, FORM, "responses")[1])


def test_one_digit_is_enough(stored):
    path = stored(sealed(SAID))
    about = path / "zarr.json"
    about.write_text(about.read_text().replace("200000.0", "200001.0"))
    with pytest.raises(InputError, match="differs from what was written"):
        unbroken(path, read_group(path, FORM, "responses")[1])


def test_stores_without_it_are_believed(stored):
    path = stored(SAID)
    unbroken(path, read_group(path, FORM, "responses")[1])
