"""Measured files of every format: the numbers that were written come back, with scale and settings, or one line."""

import importlib
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from rhotem.core import InputError
from rhotem.core.dimensions import dimension
from rhotem.core.units import wavelength
from rhotem.experiment.read import Stated, missing, read_measurement
from rhotem.experiment.report import described
from rhotem.microscope.images import ImageSet
from rhotem.microscope.outputs import write_images
from rhotem.microscope.scan import Scan as ImageScan

from .files import write_dm3, write_empad, write_mib, write_mrc, write_ser, write_velox

DATA = Path(__file__).resolve().parent.parent / "data" / "experiment"


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    """Twelve rows, ten columns: an upside-down or transposed one is another."""
    return rng.integers(100, 4000, (12, 10)).astype(np.uint16)


def axes(nm: float) -> list[dict]:
    common = {"_type": "UniformDataAxis", "scale": nm, "offset": 0.0, "units": "nm", "navigate": False}
    return [
        {**common, "name": "y", "size": 12, "index_in_array": 0},
        {**common, "name": "x", "size": 10, "index_in_array": 1},
    ]


def signal(image: np.ndarray, nm: float) -> dict:
    return {
        "data": image,
        "axes": axes(nm),
        "metadata": {
            "General": {"title": "HAADF"},
            "Signal": {"signal_type": ""},
            "Acquisition_instrument": {
                "TEM": {"beam_energy": 200.0, "convergence_angle": 21.0, "camera_length": 115.0}
            },
        },
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "", "package_version": ""},
        "tmp_parameters": {},
        "learning_results": {},
        "models": {},
    }


@pytest.mark.parametrize(("plugin", "ending"), [("hspy", "hspy"), ("emd", "emd"), ("tiff", "tif")])
def test_what_rosettasciio_writes_comes_back(plugin: str, ending: str, image: np.ndarray, tmp_path: Path):
    path = tmp_path / f"image.{ending}"
    importlib.import_module(f"rsciio.{plugin}").file_writer(str(path), signal(image, 0.0123))
    read = read_measurement(path)
    assert np.array_equal(read.data, image) and read.kind == "image"
    assert read.pixel == pytest.approx((0.123, 0.123), rel=1e-6)
    assert [axis.unit for axis in read.axes] == ["Å", "Å"]
    if plugin == "hspy":
        assert (read.energy_keV, read.convergence_mrad, read.camera_length_mm) == (200.0, 21.0, 115.0)


def test_a_series_of_tia(image: np.ndarray, tmp_path: Path):
    write_ser(tmp_path / "scan_1.ser", image, 1.001e-11)
    read = read_measurement(tmp_path / "scan_1.ser", Stated(energy_keV=80.0, dwell_us=29.0))
    assert np.array_equal(read.data, image) and read.pixel == pytest.approx((0.1001, 0.1001), rel=1e-9)
    assert (read.energy_keV, read.dwell_us) == (80.0, 29.0)
    assert set(missing(read)) == {"--convergence-mrad", "--dose"}
    write_ser(tmp_path / "pattern_1.ser", image, 2e8)  # 0.2 1/nm
    pattern = read_measurement(tmp_path / "pattern_1.ser", Stated(energy_keV=80.0))
    assert pattern.kind == "pattern" and pattern.pixel == pytest.approx(2 * (1e3 * wavelength(80e3) * 0.02,), rel=1e-9)
    assert "--px-per-mrad" in missing(read_measurement(tmp_path / "pattern_1.ser"))


def test_digital_micrograph(image: np.ndarray, tmp_path: Path):
    write_dm3(tmp_path / "a.dm3", image, 0.0125, 3e5, 16.0)
    read = read_measurement(tmp_path / "a.dm3")
    assert np.array_equal(read.data, image) and read.pixel == pytest.approx((0.125, 0.125), rel=1e-6)
    assert read.energy_keV == pytest.approx(300.0) and read.dwell_us == pytest.approx(16.0)


def test_velox_has_several_recordings_one_is_chosen(image: np.ndarray, tmp_path: Path):
    write_velox(tmp_path / "a.emd", {"HAADF": image, "DF4-A": image[::-1]}, 2e-11)
    with pytest.raises(InputError, match=r"--dataset: 1 HAADF .* 2 DF4-A"):
        read_measurement(tmp_path / "a.emd")
    read = read_measurement(tmp_path / "a.emd", Stated(dataset="haadf"))
    assert np.array_equal(read.data, image) and read.pixel == pytest.approx((0.2, 0.2))
    assert np.array_equal(read_measurement(tmp_path / "a.emd", Stated(dataset="2")).data, image[::-1])
    assert read.energy_keV == 300.0 and read.convergence_mrad == pytest.approx(21.4)
    assert read.dwell_us == pytest.approx(2.0) and read.camera_length_mm == pytest.approx(115.0)
    electrons = 5e-11 * 2e-6 / 1.602176634e-19
    assert read.dose_e_per_A2 == pytest.approx(electrons / 0.04, rel=1e-9)


def test_merlin_frames_and_scans(rng: np.random.Generator, tmp_path: Path):
    frames = rng.poisson(5.0, (6, 8, 9)).astype(np.uint16)
    write_mib(tmp_path / "a.mib", frames)
    with pytest.raises(InputError, match="--scan"):
        read_measurement(tmp_path / "a.mib")
    read = read_measurement(tmp_path / "a.mib", Stated(scan=(2, 3), px_per_mrad=4.0, pixel_A=0.5))
    assert read.kind == "4D" and np.array_equal(read.data, frames.reshape(2, 3, 8, 9))
    assert [axis.scale for axis in read.axes] == [0.5, 0.5, 0.25, 0.25]
    assert read.counts and read.dwell_us == pytest.approx(1000.0)
    write_mib(tmp_path / "b.mib", frames, per_line=3)
    assert read_measurement(tmp_path / "b.mib").data.shape == (2, 3, 8, 9)


def test_empad_raw(rng: np.random.Generator, tmp_path: Path):
    frames = rng.normal(size=(6, 128, 128)).astype("<f4")
    write_empad(tmp_path / "scan_x3_y2.raw", frames)
    read = read_measurement(tmp_path / "scan_x3_y2.raw")
    assert read.kind == "4D" and np.array_equal(read.data, frames.reshape(2, 3, 128, 128))
    (tmp_path / "scan.xml").write_text(
        "<root><raw_file filename='scan_x3_y2.raw'/><pix_x>3</pix_x><pix_y>2</pix_y></root>"
    )
    assert np.array_equal(read_measurement(tmp_path / "scan.xml").data, read.data)


@pytest.mark.parametrize("angstrom", [0.25, 0.0])
def test_mrc_with_and_without_scale(angstrom: float, image: np.ndarray, tmp_path: Path):
    write_mrc(tmp_path / "a.mrc", image, angstrom)
    read = read_measurement(tmp_path / "a.mrc")
    assert np.array_equal(read.data, image)
    assert read.pixel == (pytest.approx((0.25, 0.25)) if angstrom else None)
    assert np.array_equal(read_measurement(tmp_path / "a.mrc", Stated(flip=True)).data, image[::-1])


def test_tiff_scales(image: np.ndarray, tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, imagej=True, resolution=(1 / 0.02, 1 / 0.03), metadata={"unit": "nm"})
    assert read_measurement(path).pixel == pytest.approx((0.3, 0.2), rel=1e-5)
    ome = {"PhysicalSizeX": 20.0, "PhysicalSizeXUnit": "pm", "PhysicalSizeY": 30.0, "PhysicalSizeYUnit": "pm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", image, metadata={"axes": "YX", **ome})
    assert read_measurement(tmp_path / "a.ome.tif").pixel == pytest.approx((0.3, 0.2))
    fei = "[Beam]\r\nHV=30000\r\n[Scan]\r\nPixelWidth=2e-11\r\nPixelHeight=3e-11\r\nDwelltime=1e-06\r\n"
    tifffile.imwrite(path, image, extratags=[(34682, "s", 0, fei, True)], metadata=None)
    read = read_measurement(path)
    assert read.pixel == pytest.approx((0.3, 0.2)) and (read.energy_keV, read.dwell_us) == (30.0, 1.0)
    zeiss = (
        "0\r\n0\r\n0\r\n1e-11\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 0.25 nm\r\nAP_ACTUALKV\r\nEHT = 20 kV\r\n"
    )
    tifffile.imwrite(path, image, extratags=[(34118, "s", 0, zeiss, True)], metadata=None)
    assert read_measurement(path).pixel == pytest.approx((2.5, 2.5))
    tifffile.imwrite(path, image, resolution=(300, 300), resolutionunit="INCH", metadata=None)
    printed = read_measurement(path, Stated(kind="image"))
    assert printed.pixel is None and any("printing" in remark for remark in printed.remarks)


def test_pictures_and_arrays(image: np.ndarray, tmp_path: Path):
    small = (image // 16).astype(np.uint8)
    Image.fromarray(small).save(tmp_path / "a.png")
    Image.fromarray(np.stack([small] * 3, axis=-1)).save(tmp_path / "b.png")
    Image.fromarray(image).save(tmp_path / "c.png")
    np.save(tmp_path / "d.npy", image)
    for name, data in (("a.png", small), ("b.png", small), ("c.png", image), ("d.npy", image)):
        read = read_measurement(tmp_path / name, Stated(pixel_A=0.2))
        assert np.array_equal(read.data, data) and read.pixel == (0.2, 0.2)
    Image.fromarray(small).save(tmp_path / "a.jpg", quality=95)
    read = read_measurement(tmp_path / "a.jpg", Stated(px_per_mrad=10.0))
    assert read.kind == "pattern" and read.counts is False and any("lossy" in remark for remark in read.remarks)


@pytest.mark.parametrize(
    ("name", "stated", "line"),
    [
        ("a.npy", Stated(), "--kind image"),
        ("a.hspy", Stated(pixel_A=0.2), "the file says 0.123 Å, --pixel-A says 0.2 Å"),
        ("a.hspy", Stated(energy_keV=300), "--energy-keV says 300"),
        ("a.hspy", Stated(kind="pattern"), "--kind says pattern"),
        ("a.hspy", Stated(px_per_mrad=3.0), "--px-per-mrad is for diffraction"),
        ("a.hspy", Stated(dataset="BF"), "no recording named BF"),
        ("a.npy", Stated(pixel_A=0.2, energy_keV=200e3), "200000 keV"),
        ("a.npy", Stated(pixel_A=-0.2, energy_keV=-1.0), "positive"),
        ("colour.png", Stated(kind="image"), "colour"),
        ("nan.npy", Stated(kind="image"), "1 of 120 pixels are NaN"),
        ("complex.npy", Stated(kind="image"), "complex"),
        ("constant.npy", Stated(kind="image"), "every pixel is 3"),
        ("line.npy", Stated(kind="image"), "holds no image"),
        ("empty.npy", Stated(kind="image"), "empty file"),
        ("nothing.npy", Stated(), "no such file"),
        ("renamed.dm4", Stated(), "it looks like numpy"),
        ("text.abc", Stated(), "no format for .abc"),
        ("short.ser", Stated(), "truncated"),
        ("short.dm3", Stated(), "truncated"),
        ("short.tif", Stated(kind="image"), "truncated"),
        ("short.npy", Stated(kind="image"), "truncated"),
        ("short.png", Stated(kind="image"), "truncated"),
        ("short.mrc", Stated(), "truncated"),
        ("short.mib", Stated(), "truncated"),
        ("short.hspy", Stated(), "truncated"),
        ("short.raw", Stated(), "no whole number"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    name: str, stated: Stated, line: str, image: np.ndarray, rng: np.random.Generator, tmp_path: Path
):
    np.save(tmp_path / "a.npy", image)
    importlib.import_module("rsciio.hspy").file_writer(str(tmp_path / "a.hspy"), signal(image, 0.0123))
    Image.fromarray(rng.integers(0, 255, (12, 10, 3)).astype(np.uint8)).save(tmp_path / "colour.png")
    values = image.astype(float)
    values[3, 3] = np.nan
    for other, data in {"nan": values, "complex": image * 1j, "constant": image * 0 + 3, "line": image[0]}.items():
        np.save(tmp_path / f"{other}.npy", data)
    (tmp_path / "empty.npy").touch()
    (tmp_path / "renamed.dm4").write_bytes((tmp_path / "a.npy").read_bytes())
    (tmp_path / "text.abc").write_text("no picture")
    big = rng.integers(0, 4000, (64, 64)).astype(np.uint16)
    write_ser(tmp_path / "short.ser", big, 1e-11)
    write_dm3(tmp_path / "short.dm3", big, 0.01, 2e5, 1.0)
    write_mrc(tmp_path / "short.mrc", big, 1.0)
    write_mib(tmp_path / "short.mib", big[None])
    write_empad(tmp_path / "short.raw", np.zeros((1, 128, 128)))
    tifffile.imwrite(tmp_path / "short.tif", big)
    np.save(tmp_path / "short.npy", big)
    Image.fromarray(big).save(tmp_path / "short.png")
    importlib.import_module("rsciio.hspy").file_writer(str(tmp_path / "short.hspy"), signal(image, 0.0123))
    for path in tmp_path.glob("short.*"):
        path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    with warnings.catch_warnings(), pytest.raises(InputError, match=line) as refused:
        warnings.simplefilter("error")
        read_measurement(tmp_path / name, stated)
    assert "\n" not in str(refused.value)
    assert name in str(refused.value) or "--" in str(refused.value)


def test_saturation_is_said_and_a_bright_pixel_is_none(rng: np.random.Generator, tmp_path: Path):
    image = rng.normal(2000, 600, (64, 64)).clip(0, 4095).astype(np.uint16)
    image[5, 5] = 4095
    np.save(tmp_path / "a.npy", image)
    assert read_measurement(tmp_path / "a.npy", Stated(kind="image")).saturated == 0
    np.save(tmp_path / "b.npy", np.minimum(image, 2800))
    read = read_measurement(tmp_path / "b.npy", Stated(kind="image"))
    assert read.saturated == pytest.approx((image >= 2800).mean()) and "saturated" in read.remarks[-1]
    counts = rng.poisson(0.1, (64, 64)).astype(np.uint8)  # sparse counts reach their maximum often
    np.save(tmp_path / "c.npy", counts)
    assert read_measurement(tmp_path / "c.npy", Stated(kind="image")).saturated == 0


def test_a_measured_series_of_tia():
    read = read_measurement(DATA / "srtio3-haadf_1.ser", Stated(energy_keV=80.0))
    assert read.kind == "image" and read.data.shape == (384, 384) and read.data.dtype == np.uint16
    assert read.pixel == pytest.approx((0.10013, 0.10013), rel=1e-4) and read.saturated == 0


def test_our_own_exports_come_back(rng: np.random.Generator, tmp_path: Path):
    picture = rng.random((6, 4))
    record = {"microscope": {"energy": 2e5, "convergence": 21.0, "dose": 1e4}}
    scan = ImageScan((6, 4), (1.2, 1.2))
    write_images(ImageSet({"HAADF": picture}, scan, np.zeros((0, 0)), (1.0, 1.0), {}, record), tmp_path)
    for ending in ("hspy", "tif"):
        read = read_measurement(tmp_path / f"HAADF.{ending}")
        assert np.allclose(read.data, picture.T) and read.pixel == pytest.approx((0.3, 0.2), rel=1e-5)
    read = read_measurement(tmp_path / "HAADF.hspy")
    assert (read.energy_keV, read.convergence_mrad, read.dose_e_per_A2) == (200.0, 21.0, 1e4)


def written(data: np.ndarray, axes: list[tuple[str, str, float, bool]], path: Path) -> Path:
    """A HyperSpy file whose axes have these names, units and scales, and number positions or not."""
    content = signal(data, 1.0) | {
        "axes": [
            {
                "_type": "UniformDataAxis",
                "name": name,
                "units": unit,
                "scale": scale,
                "offset": 0.0,
                "size": size,
                "navigate": navigate,
                "index_in_array": place,
            }
            for place, (size, (name, unit, scale, navigate)) in enumerate(zip(data.shape, axes, strict=True))
        ]
    }
    importlib.import_module("rsciio.hspy").file_writer(str(path), content, show_progressbar=False)
    return path


def test_patterns_before_positions_are_turned_around(rng: np.random.Generator, tmp_path: Path):
    """A transposed signal of HyperSpy has its scan on the last axes; units say so."""
    data = rng.random((3, 4, 5, 6))
    k, r = [("ky", "mrad", 2.0, True), ("kx", "mrad", 1.0, True)], [("y", "nm", 0.1, False), ("x", "nm", 0.2, False)]
    read = read_measurement(written(data, k + r, tmp_path / "turned.hspy"))
    assert read.kind == "4D" and np.array_equal(read.data, data.transpose(2, 3, 0, 1))
    assert [axis.scale for axis in read.axes] == [1.0, 2.0, 2.0, 1.0] and read.remarks
    with pytest.raises(InputError, match="expected patterns"):
        read_measurement(written(data, r + r, tmp_path / "places.hspy"))


def test_half_an_image_is_refused(image: np.ndarray, tmp_path: Path):
    path = written(image, [("y", "nm", 0.1, False), ("x", "1/nm", 0.1, False)], tmp_path / "half.hspy")
    with pytest.raises(InputError, match="half an image"):
        read_measurement(path, Stated(energy_keV=200.0))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["pixel_A", "px_per_mrad", "convergence_mrad", "dwell_us"])
def test_a_stated_number_is_positive(key: str, value: float, image: np.ndarray, tmp_path: Path):
    np.save(tmp_path / "a.npy", image)
    with pytest.raises(InputError, match="expected a positive number"):
        read_measurement(tmp_path / "a.npy", Stated(**{key: value}))


def test_both_axes_are_printed(image: np.ndarray, tmp_path: Path):
    """Pixels that are not square, of an image and of a stack; a scale that is no number is missing."""
    y, x = ("y", "nm", 0.2, False), ("x", "nm", 0.1, False)
    assert "1 Å along rows, 2 Å down" in described(read_measurement(written(image, [y, x], tmp_path / "image.hspy")))
    stack = written(np.stack([image] * 5), [("n", "", 1.0, True), y, x], tmp_path / "stack.hspy")
    assert "1 Å along rows, 2 Å down" in described(read_measurement(stack))
    lacking = read_measurement(written(image, [("y", "nm", np.nan, False), x], tmp_path / "nan.hspy"))
    assert lacking.pixel is None and "--pixel-A" in missing(lacking)


@pytest.mark.parametrize("unit", ["$A^{-1}$", "k_A^-1", "$\\AA^{-1}$", "1/Å"])
def test_reciprocal_units_as_pyxem_writes_them(unit: str):
    assert dimension(unit) == ("reciprocal", 1.0)


def test_what_the_readers_code_does_wrong_is_no_remark(image: np.ndarray, tmp_path: Path):
    write_mrc(tmp_path / "a.mrc", image, 0.5)
    assert not [r for r in read_measurement(tmp_path / "a.mrc", Stated(kind="image")).remarks if "unclosed" in r]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_tiff_and_jpeg_as_pillow_turns_them(orientation: int, image: np.ndarray, tmp_path: Path):
    """The mirrored and turned pictures of phones and cameras: hand and rotation of a lattice depend on it."""
    grey = (image >> 4).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", grey, extratags=[(274, "H", 1, orientation, True)])
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(grey).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    for name in ("a.tif", "a.png"):
        read = read_measurement(tmp_path / name, Stated(kind="image"))
        assert np.array_equal(read.data, upright)
        assert any("upright" in remark for remark in read.remarks) == (orientation != 1)


def test_a_tiff_whose_zero_is_white(image: np.ndarray, tmp_path: Path):
    grey = (image >> 4).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
    read = read_measurement(tmp_path / "a.tif", Stated(kind="image"))
    with Image.open(tmp_path / "a.tif") as picture:
        assert np.array_equal(read.data, np.asarray(picture)) and np.array_equal(read.data, 255 - grey)


def test_ome_units_of_each_axis(image: np.ndarray, tmp_path: Path):
    said = {"PhysicalSizeX": 0.03, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 20.0, "PhysicalSizeYUnit": "pm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", image, metadata=said)
    assert read_measurement(tmp_path / "a.ome.tif").pixel == pytest.approx((0.2, 0.3))


def test_what_a_reader_prints_is_a_remark(tmp_path, capfd, rng):
    """RosettaSciIO's own handler wrote to the console beside the one line of a refusal."""
    write_mib(tmp_path / "alone.mib", rng.poisson(2.0, (6, 8, 8)).astype("u2"))
    logger = logging.getLogger("rsciio")
    logger.addHandler(printing := logging.StreamHandler(sys.stderr))
    try:
        with pytest.raises(InputError, match="say --scan"):
            read_measurement(tmp_path / "alone.mib")
        assert printing in logger.handlers
    finally:
        logger.removeHandler(printing)
    assert capfd.readouterr().err == ""
