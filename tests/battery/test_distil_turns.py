"""Distillation in turns: what runs begin with, which frames are new, what a turn learns, killed calls."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from scipy.stats import gumbel_r
from tests.battery.neps import ALUMINIUM, random_nep

from rhotem.battery.distillation import committee, turns
from rhotem.battery.distillation import distil as distilling
from rhotem.battery.distillation import explore as exploring
from rhotem.battery.distillation.distil import Settings, distil
from rhotem.battery.distillation.explore import Size
from rhotem.battery.distillation.judge import errors, limit_of
from rhotem.battery.distillation.labels import read_frames
from rhotem.battery.distillation.pick import Neighbourhoods
from rhotem.battery.distillation.starts import cell_of, larger, with_extra
from rhotem.battery.potentials import potential_calculator
from rhotem.core import InputError
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


def test_the_cell_that_runs_is_the_crystal_repeated_where_it_is_thinnest():
    crystal = cell_of(phase("Na3V2(PO4)3"), 240)
    cell = larger(crystal, 150)
    assert len(crystal) == 40 and len(cell) == 160
    assert Structure(cell).heights.min() > 7.0
    assert larger(cell, 150) == cell


def test_extra_ions_go_to_the_holes_of_the_crystal(rng):
    """The largest holes of a face-centred cubic crystal are octahedral, half a lattice constant from six atoms."""
    atoms = with_extra(ALUMINIUM.atoms.repeat(2), "Al", 2, rng)
    apart = atoms.get_all_distances(mic=True)
    for ion in (32, 33):
        near = np.sort(apart[ion])[1:8]
        assert near[0] > 0.85 * 2.0 and near[5] < 1.2 * 2.0 < near[6]


def test_frames_that_are_new_are_taken_once(tmp_path, rng):
    """Of a known frame, two copies of one with a vacancy and one that is squeezed, the two kinds of news are taken."""
    pytest.importorskip("nep_adapters")

    def rattled(atoms):
        atoms = atoms.copy()
        atoms.positions += rng.normal(0.0, 0.03, atoms.positions.shape)
        return atoms

    crystal = ALUMINIUM.atoms.repeat(2)
    known = [rattled(crystal) for _ in range(6)]
    vacancy, squeezed = rattled(crystal)[1:], rattled(crystal)
    squeezed.set_cell(squeezed.cell * 0.93, scale_atoms=True)
    potential = potential_calculator(str(random_nep(tmp_path / "nep.txt", ["Al"], 1)))
    places = Neighbourhoods(potential, known)
    assert sorted(places.farthest([known[2], vacancy, squeezed, vacancy.copy()], 2)) == [1, 2]
    assert len(places.farthest([known[2], vacancy, vacancy.copy()], 3)) == 1


def test_the_limit_is_that_of_rare_frames_and_not_of_lost_ones(rng):
    """Of maxima that follow Gumbel's law, what one in 10,000 exceeds; one frame in twenty that was lost changes little.

    Twelve such sets, so that the means have a small error.
    """
    true = gumbel_r.isf(1e-4, 0.7, 0.12)
    whole = [gumbel_r.rvs(0.7, 0.12, 200, random_state=rng) for _ in range(12)]
    lost = [np.concatenate([largest[10:], np.full(10, 8.0)]) for largest in whole]
    assert np.mean([limit_of(largest) for largest in whole]) == pytest.approx(true, rel=0.06)
    assert np.mean([limit_of(largest) for largest in lost]) == pytest.approx(true, rel=0.3)


class Teacher:
    """EMT, and a trainer that makes nonsense of its own in every turn and notes what it was asked for."""

    def __init__(self):
        self.asked = []

    def train(self, frames, elements, folder, seed, epochs, progress, *, start=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.asked.append((len(read_frames(frames)), start, seed))
        progress("training", 1, 1)
        return random_nep(folder / "made.txt", elements, seed + 10 * len(read_frames(frames)), 0.01)


ASKED = Settings(5.0, frames=40, turns=2, stay=0.5)


def easy(patch):
    """EMT teaches few frames, runs are short, committees stop at once."""
    patch.setattr(distilling, "potential_calculator", lambda name: EMT())
    patch.setattr(distilling, "HELD_OUT", Size(2, 1, 1, 1, 0))
    patch.setattr(turns, "ATOMS", 60)
    patch.setattr(turns, "LOOKED_AT", 10)
    patch.setattr(committee, "limit_of", lambda largest: 1e-6 * largest.max())
    for wait in ("SETTLE", "APART"):
        patch.setattr(exploring, wait, 10.0)


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """A distillation without turns, which tests copy."""
    pytest.importorskip("nep_adapters")
    with pytest.MonkeyPatch.context() as patch:
        easy(patch)
        folder = tmp_path_factory.mktemp("explored") / "nep"
        distil(ALUMINIUM, replace(ASKED, turns=0), folder, Teacher().train)
        yield folder


@pytest.fixture
def started(explored, tmp_path):
    """Folders with the first distillation in it, by name."""

    def copy(name="nep"):
        shutil.copytree(explored, tmp_path / name)
        return tmp_path / name

    return copy


@pytest.mark.slow
def test_a_turn_learns_what_its_runs_met_and_holds_one_run_out(started):
    out, teacher = started(), Teacher()
    record = distil(ALUMINIUM, ASKED, out, teacher.train)
    assert [turn["inside"] for turn in record["turns"]] == [False] * 3
    assert all(run["ps"] <= 0.2 and "does not know" in run["stopped"] for run in record["turns"][0]["runs"])
    known, held = (
        [read_frames(out / f"turn-{n}" / name) for n in (1, 2)] for name in ("learned.extxyz", "held-out.extxyz")
    )
    # trained on all that was known, from the weights before
    counts = [len(read_frames(out / "learned.extxyz"))]
    counts += [counts[0] + len(known[0]), counts[0] + len(known[0]) + len(known[1])]
    assert [frames for frames, _, seed in teacher.asked if seed == 0] == counts[1:]
    starts = [start for _, start, seed in teacher.asked if seed == 1]
    assert starts == [out / "turn-0" / "nep-2.txt", out / "turn-1" / "nep-2.txt"]
    assert record["frames"] == counts[-1]
    assert (out / "nep.txt").read_text() == (out / "turn-2" / "nep.txt").read_text()
    # labels are the teacher's, cells are larger, with ions more and fewer; what was held out was not learned from
    for frame in [*known[0], *held[1]]:
        again = frame.copy()
        again.calc = EMT()
        np.testing.assert_allclose(again.get_forces(), frame.get_forces(), atol=1e-7)
    assert {len(frame) for frame in known[0]} == {60, 64, 68}
    assert held[0] and {len(frame) for frame in held[0]} == {64}
    for frame in held[0]:
        assert all(len(f) != 64 or abs(f.positions - frame.positions).max() > 1e-3 for f in known[0])
    assert record["held_out"]["frames"] == len(read_frames(out / "held-out.extxyz")) + len(held[0]) + len(held[1])


@pytest.mark.slow
@pytest.mark.parametrize("times", [1e9, 0.0])
def test_turns_end_when_runs_stay_inside_and_new_frames_are_as_right(started, monkeypatch, times):
    """Of nonsense that stays inside, new frames are as right as asked for, or not."""
    monkeypatch.setattr(turns, "SAME", times)
    out, teacher = started(), Teacher()
    card = json.loads((out / "nep.json").read_text())
    (out / "nep.json").write_text(json.dumps(card | {"limit_eV_per_A": 1e6}))
    record = distil(ALUMINIUM, replace(ASKED, turns=1), out, teacher.train)
    turn, *others = record["turns"]
    assert turn["stayed"] and turn["inside"] == bool(times) and len(others) == (0 if times else 1)
    if not times:
        assert len(teacher.asked) == 2
        return
    assert turn["runs"][0] == {"name": "crystal", "K": 5.0, "ps": 0.5, "stopped": None}
    assert not teacher.asked and record["frames"] == len(read_frames(out / "learned.extxyz"))
    # the frames of the last look are the potential's own motion, with the teacher's forces
    student = potential_calculator(str(out))
    wrong = [
        student.get_forces(frame.copy()) - frame.get_forces()
        for frame in read_frames(out / "turn-1" / "held-out.extxyz")
    ]
    assert turn["held_out"]["force_eV_per_A"] == pytest.approx(np.sqrt(np.mean(np.square(wrong))), rel=1e-6)


@pytest.mark.slow
def test_more_turns_go_on_from_those_taken(started):
    out, teacher = started("a"), Teacher()
    distil(ALUMINIUM, replace(ASKED, turns=1), out, teacher.train)
    assert len(teacher.asked) == 2
    more = distil(ALUMINIUM, ASKED, out, teacher.train)
    assert len(teacher.asked) == 4
    assert distil(ALUMINIUM, ASKED, out, teacher.train) == more and len(teacher.asked) == 4
    whole = distil(ALUMINIUM, ASKED, started("b"), teacher.train)
    assert whole["held_out"] == more["held_out"] and whole["limit_eV_per_A"] == more["limit_eV_per_A"]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["run 2 of", "labels", "training"])
def test_a_killed_turn_goes_on_where_it_was(tmp_path, started, when):
    out, teacher = started(), Teacher()
    whole = distil(ALUMINIUM, replace(ASKED, turns=1), started("whole"), teacher.train)

    def killed(stage, now, total):
        if stage.startswith("turn 1") and when in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(ALUMINIUM, replace(ASKED, turns=1), out, teacher.train, killed)
    stopped = json.loads((out / "nep.json").read_text())
    assert "turns" not in stopped
    record = distil(ALUMINIUM, replace(ASKED, turns=1), out, teacher.train)
    assert record["held_out"] == whole["held_out"]
    for name in ("nep.txt", "nep-2.txt", "turn-1/learned.extxyz", "turn-2/held-out.extxyz"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(out.glob("turn-*/run-*"))


@pytest.mark.slow
def test_turns_that_cannot_be_are_refused(started):
    for settings, said in (
        ({"turns": -1}, "-1 turns of a committee of 2"),
        ({"turns": 1, "members": 1}, "turns need at least 2"),
        ({"turns": 1, "stay": 0.1}, "expected at least 0.5"),
    ):
        with pytest.raises(InputError, match=said):
            Settings(**settings)
    out, teacher = started(), Teacher()
    distil(ALUMINIUM, replace(ASKED, turns=1), out, teacher.train)
    with pytest.raises(InputError, match=r"turns of runs of 0.5 ps were begun"):
        distil(ALUMINIUM, replace(ASKED, stay=2.0), out, teacher.train)


@pytest.mark.slow
def test_fewer_turns_than_were_taken_leave_the_last_potential(started):
    """They once set it back to an earlier one without a word."""
    out, teacher = started(), Teacher()
    last = distil(ALUMINIUM, ASKED, out, teacher.train)
    files = {name: (out / name).read_bytes() for name in ("nep.txt", "nep-2.txt", "nep.json")}
    with pytest.raises(InputError, match=r"--turns 1: 2 were taken in .*; give at least 2"):
        distil(ALUMINIUM, replace(ASKED, turns=1), out, teacher.train)
    assert distil(ALUMINIUM, replace(ASKED, turns=0), out, teacher.train) == last
    assert files == {name: (out / name).read_bytes() for name in files}


#: Distils as the tests here do, in a process of its own that says where it is.
CALL = """
import sys
from tests.battery.test_distil_turns import ALUMINIUM, ASKED, Teacher, distil, easy, pytest, replace
with pytest.MonkeyPatch.context() as patch:
    easy(patch)
    said = lambda stage, now, total: print(stage, flush=True)
    distil(ALUMINIUM, replace(ASKED, turns=1), sys.argv[1], Teacher().train, said)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["run 3 of", "labels", "training"])
def test_a_turn_that_is_killed_at_once_goes_on(tmp_path, started, when):
    """SIGKILL, which no program can catch, in the middle of runs, labels and training."""
    out = started()
    whole = distil(ALUMINIUM, replace(ASKED, turns=1), started("whole"), Teacher().train)
    with subprocess.Popen([sys.executable, "-c", CALL, str(out)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("turn 1") and when in line:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert "turns" not in json.loads((out / "nep.json").read_text())
    record = distil(ALUMINIUM, replace(ASKED, turns=1), out, Teacher().train)
    assert record["held_out"] == whole["held_out"]
    for name in ("nep.txt", "nep-2.txt", "turn-1/learned.extxyz", "turn-2/held-out.extxyz"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not [path for path in out.rglob("*") if path.name.endswith((".tmp", ".part")) or "run-" in path.name]


@pytest.mark.slow
def test_turns_mend_what_runs_meet(tmp_path, explored, monkeypatch):
    """Hot aluminium as EMT has it, with atoms too many and too few: a turn mends frames never learned from."""
    from rhotem.battery.distillation.fit import train_nep

    monkeypatch.setattr(committee, "limit_of", lambda largest: 0.2 * largest.max())
    # these would teach it beforehand; 52 are 40 and their share
    monkeypatch.setattr(exploring.Explorer, "_strayed", lambda self, rng: iter(()))
    settings = replace(ASKED, temperature=900.0, turns=1, epochs=40, frames=52)
    crystal = Structure(bulk("Al", "fcc", 4.0, cubic=True))
    out = tmp_path / "nep"
    record = distil(crystal, settings, out, train_nep)
    # the last look labels what is new, and nobody learns from it
    fresh = read_frames(out / "turn-2" / "learned.extxyz")
    before, after = (
        errors(potential_calculator(str(out / turn)), fresh)["force_eV_per_A"] for turn in ("turn-0", "turn-1")
    )
    assert after < 0.8 * before and record["turns"][1]["new"]["force_eV_per_A"] == pytest.approx(after)
