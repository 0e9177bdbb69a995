"""Bad input of `rhotem dataset` and of networks: one line, exit code 2, nothing half-written."""

import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.learned.pictures.unet import shapes
from rhotem.learned.pictures.weights import save_weights
from rhotem.library.dataset import open_dataset


def refused(*arguments: object) -> str:
    """The line of a refusal."""
    result = CliRunner().invoke(main.app, [str(a) for a in arguments])
    assert result.exit_code == 2, (result.stdout, result.stderr)
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.fixture
def damaged(made, tmp_path):
    """A copy of the data set with a shard in which one byte is another."""
    copy = tmp_path / "damaged"
    shutil.copytree(made.folder, copy)
    shard = open_dataset(copy).shards("train")[0]
    file = next(p for p in (shard.path / "image").rglob("*") if p.is_file() and p.name != "zarr.json")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    return copy


def test_unknown_keys_of_plans(planned, tmp_path):
    """Keys that are none, pictures that memory has no room for, an element in two splits."""
    for old, new, word in (
        ("recipe: columns", "recipe: colums", "columns"),
        ("each: 6", "ech: 6", "each"),
        ("pixels: 48", "pixels: 100000", "below 2049"),
        ("each: 6, pixels: 48", "each: 6000, pixels: 2048", "expected at most 59"),
        ("each: 6", "each: 6, vacuum: 0.95", "expected a share of 0.9 at most"),
        ("each: 6", "each: 6, edge_A: 3", "without vacuum has no edge"),
        ("test: [Mn]", "test: [Mn, Fe], validation: [Ti, Mn]", "Mn: kept for the test already"),
    ):
        plan = tmp_path / "plan.yaml"
        plan.write_text((planned / "plan.yaml").read_text().replace(old, new))
        assert word in refused("dataset", "make", plan, "--out", tmp_path / "no", "-l", tmp_path / "library")
        assert not (tmp_path / "no").exists() and not (tmp_path / "library").exists()


def test_images_whose_noise_is_not_that_of_counts(planned, tmp_path):
    """Moments of a centre of mass have signs; they were clipped and counted."""
    campaign = (planned / "campaign.yaml").read_text().replace('"DPC=6-22"', '"CoM=40"')
    (tmp_path / "campaign.yaml").write_text(campaign)
    plan = (planned / "plan.yaml").read_text().replace("pixels: 48", "pixels: 48, images: [iCoM]")
    (tmp_path / "plan.yaml").write_text(plan)
    asked = ("dataset", "make", tmp_path / "plan.yaml", "--out", tmp_path / "no", "-l", tmp_path / "library")
    assert "iCoM is made of weights" in refused(*asked)
    assert not (tmp_path / "no").exists() and not (tmp_path / "library").exists()


def test_nothing_is_left_of_plans_that_cannot_be_read(planned, made, tmp_path):
    """Campaigns that are no campaigns, name no crystal, or are not there; and folders that hold something else."""
    asked = ("dataset", "make", tmp_path / "plan.yaml", "--out", tmp_path / "no", "-l", tmp_path / "library")
    (tmp_path / "plan.yaml").write_text((planned / "plan.yaml").read_text())
    campaign = (planned / "campaign.yaml").read_text()
    for content in (None, campaign.replace("name: tiny", "nam: tiny"), campaign.replace("LiF, MnO", "LiF, nothing")):
        if content is not None:
            (tmp_path / "campaign.yaml").write_text(content)
        refused(*asked)
        assert not (tmp_path / "no").exists() and not (tmp_path / "library").exists()
    other = ("dataset", "make", planned / "plan.yaml", "--out", tmp_path, "-l", tmp_path / "library")
    assert "something else" in refused(*other)
    assert not (tmp_path / "library").exists()  # said before responses are made


def test_a_damaged_shard_stops_what_reads_it(damaged, tmp_path):
    for layout in ("webdataset", "temimagenet", "coco"):
        said = refused("dataset", "export", damaged, "--to", layout, "--out", tmp_path / "no")
        assert "image" in said and not (tmp_path / "no").exists()
    pytest.importorskip("torch")
    assert "image" in refused("dataset", "train", damaged, "--out", tmp_path / "run", "-q")
    assert not (tmp_path / "run").exists()
    result = CliRunner().invoke(main.app, ["dataset", "verify", str(damaged)])
    assert result.exit_code == 2 and "damaged: " in result.stdout


def test_folders_layouts_and_splits(made, tmp_path):
    assert "no data set" in refused("dataset", "status", tmp_path)
    assert "webdataset" in refused("dataset", "export", made.folder, "--to", "nothing", "--out", tmp_path / "no")
    asked = ("dataset", "export", made.folder, "--to", "coco", "--split", "half", "--out", tmp_path / "no")
    assert "choose one of train" in refused(*asked)
    assert not (tmp_path / "no").exists()


def test_a_training_that_cannot_be_kept(made, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "run").write_text("a file")
    assert "give a folder" in refused("dataset", "train", made.folder, "--out", tmp_path / "run", "-q")
    for seconds in ("-1", "nan"):
        assert "--seconds" in refused("dataset", "train", made.folder, "--out", tmp_path / "no", "--seconds", seconds)
        assert not (tmp_path / "no").exists()


def test_a_network_of_another_job(tmp_path, rng):
    widths = (2, 2)
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes(widths, 2, 1).items()}
    header = {"widths": widths, "pixel_A": 0.2, "job": "denoising", "inputs": 2, "outputs": 1}
    save_weights(tmp_path / "net.safetensors", [arrays], header)
    np.save(tmp_path / "image.npy", rng.normal(size=(64, 64)))
    asked = ("segment", tmp_path / "image.npy", "--kind", "image", "--pixel-A", 0.2)
    assert "a network for denoising" in refused(*asked, "--network", tmp_path / "net.safetensors")
