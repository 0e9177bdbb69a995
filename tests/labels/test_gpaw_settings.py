"""Settings of the DFT runs: which atoms get U, moments and spin."""

import json
import sys

import numpy as np
import pytest
from ase import Atoms

from rhotem.core import InputError, MissingDependencyError
from rhotem.labels.gpaw_settings import (
    DftSettings,
    dft_atoms,
    is_spin_polarised,
    make_calculator,
    moments,
    parameters,
    setups,
)
from rhotem.structure.model import Structure


def structure(formula, **kwargs):
    n = len(Atoms(formula))
    return Structure(Atoms(formula, positions=np.arange(3 * n).reshape(n, 3) * 1.3, cell=[9, 9, 9]), **kwargs)


def test_hubbard_u_only_with_oxygen_or_fluorine():
    assert setups(structure("LiCoO2"), DftSettings()) == {"Co": ":d,3.32,0"}
    assert setups(structure("FeF3"), DftSettings()) == {"Fe": ":d,5.3,0"}
    assert setups(structure("FeS2"), DftSettings()) == {}
    assert setups(structure("TiO2"), DftSettings()) == {}


def test_all_of_the_materials_projects_u_in_oxides_and_fluorides():
    for formula, u in (("LiCrO2", {"Cr": ":d,3.7,0"}), ("MoF6", {"Mo": ":d,4.38,0"}), ("Na2WO4", {"W": ":d,6.2,0"})):
        assert setups(structure(formula), DftSettings()) == u
    for formula in ("NaCrS2", "MoS2", "WSe2", "W", "CrBr3", "HfO2"):
        assert setups(structure(formula), DftSettings()) == {}


def test_magnetic_ions_of_new_elements_start_with_spin():
    assert moments(structure("LiCrO2"), DftSettings()).tolist() == [0, 3, 0, 0]
    assert is_spin_polarised(structure("Nd2O3"), DftSettings())
    assert not is_spin_polarised(structure("LaAlO3"), DftSettings())


def test_gpaw_finds_the_symmetry_of_rounded_cells():
    """Corundum has twelve operations, six without a translation; 1e-8 Å in the cell must not hide them."""
    symmetry = pytest.importorskip("gpaw.new.symmetry")
    from rhotem.labels.job import Job
    from rhotem.labels.recipes import Recipe

    for prototype, replace, cell, operations in (
        ("corundum", {"Al": "In"}, (5.487, 5.487, 14.510, 90, 90, 120), 6),
        ("la2o3", {}, (3.831, 3.831, 5.999, 90, 90, 120), 12),
    ):
        job = Job.of(Recipe(prototype=prototype, replace=replace, cell=cell).build())
        asked = parameters(job.structure, job.dft)["symmetry"]
        found = symmetry.create_symmetries_object(job.structure.atoms, **asked, _backwards_compatible=True)
        assert len(found) == operations


def test_a_chosen_paw_set_keeps_its_u():
    assert setups(structure("MnO"), DftSettings(setups={"Mn": "7"})) == {"Mn": "7:d,3.9,0"}


def test_moments_come_from_the_table_or_from_the_structure():
    assert moments(structure("LiMnO2"), DftSettings()).tolist() == [0, 3.8, 0, 0]
    antiferromagnetic = structure("Ni2", moments=np.array([1.5, -1.5]))
    assert dft_atoms(antiferromagnetic, DftSettings()).get_initial_magnetic_moments().tolist() == [1.5, -1.5]
    with pytest.raises(InputError, match="one per atom"):
        moments(structure("Ni2", moments=np.zeros(3)), DftSettings())


def test_spin_only_where_something_is_magnetic():
    assert not is_spin_polarised(structure("LiF"), DftSettings())
    assert is_spin_polarised(structure("SrTiO3"), DftSettings())
    assert is_spin_polarised(structure("O2", moments=np.ones(2)), DftSettings())
    assert not is_spin_polarised(structure("SrTiO3", moments=np.zeros(5)), DftSettings())  # closed shells, as asked


def test_parameters_are_plain_data_and_charges_add():
    content = parameters(structure("LiCoO2", charge=1.0), DftSettings(charge=0.5, kpts=(2, 2, 1)))
    assert json.loads(json.dumps(content))["kpts"] == {"gamma": True, "size": [2, 2, 1]}
    assert content["charge"] == 1.5
    assert "charge" not in parameters(structure("LiF"), DftSettings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"ecut": 0},
        {"kpts": (1, 0, 1)},
        {"kpt_density": -2},
        {"fermi_width": float("nan")},
        {"start_displacement": -0.1},
        {"start_displacement": float("nan")},
        {"start_displacement": 5},
        {"start_displacement": "far"},
        {"start_seed": -1},
        {"start_seed": 1.5},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))) as error:
        DftSettings(**wrong)
    assert "\n" not in str(error.value)


def test_symmetry_is_not_imposed_on_a_displaced_start():
    assert parameters(structure("FeO"), DftSettings())["symmetry"]["point_group"]
    assert parameters(structure("FeO"), DftSettings(start_displacement=0.1))["symmetry"] == {"point_group": False}


def test_a_missing_gpaw_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpaw", None)
    with pytest.raises(MissingDependencyError, match=r"CC=g\+\+ .* libxc"):
        make_calculator(structure("LiF"), DftSettings())
