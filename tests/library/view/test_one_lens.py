"""Images of one lens as Fourier coefficients: those of the response that they are of, and nothing of another lens."""

import json
import shutil

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.core.physics import PHYSICS
from rhotem.library.coefficients.model import FixedSignals
from rhotem.library.coefficients.store import open_fixed, save_fixed
from rhotem.library.coefficients.take import fixed_lens
from rhotem.library.layout import COEFFICIENTS
from rhotem.library.view import words
from rhotem.library.view.desk import Desk
from rhotem.library.view.entries import entries_in, open_entry
from rhotem.library.view.fixed import FixedLimits
from rhotem.library.view.make import Span, make_entry
from rhotem.library.view.picture import picture
from rhotem.library.view.report import write_report
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import parse_detector
from rhotem.scattering.response import Range

from .conftest import PLAN


@pytest.fixture(scope="module")
def entry(library, tmp_path_factory):
    """The same crystal and plan as those of the response, of one lens."""
    folder = tmp_path_factory.mktemp("one") / "lif"
    make_entry(PLAN, folder, Span((0.4, 0.8), Range(), edges=(), error_bar=False, one_lens=True))
    return folder


@pytest.fixture(scope="module")
def opened(entry):
    return open_entry(entry)


@pytest.fixture(scope="module")
def whole(library):
    return open_entry(library / "lif")


def test_a_wave_that_is_known():
    """3 + 4 cos 2π(x/a) + 2 sin 2π(y/b), and what a Gaussian source leaves of each."""
    cell, source = (4.0, 5.0), 0.7
    recorder = Recorder((parse_detector("ADF=30-60"),), 0, 0.025, (20.0, 20.0))
    # Re 2 c exp(−2πi q r): c = 2 for the cosine, c = i for the sine
    held = FixedSignals(recorder, cell, np.array([[0, 0], [1, 0], [0, 1]]), np.array([[3.0, 2.0, 1.0j]]))
    scan = Scan((12, 10), cell)
    x, y = (scan.positions[:, i].reshape(12, 10) for i in (0, 1))
    sigma = source / np.sqrt(8 * np.log(2))
    left = [np.exp(-2 * (np.pi * sigma / length) ** 2) for length in cell]
    expected = 3 + 4 * left[0] * np.cos(2 * np.pi * x / 4) + 2 * left[1] * np.sin(2 * np.pi * y / 5)
    found = held.signals(held.spectrum(None), scan, source)[0]
    assert np.abs(found - expected).max() < 1e-12
    few = held.signals(held.spectrum(None), Scan((3, 2), cell), source)[0]
    assert np.abs(few - expected[::4, ::5]).max() < 1e-12
    for wrong in (Scan((12, 10), (4.0, 6.0)), Scan((12, 10), cell, (0.5, 0.0))):
        with pytest.raises(InputError, match="of one whole cell"):
            held.signals(held.spectrum(None), wrong, 0.0)


@pytest.mark.parametrize("image", ["ADF", "ABF", "DPCx", "DPCy", "iDPC", "dDPC", "CoMx", "iCoM"])
@pytest.mark.parametrize("knobs", [{}, {"source_size_A": 0.8}, {"thickness_nm": 0.4027}, {"scan_rotation_deg": 25.0}])
def test_images_are_those_of_the_response(opened, whole, image, knobs):
    settings = opened.limits.start().changed(image=image, field_of_view_A=5.0, **knobs)
    one, other = picture(opened.limits, settings), picture(whole.limits, settings)
    assert one.scan.shape == other.scan.shape and one.unit == other.unit
    largest = max(np.ptp(other.values), 1e-3 * np.abs(other.values).max())
    assert np.abs(one.values - other.values).max() < 0.02 * largest  # a supercell of its own: docs/response.md
    taken = fixed_lens(whole.limits.response)
    exact = picture(FixedLimits(taken), settings)
    assert np.abs(exact.values - other.values).max() < 1e-6 * largest


@pytest.mark.parametrize("image", ["ABF", "iDPC", "CoMx"])
def test_electrons_are_drawn_as_by_the_response(whole, image):
    """The same seed, the same electrons: expectations differ by rounding alone."""
    taken = FixedLimits(fixed_lens(whole.limits.response))
    settings = taken.start().changed(image=image, field_of_view_A=5.0, dose_e_per_A2=1e4)
    one, other = picture(taken, settings), picture(whole.limits, settings)
    assert image != "ABF" or (one.values == other.values).mean() > 0.9
    assert np.abs(one.values - other.values).mean() < 0.05 * np.ptp(other.values)


def test_what_is_stored_is_what_was_made(opened, whole, tmp_path):
    taken = fixed_lens(whole.limits.response)
    save_fixed(taken, tmp_path / "images.zarr")
    read = open_fixed(tmp_path / "images.zarr")
    assert read.detectors == taken.detectors and read.rows == taken.rows and read.record["physics"] == PHYSICS
    assert read.cell == taken.cell and read.thicknesses == taken.thicknesses
    scale = np.abs(taken.values[..., 1:]).max(axis=2)
    error = np.abs(read.values - taken.values).max(axis=2)
    assert (error <= 2.0**-11 * 1.5 * scale).all() and 0 < read.rounding < 1e-3
    assert (read.values[..., 0] == taken.values[..., 0].real).all()
    size = sum(path.stat().st_size for path in (tmp_path / "images.zarr").rglob("*") if path.is_file())
    assert size < 60_000


def test_another_lens_is_refused_in_one_line(opened):
    start = opened.limits.start()
    for knobs, said in [
        ({"defocus_nm": 1.0}, "defocus_nm 1: 0 and no other"),
        ({"convergence_mrad": 20.0}, "convergence_mrad 20: 22 and no other"),
        ({"focal_spread_A": 20.0}, "focal_spread_A 20: 0 and no other"),
        ({"aberrations": {"C12": 1.0}}, "aberration C12: these images are of one lens"),
        ({"inner_mrad": 40.0}, "ADF: its ring is 30–60 mrad"),
        ({"thickness_nm": 3.0}, "thickness_nm 3: one of"),
        ({"image": "HAADF"}, "image 'HAADF': there are ADF, ABF"),
    ]:
        with pytest.raises(InputError, match=said):
            picture(opened.limits, start.changed(**knobs))
    held = opened.limits.response
    with pytest.raises(InputError, match="C10"):
        held.asked({"defocus": 10.0}, held.thicknesses[0])
    with pytest.raises(InputError, match="energy: fixed"):
        held.asked({"energy": 80e3}, held.thicknesses[0])
    with pytest.raises(InputError, match="there are images of"):
        held.level(30.0)
    with pytest.raises(InputError, match="each of its own detector"):
        held.ready((parse_detector("ADF=30-50"),), 0)


def test_a_desk_shows_it_beside_responses(library, entry, tmp_path):
    shutil.copytree(library / "lif", tmp_path / "whole")
    shutil.copytree(entry, tmp_path / "a one")
    entries = entries_in(tmp_path)
    assert [one.id for one in entries] == ["whole", "a one"]  # a lens that turns comes first
    desk = Desk(entries)
    desk.set(image="ABF", defocus_nm=1.0, source_size_A=0.8)
    desk.choose("a one")
    assert desk.settings.source_size_A == 0.8 and desk.settings.defocus_nm == 0.0 and desk.settings.image == "ABF"
    assert desk.opened.entry.title.endswith("one lens") and desk.limits.why
    assert np.ptp(desk.see().image.values) > 0 and len(desk.columns()[0])
    assert "one lens" in desk.opened.without or "Free atoms" in desk.opened.without
    plan = words.plan_of(desk.opened, desk.settings)
    assert plan.microscope.detectors == ("ABF=11-22",)
    lines = words.python_lines(desk.opened, desk.settings)
    scope: dict = {}
    exec(lines.replace("shown.values  # (nx, ny)", ""), scope)
    assert np.array_equal(scope["shown"].values, desk.see().image.values)
    write_report(entries[1], tmp_path / "one.html")
    assert "<img" in (tmp_path / "one.html").read_text()


def test_another_physics_is_read_and_told_of(entry, tmp_path):
    shutil.copytree(entry, tmp_path / "old")
    path = tmp_path / "old" / "record.json"
    said = json.loads(path.read_text())
    assert said["run"]["physics"] == PHYSICS
    said["run"]["physics"] = PHYSICS - 1
    path.write_text(json.dumps(said))
    opened = open_entry(tmp_path / "old")
    assert f"made with version {PHYSICS - 1} of the physics" in words.caption(opened, opened.limits.start())


@pytest.mark.parametrize("how", ["attribute", "array", "chunk", "form"])
def test_damage_is_one_line(entry, tmp_path, how):
    shutil.copytree(entry, tmp_path / "bad")
    about = tmp_path / "bad" / COEFFICIENTS / "zarr.json"
    said = json.loads(about.read_text())
    if how == "attribute":
        said["attributes"]["cell_angstrom"][0] *= 1.01
    elif how == "form":
        said["attributes"]["version"] = 99
    elif how == "array":
        shutil.rmtree(tmp_path / "bad" / COEFFICIENTS / "scale")
    about.write_text(json.dumps(said))
    if how == "chunk":
        chunk = next(path for path in (tmp_path / "bad" / COEFFICIENTS / "waves" / "c").rglob("*") if path.is_file())
        chunk.write_bytes(chunk.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"make it again") as error:
        open_fixed(tmp_path / "bad" / COEFFICIENTS)
    assert "\n" not in str(error.value)
