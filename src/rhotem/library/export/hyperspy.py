"""Stacks of images as files of HyperSpy."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.library.entry import Entry
from rhotem.library.export.stacks import Stack, file_name, stacks
from rhotem.library.store import Library


def write(library: Library, entries: list[Entry], folder: Path) -> list[str]:
    """One file for every image of every entry: navigate thickness and defocus, look at x and y."""
    from rsciio.hspy import file_writer

    names = []
    for entry in entries:
        made, settings = stacks(library, entry)
        for stack in made:
            name = file_name(entry, f"-{stack.name}.hspy")
            metadata = {
                "General": {"title": f"{entry.title} {stack.name}", "original_filename": name},
                "Signal": {"signal_type": "", "quantity": f"{stack.name} ({stack.unit or 'fraction of the beam'})"},
                "Acquisition_instrument": {
                    "TEM": {
                        "acquisition_mode": "STEM",
                        "beam_energy": settings["energy_keV"],
                        "convergence_angle": settings["convergence_mrad"],
                    }
                },
                "Sample": {"description": f"{entry.formula} {entry.zone}", "elements": list(entry.elements)},
                "RhoTEM": settings,
            }
            signal = {
                "data": stack.values,
                "axes": _axes(stack),
                "metadata": metadata,
                "original_metadata": {},
                "attributes": {"_lazy": False, "ragged": False},
                "package_info": {"package": "rhotem", "package_version": ""},
                "tmp_parameters": {},
                "learning_results": {},
                "models": {},
            }
            file_writer(str(folder / name), signal, show_progressbar=False)
            names.append(name)
    return names


def _axes(stack: Stack) -> list[dict[str, Any]]:
    """Axes as HyperSpy describes them: thicknesses and foci by their values, pixels by their step."""
    common = {"is_binned": False}
    listed = [
        {"_type": "DataAxis", "name": name, "units": "nm", "axis": np.array(values), "navigate": True, **common}
        for name, values in (("thickness", stack.thicknesses), ("defocus", stack.foci))
    ]
    pixels = (("y", stack.values.shape[2], stack.step[1]), ("x", stack.values.shape[3], stack.step[0]))
    listed += [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "units": "Å",
            "size": size,
            "scale": float(step),
            "offset": 0.0,
            "navigate": False,
            **common,
        }
        for name, size, step in pixels
    ]
    return listed
