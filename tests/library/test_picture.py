"""Entries found by a picture: turned, shifted, mirrored, noisy, of another scale; foreign pictures are refused."""

import json

import numpy as np
import pytest
from PIL import Image

from rhotem.cli.library import _match_row
from rhotem.core import InputError
from rhotem.experiment.measurement import Axis, Measurement
from rhotem.library.appearance import (
    HARMONICS,
    RINGS,
    Likeness,
    _passed,
    _peaks,
    from_bytes,
    likenesses,
    magnitudes,
    of_image,
    of_picture,
    to_bytes,
)
from rhotem.library.catalogue.tables import appearances
from rhotem.library.search.picture import Match, _compared, _scores_of_others, by_picture
from rhotem.library.store import Library

from .test_entry import PLAN, invoke

#: Columns of a cell without symmetry: place as a part of the cell, height.
COLUMNS = ((0.1, 0.2, 1.0), (0.45, 0.7, 0.6), (0.8, 0.35, 0.3))
EXTENT = (4.1, 5.6)


def cell(extent: tuple[float, float] = EXTENT, width: float = 0.5) -> np.ndarray:
    """Gaussian columns, periodic: by their transform, exactly."""
    shape = (32, 44)
    k = np.stack(np.meshgrid(*(np.fft.fftfreq(n) * n for n in shape), indexing="ij"), axis=-1)
    soft = np.exp(-2 * np.pi**2 * width**2 * ((k / extent) ** 2).sum(axis=-1))
    return np.fft.ifft2(sum(h * np.exp(-2j * np.pi * (k @ (x, y))) for x, y, h in COLUMNS) * soft).real * 1000


def recorded(image, extent, turn=0.0, pixel=0.25, size=160, scale=1.0, mirrored=False):
    """A picture (rows down) of a periodic image turned by degrees from right to down, by its Fourier series.

    Its true pixel is ``pixel * scale``; its source is Gaussian.
    """
    down, right = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    x, y = (pixel * scale * (n - 0.37 * size) for n in (right, down))
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    u, v = c * x + s * y, -s * x + c * y  # the cell's axes seen from the picture
    v = -v if mirrored else v
    kx, ky = (np.fft.fftfreq(n, length / n) for n, length in zip(image.shape, extent, strict=True))
    blur = np.exp(-2 * np.pi**2 * 0.4**2 * (kx[:, None] ** 2 + ky**2))
    series = blur * np.fft.fft2(image) / image.size
    ex, ey = (np.exp(2j * np.pi * place.reshape(-1, 1) * k) for place, k in ((u, kx), (v, ky)))
    return np.einsum("pi,ij,pj->p", ex, series, ey, optimize=True).real.reshape(size, size)


def measured(picture, pixel: float | None = 0.25, kind="image") -> Measurement:
    return Measurement(picture, kind, (Axis("y", "Å", pixel), Axis("x", "Å", pixel)))


@pytest.mark.parametrize(("turn", "mirrored"), [(0.0, False), (33.0, False), (121.0, False), (58.0, True)])
def test_a_turned_picture_is_known_with_its_angle(turn, mirrored):
    known = of_image(cell(), EXTENT)
    found = likenesses(of_picture(recorded(cell(), EXTENT, turn, mirrored=mirrored), (0.25, 0.25)), known[None])[0]
    assert found.score > 0.99 and found.mirrored == mirrored
    assert (found.angle - turn + 90) % 180 - 90 == pytest.approx(0, abs=1.0)


def test_unequal_pixels_are_no_distortion():
    whole = recorded(cell(), EXTENT, 20.0, pixel=0.2)
    known = of_image(cell(), EXTENT)
    assert likenesses(of_picture(whole[::2], (0.4, 0.2)), known[None])[0].score > 0.99


@pytest.mark.parametrize("scale", [0.97, 1.03])
def test_another_scale_is_found(scale):
    known = of_image(cell(), EXTENT)
    found = likenesses(of_picture(recorded(cell(), EXTENT, 10.0, scale=scale), (0.25, 0.25)), known[None])[0]
    assert found.score > 0.97 and found.scale == pytest.approx(scale, abs=0.011)


def test_the_index_knows_no_turn_and_noise_hardly_matters(rng):
    known = magnitudes(of_image(cell(), EXTENT))
    for turn in (0.0, 77.0):
        picture = recorded(cell(), EXTENT, turn)
        assert known @ magnitudes(of_picture(picture, (0.25, 0.25))) > 0.99
        noisy = rng.poisson(2.0 * picture / picture.mean())  # two electrons a pixel
        assert known @ magnitudes(of_picture(noisy, (0.25, 0.25))) > 0.97
    foreign = of_picture(rng.poisson(2.0, (160, 160)), (0.25, 0.25))
    assert known @ magnitudes(foreign) < 0.7


def test_half_precision_keeps_an_appearance():
    known = of_image(cell(), EXTENT)
    assert known.shape == (RINGS, HARMONICS)
    assert likenesses(known, from_bytes(to_bytes(known))[None])[0].score == pytest.approx(1, abs=1e-4)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory):
    """Rocksalt along two directions and lithium, by the command."""
    place = tmp_path_factory.mktemp("pictures")
    plan = PLAN.replace("[LiF, {builder: vacancy, crystals: [LiF], options: {element: F}}]", "[LiF, LiCoO2]")
    plan = plan.replace("[[1, 1, 0]]", "[[1, 1, 0], [1, 0, 0]]").replace('"DPC=3-12", ', "")
    (place / "plan.yaml").write_text(plan)
    code, said = invoke("campaign", "run", place / "plan.yaml", "-l", place / "library", "--workers", 1, "-q")
    assert code == 0, said
    with Library.open(place / "library") as opened:
        yield opened


def test_a_crystal_in_the_noise_of_a_bright_field_is_seen(rng):
    """81 electrons a pixel whose number varies by 9, a crystal that varies by 1: its power lies in few peaks."""
    true, scores = of_image(cell(), EXTENT), []
    for turn in (10.0, 30.0, 50.0, 70.0):
        picture = recorded(cell(), EXTENT, turn)
        counted = rng.poisson(80 + np.maximum(picture, 0) / picture.mean())
        scores.append(likenesses(of_picture(counted, (0.25, 0.25)), true[None])[0].score)
    assert np.mean(scores) > 0.93


def test_noise_alone_has_no_peaks(rng):
    """White noise through the filters is left as it is."""
    for _ in range(20):
        picture = rng.poisson(4.0, (160, 160)).astype(float)
        power = np.abs(np.fft.rfft2(picture - picture.mean(), (320, 320))) ** 2
        k2 = np.fft.fftfreq(320, 0.25)[:, None] ** 2 + np.fft.rfftfreq(320, 0.25) ** 2
        filtered = power * _passed(k2) ** 2
        kept, certain = _peaks(filtered, np.sqrt(k2))
        assert kept is filtered and not certain


def pictures(library, rng):
    """Of every entry a turned, noisy picture whose scale is wrong, at a thickness and focus of its own."""
    for entry in library.entries():
        held = library.response(entry.id)
        image = held.images(thickness=held.thicknesses[-1], defocus=10.0).images["ADF"]
        picture = recorded(image, held.extent, rng.uniform(0, 360), scale=rng.uniform(0.97, 1.03))
        yield entry, rng.poisson(1e4 * 0.25**2 * np.maximum(picture, 0))


def test_entries_are_found_by_their_pictures(library, rng):
    for entry, picture in pictures(library, rng):
        found = by_picture(library, measured(picture)).found
        assert found[0].entry.formula == entry.formula
        # [100] and [110] of LiCoO2 are one direction by its threefold axis
        assert found[0].entry.zone == entry.zone or entry.formula == "LiCoO2"
        assert found[0].likeness.score > 0.9 and 0 <= (found[0].others or 0.0) <= 1


def test_a_crystal_below_the_noise_is_not_named(library, rng):
    """Nothing stands out of a few electrons, whatever is nearest to their noise."""
    for entry in library.entries()[:2]:
        held = library.response(entry.id)
        image = held.images(thickness=held.thicknesses[-1], defocus=10.0).images["ADF"]
        picture = np.maximum(recorded(image, held.extent, 20.0), 0) / image.mean()
        few = by_picture(library, measured(rng.poisson(0.02 * picture + 2.0)), ["ADF"])
        assert few.noisy and few.found == few.shown == ()
        assert few.verdict("a.png").startswith("a.png: no lattice stands out") and entry.title not in few.verdict("a")
        many = by_picture(library, measured(rng.poisson(20 * picture + 2.0)), ["ADF"])
        assert not many.noisy and many.found and many.verdict("a.png") == ""


def test_what_is_no_crystal_of_the_library_is_refused(library, rng):
    smooth = np.fft.fft2(rng.normal(size=(160, 160)))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(160), np.fft.fftfreq(160)))
    pictures = [
        rng.poisson(5.0, (160, 160)),
        np.fft.ifft2(smooth * np.exp(-((frequency / 0.05) ** 2))).real,  # blobs
        recorded(cell((7.3, 9.9)), (7.3, 9.9), 15.0),  # another crystal
        recorded(np.cos(np.arange(24) * np.pi / 12)[:, None] + np.zeros(8), (2.02, 1.0), 40.0),  # fringes as of LiF
    ]
    for picture in pictures:
        matches = by_picture(library, measured(picture))
        assert not matches.found
        assert matches.fringes or matches.nearest[0].likeness.score < matches.least
    assert matches.fringes


def test_a_false_alarm_rate_that_nothing_tells_is_not_said_to_be_zero(library):
    """No other prototype has such an image: the chance is not known."""
    entry = library.entries()[0]
    match = Match(entry, "of no other", Likeness(0.99, 0.0, 1.0, False), 2.0, 0.0, None)
    looks = np.zeros((RINGS, HARMONICS), np.complex64)
    alone = _compared(match, _scores_of_others(library, looks, match.image, entry.prototype))
    assert alone.others is None and _match_row(alone)["others_as_like"] == "not known"


def test_pictures_that_cannot_be_searched_for(library):
    for wrong, said in [
        (measured(np.zeros((64, 64)), None), "--pixel-A"),
        (measured(np.zeros((64, 64)), 0.9), "pixels of 0.9 Å"),
        (measured(np.zeros((64, 64)), 0.25), "at least 20 Å"),
    ]:
        with pytest.raises(InputError, match=said):
            by_picture(library, wrong)
    with pytest.raises(InputError, match="--image HAADF: entries have ABF, ADF"):
        by_picture(library, measured(np.zeros((160, 160))), ["HAADF"])


def test_the_command_and_what_older_libraries_lack(library, tmp_path, rng):
    entry, picture = next(iter(pictures(library, rng)))
    grey = (255 * (picture - picture.min()) / np.ptp(picture)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "seen.png")
    with library.catalogue.begin() as connection:
        connection.execute(appearances.delete())
    asked = ("library", "match", library.folder, tmp_path / "seen.png", "--pixel-A", 0.25)
    code, said = invoke(*asked)
    assert code == 2 and "rhotem library repair" in said
    code, said = invoke("library", "repair", library.folder)
    assert code == 0 and "4 entries of an older version can be found by picture now" in said
    code, said = invoke(*asked, "--json")
    # of two equal directions either comes first
    assert code == 0 and entry.id in [row["id"] for row in json.loads(said)["nearest"][:2]]
    Image.fromarray(rng.integers(0, 255, (160, 160), dtype=np.uint8)).save(tmp_path / "seen.png")
    assert "seen.png: no lattice stands out of its noise" in invoke(*asked)[1]
    said = json.loads(invoke(*asked, "--json")[1])
    assert said["noisy"] and said["nearest"] == []


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_a_picture_is_known_in_any_unit(unit):
    """Squares of such values are zero or no numbers."""
    seen = recorded(cell(), EXTENT, 20.0)
    found = likenesses(of_picture(unit * seen, (0.25, 0.25)), of_picture(seen, (0.25, 0.25))[None])[0]
    assert found.score == pytest.approx(1.0)
