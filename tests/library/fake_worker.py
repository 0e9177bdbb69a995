"""A worker whose tasks cost nothing; their titles say what goes wrong."""

import errno
import hashlib
import os
import time
from array import array
from pathlib import Path

from rhotem.core import InputError
from rhotem.library.campaign.task import Task
from rhotem.library.campaign.worker import serve
from rhotem.library.layout import DESCRIPTION, RESPONSE, write_json
from rhotem.library.shard import seal

#: Elements of fake entries, by the first digit of their identifier.
ELEMENTS = (["Li", "Co", "O"], ["Li", "F"], ["Na", "Cl"], ["Si"])


def described(identifier: str, title: str) -> dict:
    """Rows that follow from the identifier."""
    value = int(identifier[:4], 16) / 65536
    elements = ELEMENTS[int(identifier[0], 16) % len(ELEMENTS)]
    return {
        "entry": {
            "id": identifier,
            "title": title,
            "formula": "".join(elements),
            "elements": elements,
            "zone": "[100]",
            "thicknesses": [1.0, 2.0 + value],
            "preset": "layered-oxide",
            "source": "free-atoms",
            "energy": 200.0,
            "convergence": 22.0,
            "temperature": 300.0,
            "spacegroup": 166,
            "prototype": "ABC2 166",
            "defect": "vacancy Li 5%" if value > 0.5 else "",
            "atoms": 12,
            "seconds": 0.1,
            "created": "2026-01-01T00:00:00+00:00",
        },
        "contrasts": [
            {"image": "ABF", "label": elements[0], "thickness": t, "defocus": 0.0, "contrast": -value * t, "noise": 2.0}
            for t in (1.0, 2.0 + value)
        ],
        "fingerprint": array("f", (byte / 2048 for byte in hashlib.shake_256(identifier.encode()).digest(120)))
        .tobytes()
        .hex(),
        "appearances": {"ABF": "00" * 1152},
        "picture": {"cell_A": [3.0, 3.0], "axes": {}, "columns": []},
        "doubts": [],
        "built": {},
    }


def compute(task: Task, folder: Path) -> None:
    library = folder.parent.parent
    with open(library.parent / "begun.txt", "a") as stream:
        stream.write(f"{task.id}\n")
    word, _, rest = task.title.partition(" ")
    if word == "wrong":
        raise InputError("this crystal\ncannot be")
    if word == "defect":
        raise ZeroDivisionError("of the program")
    if word == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if word == "crash" and not (library.parent / "healed").exists():
        os._exit(9)
    if word == "spin":
        while True:
            pass
    if word == "large":
        held = bytearray(int(float(rest) * 1e9))
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(60)
    if word == "slow":
        time.sleep(float(rest.split()[0]))
    print("what programs print goes elsewhere")
    (folder / RESPONSE).mkdir()
    (folder / RESPONSE / "data").write_bytes(hashlib.shake_256(task.id.encode()).digest(1000))
    write_json(folder / DESCRIPTION, {**described(task.id, task.title), "task": task.to_json()})
    seal(folder)


if __name__ == "__main__":
    serve(compute)
