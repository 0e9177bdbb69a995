"""The virtual microscope without a page: pictures are those of the response, limits are its limits."""

import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from rhotem.analysis.plan import parse_plan
from rhotem.core import InputError, MissingDependencyError
from rhotem.library.view import words
from rhotem.library.view.desk import Desk
from rhotem.library.view.entries import entries_in, open_entry, twins
from rhotem.library.view.picture import picture
from rhotem.library.view.report import write_report
from rhotem.microscope.detectors import parse_detector

RNG_STREAM = 1


@pytest.fixture(scope="module")
def opened(library):
    return open_entry(library / "lif")


@pytest.fixture(scope="module")
def start(opened):
    return opened.limits.start().changed(field_of_view_A=5.0)


def asked_of_python(opened, detector, settings, **more):
    """What the response gives for settings written out by hand, in Å and rad."""
    return opened.limits.response.images((parse_detector(detector),), **settings, **more)


@pytest.mark.parametrize(
    ("image", "detector", "knobs", "lens"),
    [
        ("ADF", "ADF=30-60", {}, {}),
        ("ADF", "ADF=40-50", {"inner_mrad": 40.0, "outer_mrad": 50.0}, {}),
        ("ABF", "ABF=11-22", {"thickness_nm": 0.4027}, {"thickness": 4.027}),
        ("ABF", "ABF=11-22", {"defocus_nm": 1.5}, {"defocus": 15.0}),
        ("ABF", "ABF=11-22", {"convergence_mrad": 19.5}, {"convergence": 19.5}),
        ("ABF", "ABF=11-22", {"source_size_A": 0.8}, {"source_size": 0.8}),
        ("ABF", "ABF=11-22", {"focal_spread_A": 40.0}, {"focal_spread": 40.0}),
        (
            "iDPC",
            "DPC=6-22",
            {"aberrations": {"C12": 0.4, "phi12": 30.0, "C21": 5.0, "phi21": 90.0, "C30": -800.0}},
            {"aberrations": {"C12": 4.0, "phi12": np.pi / 6, "C21": 50.0, "phi21": np.pi / 2, "C30": -8000.0}},
        ),
        ("CoMx", "CoM=30", {"defocus_nm": -0.5}, {"defocus": -5.0}),
    ],
)
def test_every_knob_gives_the_image_of_the_response(opened, start, image, detector, knobs, lens):
    shown = picture(opened.limits, start.changed(image=image, **knobs))
    reference = asked_of_python(opened, detector, lens).recorded(0.1, 5.0)
    assert shown.scan == reference.scan
    assert np.abs(shown.values - reference[image]).max() < 1e-6 * np.ptp(reference[image])
    assert shown.unit == reference.unit(image)


def test_every_knob_changes_the_picture(opened, start):
    before = picture(opened.limits, start.changed(image="ABF")).values
    for knobs in (
        *({"defocus_nm": 1.0}, {"convergence_mrad": 20.0}, {"source_size_A": 0.5}, {"focal_spread_A": 50.0}),
        *(
            {"aberrations": {"C12": 0.5}},
            {"thickness_nm": opened.limits.thicknesses[0]},
            {"image": "ADF", "inner_mrad": 40.0},
        ),
        *({"scan_rotation_deg": 20.0}, {"dose_e_per_A2": 1e4}),
    ):
        after = picture(opened.limits, start.changed(**({"image": "ABF"} | knobs))).values
        assert after.shape != before.shape or np.abs(after - before).max() > 1e-3 * np.ptp(before), knobs


def test_counted_electrons_are_those_of_the_response(opened, start):
    shown = picture(opened.limits, start.changed(image="ADF", dose_e_per_A2=1e4, seed=3, scan_step_A=0.2))
    noise = {"dose": 1e4, "pixel": 0.2, "field": 5.0, "rng": np.random.default_rng((3, RNG_STREAM))}
    np.testing.assert_array_equal(shown.values, asked_of_python(opened, "ADF=30-60", {}, **noise)["ADF"])


@pytest.mark.parametrize("image", ["iDPC", "dDPC", "DPCx", "DPCy"])
def test_counted_deflections_are_those_of_the_response(opened, start, image):
    """Not a bit differs, though the page leaves out electrons that no segment sees, and records of them."""
    shown = picture(opened.limits, start.changed(image=image, dose_e_per_A2=1e4, seed=5, scan_step_A=0.2))
    noise = {"dose": 1e4, "pixel": 0.2, "field": 5.0, "rng": np.random.default_rng((5, RNG_STREAM))}
    np.testing.assert_array_equal(shown.values, asked_of_python(opened, "DPC=6-22", {}, **noise)[image])


def test_all_images_of_a_seed_are_of_the_same_electrons(opened, start):
    """The phase is the one whose gradient the counted deflections are, solved here by its Fourier series."""
    there = start.changed(dose_e_per_A2=1e4, seed=2, scan_step_A=0.2)
    x, y, phase = (picture(opened.limits, there.changed(image=name)) for name in ("DPCx", "DPCy", "iDPC"))
    scan, lens = phase.scan, opened.limits.response.microscope
    fx, fy = x.values, y.values  # whole cells: they continue periodically
    qx, qy = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(fx.shape, scan.step, strict=True)), indexing="ij")
    q2 = qx**2 + qy**2
    waves = (qx * np.fft.fft2(fx) + qy * np.fft.fft2(fy)) / np.where(q2 > 0, 1j * q2, np.inf)
    for n, axis in zip(scan.shape, (0, 1), strict=True):
        if n % 2 == 0:  # the unpaired wave has no derivative: nothing is known of it
            np.moveaxis(waves, axis, 0)[n // 2] = 0.0
    expected = np.fft.ifft2(waves).real * 1e-3 / lens.wavelength
    assert np.ptp(expected) > 0 and phase.values == pytest.approx(expected, abs=1e-9 * np.ptp(expected))


def test_counted_deflections_scatter_as_poisson_says(opened, start):
    """Electrons N_i of four segments are Poisson's: mean and variance of Σ w_i N_i/N follow from the clean segments.

    DPCx weighs the segments at 0° and 180° by ±w, so var = w² (f_0 + f_180)/N, DPCy those at 90° and 270°; ABF counts
    its ring once, var = f/N. w follows from the clean DPCx and the clean segments.
    """
    dose, step = 2e3, 0.2
    there = start.changed(scan_step_A=step, field_of_view_A=5.0)
    segments = asked_of_python(opened, "SEG4=6-22", {}).recorded(step, 5.0)
    clean = [segments[f"segment{i}"] for i in range(4)]
    electrons = dose * segments.scan.step[0] * segments.scan.step[1]
    deflections = picture(opened.limits, there.changed(image="DPCx")).values
    weight = np.polyfit((clean[0] - clean[2]).ravel(), deflections.ravel(), 1)[0]
    ring = picture(opened.limits, there.changed(image="ABF")).values
    variances = {
        "DPCx": weight**2 * (clean[0] + clean[2]) / electrons,
        "DPCy": weight**2 * (clean[1] + clean[3]) / electrons,
        "ABF": ring / electrons,
    }
    for image, variance in variances.items():
        mean = picture(opened.limits, there.changed(image=image)).values
        asked = there.changed(image=image, dose_e_per_A2=dose)
        scores = [(picture(opened.limits, asked.changed(seed=k)).values - mean) / np.sqrt(variance) for k in range(20)]
        number = np.size(scores)
        assert abs(np.mean(scores)) < 4 / np.sqrt(number), image
        assert np.mean(np.square(scores)) == pytest.approx(1.0, abs=4 * np.sqrt(2.5 / number)), image


@pytest.mark.parametrize("image", ["ADF", "iDPC"])
def test_a_turned_scan_meets_the_crystal_where_it_says(opened, start, image):
    """The Fourier series of the image of one cell, summed up at turned positions one by one."""
    angle = 33.0
    shown = picture(opened.limits, start.changed(image=image, scan_rotation_deg=angle))
    cell = asked_of_python(opened, "ADF=30-60" if image == "ADF" else "DPC=6-22", {})
    coefficients = np.fft.fft2(cell[image]) / cell[image].size
    q = [np.fft.fftfreq(n, d) for n, d in zip(cell.scan.shape, cell.scan.step, strict=True)]
    turn = np.deg2rad(angle)
    for i, j in ((0, 0), (7, 3), (20, 41)):
        u, v = i * shown.scan.step[0], j * shown.scan.step[1]
        x, y = np.cos(turn) * u - np.sin(turn) * v, np.sin(turn) * u + np.cos(turn) * v
        value = (np.exp(2j * np.pi * q[0] * x) @ coefficients @ np.exp(2j * np.pi * q[1] * y)).real
        assert shown.values[i, j] == pytest.approx(value, abs=1e-6 * np.ptp(cell[image]))


def test_deflections_turn_with_the_scan(opened, start):
    """By a quarter turn the fast axis is +y, and so DPCx is what was DPCy."""
    turned = picture(opened.limits, start.changed(image="DPCx", scan_rotation_deg=90.0))
    plain = asked_of_python(opened, "DPC=6-22", {})
    u, v = turned.scan.step
    fine = plain.resampled(0.02)["DPCy"]
    m, n = fine.shape
    for i, j in ((0, 0), (5, 11)):  # the place (-v j, u i)
        x, y = round(-v * j / plain.scan.size[0] * m) % m, round(u * i / plain.scan.size[1] * n) % n
        assert turned.values[i, j] == pytest.approx(fine[x, y], abs=0.03 * np.ptp(fine))


def test_many_electrons_of_a_turned_scan_are_the_image(opened, start):
    """The share of the noise-free picture in the counted one is 1; deflections turned the other way: cos 40°."""
    there = start.changed(scan_rotation_deg=20.0, scan_step_A=0.25, field_of_view_A=12.0)
    for image in ("ABF", "DPCx"):
        clean = picture(opened.limits, there.changed(image=image)).values
        noisy = picture(opened.limits, there.changed(image=image, dose_e_per_A2=1e6)).values
        assert np.polyfit(clean.ravel(), noisy.ravel(), 1)[0] == pytest.approx(1, abs=0.05)


def test_the_corners_of_all_ranges_are_held(opened, start):
    limits = opened.limits
    ends = {key: limits.spans[key] for key in ("convergence_mrad", "defocus_nm")}
    sizes = {name: (-most, most) if name == "C30" else (0.0, most) for name, most in limits.aberrations.items()}
    for corner in itertools.product(*ends.values(), *sizes.values(), limits.thicknesses):
        values = dict(zip((*ends, *sizes, "thickness_nm"), corner, strict=True))
        aberrations = {name: values.pop(name) for name in sizes}
        asked = start.changed(aberrations={**aberrations, "phi12": 45.0, "phi21": 10.0}, **values)
        limits.response.asked(asked.lens(), 10 * asked.thickness_nm)
        limits.check(asked)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"defocus_nm": 2.1}, "between -1 and 2"),
        ({"convergence_mrad": 18.0}, "between 19 and 22"),
        ({"thickness_nm": 5.0}, "one of 0.4"),
        ({"aberrations": {"C12": 0.6}}, "up to 0.5 nm"),
        ({"aberrations": {"C34": 1.0}}, "the response holds C12, C21, C30"),
        ({"aberrations": {"C99": 1.0}}, "not known"),
        ({"inner_mrad": 33.0}, "no such ring"),
        ({"image": "EDX"}, "there are ADF"),
        ({"dose_e_per_A2": 1e9}, "dose"),
        ({"field_of_view_A": 1e5}, "field_of_view"),
    ],
)
def test_what_is_not_held_is_refused(opened, start, knobs, said):
    with pytest.raises(InputError, match=said):
        picture(opened.limits, start.changed(**knobs))


def test_every_ring_that_is_offered_is_held(opened, start):
    for image in ("ADF", "iDPC", "iCoM"):
        rings = opened.limits.rings(image)
        assert rings
        for inner, outer in rings:
            opened.limits.check(start.changed(image=image, inner_mrad=inner, outer_mrad=outer))
    assert max(opened.limits.outer_edges("iCoM")) == 30 and max(opened.limits.outer_edges("ADF")) == 60


def test_a_plan_says_what_is_set(opened, start):
    asked = start.changed(
        image="ABF", defocus_nm=1.0, aberrations={"C12": 0.3, "phi12": 20.0, "C30": 500.0}, dose_e_per_A2=2e4, seed=4
    )
    preset = parse_plan(words.plan_text(opened, asked)).preset()
    lens = preset.microscope
    assert (lens.defocus, lens.cs, lens.dose) == (pytest.approx(10), pytest.approx(5000), 2e4)
    assert lens.aberrations == {"C12": pytest.approx(3.0), "phi12": pytest.approx(np.deg2rad(20))}
    assert [d.image_names() for d in preset.detectors] == [["ABF"]]


@pytest.mark.parametrize(
    "text", ["HAADF=68-200", "BF=8", "DPC=6-22", "DPC=6-22@30", "SEG8=6-22", "eABF=11-22", "CoM=40"]
)
def test_detectors_as_plans_have_them(text):
    assert parse_detector(words.written_detector(parse_detector(text))) == parse_detector(text)


@pytest.mark.slow
def test_the_plan_gives_the_picture(opened, start):
    """A run from the beginning, on a supercell of its own: within 1 % of the range."""
    import rhotem

    asked = start.changed(image="ABF", defocus_nm=1.0, aberrations={"C12": 0.3})
    images = rhotem.run(parse_plan(words.plan_text(opened, asked))).images
    shown = picture(opened.limits, asked)
    assert images["ABF"].shape == shown.values.shape
    assert np.abs(images["ABF"] - shown.values).max() < 0.01 * np.ptp(shown.values)


def test_the_lines_of_python_give_the_picture(opened, start):
    asked = start.changed(image="iDPC", defocus_nm=1.2, scan_rotation_deg=5.0)
    there: dict = {}
    exec(words.python_lines(opened, asked), there)
    np.testing.assert_array_equal(there["shown"].values, picture(opened.limits, asked).values)


def test_columns_lie_on_the_maxima(library):
    desk = Desk(entries_in(library))
    for angle in (0.0, 25.0):
        desk.set(image="ADF", scan_rotation_deg=angle, field_of_view_A=12.0)
        shown, (labels, places, named) = desk.see().image, desk.columns()
        assert len(labels) == len(places) > 10 and named.sum() == len(desk.opened.entry.columns)
        index = np.round(places / shown.scan.step).astype(int)
        inside = (index < np.array(shown.values.shape)).all(axis=1)
        there = shown.values[tuple(index[inside].T)]
        assert there.min() > np.quantile(shown.values, 0.8)


def test_a_desk_keeps_what_another_entry_holds(library):
    desk = Desk(entries_in(library))
    desk.set(image="ABF", defocus_nm=1.1)
    desk.choose("twin")
    assert (desk.settings.image, desk.settings.defocus_nm) == ("ABF", 1.1)
    with pytest.raises(InputError, match="none of that name"):
        desk.choose("../../etc")
    with pytest.raises(InputError, match="ring"):
        desk.set(outer_mrad=17.3)
    assert desk.settings.outer_mrad is None and desk.opened.entry.id == "twin"


def test_twins_are_shown_on_one_scale(library):
    entries = entries_in(library)
    assert [entry.id for entry in twins(entries[0], entries)] == ["twin"]
    desk = Desk(entries)
    desk.compare("twin")
    seen = desk.see()
    np.testing.assert_array_equal(seen.image.values, seen.others[0].values)
    assert seen.scale == (pytest.approx(seen.image.values.min()), pytest.approx(seen.image.values.max()))


def test_the_pattern_is_that_of_the_patterns(opened, library):
    desk = Desk(entries_in(library))
    desk.set(convergence_mrad=20.0)
    shown = desk.diffraction()
    np.testing.assert_allclose(shown.values, opened.patterns.pacbed(convergence=20.0))
    assert desk.found("lif model") == [desk.entries["twin"]] and desk.found("NaCl") == []


def test_entries_outside_are_not_found(library, tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "link").symlink_to(library / "lif")
    with pytest.raises(InputError, match="holds no entry"):
        entries_in(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        entries_in(tmp_path / "nowhere")


def test_a_response_without_a_record_is_shown(library, tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "response.zarr").symlink_to(library / "lif" / "response.zarr")
    desk = Desk(entries_in(tmp_path))
    assert desk.see().image.values.size and desk.columns()[0] == []
    with pytest.raises(InputError, match="no record"):
        words.plan_text(desk.opened, desk.settings)


def test_a_report_needs_nothing_from_elsewhere(library, tmp_path):
    entries = entries_in(library)
    write_report(entries[0], tmp_path / "lif.html", entries)
    page = Path(tmp_path / "lif.html").read_text()
    assert page.count("data:image/png;base64,") == 4  # two thicknesses, the twin, the pattern
    assert not re.search(r"(src|href)=['\"](?!data:)", page) and "<script" not in page and "://" not in page
    assert "positive: underfocus" in page and page.count("alt='") == 4
    with pytest.raises(InputError, match=r"\.html"):
        write_report(entries[0], tmp_path / "lif.txt")


def test_a_damaged_entry_stops_nobody(library, tmp_path):
    shutil.copytree(library / "lif", tmp_path / "a")
    shutil.copytree(library / "twin", tmp_path / "b")
    (tmp_path / "a" / "response.zarr" / "zarr.json").write_text("{}")
    desk = Desk(entries_in(tmp_path))
    assert desk.opened.entry.id == "b"
    with pytest.raises(InputError, match="no responses of RhoTEM"):
        desk.choose("a")
    assert desk.opened.entry.id == "b" and desk.see().image.values.size
    (tmp_path / "b" / "response.zarr" / "zarr.json").write_text("{}")
    with pytest.raises(InputError, match="no responses of RhoTEM"):
        Desk(entries_in(tmp_path))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"specimen": []},
        {"specimen": {"imaging_cell": {"labels": ["a"]}}},
        {"density": "model"},
        {"columns": ["Li"]},
        {"columns": [{"label": "Li"}]},
        {"columns": 3},
        {"plan": "LiF"},
    ],
)
def test_a_record_that_something_else_wrote_leaves_the_images(library, tmp_path, spoilt):
    shutil.copytree(library / "lif", tmp_path / "lif")
    path = tmp_path / "lif" / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | spoilt))
    desk = Desk(entries_in(tmp_path))
    assert desk.see().image.values.size and desk.columns()[1].shape[1] == 2
    assert len(desk.opened.entry.labels) in (0, 4) and desk.twins == []


#: What a person may call a crystal, and what a browser and Matplotlib must not take for their own.
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>$\\frac{$'\""


def test_names_are_words_in_reports(library, tmp_path):
    """Names of HTML, script and formulas stay what they are: as text, in attributes and in drawn captions."""
    shutil.copytree(library / "lif", tmp_path / "lif")
    path = tmp_path / "lif" / "record.json"
    said = json.loads(path.read_text())
    said["specimen"]["formula"] = said["density"]["source"] = HOSTILE
    said["specimen"]["imaging_cell"]["labels"] = dict.fromkeys(("x", "up", "zone"), HOSTILE)
    path.write_text(json.dumps(said))
    write_report(entries_in(tmp_path)[0], tmp_path / "lif.html")
    page = (tmp_path / "lif.html").read_text()
    assert "<script" not in page and "<img src=x" not in page and "&lt;img src=x" in page


def test_the_demonstration_is_small_and_shows_something(monkeypatch):
    from rhotem.library.view import demonstration

    folder = Path(__file__).parents[3] / "packages" / "rhotem-data" / "src" / "rhotem_data" / "entries"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 8e6

    class Point:
        name = "rhotem-data"

        def load(self):
            return folder

    monkeypatch.setattr(
        demonstration, "registered", lambda group: {"mine": Point()} if group == "rhotem.entries" else {}
    )
    desk = Desk(entries_in(demonstration.demonstration()))
    assert desk.opened.entry.title.startswith("LiCoO2 [100]") and not desk.opened.entry.fixed
    ones = [entry for entry in desk.entries.values() if entry.fixed]
    assert len(desk.entries) - len(ones) >= 3 and len(ones) >= 2
    for entry in ones:
        desk.choose(entry.id)
        for image in ("HAADF", "ABF", "iDPC", "LAADF", "MAADF", "eABF"):
            desk.set(image=image)
            assert np.ptp(desk.see().image.values) > 0
        assert len(desk.columns()[0]) > 0 and desk.limits.response.record["physics"] >= 4
    desk.choose("SrTiO3-free-atoms")
    desk.compare("SrTiO3-model")
    seen = desk.see()
    assert np.ptp(seen.image.values) > 0 and np.abs(seen.image.values - seen.others[0].values).max() > 0
    assert seen.diffraction is not None and len(desk.columns()[0]) > 0

    monkeypatch.setattr(demonstration, "registered", lambda group: {})
    with pytest.raises(MissingDependencyError, match="rhotem-data"):
        demonstration.demonstration()


@pytest.mark.parametrize("how", ["bytes", "metadata", "content"])
def test_damaged_patterns_leave_the_images_and_are_told_of(library, tmp_path, how):
    """The whole entry was closed."""
    shutil.copytree(library / "lif", tmp_path / "lif")
    about = tmp_path / "lif" / "patterns.zarr" / "zarr.json"
    if how == "metadata":
        about.write_text("{}")
    elif how == "content":
        about.write_text(about.read_text().replace('"outer_mrad"', '"inner_mrad"'))
    else:
        chunk = max((p for p in about.parent.rglob("*") if p.is_file() and p.name != "zarr.json"), key=lambda p: p.name)
        chunk.write_bytes(chunk.read_bytes()[:-3] + b"abc")
    desk = Desk(entries_in(tmp_path))
    seen = desk.see()
    assert np.ptp(seen.image.values) > 0 and seen.diffraction is None
    assert "its diffraction patterns are damaged" in seen.caption
    assert "damaged" not in Desk(entries_in(library)).see().caption
