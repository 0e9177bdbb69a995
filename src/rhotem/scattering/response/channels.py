"""Into which disjoint parts of the diffraction plane a response divides its signals, and detectors as sums of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.cells import Cells
from rhotem.microscope.detectors import Annular, Channel, Detector, DetectorBase, Segmented, largest_angle
from rhotem.microscope.presets import PRESETS
from rhotem.microscope.record import Recorder

#: Regular edges in mrad.
REGULAR = (*range(10, 101, 10), 120, 150, 200, 250, 300)


def basis(detectors: Sequence[DetectorBase], edges: Sequence[float] | None) -> list[DetectorBase]:
    """Detectors whose disjoint parts a response keeps: those named, rings between all edges, and quadrants.

    Parameters
    ----------
    detectors : sequence of detectors
        Their edges are kept, the outermost ends the diffraction plane. Moments are kept as far as a centre of mass
        among them reaches.
    edges : sequence of float or None
        Further circles in mrad. None: those of all presets and `REGULAR`, and quadrants as far as those of presets
        reach; an empty one: none.
    """
    outermost = largest_angle(detectors)
    for detector in detectors:
        if detector.patterns or not detector.channels():
            raise InputError(
                f"detector {detector.name}: a response holds signals, not patterns; use simulate for those"
            )
    known = [d for preset in PRESETS.values() for d in preset.detectors if d.channels()] if edges is None else []
    circles = {float(e) for e in (REGULAR if edges is None else edges)}
    circles |= {float(e) for d in (*detectors, *known) for e in (getattr(d, "inner", 0.0), d.outer)}
    if edges is not None and any(not 0 < e <= outermost for e in edges):
        raise InputError(
            f"edges {list(edges)} mrad: expected angles up to {outermost:g} mrad, the outermost detector's"
        )
    inside = sorted(e for e in circles if 0 < e <= outermost)
    result: list[DetectorBase] = list(detectors)
    rings = zip([0.0, *inside[:-1]], inside, strict=True)
    result += [Annular(name=f"ring {i}", inner=a, outer=b) for i, (a, b) in enumerate(rings)]
    reach = [d.outer for d in known if isinstance(d, Segmented) and d.outer <= outermost]
    if reach:
        result.append(Segmented(name="quadrants ", outer=max(reach)))
    return result


def selection(cells: Cells, recorder: Recorder, detectors: Sequence[DetectorBase]) -> npt.NDArray[np.float32]:
    """Which columns of ``cells`` every column of a recorder sums up, (columns of the recorder, columns of the cells).

    Raises
    ------
    InputError
        If a detector has an edge that the cells do not have, or needs moments where there are none.
    """
    names = _weights(cells, recorder.channels)
    rows = [_row(cells, channel, detectors, names) for channel in recorder.channels]
    if recorder.cells is not None:
        within = {c.name: set(_covering(cells, c, detectors)) for c in recorder.channels if not c.role}
        places = {(i, tuple(sorted(cells.cells[i].factors[moment]))): n for n, (i, moment) in enumerate(cells.columns)}
        for index, moment in recorder.cells.columns:
            cell = recorder.cells.cells[index]
            factors = tuple(sorted(names.get(factor, factor) for factor in cell.factors[moment]))
            row = np.zeros(len(cells.columns), dtype=np.float32)
            for i in range(len(cells.cells)):
                if {name for name, held in within.items() if i in held} == cell.members:
                    row[places[i, factors]] = 1.0
            rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, len(cells.columns)), dtype=np.float32)


def _weights(cells: Cells, asked: Sequence[Channel]) -> dict[str, str]:
    """Names that the cells have for the maps of channels, which are the same whatever their detectors are called."""
    held = {weight: name for name, weight in cells.sensitivities.items()}
    return {c.function: held.get(c.sensitivity, "") for c in asked if c.sensitivity is not None}


def _row(
    cells: Cells, channel: Channel, detectors: Sequence[DetectorBase], names: Mapping[str, str]
) -> npt.NDArray[np.float32]:
    row, function = np.zeros(len(cells.columns), dtype=np.float32), names.get(channel.function, channel.function)
    places = {column: n for n, column in enumerate(cells.columns)}
    for i in _covering(cells, channel, detectors):
        if channel.role == "η" and (not function or (i, function) not in places):
            raise InputError(
                f"detector {channel.plain}: the response holds other maps or none; "
                "make it with the same sensitivity map"
            )
        if (i, function) not in places:
            raise InputError(
                f"{channel.name}: the response holds no moments to {channel.region.outer:g} mrad; make it with a "
                "centre of mass that reaches so far"
            )
        row[places[i, function]] = 1.0
    return row


def _covering(cells: Cells, channel: Channel, detectors: Sequence[DetectorBase]) -> list[int]:
    """Cells that a channel consists of."""
    region = channel.region
    found = cells.covering(region)
    if found is not None:
        return found
    inner = f"{region.inner:g}–" if region.inner else "to "
    held = ", ".join(f"{edge:g}" for edge in cells.edges_of(region.hard))
    divided = ", not everywhere in these quadrants" if region.quadrants else ""
    name = next((d.name for d in detectors if channel in d.channels()), "") or channel.name
    raise InputError(
        f"detector {name} {inner}{region.outer:g} mrad: the response holds {'hard ' * region.hard}edges at "
        f"{held or 'no angle'} mrad{divided}; name the detector when the response is made"
    )


def described(detectors: Sequence[Detector]) -> list[dict[str, Any]]:
    """Settings of detectors as they are stored."""
    return [detector.model_dump() for detector in detectors]
