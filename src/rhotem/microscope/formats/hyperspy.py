"""HyperSpy files (.hspy): images, and patterns and stacks with navigation axes; images and patterns are read back."""

from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.core.output import plain
from rhotem.microscope.formats.signal import Axis, Signal


def write_hyperspy(signal: Signal, path: Path) -> None:
    """Rows are y, columns x, both increasing; the record lies in the original metadata."""
    from rsciio.hspy import file_writer

    file_writer(str(path), as_dictionary(signal), show_progressbar=False)


def as_dictionary(signal: Signal) -> dict[str, Any]:
    """What RosettaSciIO takes: rows are y, columns x."""
    data, axes = signal.in_rows()
    return {
        "data": data,
        "axes": [_axis(axis, place, place < signal.navigated) for place, axis in enumerate(axes)],
        "metadata": _metadata(signal),
        "original_metadata": {"rhotem": signal.record},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "rhotem", "package_version": ""},
        "tmp_parameters": {},
        "learning_results": {},
        "models": {},
    }


def read_hyperspy(path: Path) -> Signal:
    """An image or patterns of a file that `write_hyperspy` wrote.

    Raises
    ------
    InputError
        If the file cannot be read, or its axes are not those of an image or of patterns of a scan, in Å and mrad.
    """
    from rsciio.hspy import file_reader

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        stored = file_reader(str(path))[0]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"{path}: no HyperSpy file ({error})") from None
    names = [str(axis.get("name", "")) for axis in stored["axes"]]
    if names not in (["y", "x"], ["y", "x", "ky", "kx"]):
        raise InputError(f"{path}: axes {', '.join(names)}; expected y, x or y, x, ky, kx, as RhoTEM writes them")
    order = (1, 0, 3, 2)[: len(names)]
    axes = tuple(_read_axis(stored["axes"][place], path) for place in order)
    metadata = plain(stored["metadata"])
    quantity = str(metadata.get("Signal", {}).get("quantity", "")).rpartition("(")[2].rstrip(")")
    tem = metadata.get("Acquisition_instrument", {}).get("TEM", {})
    said = {"energy_keV": tem.get("beam_energy"), "convergence_mrad": tem.get("convergence_angle")}
    return Signal(
        name=str(metadata.get("General", {}).get("title") or path.stem),
        data=np.asarray(stored["data"]).transpose(order),
        axes=axes,
        unit="" if quantity == "fraction of beam" else quantity,
        said={**metadata.get("RhoTEM", {}), **{key: value for key, value in said.items() if value}},
        record=plain(stored.get("original_metadata", {}).get("rhotem", {})),
    )


def _axis(axis: Axis, place: int, navigate: bool) -> dict[str, Any]:
    common = {"name": axis.name, "units": axis.unit, "index_in_array": place, "navigate": navigate, "is_binned": False}
    if axis.at:
        return {"_type": "DataAxis", "axis": axis.values, **common}
    even = {"size": axis.size, "scale": float(axis.step), "offset": float(axis.offset)}
    return {"_type": "UniformDataAxis", **even, **common}


def _read_axis(stored: dict[str, Any], path: Path) -> Axis:
    name, unit, step = str(stored["name"]), str(stored.get("units") or ""), float(stored.get("scale", 0.0))
    wanted = "mrad" if name.startswith("k") else "Å"
    if unit != wanted or not 0 < step < inf:
        raise InputError(
            f"{path}: axis {name} has no scale in {wanted} ({step:g} {unit or 'pixels'}); write it into the file, as "
            "rhotem does"
        )
    return Axis(name, unit, int(stored["size"]), step, float(stored.get("offset", 0.0)))


def _metadata(signal: Signal) -> dict[str, Any]:
    return {
        "General": {"title": signal.name},
        "Signal": {"signal_type": "", "quantity": f"{signal.name} ({signal.quantity})"},
        "Acquisition_instrument": {
            "TEM": {
                "beam_energy": signal.said.get("energy_keV", 0.0),
                "convergence_angle": signal.said.get("convergence_mrad", 0.0),
                "acquisition_mode": "STEM",
            }
        },
        "RhoTEM": signal.said,
    }
