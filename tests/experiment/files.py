"""Files of instruments, byte by byte from the descriptions of their formats."""

import json
import struct
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt


def write_ser(path: Path, image: npt.NDArray, metres: float) -> None:
    """A TIA series of one image, as Boothroyd describes it (http://www.er-c.org/cbb/info/TIAformat): row 0 below."""
    rows, columns = image.shape
    label = b"Number"
    head = struct.pack("<HHHIIII", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1)
    dimension = struct.pack("<IddII", 1, 0.0, 1.0, 0, len(label)) + label + struct.pack("<I", 0)
    offsets = 22 + 4 + 4 + len(dimension)
    data_at = offsets + 8
    element = struct.pack("<ddIddIHII", 0.0, metres, 0, 0.0, metres, 0, 2, columns, rows)
    pixels = image[::-1].astype("<u2").tobytes()
    tag = struct.pack("<HHI", 0x4152, 0, 1318987126)
    body = element + pixels
    path.write_bytes(
        head
        + struct.pack("<II", offsets, 1)
        + dimension
        + struct.pack("<II", data_at, data_at + len(body))
        + body
        + tag
    )


def _dm_tag(name: str, kind: int, body: bytes) -> bytes:
    return struct.pack(">BH", kind, len(name)) + name.encode() + body


def _dm_group(entries: list[bytes]) -> bytes:
    return struct.pack(">BBI", 1, 0, len(entries)) + b"".join(entries)


def _dm_value(name: str, code: int, packed: bytes) -> bytes:
    return _dm_tag(name, 21, b"%%%%" + struct.pack(">II", 1, code) + packed)


def _dm_text(name: str, text: str) -> bytes:
    units = text.encode("utf-16-le")
    return _dm_tag(name, 21, b"%%%%" + struct.pack(">IIII", 3, 20, 4, len(units) // 2) + units)


def _dm_named(name: str, entries: list[bytes]) -> bytes:
    return _dm_tag(name, 20, _dm_group(entries))


def write_dm3(
    path: Path,
    image: npt.NDArray,
    nm: float,
    volts: float,
    dwell_us: float,
    brightness: tuple[str, float, float] = ("", 1.0, 0.0),
    exposure_s: float = 0.0,
) -> None:
    """A DM3 file of one image with its calibration, voltage and dwell time (http://www.er-c.org/cbb/info/dmformat).

    Brightness is the unit of values, what one number is worth in it and the number of zero. With an exposure the
    picture is a camera's and has no dwell time.
    """
    rows, columns = image.shape
    pixels = image.astype("<u2").tobytes()
    data = _dm_tag("Data", 21, b"%%%%" + struct.pack(">IIII", 3, 20, 4, image.size) + pixels)

    def calibration(unit: str, scale: float, origin: float = 0.0) -> list[bytes]:
        return [
            _dm_value("Origin", 6, struct.pack("<f", origin)),
            _dm_value("Scale", 6, struct.pack("<f", scale)),
            _dm_text("Units", unit),
        ]

    axis = _dm_tag("", 20, _dm_group(calibration("nm", nm)))
    image_data = [
        _dm_named(
            "Calibrations",
            [_dm_named("Brightness", calibration(*brightness)), _dm_named("Dimension", [axis, axis])],
        ),
        data,
        _dm_value("DataType", 5, struct.pack("<I", 10)),
        _dm_named(
            "Dimensions",
            [_dm_value("", 5, struct.pack("<I", columns)), _dm_value("", 5, struct.pack("<I", rows))],
        ),
        _dm_value("PixelDepth", 5, struct.pack("<I", 2)),
    ]
    scanned = _dm_named("DigiScan", [_dm_value("Sample Time", 7, struct.pack("<d", dwell_us))])
    exposed = _dm_named("Detector", [_dm_value("exposure (s)", 7, struct.pack("<d", exposure_s))])
    tags = [
        _dm_named("Acquisition", [_dm_named("Parameters", [exposed])]) if exposure_s else scanned,
        _dm_named(
            "Microscope Info",
            [
                _dm_text("Illumination Mode", "TEM" if exposure_s else "STEM"),
                _dm_value("Voltage", 6, struct.pack("<f", volts)),
                _dm_value("Probe Current (nA)", 7, struct.pack("<d", 0.05)),
            ],
        ),
    ]
    one = _dm_group([_dm_named("ImageData", image_data), _dm_named("ImageTags", tags), _dm_text("Name", "HAADF")])
    root = _dm_group([_dm_named("ImageList", [_dm_tag("", 20, one)])])
    path.write_bytes(struct.pack(">III", 3, len(root) + 8, 1) + root + b"\0" * 8)


def write_mib(path: Path, frames: npt.NDArray, per_line: int = 0) -> None:
    """Merlin frames (n, rows, columns) of 16 bit, rows from below; with the .hdr where lines are known."""
    _, rows, columns = frames.shape
    with open(path, "wb") as stream:
        for number, frame in enumerate(frames, 1):
            head = (
                f"MQ1,{number:06d},00384,01,{columns:04d},{rows:04d},U16,   1x1,01,"
                f"2024-01-01 10:00:00.000000,0.001000,0,0,0,0,0,0,0,0,MQ1A,2024-01-01T10:00:00.{number:09d}Z,"
                "1000000ns,12,"
            )
            stream.write(head.encode().ljust(384, b"\0") + frame[::-1].astype(">u2").tobytes())
    if per_line:
        path.with_suffix(".hdr").write_text(
            f"HDR,\nFrames in Acquisition (Number):\t{len(frames)}\nFrames per Trigger (Number):\t{per_line}\nEnd\t\n"
        )


def write_empad(path: Path, frames: npt.NDArray) -> None:
    """EMPAD frames (n, 128, 128), each with its two rows of something else."""
    padded = np.zeros((len(frames), 130, 128), "<f4")
    padded[:, :128] = frames
    padded.tofile(path)


def write_mrc(path: Path, image: npt.NDArray, angstrom: float) -> None:
    """MRC2014 of one 32-bit image; pixel 0: no scale."""
    rows, columns = image.shape
    head = np.zeros(256, "<u4")
    head[[0, 1, 2, 3]] = columns, rows, 1, 2
    head[[7, 8, 9]] = (columns, rows, 1) if angstrom else (0, 0, 0)
    floats = head.view("<f4")
    floats[[10, 11, 12]] = columns * angstrom, rows * angstrom, angstrom
    raw = bytearray(head.tobytes())
    raw[208:212] = b"MAP "
    raw[212:214] = b"DD"
    path.write_bytes(bytes(raw) + image.astype("<f4").tobytes())


def write_berkeley(path: Path, data: npt.NDArray, dims: list[tuple[str, str, float]]) -> None:
    """An EMD file of version 0.2 as ncempy writes it: the array as it is, dim1 of its first axis."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", data=data)
        for number, ((name, unit, scale), size) in enumerate(zip(dims, data.shape, strict=True), 1):
            dim = group.create_dataset(f"dim{number}", data=np.arange(size) * scale)
            dim.attrs["name"], dim.attrs["units"] = np.bytes_(name), np.bytes_(unit)


def write_velox(path: Path, images: dict[str, npt.NDArray], metres: float, camera: bool = False) -> None:
    """A Velox EMD file: images by detector, with optics and scan as version 10 writes them."""
    kind_of_detector = {"DetectorType": "ImagingDetector", "ExposureTime": "0.5"}
    if not camera:
        kind_of_detector = {"DetectorType": "ScanningDetector"}
    with h5py.File(path, "w") as file:
        kind = h5py.string_dtype()
        file.create_dataset("Version", data=[json.dumps({"format": "Velox", "version": "1.10"})], dtype=kind)
        inputs = {}
        for number, (name, image) in enumerate(images.items()):
            key = f"{number:032x}"
            metadata = {
                "Core": {},
                "Instrument": {},
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1700000000"}},
                "Optics": {
                    "AccelerationVoltage": "300000",
                    "CameraLength": "0.115",
                    "BeamConvergence": "0.0214",
                    "LastMeasuredScreenCurrent": "5e-11",
                },
                "Scan": {"DwellTime": "2e-06", "FrameTime": "1.0"},
                "Detectors": {"Detector-0": {"DetectorName": name, **kind_of_detector}},
                "BinaryResult": {
                    "DetectorIndex": "0",
                    "PixelSize": {"width": str(metres), "height": str(metres)},
                    "Offset": {"x": "0", "y": "0"},
                    "PixelUnitX": "m",
                    "PixelUnitY": "m",
                },
                "CustomProperties": {},
            }
            raw = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
            group = file.create_group(f"Data/Image/{key}")
            group.create_dataset("Data", data=image[:, :, None])
            group.create_dataset("Metadata", data=raw[:, None])
            inputs[f"{number}"] = {"dataPath": f"/Data/Image/{key}", "detector": name}
        operations = file.create_group("Operations/StemInputOperation")
        displays = file.create_group("Presentation/Displays/ImageDisplay")
        for number, operation in inputs.items():
            operations.create_dataset(number, data=[json.dumps(operation)], dtype=kind)
            shown = {"dataPath": operation["dataPath"], "display": {"label": operation["detector"]}}
            displays.create_dataset(number, data=[json.dumps(shown)], dtype=kind)
