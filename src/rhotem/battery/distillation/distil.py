"""`distil`: explore, label, train a committee, judge it; goes on where a call was killed."""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import ase
import numpy as np

from rhotem.battery.distillation.explore import HELD_OUT, LEARNED, Explorer, Size
from rhotem.battery.distillation.judge import SAFETY, disagreements, errors, hop_error
from rhotem.battery.distillation.labels import gathered
from rhotem.battery.distillation.starts import cell_of, moving
from rhotem.battery.nep import FORMAT, NepCalculator
from rhotem.battery.potentials import DEFAULT, check_potential, potential_calculator, unknown_elements
from rhotem.core import InputError, Progress, silent
from rhotem.core.folders import alone
from rhotem.core.provenance import versions
from rhotem.core.whole import read_whole, write_whole
from rhotem.structure.model import Structure

#: Fewer frames teach nothing; atoms of a cell with many are too many labels.
FEWEST, MOST_ATOMS = 40, 240
#: Names in the folder.
PLAN, LEARNED_FRAMES, HELD_FRAMES, CARD = "plan.json", "learned.extxyz", "held-out.extxyz", "nep.json"

#: Share of the passes that further members of the committee get: they only watch.
WATCHER = 0.25

#: Trains a potential: frames, elements, folder of its state, seed, passes, progress -> file
#: (`rhotem.training.nep.train_nep`).
Train = Callable[[Path, Sequence[str], Path, int, int, Progress], Path]


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
    """

    temperature: float = 1000.0
    element: str = ""
    frames: int = LEARNED.total
    members: int = 2
    epochs: int = 80
    teacher: str = DEFAULT
    seed: int = 0

    def __post_init__(self) -> None:
        check_potential(self.teacher)
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"distil: temperature {self.temperature:g} K, expected a number > 0")
        if self.frames < FEWEST:
            raise InputError(f"distil: {self.frames} frames are too few to learn from; give at least {FEWEST}")
        if not 1 <= self.members <= 5:
            raise InputError(f"distil: a committee of {self.members}; choose 1 (nothing watches runs) to 5")

    @property
    def size(self) -> Size:
        """Frames of each kind, in the proportions of `LEARNED`."""
        share = self.frames / LEARNED.total
        parts = (LEARNED.rattled, LEARNED.pieces, LEARNED.hops)
        rattled, pieces, hops = (max(3, round(share * part)) for part in parts)
        return Size(rattled, pieces, LEARNED.frames, hops)


def distil(
    structure: Structure, settings: Settings, out: Path, train: Train, progress: Progress = silent
) -> dict[str, Any]:
    """A fast potential of a material, taught by a slow one; the same call goes on where it was killed.

    In the folder ``out``: ``nep.txt``, further members of its committee, ``nep.json`` (errors on frames held out, the
    committee's limit, how it was made), and the labelled frames.

    Parameters
    ----------
    structure : Structure
        The crystal.
    settings : Settings
    out : Path
        Folder.
    train : callable
        `rhotem.training.nep.train_nep`.
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
        If ``torchnep`` or ``nep-adapters`` is not installed.
    ConvergenceError
        If atoms run away while exploring.
    """
    crystal = cell_of(structure, MOST_ATOMS)
    element = moving(crystal, settings.element)
    teacher = potential_calculator(settings.teacher)
    odd = unknown_elements(teacher, crystal.numbers)
    if odd:
        raise InputError(f"distil: potential {settings.teacher} does not know {', '.join(odd)}")
    out = Path(out)
    plan = {**asdict(settings), "element": element, "crystal": _fingerprint(crystal)}
    try:
        with alone(out):
            _claim(out, plan)
            if not (out / CARD).exists():
                explorer = Explorer(crystal, element, settings.temperature, teacher, settings.seed)
                _work(explorer, settings, out, train, progress)
            return dict(json.loads((out / CARD).read_text()))
    except BlockingIOError:
        raise InputError(f"distil: --out {out}: another run is writing there; wait for it, or stop it") from None


def _work(explorer: Explorer, settings: Settings, out: Path, train: Train, progress: Progress) -> None:
    started = time.process_time()
    known = gathered(explorer.pieces(settings.size, 0), out / LEARNED_FRAMES, "exploring", progress)
    held = gathered(explorer.pieces(HELD_OUT, 1), out / HELD_FRAMES, "frames held out", progress)
    if len(known) < 0.5 * FEWEST or not held:
        raise InputError(
            f"distil: {len(known)} sound frames to learn from, {len(held)} held out: too few; start from a relaxed "
            "crystal, or lower --temperature"
        )
    explored = time.process_time() - started
    elements = list(dict.fromkeys(explorer.crystal.get_chemical_symbols()))
    names = ["nep.txt", *(f"nep-{n}.txt" for n in range(2, settings.members + 1))]
    for n, name in enumerate(names):
        if not (out / name).exists():
            state = out / f"training-{n + 1}"
            epochs = round(WATCHER * settings.epochs) if n else settings.epochs
            made = train(out / LEARNED_FRAMES, elements, state, settings.seed + n, epochs, progress)
            shutil.copy(made, out / f"{name}.tmp")
            os.replace(out / f"{name}.tmp", out / name)
            shutil.rmtree(state)
    record = {
        "format": FORMAT,
        "version": 1,
        "material": explorer.crystal.get_chemical_formula(),
        "elements": elements,
        "members": names[1:],
        **_judged(out, names, known, held),
        "settings": asdict(settings) | {"element": explorer.element},
        "frames": len(known),
        # what an earlier call did before it was stopped is not in it
        "cpu_s_of_last_call": {"explore_and_label": explored, "all": time.process_time() - started},
        "versions": versions(),
    }
    write_whole(out / CARD, record)


def _judged(out: Path, names: list[str], known: list[ase.Atoms], held: list[ase.Atoms]) -> dict[str, Any]:
    """Errors of the members and the limit of their disagreement."""
    first, *others = (NepCalculator(out / name) for name in names)
    first.committee = others
    apart = disagreements(first, [*known, *held])
    return {
        "limit_eV_per_A": SAFETY * float(apart.max()) if others else None,
        "disagreement_eV_per_A": {"median": float(np.median(apart)), "most": float(apart.max())},
        "held_out": errors(first, held),
        "learned": errors(first, known),
        "hop_error_eV": hop_error(first, [*known, *held]),
        "held_out_of_members": [errors(member, held)["force_eV_per_A"] for member in others],
    }


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
