"""Stacks of images of an entry, over its thicknesses and some foci, in formats of images."""

from collections.abc import Callable, Iterator
from pathlib import Path

from rhotem.library.campaign.task import Task
from rhotem.library.entry import Entry
from rhotem.library.store import Library
from rhotem.microscope.formats.registry import FORMATS
from rhotem.microscope.formats.signal import Axis, Signal


def writer(name: str) -> Callable[[Library, list[Entry], Path], list[str]]:
    """What writes one file for every image of every entry in a format of `rhotem.microscope.formats`."""
    form = FORMATS[name]

    def write(library: Library, entries: list[Entry], folder: Path) -> list[str]:
        names = []
        for entry in entries:
            for stack in stacks(library, entry):
                names.append(file_name(entry, f"-{stack.name}{form.ending}"))
                form.write(stack, folder / names[-1])
        return names

    return write


def stacks(library: Library, entry: Entry) -> Iterator[Signal]:
    """Noise-free images [thickness, focus, x, y] of an entry at its thicknesses and the foci of its campaign."""
    from rhotem.microscope.detectors import unit
    from rhotem.microscope.scan import Scan

    held, task = library.response(entry.id), Task.from_json(library.described(entry.id)["task"])
    foci = list(task.asked.foci)
    deep = list(held.thicknesses)
    scan = Scan.cell(held.extent, held.microscope)
    grid = [(t, f) for t in deep for f in foci]
    made = held.series(thickness=[t for t, _ in grid], defocus=[10.0 * f for _, f in grid], scan=scan)
    said = {
        "energy_keV": entry.energy,
        "convergence_mrad": entry.convergence,
        "elements": list(entry.elements),
        "zone": entry.zone,
        "density": entry.source,
        "title": entry.title,
        "identifier": entry.id,
        "detectors": [detector.model_dump(mode="json") for detector in held.detectors],
    }
    for name, images in made.items():
        pixels = (Axis(axis, "Å", n, step) for axis, n, step in zip("xy", images.shape[1:], scan.step, strict=True))
        axes = (Axis.of("thickness", "nm", [0.1 * t for t in deep]), Axis.of("defocus", "nm", foci), *pixels)
        data = images.reshape(len(deep), len(foci), *images.shape[1:])
        yield Signal(name, data, axes, unit(name), said, {"plan": task.plan})


def file_name(entry: Entry, ending: str) -> str:
    """A name for a file of an entry."""
    plain = "".join(c if c.isalnum() or c in "._-+" else "_" for c in entry.title)[:80]
    return f"{plain}-{entry.id[:8]}{ending}"
