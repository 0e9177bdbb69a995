"""A real entry: its response is that of a direct run, its table that of its images, other programs read it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

import rhotem
from rhotem.analysis.columns import Column
from rhotem.analysis.plan import load_plan
from rhotem.cli import main
from rhotem.core import InputError
from rhotem.library.again import again
from rhotem.library.contrast import RADIUS, _of
from rhotem.library.export import FORMATS
from rhotem.library.merge import merge
from rhotem.library.repair import look
from rhotem.library.search.contrast import anew, by_contrast, parse_contrast
from rhotem.library.shard import is_sealed
from rhotem.library.store import Library

from .crate_rules import broken

#: What may go wrong with a crate, and the rule that says so.
SPOILT = {
    lambda graph: graph[0].update(conformsTo={"@id": "https://w3id.org/ro/crate/1.0"}): "the descriptor",
    lambda graph: graph[1].pop("license"): "the root has license",
    lambda graph: graph[1].update(datePublished="today"): "datePublished",
    lambda graph: graph[1].update(colour="red"): "colour is no term",
    lambda graph: graph[1]["hasPart"].pop(): "linked from the root",
    lambda graph: graph[1]["hasPart"].append({"@id": "gone/"}): "gone/ is described",
    lambda graph: graph.append(dict(graph[1])): "stands once",
    lambda graph: next(n for n in graph if n["@type"] == "File").update({"@id": "../key"}): "is a file of the crate",
}

PLAN = """\
rhotem-campaign: 1
name: real
structures: [LiF, {builder: vacancy, crystals: [LiF], options: {element: F}}]
vary: {zone: [[1, 1, 0]]}
motion: {phonons: 0}
density: {source: free-atoms}
microscope: {convergence_mrad: 12, detectors: ["ABF=6-12", "DPC=3-12", "ADF=20-40"]}
thicknesses_nm: [0.5, 1.2]
kept: {edges_mrad: [], foci_nm: [0, 2]}
"""


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, [str(a) for a in arguments])
    return result.exit_code, result.stdout + result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of two real entries, by the command."""
    place = tmp_path_factory.mktemp("real")
    (place / "plan.yaml").write_text(PLAN)
    code, said = invoke("campaign", "run", place / "plan.yaml", "-l", place / "library", "--workers", 1)
    assert code == 0 and "real: 2 of 2 done; " in said
    return place / "library"


@pytest.fixture
def real(folder: Path) -> Library:
    return Library.open(folder)


def test_the_images_of_an_entry_are_those_of_its_record_run_directly(real):
    entry = next(e for e in real.entries() if not e.defect)
    assert (entry.formula, entry.spacegroup, entry.zone, entry.prototype) == ("LiF", 225, "[110]", "AB 225")
    held = real.response(entry.id)
    direct = rhotem.run(load_plan(entry.path.parent / "record.json")).images
    shown = held.images(scan=direct.scan).images
    assert set(shown) == set(direct.images)
    for name, image in direct.images.items():
        assert np.abs(shown[name] - image).max() < 1e-5 * np.ptp(image), name


def test_a_built_structure_is_not_taken_for_the_crystal_it_came_from(real):
    built = next(e for e in real.entries() if e.defect)
    assert built.defect == "vacancy F" and built.formula == "Li4F3" and built.spacegroup == 225
    with pytest.raises(InputError, match="without a plan"):
        load_plan(built.path.parent / "record.json")
    assert len(rhotem.read_structure(built.path.parent / "structure.cif")) == 7
    crystal = next(e for e in real.entries() if not e.defect)
    a, b = (real.response(e.id).images().images["ADF"].mean() for e in (built, crystal))
    assert a < b  # one atom of eight is missing


@pytest.mark.slow
def test_an_entry_that_is_made_again_is_equal(real):
    differences = again(real, 1.0)
    assert len(differences) == 2 and all(one.equal for one in differences)


def test_an_entry_is_whole_and_has_a_picture(real):
    assert look(real.catalogue).whole == 2
    entry = next(e for e in real.entries() if not e.defect)
    assert is_sealed(entry.path.parent)
    assert entry.bytes == sum(p.stat().st_size for p in entry.path.parent.rglob("*") if p.is_file()) - len(
        (entry.path.parent / "checksums.json").read_bytes()
    )
    picture = np.asarray(Image.open(entry.thumbnail))
    assert picture.shape[0] == 96 and picture.max() == 255 and picture.min() == 0


def test_the_table_of_contrasts_is_that_of_the_images(real):
    entry = next(e for e in real.entries() if not e.defect)
    held, said = real.response(entry.id), real.described(entry.id)
    for row in said["contrasts"]:
        if row["image"] not in ("ABF", "ADF"):
            continue
        foci = [0.0, 2.0]
        images = held.series(thickness=10 * row["thickness"], defocus=[10 * f for f in foci])[row["image"]]
        found = []
        for image in images:
            x, y = (np.arange(n) * side / n for n, side in zip(image.shape, held.extent, strict=True))
            seen = []
            for column in said["picture"]["columns"]:
                if column["label"] == row["label"]:
                    dx, dy = (
                        (a - b + s / 2) % s - s / 2
                        for a, b, s in zip((x[:, None], y), column["position_A"], held.extent, strict=True)
                    )
                    seen.append(image[np.unravel_index((dx**2 + dy**2).argmin(), image.shape)])
            found.append((np.mean(seen) - image.mean()) / image.mean())
        # the nearest pixel instead of the mean over a disk: less smooth by some per cent
        best = max(found, key=abs)
        assert np.sign(best) == np.sign(row["contrast"]) and abs(best) == pytest.approx(abs(row["contrast"]), rel=0.3)
    assert {c["label"] for c in said["picture"]["columns"]} == {"Li", "F"}


def test_contrast_and_noise_of_a_known_image(rng):
    n, side, height = 64, 5.0, 0.4
    x = np.arange(n) * side / n
    image = 0.02 * (1 + height * np.cos(2 * np.pi * x / side))[:, None] * np.ones(n)
    column = Column("Li", np.array([0.0, 1.0]), 1)
    value, noise = _of(image, (side, side), [column], False, True)
    fine = np.linspace(-RADIUS, RADIUS, 2001)
    chord = np.sqrt(RADIUS**2 - fine**2)
    disk = float((np.cos(2 * np.pi * fine / side) * chord).sum() / chord.sum())
    assert value == pytest.approx(height * disk, rel=1e-5)
    dose = 1e4
    expected = 0.02 * (1 + height * disk) * dose * np.pi * RADIUS**2  # electrons that reach the detector
    counted = rng.poisson(expected, 20000) / (dose * np.pi * RADIUS**2) / 0.02 - 1
    assert counted.std() == pytest.approx(noise / np.sqrt(dose), rel=0.03)
    assert counted.mean() == pytest.approx(value, abs=0.02)
    assert _of(image, (side, side), [column], True, False) == (pytest.approx(0.02 * height * disk, rel=1e-5), None)


def test_an_evaluation_anew_finds_no_less_than_the_table(real):
    asked = parse_contrast("ADF F contrast > 0.01")
    hits = by_contrast(real, asked)
    assert {hit.entry.formula for hit in hits} == {"LiF", "Li4F3"}
    better = {hit.entry.id: hit for hit in anew(real, hits, asked)}
    for hit in hits:
        assert abs(better[hit.entry.id].contrast) >= abs(hit.contrast) - 1e-9
    thick = anew(real, hits, parse_contrast("ADF F contrast > 0.01, 1-2 nm"))
    assert all(1 < hit.thickness < 2 for hit in thick) and thick


def test_merged_entries_are_the_same_and_come_once(real, tmp_path):
    with Library.create(tmp_path / "other") as other:
        assert merge(other, real) == (2, {})
        assert merge(other, real) == (0, {})
        assert [e.id for e in other.entries()] == [e.id for e in real.entries()] and look(other.catalogue).clean
        first = real.entries()[0].id
        assert np.array_equal(other.response(first).matrix, real.response(first).matrix)
        with pytest.raises(InputError, match="into itself"):
            merge(real, real)


@pytest.mark.parametrize("kind", list(FORMATS))
def test_exports_are_read_by_their_programs(real, tmp_path, kind):
    entries = real.entries()
    names = FORMATS[kind].write(real, entries, tmp_path)
    held = real.response(entries[0].id)
    expected = held.series(thickness=held.thicknesses[1], defocus=[20.0])["ADF"][0].T
    if kind == "hyperspy":
        from rsciio.hspy import file_reader

        name = next(n for n in names if entries[0].id[:8] in n and n.endswith("-ADF.hspy"))
        (signal,) = file_reader(tmp_path / name)
        assert np.allclose(signal["data"][1, 1], expected, rtol=1e-6)
        by_name = {axis["name"]: axis for axis in signal["axes"]}
        assert by_name["x"]["scale"] * by_name["x"]["size"] == pytest.approx(held.extent[0])
        assert list(by_name["defocus"]["axis"]) == [0.0, 2.0]
    elif kind == "nxem":
        import h5py

        name = next(n for n in names if entries[0].id[:8] in n and n.endswith("-ADF.nxs"))
        with h5py.File(tmp_path / name) as stream:
            data = stream["entry/data"]
            assert stream["entry/definition"].asstr()[()] == "NXem"
            assert list(data.attrs["axes"]) == ["thickness", "defocus", "y", "x"]
            stack = data[data.attrs["signal"]]
            assert np.allclose(stack[1, 1], expected, rtol=1e-6)
            assert [len(data[axis]) for axis in data.attrs["axes"]] == list(stack.shape)
            assert list(data["defocus"]) == [0.0, 2.0] and data["defocus"].attrs["units"] == "nm"
    elif kind == "emdatabase":
        metadata = pytest.importorskip("emdatabase.metadata")
        described = [tmp_path / name for name in names if name.endswith(".yaml")]
        assert len(described) == len(names) // 2 == sum(len(real.response(e.id).images().images) for e in entries)
        for path in described:
            assert metadata.validate_file(path) == []  # its schema, and its vocabulary of techniques
            ((key, said),) = yaml.safe_load(path.read_text("utf-8")).items()
            assert key == path.stem and key.isidentifier()
            record = metadata.DatasetMetadata.from_spec(said, path)
            content = (tmp_path / said["file"]).read_bytes()
            assert said["checksum"] == f"md5:{hashlib.md5(content).hexdigest()}" and record.size_bytes == len(content)
            assert "Simulated" in record.technique and said["source"].startswith("https://example.invalid/")
    elif kind == "parquet":
        import pandas

        rows = pandas.read_parquet(tmp_path / "entries.parquet").set_index("id")
        assert set(rows.index) == {entry.id for entry in entries}
        assert rows.loc[entries[0].id, "energy"] == entries[0].energy
        contrast = pandas.read_parquet(tmp_path / "contrasts.parquet")
        said = real.described(entries[0].id)["contrasts"]
        assert np.allclose(
            sorted(contrast[contrast.entry == entries[0].id].contrast), sorted(row["contrast"] for row in said)
        )
        symbols = pandas.read_parquet(tmp_path / "elements.parquet")
        assert set(symbols[symbols.entry == entries[0].id].symbol) == {"Li", "F"}
    else:
        graph = json.loads((tmp_path / "ro-crate-metadata.json").read_text())["@graph"]
        assert {f"{entry.id}/" for entry in entries} <= {node["@id"] for node in graph}
        assert broken(tmp_path) == []
        for spoil, said in SPOILT.items():
            worse = json.loads((tmp_path / "ro-crate-metadata.json").read_text())
            spoil(worse["@graph"])
            (tmp_path / "ro-crate-metadata.json").write_text(json.dumps(worse))
            assert any(said in rule for rule in broken(tmp_path)), said
            (tmp_path / "ro-crate-metadata.json").write_text(json.dumps({**worse, "@graph": graph}))


def test_commands_say_what_there_is(folder, tmp_path, monkeypatch):
    code, said = invoke("library", "list", folder, "--elements", "Li", "--defect", "none")
    assert code == 0 and said.count("LiF") == 2 and "[110]" in said
    assert invoke("library", "list", folder, "--formula", "NaCl")[1] == "no entry meets this\n"
    code, said = invoke("library", "list", folder, "--contrast", "ABF F contrast > 0.001", "--anew", "--json")
    assert code == 0 and {row["formula"] for row in json.loads(said)} == {"LiF", "Li4F3"}
    code, said = invoke("library", "list", folder, "--like", "NaF")
    assert code == 0 and said.splitlines()[1].split()[1] == "LiF" and "distance" in said
    with Library.open(folder) as library:
        first = library.entries()[0].id
    code, said = invoke("library", "show", folder, first[:6])
    assert code == 0 and "response " in said and "contrast" in said
    with monkeypatch.context() as bare:
        whole = Library.described
        bare.setattr(Library, "described", lambda self, name: {**whole(self, name), "contrasts": []})
        code, said = invoke("library", "show", folder, first[:6])
        assert code == 0 and "no columns" in said
    code, said = invoke("library", "verify", folder)
    assert code == 0 and said == "2 entries whole\n"
    assert invoke("campaign", "status", folder)[1] == "real: 2 of 2 done\n"
    assert "nothing to do" in invoke("campaign", "resume", folder)[1]
    code, said = invoke("library", "export", folder, first[:6], "--format", "nxem", "-o", tmp_path / "out")
    assert code == 0 and "files in" in said


def test_the_page_lists_the_library_and_searches_it(folder):
    """The shelf shows what the command says; a row opens its entry; what cannot be asked is said."""
    pytest.importorskip("bokeh")
    from bokeh.document import Document

    from rhotem.library.view.entries import entries_in
    from rhotem.library.view.page import Page

    page = Page(Document(), entries_in(folder))
    shelf = page.shelf
    assert set(shelf.data.data["formula"]) == {"LiF", "Li4F3"}
    assert all(picture.startswith("data:image/png;base64,") for picture in shelf.data.data["picture"])
    shelf.contrast.value = "ADF F contrast > 0.01"
    with Library.open(folder) as library:
        hits = by_contrast(library, parse_contrast("ADF F contrast > 0.01"))
    assert shelf.data.data["id"] == [hit.entry.id for hit in hits]
    assert shelf.data.data["why"][0].startswith(f"{hits[0].contrast:.3g} at")
    shelf.data.selected.indices = [1]
    assert page.desk.opened.entry.id == hits[1].entry.id
    shelf.data.selected.indices = [10**6]  # a client that lies
    assert page.desk.opened.entry.id == hits[1].entry.id
    shelf.contrast.value = "much"
    assert "write ABF Li contrast" in page.status.text
    shelf._everything()
    assert len(shelf.rows) == 2
    shelf._ask(page.desk.opened.entry)
    assert shelf.data.data["id"][0] == page.desk.opened.entry.id and shelf.data.data["why"][0] == "distance 0.000"
    page.words.value_input = "vacancy"
    assert shelf.data.data["formula"] == ["Li4F3"]


def test_a_campaign_that_can_do_nothing_ends_with_the_reason(tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN.replace("LiF, {", "{").replace("element: F", "element: Co"))
    code, said = invoke("campaign", "run", tmp_path / "plan.yaml", "-l", tmp_path / "library", "--workers", 1, "-q")
    assert code == 2 and "none of 1 tasks could be done" in said and "Co" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["library", "list", "{}", "--contrast", "ABF F contrast > 1", "--like", "LiF"], "give one of them"),
        (["library", "list", "{}", "--anew"], "give --contrast"),
        (["library", "list", "{}", "--thickness", "5"], "expected FROM,TO in nm"),
        (["library", "list", "{}", "--contrast", "much"], "write ABF Li contrast > 0.1"),
        (["library", "list", "{}", "--contrast", "iDPC F contrast > 0 at 10 e/A2"], "leave the dose out"),
        (["library", "show", "{}", "zz"], "expected hexadecimal digits"),
        (["library", "export", "{}", "00", "--format", "xls"], "no such format; hyperspy:"),
        (["library", "verify", "{}", "--again", "0"], "expected a percentage"),
        (["campaign", "status", "{}", "other"], "no campaign other; there are real"),
        (["campaign", "run", "nothing.yaml"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, words, said):
    code, text = invoke(*(word.format(folder) for word in words))
    assert code == 2 and said in text and len(text.strip().splitlines()) == 1


def test_keys_of_emdatabase_are_identifiers_whatever_a_detector_is_called():
    from types import SimpleNamespace

    from rhotem.library.export.emdatabase import _key

    key = _key(SimpleNamespace(formula="Li1.5CoO2", id="375d8a7312"), SimpleNamespace(name="ADF-2 (60°)"))
    assert key.isidentifier() and key.isascii() and key.endswith("_375d8a73")
