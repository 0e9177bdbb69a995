"""The page of a twin: time lines of everything known, pictures, entries."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import numpy as np

from rhotem.core.figures import blank_figure
from rhotem.core.page import figure, page, table
from rhotem.experiment.twin.store import Entry, Twin

#: Parameters that place a picture on its crystal, which say nothing of the specimen.
OF_THE_PICTURE = frozenset(
    ("x", "y", "x_column", "x_row", "y_column", "y_row", "scale", "right", "down", "rotation", "floor", "diffuse")
)
#: Panels side by side, pictures shown at most.
ACROSS, MOST = 3, 24
#: Least time before the first and after the last entry.
LEAST = timedelta(minutes=1)


@dataclass
class Line:
    """One number over time."""

    name: str
    unit: str
    times: list[datetime] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)


def lines(twin: Twin) -> list[Line]:
    """Numbers given and parameters fitted, by time; those given first."""
    given: dict[str, Line] = {}
    fitted: dict[str, Line] = {}
    for entry in twin.by_time():
        for name, one in entry.numbers.items():
            _put(given.setdefault(name, Line(name, one.unit)), entry, one.value, 0.0)
        for name, told in entry.parameters.items():
            if _known(name, told):
                line = fitted.setdefault(f"{name}, {told['unit']}", Line(f"{name}, fitted", told["unit"]))
                _put(line, entry, told["value"], told["error"])
    return [*given.values(), *fitted.values()]


def write_page(twin: Twin) -> str:
    """The page, HTML that opens from disk."""
    parts = [
        f"<h1>{escape(twin.name)}</h1>",
        f"<p>{escape(summary(twin))}</p>",
        *([figure(_drawn(lines(twin)), "What was given and fitted, with errors, over time")] if lines(twin) else []),
    ]
    pictured = [(entry, twin.pictures(entry)) for entry in twin.by_time() if entry.measurements]
    shown = [(entry, pictures) for entry, pictures in pictured if pictures]
    if shown:
        more = f", the last {MOST} of {len(shown)}" if len(shown) > MOST else ""
        parts.append(f"<h2>Measured{more}</h2>")
        parts += [figure(_pictures(pictures), _caption(entry)) for entry, pictures in shown[-MOST:]]
    parts += ["<h2>Entries</h2>", table(("entry", "time (UTC)", "what"), [_row(entry) for entry in twin.by_time()])]
    return page(twin.name, "\n".join(parts))


def summary(twin: Twin) -> str:
    """What a twin holds in a sentence."""
    files = sum(len(entry.measurements) for entry in twin.entries)
    fits = sum("fit" in entry.said for entry in twin.entries)
    refused = sum("refused" in entry.said for entry in twin.entries)
    said = f"{len(twin.entries)} entries; measured files {files}, fits {fits}, files that could not be read {refused}"
    now = list(twin.states().items())
    states = ", ".join(f"{name} {one}" for name, one in now[-1][1].items()) if now else ""
    return f"{said}. {'Now: ' + states + '.' if states else 'No state was given.'}"


def described(entry: Entry) -> str:
    """An entry in a line."""
    said = entry.said
    parts = [f"{name} {one}" for name, one in entry.numbers.items()]
    parts += [f"structure {said['structure']['name']}"] if "structure" in said else []
    parts += [one["source"]["path"].rpartition("/")[2] for one in entry.measurements]
    parts += [str(said["fit"].get("line") or "fitted: " + _fitted(entry))] if "fit" in said else []
    parts += [f"doubt: {line}" for line in said.get("fit", {}).get("remarks", ())]
    parts += [f"not fitted: {said['not_fitted']}"] if "not_fitted" in said else []
    parts += [f"refused: {said['refused']['reason']}"] if "refused" in said else []
    parts += [str(said["note"])] if "note" in said else []
    # file names and notes may hold what moves a terminal's cursor
    return "".join(c if c.isprintable() else " " for c in "; ".join(parts))


def _known(name: str, told: dict[str, Any]) -> bool:
    """Whether a parameter was fitted and says something of the specimen or the microscope: others have no error."""
    return name not in OF_THE_PICTURE and told["value"] is not None and bool(told["error"])


def _fitted(entry: Entry) -> str:
    return ", ".join(
        f"{name} {told['value']:.4g} ± {told['error']:.2g} {told['unit']}".rstrip()
        for name, told in entry.parameters.items()
        if _known(name, told)
    )


def _row(entry: Entry) -> tuple[str, str, str]:
    return str(entry.number), short(entry.time), described(entry)


def short(time: datetime) -> str:
    """A time in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _caption(entry: Entry) -> str:
    return f"{entry.number}, {short(entry.time)}: {described(entry)}"


def _put(line: Line, entry: Entry, value: float, error: float) -> None:
    line.times.append(entry.time)
    line.values.append(float(value))
    line.errors.append(float(error))


def _drawn(shown: Sequence[Line]) -> bytes:
    """A panel for every line."""
    import matplotlib.dates as dates

    times = [time for line in shown for time in line.times]
    # all panels show the same time, a few minutes at least
    room = max(0.04 * (max(times) - min(times)), LEAST)
    deep = -(-len(shown) // ACROSS)
    drawing = blank_figure(10.5, 2.1 * deep, dpi=110)
    places = np.ravel(drawing.subplots(deep, ACROSS, squeeze=False))
    for axes, line in zip(places, shown, strict=False):
        axes.errorbar(line.times, line.values, line.errors, fmt="o-", ms=4, lw=0.8, capsize=2)
        axes.set_xlim(min(times) - room, max(times) + room)
        axes.set_title(f"{line.name} ({line.unit})" if line.unit else line.name, fontsize=9, parse_math=False)
        locator = dates.AutoDateLocator(minticks=2, maxticks=5)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    for axes in places[len(shown) :]:
        axes.set_axis_off()
    return _png(drawing)


def _pictures(pictures: dict[str, Any]) -> bytes:
    drawing = blank_figure(2.6 * len(pictures), 2.7, dpi=100)
    for axes, (name, image) in zip(np.ravel(drawing.subplots(1, len(pictures))), pictures.items(), strict=True):
        low, high = np.percentile(image, (0.5, 99.8))
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=8)
    return _png(drawing)


def _png(drawing: Any) -> bytes:
    stream = io.BytesIO()
    drawing.savefig(stream, format="png")
    return stream.getvalue()
