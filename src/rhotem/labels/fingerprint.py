"""How alike two structures are, whatever cell describes them: for leakage tests and farthest-point selection."""

from collections.abc import Mapping, Sequence

import ase
import numpy as np
import numpy.typing as npt

#: Pair distances in units of (volume per atom)^(1/3): range, number of bins, Gaussian width. The width (0.15 Å in a
#: typical oxide) is that of thermal displacements, so that a rattled copy looks like its original.
RANGE, BINS, WIDTH = 2.6, 40, 0.07
#: Similarity above which two structures of the same composition are taken for copies of each other. In the first 160
#: labels displaced and strained copies have 0.90–1.00; stackings of one layer (O1, O3) have 0.97–0.99: copies, too.
COPY = 0.90


def fingerprint(atoms: ase.Atoms) -> dict[tuple[int, int], npt.NDArray[np.float64]]:
    """Pair distribution by pair of elements: number of pairs per atom in Gaussian bins, cell-independent.

    Returns
    -------
    dict
        (Z1 ≤ Z2) -> (BINS,) array, shared over all pairs to unit length.
    """
    from ase.neighborlist import neighbor_list

    unit = (atoms.get_volume() / len(atoms)) ** (1 / 3)
    i, j, d = neighbor_list("ijd", atoms, RANGE * unit)
    z1, z2 = np.sort(np.stack([atoms.numbers[i], atoms.numbers[j]]), axis=0)
    x = d / unit
    centres = np.linspace(0.3, RANGE, BINS)
    # Fade towards the end, so that no shell enters or leaves at once.
    strength = np.cos(np.pi / 2 * np.minimum(x / RANGE, 1.0)) ** 2 / x**2
    found = {}
    for pair in sorted(set(zip(z1.tolist(), z2.tolist(), strict=True))):
        here = (z1 == pair[0]) & (z2 == pair[1])
        peaks = np.exp(-0.5 * ((centres[:, None] - x[here]) / WIDTH) ** 2)
        found[pair] = peaks @ strength[here] / len(atoms)
    norm = np.sqrt(sum(float(v @ v) for v in found.values())) or 1.0
    return {pair: v / norm for pair, v in found.items()}


def similarity(first: dict, second: dict) -> float:
    """Cosine of two fingerprints, 0–1."""
    return float(sum(v @ second[pair] for pair, v in first.items() if pair in second))


def described(atoms: ase.Atoms) -> tuple[str, dict]:
    """Reduced formula and fingerprint."""
    return atoms.get_chemical_formula(mode="hill", empirical=True), fingerprint(atoms)


def leaks(
    train: Mapping[str, tuple[str, dict]], test: Mapping[str, tuple[str, dict]], threshold: float = COPY
) -> list[tuple[str, str, float]]:
    """Test structures of which the training set has a copy: (test, train, similarity), same reduced formula.

    ``train`` and ``test`` map names to what `described` says of the structures.
    """
    by_formula: dict[str, list[tuple[str, dict]]] = {}
    for name, (formula, own) in train.items():
        by_formula.setdefault(formula, []).append((name, own))
    found = []
    for name, (formula, own) in test.items():
        for other, theirs in by_formula.get(formula, []):
            alike = similarity(own, theirs)
            if alike > threshold:
                found.append((name, other, alike))
    return found


def farthest(known: Sequence[dict], candidates: Sequence[dict], count: int) -> list[int]:
    """Indices of ``count`` candidates, each the one least similar to everything known or chosen before it."""
    nearest = np.array([max((similarity(c, k) for k in known), default=0.0) for c in candidates])
    chosen: list[int] = []
    for _ in range(min(count, len(candidates))):
        best = int(np.argmin(nearest))
        chosen.append(best)
        alike = np.array([similarity(c, candidates[best]) for c in candidates])
        nearest = np.maximum(nearest, alike)
        nearest[chosen] = np.inf
    return chosen
