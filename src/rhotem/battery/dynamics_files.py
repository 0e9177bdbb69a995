"""Files of a run of molecular dynamics: frames that are appended, and the state it goes on from."""

import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.folders import alone
from rhotem.core.provenance import versions
from rhotem.structure.model import Structure

FORMAT = "rhotem-md"


@dataclass(frozen=True, eq=False)
class Progressed:
    """State of a run after ``step`` steps: Å, ASE's units of momentum, strain and force of the barostat, random numbers
    to come, and looks, on end and all, at which the potential said that it was lost.
    """

    step: int
    positions: npt.NDArray[np.float64]
    momenta: npt.NDArray[np.float64]
    cell: npt.NDArray[np.float64]
    barostat: tuple[float, float]
    random: dict[str, Any]
    alarms: tuple[int, int] = (0, 0)


class Trajectory:
    """An extended-xyz file under way, and ``NAME.state.npz`` beside it.

    A frame counts once the state after it is written: the state says how long the file is, and what a killed run wrote
    beyond that is cut off. Nobody else can write to it at the same time.

    Parameters
    ----------
    out : Path
    structure : Structure
        What the run started from.
    settings : dict
        How it is run; only ``time`` may differ from an earlier run.

    Attributes
    ----------
    reached : Progressed or None
        Where an earlier run with the same settings ended.

    Raises
    ------
    InputError
        If ``out`` has another ending, or is of another run.
    """

    def __init__(self, out: Path, structure: Structure, settings: dict[str, Any]) -> None:
        self.out = Path(out)
        if self.out.suffix not in (".xyz", ".extxyz"):
            raise InputError(f"md: --out {out}: frames are written as extended xyz; give a name that ends in .extxyz")
        self.side = self.out.with_suffix(".state.npz")
        self.asked = {name: value for name, value in settings.items() if name != "time"}
        self.asked["start"] = [structure.formula, len(structure), _fingerprint(structure)]
        self.versions = versions()
        self.reached: Progressed | None = None
        #: step, energy (eV), temperature (K) of every frame
        self.rows: list[list[float]] = []
        self.size = 0

    def __enter__(self) -> Self:
        self._alone = alone(self.out)
        try:
            self._alone.__enter__()
        except BlockingIOError as error:
            raise InputError(f"md: --out {self.out}: another run is writing there; wait for it, or stop it") from error
        except OSError as error:
            raise InputError(
                f"md: --out {self.out}: cannot write there ({error.strerror}); give another name"
            ) from error
        if self.side.exists():
            self._read()
        elif self.out.exists():
            raise InputError(
                f"md: --out {self.out}: is there, without {self.side.name} to go on from; give another name"
            )
        self.stream = open(self.out, "r+" if self.out.exists() else "w+")
        self.stream.truncate(self.size)
        self.stream.seek(self.size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()
        if not self.rows:
            self.out.unlink()
        self._alone.__exit__(kind, error, trace)

    @property
    def step(self) -> int:
        """Steps done."""
        return 0 if self.reached is None else self.reached.step

    def append(self, frame: ase.Atoms, state: Progressed) -> None:
        """Write a frame, then the state after it."""
        from ase.io.extxyz import write_extxyz

        write_extxyz(self.stream, [frame], write_results=False)
        self.stream.flush()
        self.size = self.stream.tell()
        self.rows.append([state.step, frame.info["energy"], frame.info["temperature_K"]])
        self.reached = state
        text = {
            "format": FORMAT,
            "asked": self.asked,
            "size": self.size,
            "step": state.step,
            "random": state.random,
            "alarms": state.alarms,
            "versions": self.versions,
        }
        temporary = self.side.with_suffix(".tmp")
        numbers = {name: getattr(state, name) for name in ("positions", "momenta", "cell", "barostat")}
        try:
            with open(temporary, "wb") as stream:
                np.savez(stream, text=np.array(json.dumps(text)), rows=np.array(self.rows), **numbers)
            os.replace(temporary, self.side)
        except OSError:  # a full disk: the state before stays
            temporary.unlink(missing_ok=True)
            raise

    def summary(self) -> dict[str, Any]:
        """Means over the second half of the frames."""
        rows = np.array(self.rows)
        second = rows[len(rows) // 2 :]
        return {
            "frames": len(rows),
            "steps": self.step,
            "alarms": 0 if self.reached is None else self.reached.alarms[1],
            "energy_eV": float(second[:, 1].mean()),
            "temperature_K": float(second[:, 2].mean()),
            "settings": self.asked,
            "file": str(self.out),
        }

    def _read(self) -> None:
        try:
            with np.load(self.side) as data:
                text = json.loads(str(data["text"]))
                arrays = {name: data[name] for name in ("positions", "momenta", "cell", "barostat", "rows")}
            asked, size = dict(text["asked"]), int(text["size"])
            strain, force = arrays["barostat"].tolist()
            numbers = (arrays["positions"], arrays["momenta"], arrays["cell"])
            now, ever = text.get("alarms", (0, 0))
            reached = Progressed(int(text["step"]), *numbers, (strain, force), text["random"], (int(now), int(ever)))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"md: {self.side}: damaged ({error}); delete it and {self.out.name}, or rename") from error
        differing = [name for name, value in self.asked.items() if asked.get(name) != value]
        if differing:
            raise InputError(
                f"md: --out {self.out}: is of a run with another {', '.join(differing)}; give another name, or the "
                "same settings to go on"
            )
        if not self.out.exists() or self.out.stat().st_size < size:
            raise InputError(f"md: {self.out}: shorter than its run left it; delete {self.side.name} to start again")
        self.reached, self.rows, self.size = reached, arrays["rows"].tolist(), size


def _fingerprint(structure: Structure) -> str:
    """Of elements, places and cell."""
    from hashlib import sha256

    parts = (structure.numbers.astype("<i8"), structure.positions.astype("<f8"), structure.cell.astype("<f8"))
    return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
