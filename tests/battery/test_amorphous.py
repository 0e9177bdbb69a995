"""Glass by melting and quenching: argon, whose potential is known, melts, freezes without order, and goes on."""

import ase
import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from rhotem.battery.builders import builders
from rhotem.battery.builders.amorphous import amorphous, block
from rhotem.battery.quench import SPRING, Held, Quench, order_left
from rhotem.core import ConvergenceError, InputError
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

#: Argon: ε = 0.0104 eV, σ = 3.4 Å; melts at 84 K, a crystal without surfaces some way above.
ARGON = Structure(
    ase.Atoms(
        "Ar4", cell=[5.26] * 3, scaled_positions=[(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)], pbc=True
    )
)


def lennard_jones():
    return LennardJones(epsilon=0.0104, sigma=3.4, rc=6.5, smooth=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glass") / "runs"
    how = Quench(temperature=900.0, melt=3.5, cool=1.8, seed=3)
    sizes = (10.0, 10.0, 15.0)
    return amorphous(ARGON, (0, 0, 1), how, folder, sizes=sizes, expansion=0.1, calculator=lennard_jones), folder, how


@pytest.mark.slow
def test_the_upper_part_is_glass_and_the_lower_one_a_crystal(made):
    specimen, _, _ = made
    start, glass = block(ARGON, (0, 0, 1), (10.0, 10.0, 15.0), 0.1, 0.0)
    assert specimen.structure.formula == "Ar" and len(specimen.structure) == len(start)
    np.testing.assert_array_equal(specimen.region == 1, glass)
    atoms = specimen.structure.atoms
    atoms_before = start.atoms
    below = ~glass
    apart = atoms.positions[below] - atoms_before.positions[below]
    apart -= np.rint(apart @ np.linalg.inv(start.cell)) @ start.cell
    assert np.sqrt((apart**2).sum(axis=1).mean()) < 0.3
    assert order_left(atoms_before[below], atoms[below]) > 0.95
    assert specimen.extra["order_left"] < 0.4
    assert specimen.extra["rms_A"] > 2.0


@pytest.mark.slow
def test_glass_keeps_its_nearest_neighbours_and_loses_the_second_shell_of_the_crystal(made):
    """fcc has no pair between 1.1 and 1.4 nearest distances; a frozen liquid has."""
    specimen, _, _ = made
    glass = specimen.structure.atoms[specimen.region == 1]
    distance = glass.get_all_distances(mic=True)[np.triu_indices(len(glass), 1)]
    nearest = 5.26 / np.sqrt(2)
    assert distance.min() > 0.8 * nearest
    between = ((distance > 1.15 * nearest) & (distance < 1.35 * nearest)).sum() / len(glass)
    assert between > 0.5
    crystal = ARGON.atoms.repeat((2, 2, 3))
    own = crystal.get_all_distances(mic=True)[np.triu_indices(len(crystal), 1)]
    assert not ((own > 1.15 * nearest) & (own < 1.35 * nearest)).any()


@pytest.mark.slow
def test_it_goes_on_after_a_stop(made, tmp_path):
    """Half of the runs taken from elsewhere give the same atoms."""
    import shutil

    specimen, folder, how = made
    shutil.copytree(folder, tmp_path / "runs")
    for path in sorted((tmp_path / "runs").glob("*K.*"))[-6:]:
        path.unlink()
    again = amorphous(
        ARGON, (0, 0, 1), how, tmp_path / "runs", sizes=(10.0, 10.0, 15.0), expansion=0.1, calculator=lennard_jones
    )
    np.testing.assert_array_equal(again.structure.positions, specimen.structure.positions)


def test_what_does_not_melt_is_refused(tmp_path):
    with pytest.raises(ConvergenceError, match="crystal is still there"):
        how = Quench(temperature=301.0, melt=0.1, cool=0.3)
        amorphous(phase("Si"), (0, 0, 1), how, tmp_path / "runs", sizes=(5.0, 0.0, 5.0), calculator=_stiff)


def _stiff():
    """Springs to every atom's own place."""

    class Still(Held):
        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            if self.places is None:
                self.places = atoms.positions.copy()
            away = atoms.positions - self.places
            self.results = {"energy": 0.5 * SPRING * float((away**2).sum()), "forces": -SPRING * away}

    return Still(None, None, None)


def test_springs_are_the_slope_of_their_energy():
    atoms = ARGON.atoms.repeat(2)
    held = Held(lennard_jones(), np.arange(len(atoms)) < 5, atoms.positions.copy())
    atoms.positions += np.random.default_rng(0).normal(0, 0.1, atoms.positions.shape)
    atoms.calc = held
    forces, step = atoms.get_forces(), 1e-4
    for atom in (2, 20):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, 1] += sign * step
            moved.calc = held
            energies.append(moved.get_potential_energy())
        assert forces[atom, 1] == pytest.approx((energies[1] - energies[0]) / (2 * step), abs=1e-5)


def test_disorder_has_the_amplitude_of_chance():
    crystal = ARGON.atoms.repeat(4)
    chance = crystal.copy()
    chance.positions = np.random.default_rng(1).uniform(0, 4 * 5.26, chance.positions.shape)
    assert order_left(crystal, crystal) == pytest.approx(1.0)
    assert order_left(crystal, chance) == pytest.approx(len(crystal) ** -0.5, rel=0.5)


def test_odd_sizes_are_refused(tmp_path):
    how = Quench()
    for sizes, expansion in (
        ((0.0, 8.0, 8.0), 0.05),
        ((8.0, 8.0, 8.0), 0.9),
        ((60.0, 60.0, 60.0), 0.05),
        ((1e6, 0.0, 1e6), 0.05),
    ):
        with pytest.raises(InputError, match="amorphous"):
            amorphous(ARGON, (0, 0, 1), how, tmp_path / "runs", sizes=sizes, expansion=expansion)
    with pytest.raises(InputError, match="melt of 200 K"):
        Quench(temperature=200.0)
    assert not (tmp_path / "runs").exists() and builders()["amorphous"].long
