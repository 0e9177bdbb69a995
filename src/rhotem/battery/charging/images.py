"""Images of states of charge, and what changes from one to the next."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.plan import Plan
from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import run
from rhotem.battery.charging.make import Series
from rhotem.battery.charging.store import Store
from rhotem.battery.zones import zone_in_repeats
from rhotem.core.figures import blank_figure
from rhotem.core.output import output_file, to_json

Floats = npt.NDArray[np.float64]

#: Images that are drawn, those there are; Å of a pixel; inches of a panel.
SHOWN, PIXEL, PANEL = ("HAADF", "ABF", "iDPC"), 0.08, 1.9


@dataclass(frozen=True, eq=False)
class StateImages:
    """Images of one state by name, (nx, ny), and the sides of the cell that they show, Å."""

    images: dict[str, Floats]
    size: tuple[float, float]


def state_images(series: Series, plan: Plan, out: Path, voice: Voice) -> list[StateImages]:
    """Images of every state along one zone axis of the crystal; kept in the folder of the series as they are done.

    Parameters
    ----------
    series : Series
        Made with the folder ``out``.
    plan : Plan
        Of the images; its zone is that of the crystal.
    out : Path
    voice : Voice
    """
    store = Store(out, series.host, series.asked)
    zone = zone_in_repeats(series.host.crystal, plan.specimen.zone, series.host.repeats)
    key = hashlib.sha256(
        to_json(plan.changed({"specimen.structure": "x"}).model_dump(mode="json")).encode()
    ).hexdigest()
    result = []
    for done, x in enumerate(series.host.x):
        voice.progress("images", done, len(series.host.x))
        structure = store.structure_file(x)
        kept = structure.with_suffix(f".{key[:8]}.npz")
        if not kept.exists():
            settings: dict[str, Any] = {
                "specimen.structure": str(structure),
                "specimen.zone": zone,
                "specimen.zone_basis": "input",
                "specimen.keep_cell": True,
            }
            made = run(plan.changed(settings), None, replace(voice, tell=lambda text: None)).images
            with output_file(kept) as target:
                np.savez_compressed(target, size=np.array(made.scan.size), **made.images)  # type: ignore[arg-type]  # names
        with np.load(kept) as read:
            images = {name: read[name] for name in read.files if name != "size"}
            result.append(StateImages(images, (float(read["size"][0]), float(read["size"][1]))))
    return result


def differences(images: Sequence[StateImages], name: str) -> list[Floats]:
    """Each state minus the one before it, at equal fractional coordinates, on the pixels of the first."""
    from rhotem.microscope.scan import fourier_resample

    shape = (max(8, round(images[0].size[0] / PIXEL)), max(8, round(images[0].size[1] / PIXEL)))
    same = [np.asarray(fourier_resample(one.images[name], shape)) for one in images]
    return [two - one for one, two in pairwise(same)]


def draw_state_images(series: Series, images: Sequence[StateImages], path: Path) -> None:
    """Images of all states on one grey scale for each detector; below them the difference from the state before."""
    from rhotem.microscope.pictures import scale_bar
    from rhotem.microscope.scan import fourier_resample

    names = [name for name in SHOWN if name in images[0].images] or list(images[0].images)[:3]
    width, height = images[0].size
    tall = min(3.0, PANEL * height / width)
    figure = blank_figure((PANEL + 0.3) * len(images), (tall + 0.35) * 2 * len(names) + 0.4, dpi=120)
    places = figure.subplots(2 * len(names), len(images), squeeze=False)
    for row, name in enumerate(names):
        changes = differences(images, name)
        low = min(float(one.images[name].min()) for one in images)
        high = max(float(one.images[name].max()) for one in images)
        most = max((float(np.abs(change).max()) for change in changes), default=1.0) or 1.0
        for column, (state, one) in enumerate(zip(series.states, images, strict=True)):
            fine = [max(n, round(s / PIXEL)) for n, s in zip(one.images[name].shape, one.size, strict=True)]
            upper, lower = places[2 * row, column], places[2 * row + 1, column]
            shown = np.asarray(fourier_resample(one.images[name], (fine[0], fine[1])))
            upper.imshow(shown.T, cmap="gray", vmin=low, vmax=high, extent=(0, one.size[0], one.size[1], 0))
            upper.set_title(f"{name}, x = {state.x:.3g}", fontsize=7)
            scale_bar(upper, one.size)
            if column:
                lower.imshow(changes[column - 1].T, cmap="RdBu_r", vmin=-most, vmax=most, extent=(0, width, height, 0))
                lower.set_title(f"change, ± {most:.2g}", fontsize=7)
            for axes in (upper, lower):
                axes.set(xticks=[], yticks=[])
            if not column:
                lower.set_axis_off()
    figure.savefig(path)
