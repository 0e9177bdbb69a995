"""Energies, forces and stress of SevenNet-0: against its own package, differences, symmetries, and limits."""

from pathlib import Path

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule

from rhotem.core import InputError
from rhotem.core.threads import exactly
from rhotem.learned.energy import radial
from rhotem.learned.energy.calculator import SevenNet0Calculator
from rhotem.learned.energy.potential import Energies, SevenNet0, sevennet_0

STORED = Path(__file__).parents[1] / "data" / "energy" / "sevenn.npz"
#: eV/Å
BAR = 1e-5


@pytest.fixture(scope="module")
def single() -> SevenNet0:
    return sevennet_0()


@pytest.fixture(scope="module")
def double() -> SevenNet0:
    return sevennet_0(np.float64)


def of(potential: SevenNet0, atoms: ase.Atoms) -> Energies:
    return potential.evaluate(atoms.numbers, atoms.positions, atoms.cell.array)


def oxide() -> ase.Atoms:
    """Six atoms without symmetry."""
    cell = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 6.1]])
    sites = [
        [0.02, 0.05, 0.03],
        [0.45, 0.52, 0.1],
        [0.1, 0.48, 0.45],
        [0.52, 0.07, 0.4],
        [0.5, 0.5, 0.71],
        [0.02, 0.9, 0.7],
    ]
    return ase.Atoms([27, 8, 3, 8, 15, 8], np.array(sites) @ cell, cell=cell, pbc=True)


def cases() -> list[str]:
    with np.load(STORED) as data:
        return data["names"].tolist()


@pytest.mark.parametrize("name", cases())
def test_numbers_of_the_package(single, name):
    with np.load(STORED) as data:
        n = cases().index(name)
        stored = {key: data[f"{n}.{key}"] for key in ("numbers", "positions", "cell", "energy", "forces", "stress")}
    found = single.evaluate(stored["numbers"], stored["positions"], stored["cell"])
    assert abs(stored["forces"]).max() > 0.1
    np.testing.assert_allclose(found.forces, stored["forces"], atol=BAR)
    assert found.energy == pytest.approx(float(stored["energy"]), abs=1e-6 * len(stored["numbers"]))
    np.testing.assert_allclose(found.stress, stored["stress"], atol=1e-6)


@pytest.mark.slow
def test_large_cells_against_the_package_itself(single):
    calculator = pytest.importorskip("sevenn.calculator")
    from rhotem.structure.phases import phase

    reference = calculator.SevenNetCalculator("7net-0", device="cpu")
    for name, repeat in (("LiFePO4", (2, 2, 2)), ("LiCoO2", (3, 3, 1))):
        atoms = phase(name).atoms.repeat(repeat)
        atoms.rattle(0.05, seed=3)
        atoms.calc = reference
        np.testing.assert_allclose(of(single, atoms).forces, atoms.get_forces(), atol=BAR)


def test_forces_are_differences_of_energies(double, rng):
    atoms = oxide()
    forces, step = of(double, atoms).forces, 1e-4
    for _ in range(3):
        direction = rng.normal(size=(len(atoms), 3))
        energies = [
            double.evaluate(atoms.numbers, atoms.positions + s * step * direction, atoms.cell.array).energy
            for s in (-1, 1)
        ]
        assert (energies[0] - energies[1]) / (2 * step) == pytest.approx((forces * direction).sum(), abs=2e-6)
    np.testing.assert_allclose(forces.sum(0), 0.0, atol=1e-10)


def test_stress_is_the_derivative_by_strain(double, rng):
    atoms = oxide()
    stress, step, volume = of(double, atoms).stress, 1e-5, atoms.get_volume()
    np.testing.assert_allclose(stress, stress.T)
    for _ in range(3):
        strain = rng.normal(size=(3, 3))
        energies = []
        for s in (-1, 1):
            turn = np.eye(3) + s * step * 0.5 * (strain + strain.T)
            energies.append(double.evaluate(atoms.numbers, atoms.positions @ turn, atoms.cell.array @ turn).energy)
        assert (energies[1] - energies[0]) / (2 * step) / volume == pytest.approx((stress * strain).sum(), abs=1e-6)


def test_translation_rotation_and_order_change_nothing(single, rng):
    atoms = oxide()
    before = of(single, atoms)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    order = rng.permutation(len(atoms))
    moved = (atoms.positions[order] + [3.0, -20.0, 7.0]) @ turn
    after = single.evaluate(atoms.numbers[order], moved, atoms.cell.array @ turn)
    assert after.energy == pytest.approx(before.energy, abs=2e-5)
    np.testing.assert_allclose(after.forces, before.forces[order] @ turn, atol=2 * BAR)
    np.testing.assert_allclose(after.stress, turn.T @ before.stress @ turn, atol=1e-6)


def test_a_repeated_cell_is_as_many_cells(single):
    one, many = of(single, oxide()), of(single, oxide().repeat((2, 1, 3)))
    np.testing.assert_allclose(many.by_atom, np.tile(one.by_atom, 6), atol=1e-5)
    np.testing.assert_allclose(many.forces, np.tile(one.forces, (6, 1)), atol=BAR)
    np.testing.assert_allclose(many.stress, one.stress, atol=1e-6)


def test_fragments_out_of_reach_add_up(double):
    """Five layers see 25 Å in steps of 5 Å: a gap of more than 5 Å ends what atoms know of each other."""
    water, salt = molecule("H2O"), ase.Atoms("LiF", [[0, 0, 0], [0, 0, 1.7]])
    salt.positions += [0, 0, 8.0]
    box = np.eye(3) * 30.0
    both = water + salt
    apart = [double.evaluate(a.numbers, a.positions, box) for a in (water, salt)]
    together = double.evaluate(both.numbers, both.positions, box)
    assert together.energy == pytest.approx(sum(a.energy for a in apart), abs=1e-9)
    np.testing.assert_allclose(together.forces, np.concatenate([a.forces for a in apart]), atol=1e-9)


def test_an_atom_alone_has_its_own_energy_and_no_force(single):
    found = single.evaluate([8], [[1.0, 2.0, 3.0]], np.eye(3) * 20.0)
    assert np.isfinite(found.energy) and not found.forces.any() and not found.stress.any()


def test_threads_change_rounding_only(single):
    atoms = oxide().repeat((3, 2, 2))
    found = []
    for threads in (1, 3, 3):
        with exactly(threads):
            found.append(of(single, atoms))
    np.testing.assert_allclose(found[1].forces, found[0].forces, atol=BAR)
    np.testing.assert_array_equal(found[2].forces, found[1].forces)


def test_radial_weights_are_those_of_the_network(double):
    """Also beside 4.5 Å, where the second derivative of the cutoff function jumps."""
    r = np.concatenate([np.linspace(0.7, 4.9999, 997), 4.5 + np.array([-1e-3, -1e-6, 0.0, 1e-6, 1e-3])])
    for layer in (double.layers[0], double.layers[3]):
        values, slopes = radial.weights_and_slopes(layer.radial, layer.frequencies, r)
        cells, places = radial.places(r, np.float64)
        coefficients = layer.table.reshape(-1, radial.DEGREE + 1, values.shape[1])[cells]
        powers = places[:, None] ** np.arange(radial.DEGREE + 1)
        np.testing.assert_allclose(np.einsum("en,enk->ek", powers, coefficients), values, atol=2e-7 * abs(values).max())
        steps = (
            np.einsum("en,enk->ek", powers[:, :-1] * np.arange(1, radial.DEGREE + 1), coefficients[:, 1:])
            * 2.0
            / radial.SPACING
        )
        np.testing.assert_allclose(steps, slopes, atol=1e-5 * abs(slopes).max())
    away = 1e-6
    above, below = (radial.weights_and_slopes(layer.radial, layer.frequencies, r + s * away)[0] for s in (1, -1))
    np.testing.assert_allclose((above - below) / (2 * away), slopes, atol=2e-5 * abs(slopes).max())


def test_the_calculator_of_ase(single):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = SevenNet0Calculator()
    found = of(single, atoms)
    assert atoms.get_potential_energy() == found.energy and atoms.get_potential_energies().sum() == found.energy
    np.testing.assert_array_equal(atoms.get_forces(), found.forces)
    np.testing.assert_array_equal(atoms.get_stress(voigt=False), found.stress)
    assert set(atoms.calc.type_map) >= {1, 3, 8, 92} and 84 not in atoms.calc.type_map
    free = molecule("H2O")
    free.calc = atoms.calc
    boxed = molecule("H2O", vacuum=9.0)
    assert free.get_potential_energy() == pytest.approx(of(single, boxed).energy, abs=2e-6)
    assert "stress" not in free.calc.results


def test_bad_input_is_said_in_a_line(single):
    with pytest.raises(InputError, match="does not know Po"):
        single.evaluate([84, 8], [[0, 0, 0], [2, 2, 2]], np.eye(3) * 4.0)
    with pytest.raises(InputError, match=r"are 0\.30 Å apart"):
        single.evaluate([3, 8], [[0, 0, 0], [0.3, 0, 0]], np.eye(3) * 4.0)
    with pytest.raises(InputError, match="no atoms"):
        single.evaluate([], np.empty((0, 3)), np.eye(3))
