"""GPAW runs against a label made by another script, and the free atoms against a direct sum."""

from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import ConvergenceError, PeriodicGrid
from rhotem.labels.job import Job
from rhotem.labels.noise import relative_difference
from rhotem.labels.quality import judge
from rhotem.labels.read import read_label
from rhotem.structure.model import Structure

pytestmark = pytest.mark.gpaw
REFERENCE = Path(__file__).parents[1] / "data" / "labels" / "Li2.npz"


def test_superposition_is_the_direct_sum_over_images():
    from rhotem.labels.deformation import FREE_ATOM_RADIUS, free_valence, superpose

    atoms = ase.Atoms(
        "LiF", [[0.1, 0.2, 0.3], [1.7, 2.1, 0.4]], cell=[[3, 0, 0], [1, 3.5, 0], [0.3, -0.4, 4]], pbc=True
    )
    grid = PeriodicGrid(atoms.cell.array, (6, 7, 8))
    found = superpose(atoms, grid)
    points = grid.points()
    for index in ((0, 0, 0), (3, 5, 7), (5, 1, 2)):
        expected = 0.0
        for position, symbol in zip(atoms.positions, atoms.symbols, strict=True):
            radii, density = free_valence(symbol)
            for i in range(-6, 7):
                for j in range(-6, 7):
                    for k in range(-6, 7):
                        image = position + np.array([i, j, k]) @ atoms.cell.array
                        distance = np.linalg.norm(points[index] - image)
                        if distance < FREE_ATOM_RADIUS:
                            expected += np.interp(distance, radii, density)
        assert found[index] == pytest.approx(expected, rel=1e-10)


def test_free_atoms_hold_their_valence():
    from rhotem.labels.deformation import free_valence, valence_count

    for symbol, electrons in (("Li", 1), ("O", 6), ("Mn", 15), ("Na", 7)):
        r, n = free_valence(symbol)
        assert np.trapezoid(4 * np.pi * r**2 * n, r) == pytest.approx(electrons, abs=0.01)
        assert valence_count(symbol) == electrons


@pytest.mark.slow
def test_a_label_of_another_script_is_reproduced(tmp_path):
    from rhotem.labels.calculate import calculate

    reference = read_label(REFERENCE)
    mine = calculate(Job.of(reference.structure), tmp_path / "log")
    assert relative_difference(mine, reference) < 0.001
    assert mine.meta["energy_eV"] == pytest.approx(reference.meta["energy_eV"], abs=1e-5)
    assert judge(mine).state == "accepted"
    assert mine.meta["gap_eV"] < 0.2  # lithium is a metal


def test_failed_self_consistency_is_tried_again_and_told(tmp_path, monkeypatch):
    from rhotem.labels import calculate as module
    from rhotem.labels.gpaw_settings import DftSettings

    stop = {"maxiter": 1}
    monkeypatch.setattr(module, "ATTEMPTS", (("first", stop, 1.0), ("second", stop, 1.0), ("moments", stop, 0.5)))
    settings = DftSettings(ecut=200, kpt_density=0.5)
    told: list[str] = []
    job = Job.of(Structure(ase.Atoms("Li", cell=[3.4] * 3, pbc=True)), settings)
    with pytest.raises(ConvergenceError, match="2 attempts"):
        module.calculate(job, tmp_path / "log", 3, told.append)
    # The third attempt changes moments: pointless without spin, left out.
    assert [t.split(":")[0] for t in told] == ["first", "second"]


def test_a_displaced_start_ends_in_the_structure_itself(tmp_path):
    """LiH has one state: energy and density of both starts are equal, and forces vanish by its inversion centres."""
    from ase.build import bulk

    from rhotem.labels.calculate import run_once
    from rhotem.labels.gpaw_settings import DftSettings

    crystal = Structure(bulk("LiH", "rocksalt", a=4.08))
    cheap = {"ecut": 250, "kpts": (2, 2, 2), "density_convergence": 1e-6, "eigenstate_convergence": 1e-9}
    plain = run_once(Job.of(crystal, DftSettings(**cheap)), str(tmp_path / "plain"))
    job = Job.of(crystal, DftSettings(**cheap, start_displacement=0.1, start_seed=3))
    moved = run_once(job, str(tmp_path / "moved"))
    assert moved.structure.positions == pytest.approx(crystal.positions, abs=1e-8)
    assert moved.meta["energy_eV"] == pytest.approx(plain.meta["energy_eV"], abs=1e-4)
    assert relative_difference(moved, plain) < 1e-3
    assert np.abs(moved.forces).max() < 0.02
    assert plain.meta["nk"] < moved.meta["nk"]  # no symmetry but that of time
    positions = [line for line in (tmp_path / "moved").read_text().splitlines() if line.startswith("| 1 |      H |")]
    assert len(positions) == 2
    assert positions[0] != positions[1]  # the log names displaced atoms, then those of the structure
