"""NeXus files by the application definition NXem: images and patterns of a simulation or a reconstruction.

https://manual.nexusformat.org, FAIRmat's definitions: an entry with what the application definition requires, and an
``NXdata`` with named axes that NeXus viewers plot. Times are
written where the record of the run says when it was made.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core.provenance import versions
from rhotem.microscope.formats.signal import Signal

UNITS = {"Å": "angstrom", "nm": "nm", "mrad": "mrad"}


def write_nexus(signal: Signal, path: Path) -> None:
    """Data are rows first, (..., y, x) or (y, x, ky, kx), with an axis for each; the record lies beside as JSON."""
    import h5py

    data, axes = signal.in_rows()
    with h5py.File(path, "w") as file:
        file.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": "RhoTEM"})
        entry = _group(file, "entry", "NXentry")
        entry["definition"] = "NXem"
        created = signal.said.get("created")
        if created:
            entry["start_time"] = created
        entry["title"] = signal.name
        sample = _group(entry, "sample1", "NXsample")
        sample["is_simulation"] = np.bool_(True)
        if created:
            sample["preparation_date"] = created
        sample["atom_types"] = ", ".join(signal.said.get("elements", ())) or "not recorded"
        collection = _group(entry, "rhotem", "NXcollection")
        collection["version"] = versions()["rhotem"]
        collection["caption"], collection["record"] = json.dumps(signal.said), json.dumps(signal.record)
        stored = _group(entry, "data", "NXdata")
        names = [axis.name for axis in axes]
        stored.attrs.update({"signal": "data", "axes": names})
        for place, axis in enumerate(axes):
            stored[axis.name] = axis.values
            stored[axis.name].attrs.update({"units": UNITS[axis.unit], "long_name": f"{axis.name} ({axis.unit})"})
            stored.attrs[f"{axis.name}_indices"] = place
        stored["data"] = data
        stored["data"].attrs.update({"units": signal.quantity, "long_name": f"{signal.name} ({signal.quantity})"})
        entry.attrs["default"] = "data"


def _group(parent: Any, name: str, kind: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group
