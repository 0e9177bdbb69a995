"""Density, energy, forces and stress of a structure from one pass through the layers of SevenNet-0.

Energies are made of the features of the structure, densities of the part of them that is even under inversion: the mean
of the structure's features and, turned back, those of its image (`rhotem.learned.encoders.interaction`). So the image
goes through layers 2 to 4, too; nothing else is calculated twice.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.learned.coefficients import coefficients_from
from rhotem.learned.encoder import Consumer
from rhotem.learned.encoders.sevennet import PretrainedEncoder
from rhotem.learned.encoders.stage import AtomFeatures, Stage, States, Surroundings
from rhotem.learned.energy.layer import Edges, Tensors
from rhotem.learned.energy.potential import Energies, Pass, SevenNet0, Workers, sevennet_0, workers
from rhotem.learned.model import LearnedModel
from rhotem.learned.neighbours import Neighbours
from rhotem.structure.model import Structure


class SharedPass:
    """A structure's features for a learned density, and its energies.

    Parameters
    ----------
    model : LearnedModel
        On all four layers of SevenNet-0, as published.
    structure : Structure

    Raises
    ------
    InputError
        If the model stands on something else, atoms are closer than 0.5 Å, or an element is unknown.
    """

    def __init__(self, model: LearnedModel, structure: Structure) -> None:
        self.model, self.structure, self.numbers = model, structure, np.asarray(structure.numbers, dtype=np.int64)
        self.potential = sevennet_0()
        self.encoder = _checked(model, self.potential)
        self.dtype = np.dtype(self.encoder.dtype)
        self.classes = self.representatives = np.arange(len(structure))
        self.neighbours = Neighbours(structure.positions, structure.cell, self.encoder.cutoff)
        with workers() as work:
            edges = Edges.of(self.neighbours, self.potential.dtype)
            went = self.potential.forth(self.numbers, edges, work)
            self.states = self._states(went, work)
            #: of the structure
            self.energies: Energies = self.potential.back(went, structure.volume, work)

    def coefficients(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Those of `rhotem.learned.coefficients.atom_coefficients`."""
        return coefficients_from(self.model, self.structure, self, ([], silent))

    def run(self, consume: Consumer, tiles: list[npt.NDArray[np.int64]] | None, progress: Progress) -> None:
        """Take the states through the trained layers; features go to ``consume``, atom by atom."""
        stages, states = self.encoder.top.stages(), self.states
        with workers() as work:
            for stage in stages[:-1]:
                states = self._through(stage, states, work)
            self._read(stages[-1], states, consume, work)
        progress("atoms", len(self.numbers), len(self.numbers))

    def _states(self, went: Pass, work: Workers) -> States:
        """What the trained layers start from: scalars and tensors of all layers, in their channels."""
        e = self.encoder
        start = e.start(self.numbers, self.structure.charge / len(self.numbers))
        scalars, known, image = start["scalars"], None, went.x[1]
        mirrored = replace(went.edges, harmonics=_turned(went.edges.harmonics))
        for index, stage in enumerate(e.body_stages):
            x = went.x[index + 1]
            if index == 0:  # all of it is even
                even, image = x, _inverted(x)
            else:
                image = self.potential.through(self.potential.layers[index], image, mirrored, work)[1]
                even = [0.5 * (a + b) for a, b in zip(x, _inverted(image), strict=True)]
            scalars = scalars + stage.trained_scalars(even[0][:, 0])
            if stage.adds:
                known = stage.trained_tensors([t[:, :, None] for t in even], known)
        return {"scalars": scalars, "kept": known}  # type: ignore[dict-item]  # the last layer always adds

    def _through(self, stage: Stage, before: States, work: Workers) -> States:
        """States after a trained layer."""
        sent = stage.send(before)
        after: States = {}

        def some(atoms: slice, _: int) -> None:
            for name, values in stage(before, sent, self._around(atoms)).items():
                after[name][atoms] = values

        for name, values in stage(before, sent, self._around(slice(0, 1))).items():
            after[name] = np.empty((len(self.numbers), *values.shape[1:]), values.dtype)
        work(len(self.numbers), some)
        return after

    def _read(self, stage: Stage, before: States, consume: Consumer, work: Workers) -> None:
        sent = stage.send(before)

        def some(atoms: slice, _: int) -> None:
            found = stage(before, sent, self._around(atoms))
            consume(np.arange(atoms.start, atoms.stop), AtomFeatures(found["scalars"], found["kept"]))

        work(len(self.numbers), some)

    def _around(self, atoms: slice) -> Surroundings:
        own = np.arange(atoms.start, atoms.stop)
        starts, source, vectors = self.neighbours.around(own)
        return Surroundings(own, self.numbers[own], starts, source, self.numbers[source], vectors)


def _checked(model: LearnedModel, potential: SevenNet0) -> PretrainedEncoder:
    """The model's encoder, if its first layers are those of the potential but for rounding."""
    encoder, weights = model.encoder, potential.weights.arrays
    if not model.can.linear:
        raise InputError("model: density and energies in one pass need a readout made of functions; ask for each alone")
    if isinstance(encoder, PretrainedEncoder) and encoder.layers == 4:
        body = encoder.body.arrays
        known = [name for name in body if name != "species"]  # has relatives in places of unknown elements
        if all(name in weights and _rounded(body[name], weights[name]) for name in known):
            return encoder
    raise InputError("model: does not stand on SevenNet-0 as published, so that density and energies share nothing")


def _rounded(array: npt.NDArray, exact: npt.NDArray) -> bool:
    """Whether an array is another one in 16 bits."""
    return array.shape == exact.shape and bool(np.allclose(array, exact, rtol=1e-3, atol=1e-6))


def _turned(harmonics: npt.NDArray) -> npt.NDArray:
    """Harmonics of the opposite directions."""
    result = harmonics.copy()
    result[:, 1:4] *= -1
    return result


def _inverted(x: Tensors) -> Tensors:
    """Features with those of odd l turned round."""
    return [-t if l % 2 else t for l, t in enumerate(x)]
