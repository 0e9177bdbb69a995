"""Attributes of stored groups have a checksum: what was changed on the disk is seen, older groups are read."""

import json
import math
import shutil

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.stored import SEAL, WRITTEN, read_group, write_group

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
    arrays, said = read_group(stored(SAID), FORM, "responses")
    assert arrays["matrix"].shape == (2, 3) and {SEAL, WRITTEN} < set(said)
    for name, value in SAID.items():
        assert json.dumps(said[name]) == json.dumps(value), name


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
    path = stored(SAID)
    about = path / "zarr.json"
    whole = json.loads(about.read_text())
    whole["attributes"][key] = value
    about.write_text(json.dumps(whole))
    with pytest.raises(InputError, match=r"a\.zarr: what it says of itself differs from what was written"):
        read_group(path, FORM, "responses")


def test_one_digit_is_enough(stored):
    path = stored(SAID)
    about = path / "zarr.json"
    about.write_text(about.read_text().replace("200000.0", "200001.0"))
    with pytest.raises(InputError, match="differs from what was written"):
        read_group(path, FORM, "responses")


def changed(path, change):
    """A group whose file of attributes, or of those of an array, was changed by hand."""
    whole = json.loads(path.read_text())
    change(whole)
    path.write_text(json.dumps(whole))


def test_bytes_in_another_shape_or_form_are_not_what_was_written(stored):
    """Checksums of bytes alone take 3 × 2 for 2 × 3 numbers, and one version of a form for another."""
    path = stored(SAID)
    changed(path / "zarr.json", lambda whole: whole["attributes"].update(version=2))
    with pytest.raises(InputError, match="form, types or shapes differ"):
        read_group(path, FORM, "responses", (FORM[0], 2))
    shutil.rmtree(path)

    def turn(whole):
        shape = whole["shape"][::-1]
        whole["shape"] = whole["chunk_grid"]["configuration"]["chunk_shape"] = shape
        whole["codecs"][0]["configuration"]["chunk_shape"] = shape

    path = stored(SAID)
    changed(path / "matrix" / "zarr.json", turn)
    with pytest.raises(InputError, match="form, types or shapes differ"):
        read_group(path, FORM, "responses")


def test_groups_without_it_are_believed(stored):
    path = stored(SAID)
    changed(path / "zarr.json", lambda whole: [whole["attributes"].pop(name) for name in (SEAL, WRITTEN)])
    assert read_group(path, FORM, "responses")[1]["rounding"] == SAID["rounding"]
