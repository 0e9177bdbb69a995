"""Ready potentials of rhotem-data against their teacher: what SevenNet-0 says, about as well as their cards tell."""

from pathlib import Path

import numpy as np
import pytest

import rhotem.battery.potentials as potentials
from rhotem.battery.potentials import potential_calculator
from rhotem.core import InputError
from rhotem.structure.phases import phase

FOLDER = Path(__file__).parents[2] / "packages" / "rhotem-data" / "src" / "rhotem_data" / "nep"


@pytest.fixture
def installed(monkeypatch):
    """As if this checkout's rhotem-data was installed."""

    class Entry:
        def load(self):
            return FOLDER

    real = potentials.registered
    ours = {"rhotem.nep": {"mine": Entry()}}
    monkeypatch.setattr(potentials, "registered", lambda group: ours.get(group) or real(group))


def test_ready_potentials_agree_with_their_teacher(installed, rng):
    """A rattled crystal with a vacancy that none of them has seen: forces within thrice the error of their card."""
    pytest.importorskip("nep_adapters")
    ready = potentials.ready_potentials()
    assert "nep-LiCoO2" in ready and "nep-LiCoO2" in potentials.potential_names()
    for name, path in ready.items():
        assert path.stat().st_size < 100_000
        atoms = phase(name.removeprefix("nep-")).atoms.repeat((3, 2, 1))
        del atoms[0]
        atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
        student, teacher = potential_calculator(name), potential_calculator()
        apart = student.get_forces(atoms) - teacher.get_forces(atoms)
        assert np.sqrt(np.mean(apart**2)) < 3.0 * student.card.record["held_out"]["force_eV_per_A"]
        student.watch(atoms)


def test_a_potential_of_one_material_refuses_another_of_its_elements(installed):
    """It would give lithium metal −6 eV an atom without a word; half of the lithium may be gone."""
    pytest.importorskip("nep_adapters")
    student, lithium = potential_calculator("nep-LiCoO2"), phase("Li").atoms
    for _ in range(2):  # asked again, too
        with pytest.raises(InputError, match="learned Co12Li12O24, this is Li"):
            student.get_potential_energy(lithium)
    half = phase("LiCoO2").atoms.repeat((2, 1, 1))
    del half[[i for i, s in enumerate(half.symbols) if s == "Li"][::2]]
    assert np.isfinite(potential_calculator("nep-LiCoO2").get_potential_energy(half))
