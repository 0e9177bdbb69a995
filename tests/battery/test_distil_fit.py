"""Training of distilled potentials: against another code's energies, finite differences, killed trainings."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from tests.battery.neps import random_nep

from rhotem.battery.distillation import fit
from rhotem.battery.distillation.fit import energy_of, examples_of, loss_gradient, train_nep
from rhotem.battery.distillation.gradient import DESCRIPTORS
from rhotem.battery.distillation.labels import write_frames
from rhotem.battery.distillation.parameters import Parameters
from rhotem.battery.nep import NepCalculator
from rhotem.core import InputError
from rhotem.structure.phases import phase

ELEMENTS = ["Li", "Co", "O"]


@pytest.fixture
def parameters(rng):
    made = Parameters.random(ELEMENTS, rng)
    made.parts()[1][...] = rng.normal(size=made.parts()[1].shape)
    made.scale, made.constant = rng.uniform(0.2, 0.5, DESCRIPTORS), 0.7
    return made


@pytest.fixture
def frames(rng):
    """Strained and rattled, with labels that are no potential's."""
    made = []
    for _ in range(3):
        atoms = phase("LiCoO2", primitive=True).atoms.repeat(2)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, 0.02, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.08, atoms.positions.shape)
        forces, stress = rng.normal(size=atoms.positions.shape), rng.normal(0.0, 0.02, 6)
        energy = -5.0 * len(atoms) + rng.normal()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
        atoms.info["weight"] = 1.0 + len(made)
        made.append(atoms)
    return made


@pytest.fixture
def repulsion(tmp_path):
    pytest.importorskip("nep_adapters")
    (tmp_path / "repulsion.txt").write_text(Parameters.zero(ELEMENTS).text())
    return NepCalculator(tmp_path / "repulsion.txt")


def test_what_is_trained_is_what_is_run(tmp_path, parameters, frames, repulsion):
    """Energy, forces and virial are those of nep-adapters on the file, repulsion of nuclei apart."""
    (tmp_path / "nep.txt").write_text(parameters.text())
    other = NepCalculator(tmp_path / "nep.txt")
    for frame, example in zip(frames, examples_of(frames, ELEMENTS, repulsion), strict=True):
        forces, strain = np.zeros(frame.positions.shape), np.zeros((3, 3))
        energy = energy_of(parameters, example, example.vectors, np.zeros_like(parameters.vector), forces, strain)
        theirs, rest = frame.copy(), frame.copy()
        theirs.calc, rest.calc = other, repulsion
        wanted = theirs.get_potential_energy() - rest.get_potential_energy()
        assert energy - parameters.constant * len(frame) == pytest.approx(wanted, abs=1e-6)
        np.testing.assert_allclose(forces, theirs.get_forces() - rest.get_forces(), atol=1e-6)
        stress = theirs.get_stress(voigt=False) - rest.get_stress(voigt=False)
        np.testing.assert_allclose(strain, stress * frame.get_volume(), atol=1e-5)


def test_the_gradient_is_that_of_the_loss(parameters, frames, repulsion, rng):
    """Central differences of the loss along random directions, of energies, forces and virials alone and together."""
    examples = examples_of(frames, ELEMENTS, repulsion)
    start, step = parameters.vector.copy(), 1e-5
    for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 1.0, 0.1)):
        gradient = loss_gradient(parameters, examples, weights)[0]
        for _ in range(3):
            way = rng.normal(size=start.shape)
            losses = []
            for sign in (1, -1):
                parameters.vector[...] = start + sign * step * way
                losses.append(loss_gradient(parameters, examples, weights)[2])
            parameters.vector[...] = start
            slope = (losses[0] - losses[1]) / (2 * step)
            assert gradient @ way == pytest.approx(slope, rel=1e-3, abs=1e-4 * np.linalg.norm(gradient))


def test_the_loss_is_the_mean_of_squares(parameters, frames, repulsion):
    """A potential of no energy: what is left are the labels, repulsion taken off, weighed frame by frame."""
    examples = examples_of(frames, ELEMENTS, repulsion)
    parameters.vector[...] = 0.0
    atoms = sum(len(frame) for frame in frames)
    loss = loss_gradient(parameters, examples, (0.0, 1.0, 0.0))[2]
    assert loss == pytest.approx(sum(e.weight * np.sum(e.forces**2) for e in examples) / (3 * atoms))
    loss = loss_gradient(parameters, examples, (1.0, 0.0, 0.0))[2]
    energies = [e.weight * (-0.7 - e.energy / len(e.kinds)) ** 2 for e in examples]
    assert loss == pytest.approx(np.mean(energies))


def test_a_file_is_read_as_it_was_written(tmp_path, parameters):
    path = tmp_path / "nep.txt"
    path.write_text(parameters.text())
    again = Parameters.read(path, ELEMENTS)
    assert again.text() == parameters.text() and again.constant == 0.7
    np.testing.assert_allclose(again.vector, parameters.vector, rtol=1e-9)
    for other in (["Co", "Li", "O"], ["Li", "Co"]):
        with pytest.raises(InputError, match="of another shape"):
            Parameters.read(path, other)
    random_nep(path, ELEMENTS, 1)
    with pytest.raises(InputError, match="of another shape"):
        Parameters.read(path, ELEMENTS)


def test_a_killed_training_gives_the_same_potential(tmp_path, frames, monkeypatch):
    pytest.importorskip("nep_adapters")
    monkeypatch.setattr(fit, "KEPT", 2)
    write_frames(tmp_path / "frames.extxyz", frames)

    def killed(stage, now, total):
        if now == 3:
            raise KeyboardInterrupt

    first = train_nep(tmp_path / "frames.extxyz", ELEMENTS, tmp_path / "whole", 3, 5).read_text()
    with pytest.raises(KeyboardInterrupt):
        train_nep(tmp_path / "frames.extxyz", ELEMENTS, tmp_path / "part", 3, 5, killed)
    assert train_nep(tmp_path / "frames.extxyz", ELEMENTS, tmp_path / "part", 3, 5).read_text() == first
    # further from there: the scales stay, the weights do not
    start = tmp_path / "start.txt"
    start.write_text(first)
    further = train_nep(tmp_path / "frames.extxyz", ELEMENTS, tmp_path / "further", 3, 4, start=start)
    both = [Parameters.read(path, ELEMENTS) for path in (start, further)]
    np.testing.assert_array_equal(both[0].scale, both[1].scale)
    assert 0.0 < abs(both[0].vector - both[1].vector).max() < 0.1
