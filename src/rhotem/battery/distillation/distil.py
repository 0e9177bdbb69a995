"""`distil`: explore, label, train a committee, judge it, take turns; goes on where a call was killed."""

import json
import os
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import ase
import numpy as np

from rhotem.battery.distillation.committee import CARD, Train, Trainer
from rhotem.battery.distillation.explore import HELD_OUT, LEARNED, Explorer, Size
from rhotem.battery.distillation.labels import HELD_FRAMES, LEARNED_FRAMES, gathered
from rhotem.battery.distillation.starts import cell_of, moving
from rhotem.battery.distillation.turns import SHORTEST, Turns
from rhotem.battery.nep import FORMAT
from rhotem.battery.potentials import DEFAULT, check_potential, potential_calculator, unknown_elements
from rhotem.core import InputError, Progress, silent
from rhotem.core.folders import alone
from rhotem.core.provenance import versions
from rhotem.core.whole import read_whole, write_whole
from rhotem.structure.model import Structure

#: Fewer frames teach nothing; atoms of a cell with many are too many labels.
FEWEST, MOST_ATOMS = 40, 240
#: Says what the folder is for.
PLAN = "plan.json"
#: Settings that a later call may change: more turns go on from those that were taken.
FREE = ("turns", "stay")


@dataclass(frozen=True)
class Settings:
    """What is distilled.

    Parameters
    ----------
    temperature : float
        K, of the hottest run that the potential is for.
    element : str
        Whose ions move; "": the first of Li, Na, K, Mg, Zn, ...
    frames : int
        About so many to learn from.
    members : int
        Of the committee, the potential itself included.
    epochs : int
        Passes of the training over the frames; further members get a quarter of them.
    teacher : str
        A name of `rhotem.battery.potentials.potential_names`.
    seed : int
    turns : int
        At most so many, after the first distillation (`rhotem.battery.distillation.turns`).
    stay : float
        ps that runs at temperature shall stay inside what is known; then no more turns are taken.
    """

    temperature: float = 1000.0
    element: str = ""
    frames: int = LEARNED.total
    members: int = 2
    epochs: int = 200
    teacher: str = DEFAULT
    seed: int = 0
    turns: int = 0
    stay: float = 10.0

    def __post_init__(self) -> None:
        check_potential(self.teacher)
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"distil: temperature {self.temperature:g} K, expected a number > 0")
        if self.frames < FEWEST:
            raise InputError(f"distil: {self.frames} frames are too few to learn from; give at least {FEWEST}")
        if not 1 <= self.members <= 5:
            raise InputError(f"distil: a committee of {self.members}; choose 1 (nothing watches runs) to 5")
        if self.turns < 0 or (self.turns and self.members < 2):
            raise InputError(f"distil: {self.turns} turns of a committee of {self.members}; turns need at least 2")
        if not (np.isfinite(self.stay) and self.stay >= SHORTEST):
            raise InputError(f"distil: runs that stay inside for {self.stay:g} ps, expected at least {SHORTEST:g}")

    @property
    def size(self) -> Size:
        """Frames of each kind, in the proportions of `LEARNED`."""
        share = self.frames / LEARNED.total
        parts = (LEARNED.rattled, LEARNED.pieces, LEARNED.hops, LEARNED.strays)
        rattled, pieces, hops, strays = (max(3, round(share * part)) for part in parts)
        return Size(rattled, pieces, LEARNED.frames, hops, strays)


def distil(
    structure: Structure, settings: Settings, out: Path, train: Train, progress: Progress = silent
) -> dict[str, Any]:
    """A fast potential of a material, taught by a slow one; the same call goes on where it was killed.

    In the folder ``out``: ``nep.txt``, further members of its committee, ``nep.json`` (errors on frames held out, the
    committee's limit, how it was made), and the labelled frames; of every turn a folder with the same. After turns the
    files are those of the last one.

    Parameters
    ----------
    structure : Structure
        The crystal.
    settings : Settings
    out : Path
        Folder.
    train : callable
        `rhotem.battery.distillation.fit.train_nep`.
    progress : Progress

    Returns
    -------
    dict
        What ``nep.json`` holds.

    Raises
    ------
    InputError
        If the crystal is too large, the teacher lacks an element, ``out`` is of another distillation, or few frames
        came out.
    MissingDependencyError
        If ``nep-adapters`` is not installed.
    ConvergenceError
        If atoms run away while exploring.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"distil: --out {out}: is a file; give a folder")
    crystal = cell_of(structure, MOST_ATOMS)
    element = moving(crystal, settings.element)
    teacher = potential_calculator(settings.teacher)
    odd = unknown_elements(teacher, crystal.numbers)
    if odd:
        raise InputError(f"distil: potential {settings.teacher} does not know {', '.join(odd)}")
    plan = {name: value for name, value in asdict(settings).items() if name not in FREE}
    plan |= {"element": element, "crystal": _fingerprint(crystal)}
    explorer = Explorer(crystal, element, settings.temperature, teacher, settings.seed)
    elements = list(dict.fromkeys(crystal.get_chemical_symbols()))
    trainer = Trainer(train, elements, settings.members, settings.epochs, settings.seed)
    try:
        with alone(out):
            _claim(out, plan)
            if not (out / CARD).exists():
                _work(explorer, settings, out, trainer, progress)
            if settings.turns:
                Turns(explorer, trainer, out, settings.stay).take(settings.turns, progress)
            return dict(json.loads((out / CARD).read_text()))
    except BlockingIOError:
        raise InputError(f"distil: --out {out}: another run is writing there; wait for it, or stop it") from None
    except OSError as error:
        if out.is_dir() and os.access(out, os.W_OK):
            raise
        raise InputError(f"distil: --out {out}: cannot write there ({error.strerror}); give another folder") from error


def _work(explorer: Explorer, settings: Settings, out: Path, trainer: Trainer, progress: Progress) -> None:
    started = time.process_time()
    known = gathered(explorer.pieces(settings.size, 0), out / LEARNED_FRAMES, "exploring", progress)
    held = gathered(explorer.pieces(HELD_OUT, 1), out / HELD_FRAMES, "frames held out", progress)
    if len(known) < 0.5 * FEWEST or not held:
        raise InputError(
            f"distil: {len(known)} sound frames to learn from, {len(held)} held out: too few; start from a relaxed "
            "crystal, or lower --temperature"
        )
    explored = time.process_time() - started
    trainer(out / LEARNED_FRAMES, out, progress)
    record = {
        "format": FORMAT,
        "version": 1,
        "material": explorer.crystal.get_chemical_formula(),
        "elements": trainer.elements,
        "members": trainer.names[1:],
        **trainer.judged(out, known, held),
        "settings": asdict(settings) | {"element": explorer.element},
        "frames": len(known),
        # what an earlier call did before it was stopped is not in it
        "cpu_s_of_last_call": {"explore_and_label": explored, "all": time.process_time() - started},
        "versions": versions(),
    }
    write_whole(out / CARD, record)


def _claim(out: Path, plan: dict[str, Any]) -> None:
    """Say what the folder is for; InputError if it is for something else."""
    note = out / PLAN
    if note.exists():
        there = read_whole(note)
        if there is None:
            raise InputError(f"distil: --out {out}: {PLAN} is damaged; give another folder")
        differing = [name for name, value in plan.items() if there.get(name) != value]
        if differing:
            raise InputError(
                f"distil: --out {out}: is of another {', '.join(differing)}; give another folder, or the same settings "
                "to go on"
            )
        return
    if out.exists() and any(path.suffix != ".new" for path in out.iterdir()):
        raise InputError(f"distil: --out {out}: holds something else; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(note, plan)


def _fingerprint(atoms: ase.Atoms) -> str:
    """Of elements, places and cell."""
    parts = (
        atoms.numbers.astype("<i8"),
        atoms.positions.round(6).astype("<f8"),
        atoms.cell.array.round(6).astype("<f8"),
    )
    return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
