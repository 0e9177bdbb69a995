"""Images to files: pictures with scale bars, HyperSpy-readable and TIFF files with calibration, Zarr, and a record."""

import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from rhotem.core import InputError
from rhotem.microscope.discs import indexed_discs
from rhotem.microscope.formats.hyperspy import write_hyperspy
from rhotem.microscope.formats.signal import Axis, Signal
from rhotem.microscope.formats.tiff import write_tiff
from rhotem.microscope.images import ImageSet
from rhotem.microscope.pictures import draw_images, draw_pacbed
from rhotem.microscope.settings import Detector, angles, image_names

if TYPE_CHECKING:
    from rhotem.structure.model import Structure

#: Version of the layout of the files written here.
FORMAT = 1
#: Folder of the images of the same optics, recorded without a flaw and without noise.
CLEAN = "clean"
#: Aberrations that a caption names.
MOST = 7
#: Pixel in Å to which noise-free images of a periodic scan are resampled (exactly) before they are written.
PIXEL = 0.1


def write_images(
    images: ImageSet,
    folder: str | Path,
    *,
    specimen: str = "",
    labels: Mapping[str, str] | None = None,
    source: str = "",
    phonons: int | None = None,
    motion: str = "",
    pixel: float | None = PIXEL,
) -> list[str]:
    """Write every image as PNG, calibrated HyperSpy file and TIFF, and all of them with the PACBED into one Zarr group.

    Of parallel illumination ``diffraction.png`` stands instead of the PACBED; ``spots.csv`` beside either lists spots,
    or discs of a nanobeam. Where an instrument spoils the images, the folder ``clean`` holds them as they were before,
    at the same positions.

    Parameters
    ----------
    images : ImageSet
    folder : path
        Made if needed. Every file appears whole or not at all.
    specimen : str
        Its formula; stands first in the titles.
    labels : mapping or None
        Crystal directions of ``x``, ``y`` and ``zone`` for the axes.
    source : str
        Where the density came from; stands in the titles.
    phonons : int or None
        Frozen-phonon configurations; 0 stamps "no TDS" on the pictures. None: taken from the record.
    motion : str
        Where the mean square displacements came from; stands in the titles of images with thermal motion.
    pixel : float or None
        Largest pixel in Å of the files; None leaves the scan as it is. Images with counting noise always stay.

    Returns
    -------
    list of str
        Names of the files.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    folder = _writable(Path(folder))
    fine = as_written(images, pixel)
    caption = _caption(images, labels, source, phonons) | {"specimen": specimen}
    caption["motion"] = "" if caption["no_tds"] else motion
    written = []
    spots = images.plane_wave.spots() if images.plane_wave else indexed_discs(images)
    if images.diffraction.size:  # a response gives none
        written.append("PACBED.png" if images.plane_wave is None else "diffraction.png")
        with _whole(folder / written[0]) as path:
            draw_pacbed(images, path, caption, spots)
    if spots or (images.plane_wave is not None and images.plane_wave.separated):
        written.append("spots.csv")
        with _whole(folder / "spots.csv") as path:
            _write_spots(path, spots)
    if fine.images:  # a pixelated detector alone makes none
        written.append("overview.png")
        with _whole(folder / "overview.png") as path:
            draw_images(images, path, caption)
    for name in fine.images:
        stem = re.sub(r"[^\w.-]", "_", name)
        with _whole(folder / f"{stem}.png") as path:
            draw_images(images, path, caption, [name])
        with _whole(folder / f"{stem}.hspy") as path:
            write_hyperspy(_image(fine, name, caption), path)
        with _whole(folder / f"{stem}.tif") as path:
            write_tiff(_image(fine, name, caption), path)
        written += [f"{stem}.png", f"{stem}.hspy", f"{stem}.tif"]
    for name in images.patterns:
        with _whole(folder / f"{name}.hspy") as path:
            write_hyperspy(_patterns(images, name, caption), path)
        written.append(f"{name}.hspy")
    with _whole(folder / "images.zarr") as path:
        _write_zarr(path, fine, images, caption)
    if images.clean:
        ideal = replace(images.without_flaws(), diffraction=np.zeros((0, 0)), plane_wave=None)
        said: dict[str, Any] = {"specimen": specimen, "labels": labels, "source": source, "motion": motion}
        inside = write_images(ideal, folder / CLEAN, **said, phonons=phonons, pixel=pixel)
        written += [f"{CLEAN}/{name}" for name in inside]
    return [*written, "images.zarr"]


def as_written(images: ImageSet, pixel: float | None = PIXEL) -> ImageSet:
    """The images with the pixels that files get; arguments as `write_images`."""
    noisy = images.record.get("microscope", {}).get("dose") is not None
    return images if noisy or pixel is None or not images.scan.periodic else images.resampled(pixel)


def write_atoms(structure: "Structure", path: str | Path) -> None:
    """Write the atoms of an imaging cell as CSV: element and x, y, z in Å in the frame of the pictures.

    Seen from the source: x to the right and y downwards from the corner of the scan, z along the beam from the
    entrance surface; each atom once, inside the cell.
    """
    target = Path(path)
    positions, lengths = structure.positions, np.linalg.norm(structure.cell, axis=1)
    inside = np.mod(np.round(positions, 6), lengths) + 0.0
    symbols = structure.atoms.get_chemical_symbols()
    rows = [f"{e},{x:.6f},{y:.6f},{z:.6f}" for e, (x, y, z) in zip(symbols, inside, strict=True)]
    with _whole(target) as partial:
        partial.write_text("\n".join(["element,x_angstrom,y_angstrom,z_angstrom", *rows]) + "\n")


def write_record(images: ImageSet, path: str | Path, **more: Any) -> None:
    """Write what the images were made from as JSON, joined with ``more``."""
    target = Path(path)
    _writable(target.parent)
    with _whole(target) as partial:
        partial.write_text(json.dumps({"format": FORMAT, **images.record, **more}, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output folder {folder}: {error.strerror}; choose another") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"output folder {folder} is not writable; choose another")
    return folder


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A path beside ``target`` that replaces it when the block ends well and vanishes when it does not."""
    partial = target.with_name(f".{uuid.uuid4().hex[:8]}.tmp{target.suffix}")
    try:
        yield partial
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(partial, target)
    except BaseException:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        partial.unlink(missing_ok=True)
        raise


def _caption(images: ImageSet, labels: Mapping[str, str] | None, source: str, phonons: int | None) -> dict[str, Any]:
    """What a picture says of itself."""
    record = images.record
    microscope = record.get("microscope", {})
    plan = record.get("plan", {})
    still = record.get("configurations", 1) < 2 if phonons is None else phonons == 0
    return {
        "labels": dict(labels or {}),
        "units": dict(record.get("units", {})),
        "source": source,
        "no_tds": still,
        "dose": microscope.get("dose"),
        "energy_keV": microscope.get("energy", 0) / 1e3,
        "convergence_mrad": microscope.get("convergence"),
        "lens": _lens(microscope),
        "angles": _angles(record.get("detectors", ())),
        "scales": _scales(record.get("idpc_over_icom", {})),
        "errors": {} if still else _errors(record.get("phonon_error", {})),
        "thickness_nm": record.get("thickness", plan.get("slices", 0) * plan.get("slice_thickness", 0)) / 10,
    }


def _scales(heights: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """What rad means for atoms in an image by four segments, in words, by name of the image."""
    return {name: f"atoms × {row['atoms']:.2f}" for name, row in heights.items() if "atoms" in row}


def _errors(found: Mapping[str, Any]) -> dict[str, str]:
    """Standard error by thermal motion, at columns in per cent of the range, by name of the image."""
    rows = found.get("images", {})
    return {name: f"± {100 * row['of_range']:.2g} %" for name, row in rows.items() if "of_range" in row}


def _lens(microscope: Mapping[str, Any]) -> str:
    """Defocus, aberrations, tilt, envelopes, objective aperture and precession, where there are any, in words."""
    acquisition = microscope.get("acquisition") or {}
    parts = [acquisition["instrument"]] if acquisition.get("instrument") else []
    parts += [f"defocus {microscope['defocus'] / 10:.4g} nm"] if microscope.get("defocus") else []
    lengths = {"Cs": microscope.get("cs", 0.0)} | dict(microscope.get("aberrations", {}))
    if len(lengths) > MOST:
        parts.append(f"{sum(name[0] == 'C' for name in lengths)} aberrations")
        lengths = {}
    for name, value in lengths.items():
        if name.startswith("phi"):
            parts.append(f"{name} {math.degrees(value):.4g}°")
        elif value:
            scale, unit_name = next(((s, u) for s, u in ((1e7, "mm"), (1e4, "µm")) if abs(value) >= s), (10.0, "nm"))
            parts.append(f"{name} {value / scale:.4g} {unit_name}")
    tilt = microscope.get("tilt", (0.0, 0.0))
    parts += [f"tilt {tilt[0]:g}, {tilt[1]:g} mrad"] if any(tilt) else []
    parts += [f"source {microscope['source_size']:g} Å"] if microscope.get("source_size") else []
    parts += [f"focal spread {microscope['focal_spread'] / 10:.3g} nm"] if microscope.get("focal_spread") else []
    parts += [f"objective {microscope['objective']:g} mrad"] if microscope.get("objective") else []
    parts += [f"precession {microscope['precession']:g} mrad"] if microscope.get("precession") else []
    return ", ".join(parts)


def _angles(detectors: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Angles of the detector by name of the image."""
    found = TypeAdapter(list[Detector]).validate_python(list(detectors))
    return {name: angles(detector) for detector in found for name in image_names(detector)}


def _image(images: ImageSet, name: str, caption: dict[str, Any]) -> Signal:
    """One image [x, y] as it is written."""
    shape, step, origin = images.scan.shape, images.sampling, images.scan.origin
    axes = (Axis("x", "Å", shape[0], step[0], origin[0]), Axis("y", "Å", shape[1], step[1], origin[1]))
    return Signal(name, images[name], axes, images.unit(name), _said_of(name, caption), _json(images.record))


def _patterns(images: ImageSet, name: str, caption: dict[str, Any]) -> Signal:
    """Diffraction patterns [x, y, kx, ky] as they are written."""
    pattern, scan, step = images.patterns[name], images.scan, images.angular_step
    sizes = pattern.shape
    axes = (
        Axis("x", "Å", sizes[0], scan.step[0], scan.origin[0]),
        Axis("y", "Å", sizes[1], scan.step[1], scan.origin[1]),
        Axis("kx", "mrad", sizes[2], step[0], -step[0] * (sizes[2] // 2)),
        Axis("ky", "mrad", sizes[3], step[1], -step[1] * (sizes[3] // 2)),
    )
    said = {**_said_of(name, caption), "periodic": scan.periodic}
    return Signal(name, pattern, axes, "", said, _json(images.record))


def _json(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without numpy's types."""
    return dict(json.loads(json.dumps(record, default=_plain)))


#: Keys of a caption that hold one value for each image.
_OF_IMAGES = ("labels", "angles", "errors", "scales", "units")


def _said_of(name: str, caption: Mapping[str, Any]) -> dict[str, Any]:
    """What a caption tells of one image, JSON-ready."""
    said = {k: v for k, v in caption.items() if v is not None and k not in _OF_IMAGES}
    error, scale = caption.get("errors", {}).get(name), caption.get("scales", {}).get(name)
    if error:
        said["phonon_error"] = f"{error} of the range at columns, one standard error"
    if scale:
        said["scale"] = f"{scale}: higher than in iCoM by this, slow phases not"
    return _json(said | {f"axis_{key}": value for key, value in caption.get("labels", {}).items()})


def _write_zarr(path: Path, fine: ImageSet, images: ImageSet, caption: dict[str, Any]) -> None:
    """All images [ix, iy] and the PACBED [kx, ky] in one group, with units."""
    import zarr

    group = zarr.open_group(str(path), mode="w")
    attributes = {"sampling_angstrom": list(fine.sampling), "origin_angstrom": list(fine.scan.origin)}
    for name, image in fine.images.items():
        zarr_array(path / name, image.astype(np.float32), {"unit": fine.unit(name) or "fraction of beam", **attributes})
    calibration = {"unit": "fraction of beam", "step_mrad": list(images.angular_step)}
    if images.plane_wave is None and images.diffraction.size:
        zarr_array(path / "PACBED", images.diffraction, calibration)
    elif images.plane_wave is not None:
        pattern = images.plane_wave
        kind = "elastic" if pattern.separated else "elastic and diffuse, one configuration"
        zarr_array(path / "diffraction", pattern.elastic, {"kind": kind, **calibration})
        zarr_array(path / "diffraction_error", pattern.error, calibration)
        calibration = {"unit": "fraction of beam per mrad²", "step_mrad": list(pattern.diffuse_step)}
        zarr_array(path / "diffuse", pattern.diffuse_density, calibration)
    if images.exit_wave is not None:
        side = [float(length) for length in images.record.get("exit_wave_cell_A", images.scan.size)]
        said = {"unit": "1 in vacuum", "cell_angstrom": side, "mean": "over thermal configurations and equal cells"}
        zarr_array(path / "exit_wave", images.exit_wave.astype(np.complex64), said)
    if images.displacements is not None:
        note = {"unit": "Å", "axes": "x and y of the probe, from its position of the scan"}
        zarr_array(path / "displacements", images.displacements.astype(np.float32), note)
    record = _json(images.record)
    group.attrs.update({"format": "rhotem-images", "version": FORMAT, "record": record, "caption": caption})


def _write_spots(path: Path, rows: list[dict[str, Any]]) -> None:
    """Spots as a table, strongest first."""
    import csv

    with open(path, "w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]) if rows else ["i", "j", "angle_mrad", "intensity", "error"])
        table.writeheader()
        table.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def zarr_array(path: Path, values: npt.NDArray, attributes: dict[str, Any]) -> None:
    """An array of a Zarr group, in one chunk."""
    import zarr

    array = zarr.open_array(str(path), mode="w", shape=values.shape, chunks=values.shape, dtype=values.dtype)
    array[:] = values
    array.attrs.update(attributes)
