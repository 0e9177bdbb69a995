"""The members of a committee: trained one after the other, judged, and written with their card."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np

from rhotem.battery.distillation.explore import PLACED
from rhotem.battery.distillation.judge import disagreements, errors, hop_error, limit_of
from rhotem.battery.nep import NepCalculator
from rhotem.core import Progress

#: What stands beside the potential.
CARD = "nep.json"
#: Share of the passes that further members of the committee get: they only watch.
WATCHER = 0.25

#: Trains a potential: frames, elements, folder of its state, seed, passes, progress -> file. With ``start=file`` from
#: its weights, without from random ones (`rhotem.battery.distillation.fit.train_nep`).
Train = Callable[..., Path]


def member_names(count: int) -> list[str]:
    """Files of a committee, the potential itself first."""
    return ["nep.txt", *(f"nep-{n}.txt" for n in range(2, count + 1))]


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that a killed run leaves the old one or the new one."""
    temporary = target.with_name(target.name + ".tmp")
    shutil.copy(source, temporary)
    os.replace(temporary, target)


class Trainer:
    """Trains committees of one material.

    Parameters
    ----------
    train : callable
    elements : list of str
    members : int
    epochs : int
        Passes of the first member; the others get a quarter of them.
    seed : int
    """

    def __init__(self, train: Train, elements: Sequence[str], members: int, epochs: int, seed: int) -> None:
        self.train, self.elements, self.names = train, list(elements), member_names(members)
        self.epochs, self.seed = epochs, seed

    def __call__(
        self, frames: Path, out: Path, progress: Progress, start: Path | None = None, share: float = 1.0
    ) -> None:
        """Train what is not in ``out`` yet; a training that was killed goes on.

        Parameters
        ----------
        frames : Path
        out : Path
            Folder of the committee.
        progress : Progress
        start : Path or None
            Folder of a committee whose weights are gone on from.
        share : float
            Of the passes.
        """
        for n, name in enumerate(self.names):
            if (out / name).exists():
                continue
            state = out / f"training-{n + 1}"
            epochs = max(1, round((WATCHER if n else 1.0) * share * self.epochs))
            further = {} if start is None else {"start": start / name}
            made = self.train(frames, self.elements, state, self.seed + n, epochs, progress, **further)
            copy_whole(made, out / name)
            shutil.rmtree(state)

    def judged(self, out: Path, known: Sequence[ase.Atoms], held: Sequence[ase.Atoms]) -> dict[str, Any]:
        """Errors of the members and the limit of their disagreement."""
        first, *others = (NepCalculator(out / name) for name in self.names)
        first.committee = others
        # ions that were put where they do not belong say nothing about runs
        apart = disagreements(first, [frame for frame in [*known, *held] if not frame.info.get(PLACED)])
        return {
            "limit_eV_per_A": limit_of(apart) if others else None,
            "disagreement_eV_per_A": {"median": float(np.median(apart)), "most": float(apart.max())},
            "held_out": errors(first, held),
            "learned": errors(first, known),
            "hop_error_eV": hop_error(first, [*known, *held]),
            "held_out_of_members": [errors(member, held)["force_eV_per_A"] for member in others],
        }
