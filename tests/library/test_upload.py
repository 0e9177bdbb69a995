"""Pictures that a person sends to the page: in parts, limited, read apart, searched for; what is none is refused."""

import base64
import threading
import zlib

import h5py
import numpy as np
import pytest
from bokeh.document import Document
from PIL import Image

from rhotem.core import InputError
from rhotem.library.view import parse, shelf, upload
from rhotem.library.view.entries import entries_in
from rhotem.library.view.finder import Found
from rhotem.library.view.page import Page
from rhotem.library.view.upload import MOST, PART, Upload, read, short

from .test_picture import library, pictures  # noqa: F401  # the fixture


def parts(name, content, part=PART):
    """What the browser sends."""
    for place, start in enumerate(range(0, max(len(content), 1), part)):
        text = base64.b64encode(content[start : start + part]).decode()
        yield {"name": [name], "size": [len(content)], "place": [place], "content": [text]}


def sent(name, content, **how):
    taking = Upload()
    return [taking.take(one) for one in parts(name, content, **how)]


def png(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "made.png")
    return (tmp_path / "made.png").read_bytes()


def test_parts_make_the_file(rng):
    content = rng.bytes(3 * PART + 17)
    *before, last = sent("../../etc/haadf.TIF", content)
    assert before == [None] * 3 and last == ("../../etc/haadf.TIF", content)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"name": ["a.png"], "size": [MOST + 1], "place": [0], "content": [""]}, "16 MB and less"),
        ({"name": ["a.png"], "size": [0], "place": [0], "content": [""]}, "16 MB and less"),
        ({"name": ["a.zip"], "size": [10], "place": [0], "content": [""]}, "pictures end in"),
        ({"name": ["a.hspy"], "size": [10], "place": [0], "content": [""]}, "pictures end in"),
        ({"name": ["a.png"], "size": [10], "place": [1], "content": ["YWJj"]}, "did not arrive whole"),
        ({"name": ["a.png"], "size": [2], "place": [0], "content": ["YWJj"]}, "did not arrive whole"),
        ({"name": ["a.png"], "size": [9], "place": [0], "content": ["%%%"]}, "did not arrive whole"),
        ({"name": ["a.png"], "size": ["9"], "place": [0], "content": ["YWJj"]}, "did not arrive whole"),
        ({"name": [7], "size": [9], "place": [0], "content": ["YWJj"]}, "did not arrive whole"),
        ({"name": []}, "did not arrive whole"),
    ],
)
def test_what_is_no_part_is_refused_and_forgotten(said, words):
    taking = Upload()
    assert taking.take({"name": ["a.png"], "size": [9], "place": [0], "content": ["YWJj"]}) is None
    with pytest.raises(InputError, match=words):
        taking.take(said)
    with pytest.raises(InputError, match="did not arrive whole"):
        taking.take({"name": ["a.png"], "size": [9], "place": [1], "content": ["YWJj"]})
    assert taking.take(next(parts("a.png", b"x" * 5))) == ("a.png", b"x" * 5)


def test_a_part_that_no_message_could_hold_is_refused(rng):
    with pytest.raises(InputError, match="did not arrive whole"):
        sent("a.npy", rng.bytes(PART + 1), part=PART + 1)
    text = next(parts("a.npy", rng.bytes(PART)))["content"][0]
    assert len(text) < 0.75 * 256 * 1024  # of a message of the socket


def test_a_picture_is_read_as_from_disk(tmp_path, rng):
    values = rng.integers(0, 255, (40, 50), dtype=np.uint8)
    made = read("C:\\mine\\seen.png", png(tmp_path, values), 0.25)
    assert np.array_equal(made.data, values) and made.pixel == (0.25, 0.25) and made.source.path == "seen.png"


@pytest.mark.parametrize(
    ("name", "content", "pixel", "words"),
    [
        ("a.png", b"no picture", 0.2, "a.png: its content is no PNG"),
        ("a.npy", b"\x93NUMPY\x01\x00", 0.2, "a.npy"),
        ("a.png", None, None, "a.png: the size of its pixels is not known"),
        ("a.png", None, -1.0, "expected a positive number"),
    ],
)
def test_what_cannot_be_read_says_so_without_a_place_of_the_disk(tmp_path, rng, name, content, pixel, words):
    content = content or png(tmp_path, rng.integers(0, 255, (40, 50), dtype=np.uint8))
    with pytest.raises(InputError) as caught:
        read(name, content, pixel)
    assert words in str(caught.value) and "/" not in str(caught.value).replace("Å/", ""), caught.value


@pytest.mark.slow
def test_pickles_and_links_are_refused(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"evil\.npy"):
        read("evil.npy", (tmp_path / "evil.npy").read_bytes(), 0.2)
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["data"] = np.zeros((40, 40))
    for kind in ("link", "virtual", "external"):
        with h5py.File(tmp_path / "evil.emd", "w") as file:
            if kind == "link":
                file.create_group("data")["0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/data")
            elif kind == "virtual":
                layout = h5py.VirtualLayout((40, 40), float)
                layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "data", (40, 40))
                file.create_virtual_dataset("data", layout)
            else:
                place = [(str(tmp_path / "secret.h5"), 0, 800)]
                file.create_dataset("data", (10, 10), "f8", external=place)
        with pytest.raises(InputError, match=r"evil\.emd: (links to|its numbers lie in) another file"):
            read("evil.emd", (tmp_path / "evil.emd").read_bytes(), 0.2)


@pytest.mark.slow
def test_a_small_file_that_unpacks_into_a_large_one_takes_no_more_than_is_allowed(tmp_path, monkeypatch):
    """A PNG of 22000 × 22000 zeros is 0.5 MB."""
    side = 22000
    row = b"\0" * (side + 1)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()

    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    assert len(bomb) < MOST
    with pytest.raises(InputError, match=r"bomb\.png"):
        read("bomb.png", bomb, 0.2)
    monkeypatch.setattr(upload, "SECONDS", 0.01)
    with pytest.raises(InputError, match=r"slow\.png: could not be read within"):
        read("slow.png", bomb, 0.2)


def test_more_pixels_than_the_server_compares_are_refused(tmp_path, rng, monkeypatch, capsys):
    """A compressed picture may hold what no file of its size would."""
    png(tmp_path, rng.integers(0, 255, (40, 50), dtype=np.uint8))
    assert parse.main(tmp_path / "made.png", 0.2) == 0 and (tmp_path / "data.npy").exists()
    (tmp_path / "data.npy").unlink()
    monkeypatch.setattr(parse, "PIXELS", 1999)
    assert parse.main(tmp_path / "made.png", 0.2) == 2
    assert "million pixels; cut a part out" in capsys.readouterr().out and not (tmp_path / "data.npy").exists()


def test_the_same_part_again_is_heard_after_an_empty_one(rng):
    """Bokeh drops values that equal the last ones: the page's script empties the source before every file."""
    from bokeh.models import ColumnDataSource

    part, heard = next(parts("a.png", b"x" * 5)), []
    source = ColumnDataSource({key: [] for key in part})
    source.on_change("data", lambda attr, old, new: heard.append(new["name"]))
    for data in (part, dict(part), {key: [] for key in part}, dict(part)):
        source.data = data
    assert heard == [["a.png"], [], ["a.png"]]


def test_names_are_cut():
    assert short("../keys/a.png") == "a.png" and short("x" * 500 + ".png").endswith("x.png")
    assert short("a\n<b>.png") == "a?<b>.png" and short("") == "picture"


@pytest.mark.slow
def test_the_page_lists_what_a_picture_looks_like(library, tmp_path, rng):  # noqa: F811
    page = Page(Document(), entries_in(library.folder))
    assert not page.shelf.picture.disabled
    entry, picture = next(iter(pictures(library, rng)))
    grey = (255 * (picture - picture.min()) / np.ptp(picture)).astype(np.uint8)
    content = png(tmp_path, grey)
    page.shelf.pixel.value = "0.25"
    for part in parts("<b>seen.png", content):
        page.shelf.sent.data = part
    assert entry.id in page.shelf.data.data["id"][:2], page.status.text
    assert page.shelf.data.data["why"][0].startswith(("ADF 0.", "ABF 0."))
    assert " like &lt;b&gt;seen.png" in page.status.text and "no entry" not in page.status.text
    page.shelf.data.selected.indices = [0]
    assert page.desk.opened.entry.id == page.shelf.rows[0].entry.id
    listed = list(page.shelf.data.data["id"])
    page.shelf.pixel.value = "wide"
    for part in parts("seen.png", content):
        page.shelf.sent.data = part
    assert "expected a number in Å" in page.status.text and page.shelf.data.data["id"] == listed
    page.shelf.pixel.value = "0.25"
    noise = png(tmp_path, rng.integers(0, 255, (160, 160), dtype=np.uint8))
    for part in parts("noise.png", noise):
        page.shelf.sent.data = part
    assert "noise.png: no lattice stands out of its noise" in page.status.text and page.shelf.data.data["id"] == []


class Served(Document):
    """A document as a server has it: what is to be done next in its loop is kept."""

    session_context = object()

    def __init__(self):
        super().__init__()
        self.next, self.woken = [], threading.Event()

    def add_next_tick_callback(self, callback):
        self.next.append(callback)
        self.woken.set()


def test_sliders_answer_while_a_picture_is_searched_for(library, tmp_path, rng, monkeypatch):  # noqa: F811
    """The search waits for us; meanwhile the loop draws with another source and takes no second picture."""
    doc, held, began = Served(), threading.Event(), threading.Event()
    page = Page(doc, entries_in(library.folder))
    there = page.desk.opened.entry.id

    def slow(folder, entries, picture):
        began.set()
        assert held.wait(60)
        return [Found(entries[there], "as like as can be")], f"1 entry looks like {picture.source.path}"

    monkeypatch.setattr(shelf, "look_alikes", slow)
    content = png(tmp_path, rng.integers(0, 255, (160, 160), dtype=np.uint8))
    page.shelf.pixel.value = "0.25"
    for part in parts("seen.png", content):
        page.shelf.sent.data = part
    assert began.wait(60) and "being searched for" in page.status.text
    before = page.image.data.data["image"][0]
    page.knobs.plain["source_size_A"].value = 1.0
    page.draw()
    assert np.abs(page.image.data.data["image"][0] - before).max() > 0
    for part in parts("other.png", content):
        page.shelf.sent.data = part
    assert "a picture is being searched for" in page.status.text
    held.set()
    assert doc.woken.wait(60)
    for done in doc.next:
        done()
    assert page.shelf.data.data["why"] == ["as like as can be"] and "1 entry looks like seen.png" in page.status.text


@pytest.mark.parametrize(("error", "words"), [(InputError("too\nsmall"), "too small"), (KeyError("x"), "KeyError")])
def test_a_search_that_fails_is_one_line_and_the_next_one_goes(library, tmp_path, rng, monkeypatch, error, words):  # noqa: F811
    doc = Served()
    page = Page(doc, entries_in(library.folder))

    def fail(folder, entries, picture):
        raise error

    monkeypatch.setattr(shelf, "look_alikes", fail)
    page.shelf.pixel.value = "0.25"
    for part in parts("seen.png", png(tmp_path, rng.integers(0, 255, (160, 160), dtype=np.uint8))):
        page.shelf.sent.data = part
    assert doc.woken.wait(60)
    doc.next.pop()()
    assert words in page.status.text and not page.shelf._beside.busy
