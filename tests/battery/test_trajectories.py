"""Trajectories: every format against what wrote it, and motion against random walks of known diffusion."""

import re
import struct
from dataclasses import replace

import ase
import ase.io
import numpy as np
import pytest
from ase import units
from ase.io.trajectory import Trajectory as AseTrajectory
from typer.testing import CliRunner

from rhotem.battery.trajectories import Trajectory, read_trajectory
from rhotem.battery.trajectories.activation import BOLTZMANN, activation_energy
from rhotem.battery.trajectories.asked import Asked, parse_elements
from rhotem.battery.trajectories.diffusion import CM2_PER_S, diffusion, shared_steps
from rhotem.battery.trajectories.hops import find_hops
from rhotem.battery.trajectories.model import every
from rhotem.battery.trajectories.msd import mean_square_displacement
from rhotem.battery.trajectories.report import Wanted, analyse
from rhotem.battery.trajectories.residence import residence_map
from rhotem.battery.trajectories.sites import Sites, sites_of
from rhotem.cli import main
from rhotem.core import InputError
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

CELL = np.diag([8.0, 9.0, 10.0])


def walk(rng, frames=400, atoms=20, d=1e-4, step=10.0, vibration=0.0, cell=CELL):
    """Brownian motion with D in Å²/fs, and a vibration that forgets itself from frame to frame; all of it Li."""
    paths = rng.uniform(0, 8, (1, atoms, 3)) + np.cumsum(
        rng.normal(0, np.sqrt(2 * d * step), (frames, atoms, 3)), axis=0
    )
    paths = paths + rng.normal(0, 1, paths.shape) * vibration
    return Trajectory(
        np.full(atoms, 3),
        np.broadcast_to(cell, (frames, 3, 3)).copy(),
        paths,
        step * np.arange(frames),
        None,
        False,
        "walk",
    )


def wrapped(t):
    inside = np.linalg.solve(t.cells[0].T, t.positions.reshape(-1, 3).T).T % 1.0
    return Trajectory(
        t.numbers, t.cells, (inside @ t.cells[0]).reshape(t.positions.shape), t.times, None, True, "wrapped"
    )


# -- motion ---------------------------------------------------------------------------------------------------------


def test_msd_is_the_plain_double_sum(rng):
    t = walk(rng, frames=40, atoms=3)
    found = mean_square_displacement(t, "Li", drift=True)
    for lag in (1, 7, 39):
        moved = t.positions[lag:] - t.positions[:-lag]
        assert found.values[lag] == pytest.approx((moved**2).sum(-1).mean(), rel=1e-9)


def test_msd_of_straight_flight_is_the_square(rng):
    """Ballistic limit: ⟨Δr²⟩ = v² τ²."""
    speeds = rng.normal(0, 1e-3, (5, 3))
    times = 2.0 * np.arange(30)
    paths = 4.0 + times[:, None, None] * speeds
    t = Trajectory(np.full(5, 3), np.broadcast_to(CELL, (30, 3, 3)), paths, times, None, False, "flight")
    found = mean_square_displacement(t, "Li", drift=True)
    np.testing.assert_allclose(found.values, times**2 * (speeds**2).sum(1).mean(), rtol=1e-7, atol=1e-12)


def test_wrapping_changes_nothing(rng):
    t = walk(rng)
    np.testing.assert_allclose(
        mean_square_displacement(wrapped(t), "Li").values,
        mean_square_displacement(t, "Li").values,
        rtol=1e-9,
        atol=1e-9,
    )


def test_drift_of_the_whole_is_no_diffusion(rng):
    t = walk(rng, atoms=50)
    drifting = Trajectory(
        t.numbers, t.cells, t.positions + 0.05 * np.arange(len(t))[:, None, None], t.times, None, False, "drift"
    )
    still, moved = (mean_square_displacement(x, "Li").values for x in (t, drifting))
    np.testing.assert_allclose(moved, still, rtol=1e-9, atol=1e-9)
    assert mean_square_displacement(drifting, "Li", drift=True).values[-1] > 100 * still[-1]


def test_a_breathing_cell_moves_no_atom():
    """NPT: fractional coordinates at rest."""
    places = np.random.default_rng(0).uniform(size=(6, 3))
    cells = CELL * (1 + 0.05 * np.sin(np.arange(50)))[:, None, None]
    t = Trajectory(np.full(6, 3), cells, places @ cells, 1.0 * np.arange(50), None, True, "npt")
    assert mean_square_displacement(t, "Li").values.max() < 1e-18


def _coverage(make, true, seeds=100, **options):
    """Pulls of D by its own error over independent walks."""
    pulls, values = [], []
    for seed in range(seeds):
        found = diffusion(make(np.random.default_rng(seed)), "Li", drift=True, **options)
        pulls.append((found.value - true) / found.error)
        values.append(found.value)
    return np.array(pulls), np.array(values)


def test_error_bar_of_brownian_motion_covers():
    """100 walks: no bias, 68 % within one standard error, 95 % within two, in the accuracy of 100."""
    d = 1e-4
    pulls, values = _coverage(lambda rng: walk(rng, frames=200, atoms=8, d=d), d * CM2_PER_S)
    assert abs(pulls.mean()) < 0.35 and 0.8 < pulls.std() < 1.25
    assert 0.55 < (np.abs(pulls) < 1).mean() < 0.8 and (np.abs(pulls) < 2).mean() > 0.89
    assert values.mean() == pytest.approx(d * CM2_PER_S, rel=0.05)


def _lattice(rng, frames=300, atoms=10, rate=0.005, length=3.0):
    """Rare hops of one length along an axis: D = rate l² / 6 per step of 10 fs."""
    hop = rng.random((frames, atoms)) < rate
    axis = rng.integers(0, 3, (frames, atoms))
    steps = np.zeros((frames, atoms, 3))
    np.put_along_axis(steps, axis[..., None], (hop * rng.choice([-length, length], hop.shape))[..., None], axis=2)
    paths = np.cumsum(steps, axis=0) + rng.normal(0, 0.15, steps.shape)
    return Trajectory(
        np.full(atoms, 3),
        np.broadcast_to(30 * np.eye(3), (frames, 3, 3)),
        paths,
        10.0 * np.arange(frames),
        None,
        False,
        "",
    )


def test_error_bar_of_rare_hops_covers():
    """Some fifteen hops of 3 Å with a vibration on top: their number decides the error, not Gaussian steps."""
    true = 0.005 * 9.0 / 6.0 / 10.0 * CM2_PER_S
    pulls, values = _coverage(_lattice, true)
    assert 0.75 < pulls.std() < 1.35, pulls.std()
    assert 0.5 < (np.abs(pulls) < 1).mean() < 0.85 and (np.abs(pulls) < 2).mean() > 0.85
    assert values.mean() == pytest.approx(true, rel=0.12)


def test_covariance_of_overlapping_windows_by_hand():
    """Three frames, lags 1 and 2: two windows of one step, one of two."""
    squared, single = shared_steps(3, np.array([1, 2]))
    np.testing.assert_allclose(single, [[0.5, 1.0], [1.0, 2.0]])
    np.testing.assert_allclose(squared, [[0.5, 1.0], [1.0, 4.0]])


def test_activation_energy_of_exact_diffusion():
    kelvin = np.array([600.0, 800.0, 1000.0])
    values = 3e-3 * np.exp(-0.42 / (BOLTZMANN * kelvin))
    found = activation_energy(kelvin, values, 0.1 * values)
    assert found.energy == pytest.approx(0.42, rel=1e-9)
    assert found.at(300.0)[0] == pytest.approx(3e-3 * np.exp(-0.42 / (BOLTZMANN * 300.0)), rel=1e-9)
    noisy = [
        activation_energy(kelvin, values * np.exp(0.1 * rng.normal(size=3)), 0.1 * values).energy
        for rng in map(np.random.default_rng, range(200))
    ]
    assert np.std(noisy) == pytest.approx(found.error, rel=0.2)
    with pytest.raises(InputError, match="not above zero"):
        activation_energy([300, 600], [1e-9, 1e-6], [2e-9, 1e-7])


# -- sites ----------------------------------------------------------------------------------------------------------


def _hopping(rng, frames=400, moved=(120, 250)):
    """Li of a LiCoO2 supercell with one vacancy; one neighbour of it hops in and back; everything vibrates, shifted."""
    crystal = phase("LiCoO2")
    atoms = crystal.atoms.repeat((3, 3, 1))
    li = [a.index for a in atoms if a.symbol == "Li"]
    empty = li[4]
    apart = atoms.get_distances(li, empty, mic=True)
    ion = li[int(np.argsort(apart)[1])]
    there = atoms.get_distance(ion, empty, mic=True, vector=True)
    places = np.repeat(atoms.positions[None], frames, axis=0)
    places[moved[0] : moved[1], ion] += there
    places = places + rng.normal(0, 0.06, places.shape) + np.array([0.7, 0.3, 1.1])
    kept = np.delete(np.arange(len(atoms)), empty)
    t = Trajectory(
        atoms.numbers[kept],
        np.broadcast_to(atoms.cell.array, (frames, 3, 3)),
        places[:, kept],
        5.0 * np.arange(frames),
        None,
        True,
        "hop",
    )
    return crystal, wrapped(t), int(np.flatnonzero(kept == ion)[0]), float(np.linalg.norm(there))


def test_hops_are_those_that_were_made(rng):
    crystal, t, ion, length = _hopping(rng)
    found = find_hops(t, sites_of(t, crystal, "Li"))
    assert found.frame.tolist() == [120, 250] and set(found.atom.tolist()) == {ion}
    assert found.target[1] == found.origin[0] and found.target[0] == found.origin[1]
    np.testing.assert_allclose(np.linalg.norm(found.vector, axis=1), length, rtol=1e-6)
    assert found.occupancy.sum() == pytest.approx(26) and found.returns == 0.5
    assert found.jump_diffusion[0] == pytest.approx(2 * length**2 / (6 * 26 * 399 * 5.0) * CM2_PER_S, rel=1e-6)


def test_a_swing_across_the_border_is_no_hop():
    sites = Sites("Li", np.array([[0.0, 0, 0], [0.5, 0, 0]]), np.diag([8.0, 8.0, 8.0]))
    swing = np.zeros((60, 1, 3))
    swing[:, 0, 0] = 1.9 + 0.4 * np.sin(np.arange(60))
    swing[0] = 0.0
    t = Trajectory(
        np.array([3]), np.broadcast_to(np.diag([8.0] * 3), (60, 3, 3)), swing, 1.0 * np.arange(60), None, True, ""
    )
    # one atom is its own centre of mass: keep the motion by a heavy partner
    heavy = np.concatenate([swing, np.full((60, 200, 3), 4.0)], axis=1)
    t = Trajectory(np.array([3] + [92] * 200), t.cells, heavy, t.times, None, True, "")
    assert len(find_hops(t, sites)) == 0


def test_reference_that_is_another_crystal_is_refused(rng):
    crystal, t, *_ = _hopping(rng, frames=20, moved=(5, 9))
    with pytest.raises(InputError, match="does not give that of the trajectory"):
        sites_of(t, phase("LiFePO4"), "Li")
    with pytest.raises(InputError, match="has no Na"):
        sites_of(t, crystal, "Na")
    turned = crystal.atoms.copy()
    turned.set_scaled_positions(
        turned.get_scaled_positions() + np.where(turned.numbers == 8, 0.5, 0.0)[:, None] * [1, 0, 0]
    )
    with pytest.raises(InputError, match="framework"):
        sites_of(t, Structure(turned, info={"name": "wrong"}), "Li")


def test_residence_map_counts_atoms_and_has_its_maxima_at_sites(rng):
    crystal, t, *_ = _hopping(rng, frames=60, moved=(20, 40))
    grid, values = residence_map(t, "Li")
    assert grid.integrate(values) == pytest.approx(26, rel=1e-6)
    sites = sites_of(t, crystal, "Li")
    most = np.array(np.unravel_index(values.argmax(), values.shape)) / grid.shape
    apart = (most - sites.places) - np.rint(most - sites.places)
    assert np.linalg.norm(apart @ grid.cell, axis=1).min() < 0.4


# -- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def frames(rng):
    atoms = phase("LiCoO2").atoms.copy()
    made = []
    for number in range(4):
        atoms = atoms.copy()
        atoms.positions += rng.normal(0, 0.05, (len(atoms), 3))
        atoms.set_velocities(rng.normal(0, 1e-2, (len(atoms), 3)))
        atoms.info["time"] = 2.0 * number
        made.append(atoms)
    return made


def _same(found, frames, atol=1e-6):
    assert len(found) == len(frames)
    for number, atoms in enumerate(frames):
        np.testing.assert_allclose(found.cells[number], atoms.cell.array, atol=atol)
        apart = np.linalg.solve(atoms.cell.array.T, (found.positions[number] - atoms.positions).T).T
        assert np.abs((apart - np.rint(apart)) @ atoms.cell.array).max() < atol
        assert (found.numbers == atoms.numbers).all()


@pytest.mark.parametrize("name", ["md.extxyz", "md.traj"])
def test_ase_formats_with_time_and_temperature(name, frames, tmp_path):
    if name.endswith("traj"):
        with AseTrajectory(tmp_path / name, "w") as writer:
            for atoms in frames:
                writer.write(atoms)
    else:
        ase.io.write(tmp_path / name, frames)
    found = read_trajectory(tmp_path / name)
    _same(found, frames)
    assert found.temperatures is not None
    for kelvin, atoms in zip(found.temperatures, frames, strict=True):
        momenta = atoms.get_momenta()
        mass = atoms.get_masses()[:, None]
        momenta = momenta - mass * momenta.sum(0) / mass.sum()
        energy = 0.5 * (momenta**2 / mass).sum()
        assert kelvin == pytest.approx(2 * energy / (3 * (len(atoms) - 1) * units.kB), rel=1e-5)
    if name.endswith("xyz"):
        text = (tmp_path / name).read_text()
        (tmp_path / "ps.xyz").write_text(re.sub(r"\btime=(\S+)", lambda said: f"time_ps={float(said[1]) / 1e3}", text))
        np.testing.assert_allclose(read_trajectory(tmp_path / "ps.xyz").times, found.times)
        assert found.step == pytest.approx(2.0)
        with pytest.raises(InputError, match="the file says 2 fs"):
            read_trajectory(tmp_path / name, Asked(timestep=1.0))


def test_xdatcar_has_no_time_and_none_is_guessed(frames, tmp_path):
    ase.io.write(tmp_path / "XDATCAR", frames, format="vasp-xdatcar")
    found = read_trajectory(tmp_path / "XDATCAR")
    sorted_frames = [a[np.argsort(a.numbers, kind="stable")] for a in frames]
    order = [a[np.argsort([found.numbers.tolist().index(z) for z in a.numbers], kind="stable")] for a in sorted_frames]
    _same(found, order)
    with pytest.raises(InputError, match="--timestep-fs"):
        _ = found.step
    assert read_trajectory(tmp_path / "XDATCAR", Asked(timestep=4.0)).step == pytest.approx(4.0)


def _dump(frames, columns, elements=True, shuffle=True):
    rng, lines = np.random.default_rng(1), []
    for number, atoms in enumerate(frames):
        xx, yy, zz = atoms.cell.array.diagonal()
        xy, xz, yz = atoms.cell[1, 0], atoms.cell[2, 0], atoms.cell[2, 1]
        low, high = min(0, xy, xz, xy + xz), max(0, xy, xz, xy + xz)
        lines += ["ITEM: TIMESTEP", str(100 * number), "ITEM: NUMBER OF ATOMS", str(len(atoms))]
        lines += ["ITEM: BOX BOUNDS xy xz yz pp pp pp", f"{1 + low} {1 + xx + high} {xy}"]
        lines += [f"{min(0, yz)} {yy + max(0, yz)} {xz}", f"0 {zz} {yz}"]
        kinds = {"Li": 1, "Co": 2, "O": 3}
        lines.append("ITEM: ATOMS id type " + ("element " if elements else "") + columns)
        scaled = atoms.get_scaled_positions(wrap=False)
        images = np.floor(scaled).astype(int)
        for i in rng.permutation(len(atoms)) if shuffle else range(len(atoms)):
            s = atoms.symbols[i]
            values = {"xu": atoms.positions[i] + [1, 0, 0], "x": (scaled[i] - images[i]) @ atoms.cell.array + [1, 0, 0]}
            values["xs"] = scaled[i] - images[i]
            words = [*values[columns.split()[0]], *(images[i] if "ix" in columns else [])]
            lines.append(f"{i + 1} {kinds[s]} {s + ' ' if elements else ''}{' '.join(map(str, words))}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("columns", ["xu yu zu", "x y z ix iy iz", "xs ys zs"])
def test_lammps_dumps_of_a_tilted_cell(columns, frames, tmp_path):
    """Boxes with another origin, atoms in any order, wrapped and unwrapped."""
    for number, atoms in enumerate(frames):
        atoms.positions += number * np.array([0.8, 0, 0])  # leaves the cell
    path = tmp_path / "dump.lammpstrj"
    path.write_text(_dump(frames, columns))
    found = read_trajectory(path, Asked(timestep=0.5))
    _same(found, frames, 1e-9)
    assert found.step == pytest.approx(50.0)
    drift = found.fractional[-1] - found.fractional[0]
    expected = np.linalg.solve(frames[0].cell.array.T, (frames[-1].positions - frames[0].positions).T).T
    np.testing.assert_allclose(drift, expected, atol=1e-9)


def test_lammps_types_need_elements(frames, tmp_path):
    path = tmp_path / "dump.lammpstrj"
    path.write_text(_dump(frames, "xu yu zu", elements=False))
    with pytest.raises(InputError, match="--elements"):
        read_trajectory(path)
    _same(read_trajectory(path, Asked(elements=parse_elements("1=Li,2=Co,3=O"))), frames, 1e-9)
    with pytest.raises(InputError, match="type 3 has no element"):
        read_trajectory(path, Asked(elements={"1": "Li", "2": "Co"}))


def _dcd(frames, order="<"):
    def record(data):
        return struct.pack(f"{order}i", len(data)) + data + struct.pack(f"{order}i", len(data))

    flags = [len(frames), 0, 1] + [0] * 6 + [0, 1] + [0] * 8 + [24]
    out = record(b"CORD" + struct.pack(f"{order}20i", *flags))
    out += record(struct.pack(f"{order}i", 1) + b"x" * 80) + record(struct.pack(f"{order}i", len(frames[0])))
    for atoms in frames:
        a, b, c, alpha, beta, gamma = atoms.cell.cellpar()
        out += record(struct.pack(f"{order}6d", a, gamma, b, beta, alpha, c))
        for axis in range(3):
            out += record(atoms.positions[:, axis].astype(f"{order}f4").tobytes())
    return out


@pytest.mark.parametrize("order", ["<", ">"])
def test_dcd_in_both_byte_orders_with_a_topology(order, frames, tmp_path):
    path = tmp_path / "md.dcd"
    path.write_bytes(_dcd(frames, order))
    with pytest.raises(InputError, match="--topology"):
        read_trajectory(path)
    ase.io.write(tmp_path / "top.extxyz", frames[0])
    _same(read_trajectory(path, Asked(topology=tmp_path / "top.extxyz")), frames, 1e-5)
    path.write_bytes(_dcd(frames, order)[:-30])
    cut = read_trajectory(path, Asked(topology=tmp_path / "top.extxyz"))
    assert len(cut) == 3 and "3 whole frames" in cut.notes[0]


@pytest.mark.parametrize("name", ["md.extxyz", "XDATCAR", "dump.lammpstrj"])
@pytest.mark.parametrize("cut", [1, 7, 200])
def test_a_last_frame_cut_anywhere_is_left_out_with_a_remark(name, cut, frames, tmp_path):
    """A number cut short is another number: even the last character counts."""
    path = tmp_path / name
    if name.startswith("dump"):
        path.write_text(_dump(frames, "xu yu zu"))
    else:
        ase.io.write(path, frames, format="vasp-xdatcar" if name == "XDATCAR" else "extxyz")
    text = path.read_text()
    path.write_text(text[:-cut])
    found = read_trajectory(path)
    assert len(found) == 3 and "3 whole frames" in " ".join(found.notes)
    path.write_text(text[: len(text) // 5])
    with pytest.raises(InputError, match="no whole frame"):
        read_trajectory(path)


def test_lags_that_are_no_times_are_refused(rng):
    for lags in ({"begin": np.nan}, {"end": np.inf}):
        with pytest.raises(InputError, match="expected a time"):
            diffusion(walk(rng, frames=40), "Li", **lags)


def test_a_vibration_is_not_told_as_diffusion_without_a_doubt(rng):
    """Atoms that fly within their vibration, and those that walk far."""
    t = walk(rng, frames=60, step=5.0, d=2e-6)
    assert analyse(t).doubted and not analyse(walk(rng, frames=400, d=1e-4)).doubted
    assert any("may be that vibration" in note for note in analyse(t).notes)
    assert not any("vibration" in note for note in analyse(walk(rng, frames=400, d=1e-4)).notes)
    with pytest.raises(InputError, match="--temperature nan"):
        analyse(t, Wanted(temperature=np.nan))


def test_bad_files_are_one_line(frames, tmp_path):
    path = tmp_path / "md.extxyz"
    ase.io.write(path, [frames[0], frames[1][:-1]])
    with pytest.raises(InputError, match=r"frame 2 has 11 atoms, the first 12"):
        read_trajectory(path)
    frames[1].positions[3, 0] = np.nan
    ase.io.write(path, frames)
    with pytest.raises(InputError, match="no finite number"):
        read_trajectory(path)
    frames[1].positions[3, 0] = 0.0
    ase.io.write(path, [frames[0], frames[2], frames[1]])
    with pytest.raises(InputError, match="time goes back at frame 3"):
        read_trajectory(path)
    text = path.read_text().splitlines()
    text[5] = "Li 1.0 2.0"
    path.write_text("\n".join(text) + "\n")
    with pytest.raises(InputError, match="line 6"):
        read_trajectory(path)
    (tmp_path / "md.pdb").write_text("x")
    with pytest.raises(InputError, match="not known as a trajectory"):
        read_trajectory(tmp_path / "md.pdb")


def test_frames_counted_from_one(rng):
    t = walk(rng, frames=10)
    assert every(t, 3).tolist() == [0, 3, 6, 9] and every(t, 2, 3, 7).tolist() == [2, 4, 6]
    with pytest.raises(InputError, match="none from"):
        every(t, 1, 11)


# -- command --------------------------------------------------------------------------------------------------------


def test_command_writes_tables_and_pictures(rng, tmp_path):
    _, t, *_ = _hopping(rng, frames=80, moved=(30, 60))
    made = [
        ase.Atoms(t.numbers, positions=p, cell=t.cells[0], pbc=True, info={"time": time})
        for p, time in zip(t.positions, t.times, strict=True)
    ]
    ase.io.write(tmp_path / "md.extxyz", made)
    command = ["trajectory", tmp_path / "md.extxyz", "--reference", "LiCoO2", "--out", tmp_path / "out"]
    result = CliRunner().invoke(main.app, [str(a) for a in command])
    assert result.exit_code == 0, result.output
    assert "2 between 27 sites" in result.stdout
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"msd.png", "msd.csv", "hops.csv", "sites.csv", "residence.cube", "residence.png", "record.json"} <= there
    assert len((tmp_path / "out" / "hops.csv").read_text().splitlines()) == 3


def test_a_given_temperature_that_velocities_deny_is_said(rng):
    speeds = rng.normal(0, 1e-3, (400, 20, 3))  # Å/fs
    t = replace(walk(rng), velocities=speeds)
    kelvin = t.temperatures.mean()
    assert any("was given" in note for note in analyse(t, Wanted(temperature=2 * kelvin)).notes)
    assert not any("was given" in note for note in analyse(t, Wanted(temperature=kelvin)).notes)
