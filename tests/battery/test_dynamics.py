"""Molecular dynamics: conservation, temperature, pressure, and runs that were killed."""

import signal
import subprocess
import sys
from dataclasses import replace

import ase
import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from typer.testing import CliRunner

from rhotem.battery.dynamics import Settings, run
from rhotem.battery.trajectories import read_trajectory
from rhotem.cli.md import app
from rhotem.core import ConvergenceError, InputError
from rhotem.structure.model import Structure

LITHIUM = Structure(bulk("Li", "bcc", 3.43, cubic=True))
COPPER = Structure(bulk("Cu", "fcc", 3.59, cubic=True).repeat(2))


def total_energies(path):
    return np.array([f.get_potential_energy() + f.get_kinetic_energy() for f in ase.io.read(path, ":")])


class Springs(Calculator):
    """Every atom on a spring (eV/Å²) to its place."""

    implemented_properties = ("energy", "forces")
    stiffness = 2.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        apart = atoms.positions - COPPER.positions
        self.results = {"energy": 0.5 * self.stiffness * float((apart**2).sum()), "forces": -self.stiffness * apart}


class Balloon(Calculator):
    """Atoms that feel nothing in a cell whose energy is B (V − V0)²/2V0."""

    implemented_properties = ("energy", "forces", "stress")
    bulk_modulus, volume = 0.3, COPPER.volume

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        wider = atoms.get_volume() / self.volume - 1.0
        stress = self.bulk_modulus * wider * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
        energy = 0.5 * self.bulk_modulus * self.volume * wider**2
        self.results = {"energy": energy, "forces": np.zeros((len(atoms), 3)), "stress": stress}


def test_energy_is_conserved_better_with_a_smaller_step(tmp_path):
    """Velocity Verlet errs by the square of its step."""
    spread = []
    for step in (4.0, 2.0):
        settings = Settings(600.0, 0.24, "nve", step=step, every=step, seed=1)
        run(COPPER, settings, tmp_path / f"{step}.extxyz", calculator=Springs())
        energies = total_energies(tmp_path / f"{step}.extxyz")
        assert abs(energies - energies[0]).max() < 0.01 * energies[0]
        spread.append(energies.std())
    assert spread[0] / spread[1] == pytest.approx(4.0, rel=0.2)


def test_energy_of_sevennet_is_conserved(tmp_path):
    """Forces that were no derivatives, or jumped at a cutoff, would heat or cool."""
    salt = Structure(bulk("LiF", "rocksalt", 4.03, cubic=True))
    run(salt, Settings(600.0, 0.06, "nve", step=1.0, every=1.0), tmp_path / "salt.extxyz")
    frames = ase.io.read(tmp_path / "salt.extxyz", ":")
    energies = total_energies(tmp_path / "salt.extxyz") / len(salt)
    kinetic = np.array([f.get_kinetic_energy() for f in frames]) / len(salt)
    assert len(frames) == 61 and np.ptp(kinetic) > 0.02
    assert np.ptp(energies) < 0.02 * np.ptp(kinetic)


def test_the_thermostat_holds_the_temperature(tmp_path):
    """Mean kinetic and potential energy are 3/2 kT per atom; T of a frame has a standard deviation of T sqrt(2/3N)."""
    settings = Settings(500.0, 8.0, step=4.0, every=40.0, seed=2)
    record = run(COPPER, settings, tmp_path / "warm.extxyz", calculator=Springs())
    frames = ase.io.read(tmp_path / "warm.extxyz", ":")[50:]
    hot = np.array([f.get_temperature() for f in frames])
    single = 500.0 * np.sqrt(2.0 / (3 * len(COPPER)))
    # frames of 200 fs are about independent
    error = single / np.sqrt(len(hot) / 5)
    assert hot.mean() == pytest.approx(500.0, abs=3 * error)
    assert hot.std() == pytest.approx(single, rel=0.35)
    potential = np.mean([f.get_potential_energy() for f in frames]) / (1.5 * units.kB * len(COPPER))
    assert potential == pytest.approx(500.0, abs=3 * error)
    assert record["temperature_K"] == pytest.approx(hot[50:].mean(), abs=2 * error)


def test_the_barostat_finds_the_volume_of_the_pressure(tmp_path):
    """Pressure = kinetic part N kT/V − B (V − V0)/V0."""
    pressure = 5.0
    settings = Settings(300.0, 6.0, "npt", pressure, 4.0, 40.0)
    run(COPPER, settings, tmp_path / "p.extxyz", calculator=Balloon())
    frames = ase.io.read(tmp_path / "p.extxyz", ":")
    volume, gas = COPPER.volume, len(COPPER) * units.kB * 300.0
    for _ in range(20):
        volume = Balloon.volume * (1.0 + (gas / volume - pressure * units.GPa) / Balloon.bulk_modulus)
    assert volume < 0.95 * COPPER.volume
    assert np.mean([f.get_volume() for f in frames[50:]]) == pytest.approx(volume, rel=0.015)
    held = np.array([f.info["pressure_GPa"] for f in frames])
    assert held[50:].mean() == pytest.approx(pressure, abs=0.8)
    last = frames[-1].get_volume()
    moving = 2.0 * frames[-1].get_kinetic_energy() / (3.0 * last)
    still = -Balloon.bulk_modulus * (last / Balloon.volume - 1.0)
    assert held[-1] == pytest.approx((moving + still) / units.GPa, abs=1e-4)
    np.testing.assert_allclose(frames[-1].cell.angles(), 90.0)


@pytest.mark.parametrize("ensemble", ["nvt", "npt", "nve"])
def test_a_killed_run_gives_the_frames_of_one_that_was_not(tmp_path, ensemble):
    whole, parts = tmp_path / "whole.extxyz", tmp_path / "parts.extxyz"
    settings = Settings(400.0, 0.015, ensemble, step=1.0, every=1.0, seed=3)
    run(LITHIUM, settings, whole)
    run(LITHIUM, replace(settings, time=0.005), parts)
    with open(parts, "a") as stream:  # a frame that was being written when the run was killed
        stream.write("2\nLattice=")
    record = run(LITHIUM, settings, parts)
    assert parts.read_bytes() == whole.read_bytes()
    assert record["frames"] == 16 and record["steps"] == 15
    assert run(LITHIUM, settings, parts)["frames"] == 16  # nothing is left to do


def test_frames_say_what_a_reader_asks(tmp_path):
    start = COPPER.atoms.copy()
    run(COPPER, Settings(400.0, 0.02, step=2.0, every=10.0, seed=4), tmp_path / "a.extxyz", calculator=EMT())
    frames = ase.io.read(tmp_path / "a.extxyz", ":")
    assert [f.info["time_ps"] for f in frames] == [0.0, 0.01, 0.02] and [f.info["step"] for f in frames] == [0, 5, 10]
    np.testing.assert_allclose(frames[0].positions, start.positions, atol=1e-8)
    assert frames[0].get_temperature() == pytest.approx(frames[0].info["temperature_K"], rel=1e-5)
    np.testing.assert_allclose(frames[0].get_momenta().sum(0), 0.0, atol=1e-6)
    moved = (frames[1].positions - frames[0].positions) / (10.0 * units.fs)
    assert np.corrcoef(moved.ravel(), frames[0].get_velocities().ravel())[0, 1] > 0.9
    start.calc = EMT()
    assert frames[0].get_potential_energy() == pytest.approx(start.get_potential_energy(), abs=1e-6)


def test_what_ends_a_run(tmp_path):
    pair = Structure(ase.Atoms("Ar2", [[0, 0, 0], [1.9, 0, 0]], cell=[20.0] * 3, pbc=True))
    strong = LennardJones(sigma=3.4, epsilon=0.0104, rc=10.0)
    with pytest.raises(ConvergenceError, match=r"md: at .* ps: \d+ K, 100 K asked for; start from a relaxed"):
        run(pair, Settings(100.0, 1.0), tmp_path / "hot.extxyz", calculator=strong)
    assert len(ase.io.read(tmp_path / "hot.extxyz", ":")) >= 1  # what was sound stays
    loose = Structure(ase.Atoms("Ar2", [[0, 0, 0], [3.0, 0, 0]], cell=[20.0] * 3, pbc=True))
    with pytest.raises(ConvergenceError, match="Ar 0, Ar 1 has no neighbour within 5"):
        run(loose, Settings(300.0, 5.0, "nve", step=5.0, every=100.0), tmp_path / "gone.extxyz", calculator=strong)


def test_bad_input(tmp_path):
    out = tmp_path / "a.extxyz"
    settings = Settings(300.0, 0.01, step=2.0, every=10.0)
    for wrong, match in (
        ({"temperature": -1.0}, "temperature -1"),
        ({"time": np.inf}, "time inf"),
        ({"every": 1.0, "step": 2.0}, "frames need a step"),
        ({"step": 0.0}, "step 0"),
        ({"step": np.nan}, "step nan"),
        ({"every": np.inf}, "time between frames inf"),
        ({"ensemble": "nph"}, "choose nvt"),
        ({"potential": "magic"}, "choose sevennet-0"),
    ):
        with pytest.raises(InputError, match=match):
            Settings(**wrong)
    with pytest.raises(InputError, match="no whole number of steps of 1 fs"):
        run(COPPER, Settings(300.0, 0.01, every=1.5), out, calculator=EMT())
    with pytest.raises(InputError, match=r"ends in \.extxyz"):
        run(COPPER, settings, tmp_path / "a.traj", calculator=EMT())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write there"):
        run(COPPER, settings, tmp_path / "file" / "a.extxyz", calculator=EMT())
    (tmp_path / "file").unlink()
    with pytest.raises(InputError, match="does not know Po"):
        run(Structure(bulk("Po", "sc", 3.3)), settings, out)
    assert not list(tmp_path.iterdir())
    run(COPPER, settings, out, calculator=EMT())
    with pytest.raises(InputError, match="another seed"):
        run(COPPER, replace(settings, seed=5), out, calculator=EMT())
    before = out.read_bytes()
    whole = (tmp_path / "a.state.npz").read_bytes()
    np.savez(tmp_path / "b.npz", text=np.array("[1]"), positions=1, momenta=1, cell=1, barostat=1, rows=1)
    foreign = (tmp_path / "b.npz").read_bytes()
    for torn in (b"PK", b"", whole[:700], whole[: len(whole) // 2], foreign):
        (tmp_path / "a.state.npz").write_bytes(torn)
        with pytest.raises(InputError, match="damaged"):
            run(COPPER, settings, out, calculator=EMT())
    (tmp_path / "a.state.npz").unlink()
    with pytest.raises(InputError, match=r"without a\.state\.npz"):
        run(COPPER, settings, out, calculator=EMT())
    assert out.read_bytes() == before


def test_the_command(tmp_path):
    out = tmp_path / "li.extxyz"
    told = CliRunner().invoke(app, ["Li", "--time", "0.004", "--every", "2", "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert "steps of 1 fs" in told.output and "3 frames" in told.output
    assert len(ase.io.read(out, ":")) == 3
    read = read_trajectory(out)
    assert read.step == pytest.approx(2.0) and read.temperatures is not None


@pytest.mark.slow
def test_kill_nine(tmp_path):
    """The real thing: the process is killed while it writes, and called again."""
    arguments = [sys.executable, "-m", "rhotem", "md", "LiF", "--every", "1", "--time", "0.2", "--quiet", "--out"]
    subprocess.run([*arguments, str(tmp_path / "whole.extxyz")], check=True)
    process = subprocess.Popen([*arguments, str(tmp_path / "parts.extxyz")])
    while not (tmp_path / "parts.state.npz").exists() and process.poll() is None:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "parts.extxyz").stat().st_size < (tmp_path / "whole.extxyz").stat().st_size
    subprocess.run([*arguments, str(tmp_path / "parts.extxyz")], check=True)
    assert (tmp_path / "parts.extxyz").read_bytes() == (tmp_path / "whole.extxyz").read_bytes()


def test_paths_of_a_run_are_taken_as_they_are_across_half_a_cell(tmp_path):
    """Two atoms that fly 0.6 of a cell between frames: the nearest image would send them back by 0.4."""

    class Free(Balloon):
        bulk_modulus = 0.0

    cell = Structure(ase.Atoms("He2", [(0, 0, 0), (1.5, 1.5, 1.5)], cell=[3.0, 3.0, 3.0], pbc=True))
    settings = Settings(ensemble="nve", temperature=1.6e5, step=2.0, every=50.0, time=0.2)
    out = tmp_path / "md.extxyz"
    run(cell, settings, out, calculator=Free())
    frames = ase.io.read(out, ":")
    far = np.abs(np.diff([f.get_scaled_positions(wrap=False) for f in frames], axis=0))
    assert far.max() > 0.5
    found = read_trajectory(out)
    assert not found.wrapped and not found.notes
    np.testing.assert_allclose(found.paths(drift=True), [f.positions for f in frames], atol=1e-9)
    # files of others do not say it
    out.write_text(out.read_text().replace("wrapped=F", ""))
    assert read_trajectory(out).wrapped
