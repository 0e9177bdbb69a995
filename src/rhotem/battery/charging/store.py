"""States of charge on disk: a pair of files each, written when it is done, so that a killed series goes on."""

import hashlib
from pathlib import Path
from typing import Any

import ase
import numpy as np

from rhotem.battery.charging.asked import Asked
from rhotem.battery.charging.candidates import Host
from rhotem.battery.charging.states import State
from rhotem.core import InputError
from rhotem.core.output import output_file, to_json
from rhotem.core.whole import read_whole, write_whole
from rhotem.structure.model import Structure
from rhotem.structure.write import write_structure

#: Folder of the states inside the folder of a series, and the file that says what they are of.
FOLDER, IDENTITY = "states", "series.json"


class Store:
    """The states of a series that are done.

    Parameters
    ----------
    out : Path
        Folder of the series.
    host : Host
    asked : Asked

    Raises
    ------
    InputError
        If another series is there.
    """

    def __init__(self, out: Path, host: Host, asked: Asked) -> None:
        self.folder = Path(out) / FOLDER
        self.identity = {"format": "rhotem-charge-states", "format_version": 1, "identity": _identity(host, asked)}
        if any(self.folder.glob("x*.json")) and read_whole(self.folder / IDENTITY) != self.identity:
            raise InputError(
                f"{self.folder}: holds another series (other crystal, cell or settings); give another --out, "
                "or delete it"
            )

    def structure_file(self, x: float) -> Path:
        """The relaxed structure of a state, for `rhotem image` and other programs."""
        return self.folder / f"x{x:.4f}.extxyz"

    def get(self, x: float, host: Host) -> State | None:
        """A state that is done."""
        told = read_whole(self._path(x, ""))
        if told is None:
            return None
        kept = told["atoms"]
        atoms = ase.Atoms(kept["numbers"], positions=kept["positions_A"], cell=kept["cell_A"], pbc=True)
        info = {**host.crystal.info, "notes": kept["notes"]}
        return State(
            told["x"],
            told["ions"],
            told["energy_eV"],
            told["stacking"],
            told["lattice"],
            Structure(atoms, info=info),
            told["tried"],
        )

    def put(self, x: float, state: State) -> None:
        """Keep a state; its numbers come last and vouch for the structure.

        The folder belongs to a series from its first state on: one that fails before leaves nothing.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / IDENTITY, self.identity)
        with output_file(self.structure_file(x)) as target:
            write_structure(state.structure, target)
        atoms = state.structure.atoms
        kept = {
            "numbers": atoms.numbers,
            "positions_A": atoms.positions,
            "cell_A": atoms.cell.array,
            "notes": list(state.structure.info.get("notes", [])),
        }
        write_whole(self._path(x, ""), {**state.record(), "atoms": kept})

    def get_more(self, x: float, name: str) -> Any:
        """What else is kept of a state (charges), or None."""
        return read_whole(self._path(x, f".{name}"))

    def put_more(self, x: float, name: str, values: Any) -> None:
        """Keep something else of a state."""
        write_whole(self._path(x, f".{name}"), values)

    def _path(self, x: float, kind: str) -> Path:
        return self.folder / f"x{x:.4f}{kind}.json"


def _identity(host: Host, asked: Asked) -> str:
    """A hash of the full cell and of everything that decides a state besides x."""
    settings = {key: value for key, value in asked.record().items() if key not in ("x", "repeat")}
    atoms = host.structure.atoms
    parts = [to_json(settings).encode(), atoms.numbers.tobytes(), np.round(atoms.positions, 6).tobytes()]
    return hashlib.sha256(b"".join([*parts, np.round(atoms.cell.array, 6).tobytes()])).hexdigest()
