"""What stands beside the folders of a series: montages, all images in one Zarr group, and the record."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis.montage import Tile, draw_montage
from rhotem.analysis.plan import Plan
from rhotem.analysis.plan.model import place_of
from rhotem.analysis.plan.series import values_of
from rhotem.analysis.results import Result, recorded_plan
from rhotem.core.machine import machine
from rhotem.core.output import write_record
from rhotem.core.physics import PHYSICS
from rhotem.microscope.images import ImageSet
from rhotem.microscope.outputs import PIXEL, as_written, zarr_array
from rhotem.microscope.pictures import PATTERN_RANGE

#: Name of the position-averaged pattern.
PACBED = "PACBED"
#: Units as keys of a plan end with them, and as they are written.
UNITS = {"e_per_A2": "e/Å²", "A2": "Å²", "A": "Å", **{name: name for name in ("nm", "mm", "mrad", "K", "keV", "e")}}


def write_series(plan: Plan, made: Mapping[str, Result], folder: Path, notes: dict[str, Any]) -> None:
    """Write montages of one or two keys, ``series.zarr`` where scans have equal shapes, and the record of all."""
    fine = [_as_written(result) for result in made.values()]
    axes = axes_of(plan, list(made.values()))
    names = list(dict.fromkeys(name for images in fine for name in images.images))
    averaged = all(images.diffraction.size and not images.images and images.plane_wave is None for images in fine)
    if len(plan.series) < 3:
        for name in names:
            _montage(axes, name, fine, folder / f"montage-{_stem(name)}.png")
        if averaged:
            _montage(axes, PACBED, fine, folder / f"montage-{PACBED}.png")
    _write_zarr(axes, [name for name in names if _alike(name, fine)], fine, folder / "series.zarr")
    if averaged:
        _write_patterns(axes, fine, folder / "series.zarr")
    out, started = notes.pop("out"), notes.pop("started")
    record = {
        **notes,
        "plan": recorded_plan(plan, out),
        "run": {"physics": PHYSICS, "machine": machine()},
        "series": {name: _source(result) for name, result in made.items()},
        "seconds": round(time.perf_counter() - started, 2),
    }
    write_record(folder, record)


def key_and_unit(key: str) -> tuple[str, str]:
    """Name and unit of a key of a plan: ``defocus`` and ``nm`` of "microscope.defocus_nm"."""
    name = place_of(key)[-1]
    for ending, said in UNITS.items():
        if name.endswith(f"_{ending}"):
            return name[: -len(ending) - 1].replace("_", " "), said
    return name.replace("_", " "), ""


def axes_of(plan: Plan, made: list[Result]) -> list[dict[str, Any]]:
    """Keys of a series with unit and values, JSON-ready; of the thickness those of whole cells beside those asked."""
    dumped = plan.data()["series"]
    lengths = [len(values_of(given)) for given in plan.series.values()]
    found = []
    for place, (key, given) in enumerate(plan.series.items()):
        values = values_of(given) if isinstance(dumped[key], dict) else list(dumped[key])
        axis = {"key": ".".join(place_of(key)), "unit": key_and_unit(key)[1], "values": values}
        if axis["key"] == "specimen.thickness_nm":
            depth = np.array([result.specimen.thickness for result in made]).reshape(lengths)
            rows = np.moveaxis(depth, place, 0).reshape(len(values), -1)
            if np.allclose(rows, rows[:, :1]):
                axis["real"] = [float(f"{row[0]:.4g}") for row in rows]
        found.append(axis)
    return found


def labels(axis: Mapping[str, Any]) -> list[str]:
    """Values of a key with their unit, in words."""
    values = axis.get("real", axis["values"])
    return [f"{_words(value)} {axis['unit'] if _numbers(value) else ''}".strip() for value in values]


def _numbers(value: Any) -> bool:
    """Whether a value is a number or a row of them, as a tilt is."""
    row = value if isinstance(value, list | tuple) else [value]
    return bool(row) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in row)


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "default"}[value]
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_words(inner)}" for name, inner in value.items())
    return ", ".join(map(_words, value)) if isinstance(value, list | tuple) else Path(str(value)).name


def _as_written(result: Result) -> ImageSet:
    return as_written(result.images, None if "recorded" in result.images.record else PIXEL)


def _stem(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


def _source(result: Result) -> dict[str, Any]:
    """Of one setting: its identity, and whether it shared a propagation."""
    shared = result.record.get("series", {}).get("settings", 1)
    return {"identity": result.record["run"]["identity"], "settings_of_one_propagation": shared}


def _montage(axes: list[dict[str, Any]], name: str, fine: list[ImageSet], path: Path) -> None:
    """One image at every setting: the first of two keys downwards, the last to the right."""
    across = len(axes[-1]["values"])

    def tile(images: ImageSet) -> Tile | None:
        if name == PACBED:
            pattern, step = images.diffraction, images.angular_step
            grey = np.log10(np.maximum(pattern, PATTERN_RANGE * pattern.max()))
            return grey, (step[0] * pattern.shape[0], step[1] * pattern.shape[1])
        return (images[name], images.scan.size) if name in images.images else None

    tiles = list(map(tile, fine))
    names = [key_and_unit(axis["key"])[0] for axis in axes]
    down = f", {names[0]} downwards" if len(axes) == 2 else ""
    draw_montage(
        [tiles[start : start + across] for start in range(0, len(tiles), across)],
        path,
        rows=labels(axes[0]) if len(axes) == 2 else [""],
        columns=labels(axes[-1]),
        title=f"{name}{_said(name, fine[0])}: {names[-1]} to the right{down}",
    )


def _write_patterns(axes: list[dict[str, Any]], fine: list[ImageSet], path: Path) -> None:
    """An array (values of the first key, of the second, ..., kx, ky) of position-averaged patterns of equal pixels."""
    import zarr

    shape, step = fine[0].diffraction.shape, fine[0].angular_step
    if any(one.diffraction.shape != shape or not np.allclose(one.angular_step, step) for one in fine):
        return
    group = zarr.open_group(str(path), mode="w")
    stack = np.stack([images.diffraction for images in fine]).astype(np.float32)
    said = {
        "unit": "fraction of beam",
        "dimensions": [*(axis["key"] for axis in axes), "kx", "ky"],
        "step_mrad": list(step),
    }
    zarr_array(path / PACBED, stack.reshape(*(len(axis["values"]) for axis in axes), *shape), said)
    group.attrs.update({"format": "rhotem-series", "version": 1, "axes": axes})


def _said(name: str, images: ImageSet) -> str:
    """What the grey of an image stands for, where it is no fraction of the beam."""
    if name == PACBED:
        return " (log scale)"
    return f" ({images.unit(name)})" if images.unit(name) else ""


def _alike(name: str, fine: list[ImageSet]) -> bool:
    """Whether an image is there in all settings, with the same positions."""
    first = fine[0].scan
    return all(
        name in images.images and images.scan.shape == first.shape and np.allclose(images.scan.size, first.size)
        for images in fine
    )


def _write_zarr(axes: list[dict[str, Any]], names: list[str], fine: list[ImageSet], path: Path) -> None:
    """Arrays (values of the first key, of the second, ..., nx, ny) with what stands along each axis."""
    import zarr

    if not names:
        return
    group = zarr.open_group(str(path), mode="w")
    scan = fine[0].scan
    for name in names:
        stack = np.stack([images[name] for images in fine]).astype(np.float32)
        zarr_array(
            path / name,
            stack.reshape(*(len(axis["values"]) for axis in axes), *scan.shape),
            {
                "unit": fine[0].unit(name) or "fraction of beam",
                "dimensions": [*(axis["key"] for axis in axes), "x", "y"],
                "sampling_angstrom": list(scan.step),
                "origin_angstrom": list(scan.origin),
            },
        )
    group.attrs.update({"format": "rhotem-series", "version": 1, "axes": axes})
