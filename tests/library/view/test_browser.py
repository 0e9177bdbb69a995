"""The page in Chromium: every slider by keyboard, numbers of the picture against Python, no other host, no error.

Needs playwright and a Chromium of the system (``apt-get install chromium``).
"""

import base64
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.library.store import Library
from rhotem.library.view.entries import entries_in, open_entry
from rhotem.library.view.picture import picture

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this system")]

#: Milliseconds for whatever is waited for; other work may have the processor.
PATIENCE = 240_000
#: Milliseconds for a picture.
LONG = 40_000
READ = """() => {
  const source = Bokeh.documents[0].get_model_by_name("image_data");
  const image = source.data.image[0];
  return {shape: Array.from(image.shape), values: Array.from(image)};
}"""


#: Whether the picture has these pixels, all of them: a sum is kept by the source's size and by aberrations.
SAME = """bytes => {
  const image = Bokeh.documents[0].get_model_by_name("image_data").data.image[0];
  const expected = new Float32Array(Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0)).buffer);
  return image.length === expected.length && expected.every((value, i) => value === image[i]);
}"""
#: Positions of the sliders with these names, as the browser has them.
POSITIONS = """names => names.map((name) => Bokeh.documents[0].get_model_by_name(name).value)"""


CAMPAIGN = """\
rhotem-campaign: 1
name: pictured
structures: [LiF]
vary: {zone: [[1, 1, 0]]}
motion: {phonons: 0}
density: {source: free-atoms}
microscope: {convergence_mrad: 12, detectors: ["ABF=6-12", "ADF=20-40"]}
thicknesses_nm: [0.5, 1.2]
kept: {edges_mrad: [], foci_nm: [0, 2]}
"""


@pytest.fixture
def pictured(tmp_path, rng):
    """An entry of a library made by the command, and a counted picture of it in pixels of 0.25 Å."""
    (tmp_path / "plan.yaml").write_text(CAMPAIGN)
    said = ["campaign", "run", tmp_path / "plan.yaml", "-l", tmp_path / "library", "--workers", 1, "-q"]
    result = CliRunner().invoke(main.app, [str(a) for a in said])
    assert result.exit_code == 0, result.output
    with Library.open(tmp_path / "library") as library:
        entry = library.entries()[0]
        held = library.response(entry.id)
    shown = held.images(thickness=held.thicknesses[-1], defocus=10.0, source_size=0.8).recorded(0.25, 40)
    image = shown["ADF"].T
    return entry, shown.scan.step, rng.poisson(1e5 * 0.25**2 * np.maximum(image, 0))


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Window:
    """One window on the page, with everything that it asked for and complained of."""

    def __init__(self, browser, address):
        self.page = browser.new_page(viewport={"width": 1366, "height": 768}, accept_downloads=True)
        self.complaints, self.asked = [], []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(address)
        self.wait()

    def wait(self):
        """Until the sliders are there and have their names."""
        self.page.get_by_role("slider", name="Defocus (nm), positive is underfocus").wait_for()

    def values(self):
        read = self.page.evaluate(READ)
        return np.array(read["values"], dtype=np.float32).reshape(read["shape"]).T

    def press(self, name, keys):
        self.page.get_by_role("slider", name=name, exact=True).focus()
        for key in keys:  # what is pressed is handled when this returns; aria-valuenow says tenths only
            self.page.keyboard.press(key)

    def becomes(self, expected):
        """Wait until the page shows these values."""
        wanted = np.ascontiguousarray(expected.T, dtype=np.float32)
        try:
            sent = base64.b64encode(wanted.tobytes()).decode()
            self.page.wait_for_function(SAME, arg=sent, polling=100, timeout=LONG)
        except sync_api.TimeoutError:
            np.testing.assert_array_equal(self.values(), wanted.T)


@pytest.fixture(scope="module")
def window(browser, address):
    """The window of all tests, in their order: a page takes seconds to build."""
    opened = Window(browser, address)
    yield opened
    opened.page.close()


RIGHT, LEFT = "ArrowRight", "ArrowLeft"
#: Slider, keys, and what they change.
MOVES = (
    ("Defocus (nm), positive is underfocus", [RIGHT] * 3, {"defocus_nm": 0.3}),
    ("Convergence semi-angle (mrad)", [LEFT] * 2, {"convergence_mrad": 21.8}),
    ("Astigmatism C12 (nm)", ["End"], {"aberrations": {"C12": 0.5}}),
    ("Azimuth of C12 (°)", [RIGHT] * 3, {"aberrations": {"C12": 0.5, "phi12": 3.0}}),
    ("Coma C21 (nm)", ["End"], {"aberrations": {"C12": 0.5, "phi12": 3.0, "C21": 6.0}}),
    (
        "Spherical aberration C30 (µm)",
        ["Home"],
        {"aberrations": {"C12": 0.5, "phi12": 3.0, "C21": 6.0, "C30": -1000.0}},
    ),
    ("Source size, FWHM (Å)", [RIGHT] * 4, {"source_size_A": 0.2}),
    ("Focal spread, σ (Å)", [RIGHT] * 5, {"focal_spread_A": 5.0}),
    ("Inner angle of the detector (mrad)", [RIGHT], {"inner_mrad": 40.0}),
    ("Outer angle of the detector (mrad)", [LEFT], {"outer_mrad": 50.0}),
    ("Thickness (nm)", ["Home"], {"thickness_nm": 0.4027}),
    ("Field of view (Å)", ["Home"], {"field_of_view_A": 5.0}),
    ("Scan step (Å)", [RIGHT] * 2, {"scan_step_A": 0.12}),
    ("Scan rotation (°)", [RIGHT] * 7, {"scan_rotation_deg": 7.0}),
    ("Dose (e/Å²)", [RIGHT] * 2, {"dose_e_per_A2": 20.0}),
)


def test_sliders_by_keyboard_give_the_numbers_of_python(window, library):
    limits = open_entry(library / "lif").limits
    settings = limits.start()
    window.becomes(picture(limits, settings).values)
    for name, keys, knobs in MOVES:
        before, settings = settings, settings.changed(**knobs)
        window.press(name, keys)
        expected = picture(limits, settings).values
        window.becomes(expected)
        shape = picture(limits, before).values.shape
        assert shape != expected.shape or not np.array_equal(picture(limits, before).values, expected), name
    assert window.complaints == []
    window.page.reload()
    window.wait()


def test_keys_that_nobody_waits_for_end_at_one_picture(window, library):
    """Sliders and picture agree at rest, however fast the keys came, on sliders in units of their own, too."""
    limits = open_entry(library / "lif").limits
    names = ["defocus_nm", "C30", "phi12", "source_size_A"]
    for round_trip in range(3):
        for title, keys in (
            ("Astigmatism C12 (nm)", ["End"]),
            ("Azimuth of C12 (°)", [RIGHT] * 12),
            ("Spherical aberration C30 (µm)", [RIGHT] * 9 + [LEFT] * 2),
            ("Source size, FWHM (Å)", [RIGHT] * 3),
            ("Defocus (nm), positive is underfocus", [RIGHT] * 6),
        ):
            window.press(title, keys)
        focus, c30, azimuth, source = window.page.evaluate(POSITIONS, names)
        turns = round_trip + 1
        np.testing.assert_allclose([focus, c30, azimuth, source], np.array([0.6, 0.14, 12, 0.15]) * turns)
        lens = {**limits.start().aberrations, "C12": 0.5, "C30": 1e3 * c30, "phi12": azimuth}
        settings = limits.start().changed(defocus_nm=focus, aberrations=lens, source_size_A=source)
        window.becomes(picture(limits, settings).values)
        window.page.wait_for_timeout(1000)
        window.becomes(picture(limits, settings).values)
        assert window.page.evaluate(POSITIONS, names) == [focus, c30, azimuth, source]
    window.page.reload()
    window.wait()


def test_images_compared_marked_and_saved(window, library, tmp_path):
    limits = open_entry(library / "lif").limits
    page = window.page
    page.get_by_label("Image", exact=True).select_option("iDPC")
    window.becomes(picture(limits, limits.start().changed(image="iDPC")).values)
    page.get_by_label("Compare with, on one scale").select_option(index=1)
    page.get_by_text("columns and labels").click()
    page.wait_for_function("() => Bokeh.documents[0].get_model_by_name('image_columns').data.x.length > 10")
    page.wait_for_function("() => document.getElementById('picture').getAttribute('aria-label').startsWith('iDPC 6')")
    for label, ending in (("Save picture", "png"), ("Save settings", "yaml"), ("Save plan", "yaml")):
        with page.expect_download() as download:
            page.get_by_role("button", name=label).click()
        download.value.save_as(tmp_path / f"{label}.{ending}")
        assert (tmp_path / f"{label}.{ending}").stat().st_size > 100
    assert (tmp_path / "Save picture.png").read_bytes().startswith(b"\x89PNG")
    assert window.complaints == []


def test_the_plane_of_the_slice_by_keyboard(browser, library, wave, serve, tmp_path):
    """The slider of its height moves the slice to the values of Python; words follow; a row of the table opens."""
    from rhotem.library.density.slices import slice_of
    from rhotem.library.view.densities import first_plane

    shutil.copytree(library / "twin", tmp_path / "twin")
    shutil.copytree(library / "lif", tmp_path / "lif")
    held = wave(open_entry(tmp_path / "twin").limits.response.extent)
    held.save(tmp_path / "twin" / "density.zarr")
    first = first_plane(open_entry(tmp_path / "twin").summary())
    entries = sorted(entries_in(tmp_path), key=lambda entry: entry.id != "twin")
    with serve(entries) as there:
        window = Window(browser, there)
        window.press("Height (plane spacings)", [RIGHT] * 5)
        cut = slice_of(open_entry(tmp_path / "twin").summary(), first.indices, first.height + 0.05)
        wanted = np.ascontiguousarray(cut.values.T, dtype=np.float32)
        sent = base64.b64encode(wanted.tobytes()).decode()
        same = SAME.replace("image_data", "slice_data")
        window.page.wait_for_function(same, arg=sent, polling=100, timeout=LONG)
        label = "() => document.getElementById('densities').getAttribute('aria-label').includes('90 % error bar')"
        window.page.wait_for_function(label)
        window.page.get_by_text("Entries", exact=True).scroll_into_view_if_needed()
        rows = "() => Bokeh.documents[0].get_model_by_name('shelf_data').data.id.length"
        assert window.page.evaluate(rows) == 2
        assert window.complaints == []
        window.page.close()


def test_a_picture_of_the_disk_is_searched_for(browser, serve, pictured, tmp_path, rng):
    """By keyboard: the button, the file, the pixel; what is too large or no picture is said, without a complaint."""
    entry, step, picture = pictured
    grey = (255 * (picture - picture.min()) / np.ptp(picture)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "seen.png")
    with serve(entries_in(entry.path.parents[3])) as there:
        window = Window(browser, there)
        page = window.page
        rows = "() => Bokeh.documents[0].get_model_by_name('shelf_data').data"
        status = "words => Bokeh.documents[0].get_model_by_name('status').text.includes(words)"
        page.get_by_label("Its pixel in Å").fill(f"{step[0]:.4f}")
        page.keyboard.press("Tab")

        queue = []  # who waits for one dialogue only, asks for it too late now and then
        page.on("filechooser", lambda chooser: chooser.set_files(queue.pop(0)))
        page.wait_for_timeout(1000)

        def send(path):
            queue.append(path)
            page.get_by_role("button", name="Entries that look like a picture").focus()
            page.keyboard.press("Enter")

        send(tmp_path / "seen.png")
        page.wait_for_function(status, arg="1 entry looks like seen.png", timeout=PATIENCE)
        found = page.evaluate(rows)
        assert entry.id in found["id"][:2] and found["why"][0][:3] in ("ADF", "ABF")
        (tmp_path / "large.tif").write_bytes(bytes(17 * 2**20))
        send(tmp_path / "large.tif")
        page.wait_for_function(status, arg="16 MB and less", timeout=PATIENCE)
        (tmp_path / "parts.zip").write_bytes(rng.bytes(400_000))
        send(tmp_path / "parts.zip")
        page.wait_for_function(status, arg="parts.zip: pictures end in", timeout=PATIENCE)
        page.wait_for_timeout(1000)  # further parts would say that it did not arrive
        assert page.evaluate(status, "parts.zip: pictures end in")
        send(tmp_path / "seen.png")  # the one that was sent before
        page.wait_for_function(status, arg="1 entry looks like seen.png", timeout=PATIENCE)
        (tmp_path / "words.png").write_text("no picture")
        send(tmp_path / "words.png")
        page.wait_for_function(status, arg="words.png: its content is no PNG", timeout=PATIENCE)
        (tmp_path / "parts.npy").write_bytes(rng.bytes(700_000))
        send(tmp_path / "parts.npy")  # six messages
        page.wait_for_function(status, arg="parts.npy: its content is no numpy", timeout=PATIENCE)
        assert page.evaluate(rows)["id"] == found["id"] and window.complaints == []
        page.close()


def test_nothing_is_asked_of_another_host(window, address):
    here = address.partition("?")[0].removeprefix("http://")
    assert len(window.asked) > 5
    for url in window.asked:
        assert url.split("://", 1)[1].startswith(here) or url.startswith(("data:", "blob:")), url


def test_everything_has_a_name(window):
    """Sliders, fields and the picture say what they are to who cannot see them."""
    page = window.page
    page.wait_for_function("() => document.getElementById('picture').getAttribute('aria-label').includes(' of LiF')")
    sliders = page.get_by_role("slider")
    names = [sliders.nth(i).get_attribute("aria-label") for i in range(sliders.count())]
    assert len(names) > 12 and all(names) and len(set(names)) == len(names)
    for role in ("textbox", "combobox", "checkbox", "button"):
        for element in page.get_by_role(role).all():
            if element.is_visible():
                assert page.get_by_role(role, name=element.evaluate(LABEL)).count() >= 1


LABEL = """element => {
  const label = element.labels && element.labels[0];
  return (label ? label.textContent : element.textContent).trim();
}"""


def test_a_page_without_the_token_is_nothing(browser, address):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    assert page.goto(address.partition("?")[0]).status == 403
    page.close()


def test_two_entries_are_listed(window, library):
    options = window.page.get_by_label("Entry", exact=True).locator("option").all_text_contents()
    assert len(options) == len(entries_in(library)) and len(set(options)) == len(options)
