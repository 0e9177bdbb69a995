"""Training on pictures: the same network as in numpy, resumed bit for bit, every picture once an epoch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rhotem.core import InputError
from rhotem.learned.pictures import restore
from rhotem.learned.pictures.restore import FIRST, denoised, filtered
from rhotem.learned.pictures.unet import forward, shapes
from rhotem.learned.pictures.view import MODES, NUMBERS, PICTURES
from rhotem.learned.pictures.weights import load_weights
from rhotem.training.pictures.batch import Batch, Read
from rhotem.training.pictures.calibrate import MOST, _some
from rhotem.training.pictures.jobs import blended, column_losses
from rhotem.training.pictures.loader import Pictures, PictureStream, turned
from rhotem.training.pictures.network import UNet, plain
from rhotem.training.pictures.readable import AROUND, readable
from rhotem.training.pictures.train import Run, Settings

SETTINGS = Settings(widths=(4, 6, 8), cycles=(6, 3, 3), batch=2, side=16, keep_every=2)


class Spots:
    """A shard of pictures with Gaussian spots; the mean of picture i is i + first."""

    def __init__(self, number: int = 5, first: int = 0) -> None:
        self.number, self.first = number, first

    def read(self):
        y, x = np.mgrid[:32, :32]
        images, columns, species = [], [], []
        for i in range(self.number):
            rng = np.random.default_rng([i, self.first])
            spot = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in rng.uniform(4, 28, (4, 2)))
            images.append(spot + 0.05 * rng.normal(size=spot.shape))
            columns.append(np.clip(255 * spot, 0, 255))
            species.append(3 * (spot > 0.4))
        maps = {
            "columns": columns,
            "species": species,
            "vacancy": np.zeros_like(images),
            "antisite": np.zeros_like(images),
        }
        arrays = {name: np.array(values).astype(np.uint8) for name, values in maps.items()}
        return {"image": np.array(images), **arrays}, [{"pixel_A": 0.2}] * self.number


@pytest.mark.parametrize(("inputs", "patch"), [(1, 1), (7, 2)])
def test_the_network_is_that_of_numpy(rng, inputs, patch):
    torch.manual_seed(0)
    network = UNet((4, 6, 8), inputs, patch=patch)
    with torch.no_grad():
        for _ in range(3):  # statistics of the normalisations
            network(torch.randn(4, inputs, 16, 16))
    network.eval()
    picture = rng.normal(size=(inputs, 24, 32)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(picture)[None])[0].numpy()
    np.testing.assert_allclose(forward(plain(network), picture, 3, patch), expected, atol=1e-5)
    assert {k: v.shape for k, v in plain(network).items()} == shapes((4, 6, 8), inputs, patch=patch)


def test_a_resumed_training_is_that_which_never_stopped(tmp_path):
    pictures = Pictures([Spots()])
    whole = Run(SETTINGS, tmp_path / "whole")
    assert whole.train(pictures)
    parts = Run(SETTINGS, tmp_path / "parts")
    assert not parts.train(pictures, seconds=0.0)  # ends at the first state that is kept
    assert parts.step == 2
    resumed = Run(SETTINGS, tmp_path / "parts")
    resumed.train(pictures)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    resumed.export(tmp_path / "n.safetensors", {})
    assert len(load_weights(tmp_path / "n.safetensors").members) == 3


def test_another_training_is_not_mixed_in(tmp_path):
    Run(SETTINGS, tmp_path).train(Pictures([Spots()]), seconds=0.0)
    with pytest.raises(InputError, match="other settings"):
        Run(Settings(widths=(4, 6, 8), seed=1), tmp_path)


def test_training_learns_spots(tmp_path):
    rows = []
    settings = Settings(widths=(4, 6, 8), cycles=(240, 1, 1), batch=4, side=32, keep_every=60)
    Run(settings, tmp_path).train(Pictures([Spots(20)]), report=rows.append)
    assert rows[3]["column"] < 0.9 * rows[0]["column"] and rows[3]["species"] < 0.7 * rows[0]["species"]


def test_pictures_turn_with_their_maps(rng):
    images, maps = rng.normal(size=(8, 6, 6)), rng.integers(0, 255, (8, 4, 6, 6)).astype(np.uint8)
    maps[:, 0] = images > 0
    batch = turned(Read.without_numbers(images, maps), np.arange(8))
    assert torch.equal(batch.maps[:, 0] == 1, batch.image[:, 0] > 0)
    same = Read.without_numbers(np.repeat(images[:1], 8, axis=0), np.repeat(maps[:1], 8, axis=0))
    same = turned(same, np.arange(8))
    assert len({tuple(one.ravel().tolist()) for one in same.image}) == 8  # the eight orientations


def test_a_stream_gives_every_picture_once():
    shards = [Spots(3, first) for first in range(7)]
    for workers in (0, 2):
        loader = torch.utils.data.DataLoader(PictureStream(shards, 4, mixed=2), batch_size=None, num_workers=workers)
        shown = [image[:PICTURES].double() for batch in loader for image in batch.image]
        sums = sorted(round(float(image.square().sum()), 3) for image in shown)
        every = sorted(round(float(np.square(i.astype(float)).sum()), 3) for s in shards for i, _, _ in Pictures([s]))
        assert sums == pytest.approx(every, abs=0.01)


def test_batches_tell_which_image_it_is_and_sometimes_do_not():
    """Planes behind the pictures: share of signal, then one for each image; a quarter of the pictures is untold."""

    class Named(Spots):
        def read(self):
            arrays, said = super().read()
            return arrays, [{**one, "image": MODES[i % 3]} for i, one in enumerate(said)]

    pictures = Pictures([Named(9)])
    batch = pictures.batch(400, 0, 0, 16)
    planes = batch.image[:, PICTURES:]
    assert planes.shape[1] == NUMBERS and torch.equal(planes.amax((2, 3)), planes.amin((2, 3)))
    told = planes[:, 1:, 0, 0].sum(dim=1)
    assert set(told.tolist()) == {0.0, 1.0} and 0.6 < float(told.mean()) < 0.9
    assert (planes[:, 0] > 0).all() and (planes[:, 0] <= 1).all()
    assert all(part.numbers[:, 1:].sum() == 9 for part in pictures.parts)  # what is kept forgets nothing


def test_pictures_without_such_maps_are_refused():
    class Pairs(Spots):
        def read(self):
            arrays, said = super().read()
            return {"image": arrays["image"], "clean": arrays["image"]}, said

    with pytest.raises(InputError, match="no maps columns"):
        Pictures([Pairs()])


class Pairs:
    """A shard of noisy lattices with what they are without noise."""

    def read(self):
        y, x = np.mgrid[:32, :32]
        rng = np.random.default_rng(4)
        clean = np.array([np.cos(0.7 * x + a) + np.cos(0.6 * y + b) for a, b in rng.uniform(0, 6, (6, 2))])
        return {"image": clean + 0.8 * rng.normal(size=clean.shape), "clean": clean}, [{"pixel_A": 0.2}] * 6


def test_networks_that_restore_begin_with_what_is_known_without_them(tmp_path):
    run = Run(Settings(widths=(4, 6), cycles=(1, 1), batch=2, side=16, recipe="denoising", inputs=3, patch=1), tmp_path)
    run.train(Pictures([Pairs()], recipe="denoising"))  # one step of a warm-up: weights of the last layer hardly move
    run.export(tmp_path / "n.safetensors", {})
    image = Pairs().read()[0]["image"][0]
    weights = np.exp(FIRST) / np.exp(FIRST).sum()
    assert weights[0] > 0.8  # nearly the tighter filter
    known = sum(weight * one for weight, one in zip(weights, [*filtered(image), image], strict=True))
    network = load_weights(tmp_path / "n.safetensors", "denoising")
    assert np.abs(denoised(image, network) - known).max() < 0.05 * known.std()
    with pytest.raises(InputError, match="1 outputs instead of 4: train it again"):
        denoised(image, replace(network, header={**network.header, "outputs": 1}))


def test_pictures_are_blended_in_training_as_without_pytorch(rng):
    seen, outputs = rng.normal(size=(2, 3, 8, 9)).astype(np.float32), rng.normal(size=(2, 4, 8, 9)).astype(np.float32)
    trained = blended(torch.from_numpy(outputs), torch.from_numpy(seen)).numpy()
    for one, picture, logits in zip(trained, seen, outputs, strict=True):
        assert np.allclose(one[0], restore.blended(picture, logits), atol=1e-6)
        assert np.allclose(restore.blended(np.stack([picture[0]] * 3), logits) - logits[-1], picture[0], atol=1e-5)


def test_a_network_learns_to_restore(tmp_path):
    rows = []
    settings = Settings(
        widths=(4, 6, 8), cycles=(120, 1), batch=4, side=16, keep_every=30, recipe="denoising", inputs=3, patch=1
    )
    Run(settings, tmp_path).train(Pictures([Pairs()], recipe="denoising"), report=rows.append)
    assert rows[3]["ln relative"] < rows[0]["ln relative"] - 0.1


def test_a_recipe_that_nobody_trains_on_is_refused(tmp_path):
    with pytest.raises(InputError, match="no network is trained on it"):
        Run(Settings(recipe="strain"), tmp_path)


def test_pixels_of_hidden_columns_do_not_count():
    """Two columns 0.8 Å apart, one above the noise; the third is dark, which ABF shows and HAADF does not."""
    table = np.zeros((6, 8))
    table[:, 0], table[:, 1] = [10, 14, 25] * 2, 12
    table[:, 7] = [5.0, 0.5, -3.0] * 2
    arrays = {"image": np.zeros((2, 30, 32)), "table": table, "starts": np.array([0, 3, 6])}
    counts = readable(arrays, [{"pixel_A": 0.2, "image": name} for name in ("HAADF", "ABF")])
    assert counts.shape == (2, 30, 32) and counts[:, 12, 10].all() and not counts[:, 12, 15].any()
    assert counts[:, 12, 25].tolist() == [0, 1] and counts[:, 2].all()
    assert counts[:, 12, 12].all()  # 0.4 Å from the hidden one, and from that which can be read
    assert (counts[1] == 0).sum() < np.pi * (AROUND / 0.2) ** 2 + 8


def test_what_does_not_count_has_no_gradient():
    maps = torch.zeros((1, 5, 8, 8), dtype=torch.uint8)
    maps[:, 0], maps[:, 1], maps[:, 4] = 200, 3, 1
    maps[:, 4, 4:] = 0
    output = torch.zeros((1, 7, 8, 8), requires_grad=True)
    sum(column_losses(output, Batch(torch.zeros((1, 1, 8, 8)), maps)).values()).backward()
    assert output.grad is not None
    assert output.grad[:, 0, 4:].abs().max() == 0 and output.grad[:, 0, :4].abs().min() > 0
    assert output.grad[:, 1:5].abs().min() > 0  # a hidden column has its species


@pytest.mark.parametrize("number", [5, 42, 60, 128])
def test_networks_are_calibrated_on_all_images(number):
    """Images come in turns of three; whole steps of three would see one detector alone."""
    said = [{"pixel_A": float(1 + i % 3)} for i in range(number)]
    arrays = {"image": np.zeros((number, 2, 2)), "table": np.zeros((number, 8)), "starts": np.arange(number + 1)}

    class Turns:
        def read(self):
            return arrays, said

    chosen = [said["pixel_A"] for *_, said in _some(Turns())]
    assert set(chosen) == {1.0, 2.0, 3.0} and len(chosen) == min(number, MOST)
