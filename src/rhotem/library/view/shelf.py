"""The table of entries below the panels: searched by contrast, similar structure or a picture; a row opens one."""

import base64
from collections.abc import Callable

from rhotem.core import InputError
from rhotem.library.view.beside import Beside
from rhotem.library.view.desk import Desk
from rhotem.library.view.entries import Entry
from rhotem.library.view.finder import LISTED, Found, catalogued, found, library_of, look_alikes
from rhotem.library.view.toolkit import models
from rhotem.library.view.upload import ENDINGS, MOST, PART, Upload, read, short

#: A picture of one pixel, where an entry has none.
BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
#: Why some knobs do nothing.
WITHOUT = (
    "Contrasts, like structures and pictures are searched in libraries of campaigns, whose catalogue these folders "
    "lack."
)
#: The button that the page's script knows.
ASKED = "Entries that look like a picture…"
#: Height of a row and of the table in pixels.
ROW, HEIGHT = 48, 320
#: Columns with text, and their widths in pixels.
WIDTHS = {"title": 260, "formula": 110, "zone": 70, "source": 130}


class Shelf:
    """Entries as a table.

    Parameters
    ----------
    desk : Desk
    attempt : callable
        Does something that a person asked for, and says why it cannot be.
    choose : callable
        Opens an entry by its identifier.
    say : callable
        Shows a line.
    beside : Beside
        Where pictures are read and searched for.
    """

    def __init__(
        self,
        desk: Desk,
        attempt: Callable[[Callable[[], None]], bool],
        choose: Callable[[str], None],
        say: Callable[[str], None],
        beside: Beside,
    ) -> None:
        self._beside = beside
        self._desk, self._attempt, self._choose, self._say, self._words = desk, attempt, choose, say, ""
        self._like: Entry | None = None
        self.rows: list[Found] = []
        bare: dict[str, list[str]] = {
            name: [] for name in ("id", "title", "formula", "zone", "source", "why", "picture")
        }
        self.data = models().ColumnDataSource(bare, name="shelf_data")
        kind, picture = models().TableColumn, '<img src="<%= value %>" alt="" style="height: 44px">'
        columns = [
            kind(field="picture", title="image", width=110, formatter=models().HTMLTemplateFormatter(template=picture)),
            *(kind(field=name, title=name, width=width) for name, width in WIDTHS.items()),
            kind(field="why", title="found by", width=190),
        ]
        self.table = models().DataTable(
            source=self.data,
            columns=columns,
            row_height=ROW,
            height=HEIGHT,
            index_position=None,
            reorderable=False,
            sizing_mode="stretch_width",
            name="shelf_table",
        )
        self.contrast = models().TextInput(
            title="Contrast, as ABF Li contrast > 0.1 at 1e4 e/A2, 5-15 nm", name="contrast", width=400
        )
        self.like = models().Button(label="Structures like the open one", name="like", width=220)
        self.all = models().Button(label="All entries", name="all", width=120)
        self.contrast.on_change("value", lambda attr, old, new: self._ask(None))
        self.like.on_click(lambda: self._ask(self._desk.opened.entry))
        self.all.on_click(self._everything)
        self.data.selected.on_change("indices", lambda attr, old, new: self._picked(new))
        self.pixel = models().TextInput(title="Its pixel in Å, if the file does not say", name="pixel", width=200)
        self.picture = models().Button(label=ASKED, name="picture_search", width=260)
        # the script of the page opens the dialogue itself: browsers allow that only within the person's own press
        bare_part: dict[str, list[str]] = {name: [] for name in ("name", "size", "place", "content")}
        self.sent = models().ColumnDataSource(bare_part, name="sent", tags=[MOST, PART, ",".join(ENDINGS)])
        self.sent.on_change("data", lambda attr, old, new: self._attempt(lambda: self._taken(new)))
        self._upload = Upload()
        for knob in (self.contrast, self.like, self.pixel, self.picture):
            knob.disabled = library_of(desk) is None
        self.without = models().Div(text=f"<p>{WITHOUT}</p>", visible=self.like.disabled, name="without_catalogue")
        asked = models().Row(
            children=[
                self.contrast,
                models().Column(children=[self.like, self.all]),
                models().Column(children=[self.picture, self.pixel]),
            ]
        )
        parts = [asked, self.without, self.table]
        self.root = models().Column(children=parts, name="shelf", sizing_mode="stretch_width")

    def show(self, words: str) -> None:
        """List what is asked, and holds these words."""
        self._words = words
        self._attempt(self._list)

    def _ask(self, like: Entry | None) -> None:
        self._like = like
        self._attempt(self._list)

    def _everything(self) -> None:
        self._like = None
        if self.contrast.value:
            self.contrast.value = ""  # its change lists all
        else:
            self._attempt(self._list)

    def _taken(self, part: dict[str, list]) -> None:
        """A part of a picture came; all of it: entries that look like it are listed."""
        if not part.get("name"):
            return
        whole = self._upload.take(part)
        if whole is None:
            return
        if self._beside.busy:
            raise InputError("a picture is being searched for; send the next one when its entries are listed")
        name, content = whole
        pixel, library = self._pixel(), catalogued(self._desk)
        self._say(f"entries that look like {short(name)} are being searched for")
        self._beside.do(lambda: look_alikes(library, self._desk.entries, read(name, content, pixel)), self._searched)

    def _searched(self, found: tuple[list[Found], str]) -> None:
        """Entries that a picture looks like were found, or none."""
        rows, words = found
        self._show(rows)
        self._say(words)

    def nothing_came(self, why: str) -> None:
        """A search came to nothing: say why."""
        self._say(why)

    def _pixel(self) -> float | None:
        text = self.pixel.value.strip()
        try:
            return float(text) if text else None
        except ValueError:
            raise InputError(f"pixel {text[:20]}: expected a number in Å, as 0.12") from None

    def _list(self) -> None:
        contrast = "" if self._like is not None else self.contrast.value
        self._show(found(self._desk, self._words, contrast, self._like))

    def _show(self, rows: list[Found]) -> None:
        self.rows = rows
        self.data.selected.indices = []
        entries = [row.entry for row in self.rows]
        self.data.data = {
            "id": [entry.id for entry in entries],
            "title": [entry.name or entry.id for entry in entries],
            "formula": [entry.formula for entry in entries],
            "zone": [entry.zone for entry in entries],
            "source": [entry.source for entry in entries],
            "why": [row.why for row in self.rows],
            "picture": [_address(row.thumbnail) for row in self.rows],
        }

    def _picked(self, places: list[int]) -> None:
        """Open the row that was chosen; a client may say any number."""
        if len(places) == 1 and isinstance(places[0], int) and 0 <= places[0] < min(len(self.rows), LISTED):
            name = self.rows[places[0]].entry.id
            self._attempt(lambda: self._choose(name))


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}" if png else BLANK
