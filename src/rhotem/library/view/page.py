"""The page of one person: entry, sliders, images and pattern, and what may be saved."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhotem.core import RhoTEMError
from rhotem.library.view import words
from rhotem.library.view.beside import Beside
from rhotem.library.view.desk import ALL, Desk, Seen
from rhotem.library.view.entries import Entry
from rhotem.library.view.figures import MAPS, ImagePlot, PatternPlot, palette
from rhotem.library.view.knobs import Knobs
from rhotem.library.view.panel import DensityPanel
from rhotem.library.view.report import png
from rhotem.library.view.shelf import Shelf
from rhotem.library.view.toolkit import models

if TYPE_CHECKING:
    from bokeh.document import Document

#: Folder of the page's template, style and script.
FILES = Path(__file__).parent / "files"
#: Milliseconds within which changes are drawn together.
TOGETHER = 15
#: Milliseconds without a change after which the sliders that both sides moved are settled.
REST = 300
#: Entries that the list shows at most.
LISTED = 200
#: Size in pixels of a window that has not said its own.
WINDOW = (1366, 768)
#: Pixels that sliders and pattern take beside the images, axes and half a colour bar around each, and what stands
#: above and below them; least and most side of an image.
BESIDE, FRAME, ABOVE, SIDES = 725, 77, 210, (130, 900)
#: Entry to compare with, where there is none.
NO_TWIN = ("", "nothing")
#: And where there are several.
ALL_TWINS = (ALL, "two others together")


class Page:
    """What one browser window shows.

    Parameters
    ----------
    doc : Document
        Of Bokeh; gets roots ``chooser``, ``knobs``, ``images``, ``side`` and a template.
    entries : sequence of Entry
    """

    def __init__(self, doc: "Document", entries: Sequence[Entry]) -> None:
        self.doc, self.desk = doc, Desk(entries)
        self.scale: tuple[float, float] | None = None
        self._waiting = False
        self._settling: Any = None
        self.image, self.pattern, self.density = ImagePlot("image"), PatternPlot(), DensityPanel(self._try)
        self.others = (ImagePlot("other"), ImagePlot("third"))
        beside = Beside(doc, lambda why: self.shelf.nothing_came(why))
        self.shelf = Shelf(self.desk, self._try, self._choose, self._say, beside)
        for other in self.others:
            other.plot.update(x_range=self.image.plot.x_range, y_range=self.image.plot.y_range, toolbar_location=None)
        self._words()
        self._choosers()
        self.sliders = models().Column(name="knobs", sizing_mode="stretch_width")
        self.file = models().ColumnDataSource({"name": [], "kind": [], "content": []}, name="file")
        self.file.js_on_change("data", models().CustomJS(args={"file": self.file}, code="rhotemSave(file)"))
        self.window = models().ColumnDataSource({"width": [WINDOW[0]], "height": [WINDOW[1]]}, name="window")
        self.window.on_change("data", lambda attr, old, new: self.draw())
        chosen = [self.words, self.entry, self.shown, self.twin, self.map, self.marks]
        roots = (
            models().Column(children=chosen, name="chooser", sizing_mode="stretch_width"),
            self.sliders,
            models().Row(children=[self.image.plot, *(other.plot for other in self.others)], name="images"),
            models().Column(children=[self.pattern.plot, self._saving()], name="side"),
            *self.density.roots,
            *(self.shelf.root, self.shelf.sent, self.caption, self.status, self.file, self.window),
        )
        with doc.models.freeze():  # it counts its models once, not for every root
            for root in roots:
                doc.add_root(root)
        page: Any = doc  # a template may be a text
        page.template, doc.title = (FILES / "page.html").read_text(), "RhoTEM: virtual microscope"
        doc.template_variables.update(style=(FILES / "page.css").read_text(), script=(FILES / "page.js").read_text())
        self.entered()
        self.shelf.show("")

    def _words(self) -> None:
        self.caption = models().Div(text="", name="caption", sizing_mode="stretch_width")
        self.status = models().Div(text="", name="status", sizing_mode="stretch_width")

    def _choosers(self) -> None:
        wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
        self.words = models().TextInput(title="Find an entry: formula, zone, density", name="find", **wide)
        self.words.on_change("value_input", lambda attr, old, new: self._searched(new))
        self.entry = models().Select(title="Entry", name="entry", **wide)
        self.entry.on_change("value", lambda attr, old, new: self._try(lambda: self._choose(new)))
        self.shown = models().Select(title="Image", name="shown", **wide)
        self.shown.on_change("value", lambda attr, old, new: self._turned({"image": new}))
        self.twin = models().Select(
            title="Compare with, on one scale", name="twin", options=[NO_TWIN], value="", **wide
        )
        self.twin.on_change("value", lambda attr, old, new: self._try(lambda: self._compare(new)))
        self.map = models().Select(title="Colours", name="map", options=list(MAPS), value="grey", **wide)
        self.map.on_change("value", lambda attr, old, new: self._colour(new))
        self.marks = models().CheckboxGroup(
            labels=["columns and labels", "keep the scale of grey"], active=[], name="marks", **wide
        )
        self.marks.on_change("active", lambda attr, old, new: self._marked())

    def _saving(self) -> Any:
        rows = (("Save picture", self._save_picture), ("Save settings", self._save_settings),
                ("Save plan", self._save_plan), ("Save line of Python", self._save_python),
                ("Draw other electrons", self._other_electrons))  # fmt: skip
        buttons = []
        for label, act in rows:
            button = models().Button(label=label, name=label, width=220)
            button.on_click(lambda act=act: self._try(act))
            buttons.append(button)
        self.electrons = buttons[-1]  # there are none to draw without a dose
        return models().Column(children=buttons)

    # -- what a person does ----------------------------------------------------------------------------------------

    def entered(self) -> None:
        """Show the open entry with sliders of its own."""
        self.knobs = Knobs(self.desk.limits, self.desk.settings, self._turned)
        inside: list[Any] = []
        if self.desk.limits.why:
            inside.append(models().Div(text=f"<p>{_escaped(self.desk.limits.why)}</p>", name="why"))
        for group, sliders in self.knobs.groups:
            inside.append(
                models().Div(text=f"<h2>{group}</h2>", stylesheets=[":host h2 {font-size: 13px; margin: 6px 0 0}"])
            )
            for slider in sliders:
                slider.sizing_mode = "stretch_width"
                inside.append(slider)
        self.sliders.children = inside
        self._list()
        names = list(self.desk.limits.detectors)
        self.shown.update(options=names, value=self.desk.settings.image)
        twins = _titled(self.desk.twins)
        every = [ALL_TWINS] if len(twins) > 1 else []
        self.twin.update(options=[NO_TWIN, *every, *twins], value=self.desk.compared)
        self.twin.disabled = not twins
        self.scale = None
        self.draw()

    def _list(self) -> None:
        here = self.desk.opened.entry
        found = [e for e in self.desk.found(self.words.value_input or "") if e is not here][: LISTED - 1]
        listed = sorted([here, *found], key=lambda entry: entry.id)
        self.entry.update(options=_titled(listed), value=here.id)

    def _searched(self, words: str) -> None:
        self._list()
        self.shelf.show(words)

    def _choose(self, identifier: str) -> None:
        if identifier != self.desk.opened.entry.id:
            self.desk.choose(identifier)
            self.entered()

    def _compare(self, identifier: str) -> None:
        if identifier != self.desk.compared:
            self.desk.compare(identifier)
            self.draw()

    def _colour(self, name: str) -> None:
        for plot in (self.image, *self.others):
            plot.mapper.palette = palette(name)

    def _marked(self) -> None:
        if 1 not in self.marks.active:
            self.scale = None
        self.draw()

    def _turned(self, changes: dict[str, Any]) -> None:
        """A slider moved: what is drawn follows soon, for all that moved by then."""
        if "aberrations" in changes:
            changes = {"aberrations": {**self.desk.settings.aberrations, **changes["aberrations"]}}
        if changes and self._try(lambda: self.desk.set(**changes)) and not self._waiting:
            self._waiting = True
            self.doc.add_timeout_callback(self.draw, TOGETHER)

    def _try(self, act: Any) -> bool:
        """Do it, or say in one line why not, and show what is set."""
        try:
            act()
        except RhoTEMError as error:
            self._say(" ".join(str(error).split()))
            self.knobs.show(self.desk.settings)
            self._list()
            self.twin.value = self.desk.compared
            return False
        return True

    def _say(self, text: str) -> None:
        from html import escape

        self.status.text = f"<p role='status'>{escape(text)}</p>"

    # -- what is seen ----------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Images and pattern as set."""
        self._waiting = False
        seen = self.desk.see()
        if 1 not in self.marks.active or self.scale is None:
            self.scale = seen.scale
        self._draw_images(seen, self.scale)
        settings = self.desk.settings
        detector = self.desk.limits.ring(settings)
        ring = "#D55E00"
        radii = {detector.outer: ring, getattr(detector, "inner", 0.0): ring, settings.convergence_mrad: "#56B4E9"}
        self.pattern.show(seen.diffraction, radii)
        self.density.show(self.desk)
        if self.shown.value != settings.image:
            self.shown.value = settings.image
        self.knobs.show(settings)
        self._settle_later()
        self.caption.text = f"<p>{_escaped(seen.caption)}</p>"
        self.electrons.disabled = not settings.dose_e_per_A2
        self._say(f"computed in {1e3 * seen.seconds:.0f} ms")

    def _settle_later(self) -> None:
        """Say where contested sliders stand once nothing has changed for a while: not under a hand that moves."""
        if self._settling is not None:
            self.doc.remove_timeout_callback(self._settling)
            self._settling = None
        if self.knobs.contested:
            self._settling = self.doc.add_timeout_callback(self._settle, REST)

    def _settle(self) -> None:
        self._settling = None
        self.knobs.repeat()

    def _draw_images(self, seen: Seen, scale: tuple[float, float]) -> None:
        width, height = (int(self.window.data[key][0]) for key in ("width", "height"))
        room, number = width - BESIDE, 1 + len(seen.others)
        side = int(min(max(min(room / number - FRAME, height - ABOVE), SIDES[0]), SIDES[1]))
        source = self.desk.opened.entry.source
        self.image.show(seen.image, scale, f"{seen.image.name}, {source}" if source else seen.image.name, side)
        marked = 0 in self.marks.active
        self.image.show_columns(self.desk, marked)
        for plot, shown, opened in zip(self.others, seen.others, self.desk.others, strict=False):
            plot.show(shown, scale, f"{shown.name}, {opened.entry.source}", side)
            plot.show_columns(self.desk, marked)
        for place, plot in enumerate((self.image, *self.others)):
            plot.plot.visible = place < number
            plot.colour_bar.visible = place == number - 1  # one scale, one bar
        labels = self.desk.opened.entry.labels if not self.desk.settings.scan_rotation_deg else {}
        for plot in (self.image.plot, *(other.plot for other in self.others), self.density.map.plot):
            plot.xaxis.axis_label = f"{labels['x']} →" if labels.get("x") else "x →"
            plot.yaxis.axis_label = f"{labels['up']} →" if labels.get("up") else "← y"

    # -- what is saved ---------------------------------------------------------------------------------------------

    def _save(self, name: str, kind: str, content: bytes) -> None:
        self.file.data = {"name": [name], "kind": [kind], "content": [base64.b64encode(content).decode()]}

    def _save_picture(self) -> None:
        shown = png(self.desk.opened, self.desk.settings, [self.desk.settings.image])
        self._save(f"{self.desk.settings.image}.png", "image/png", shown)

    def _save_settings(self) -> None:
        self._save("settings.yaml", "text/yaml", words.settings_text(self.desk.opened, self.desk.settings).encode())

    def _save_plan(self) -> None:
        self._save("plan.yaml", "text/yaml", words.plan_text(self.desk.opened, self.desk.settings).encode())

    def _save_python(self) -> None:
        self._save("picture.py", "text/x-python", words.python_lines(self.desk.opened, self.desk.settings).encode())

    def _other_electrons(self) -> None:
        self.desk.set(seed=self.desk.settings.seed + 1)
        self.draw()


def _titled(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Ids and titles that differ."""
    titles = [entry.title for entry in entries]
    return [(e.id, e.title if titles.count(e.title) == 1 else f"{e.title}, {e.id}") for e in entries]


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)
