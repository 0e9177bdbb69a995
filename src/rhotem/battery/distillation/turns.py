"""Distillation in turns: a potential runs, is taught what it met where it was lost, and runs again.

A turn runs a cell larger than that of the first frames with the committee: at the temperature asked for, hotter and
strained, with ions taken out and put in. Runs end where the committee disagrees. Frames whose neighbourhoods are new
are labelled by the teacher and learned from, from the weights of the turn before. One run of every turn is never
learned from. Turns end when the runs at temperature stay inside for the time asked for and their newest frames are no
more wrong than frames held out.
"""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import ase
import numpy as np

from rhotem.battery import dynamics
from rhotem.battery.distillation.committee import CARD, Trainer, copy_whole
from rhotem.battery.distillation.explore import Explorer, Piece
from rhotem.battery.distillation.judge import errors
from rhotem.battery.distillation.labels import HELD_FRAMES, LEARNED_FRAMES, gathered, read_frames, write_frames
from rhotem.battery.distillation.pick import Neighbourhoods
from rhotem.battery.distillation.starts import larger, strained, with_extra, with_vacancies
from rhotem.battery.nep import NepCalculator
from rhotem.core import ConvergenceError, InputError, Progress
from rhotem.core.output import to_json
from rhotem.core.whole import write_whole
from rhotem.structure.model import Structure

#: Atoms of the cell that runs, at least: twice a potential's reach, and many neighbourhoods in a frame.
ATOMS = 150
#: fs between frames of a run, and ps that the motion takes to forget the crystal.
EVERY, SETTLE = 20.0, 0.3
#: Frames of a run that are looked at, at most, and labelled of one that is held out.
LOOKED_AT, HELD = 120, 8
#: Times as many frames are ranked as are learned from.
SPARE = 3
#: Atoms that a turn learns from, of those of the first frames.
NEW = 0.5
#: Share of the ions that are taken out or put in.
CHANGED = 0.06
#: Errors of forces of new frames are at most so many times those of frames held out where no more is to be learned.
SAME, FORCE = 1.1, "force_eV_per_A"
#: ps: shorter runs do not leave the crystal behind.
SHORTEST = 0.5
#: Folder of the committee that turns begin with, and what a turn met.
FIRST, MET, ASKED = "turn-0", "met.json", "turns.json"


@dataclass(frozen=True)
class Run:
    """One run of a turn.

    Parameters
    ----------
    name : str
    share : float
        Of the temperature asked for.
    change : int
        -1: ions are taken out; 1: put in.
    strain : float
        Standard deviation of every component.
    held : bool
        Never learned from.
    """

    name: str
    share: float = 1.0
    change: int = 0
    strain: float = 0.0
    held: bool = False

    @property
    def asked(self) -> bool:
        """Whether the run is of the kind that the potential is for."""
        return self.share == 1.0 and self.change <= 0 and self.strain == 0.0


RUNS = (
    Run("crystal"),
    Run("fewer ions", change=-1),
    Run("more ions", change=1),
    Run("hot, strained", 1.25, strain=0.015),
    Run("held out", held=True),
)


class Turns:
    """Turns of a distillation, in folders of ``out``; what is finished is not done again.

    Parameters
    ----------
    explorer : Explorer
    trainer : Trainer
    out : Path
        Folder of the first distillation.
    stay : float
        ps that the runs at temperature shall stay inside.
    """

    def __init__(self, explorer: Explorer, trainer: Trainer, out: Path, stay: float) -> None:
        self.explorer, self.trainer, self.out, self.stay = explorer, trainer, out, stay
        self.cell = larger(explorer.crystal, ATOMS)
        self.names = [*trainer.names, CARD]
        self._compared: tuple[int, Neighbourhoods] | None = None

    def take(self, count: int, progress: Progress) -> None:
        """Take up to ``count`` turns and a last look; the last committee is that of the distillation then.

        Raises
        ------
        InputError
            If turns of another length of runs were begun, or more than ``count`` were taken.
        """
        self._begin()
        taken = sum((folder / CARD).exists() for folder in self.out.glob("turn-*")) - 1
        if count < taken:
            raise InputError(
                f"distil: --turns {count}: {taken} were taken in {self.out}; give at least {taken}, or another folder"
            )
        told: list[dict[str, Any]] = []
        for turn in range(1, count + 2):
            told.append(self._met(turn, progress))
            if told[-1]["inside"] or turn > count:
                break
            self._learn(turn, progress)
        last = self._folder(len(told) - 1)
        record = json.loads((last / CARD).read_text()) | {"turns": told}
        if (self.out / CARD).read_text() != to_json(record) + "\n":
            for name in self.trainer.names:
                copy_whole(last / name, self.out / name)
            write_whole(self.out / CARD, record)

    def _begin(self) -> None:
        """Keep the first committee in the folder that turns begin with; whole or not there."""
        first, part = self._folder(0), self.out / f"{FIRST}.part"
        if not first.exists():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            for name in self.names:
                shutil.copy(self.out / name, part / name)
            write_whole(part / ASKED, {"stay_ps": self.stay})
            part.rename(first)
        asked = json.loads((first / ASKED).read_text())["stay_ps"]
        if asked != self.stay:
            raise InputError(
                f"distil: --stay {self.stay:g}: turns of runs of {asked:g} ps were begun in {self.out}; give that, or "
                "another folder"
            )

    def _folder(self, turn: int) -> Path:
        """Of what a turn met and the committee after it; 0 is before all turns."""
        return self.out / f"turn-{turn}"

    def _met(self, turn: int, progress: Progress) -> dict[str, Any]:
        """Run, and label what was met: how far runs came, and how wrong the potential was there."""
        folder = self._folder(turn)
        folder.mkdir(exist_ok=True)
        if not (folder / MET).exists():
            started = time.process_time()
            runs = [self._ran(turn, n, progress) for n in range(len(RUNS))]
            learned, held = (self._gathered(turn, held, progress) for held in (False, True))
            potential = NepCalculator(self._folder(turn - 1) / "nep.txt")
            before = json.loads((self._folder(turn - 1) / CARD).read_text())["held_out"]
            wrong = errors(potential, learned) if learned else None
            stayed = all(run["ps"] >= self.stay for run, kind in zip(runs, RUNS, strict=True) if kind.asked)
            report = {
                "runs": runs,
                "stayed": stayed,
                "inside": stayed and wrong is not None and wrong[FORCE] <= SAME * before[FORCE],
                "held_out": errors(potential, held) if held else None,
                "new": wrong,
                "cpu_s_of_last_call": time.process_time() - started,
            }
            write_whole(folder / MET, report)
        for trajectory in folder.glob("run-*"):
            trajectory.unlink()
        return dict(json.loads((folder / MET).read_text()))

    def _gathered(self, turn: int, held: bool, progress: Progress) -> list[ase.Atoms]:
        """Labelled frames of the runs that are held out, or of those that are not."""
        pieces: list[Piece] = [
            (run.name, partial(self._labelled, turn, n)) for n, run in enumerate(RUNS) if run.held == held
        ]
        target = self._folder(turn) / (HELD_FRAMES if held else LEARNED_FRAMES)
        return gathered(pieces, target, f"turn {turn}: {'frames held out' if held else 'labels'}", progress)

    def _ran(self, turn: int, number: int, progress: Progress) -> dict[str, Any]:
        """Go through a run to its end, or to where the committee stops it."""
        run, folder = RUNS[number], self._folder(turn)
        done = folder / f"run-{number}.json"
        if not done.exists():
            settings = dynamics.Settings(
                temperature=run.share * self.explorer.temperature,
                time=self.stay,
                step=self.explorer.step,
                every=EVERY,
                seed=int(self._rng(turn, number).integers(2**31)),
                potential=str(self._folder(turn - 1)),
            )
            out, stopped = folder / f"run-{number}.extxyz", None

            def told(stage: str, now: int, total: int) -> None:
                progress(f"turn {turn}: run {number + 1} of {len(RUNS)}, {run.name}", now, total)

            try:
                dynamics.run(Structure(self._start(turn, number)), settings, out, told)
            except ConvergenceError as error:
                stopped = str(error)
            reached = read_frames(out)[-1].info["time_ps"]
            write_whole(done, {"name": run.name, "K": settings.temperature, "ps": reached, "stopped": stopped})
        return dict(json.loads(done.read_text()))

    def _start(self, turn: int, number: int) -> ase.Atoms:
        """Where a run begins."""
        run, rng, atoms = RUNS[number], self._rng(turn, number), self.cell
        element = self.explorer.element
        if element and run.change:
            count = max(1, round(CHANGED * atoms.symbols.count(element)))
            change = with_vacancies if run.change < 0 else with_extra
            atoms = change(atoms, element, count, rng)
        return strained(atoms, run.strain, rng)

    def _rng(self, turn: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.explorer.seed, 2, turn, number])

    def _labelled(self, turn: int, number: int) -> Iterator[ase.Atoms]:
        """Frames of a run with the teacher's labels: evenly taken where they are held out, the newest where not."""
        frames = read_frames(self._folder(turn) / f"run-{number}.extxyz")[1:]
        if RUNS[number].held:
            settled = [frame for frame in frames if frame.info["time_ps"] >= SETTLE]
            count, chosen = HELD, _evenly(settled or frames, HELD)
        else:
            candidates, count = _evenly(frames, LOOKED_AT), self._count
            known = self._places(turn)
            # more than are wanted: of a run that was lost, the newest may be atoms on top of each other
            chosen = [candidates[n] for n in known.farthest(candidates, SPARE * count)]
        sound = (labelled for frame in chosen for labelled in self.explorer.labelled(frame))
        yield from islice(sound, count)

    def _places(self, turn: int) -> Neighbourhoods:
        """What was known before a turn."""
        if self._compared is None or self._compared[0] != turn:
            potential = NepCalculator(self._folder(turn - 1) / "nep.txt")
            self._compared = (turn, Neighbourhoods(potential, self._known(turn)))
        return self._compared[1]

    @cached_property
    def _count(self) -> int:
        """Frames that a run gives to learn from."""
        first = sum(len(frame) for frame in read_frames(self.out / LEARNED_FRAMES))
        return max(2, round(NEW * first / len(self.cell) / sum(not run.held for run in RUNS)))

    def _known(self, turn: int, name: str = LEARNED_FRAMES) -> list[ase.Atoms]:
        """Frames of the first distillation and of all turns before one."""
        folders = [self.out, *(self._folder(n) for n in range(1, turn))]
        return [frame for folder in folders for frame in read_frames(folder / name)]

    def _learn(self, turn: int, progress: Progress) -> None:
        """Train on, and judge."""
        started = time.process_time()
        folder, before = self._folder(turn), self._folder(turn - 1)
        card = folder / CARD
        if card.exists():
            return
        known, held = self._known(turn + 1), self._known(turn + 1, HELD_FRAMES)
        first = read_frames(self.out / LEARNED_FRAMES)
        training = folder / "training.extxyz"
        if not training.exists():
            write_frames(training, known)
        # as dear as the first training, however many frames there are
        share = sum(map(len, first)) / sum(map(len, known))
        self.trainer(training, folder, lambda stage, *at: progress(f"turn {turn}: {stage}", *at), before, share)
        record = json.loads((before / CARD).read_text()) | {"frames": len(known)}
        record |= self.trainer.judged(folder, known, held)
        record["cpu_s_of_last_call"] = {"turn": turn, "training": time.process_time() - started}
        write_whole(card, record)
        training.unlink()


def _evenly(frames: list[ase.Atoms], count: int) -> list[ase.Atoms]:
    """So many frames over the whole length, the last one among them."""
    places = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)[::-1]
    return [frames[n] for n in sorted(set(places.tolist()))]
