"""`rhotem segment`: a lattice of known columns, a measured picture, refusals in one line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rhotem.cli import main

MEASURED = Path(__file__).resolve().parent.parent / "data" / "experiment" / "srtio3-haadf_1.ser"
STEP = 3.9  # Å


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main.app, ["segment", *(str(a) for a in arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def lattice(tmp_path, rng) -> tuple[Path, np.ndarray]:
    """A turned square lattice of Gaussian columns on pixels of 0.1 Å, and its places in pixels."""
    y, x = np.mgrid[:256, :256] * 0.1
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    steps = np.stack(np.meshgrid(np.arange(-12, 13), np.arange(-12, 13)), -1).reshape(-1, 2)
    places = STEP * 0.7 * steps @ turn.T + 12.8
    picture = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 0.45**2)) for a, b in places)
    np.save(tmp_path / "lattice.npy", picture + 0.1 * rng.normal(size=picture.shape))
    return tmp_path / "lattice.npy", places / 0.1


def test_columns_of_a_lattice(lattice, tmp_path):
    path, places = lattice
    code, out, error = invoke(path, "--kind", "image", "--pixel-A", 0.1, "--out", tmp_path / "out")
    assert code == 0, error
    rows = list(csv.DictReader((tmp_path / "out" / "columns.csv").read_text().splitlines()))
    found = np.array([[float(row["x_px"]), float(row["y_px"])] for row in rows])

    def inside(p: np.ndarray) -> np.ndarray:
        return p[((p > 10) & (p < 245)).all(axis=1)]

    apart = np.linalg.norm(inside(places)[:, None] - found[None], axis=-1).min(axis=1)
    back = np.linalg.norm(inside(found)[:, None] - places[None], axis=-1).min(axis=1)
    assert (apart < 3).mean() > 0.97 and (back < 3).mean() > 0.95  # 0.3 Å
    assert np.median(apart) < 1.0
    assert {"columns.csv", "columns.png", "record.json"} == {p.name for p in (tmp_path / "out").iterdir()}
    unsure = sum(float(row["species_probability"]) < 0.6 for row in rows)
    assert (f"species of {unsure} are unsure" in out) == (unsure > 0)
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["columns"]["species_unsure"] == unsure
    assert record["columns"]["columns"] == len(rows) and "columns: " in out


def test_the_measured_picture_has_its_columns():
    """SrTiO3 [001]: two bright columns in a cell of 3.905 Å; the lattice gives 0.0966 Å a pixel on the average."""
    code, out, error = invoke(MEASURED, "--json")
    assert code == 0, error
    from rhotem.experiment.read import read_measurement

    shape = read_measurement(MEASURED).data.shape
    expected = 2 * shape[0] * shape[1] * 0.0966**2 / 3.905**2
    assert json.loads(out)["columns"] == pytest.approx(expected, rel=0.1)


def test_dark_columns_are_taken_for_an_abf_image(lattice, tmp_path):
    path, _ = lattice
    np.save(tmp_path / "dark.npy", -np.load(path))
    asked = ("--kind", "image", "--pixel-A", 0.1)
    code, out, error = invoke(tmp_path / "dark.npy", *asked, "--out", tmp_path / "out")
    assert code == 0 and out.startswith("taken for an ABF image"), error
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["image"] == "ABF" and record["image_guessed"]
    assert "taken for" not in invoke(path, *asked)[1] + invoke(tmp_path / "dark.npy", *asked, "--image", "ABF")[1]


def test_two_detectors_of_one_measured_scan_agree(tmp_path):
    """ADF and ABF of a perovskite along [110], of atomap's tests: per 3.9 × 2.75 Å two columns, and oxygen in ABF."""
    atomap = pytest.importorskip("atomap")
    folder = Path(atomap.__file__).parent / "tests" / "datasets"
    found = {}
    for name in ("ADF", "ABF"):
        file, out = folder / f"test_{name}_cropped.hdf5", tmp_path / name
        code, _, error = invoke(file, "--kind", "image", "--pixel-A", 0.093354, "--out", out)
        assert code == 0, error
        rows = csv.DictReader((out / "columns.csv").read_text().splitlines())
        places = np.array([[float(row["x_px"]), float(row["y_px"])] for row in rows])
        inside = (places > 12) & (places < np.array([380, 400]) - 12)
        found[name] = places[inside.all(axis=1)]
    cells = (380 - 24) * (400 - 24) * 0.093354**2 / (3.905 * 2.761)
    assert len(found["ADF"]) == pytest.approx(2 * cells, rel=0.06)
    assert len(found["ABF"]) == pytest.approx(3 * cells, rel=0.06)
    apart = np.linalg.norm(found["ADF"][:, None] - found["ABF"][None], axis=-1).min(axis=1)
    assert (apart < 5).mean() > 0.98 and np.median(apart) < 2  # 0.5 and 0.2 Å


def test_refusals(lattice, tmp_path, rng):
    path, _ = lattice
    Image.fromarray(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(tmp_path / "colour.png")
    np.save(tmp_path / "stack.npy", rng.normal(size=(3, 64, 64)))
    (tmp_path / "net.safetensors").write_bytes(b"no network")
    for arguments, line in (
        ((path, "--kind", "image"), "give --pixel-A"),
        ((tmp_path / "colour.png", "--pixel-A", 0.1), "a colour picture"),
        ((path, "--kind", "pattern", "--px-per-mrad", 3), "segment takes one image"),
        ((tmp_path / "stack.npy", "--kind", "stack", "--pixel-A", 0.1), "segment takes one image"),
        ((path, "--kind", "image", "--pixel-A", 0.001), "expected 32 to 4096 a side"),
        ((path, "--kind", "image", "--pixel-A", 0.8), "expected 0.5 Å at most"),
        ((path, "--kind", "image", "--pixel-A", 0.1, "--image", "EELS"), "expected HAADF, ABF, iDPC"),
        ((path, "--kind", "image", "--pixel-A", 0.1, "--network", tmp_path / "net.safetensors"), "no network"),
    ):
        code, _, error = invoke(*arguments, "--out", tmp_path / "no")
        assert code == 2 and line in error, (arguments, error)
        assert error.startswith("error: ") and error.count("\n") == 1
        assert not (tmp_path / "no").exists()
