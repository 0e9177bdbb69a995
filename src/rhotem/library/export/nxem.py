"""Stacks of images as NeXus files with the layout of NXem (NeXus definitions, https://manual.nexusformat.org)."""

from pathlib import Path
from typing import Any

from rhotem.library.entry import Entry
from rhotem.library.export.stacks import Stack, file_name, stacks
from rhotem.library.store import Library


def write(library: Library, entries: list[Entry], folder: Path) -> list[str]:
    """One file for every entry, an NXdata for each of its images."""
    import h5py

    names = []
    for entry in entries:
        made, settings = stacks(library, entry)
        name = file_name(entry, ".nxs")
        with h5py.File(folder / name, "w") as stream:
            stream.attrs.update({"NX_class": "NXroot", "default": "entry1", "creator": "RhoTEM"})
            top = _group(stream, "entry1", "NXentry")
            top.attrs["default"] = "simulation"
            top["definition"] = "NXem"
            top["title"] = entry.title
            _group(top, "sample", "NXsample")["chemical_formula"] = entry.formula
            top["sample/is_simulation"] = True
            top["sample/zone_axis"] = entry.zone
            column = _group(_group(top, "instrument", "NXinstrument"), "ebeam_column", "NXebeam_column")
            source = _group(column, "electron_source", "NXsource")
            source["voltage"] = 1e3 * settings["energy_keV"]
            source["voltage"].attrs["units"] = "V"
            column["semi_convergence_angle"] = settings["convergence_mrad"]
            column["semi_convergence_angle"].attrs["units"] = "mrad"
            images = _group(top, "simulation", "NXcollection")
            for stack in made:
                _data(images, stack)
        names.append(name)
    return names


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _data(parent: Any, stack: Stack) -> None:
    """One image over thickness and defocus."""
    group = _group(parent, stack.name, "NXdata")
    group.attrs.update({"signal": "intensity", "axes": ["thickness", "defocus", "y", "x"]})
    group["intensity"] = stack.values
    group["intensity"].attrs["units"] = stack.unit or "dimensionless"
    lengths = {"y": (stack.values.shape[2], stack.step[1]), "x": (stack.values.shape[3], stack.step[0])}
    group["thickness"], group["defocus"] = stack.thicknesses, stack.foci
    for axis in ("thickness", "defocus"):
        group[axis].attrs["units"] = "nm"
    for axis, (size, step) in lengths.items():
        group[axis] = [i * step for i in range(size)]
        group[axis].attrs["units"] = "angstrom"
