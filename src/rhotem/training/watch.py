"""What training looks at while it runs: held-out labels at fixed voxels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.training.dataset import Drawn, Sample
from rhotem.training.loss import PotentialTarget, potential_error, voxel_error
from rhotem.training.network.model import DensityModel
from rhotem.training.points import LMAX, at_points


@dataclass(frozen=True, eq=False)
class Watched:
    """A held-out label with fixed voxels."""

    sample: Sample
    drawn: Drawn
    potential: PotentialTarget | None
    free_atom_nmae_percent: float

    def measure(self, model: DensityModel, device: torch.device) -> tuple[float, float, float, float]:
        """Estimates of the columns `rhotem.training.log.MEASURED`."""
        with torch.no_grad():
            given = model(self.sample.graph.to(device))
            predicted = values_at(model.readouts, given, self.sample, self.drawn.points).cpu()
            error = float(voxel_error(predicted, self.drawn.target, self.drawn.weight, self.sample.scale))
            goal = self.potential
            potential = math.nan if goal is None else float(potential_error(given, goal.to(device)))
        return error, potential, error * self.free_atom_nmae_percent, self.free_atom_nmae_percent


def values_at(
    readouts: Sequence[Any], given: tuple[torch.Tensor, ...], sample: Sample, points: npt.NDArray[np.float32]
) -> torch.Tensor:
    """What a model gives at points of a structure, (P,), from what `DensityModel.forward` made of its atoms.

    Compiled where it can be. ``given``: the mean of the members of a linear readout; of others that of one after the
    other, whose densities are averaged.
    """
    device, first = given[0].device, readouts[0]
    if first.blocks and device.type == "cpu" and max(b.lmax for b in first.blocks) <= LMAX:
        return at_points(given, first.blocks, points, sample.images, sample.owner)
    probes = sample.probes(points).to(device)
    if first.blocks:
        return first.at_points(given, probes)
    size = len(given) // len(readouts)
    each = [own.at_points(given[n * size : (n + 1) * size], probes) for n, own in enumerate(readouts)]
    return torch.stack(each).mean(0)
