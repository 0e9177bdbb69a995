"""Slices, maps of error bars and three densities side by side: what the page shows against what lies there."""

import json
import shutil

import numpy as np
import pytest
from bokeh.document import Document

from rhotem.core import InputError
from rhotem.library.density.slices import slice_of
from rhotem.library.view.desk import ALL, Desk
from rhotem.library.view.entries import entries_in
from rhotem.library.view.page import Page
from rhotem.library.view.report import write_report

#: Height of the wave in e/Å³ and V (`wave`).
HEIGHT, VOLTS = 0.25, 0.4


@pytest.fixture(scope="module")
def folder(library, wave, tmp_path_factory):
    """The entry and its twin, a third that says DFT; the twin has a summary of its density."""
    top = tmp_path_factory.mktemp("densities")
    for name in ("lif", "twin"):
        shutil.copytree(library / name, top / name)
    shutil.copytree(library / "lif", top / "dft")
    path = top / "dft" / "record.json"
    record = json.loads(path.read_text())
    record["density"]["source"], record["plan"]["density"]["source"] = "GPAW PBE", "gpaw"
    path.write_text(json.dumps(record))
    extent = Desk([e for e in entries_in(top) if e.id == "twin"]).limits.response.extent
    wave(extent).save(top / "twin" / "density.zarr")
    return top


@pytest.fixture(scope="module")
def page(folder):
    made = Page(Document(), entries_in(folder))
    made.desk.choose("twin")
    made.entered()
    return made


def test_the_slice_is_that_of_the_summary(page):
    held = page.desk.opened.density
    page.density.plane.value, page.density.height.value = "(1 0 0)", 0.5
    shown = page.density.slice.data.data["image"][0]
    np.testing.assert_array_equal(shown, slice_of(held, (1, 0, 0), 0.5).values.T.astype(np.float32))
    assert shown == pytest.approx(-HEIGHT, rel=1e-2)  # the trough of the wave
    assert page.density.slice.mapper.low == -page.density.slice.mapper.high
    assert set(page.density.slice.atoms.data["label"]) == {"F"}
    assert "(1 0 0)" in page.density.words.text and "90 % error bar" in page.density.words.text


def test_a_client_that_lies_is_held_to_planes_that_there_are(page):
    page.density.plane.value = "(9 9 9)"
    page.density.height.end, page.density.height.value = 1e9, 1e8
    assert np.isfinite(page.density.slice.data.data["image"][0]).all()
    page.density.plane.value = "(0 0 1)"
    assert "4.03 of 4.03" in page.density.words.text
    page.density.height.end, page.density.height.value = 1.0, 0.0


def test_the_map_has_the_field_of_the_image(page):
    page.knobs.plain["field_of_view_A"].value = 8.0
    page.draw()
    shown, image = page.density.map.data.data, page.image.data.data
    assert (shown["w"], shown["h"]) == (image["w"], image["h"]) and page.density.map.plot.visible
    assert shown["image"][0].max() == pytest.approx(VOLTS, rel=1e-2)
    image, bars = page.image.plot, page.density.map.plot
    assert bars.xaxis[0].axis_label == image.xaxis[0].axis_label == f"{page.desk.opened.entry.labels['x']} →"
    assert bars.yaxis[0].axis_label == image.yaxis[0].axis_label and bars.title.text.endswith("(V)")
    assert shown["image"][0].min() == pytest.approx(0.0, abs=0.01 * VOLTS)


def test_entries_without_a_summary_say_so(page):
    page.desk.choose("lif")
    page.entered()
    assert not page.density.row.visible and "Free atoms" in page.density.words.text
    page.desk.choose("dft")
    page.entered()
    assert not page.density.row.visible and "without a summary" in page.density.words.text
    page.desk.choose("twin")
    page.entered()
    assert page.density.row.visible


def test_a_newer_summary_leaves_the_images(folder, tmp_path):
    shutil.copytree(folder / "twin", tmp_path / "newer")
    about = tmp_path / "newer" / "density.zarr" / "zarr.json"
    about.write_text(about.read_text().replace('"version": 1', '"version": 2'))
    desk = Desk(entries_in(tmp_path))
    assert desk.opened.density is None and "version 2" in desk.opened.without
    assert np.ptp(desk.see().image.values) > 0


def test_knobs_that_do_nothing_say_why(page):
    """These folders have no catalogue to search, and without a dose there are no electrons to draw."""
    assert page.shelf.like.disabled and page.shelf.contrast.disabled and page.shelf.without.visible
    assert "catalogue" in page.shelf.without.text and page.electrons.disabled
    page.desk.set(dose_e_per_A2=1e4)
    page.draw()
    assert not page.electrons.disabled
    page.desk.set(dose_e_per_A2=None)
    page.draw()


def test_three_densities_have_one_scale(page):
    page.desk.choose("twin")
    page.entered()
    assert (ALL, "two others together") in page.twin.options
    page.twin.value = ALL
    page.draw()
    plots = (page.image, *page.others)
    assert [plot.plot.visible for plot in plots] == [True, True, True]
    assert len({(plot.mapper.low, plot.mapper.high) for plot in plots}) == 1
    titles = [plot.plot.title.text for plot in plots]
    assert [title.partition(", ")[2] for title in titles] == ["model", "free atoms", "GPAW PBE"]
    assert sum(plot.colour_bar.visible for plot in plots) == 1
    page.twin.value = ""
    page.draw()
    assert not page.others[1].plot.visible


def test_a_twin_that_is_none_is_refused(folder):
    desk = Desk(entries_in(folder))
    with pytest.raises(InputError, match="more than its density"):
        desk.compare("elsewhere")


def test_the_report_holds_the_panels(folder, tmp_path):
    entries = {entry.id: entry for entry in entries_in(folder)}
    write_report(entries["twin"], tmp_path / "twin.html", list(entries.values()))
    text = (tmp_path / "twin.html").read_text()
    assert "<h2>Density</h2>" in text and "model − free atoms in the plane" in text and "90 % error bar" in text
    write_report(entries["lif"], tmp_path / "lif.html")
    assert "Free atoms: there is no difference" in (tmp_path / "lif.html").read_text()
