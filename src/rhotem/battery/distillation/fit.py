"""Training of a neuroevolution potential on labelled frames, by gradients, on the processor."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt
from ase.neighborlist import primitive_neighbor_list

from rhotem.battery.distillation.gradient import DESCRIPTORS, PAIRS, evaluate
from rhotem.battery.distillation.labels import read_frames
from rhotem.battery.distillation.parameters import Parameters
from rhotem.battery.nep import NepCalculator
from rhotem.core import Progress, silent
from rhotem.core.whole import write_text_whole

Array = npt.NDArray[np.float64]

#: Frames of a batch.
BATCH = 4
#: Rate of learning from random weights, of further learning, and of the second part; what is left of it at the end of
#: each part.
RATE, FURTHER, SECOND_RATE, LEFT = 0.01, 0.003, 1e-3, (0.1, 0.05)
#: Weights of energies (eV/atom), forces (eV/Å) and virials (eV/atom), squared. The first part of the training looks at
#: forces, the second at energies as much: else forces are fitted at the cost of heights of barriers.
FIRST, SECOND = (0.05, 1.0, 0.02), (100.0, 0.3, 0.1)
#: Share of the passes that is the first part.
PART = 0.5
#: Passes between states that a killed training goes on from.
KEPT = 5
#: Å that the atom moves most that a force's derivative is taken by: forward, in double precision.
SMALL = 1e-5
#: Components of a symmetric tensor.
SIX = ((0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2))


@dataclass(frozen=True, eq=False)
class Example:
    """A frame with its neighbours and labels, repulsion of nuclei taken off.

    Parameters
    ----------
    kinds : array
    first, others, vectors : array
        Neighbours of atom i: from ``first[i]`` to ``first[i + 1]``, with the vectors to them, Å.
    energy : float
        eV.
    forces : array
        eV/Å.
    strain : array
        Derivative of the energy with respect to the strain, eV.
    weight : float
    """

    kinds: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]
    vectors: Array
    energy: float
    forces: Array
    strain: Array
    weight: float


class Fit:
    """A training under way: parameters and the moments of Adam (D. P. Kingma, J. Ba, arXiv:1412.6980 (2014))."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.mean, self.square = np.zeros_like(parameters.vector), np.zeros_like(parameters.vector)
        self.steps = 0

    def step(self, examples: Sequence[Example], weights: tuple[float, float, float], rate: float) -> list[float]:
        """Learn from a batch; errors of the energies, eV per atom."""
        gradient, apart = loss_gradient(self.parameters, examples, weights)[:2]
        self.steps += 1
        self.mean += 0.1 * (gradient - self.mean)
        self.square += 0.001 * (gradient**2 - self.square)
        size = np.sqrt(self.square / (1.0 - 0.999**self.steps)) + 1e-8
        self.parameters.vector -= rate * self.mean / (1.0 - 0.9**self.steps) / size
        return apart


def loss_gradient(
    parameters: Parameters, examples: Sequence[Example], weights: tuple[float, float, float]
) -> tuple[Array, list[float], float]:
    """Derivative of the loss with respect to the parameters, errors of energies (eV per atom), and the loss.

    The loss is the sum of the mean squares of errors of energies, components of forces, and components of virials,
    times ``weights``. The derivative of ``v . F`` is that of the energy's along ``-v``, and so for the strain.
    """
    total, apart, loss = np.zeros_like(parameters.vector), [], 0.0
    atoms, count = sum(len(example.kinds) for example in examples), len(examples)
    for example in examples:
        size, weight = len(example.kinds), example.weight
        here, forces, strain = np.zeros_like(total), np.zeros((size, 3)), np.zeros((3, 3))
        energy = energy_of(parameters, example, example.vectors, here, forces, strain)
        off = (energy - example.energy) / size - parameters.constant
        wrong, bent = forces - example.forces, (0.5 * (strain + strain.T) - example.strain) / size
        six = np.zeros((3, 3))
        six[SIX] = bent[SIX]
        loss += weight * (
            weights[0] * off**2 / count
            + weights[1] * np.sum(wrong**2) / (3.0 * atoms)
            + weights[2] * np.sum(six**2) / (6.0 * count)
        )
        push = 2.0 * weights[1] * weight / (3.0 * atoms) * wrong
        bend = 2.0 * weights[2] * weight / (6.0 * count * size) * 0.5 * (six + six.T)
        centre = np.repeat(np.arange(size), np.diff(example.first))
        along = push[centre] - push[example.others] + example.vectors @ bend
        step = SMALL / max(np.abs(along).max(), 1e-30)
        there = np.zeros_like(total)
        energy_of(parameters, example, example.vectors + step * along, there, _NONE, strain)
        total += (2.0 * weights[0] * weight * off / (count * size)) * here + (there - here) / step
        apart.append(off)
    return total, apart, loss


_NONE: Array = np.zeros((0, 3))
_NO_DESCRIPTORS: Array = np.zeros((0, DESCRIPTORS))


def energy_of(
    parameters: Parameters, example: Example, vectors: Array, gradient: Array, forces: Array, strain: Array
) -> float:
    """Energy without the constant (eV); derivatives are added to the arrays, forces' where these are not empty."""
    neighbours = (example.kinds, example.first, example.others, vectors)
    parts, slopes = parameters.parts(), parameters.parts(gradient)
    return float(evaluate(neighbours, parameters.scale, parts, slopes, (forces, strain), _NO_DESCRIPTORS))


def examples_of(frames: Sequence[ase.Atoms], elements: Sequence[str], repulsion: NepCalculator) -> list[Example]:
    """Frames with neighbours; ``repulsion`` is a potential of these elements that has nothing but that."""
    made = []
    for frame in frames:
        centres, others, vectors = primitive_neighbor_list(
            "ijD", frame.pbc, frame.cell.array, frame.positions, PAIRS + 0.01
        )
        atoms = frame.copy()
        atoms.calc = repulsion
        stress = frame.get_stress(voigt=False) - atoms.get_stress(voigt=False)
        made.append(
            Example(
                np.array([elements.index(symbol) for symbol in frame.symbols], dtype=np.int64),
                np.searchsorted(centres, np.arange(len(frame) + 1)),
                others.astype(np.int64),
                vectors,
                frame.get_potential_energy() - atoms.get_potential_energy(),
                frame.get_forces() - atoms.get_forces(),
                stress * frame.get_volume(),
                float(frame.info.get("weight", 1.0)),
            )
        )
    return made


def train_nep(
    frames: Path,
    elements: Sequence[str],
    folder: Path,
    seed: int,
    epochs: int,
    progress: Progress = silent,
    *,
    start: Path | None = None,
) -> Path:
    """Train a potential, or go on with a training that was killed.

    Parameters
    ----------
    frames : Path
        Extended xyz with energy (eV), forces (eV/Å) and stress (eV/Å³, as ASE has it).
    elements : sequence of str
        All that the frames have.
    folder : Path
        Of the state of the training.
    seed : int
        Of starting weights and order of frames.
    epochs : int
        Passes over the frames.
    progress : Progress
    start : Path or None
        A potential of these elements whose weights are gone on from, at a lower rate.

    Returns
    -------
    Path
        The potential, in GPUMD's format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nothing = Parameters.zero(elements)
    write_text_whole(folder / "repulsion.txt", nothing.text())
    examples = examples_of(read_frames(frames), elements, NepCalculator(folder / "repulsion.txt"))
    fit, reached = _begun(folder, elements, seed, start, examples)
    for epoch in range(reached, epochs):
        rate, weights = schedule(epoch, epochs, start is not None)
        order = np.random.default_rng([seed, 4, epoch]).permutation(len(examples))
        apart: list[float] = []
        for n in range(0, len(order), BATCH):
            apart += fit.step([examples[m] for m in order[n : n + BATCH]], weights, rate)
        fit.parameters.constant += float(np.mean(apart))
        if (epoch + 1) % KEPT == 0 or epoch + 1 == epochs:
            _keep(folder / "state.npz", fit, epoch + 1)
        progress("training", epoch + 1, epochs)
    result = folder / "trained.txt"
    write_text_whole(result, fit.parameters.text())
    return result


def schedule(epoch: int, epochs: int, further: bool) -> tuple[float, tuple[float, float, float]]:
    """Rate of learning and weights of the loss of a pass."""
    first = max(1, round(PART * epochs))
    if epoch < first:
        return (FURTHER if further else RATE) * LEFT[0] ** (epoch / first), FIRST
    return SECOND_RATE * LEFT[1] ** ((epoch - first) / (epochs - first)), SECOND


def _begun(
    folder: Path, elements: Sequence[str], seed: int, start: Path | None, examples: Sequence[Example]
) -> tuple[Fit, int]:
    """A training where it was killed, or at its beginning, and the passes that are done."""
    rng = np.random.default_rng([seed, 3])
    parameters = Parameters.random(elements, rng) if start is None else Parameters.read(start, elements)
    fit, done = Fit(parameters), _resumed(folder / "state.npz")
    if done is not None:
        fit.mean, fit.square, parameters.vector, parameters.scale = (
            done[name] for name in ("mean", "square", "vector", "scale")
        )
        fit.steps, parameters.constant = int(done["steps"]), float(done["constant"])
        return fit, int(done["epoch"])
    if start is None:
        parameters.scale = _scales(parameters, examples)
        parameters.constant = -float(np.mean([e.energy / len(e.kinds) for e in examples]))
    return fit, 0


def _scales(parameters: Parameters, examples: Sequence[Example]) -> Array:
    """That take every descriptor to a range of one."""
    least, most = np.full(DESCRIPTORS, np.inf), np.full(DESCRIPTORS, -np.inf)
    rest = parameters.parts(np.zeros_like(parameters.vector))
    for e in examples:
        q = np.zeros((len(e.kinds), DESCRIPTORS))
        neighbours = (e.kinds, e.first, e.others, e.vectors)
        evaluate(neighbours, parameters.scale, parameters.parts(), rest, (_NONE, np.zeros((3, 3))), q)
        least, most = np.minimum(least, q.min(0)), np.maximum(most, q.max(0))
    return 1.0 / np.maximum(most - least, 1e-12)


def _keep(path: Path, fit: Fit, epoch: int) -> None:
    temporary, parameters = path.with_suffix(".tmp"), fit.parameters
    state: dict[str, Any] = {"mean": fit.mean, "square": fit.square, "steps": fit.steps, "epoch": epoch}
    state |= {"vector": parameters.vector, "scale": parameters.scale, "constant": parameters.constant}
    with open(temporary, "wb") as stream:
        np.savez(stream, **state)
    os.replace(temporary, path)


def _resumed(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    with np.load(path) as data:
        return {name: data[name] for name in data.files}
