"""Odd but legal files: spellings of units, signs, orders of axes, gains, packings; what they mean, or one line."""

import importlib
import time
from datetime import UTC, datetime
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from PIL import Image

from rhotem.analysis.run import structure
from rhotem.core import InputError
from rhotem.core.dimensions import dimension, nameless
from rhotem.core.units import wavelength
from rhotem.experiment.calibrate.lattice import find_lattice
from rhotem.experiment.calibrate.projection import project
from rhotem.experiment.measurement import Source
from rhotem.experiment.read import Stated, missing, read_measurement
from rhotem.experiment.read.assemble import assembled
from rhotem.experiment.read.signal import FileAxis, Signal
from rhotem.experiment.report import lattice_lines
from rhotem.experiment.twin.measured import when

from .files import write_berkeley, write_dm3, write_empad, write_mib, write_mrc, write_ser, write_velox
from .scans import Scan, scanned
from .test_read import signal, written

IMAGE = Stated(kind="image")
STACK = Stated(kind="image stack")
PER_MRAD = 1e3 * wavelength(200e3)


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    """Twelve rows, ten columns: an upside-down or transposed one is another."""
    return rng.integers(100, 4000, (12, 10)).astype(np.uint16)


@pytest.mark.parametrize(
    ("unit", "meant"),
    [
        ("nanometre", ("length", 10.0)),
        ("Nanometers", ("length", 10.0)),
        ("picometer", ("length", 0.01)),
        ("micrometres", ("length", 1e4)),
        ("[n_m]", ("length", 10.0)),
        ("nm\0", ("length", 10.0)),
        ("nm/pixel", ("length", 10.0)),
        ("inch", ("length", 2.54e8)),
        ("$\\mu$m", ("length", 1e4)),
        ("A\u030a", ("length", 1.0)),
        ("\u00b5m", ("length", 1e4)),
        ("\u03bcm", ("length", 1e4)),
        ("[1/n_m]", ("reciprocal", 0.1)),
        ("1/(nm)", ("reciprocal", 0.1)),
        ("nm\u22121", ("reciprocal", 0.1)),
        ("nm⁻¹", ("reciprocal", 0.1)),
        ("inverse nm", ("reciprocal", 0.1)),
        ("radians", ("angle", 1e3)),
        ("mradian", ("angle", 1.0)),
        ("microrad", ("angle", 1e-3)),
        ("degrees", ("angle", 1e3 * np.pi / 180)),
    ],
)
def test_spellings_of_units(unit: str, meant: tuple[str, float]):
    known = dimension(unit)
    assert known is not None and known[0] == meant[0] and known[1] == pytest.approx(meant[1], rel=1e-12)


def test_pixels_are_no_unit_and_seconds_no_length():
    assert all(nameless(unit) for unit in ("", "px", "pixels", "<undefined>")) and not nameless("furlong")
    assert not any(map(dimension, ("px", "s", "eV", "furlong", "1/mrad")))


def test_a_unit_that_is_not_known_is_said(image: np.ndarray, tmp_path: Path):
    """Its scale was dropped without a word, and what was stated beside it never compared."""
    path = written(image, [(name, "furlong", 0.1, False) for name in "yx"], tmp_path / "a.hspy")
    with pytest.raises(InputError, match=r"its unit 'furlong' is not known.*--kind image"):
        read_measurement(path)
    read = read_measurement(path, Stated(kind="image", pixel_A=0.2))
    assert read.pixel == (0.2, 0.2) and any("'furlong'" in remark for remark in read.remarks)


def test_spectra_are_no_image_stack(image: np.ndarray, tmp_path: Path):
    axes = [("y", "nm", 1.0, True), ("x", "nm", 1.0, True), ("Energy loss", "eV", 0.5, False)]
    path = written(np.stack([image] * 3), axes, tmp_path / "si.hspy")
    with pytest.raises(InputError, match="spectra"):
        read_measurement(path, Stated(kind="image stack"))


@pytest.mark.parametrize(("written_keV", "stated_keV"), [(200e3, 200.0), (0.3, 300.0)])
def test_volts_for_kilovolts(written_keV: float, stated_keV: float, image: np.ndarray, tmp_path: Path):
    """An energy that no microscope has is none: nobody could read such a file, whatever he stated."""
    content = signal(image, 0.01)
    content["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"] = written_keV
    path = tmp_path / "a.hspy"
    importlib.import_module("rsciio.hspy").file_writer(str(path), content)
    read = read_measurement(path)
    assert read.energy_keV is None and "--energy-keV" in missing(read) and "V and kV" in " ".join(read.remarks)
    assert read_measurement(path, Stated(energy_keV=stated_keV)).energy_keV == stated_keV


def test_a_camera_that_counts_a_fraction_of_electrons(image: np.ndarray, tmp_path: Path):
    """DigitalMicrograph's unit e- with a gain: stored numbers are not electrons, what they are worth is."""
    write_dm3(tmp_path / "a.dm3", image, 0.01, 3e5, 16.0, brightness=("e-", 0.02, 50.0))
    read = read_measurement(tmp_path / "a.dm3")
    assert read.counts and np.allclose(read.data, (image - 50.0) * 0.02, rtol=1e-6)
    assert any("made electrons" in remark for remark in read.remarks)
    write_dm3(tmp_path / "b.dm3", image, 0.01, 3e5, 16.0, brightness=("e-", 1.0, 0.0))
    read = read_measurement(tmp_path / "b.dm3")
    assert read.counts and read.data.dtype == np.uint16 and np.array_equal(read.data, image)
    # once HyperSpy has written it on, nobody knows whether the gain was applied
    content = signal(image, 0.01)
    content["metadata"]["Signal"] |= {
        "quantity": "Electrons (Counts)",
        "Noise_properties": {"Variance_linear_model": {"gain_factor": 0.02, "gain_offset": 0.0}},
    }
    importlib.import_module("rsciio.hspy").file_writer(str(tmp_path / "c.hspy"), content)
    read = read_measurement(tmp_path / "c.hspy")
    assert read.counts is None and np.array_equal(read.data, image) and "gain" in " ".join(read.remarks)


def test_the_exposure_of_a_camera_and_the_current_make_no_dose(image: np.ndarray, tmp_path: Path):
    """The current of a scan falls into one pixel for its dwell time; that of a picture into all of it, and beside."""
    write_dm3(tmp_path / "scan.dm3", image, 0.01, 3e5, 16.0)
    electrons = 50e-12 * 16e-6 / 1.602176634e-19
    assert read_measurement(tmp_path / "scan.dm3").dose_e_per_A2 == pytest.approx(electrons / 0.01, rel=1e-6)
    write_dm3(tmp_path / "camera.dm3", image, 0.01, 3e5, 0.0, exposure_s=0.5)
    write_velox(tmp_path / "camera.emd", {"BM-Ceta": image}, 2e-11, camera=True)
    for name in ("camera.dm3", "camera.emd"):
        read = read_measurement(tmp_path / name)
        assert read.dwell_us == pytest.approx(5e5) and read.dose_e_per_A2 is None and "--dose" in missing(read)
        assert any("how wide the beam was" in remark for remark in read.remarks)


@pytest.mark.parametrize("first", ["y", "x"])
def test_berkeley_emd_has_rows_before_columns(first: str, image: np.ndarray, tmp_path: Path):
    """ncempy writes y first, HyperSpy x; RosettaSciIO turns both around, so that ncempy's came out transposed."""
    dims = [("y", "[n_m]", 0.02), ("x", "[n_m]", 0.03)]
    stored, dims = (image, dims) if first == "y" else (image.T, dims[::-1])
    write_berkeley(tmp_path / "a.emd", stored, dims)
    read = read_measurement(tmp_path / "a.emd")
    assert np.array_equal(read.data, image) and read.pixel == pytest.approx((0.2, 0.3))


def test_berkeley_emd_of_stacks_and_4d_data(rng: np.random.Generator, image: np.ndarray, tmp_path: Path):
    stack = np.stack([image, image[::-1], image + 1])
    y, x = ("y", "[n_m]", 0.02), ("x", "[n_m]", 0.03)
    write_berkeley(tmp_path / "a.emd", stack, [("frame", "", 1.0), y, x])
    read = read_measurement(tmp_path / "a.emd")
    assert read.kind == "image stack" and np.array_equal(read.data, stack) and read.pixel == pytest.approx((0.2, 0.3))
    data = rng.integers(0, 9, (3, 4, 5, 6))
    write_berkeley(tmp_path / "b.emd", data, [y, x, ("ky", "[1/n_m]", 0.1), ("kx", "[1/n_m]", 0.2)])
    read = read_measurement(tmp_path / "b.emd", Stated(energy_keV=200.0))
    assert read.kind == "4D" and np.array_equal(read.data, data)
    assert [axis.scale for axis in read.axes] == pytest.approx([0.2, 0.3, 0.01 * PER_MRAD, 0.02 * PER_MRAD])


def test_axes_without_names_are_doubted(image: np.ndarray, tmp_path: Path):
    write_berkeley(tmp_path / "a.emd", image, [("a", "[n_m]", 0.02), ("b", "[n_m]", 0.03)])
    assert any("HyperSpy's order" in remark for remark in read_measurement(tmp_path / "a.emd").remarks)


def test_hdf5_is_known_by_what_it_holds(image: np.ndarray, tmp_path: Path):
    importlib.import_module("rsciio.hspy").file_writer(str(tmp_path / "a.hspy"), signal(image, 0.01))
    write_berkeley(tmp_path / "b.emd", image, [("y", "[n_m]", 0.01), ("x", "[n_m]", 0.01)])
    for name, ending in (("a.hspy", "hdf5"), ("b.emd", "h5")):
        other = (tmp_path / name).with_suffix(f".{ending}")
        other.write_bytes((tmp_path / name).read_bytes())
        assert np.array_equal(read_measurement(other).data, image)


def test_bytes_of_mrc_have_the_sign_that_the_file_says(image: np.ndarray, tmp_path: Path):
    """mrcfile writes the signed bytes of MRC2014; they came back as 0 to 255, a picture with its blacks white."""
    small = ((image >> 4).astype(int) - 128).astype(np.int8)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(small)
    read = read_measurement(tmp_path / "a.mrc", IMAGE)
    assert read.data.dtype == np.int8 and np.array_equal(read.data, small)
    raw = bytearray((tmp_path / "a.mrc").read_bytes())
    raw[152:160] = np.array([1146047817, 0], "<u4").tobytes()  # IMOD: no sign
    (tmp_path / "imod.mrc").write_bytes(bytes(raw))
    assert np.array_equal(read_measurement(tmp_path / "imod.mrc", IMAGE).data, small.view(np.uint8))
    raw[152:160], raw[108:112] = bytes(8), bytes(4)  # older than MRC2014
    (tmp_path / "old.mrc").write_bytes(bytes(raw))
    read = read_measurement(tmp_path / "old.mrc", IMAGE)
    assert read.data.dtype == np.uint8 and "before MRC2014" in " ".join(read.remarks)


def test_mrc_of_other_axes_and_byte_orders(image: np.ndarray, tmp_path: Path):
    write_mrc(tmp_path / "a.mrc", image, 0.5)
    raw = bytearray((tmp_path / "a.mrc").read_bytes())
    raw[64:76] = np.array([2, 1, 3], "<u4").tobytes()
    (tmp_path / "turned.mrc").write_bytes(bytes(raw))
    with pytest.raises(InputError, match="axes \\[2, 1, 3\\]"):
        read_measurement(tmp_path / "turned.mrc")
    big = np.frombuffer((tmp_path / "a.mrc").read_bytes(), "<u4").byteswap().tobytes()
    (tmp_path / "big.mrc").write_bytes(big[:208] + b"MAP " + big[212:])
    with pytest.raises(InputError, match="high byte first"):
        read_measurement(tmp_path / "big.mrc")
    raw = bytearray((tmp_path / "a.mrc").read_bytes())
    raw[208:216] = bytes(8)  # from before the word MAP
    (tmp_path / "old.mrc").write_bytes(bytes(raw))
    assert np.array_equal(read_measurement(tmp_path / "old.mrc").data, image)


@pytest.mark.parametrize("metres", [1.0, 1e-3, -3.0])
def test_a_series_of_tia_without_a_scale(metres: float, image: np.ndarray, tmp_path: Path):
    """1.0 of an uncalibrated camera was a diffraction pattern of 1 /m."""
    write_ser(tmp_path / "a_1.ser", image, metres)
    with pytest.raises(InputError, match="--kind image"):
        read_measurement(tmp_path / "a_1.ser")
    assert read_measurement(tmp_path / "a_1.ser", IMAGE).pixel is None


def test_series_that_emi_does_not_find(image: np.ndarray, tmp_path: Path):
    write_ser(tmp_path / "a_12.ser", image, 1e-11)
    write_ser(tmp_path / "b[2]_1.ser", image, 1e-11)
    for name, line in (("a.emi", "a_12.ser is not found"), ("b[2].emi", "brackets"), ("c.emi", "put c_1.ser beside")):
        (tmp_path / name).write_bytes(b"JJ" + bytes(30))
        with pytest.raises(InputError, match=line):
            read_measurement(tmp_path / name)


def imagej(path: Path, image: np.ndarray, said: str, encoding: str = "utf-8", down: float = 0.03) -> Path:
    description = f"ImageJ=1.53t\n{said}\n".encode(encoding)
    tifffile.imwrite(path, image, description=description, resolution=(1 / 0.02, 1 / down), metadata=None)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize(("unit", "size"), [("\u00b5m", 1e4), ("\u00c5", 1.0), ("\\u00B5m", 1e4), ("nm", 10.0)])
def test_letters_of_imagej(unit: str, size: float, encoding: str, image: np.ndarray, tmp_path: Path):
    path = imagej(tmp_path / "a.tif", image, f"unit={unit}", encoding)
    assert read_measurement(path).pixel == pytest.approx((0.03 * size, 0.02 * size), rel=1e-5)


def test_another_unit_down_and_a_sign_in_imagej(image: np.ndarray, tmp_path: Path):
    path = imagej(tmp_path / "a.tif", image, "unit=nm\nyunit=pm", down=30.0)
    assert read_measurement(path).pixel == pytest.approx((0.3, 0.2), rel=1e-5)
    shifted = imagej(tmp_path / "b.tif", image, "unit=nm\ncf=0\nc0=-32768.0\nc1=1.0\nvunit=gray value")
    read = read_measurement(shifted)
    assert read.data.dtype == np.int16 and np.array_equal(read.data, image.astype(int) - 32768)


def test_colours_in_planes_and_inks_are_no_greys(image: np.ndarray, tmp_path: Path):
    """Planes of an RGB picture were three frames of a stack, and inks (0: white) a negative."""
    grey = (image >> 4).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([grey, grey + 1, grey]), photometric="rgb", planarconfig="separate")
    for stated in (IMAGE, Stated(kind="image stack")):
        with pytest.raises(InputError, match="colour"):
            read_measurement(path, stated)
    tifffile.imwrite(path, np.stack([grey] * 3), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_measurement(path, IMAGE).data, grey)
    inks = np.stack([255 - grey] * 3 + [0 * grey], axis=-1)
    tifffile.imwrite(path, inks, photometric="separated")
    Image.fromarray(inks, "CMYK").save(tmp_path / "a.jpg", quality=95)
    for name in ("a.tif", "a.jpg"):
        with pytest.raises(InputError, match=r"SEPARATED|inks"):
            read_measurement(tmp_path / name, IMAGE)


def test_packed_tiffs(image: np.ndarray, tmp_path: Path):
    """LZW is what many programs save; tifffile needs imagecodecs for it, Pillow does not."""
    for name, values in (("a.tif", image), ("b.tif", (image >> 4).astype(np.uint8))):
        Image.fromarray(values).save(tmp_path / name, compression="tiff_lzw")
        assert np.array_equal(read_measurement(tmp_path / name, IMAGE).data, values)
    frames = [Image.fromarray(image + n) for n in range(3)]
    frames[0].save(tmp_path / "c.tif", compression="tiff_lzw", save_all=True, append_images=frames[1:])
    read = read_measurement(tmp_path / "c.tif", Stated(kind="image stack"))
    assert np.array_equal(read.data, [image, image + 1, image + 2])


def test_a_resolution_that_no_printer_has_is_told(image: np.ndarray, tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", image, resolution=(5e8, 5e8), resolutionunit=3)  # per cm
    read = read_measurement(tmp_path / "a.tif", IMAGE)
    assert read.pixel is None and any("a pixel of 0.2 Å" in remark for remark in read.remarks)


def test_a_picture_of_several_frames_says_which(image: np.ndarray, tmp_path: Path):
    frames = [Image.fromarray((image >> 4).astype(np.uint8)), Image.fromarray((image >> 5).astype(np.uint8))]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "the first of 2 pictures" in read_measurement(tmp_path / "a.png", IMAGE).remarks


def test_an_array_larger_than_its_file_is_truncated(tmp_path: Path):
    """Before: out of memory, with advice on grids."""
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + "\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + head.encode())
    with pytest.raises(InputError, match="truncated, 128 of"):
        read_measurement(tmp_path / "a.npy", IMAGE)


@pytest.mark.parametrize("frames", [1, 3])
def test_the_extended_header_of_fei(frames: int, image: np.ndarray, tmp_path: Path):
    """1024 blocks of 32 numbers, one a frame: pixel in metres, exposure in seconds; 1024 exposures were a traceback."""
    write_mrc(tmp_path / "a.mrc", image, 0.0)
    raw = bytearray((tmp_path / "a.mrc").read_bytes())
    raw[8:12], raw[92:96] = np.uint32(frames).tobytes(), np.uint32(131072).tobytes()
    extended = np.zeros((1024, 32), "<f4")
    extended[:frames, 8], extended[:frames, 11] = 0.5, 2.1e-11
    pictures = [image.astype("<f4") + n for n in range(frames)]
    (tmp_path / "fei.mrc").write_bytes(bytes(raw[:1024]) + extended.tobytes() + b"".join(p.tobytes() for p in pictures))
    read = read_measurement(tmp_path / "fei.mrc")
    assert read.kind == ("image" if frames == 1 else "image stack")
    assert read.pixel == pytest.approx((0.21, 0.21)) and read.dwell_us == pytest.approx(5e5)
    assert np.array_equal(read.data.reshape(-1, *image.shape), pictures)


@pytest.mark.parametrize("scan", [False, True])
def test_a_movie_of_direct_electron(scan: bool, rng: np.random.Generator, tmp_path: Path):
    """RosettaSciIO makes the pixel of its info file 1 nm in scans, and calls numbers of the converter electrons."""
    said = {
        "ADUs Per Electron Bin1x": "27.5",
        "Specimen Pixel Size X (nanometers)": "0.021",
        "Specimen Pixel Size Y (nanometers)": "0.022",
        "Instrument Project TEMorSTEM Mode": str(int(scan)),
        "Frames Per Second": "100",
    }
    if scan:
        said |= {"Scan - Enable": "Enable", "Scan - Size X": "3", "Scan - Size Y": "2"}
        said |= {"Image Size X (pixels)": "10", "Image Size Y (pixels)": "12", "Diffraction Pixel Size X": "0.2"}
    (tmp_path / "20250101_1_info.txt").write_text("".join(f"{name} = {value}\n" for name, value in said.items()))
    frames = rng.poisson(50.0, (6, 12, 10)).astype(np.int16)
    with mrcfile.new(tmp_path / "20250101_1_movie.mrc") as file:
        file.set_data(frames)
    read = read_measurement(tmp_path / "20250101_1_movie.mrc", Stated(energy_keV=200))
    assert read.counts is None and "27.5 numbers for one electron" in " ".join(read.remarks)
    assert np.array_equal(read.data.reshape(frames.shape), frames)
    if scan:
        assert read.kind == "4D" and read.pixel is None  # the file gives no unit of angles
        assert [axis.scale for axis in read.axes[:2]] == pytest.approx([0.22, 0.21])
    else:
        assert read.kind == "image stack" and read.pixel == pytest.approx((0.22, 0.21))


def test_merlin_of_earlier_years_and_a_damaged_hdr(rng: np.random.Generator, tmp_path: Path):
    """Headers without MQ1A end in the converter's settings, which were taken for exposure and date, or a traceback."""
    frames = rng.poisson(5.0, (6, 8, 9)).astype(np.uint16)
    write_mib(tmp_path / "new.mib", frames)
    raw = (tmp_path / "new.mib").read_bytes()
    size = 384 + 8 * 9 * 2
    head = "MQ1,000001,00384,01,0009,0008,U16,   1x1,01,2018-01-01 10:00:00.25,0.002000,0,0,0,1.2E+2,3RX,175,511,"
    old = b"".join(head.encode().ljust(384) + raw[n + 384 : n + size] for n in range(0, len(raw), size))
    (tmp_path / "old.MIB").write_bytes(old)
    read = read_measurement(tmp_path / "old.MIB", Stated(scan=(2, 3)))
    assert np.array_equal(read.data, frames.reshape(2, 3, 8, 9)) and read.data.dtype.isnative
    assert read.dwell_us == pytest.approx(2000.0)
    assert when(read) == datetime(2018, 1, 1, 10, 0, 0, 250000).astimezone()
    (tmp_path / "new.hdr").write_text("HDR,\nno tab here\nFrames per Trigger (Number):\t3\n")
    assert read_measurement(tmp_path / "new.mib").data.shape == (2, 3, 8, 9)


def test_universal_time_of_merlin_is_none_of_this_place(rng: np.random.Generator, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        write_mib(tmp_path / "a.mib", rng.poisson(5.0, (1, 8, 9)).astype(np.uint16))
        assert when(read_measurement(tmp_path / "a.mib")) == datetime(2024, 1, 1, 10, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("fields", "step"), [((6e-10, 4e-10), 2.0), ((4e-10, 6e-10), 2.0), ((6e-10, 6e-10), None)])
def test_oblong_scans_of_empad(fields: tuple[float, float], step: float | None, rng, tmp_path: Path):
    """Steps of a scan are square; one field of view was divided by rows and by columns."""
    write_empad(tmp_path / "a.raw", rng.poisson(5.0, (6, 128, 128)))
    (tmp_path / "a.xml").write_text(
        "<root><raw_file filename='a.raw'/><pix_x>3</pix_x><pix_y>2</pix_y><iom_measurements><optics>"
        f"<get_full_scan_field_of_view>{fields}</get_full_scan_field_of_view></optics></iom_measurements></root>"
    )
    read = read_measurement(tmp_path / "a.xml")
    assert [axis.scale for axis in read.axes[:2]] == (pytest.approx([step, step]) if step else [None, None])
    assert bool(step) or "not taken" in " ".join(read.remarks)


def test_frames_that_were_averaged_add_their_dose(image: np.ndarray, tmp_path: Path):
    said = "[Beam]\r\nHV=300000\r\n[Scan]\r\nPixelWidth=2e-11\r\nPixelHeight=2e-11\r\nDwelltime=1e-06\r\n"
    said += "[EBeam]\r\nBeamCurrent=5e-11\r\n[Image]\r\nAverage={}\r\n"
    doses = []
    for frames in (1, 16):
        path = tmp_path / f"{frames}.tif"
        tifffile.imwrite(path, image, extratags=[(34682, "s", 0, said.format(frames), True)])
        doses.append(read_measurement(path).dose_e_per_A2)
    assert doses == pytest.approx([5e-11 * 1e-6 / 1.602176634e-19 / 0.04 * n for n in (1, 16)])


def test_patterns_of_two_or_three_columns_are_no_colours(rng: np.random.Generator, tmp_path: Path):
    """4D data with patterns first have a scan last: 3 columns were colours, 2 a transparency."""
    data = rng.poisson(9.0, (8, 9, 2, 3))
    axes = (*[FileAxis(unit="1/nm", scale=0.1)] * 2, *[FileAxis(unit="nm", scale=0.05)] * 2)
    read = assembled([Signal(data, axes)], Stated(energy_keV=200), Source("a", ""), "")
    assert read.kind == "4D" and np.array_equal(read.data, data.transpose(2, 3, 0, 1))


def test_other_orders_of_bytes_and_half_precision(image: np.ndarray, tmp_path: Path):
    for kind in (">f4", ">u2", "<f2"):
        np.save(tmp_path / "a.npy", image.astype(kind))
        read = read_measurement(tmp_path / "a.npy", IMAGE)
        assert read.data.dtype.isnative and read.data.dtype != np.float16
        assert np.array_equal(read.data, image.astype(kind).astype(float))


def test_a_spectrum_image_whose_energies_come_first(rng: np.random.Generator):
    axes = (FileAxis(unit="eV", scale=0.1), *[FileAxis(unit="nm", scale=0.05)] * 2)
    with pytest.raises(InputError, match="spectra"):
        assembled([Signal(rng.poisson(9.0, (20, 8, 9)), axes)], Stated(), Source("a", ""), "")


def test_what_to_do_with_archives_scans_and_greys(image: np.ndarray, tmp_path: Path):
    np.savez(tmp_path / "a.npz", image=image)
    with pytest.raises(InputError, match="save the one that was recorded as \\.npy"):
        read_measurement(tmp_path / "a.npz")
    (tmp_path / "a.xyz1").write_bytes(b"what")
    with pytest.raises(InputError) as told:
        read_measurement(tmp_path / "a.xyz1")
    assert str(told.value).count(".mrcs") == 1
    np.save(tmp_path / "a.npy", np.zeros((6, 8, 9)) + np.arange(9))
    with pytest.raises(InputError, match="--scan -2,-3"):
        read_measurement(tmp_path / "a.npy", Stated(scan=(-2, -3)))
    Image.fromarray(image.astype(np.uint8)).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="no electrons"):  # what a file says is not contradicted
        read_measurement(tmp_path / "a.jpg", Stated(kind="image", counts=True))
    tifffile.imwrite(tmp_path / "two.tif", np.stack([image, image + 1]), imagej=True, metadata={"axes": "CYX"})
    assert "2 channels are taken for frames" in " ".join(read_measurement(tmp_path / "two.tif", STACK).remarks)
    tifffile.imwrite(tmp_path / "three.tif", np.stack([image, image + 1, image]), photometric="rgb", planarconfig=2)
    with pytest.raises(InputError, match="minisblack"):
        read_measurement(tmp_path / "three.tif", STACK)


def test_electrons_with_fractions_are_told_of(image: np.ndarray, tmp_path: Path):
    """The mean pattern of counted ones is no counted pattern; whole numbers in a float file are."""
    said = Stated(kind="pattern", counts=True)
    for data, told in ((image.astype(float), False), (image / 7.0, True)):
        np.save(tmp_path / "a.npy", data)
        read = read_measurement(tmp_path / "a.npy", said)
        assert read.counts and told == ("fractions" in " ".join(read.remarks))
    read = read_measurement(tmp_path / "a.npy", Stated(kind="pattern"))
    assert "fractions" not in " ".join(read.remarks)


@pytest.mark.parametrize("exposure_s", [0.0, 0.5])
def test_a_camera_has_no_drift_from_row_to_row(exposure_s: float, rng: np.random.Generator, tmp_path: Path):
    """The exposure was taken for the time of a pixel: rows of a minute."""
    crystal = structure("SrTiO3")
    shown = scanned(project(crystal, (0, 0, 1)), Scan(0.3, 7.0), (128, 128), rng)
    write_dm3(tmp_path / "a.dm3", 1000 * shown + 10, 0.03, 200e3, 10.0, exposure_s=exposure_s)
    read = read_measurement(tmp_path / "a.dm3")
    assert read.dwell_us == pytest.approx(1e6 * exposure_s or 10.0)
    said = lattice_lines(read, find_lattice(read, crystal, (0, 0, 1)))
    assert ("Å/s" in said) == (not exposure_s)
