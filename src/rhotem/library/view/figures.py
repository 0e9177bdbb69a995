"""Plots of the page: images with scale bar and columns, the diffraction pattern with the detector's ring."""

from typing import Any

import numpy as np

from rhotem.library.view.desk import Desk, Diffraction
from rhotem.library.view.picture import Picture
from rhotem.library.view.toolkit import figure, models
from rhotem.microscope.pictures import BARS, PATTERN_RANGE

#: Colour maps by the name that they are offered by; palettes of Bokeh.
MAPS = {"grey": "Greys256", "viridis": "Viridis256", "inferno": "Inferno256"}
#: Sides in pixels of images before they are drawn, and of the pattern.
SIDE, PATTERN_SIDE = 460, 220
#: Colours of columns by the order in which their kinds are met: Okabe and Ito's, told apart by all eyes.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def palette(name: str) -> tuple[str, ...]:
    """Colours of a map, dark first."""
    from bokeh import palettes

    colours = tuple(getattr(palettes, MAPS[name]))
    return colours if _brightness(colours[0]) < _brightness(colours[-1]) else colours[::-1]


def _brightness(colour: str) -> int:
    return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))


class ImagePlot:
    """One image: x to the right, y downwards, with a scale bar, columns and a colour bar."""

    def __init__(self, name: str) -> None:
        self.data = models().ColumnDataSource(
            {"image": [np.zeros((2, 2), np.float32)], "w": [1.0], "h": [1.0]}, name=f"{name}_data"
        )
        self.bar = models().ColumnDataSource({"x": [0.0], "y": [0.0], "w": [1.0], "h": [1.0], "text": [""]})
        self.box = models().ColumnDataSource({"x": [0.0], "y": [0.0], "w": [1.0], "h": [1.0]})
        self.columns = models().ColumnDataSource({"x": [], "y": [], "label": [], "colour": []}, name=f"{name}_columns")
        self.mapper = models().LinearColorMapper(palette=palette("grey"), low=0.0, high=1.0)
        self.plot = figure(
            name=name,
            frame_width=SIDE,
            frame_height=SIDE,
            x_range=(0.0, 1.0),
            y_range=(1.0, 0.0),
            tools="pan,wheel_zoom,box_zoom,reset,hover",
            toolbar_location="above",
            tooltips=[("x, y (Å)", "$x{0.00}, $y{0.00}"), ("value", "@image")],
            title=" ",
            output_backend="canvas",
        )
        plot = self.plot
        drawn = plot.image("image", x=0, y=0, dw="w", dh="h", source=self.data, color_mapper=self.mapper)
        plot.hover.renderers = [drawn]
        plot.toolbar.logo = None
        plot.grid.visible = False
        plot.axis.major_tick_line_color = plot.axis.minor_tick_line_color = None
        plot.axis.major_label_text_font_size = "0px"
        plot.axis.axis_line_color = None
        plot.title.text_font_size = "13px"
        self.spots = plot.scatter(
            "x", "y", source=self.columns, size=10, fill_alpha=0, line_color="colour", line_width=1.5, visible=False
        )
        self.names = plot.text(
            "x", "y", "label", source=self.columns, x_offset=6, y_offset=-4, text_color="colour", visible=False
        )
        self.names.glyph.text_font_size = "11px"
        self._draw_bar(plot)
        self.colour_bar = models().ColorBar(color_mapper=self.mapper, width=12, title="")
        plot.add_layout(self.colour_bar, "right")

    def _draw_bar(self, plot: Any) -> None:
        """A white bar with its length on a dark box."""
        plot.rect("x", "y", "w", "h", source=self.box, fill_color="black", fill_alpha=0.6, line_color=None)
        plot.rect("x", "y", "w", "h", source=self.bar, fill_color="white", line_color=None)
        words: Any = {"text_font_size": "13px", "text_align": "center", "text_color": "white"}
        plot.text("x", "y", "text", source=self.bar, y_offset=-5, **words)

    def show(self, picture: Picture, scale: tuple[float, float], title: str, side: int) -> None:
        """Draw another image on a scale."""
        width, height = picture.scan.size
        values = np.ascontiguousarray(picture.values.T, dtype=np.float32)
        plot = self.plot
        if (plot.x_range.end, plot.y_range.start) != (width, height):
            plot.x_range.update(start=0, end=width)
            plot.y_range.update(start=height, end=0)
        largest = max(width, height)
        frame = {"frame_width": round(side * width / largest), "frame_height": round(side * height / largest)}
        if frame != {key: getattr(plot, key) for key in frame}:
            plot.update(**frame)
        length = max((b for b in BARS if b <= 0.3 * width), default=BARS[0])
        text = f"{length / 10:g} nm" if length >= 10 else f"{length:g} Å"
        pixel = largest / side
        x, y = 14 * pixel + length / 2, height - 14 * pixel
        self.bar.data = {"x": [x], "y": [y], "w": [length], "h": [5 * pixel], "text": [text]}
        self.box.data = {"x": [x], "y": [y - 8 * pixel], "w": [length + 14 * pixel], "h": [32 * pixel]}
        self.mapper.update(low=scale[0], high=scale[1])
        quantity = picture.unit or "fraction of beam"
        if self.colour_bar.title != quantity:
            self.colour_bar.title = quantity
        plot.title.text = title
        self.data.data = {"image": [values], "w": [width], "h": [height]}

    def show_columns(self, desk: Desk, visible: bool) -> None:
        """Draw columns with their labels, or none."""
        self.spots.visible = self.names.visible = visible
        if not visible:
            return
        labels, places, named = desk.columns()
        kinds = list(dict.fromkeys(label for label, _, _ in desk.opened.entry.columns))
        colours = [COLOURS[kinds.index(label) % len(COLOURS)] for label in labels]
        said = [label if known else "" for label, known in zip(labels, named, strict=True)]
        self.columns.data = {"x": places[:, 0], "y": places[:, 1], "label": said, "colour": colours}


class PatternPlot:
    """Position-averaged diffraction, grey by the logarithm, with the aperture and the ring of the detector."""

    def __init__(self) -> None:
        none = {"image": [np.ones((2, 2), np.float32)], "x": [-1.0], "y": [-1.0], "w": [2.0], "h": [2.0]}
        self.data = models().ColumnDataSource(none, name="pattern_data")
        self.rings = models().ColumnDataSource({"r": [], "colour": []}, name="pattern_rings")
        self.mapper = models().LogColorMapper(palette=palette("grey"), low=1e-8, high=1.0)
        self.plot = figure(
            name="pattern",
            frame_width=PATTERN_SIDE,
            frame_height=PATTERN_SIDE,
            x_range=(-1.0, 1.0),
            y_range=(1.0, -1.0),
            tools="hover",
            toolbar_location=None,
            tooltips=[("kx, ky (mrad)", "$x{0.0}, $y{0.0}"), ("fraction of beam", "@image")],
            title="PACBED, logarithmic",
            x_axis_label="kx (mrad)",
            y_axis_label="ky (mrad)",
        )
        plot = self.plot
        drawn = plot.image("image", x="x", y="y", dw="w", dh="h", source=self.data, color_mapper=self.mapper)
        plot.hover.renderers = [drawn]
        plot.circle(x=0, y=0, radius="r", source=self.rings, fill_alpha=0, line_color="colour", line_width=1.5)
        plot.grid.visible = False
        plot.title.text_font_size = "13px"
        plot.add_layout(models().ColorBar(color_mapper=self.mapper, width=10, title="beam/px"), "right")

    def show(self, shown: Diffraction | None, radii: dict[float, str]) -> None:
        """Draw a pattern, and circles of these radii (mrad) in their colours; None: there is none."""
        plot = self.plot
        plot.visible = shown is not None
        if shown is None:
            return
        x, y = (0.5 * n * step for n, step in zip(shown.values.shape, shown.step, strict=True))
        most = float(shown.values.max()) or 1.0
        self.mapper.update(low=PATTERN_RANGE * most, high=most)
        values = np.maximum(shown.values.T, PATTERN_RANGE * most).astype(np.float32)
        self.data.data = {"image": [values], "x": [-x], "y": [-y], "w": [2 * x], "h": [2 * y]}
        if plot.x_range.end != x:
            plot.x_range.update(start=-x, end=x)
            plot.y_range.update(start=y, end=-y)
        inside = {r: c for r, c in radii.items() if 0 < r <= min(x, y)}
        self.rings.data = {"r": list(inside), "colour": list(inside.values())}
