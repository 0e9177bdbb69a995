"""Files read back by the libraries that people use, with their calibration."""

import json

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.images import ImageSet
from rhotem.microscope.outputs import write_images, write_record
from rhotem.microscope.scan import Scan


@pytest.fixture
def images():
    """A cosine along y and a step-free ramp of harmonics along x, so that axes and signs can be told apart."""
    scan = Scan((20, 30), (4.0, 9.0))
    x, y = np.meshgrid(np.arange(20) * 0.2, np.arange(30) * 0.3, indexing="ij")
    picture = 0.3 + 0.1 * np.cos(2 * np.pi * (x - 1.0) / 4) + 0.05 * np.cos(2 * np.pi * (y - 3.0) / 9)
    record = {
        "microscope": {"energy": 200e3, "convergence": 22.0, "dose": None},
        "thickness": 100.0,
        "configurations": 4,
    }
    patterns = {"4D": np.random.default_rng(0).random((20, 30, 5, 7)).astype(np.float32)}
    return ImageSet({"HAADF": picture, "iDPC": picture - 0.3}, scan, np.ones((5, 7)), (1.5, 1.2), patterns, record)


def test_hyperspy_file_has_axes_and_values(images, tmp_path):
    from rsciio.hspy import file_reader

    write_images(images, tmp_path, labels={"x": "[100]", "y": "[001]", "zone": "[010]"}, source="free atoms", phonons=4)
    signal = file_reader(str(tmp_path / "HAADF.hspy"))[0]
    rows, columns = signal["axes"]
    assert (rows["name"], columns["name"], rows["units"]) == ("y", "x", "Å")
    assert signal["data"].shape == (90, 40)
    assert (rows["scale"], columns["scale"]) == pytest.approx((0.1, 0.1))
    peak = np.unravel_index(np.asarray(signal["data"]).argmax(), (90, 40))
    assert (peak[1] * columns["scale"], peak[0] * rows["scale"]) == pytest.approx((1.0, 3.0))
    assert signal["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"] == 200.0
    patterns = file_reader(str(tmp_path / "4D.hspy"))[0]
    assert patterns["data"].shape == (30, 20, 7, 5)
    assert [a["navigate"] for a in patterns["axes"]] == [True, True, False, False]
    assert patterns["data"][3, 2, 6, 4] == images.patterns["4D"][2, 3, 4, 6]


def test_tiff_is_calibrated_and_upright(images, tmp_path):
    import tifffile

    write_images(images, tmp_path)
    with tifffile.TiffFile(tmp_path / "HAADF.tif") as file:
        page = file.pages[0]
        data = file.asarray()
        pixels, length = page.tags["XResolution"].value
        assert length / pixels == pytest.approx(0.1, rel=1e-3)
        assert file.imagej_metadata["unit"] == "angstrom"
    peak = np.unravel_index(data.argmax(), data.shape)
    assert peak[1] * 0.1 == pytest.approx(1.0)
    assert peak[0] * 0.1 == pytest.approx(3.0)  # the first row is the top, y = 0, as in HyperSpy files and pictures


def test_zarr_and_record_keep_everything(images, tmp_path):
    import zarr

    names = write_images(images, tmp_path)
    write_record(images, tmp_path / "record.json", note="x")
    group = zarr.open_group(str(tmp_path / "images.zarr"), mode="r")
    assert np.allclose(group["HAADF"][:].mean(), 0.3, atol=1e-6)
    assert group["iDPC"].attrs["unit"] == "rad"
    assert group["PACBED"].attrs["step_mrad"] == [1.5, 1.2]
    assert json.loads((tmp_path / "record.json").read_text())["note"] == "x"
    assert set(names) <= {path.name for path in tmp_path.iterdir()}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_failure_leaves_nothing_behind(images, tmp_path, monkeypatch):
    import tifffile

    def broken(path, *args, **kwargs):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(tifffile, "imwrite", broken)
    with pytest.raises(OSError, match="disk full"):
        write_images(images, tmp_path)
    assert not list(tmp_path.glob("*.tif")) and not list(tmp_path.glob(".*"))


def test_pictures_say_no_tds_only_without_phonons(images, tmp_path):
    from PIL import Image

    write_images(images, tmp_path / "moving", phonons=4)
    write_images(images, tmp_path / "still", phonons=0)
    moving, still = (np.asarray(Image.open(tmp_path / d / "HAADF.png").convert("L")) for d in ("moving", "still"))
    assert moving.shape == still.shape and (moving != still).any()


def test_folder_that_is_a_file(images, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken"):
        write_images(images, tmp_path / "taken")


@pytest.mark.parametrize("dose, periods", [(None, 3), (1e4, 1)])
def test_counting_noise_is_not_drawn_as_if_it_repeated(images, tmp_path, monkeypatch, dose, periods):
    """A noise-free cell of 4 Å is shown three times across; noise was counted in one cell only."""
    from rhotem.microscope import pictures

    widths = []
    draw = pictures._panel
    monkeypatch.setattr(pictures, "_panel", lambda *a: (widths.append(a[3][0]), draw(*a)))
    pictures.draw_images(images, tmp_path / "x.png", {"dose": dose}, ["HAADF"])
    assert widths == [pytest.approx(4.0 * periods)]


def test_a_pixelated_detector_alone_is_written(images, tmp_path):
    """The preset pacbed makes patterns but no images."""
    from dataclasses import replace

    written = write_images(replace(images, images={}), tmp_path)
    assert {"PACBED.png", "4D.hspy", "images.zarr"} == set(written)
    assert (tmp_path / "PACBED.png").stat().st_size > 1000


def test_images_print_as_a_table(images):
    """Name, unit, least, mean and most of every image, and what was scanned."""
    lines = str(images).splitlines()
    assert "20 x 30 positions, 0.2 x 0.3 Å apart, on 4.00 x 9.00 Å" in lines[0]
    table = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert table["HAADF"] == ["beam", "0.15", "0.3", "0.45"]
    assert table["iDPC"][0] == "rad" and table["4D"][:2] == ["beam", "patterns"]


def test_recorded_images_are_the_same_function(images):
    """The cosines of the fixture, at other positions and over more cells; coarse steps pick values, smoothing none."""
    for pixel, field in ((0.17, 10.0), (1.7, 0.0)):
        seen = images.recorded(pixel, field)
        (nx, ny), (lx, ly) = seen.scan.shape, seen.scan.size
        assert max(seen.scan.step) <= pixel and min(lx, ly) >= field and (lx % 4, ly % 9) == (0, 0)
        x, y = np.meshgrid(np.arange(nx) * lx / nx, np.arange(ny) * ly / ny, indexing="ij")
        expected = 0.3 + 0.1 * np.cos(2 * np.pi * (x - 1.0) / 4) + 0.05 * np.cos(2 * np.pi * (y - 3.0) / 9)
        np.testing.assert_allclose(seen["HAADF"], expected, atol=1e-12)


def test_a_coarse_scan_aliases_as_an_experiment_does():
    """A wave of five periods sampled at four positions of the cell looks like one of one period."""
    x = np.arange(20) / 20
    wave = np.broadcast_to(np.cos(2 * np.pi * 5 * x)[:, None], (20, 4)).copy()
    seen = ImageSet({"BF": wave}, Scan((20, 4), (4.0, 4.0)), np.ones((1, 1)), (1.0, 1.0)).recorded(1.0)
    np.testing.assert_allclose(seen["BF"][:, 0], np.cos(2 * np.pi * np.arange(4) / 4), atol=1e-12)


def test_captions_name_what_differs_from_a_plain_probe():
    from rhotem.microscope.outputs import _angles, _lens

    plain = {"defocus": 0.0, "cs": 0.0, "aberrations": {}, "tilt": (0.0, 0.0), "source_size": 0.0}
    assert _lens(plain) == ""
    given = {"defocus": -30.0, "cs": 1.2e7, "aberrations": {"C12": 20.0, "phi12": np.pi}, "tilt": (1.0, -2.0)}
    assert _lens(plain | given) == "defocus -3 nm, Cs 1.2 mm, C12 2 nm, phi12 180°, tilt 1, -2 mrad"
    parallel = {"focal_spread": 30.0, "objective": 25.0, "precession": 12.0}
    assert _lens(plain | parallel) == "focal spread 3 nm, objective 25 mrad, precession 12 mrad"
    assert _angles([{"kind": "segmented", "inner": 6, "outer": 22}])["iDPC"] == "6–22 mrad"


def test_a_headline_names_the_specimen_and_explains_only_what_is_drawn():
    """Readers of a single picture see which material it is, and nothing about images that are not there."""
    from rhotem.microscope.pictures import _headline

    caption = {"specimen": "LiCoO2", "labels": {"zone": "[100]"}, "thickness_nm": 2.0, "scales": {}}
    assert _headline(caption) == "LiCoO2, zone [100], 2.0 nm"
    assert "iCoM" in _headline(caption | {"scales": {"iDPC": "atoms × 1.28"}})
    assert "iCoM" not in _headline(caption)


def test_a_mean_that_is_rounding_is_printed_as_zero():
    wave = np.array([[1.0, -1.0], [1.0 + 4e-16, -1.0]])
    shown = ImageSet({"iDPC": wave}, Scan((2, 2), (4.0, 4.0)), np.zeros((0, 0)), (1.0, 1.0))
    assert 0 < wave.mean() < 1e-15
    assert str(shown).splitlines()[-1].split() == ["iDPC", "rad", "-1", "0", "1"]


def test_a_headline_is_not_wider_than_its_picture():
    """That of a single image with error bars was cut off at both sides."""
    from rhotem.core.figures import blank_figure
    from rhotem.microscope.pictures import _title

    errors = {"errors": {"HRTEM": "± 1 %"}, "source": "free atoms", "motion": "Debye model + value of the element"}
    lens = ", ".join(f"C{n}2 {n}.25 nm, phi{n}2 {n}0°" for n in (1, 3, 5)) + ", source 0.7 Å, focal spread 3 nm"
    figure = blank_figure(3.0, 3.0, dpi=100)
    _title(figure, {**errors, "energy_keV": 200, "convergence_mrad": 22, "lens": lens}, 6.5)
    box = figure._suptitle.get_window_extent(figure.canvas.get_renderer())
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
