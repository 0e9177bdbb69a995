"""The page without a browser: what a person moves reaches the picture, and what is out of range does not."""

import numpy as np
import pytest
from bokeh.document import Document

from rhotem.library.view.entries import entries_in
from rhotem.library.view.page import Page
from rhotem.library.view.picture import picture


@pytest.fixture(scope="module")
def opened(library):
    return Page(Document(), entries_in(library))


@pytest.fixture
def page(opened):
    opened.marks.active, opened.words.value_input = [], ""
    opened.desk.choose("lif")
    opened.desk.settings = opened.desk.limits.start()
    opened.entered()
    return opened


def drawn(page):
    return page.image.data.data["image"][0].T


def expected(page, **knobs):
    return picture(page.desk.limits, page.desk.limits.start().changed(**knobs)).values.astype(np.float32)


@pytest.mark.parametrize(
    ("slider", "value", "knobs"),
    [
        ("defocus_nm", 1.0, {"defocus_nm": 1.0}),
        ("convergence_mrad", 20.0, {"convergence_mrad": 20.0}),
        ("source_size_A", 0.5, {"source_size_A": 0.5}),
        ("focal_spread_A", 30.0, {"focal_spread_A": 30.0}),
        ("field_of_view_A", 8.0, {"field_of_view_A": 8.0}),
        ("scan_step_A", 0.2, {"scan_step_A": 0.2}),
        ("scan_rotation_deg", 15.0, {"scan_rotation_deg": 15.0}),
    ],
)
def test_sliders(page, slider, value, knobs):
    page.knobs.plain[slider].value = value
    page.draw()
    np.testing.assert_array_equal(drawn(page), expected(page, **knobs))


def test_aberrations_are_in_the_unit_of_their_slider(page):
    page.knobs.aberrations["C12"].value = 0.3
    page.knobs.aberrations["phi12"].value = 40.0
    page.draw()
    np.testing.assert_array_equal(drawn(page), expected(page, aberrations={"C12": 0.3, "phi12": 40.0}))
    assert "µm" in page.knobs.aberrations["C30"].title
    page.knobs.aberrations["C30"].value = -0.5  # µm
    assert page.desk.settings.aberrations["C30"] == pytest.approx(-500)


def test_words_of_sliders(page):
    page.knobs.thickness.value = page.knobs.thickness.categories[0]
    page.knobs.inner.value = "40"
    page.knobs.dose.value = "10000"
    page.draw()
    asked = {"thickness_nm": page.desk.limits.thicknesses[0], "inner_mrad": 40.0, "dose_e_per_A2": 1e4}
    np.testing.assert_array_equal(drawn(page), expected(page, **asked))
    page.knobs.dose.value = "none"
    assert page.desk.settings.dose_e_per_A2 is None


def test_another_image_has_its_own_ring(page):
    page.knobs.inner.value = "40"
    page.shown.value = "iDPC"
    page.draw()
    np.testing.assert_array_equal(drawn(page), expected(page, image="iDPC"))
    assert (page.knobs.inner.value, page.knobs.outer.value) == ("6", "22")
    assert page.image.colour_bar.title == "rad"


def test_a_client_that_lies_is_held_to_the_range(page):
    """Bokeh lets a client set any value of a slider, its ends included."""
    slider = page.knobs.plain["defocus_nm"]
    slider.end = 1e9
    slider.value = 1e6
    assert page.desk.settings.defocus_nm == page.desk.limits.spans["defocus_nm"][1]
    page.knobs.outer.categories = ["60", "6000"]
    page.knobs.outer.value = "6000"
    assert "6000" in page.status.text and page.desk.settings.outer_mrad is None


def test_twins_and_marks(page):
    page.twin.value = "twin"
    page.draw()
    assert page.others[0].plot.visible and not page.image.colour_bar.visible
    assert (page.image.mapper.low, page.image.mapper.high) == (page.others[0].mapper.low, page.others[0].mapper.high)
    page.marks.active = [0, 1]
    kept = page.image.mapper.high
    page.knobs.plain["source_size_A"].value = 2.0
    page.draw()
    assert page.image.mapper.high == kept and page.image.spots.visible
    assert set(page.image.columns.data["label"]) - {""} <= {"F/Li"}


def test_what_is_saved(page):
    import base64

    def saved(act):
        act()
        return page.file.data["name"][0], base64.b64decode(page.file.data["content"][0])

    assert saved(page._save_picture)[1].startswith(b"\x89PNG")
    assert b"defocus_nm" in saved(page._save_settings)[1]
    assert saved(page._save_plan)[1].startswith(b"# ADF 30") and b"open_entry" in saved(page._save_python)[1]


def test_another_entry(page):
    page.words.value_input = "model"
    page.entry.value = "twin"
    assert page.desk.opened.entry.id == "twin" and page.twin.options[1][0] == "lif"
    page.entry.value = "../../etc"
    assert "none of that name" in page.status.text and page.entry.value == "twin"
    page.twin.value = "twin"
    assert "more than its density" in page.status.text and page.twin.value == ""


class Browser:
    """A browser at the other end of the socket, which moves sliders on while messages are under way.

    It takes whatever the server sends, as BokehJS does.
    """

    def __init__(self, page):
        self.page, self.shown, self.underway = page, {}, []
        page.doc.on_change(self.sent)

    def sent(self, event):
        model, attr = getattr(event, "model", None), getattr(event, "attr", None)
        if attr == "value" and event.setter is not self:
            self.underway.append((model.id, event.new))

    def move(self, slider, value):
        """A person moves it; what the server hears of it is what this returns when called."""
        self.shown[slider.id] = value
        return lambda: slider.set_from_json("value", value, setter=self)

    def receive(self):
        received, self.underway = self.underway, []
        self.shown.update(received)
        return [model for model, _ in received]

    def close(self):
        self.page.doc.remove_on_change(self.sent)


@pytest.fixture
def browser(page):
    opened = Browser(page)
    yield opened
    opened.close()


def run_timeouts(page):
    """Let the time come for all that waits for it."""
    for waiting in list(page.doc.session_callbacks):
        if waiting in page.doc.session_callbacks:
            waiting.callback()


def positions(slider):
    """What keys can reach, as BokehJS computes it: every eighth of a hundred, among them 0.12 µm, which came back."""
    if hasattr(slider, "categories"):
        return [value for value in slider.categories if value == value.strip()]
    number = round((slider.end - slider.start) / slider.step)
    return [slider.start + slider.step * n for n in range(number + 1)][:: max(1, number // 12)]


def test_no_slider_is_written_back_while_a_person_moves_it(page, browser):
    """Aberrations in µm came back rounded, over what the person had set since."""
    page.desk.set(field_of_view_A=5.0, scan_step_A=0.5)
    page.draw()
    browser.receive()
    kept = {"field_of_view_A", "scan_step_A"}
    sliders = [s for _, group in page.knobs.groups for s in group if s.name not in kept and not s.disabled]
    assert len(sliders) > 10
    for slider in sliders:
        for value in positions(slider):
            browser.move(slider, value)()
            page.draw()
            assert slider.id not in browser.receive(), (slider.title, value)


def test_changes_are_drawn_together_and_the_last_one_stands(page):
    run_timeouts(page)
    for focus in (0.3, 0.4, 0.5):
        page.knobs.plain["defocus_nm"].value = focus
    assert len(page.doc.session_callbacks) == 1
    run_timeouts(page)
    np.testing.assert_array_equal(drawn(page), expected(page, defocus_nm=0.5))
    page.knobs.plain["defocus_nm"].value = 0.6  # one more after the picture
    run_timeouts(page)
    np.testing.assert_array_equal(drawn(page), expected(page, defocus_nm=0.6))
    assert not page.doc.session_callbacks


def test_a_slider_that_both_sides_moved_at_once_shows_what_is_drawn(page, browser):
    """The image gets another ring while its person moves the old one: the messages cross."""
    page.shown.value = "ABF"
    run_timeouts(page)
    browser.receive()
    page.shown.value = "ADF"
    arrives = browser.move(page.knobs.inner, "40")
    run_timeouts(page)  # the ring of the ADF is on its way
    arrives()
    browser.receive()  # which the browser takes over what it has sent
    assert page.desk.settings.inner_mrad == 40.0 and browser.shown[page.knobs.inner.id] == "30"
    run_timeouts(page)
    run_timeouts(page)
    browser.receive()
    assert browser.shown[page.knobs.inner.id] == page.knobs.inner.value == "40"
    np.testing.assert_array_equal(drawn(page), expected(page, image="ADF", inner_mrad=40.0))
