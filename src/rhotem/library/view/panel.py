"""The panel of the density below the images: a slice of the difference to free atoms, and the map of error bars."""

from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np

from rhotem.library.density.slices import SIDE, slice_of
from rhotem.library.view.densities import (
    NAMED,
    Plane,
    error_map,
    first_plane,
    name_of,
    scale_of,
    words_of_map,
    words_of_slice,
)
from rhotem.library.view.desk import Desk
from rhotem.library.view.entries import Opened
from rhotem.library.view.figures import COLOURS, ImagePlot, palette
from rhotem.library.view.toolkit import figure, models

#: Side in pixels of the slice and the map.
PANEL = 250


class SlicePlot:
    """Δn in a plane of the crystal, blue below and red above zero, with the atoms near it."""

    def __init__(self) -> None:
        from bokeh.palettes import RdBu11, interp_palette

        self.data = models().ColumnDataSource({"image": [np.zeros((2, 2), np.float32)]}, name="slice_data")
        self.atoms = models().ColumnDataSource({"x": [], "y": [], "label": [], "colour": []}, name="slice_atoms")
        self.mapper = models().LinearColorMapper(palette=interp_palette(RdBu11, 255), low=-1.0, high=1.0)
        self.plot = figure(
            name="slice",
            frame_width=PANEL,
            frame_height=PANEL,
            x_range=(0.0, SIDE),
            y_range=(0.0, SIDE),
            tools="hover",
            toolbar_location=None,
            tooltips=[("Å", "$x{0.00}, $y{0.00}"), ("e/Å³", "@image")],
            title=" ",
            x_axis_label="Å",
            y_axis_label="Å",
        )
        plot = self.plot
        drawn = plot.image("image", x=0, y=0, dw=SIDE, dh=SIDE, source=self.data, color_mapper=self.mapper)
        plot.hover.renderers = [drawn]
        plot.grid.visible = False
        plot.title.text_font_size = "13px"
        plot.scatter("x", "y", source=self.atoms, size=9, fill_alpha=0, line_color="colour", line_width=1.5)
        names = plot.text("x", "y", "label", source=self.atoms, x_offset=6, y_offset=-4, text_color="black")
        names.glyph.text_font_size = "11px"
        plot.add_layout(models().ColorBar(color_mapper=self.mapper, width=10, title="e/Å³"), "right")

    def show(self, opened: Opened, plane: Plane) -> str:
        """Draw a plane; returns what it shows in words."""
        held = opened.summary()
        cut = slice_of(held, plane.indices, plane.height)
        most = scale_of(cut)
        self.mapper.update(low=-most, high=most)
        self.data.data = {"image": [np.ascontiguousarray(cut.values.T, dtype=np.float32)]}
        kinds = sorted(set(cut.labels))
        colours = [COLOURS[kinds.index(label) % len(COLOURS)] for label in cut.labels]
        self.atoms.data = {"x": cut.places[:, 0], "y": cut.places[:, 1], "label": cut.labels, "colour": colours}
        self.plot.title.text = f"Δn in {plane.name}"
        self.plot.xaxis.axis_label = f"[{' '.join(map(str, cut.right))}] → (Å)"
        return words_of_slice(held, plane, cut)


class DensityPanel:
    """Slice and map with their knobs and words.

    Parameters
    ----------
    attempt : callable
        Does something that a person asked for, and says why it cannot be.
    """

    def __init__(self, attempt: Callable[[Callable[[], None]], bool]) -> None:
        self._plane: Plane | None = None
        self._shown: tuple[Any, ...] = ()
        self._telling = False
        self.slice, self.map = SlicePlot(), ImagePlot("error_bars")
        self.map.plot.update(toolbar_location=None)
        self.map.mapper.palette = palette("viridis")
        self.words = models().Div(text="", name="density_words", sizing_mode="stretch_width")
        self.plane = models().Select(title="Plane of the standard cell", name="plane", options=list(NAMED), width=200)
        self.height = models().Slider(
            title="Height (plane spacings)", name="height", start=0.0, end=1.0, step=0.01, value=0.0, width=200
        )
        self.plane.on_change("value", lambda attr, old, new: attempt(self._turned))
        self.height.on_change("value", lambda attr, old, new: attempt(self._turned))
        self._opened: Opened | None = None
        self.knobs = models().Column(children=[self.plane, self.height], name="density_knobs")
        self.row = models().Row(children=[self.slice.plot, self.map.plot], name="density")
        #: what the page embeds
        self.roots = (self.knobs, self.row, self.words)

    def show(self, desk: Desk) -> None:
        """Draw what is set on a desk; nothing is sent again that did not change."""
        opened, settings = desk.opened, desk.settings
        if opened is not self._opened:
            self._opened, self._plane = opened, None if opened.density is None else first_plane(opened.density)
            self._draw_slice()
        asked = (opened, settings.field_of_view_A, settings.scan_step_A, settings.scan_rotation_deg)
        if asked != self._shown:
            self._shown = asked
            shown = error_map(opened, settings)
            self.map.plot.visible = shown is not None
            if shown is not None:
                self.map.show(shown, (0.0, float(shown.values.max())), "90 % error bar of the potential (V)", PANEL)

    def _turned(self) -> None:
        """The plane that the knobs say, whatever a client sends."""
        if self._telling or self._plane is None or self.plane.value not in NAMED:
            return
        height = float(np.clip(self.height.value, 0.0, 1.0))
        asked = Plane(NAMED[self.plane.value], height)
        if asked != self._plane:
            self._plane = asked
            self._draw_slice()

    def _draw_slice(self) -> None:
        opened, plane = self._opened, self._plane
        self.row.visible = self.knobs.visible = plane is not None
        if opened is None or plane is None:
            self.words.text = f"<p>{escape(opened.without)}</p>" if opened is not None else ""
            return
        said = self.slice.show(opened, plane)
        self._telling = True  # both knobs, before either is read
        self.plane.value, self.height.value = name_of(plane.indices), plane.height
        self._telling = False
        self.words.text = f"<p>{escape(said)}</p><p>{escape(words_of_map(opened))}</p>"
