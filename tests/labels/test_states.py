"""Several states of one structure: which is kept, what takes whose place, and what is looked at again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli.labels import app
from rhotem.labels.gpaw_settings import DftSettings
from rhotem.labels.job import Job
from rhotem.labels.label import Label
from rhotem.labels.listing import listing
from rhotem.labels.npz import write_npz
from rhotem.labels.pack import pack
from rhotem.labels.quality import judge
from rhotem.labels.read import read_label
from rhotem.labels.shards import add_shard
from rhotem.labels.splits import Candidate, read_split, write_splits
from rhotem.structure.model import Structure

DEMO = Path(__file__).parents[2] / "data" / "labels" / "demo"
DISPLACED = DftSettings(start_displacement=0.1)


def state(label: Label, energy: float, settings: DftSettings | None = None, **meta: object) -> Label:
    """The label with an energy in eV, as ``settings`` would have made it."""
    known = {"energy_eV": energy, "settings": (settings or DftSettings()).as_dict(), "U": {}, "xc": "PBE"}
    return replace(label, meta={**label.meta, **known, **meta})


@pytest.fixture
def raw(tmp_path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def kept(target: Path) -> list[str]:
    return sorted(p.stem for p in target.glob("*/*.npz"))


def test_labels_made_before_there_was_a_start_keep_their_identifier():
    """What `rhotem labels run` made of recipes and is in the repository is named by the jobs of that time."""
    old = [r for r in map(read_label, sorted(DEMO.glob("*.npz"))) if "recipe" in r.meta]
    assert len(old) >= 5
    for record in old:
        assert "start_displacement" not in record.meta["settings"]
        assert Job.of(record.structure).id == record.meta["job"]
    structure = old[0].structure
    others = [DISPLACED, DftSettings(start_displacement=0.1, start_seed=2), DftSettings(start_displacement=0.2)]
    assert len({Job.of(structure, settings).id for settings in [None, *others]}) == 4


def test_a_lower_state_replaces_the_packed_one(label, raw, tmp_path):
    write_npz(state(label, -10.0), raw / "first.npz")
    assert pack(raw, tmp_path / "out") == {"first": "voxels"}
    write_npz(state(label, -10.5, DISPLACED), raw / "second.npz")
    found = pack(raw, tmp_path / "out")
    assert found == {"first": "higher: 0.500 eV per cell above second", "second": "voxels"}
    assert kept(tmp_path / "out") == ["second"]
    assert pack(raw, tmp_path / "out")["second"] == "kept"
    write_npz(state(label, -10.7, DftSettings(start_displacement=0.1, start_seed=2)), raw / "third.npz")
    pack(raw, tmp_path / "out")
    assert kept(tmp_path / "out") == ["third"]
    above = read_label(tmp_path / "out" / "voxels" / "third.npz").meta["higher_states_eV"]
    assert above == pytest.approx({"first": 0.7, "second": 0.2})


@pytest.mark.parametrize("whole", [True, False])
def test_a_higher_state_is_told_and_not_packed(label, raw, tmp_path, whole):
    write_npz(state(label, -10.0), raw / "a.npz")
    write_npz(state(label, -9.8, DISPLACED), raw / "b.npz")
    for _ in range(2):
        found = pack(raw, tmp_path / "out", whole)
        assert found["b"] == "higher: 0.200 eV per cell above a"
        assert kept(tmp_path / "out") == ["a"]
    (packed,) = (tmp_path / "out").glob("*/a.npz")
    assert read_label(packed).meta["higher_states_eV"] == pytest.approx({"b": 0.2})
    output = CliRunner().invoke(app, ["pack", str(raw), str(tmp_path / "out")]).output
    assert "not kept: b: higher: 0.200 eV per cell above a" in output


def test_labels_elsewhere_are_compared_with_and_left_alone(label, raw, tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    write_npz(state(label, -10.0), given / "00112.npz")
    content = (given / "00112.npz").read_bytes()
    write_npz(state(label, -9.8, DISPLACED), raw / "a.npz")
    assert pack(raw, tmp_path / "out", known=[given]) == {"a": "higher: 0.200 eV per cell above 00112"}
    write_npz(state(label, -10.3, DftSettings(start_displacement=0.1, start_seed=2)), raw / "b.npz")
    arguments = ["pack", str(raw), str(tmp_path / "out"), "--known", str(given)]
    assert "00112: higher: 0.300 eV per cell above b" in CliRunner().invoke(app, arguments).output
    assert kept(tmp_path / "out") == ["b"]
    assert read_label(tmp_path / "out" / "voxels" / "b.npz").meta["higher_states_eV"] == pytest.approx({"00112": 0.3})
    assert (given / "00112.npz").read_bytes() == content


def test_one_state_found_twice_is_kept_once(label, raw, tmp_path):
    """Two atoms: 1 meV per atom is 2 meV per cell."""
    write_npz(state(label, -10.0), raw / "a.npz")
    write_npz(state(label, -10.0015, DISPLACED), raw / "b.npz")
    assert pack(raw, tmp_path / "out") == {"a": "voxels", "b": "same: the state of a"}


def test_what_differs_in_more_than_the_start_is_another_label(label, raw, tmp_path):
    moved = label.structure.atoms.copy()
    moved.positions[0] += 0.01
    others = {
        "charge": replace(state(label, -11.0), structure=Structure(label.structure.atoms, charge=0.05)),
        "place": replace(state(label, -12.0), structure=Structure(moved)),
        "cutoff": state(label, -13.0, DftSettings(ecut=600)),
        "u": state(label, -14.0, U={"Fe": ":d,4,0"}),
        "smearing": state(label, -15.0, attempt_changes={"occupations": {"width": 0.2}}),
        "unknown": state(label, -16.0, energy_eV=None),
    }
    for name, record in ({"a": state(label, -10.0)} | others).items():
        write_npz(record, raw / f"{name}.npz")
    pack(raw, tmp_path / "out")
    assert kept(tmp_path / "out") == sorted(["a", *others])


def test_a_state_that_is_not_trusted_replaces_none(label, raw, tmp_path):
    write_npz(state(label, -10.0), raw / "a.npz")
    force = np.full((2, 3), 100.0)
    write_npz(replace(state(label, -11.0, DISPLACED), forces=force), raw / "b.npz")
    assert pack(raw, tmp_path / "out") == {"a": "voxels", "b": "voxels"}
    found = listing([tmp_path / "out" / "voxels"])
    assert [c.id for c in found.usable] == ["a"]


def test_the_lowest_state_only_is_handed_out(label, tmp_path):
    """Files that must stay, as those of somebody else's set, beside a lower state of one of them."""
    (tmp_path / "given").mkdir()
    (tmp_path / "new").mkdir()
    given = state(label, -10.0)
    del given.meta["settings"]  # labels of the first set name none: they were made with the defaults
    write_npz(given, tmp_path / "given" / "00112.npz")
    write_npz(state(label, -11.3, DISPLACED), tmp_path / "new" / "lower.npz")
    found = listing([tmp_path / "given", tmp_path / "new"])
    (left,) = found.usable
    assert left.id == "lower"
    assert found.higher["00112"] == ("lower", pytest.approx(1.3))
    assert left.higher == ("00112",)
    arguments = ["check", str(tmp_path / "given"), str(tmp_path / "new")]
    assert "not used: 00112: 1.300 eV per cell above lower" in CliRunner().invoke(app, arguments).output


def test_shards_take_the_lowest_state_only(label, raw, tmp_path):
    """A higher one that a shard has stays where it is, and is not handed out."""
    write_npz(state(label, -10.0), raw / "high.npz")
    write_npz(state(label, -10.4, DISPLACED), raw / "low.npz")
    first, outcome = add_shard(raw, tmp_path / "shards")
    assert outcome == {"low": "added", "high": "higher: 0.400 eV per cell above low"}
    content = first.read_bytes()
    write_npz(state(label, -11.0, DftSettings(start_displacement=0.1, start_seed=7)), raw / "lowest.npz")
    _, outcome = add_shard(raw, tmp_path / "shards")
    assert outcome["lowest"] == "added" and outcome["low"] == "kept" and outcome["high"].startswith("higher")
    assert first.read_bytes() == content
    assert [c.id for c in listing([tmp_path / "shards"]).usable] == ["lowest"]


@pytest.mark.parametrize("part", ["train", "validation", "test", "rattled"])
def test_a_lower_state_takes_the_place_of_the_higher_one(label, tmp_path, part):
    """Whatever its own name would say, so that a tested structure is not trained on."""

    def listed(name: str, higher: tuple[str, ...] = ()) -> Candidate:
        return Candidate(name, label.meta, ("Li", "F"), True, None, higher)

    write_splits(tmp_path, [])
    path = tmp_path / "random.json"
    text = path.read_text().replace(f'"{part}": []', f'"{part}": ["old"]')
    assert '["old"]' in text
    path.write_text(text)
    for _ in range(2):
        write_splits(tmp_path, [listed("new", ("old",))])
        found = read_split(path)
        assert found[part] == ["new"]
        assert found["excluded"] == ["old"]
    write_splits(tmp_path, [listed("newer", ("new", "old"))])
    assert read_split(path)[part] == ["newer"]
    assert sorted(read_split(path)["excluded"]) == ["new", "old"]


@pytest.mark.parametrize(
    ("element", "moment", "gap", "displacement", "warned"),
    [
        ("Fe", 3.7, 0.02, 0.0, True),
        ("Fe", 3.7, 0.02, 0.1, False),  # that is what was to be done
        ("Fe", 3.7, 1.7, 0.0, False),  # an insulator: its orbitals are chosen
        ("Fe", 3.7, None, 0.0, False),  # nothing is known
        ("Co", 0.0, 0.02, 0.0, False),  # low spin: a closed shell
        ("Ti", 0.9, 0.0, 0.0, False),  # without U
    ],
)
def test_open_shells_without_a_gap_are_looked_at_again(label, element, moment, gap, displacement, warned):
    atoms = label.structure.atoms.copy()
    atoms.symbols[:] = [element, "O"]
    settings = DftSettings(start_displacement=displacement)
    u = {element: ":d,5.3,0"} if element != "Ti" else {}
    record = state(label, -10.0, settings, gap_eV=gap, spinpol=True, magmom=4.0, U=u)
    record = replace(record, structure=Structure(atoms), magmoms=np.array([moment, 0.1]))
    verdict = judge(record)
    assert verdict.state == "accepted"
    assert bool(verdict.warnings) == warned
    assert not warned or "start_displacement" in verdict.warnings[0]


def test_status_shows_the_warning(label, tmp_path):
    (tmp_path / "records").mkdir()
    atoms = label.structure.atoms.copy()
    atoms.symbols[:] = ["Fe", "O"]
    record = state(label, -10.0, gap_eV=0.0, U={"Fe": ":d,5.3,0"})
    write_npz(replace(record, structure=Structure(atoms), magmoms=np.array([3.7, 0.1])), tmp_path / "records" / "a.npz")
    output = CliRunner().invoke(app, ["status", str(tmp_path)]).output
    assert "1 labels accepted" in output
    assert "warning: a" in output
