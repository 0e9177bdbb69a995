import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes

from rhotem.core import InputError
from rhotem.labels.recipes import Recipe
from rhotem.labels.trajectories import md_frames
from rhotem.structure.model import Structure

#: Spring constant of the Einstein crystal in eV/Å²: aluminium's.
SPRING = 3.0


class Einstein(Calculator):
    """Every atom on its own spring: displacements are known exactly."""

    implemented_properties = ("energy", "forces")

    def __init__(self, atoms: Atoms) -> None:
        super().__init__()
        self.origin = atoms.positions.copy()

    def calculate(self, atoms: Atoms, properties: list, system_changes: list = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        moved = atoms.positions - self.origin
        self.results = {"energy": 0.5 * SPRING * (moved**2).sum(), "forces": -SPRING * moved}


def start(**kwargs: object) -> Structure:
    return Recipe(prototype="fcc", supercell=(3, 3, 2), **kwargs).build()


@pytest.mark.parametrize("temperature", [100.0, 600.0])
def test_displacements_are_those_of_equipartition(temperature):
    """⟨u²⟩ = kT/K along every axis."""
    structure = start()
    frames = md_frames(structure, Einstein(structure.atoms), temperature, np.random.default_rng(1), 12, 100.0)
    inverse = np.linalg.inv(structure.cell)
    moves = []
    for frame in frames:
        fraction = (frame.positions - structure.positions) @ inverse
        moves.append((fraction - np.round(fraction)) @ structure.cell)
    # 12 × 54 nearly independent numbers: 6 %.
    assert np.mean(np.square(moves[1:])) == pytest.approx(units.kB * temperature / SPRING, rel=0.2)


def test_frames_keep_charge_and_parent_and_repeat_themselves():
    structure = start(charge=1.0)
    one, two = (
        list(md_frames(structure, Einstein(structure.atoms), 300.0, np.random.default_rng(5), 2, 20.0))
        for _ in range(2)
    )
    assert np.array_equal(one[1].positions, two[1].positions)
    assert not np.allclose(one[0].positions, one[1].positions)
    for frame in one:
        assert frame.charge == 1.0
        assert frame.info["ordering"] == structure.info["ordering"]


def test_zero_temperature_is_refused():
    with pytest.raises(InputError, match="temperature"):
        list(md_frames(start(), Einstein(start().atoms), 0.0, np.random.default_rng(0)))
