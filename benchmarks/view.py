"""What one image of `rhotem view` takes, beside what Python asks of the same response: CPU seconds of one process.

OMP_NUM_THREADS=1 python benchmarks/view.py [FOLDER]     without a folder the demonstration
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rhotem.library.view.demonstration import demonstration
from rhotem.library.view.desk import Desk
from rhotem.library.view.entries import entries_in
from rhotem.library.view.page import Page

#: Images for each row.
NUMBER = 12


def cpu(act: Callable[[float], object], values: list[float]) -> float:
    """CPU seconds for each value, the first one left out: it makes what the others share."""
    act(values[0])
    began = time.process_time()
    for value in values[1:]:
        act(value)
    return (time.process_time() - began) / (len(values) - 1)


def rows(folder: Path) -> None:
    """A table for every entry."""
    from bokeh.document import Document

    entries = entries_in(folder)
    for place, entry in enumerate(entries):
        ordered = [entry, *entries[:place], *entries[place + 1 :]]
        desk, page = Desk(ordered), Page(Document(), ordered)
        held, limits = desk.limits.response, desk.limits
        print(f"\n{entry.title}: {held.beams.number} pairs of beams, {held.extent[0]:.1f} x {held.extent[1]:.1f} A")
        foci = list(np.linspace(*limits.spans["defocus_nm"], NUMBER))

        def python(focus: float, desk: Desk = desk) -> object:
            response, settings = desk.limits.response, desk.settings
            shown = response.images((desk.limits.ring(settings),), **settings.changed(defocus_nm=focus).lens())
            return shown.recorded(settings.scan_step_A, settings.field_of_view_A)

        def seen(focus: float, desk: Desk = desk) -> object:
            desk.set(defocus_nm=focus)
            return desk.see()

        def drawn(focus: float, page: Page = page) -> None:
            page.knobs.plain["defocus_nm"].value = focus
            page.draw()

        for image in [name for name in ("HAADF", "ABF", "iDPC") if name in limits.detectors]:
            desk.set(image=image, scan_rotation_deg=0.0, dose_e_per_A2=None)
            page.desk.set(image=image)
            line = [cpu(python, foci), cpu(seen, foci), cpu(drawn, foci)]
            desk.set(scan_rotation_deg=20.0)
            line.append(cpu(seen, foci))
            desk.set(scan_rotation_deg=0.0, dose_e_per_A2=1e4)
            line.append(cpu(seen, foci[:8]))
            words = ("Response.images", "image", "page", "turned", "counted")
            print(
                f"{image:6}", "  ".join(f"{word} {1e3 * value:.0f} ms" for word, value in zip(words, line, strict=True))
            )


if __name__ == "__main__":
    rows(Path(sys.argv[1]) if len(sys.argv) > 1 else demonstration())
