"""Interpolation of tables in the distance by cubics through four points."""

import torch


def radii(cutoff: float, step: float, like: torch.Tensor) -> torch.Tensor:
    """Where to tabulate for distances up to ``cutoff``: −step, 0, step, … in Å; one point before and two beyond."""
    return torch.arange(-1, int(cutoff / step) + 3, dtype=like.dtype, device=like.device) * step


def cubic(r: torch.Tensor, step: float) -> tuple[torch.Tensor, torch.Tensor]:
    """First of the four rows of a table that belong to each distance, (E,), and their weights, (E, 4): Lagrange's."""
    first = (r / step).floor()
    t = r / step - first
    weights = [
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    ]
    return first.long(), torch.stack(weights, dim=1)
