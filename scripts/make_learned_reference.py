"""Makes `tests/data/learned/NAME.npz`: what the plain networks give with shipped weights, in double precision.

Tests of the learned density compare with it where PyTorch is not installed.

    python scripts/make_learned_reference.py
"""

from pathlib import Path

import ase
import numpy as np
import torch

from rhotem.learned.spin import moment_signs
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import load_network
from rhotem.training.dataset import Pairs, Probes, probe_pairs
from rhotem.training.network.model import DensityModel
from rhotem.training.network.predict import prepared

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "learned"
#: A cell without any symmetry, and a charge.
NUMBERS, CHARGE = [27, 8, 3, 8], 0.5
CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46]])
#: Channels of the tensors kept, and points.
CHANNELS, POINTS = 4, 60


def probes_of(model: DensityModel, structure: Structure, points: np.ndarray) -> Probes:
    """Pairs of points and atoms, vectors in double precision."""
    parts = []
    for reach in model.cutoffs[1:]:
        point, atom, vectors = probe_pairs(points, structure.positions, structure.cell, reach)
        counts = np.bincount(atom, minlength=len(structure)).tolist()
        parts.append(Pairs(torch.from_numpy(point), torch.from_numpy(vectors), counts))
    return Probes(len(points), *parts)


def reference(name: str) -> dict[str, np.ndarray]:
    """What is stored for one set of weights."""
    model = load_network(name)[0].double()
    structure = Structure(ase.Atoms(NUMBERS, SITES @ CELL, cell=CELL, pbc=True), charge=CHARGE)
    graph = model.graph(structure)
    points = np.random.default_rng(0).random((POINTS, 3)) @ CELL
    with torch.no_grad():
        features = model.encoder(graph)
        mean, members = prepared(model, structure), prepared(model, structure, members=True)
        found = {
            "scalars": features.scalars,
            "tensors": features.tensors[:, :, :CHANNELS],
            "near": mean[0],
            "far": mean[1],
            "members_near": members[0][:, 0],
            "members_far": members[1][:, 0],
            "density": model.readout.at_points(mean, probes_of(model, structure, points)),
        }
        if model.spin is not None:
            signs = torch.from_numpy(moment_signs(structure))
            found["spin_near"], found["spin_far"] = model.spin(features, graph, signs)
    result = {key: value.numpy().astype(np.float32) for key, value in found.items()}
    described = {
        "numbers": np.array(NUMBERS),
        "cell": CELL,
        "positions": structure.positions,
        "charge": structure.charge,
    }
    return {**result, **described, "points": points}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for weights in ("default", "fast"):
        np.savez_compressed(FOLDER / f"{weights}.npz", **reference(weights))
