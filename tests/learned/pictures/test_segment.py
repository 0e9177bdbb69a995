"""Networks on pictures in numpy: convolutions against SciPy, places against geometry, scores against counts by hand."""

import numpy as np
import pytest
from scipy.ndimage import correlate

from rhotem.core import InputError
from rhotem.learned.pictures import weights
from rhotem.learned.pictures.normalise import BACKGROUND, normalised, resampled
from rhotem.learned.pictures.score import Score, compare
from rhotem.learned.pictures.segment import COARSEST, SURE, Segmentation, from_logits, segment
from rhotem.learned.pictures.unet import OUTPUTS, _convolved, expanded, forward, gathered, scattered, shapes
from rhotem.learned.pictures.view import MODES, NUMBERS, PICTURES, guessed, local, named, pictures_seen, view, wiener
from rhotem.learned.pictures.weights import load_weights, save_weights

HEADER = {"threshold": 0.3, "sigma_floor_A": 0.0, "sigma_scale": 1.0}


def test_a_convolution_is_that_of_scipy(rng):
    values, kernel = rng.normal(size=(3, 9, 12)), rng.normal(size=(2, 3, 3, 3))
    expected = [sum(correlate(v, k, mode="constant") for v, k in zip(values, one, strict=True)) for one in kernel]
    bias = np.array([0.5, -1.0], dtype=np.float32)
    found = _convolved(values.astype(np.float32), kernel.astype(np.float32), bias)
    np.testing.assert_allclose(found, np.array(expected) + bias[:, None, None], atol=1e-5)


def test_normalised_pictures_know_neither_unit_nor_slow_background(rng):
    picture = rng.normal(size=(96, 96))
    _, x = np.mgrid[:96, :96]
    one = normalised(picture, 0.2)
    other = normalised(1e-3 * (picture + 0.02 * (x - 48) + 5), 0.2)
    inside = (slice(30, -30), slice(30, -30))  # a slope is mirrored at the edges
    assert np.abs(one - other)[inside].max() < 0.15
    assert one.std() == pytest.approx(1.0, abs=0.02)
    wave = np.sin(2 * np.pi * x * 0.2 / 30.0)  # 30 Å, beside columns 1.5 Å apart
    columns = np.sin(2 * np.pi * x * 0.2 / 1.5)
    kept = normalised(wave + columns, 0.2)[inside]
    assert np.corrcoef(kept.ravel(), columns[inside].ravel())[0, 1] > 0.99 and BACKGROUND < 30


def test_a_lattice_that_ends_is_not_filtered_into_the_vacuum(rng):
    """A dark field: no electrons beyond the end of the crystal, but the filter goes on with the lattice there."""
    x, y = 0.2 * np.mgrid[:128, :128]
    crystal = (1 + np.cos(2 * np.pi * x / 2.8) * np.cos(2 * np.pi * y / 2.1)) * (x < 12.8)
    picture = normalised(rng.poisson(0.5 * crystal), 0.2)
    (filtered,) = wiener(picture, (1.5,))
    kept = local(picture, filtered, 0.2)
    inside, beyond = (x > 2) & (x < 8), (x > 18) & (x < 24)
    assert filtered[beyond].std() > 0.1 * filtered[inside].std()
    assert kept[beyond].std() < 0.03 * kept[inside].std()
    assert kept[inside].std() > 0.8 * filtered[inside].std()


def test_filters_find_what_repeats_and_no_single_column_shows(rng):
    """A lattice beneath noise four times as strong; of noise alone as much is left as its exponential powers say."""
    y, x = np.mgrid[:128, :128] * 0.2
    lattice = np.cos(2 * np.pi * x / 3.2) * np.cos(2 * np.pi * y / 3.2)
    noise = 2.0 * rng.normal(size=x.shape)
    power = np.random.default_rng(1).exponential(size=10**6)
    trusts = (4.0, 1.5)
    both, alone = (wiener(one.astype(np.float32), trusts) for one in (lattice + noise, noise))
    for found, rest, trust in zip(both, alone, trusts, strict=True):
        left = np.mean(power * np.clip(1 - trust / power, 0, None) ** 2)
        assert rest.var() / noise.var() == pytest.approx(left, rel=0.15)
        expected = np.sqrt(lattice.var() / (lattice.var() + left * noise.var()))
        assert np.corrcoef(found.ravel(), lattice.ravel())[0, 1] == pytest.approx(expected, abs=0.05)
    assert np.corrcoef((lattice + noise).ravel(), lattice.ravel())[0, 1] < 0.3


def test_what_is_seen_knows_the_share_of_signal_and_the_image(rng):
    y, x = np.mgrid[:96, :80] * 0.2
    lattice = np.cos(2 * np.pi * x / 2.4) * np.cos(2 * np.pi * y / 2.4)
    shares = [pictures_seen(lattice + noise * rng.normal(size=x.shape), 0.2)[1] for noise in (0.05, 0.5, 5.0)]
    assert 1 >= shares[0] > 0.95 > shares[1] > 0.5 > shares[2]
    seen = view(1e-9 * lattice, 0.2, "ABF")
    assert seen.shape == (PICTURES + NUMBERS, 96, 80) and seen.dtype == np.float32
    assert [float(plane.mean()) for plane in seen[PICTURES + 1 :]] == [float(name == "ABF") for name in MODES]
    assert not view(lattice, 0.2)[PICTURES + 1 :].any() and view(lattice, 0.2, "ABF", 1).shape == (1, 96, 80)
    assert np.isfinite(view(np.ones((40, 40)), 0.2)).all()  # a picture without contrast
    with pytest.raises(InputError, match="networks of columns see"):
        view(lattice, 0.2, None, 3)


def test_squares_become_channels_and_back(rng):
    torch_order = rng.normal(size=(2, 6, 8)).astype(np.float32)
    parts = gathered(torch_order, 2)
    assert parts.shape == (8, 3, 4)
    np.testing.assert_array_equal(parts[4 * 1 + 2 * 0 + 1], torch_order[1, 0::2, 1::2])  # channel, row, column
    np.testing.assert_array_equal(scattered(parts, 2), torch_order)


def test_coarse_pixels_are_refused_and_unsure_species_known(rng):
    weights = load_weights()
    with pytest.raises(InputError, match=r"pixels of 0\.6 Å: columns are hardly apart"):
        segment(rng.normal(size=(200, 200)), (COARSEST, 0.6), weights)
    one = _found([[1.0, 2.0], [3.0, 4.0]], (1, 2))
    one.classes[1] = (SURE - 0.01, 0.3, 0.11 - SURE + 0.6, 0.0)
    assert one.unsure.tolist() == [False, True]


@pytest.mark.parametrize("unit", [1e-300, 1e-30, 1e25, -1e30, 1e300])
def test_pictures_of_any_unit_are_seen_alike(unit, rng):
    """Single precision ends at 3e38 and squares at 2e19: columns of such pictures were not found, without a word."""
    picture = rng.random((40, 40))

    def seen(image):
        return normalised(resampled(image, (0.25, 0.25), 0.2), 0.2)

    np.testing.assert_allclose(np.sign(unit) * seen(unit * picture), seen(picture), atol=2e-4)


def test_resampling_keeps_places():
    y, x = np.mgrid[:120, :160]
    spot = np.exp(-((x - 70.3) ** 2 + (y - 44.8) ** 2) / (2 * 6.0**2))
    new = resampled(spot, (0.08, 0.1), 0.2)
    assert new.shape == (48, 80)
    rows, columns = np.mgrid[: new.shape[0], : new.shape[1]]
    centre = np.array([(new * c).sum() / new.sum() for c in (columns, rows)])
    np.testing.assert_allclose(centre, [(70.3 + 0.5) * 0.5 - 0.5, (44.8 + 0.5) * 0.4 - 0.5], atol=0.02)


def test_columns_are_found_where_the_map_has_them(rng):
    """Two members that see the same Gaussians shifted against each other: mean place, and scatter as error."""
    truth = np.array([[12.3, 9.6], [30.7, 9.6], [20.1, 28.4]])
    y, x = np.mgrid[:40, :44]
    logits = np.full((2, len(OUTPUTS), 40, 44), -8.0)
    for member, shift in enumerate((-0.2, 0.2)):
        chance = sum(np.exp(-((x - px - shift) ** 2 + (y - py) ** 2) / (2 * 1.5**2)) for px, py in truth)
        logits[member, 0] = np.log(np.clip(chance, 1e-4, 0.999) / (1 - np.clip(chance, 1e-4, 0.999)))
        logits[member, 3] = 3.0  # transition metal everywhere
        logits[member, 5][:, :20] = 4.0  # vacancies on the left
    found = from_logits(logits.astype(np.float32), 0.2, HEADER)
    order = np.argsort(found.places[:, 0])
    np.testing.assert_allclose(found.places[order], truth[[0, 2, 1]], atol=0.06)
    np.testing.assert_allclose(found.errors[:, 0], 0.2 * np.sqrt(2), atol=0.05)
    assert (found.errors[:, 1] < 0.06).all() and set(found.species) == {"transition metal"}
    assert found.vacancy[order][0] > 0.9 and found.vacancy[order][2] < 0.1


def _found(places, classes=(3,)) -> Segmentation:
    n = len(places)
    kinds = np.zeros((n, 4))
    kinds[np.arange(n), [c - 1 for c in classes]] = 1
    zero = np.zeros(n)
    return Segmentation(np.array(places), np.ones((n, 2)), zero, kinds, zero, zero, np.zeros((n, 3)), np.zeros((2, 2)))


def test_scores_are_counts():
    """Three columns: one found, one found twice (one is false), one beside its place; and one at the edge."""
    table = np.zeros((4, 7))
    table[:, :2] = [[20, 20], [40, 20], [20, 40], [1, 1]]
    table[:, 2] = [3, 2, 3, 1]
    score = Score()
    compare(score, _found([[20.5, 20], [40, 20.5], [40, 22], [20, 45]], (3, 3, 3, 3)), table, 0.2, (64, 64))
    assert (score.hit, score.false, score.missed, score.right) == (2, 2, 1, 1)
    assert score.f1 == pytest.approx(2 * 2 / (2 * 2 + 2 + 1)) and score.accuracy == 0.5
    assert score.rms == pytest.approx(np.sqrt((0.1**2 + 0.1**2) / 4))


def test_weights_are_read_back_or_refused(tmp_path, rng):
    widths = (2, 3)
    one = {name: rng.normal(size=shape) for name, shape in shapes(widths).items()}
    path = tmp_path / "n.safetensors"
    save_weights(path, [one, one], {"widths": widths, "pixel_A": 0.2, "threshold": 0.3})
    back = load_weights(path)
    assert len(back.members) == 2 and back.levels == 2
    picture, inside = expanded(rng.normal(size=(7, 9)).astype(np.float32), 2)
    assert picture.shape == (8, 10) and forward(back.members[0], picture, 2)[:, *inside].shape == (7, 7, 9)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(InputError, match="no network that can be read"):
        load_weights(path)
    with pytest.raises(InputError, match="no network that can be read"):
        load_weights(tmp_path / "missing")
    save_weights(path, [one], {"widths": (2, 4), "pixel_A": 0.2})
    with pytest.raises(InputError, match="missing or of another shape"):
        load_weights(path)


def test_the_network_that_is_taken_is_that_of_an_installed_package(monkeypatch, tmp_path):
    own = load_weights()

    class Point:
        def load(self):
            return tmp_path

    monkeypatch.setattr(weights, "registered", lambda group: {"mine": Point()})
    with pytest.raises(InputError, match="pip install packages/rhotem-data"):
        load_weights()
    (tmp_path / "pictures").mkdir()
    save_weights(tmp_path / "pictures" / "columns.safetensors", own.members[:1], dict(own.header))
    assert len(load_weights().members) == 1


@pytest.mark.parametrize(
    ("title", "mode"),
    [("HAADF", "HAADF"), ("Ceta HAADF-DF4", "HAADF"), ("abf (2)", "ABF"), ("iDPC", "iDPC"), ("BF", None), ("", None)],
)
def test_the_image_that_a_file_names(title, mode):
    assert named(title) == mode


def test_dark_columns_have_a_long_dark_tail_and_fringes_have_none(rng):
    y, x = np.mgrid[:128, :128] * 0.2
    columns = np.exp(4 * np.cos(2 * np.pi * x / 2.8) + 4 * np.cos(2 * np.pi * y / 2.8) - 8)
    noise = 0.3 * rng.normal(size=columns.shape)
    assert guessed(noise - columns, 0.2) == "ABF"
    assert guessed(noise + columns, 0.2) is None
    assert guessed(noise + np.cos(2 * np.pi * (x + 0.3 * y) / 2.1), 0.2) is None
