"""Distilled potentials: derivatives, two codes for one file, exploration, a committee that stops runs, killed calls."""

import json
from dataclasses import replace
from itertools import chain

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from tests.battery.neps import ALUMINIUM, random_nep
from typer.testing import CliRunner

from rhotem.battery import dynamics
from rhotem.battery.distillation import distil as distilling
from rhotem.battery.distillation import explore as exploring
from rhotem.battery.distillation.distil import Settings, distil
from rhotem.battery.distillation.explore import Explorer, Size
from rhotem.battery.distillation.judge import errors, hop_error
from rhotem.battery.distillation.labels import read_frames
from rhotem.battery.distillation.starts import cell_of, hop, moving, stray, with_vacancies
from rhotem.battery.potentials import potential_calculator
from rhotem.battery.relax import Settings as Relaxation
from rhotem.battery.relax import relax
from rhotem.cli.md import app
from rhotem.core import ConvergenceError, InputError
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


def committee(folder, elements, limit, seeds=(1, 2)):
    """Two potentials that say they may differ by ``limit``."""
    folder.mkdir(exist_ok=True)
    path = random_nep(folder / "nep.txt", elements, seeds[0])
    random_nep(folder / "nep-2.txt", elements, seeds[1])
    card = {"format": "rhotem-nep", "members": ["nep-2.txt"], "limit_eV_per_A": limit}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture
def oxide(rng):
    atoms = phase("LiCoO2", primitive=True).atoms.repeat(2)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, 0.01, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
    return atoms


# -- the calculator -------------------------------------------------------------------------------------------------


def test_forces_and_stress_are_derivatives_of_the_energy(tmp_path, oxide):
    pytest.importorskip("nep_adapters")
    oxide.calc = potential_calculator(str(random_nep(tmp_path / "nep.txt", ["Li", "Co", "O"], 3)))
    forces, stress, small = oxide.get_forces(), oxide.get_stress(voigt=False), 1e-4
    assert abs(forces).max() > 0.1
    for atom, axis in ((0, 0), (5, 1), (11, 2)):
        energies = []
        for sign in (1, -1):
            moved = oxide.copy()
            moved.calc = oxide.calc
            moved.positions[atom, axis] += sign * small
            energies.append(moved.get_potential_energy())
        assert forces[atom, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * small), abs=1e-5)
    for row, column in ((0, 0), (1, 2)):
        energies = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[row, column] += 0.5 * sign * small
            strain[column, row] += 0.5 * sign * small
            strained = oxide.copy()
            strained.calc = oxide.calc
            strained.set_cell(oxide.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            energies.append(strained.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * small) / oxide.get_volume()
        assert stress[row, column] == pytest.approx(slope, abs=1e-6)


def test_the_trainer_and_the_runner_read_a_file_alike(tmp_path, oxide):
    """Two codes, one file: torchnep reads what nep-adapters runs."""
    pytest.importorskip("nep_adapters")
    trained = pytest.importorskip("torchnep.ase_calculator")
    path = random_nep(tmp_path / "nep.txt", ["Li", "Co", "O"], 4)
    ours, theirs = potential_calculator(str(path)), trained.NEP(str(path))
    assert ours.get_potential_energy(oxide) == pytest.approx(theirs.get_potential_energy(oxide), abs=1e-5)
    np.testing.assert_allclose(ours.get_forces(oxide), theirs.get_forces(oxide), atol=1e-5)
    np.testing.assert_allclose(ours.get_stress(oxide), theirs.get_stress(oxide), atol=1e-6)


def test_what_is_no_potential_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file; `rhotem distil"):
        potential_calculator(str(tmp_path / "nep.txt"))
    with pytest.raises(InputError, match="not known; choose sevennet-0"):
        potential_calculator("nonsense")
    pytest.importorskip("nep_adapters")
    other = tmp_path / "other.txt"
    for text in ("", "a letter\n", "nep4_dipole 1 Li\n", "nep4 2 Li\n"):
        other.write_text(text)
        with pytest.raises(InputError, match="not a NEP of energies"):
            potential_calculator(str(other))
    other.write_text("nep4 1 Li\ncutoff 5 4\n")
    with pytest.raises(InputError, match="cannot be read"):
        potential_calculator(str(other))


def test_a_potential_that_lacks_an_element_is_refused(tmp_path):
    pytest.importorskip("nep_adapters")
    path = random_nep(tmp_path / "nep.txt", ["Li", "Co"], 1)
    with pytest.raises(InputError, match="does not know O"):
        dynamics.run(phase("LiCoO2"), dynamics.Settings(potential=str(path)), tmp_path / "md.extxyz")
    assert not (tmp_path / "md.extxyz").exists()
    with pytest.raises(InputError, match="does not know O"):
        relax(phase("LiCoO2"), Relaxation(potential=str(path)))
    told = CliRunner().invoke(app, ["LiCoO2", "--potential", str(path), "--out", str(tmp_path / "b.extxyz")])
    assert isinstance(told.exception, InputError)


# -- the committee --------------------------------------------------------------------------------------------------


def test_a_committee_that_disagrees_stops_a_run_and_keeps_its_frames(tmp_path):
    """Members' forces differ by some tenths of eV/Å: the limit decides."""
    pytest.importorskip("nep_adapters")
    cell = Structure(ALUMINIUM.atoms.repeat(2))
    settings = dynamics.Settings(
        300.0, 0.2, step=1.0, every=10.0, potential=str(committee(tmp_path / "a", ["Al"], 1e3))
    )
    assert dynamics.run(cell, settings, tmp_path / "long.extxyz")["frames"] == 21
    strict = dynamics.Settings(300.0, 0.2, step=1.0, every=10.0, potential=str(committee(tmp_path / "b", ["Al"], 1e-6)))
    with pytest.raises(ConvergenceError, match=r"at 0.1 ps: potential nep.txt does not know this: .* at Al"):
        dynamics.run(cell, strict, tmp_path / "short.extxyz")
    assert len(read_frames(tmp_path / "short.extxyz")) == 10


class Doubting(EMT):
    """Says at some of its looks, counted from 0, that it is lost."""

    def __init__(self, *lost, begin=0):
        super().__init__()
        self.lost, self.looks = lost, begin

    def watch(self, atoms):
        self.looks += 1
        if self.looks - 1 in self.lost:
            raise ConvergenceError("lost")


def test_a_run_ends_where_a_potential_is_lost_twice_on_end(tmp_path):
    """What passes within a look is told, no more; a run that goes on after a stop remembers the look before it."""
    cell = Structure(ALUMINIUM.atoms.repeat(2))
    settings = dynamics.Settings(300.0, 0.25, step=1.0, every=50.0)
    record = dynamics.run(cell, settings, tmp_path / "passes.extxyz", calculator=Doubting(0, 2, 4))
    assert record["frames"] == 6 and record["alarms"] == 3
    with pytest.raises(ConvergenceError, match=r"at 0.2 ps: lost"):
        dynamics.run(cell, settings, tmp_path / "lost.extxyz", calculator=Doubting(0, 2, 3))
    short = dynamics.Settings(300.0, 0.15, step=1.0, every=50.0)
    dynamics.run(cell, short, tmp_path / "later.extxyz", calculator=Doubting(0, 2, 3))
    with pytest.raises(ConvergenceError, match=r"at 0.2 ps: lost"):
        dynamics.run(cell, settings, tmp_path / "later.extxyz", calculator=Doubting(0, 2, 3, begin=3))


def test_disagreement_is_the_distance_of_forces(tmp_path, oxide):
    pytest.importorskip("nep_adapters")
    path = committee(tmp_path / "c", ["Li", "Co", "O"], 1.0)
    first, second = (potential_calculator(str(path.parent / name)) for name in ("nep.txt", "nep-2.txt"))
    apart = np.linalg.norm(first.get_forces(oxide) - second.get_forces(oxide), axis=1)
    np.testing.assert_allclose(potential_calculator(str(path.parent)).disagreement(oxide), apart, atol=1e-12)
    # a file alone watches nothing
    assert not second.disagreement(oxide).any()


def test_a_committee_that_is_not_whole_is_refused(tmp_path):
    pytest.importorskip("nep_adapters")
    path = committee(tmp_path / "d", ["Al"], 1.0)
    (path.parent / "nep-2.txt").unlink()
    with pytest.raises(InputError, match=r"nep-2.txt of its committee is missing"):
        potential_calculator(str(path))
    path.with_suffix(".json").write_text('{"format": "rhotem-nep"}')
    with pytest.raises(InputError, match="damaged"):
        potential_calculator(str(path))


# -- exploration ----------------------------------------------------------------------------------------------------


def test_hops_stand_between_two_sites(rng):
    crystal = cell_of(phase("LiCoO2"), 240)
    sites = crystal[crystal.symbols == "Li"]
    for fraction in (0.25, 0.5):
        start = hop(crystal, "Li", fraction, rng)
        assert len(start.atoms) == len(crystal) - 1
        assert start.atoms.symbols[start.held] == "Li"
        # the ion and the crystal's sites: it is on the line between the nearest two, 2.816 Å apart
        both = sites + start.atoms[[start.held]]
        near = np.sort(both.get_distances(len(sites), range(len(sites)), mic=True))[:2]
        np.testing.assert_allclose(near, 2.8161 * np.array([fraction, 1.0 - fraction]), atol=1e-3)
    assert hop(ALUMINIUM.atoms[[0]], "Al", 0.5, rng) is None


def test_vacancies_lie_together_and_leave_half(rng):
    crystal = cell_of(phase("LiCoO2"), 240)
    assert with_vacancies(crystal, "Li", 2, rng).symbols.count("Li") == crystal.symbols.count("Li") - 2
    assert len(with_vacancies(ALUMINIUM.atoms, "Al", 7, rng)) == 2


def test_the_ion_that_moves_is_found_or_refused():
    crystal = phase("Na3V2(PO4)3").atoms
    assert moving(crystal, "") == "Na" and moving(crystal, "O") == "O"
    assert moving(phase("SrTiO3").atoms, "") == ""
    with pytest.raises(InputError, match="--element Li: not in"):
        moving(crystal, "Li")
    with pytest.raises(InputError, match="at most 240"):
        cell_of(Structure(ALUMINIUM.atoms.repeat(4)), 240)


def test_pieces_are_the_same_in_any_order_and_carry_the_teachers_labels():
    def explorer():
        return Explorer(ALUMINIUM.atoms.repeat(2), "Al", 600.0, EMT(), 7)

    size = Size(3, 2, 2, 1, 1)
    forwards = [list(make()) for _, make in explorer().pieces(size, 0)]
    backwards = [list(make()) for _, make in reversed(explorer().pieces(size, 0))][::-1]
    assert [len(piece) for piece in forwards] == [3, 2, 2, 1, 2]
    for ours, theirs in zip(chain(*forwards), chain(*backwards), strict=True):
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        again = ours.copy()
        again.calc = EMT()
        np.testing.assert_allclose(again.get_forces(), ours.get_forces(), atol=1e-12)
        assert again.get_potential_energy() == pytest.approx(ours.get_potential_energy())
    assert [frame.info["weight"] for frame in chain(*forwards)] == [1.0] * 7 + [3.0] + [1.0] * 2
    other = list(explorer().pieces(size, 1)[0][1]())
    assert abs(other[0].positions - forwards[0][0].positions).max() > 1e-3


def test_ions_stray_to_where_no_crystal_has_them(rng):
    """Lithium of LiCoO2 reaches places of all kinds, none nearer to an atom than 0.7 of its bond; the rest stays."""
    crystal = cell_of(phase("LiCoO2"), 240)
    sites = np.flatnonzero(crystal.symbols == "Li")
    bond = crystal.get_all_distances(mic=True)[sites[0]][crystal.symbols == "O"].min()
    rooms = []
    for _ in range(30):
        start = stray(crystal, "Li", rng)
        apart = start.atoms.get_distances(start.held, range(len(crystal)), mic=True)
        moved = np.linalg.norm(start.atoms.positions - crystal.positions, axis=1) > 1e-9
        assert start.held in sites and not np.delete(moved, start.held).any()
        rooms.append(np.sort(apart)[1] / bond)
    assert 0.7 <= min(rooms) < 0.75 and max(rooms) > 0.85


def test_atoms_on_top_of_each_other_are_no_frames():
    """Rattled argon at a tenth of its volume: forces of 1e5 eV/Å."""
    dense = ase.Atoms("Ar4", bulk("Ar", "fcc", 2.2, cubic=True).positions, cell=np.eye(3) * 2.2, pbc=True)
    teacher = LennardJones(sigma=3.4, epsilon=0.0104, rc=6.0)
    assert not list(Explorer(dense, "", 300.0, teacher, 0).pieces(Size(4, 0, 0, 0, 0), 0)[0][1]())


def test_errors_are_those_of_a_known_shift():
    """A teacher of twice the depth: every force is wrong by itself."""
    frames = list(Explorer(ALUMINIUM.atoms.repeat(2), "Al", 600.0, EMT(), 1).pieces(Size(4, 0, 0, 0, 0), 0)[0][1]())

    class Twice(EMT):
        def calculate(self, *arguments, **options):
            super().calculate(*arguments, **options)
            self.results = {name: 2.0 * np.asarray(value) for name, value in self.results.items()}

    wrong = errors(Twice(), frames)
    assert wrong["force_eV_per_A"] == pytest.approx(wrong["labels_rms_force_eV_per_A"], rel=1e-9)
    energies = [f.get_potential_energy() / len(f) for f in frames]
    assert wrong["energy_meV_per_atom"] == pytest.approx(1e3 * np.sqrt(np.mean(np.square(energies))), rel=1e-9)


def test_hops_that_are_too_high_are_told():
    """Labels of hops 0.3 eV lower, and all labels 1 eV higher: only frames of one composition are compared."""
    frames = [
        f
        for _, make in Explorer(ALUMINIUM.atoms.repeat(2), "Al", 300.0, EMT(), 3).pieces(Size(0, 2, 2, 2, 0), 0)
        for f in make()
    ]
    assert hop_error(EMT(), frames) == pytest.approx(0.0, abs=1e-9)
    for frame in frames:
        frame.calc.results["energy"] += 1.0 - 0.3 * (frame.info["weight"] > 1.0)
    assert hop_error(EMT(), frames) == pytest.approx(0.3, abs=1e-9)
    assert hop_error(EMT(), frames[:2]) is None


# -- all of it ------------------------------------------------------------------------------------------------------


class Counted(EMT):
    calls = 0

    def calculate(self, *arguments, **options):
        Counted.calls += 1
        super().calculate(*arguments, **options)


@pytest.fixture
def small(monkeypatch):
    """EMT teaches, and few frames are enough."""
    monkeypatch.setattr(distilling, "potential_calculator", lambda name: Counted())
    monkeypatch.setattr(distilling, "HELD_OUT", Size(2, 1, 1, 1, 0))
    for wait in ("SETTLE", "APART"):
        monkeypatch.setattr(exploring, wait, 10.0)
    Counted.calls = 0
    return Settings(500.0, frames=40)


def trainer(frames, elements, folder, seed, epochs, progress):
    folder.mkdir(parents=True, exist_ok=True)
    assert len(read_frames(frames)) > 30
    return random_nep(folder / "made.txt", elements, seed)


def test_a_killed_distillation_goes_on_where_it_was(tmp_path, small):
    pytest.importorskip("nep_adapters")

    def killed(frames, elements, folder, seed, epochs, progress):
        if seed:
            raise KeyboardInterrupt
        return trainer(frames, elements, folder, seed, epochs, progress)

    out = tmp_path / "nep"
    with pytest.raises(KeyboardInterrupt):
        distil(ALUMINIUM, small, out, killed)
    explored = Counted.calls
    assert explored > 100 and (out / "nep.txt").exists() and not (out / "nep.json").exists()
    record = distil(ALUMINIUM, small, out, trainer)
    assert Counted.calls == explored
    assert record == json.loads((out / "nep.json").read_text()) and record["members"] == ["nep-2.txt"]
    whole = distil(ALUMINIUM, small, tmp_path / "whole", trainer)
    assert whole["held_out"] == record["held_out"]
    assert (out / "learned.extxyz").read_bytes() == (tmp_path / "whole" / "learned.extxyz").read_bytes()
    # it is a potential as any other, and its limit is above what it disagrees by
    assert potential_calculator(str(out)).card.limit > record["disagreement_eV_per_A"]["most"] > 0.0


def test_exploration_goes_on_piece_by_piece(tmp_path, small):
    pytest.importorskip("nep_adapters")
    done = []

    def stop(stage, now, total):
        done.append(now)
        if now == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(ALUMINIUM, small, tmp_path / "nep", trainer, stop)
    half = Counted.calls
    distil(ALUMINIUM, small, tmp_path / "nep", trainer)
    rest, Counted.calls = Counted.calls - half, 0
    distil(ALUMINIUM, small, tmp_path / "whole", trainer)
    assert half > 0 and half + rest == Counted.calls
    for name in ("learned.extxyz", "held-out.extxyz"):
        assert (tmp_path / "nep" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_bad_requests_are_refused_in_one_line(tmp_path, small):
    pytest.importorskip("nep_adapters")
    for settings, said in (
        ({"frames": 10}, "10 frames are too few"),
        ({"temperature": -1.0}, "expected a number > 0"),
        ({"members": 0}, "committee of 0"),
        ({"teacher": "nonsense"}, "not known"),
    ):
        with pytest.raises(InputError, match=said):
            Settings(**settings)
    distil(ALUMINIUM, small, tmp_path / "nep", trainer)
    with pytest.raises(InputError, match="is of another temperature"):
        distil(ALUMINIUM, Settings(700.0, frames=40), tmp_path / "nep", trainer)
    with pytest.raises(InputError, match="is of another crystal"):
        distil(Structure(bulk("Al", "fcc", 4.1, cubic=True)), small, tmp_path / "nep", trainer)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds something else"):
        distil(ALUMINIUM, small, tmp_path / "full", trainer)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="is a file; give a folder"):
        distil(ALUMINIUM, small, tmp_path / "full" / "thesis.tex", trainer)
    for nowhere in (tmp_path / "full" / "thesis.tex" / "nep", "/proc/nep"):
        with pytest.raises(InputError, match="cannot write there"):
            distil(ALUMINIUM, small, nowhere, trainer)


@pytest.mark.slow
def test_a_student_learns_its_teacher(tmp_path, small):
    """Forces of aluminium as EMT has them, to a fifth of their size after 40 passes."""
    pytest.importorskip("nep_adapters")
    from rhotem.battery.distillation.fit import train_nep

    record = distil(ALUMINIUM, replace(small, epochs=40), tmp_path / "nep", train_nep)
    held = record["held_out"]
    assert held["force_eV_per_A"] < 0.2 * held["labels_rms_force_eV_per_A"]
    assert held["energy_meV_per_atom"] < 10.0
