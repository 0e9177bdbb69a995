"""A page of one entry that opens from disk: pictures inside, no server, nothing from elsewhere."""

import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.core.output import output_file
from rhotem.core.page import figure, page
from rhotem.library.view import words
from rhotem.library.view.density_figure import draw_density
from rhotem.library.view.entries import Entry, Opened, open_entry, twins
from rhotem.library.view.picture import Picture, picture
from rhotem.library.view.settings import NM, ViewSettings
from rhotem.microscope.images import ImageSet
from rhotem.microscope.pictures import draw_images, draw_pacbed
from rhotem.microscope.settings import angles

#: Images of a report at most.
MOST = 4


def png(opened: Opened, settings: ViewSettings, names: Sequence[str]) -> bytes:
    """Images by name at these settings as PNG, with scale bar, colour bar, units and what they were made from."""
    shown = {name: picture(opened.limits, settings.changed(image=name, **_own_ring(settings, name))) for name in names}
    return _drawn(lambda path: draw_images(_set_of(shown), path, _caption(opened, settings, names), list(names)))


def pattern_png(opened: Opened, settings: ViewSettings) -> bytes | None:
    """The position-averaged pattern as PNG; None where none is kept at this thickness and aperture."""
    if opened.patterns is None:
        return None
    try:
        held = opened.patterns.images(thickness=NM * settings.thickness_nm, convergence=settings.convergence_mrad)
    except InputError:
        return None
    return _drawn(lambda path: draw_pacbed(held, path, _caption(opened, settings, ())))


def write_report(entry: Entry, path: str | Path, others: Sequence[Entry] = ()) -> None:
    """Write the page of an entry at the settings where the view begins, complete or not there.

    Parameters
    ----------
    entry : Entry
    path : path
        Ends in .html.
    others : sequence of Entry
        Among which twins of another density are looked for.

    Raises
    ------
    InputError
        If the name ends otherwise, or it cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{target}: a report is written to .html; name it so")
    opened = open_entry(entry)
    page = _page(opened, [open_entry(one) for one in twins(entry, others)])
    with output_file(target) as part:
        part.write_text(page, encoding="utf-8")


def _page(opened: Opened, compared: Sequence[Opened]) -> str:
    settings, limits = opened.limits.start(), opened.limits
    names = [name for name in limits.detectors if name[-1] not in "xy" and name[:4] != "dDPC"][:MOST]
    parts = [f"<h1>{escape(opened.entry.title)}</h1>"]
    for depth in limits.thicknesses:
        there = settings.changed(thickness_nm=depth)
        parts.append(f"<h2>{depth:.4g} nm</h2>")
        parts.append(figure(png(opened, there, names), words.caption(opened, there)))
    for other in compared:
        parts.append(
            figure(png(other, settings, names), f"The same from another density. {words.caption(other, settings)}")
        )
    pattern = pattern_png(opened, settings)
    if pattern is not None:
        parts.append(figure(pattern, f"Position-averaged diffraction pattern at {settings.thickness_nm:.4g} nm"))
    parts.append("<h2>Density</h2>")
    if opened.density is None:
        parts.append(f"<p>{escape(opened.without)}</p>")
    else:
        with tempfile.TemporaryDirectory(prefix="rhotem-") as folder:
            path = Path(folder) / "density.png"
            caption = draw_density(opened, settings, path)
            parts.append(figure(path.read_bytes(), caption))
    rows = "".join(
        f"<tr><th scope='row'>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in words.table(opened, settings)
    )
    parts.append(f"<h2>Settings</h2><table>{rows}</table>")
    parts.append(f"<h2>The same in Python</h2><pre>{escape(words.python_lines(opened, settings))}</pre>")
    if opened.entry.has_plan:
        parts.append(f"<h2>Plan of one run</h2><pre>{escape(words.plan_text(opened, settings))}</pre>")
    return page(f"RhoTEM: {opened.entry.title}", "".join(parts))


def _own_ring(settings: ViewSettings, name: str) -> dict[str, Any]:
    """Of another image than that which is set the ring is that of its detector."""
    return {} if name == settings.image else {"inner_mrad": None, "outer_mrad": None}


def _set_of(shown: dict[str, Picture]) -> ImageSet:
    scan = next(iter(shown.values())).scan
    return ImageSet({name: one.values for name, one in shown.items()}, scan, np.zeros((0, 0)), (0.0, 0.0))


def _caption(opened: Opened, settings: ViewSettings, names: Sequence[str]) -> dict[str, Any]:
    """What `rhotem.microscope.pictures` says beside images."""
    limits, lens = opened.limits, settings.aberrations
    rings = {name: angles(limits.ring(settings.changed(image=name, **_own_ring(settings, name)))) for name in names}
    words_of_lens = [f"defocus {settings.defocus_nm:.4g} nm"] if settings.defocus_nm else []
    words_of_lens += [f"{k} {v:.4g}°" if k[0] == "p" else f"{k} {words.length(v)}" for k, v in lens.items() if v]
    words_of_lens += [f"source {settings.source_size_A:g} Å"] if settings.source_size_A else []
    words_of_lens += [f"scan turned by {settings.scan_rotation_deg:g}°"] if settings.scan_rotation_deg else []
    labels = opened.entry.labels
    return {
        "labels": {"zone": labels.get("zone", "")} if settings.scan_rotation_deg else labels,
        "source": opened.entry.source,
        "no_tds": limits.response.record.get("configurations", 1) < 2,
        "dose": settings.dose_e_per_A2,
        "energy_keV": limits.response.microscope.energy / 1e3,
        "convergence_mrad": settings.convergence_mrad,
        "thickness_nm": settings.thickness_nm,
        "lens": ", ".join(words_of_lens),
        "angles": rings,
    }


def _drawn(draw: Any) -> bytes:
    """What is drawn into a file."""
    with tempfile.TemporaryDirectory(prefix="rhotem-") as folder:
        path = Path(folder) / "drawn.png"
        draw(path)
        return path.read_bytes()
