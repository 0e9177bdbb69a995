"""What training looks at while it runs: held-out labels at fixed voxels."""

import math
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
            predicted = values_at(model.readout, given, self.sample, self.drawn.points).cpu()
            error = float(voxel_error(predicted, self.drawn.target, self.drawn.weight, self.sample.scale))
            goal = self.potential
            potential = math.nan if goal is None else float(potential_error(given, goal.to(device)))
        return error, potential, error * self.free_atom_nmae_percent, self.free_atom_nmae_percent


def values_at(
    readout: Any, given: tuple[torch.Tensor, ...], sample: Sample, points: npt.NDArray[np.float32]
) -> torch.Tensor:
    """What a readout gives at points of a structure, (P,), from what it made of its atoms; compiled where it can be."""
    device = given[0].device
    if readout.blocks and device.type == "cpu" and max(b.lmax for b in readout.blocks) <= LMAX:
        return at_points(given, readout.blocks, points, sample.images, sample.owner)
    return readout.at_points(given, sample.probes(points).to(device))
