"""Puts a potential of `rhotem distil` into packages/rhotem-data, as a name for ``--potential``.

    .venv/bin/python scripts/add_nep.py LiCoO2-nep nep-LiCoO2

Numbers are shortened to seven digits, single precision, in which they were trained.
"""

import json
import sys
from pathlib import Path

READY = Path(__file__).parents[1] / "packages" / "rhotem-data" / "src" / "rhotem_data" / "nep"


def shortened(text: str) -> str:
    """A potential's file with its numbers in seven digits; lines of words stay."""
    lines = [line.split() for line in text.splitlines()]
    return "".join(f"{float(line[0]):.7g}\n" if len(line) == 1 else " ".join(line) + "\n" for line in lines)


def add(folder: Path, name: str) -> None:
    """Copy the committee and its card."""
    card = json.loads((folder / "nep.json").read_text())
    renamed = {member: member.replace("nep", name, 1) for member in card["members"]}
    READY.mkdir(exist_ok=True)
    for old, new in {"nep.txt": f"{name}.txt", **renamed}.items():
        (READY / new).write_text(shortened((folder / old).read_text()))
    del card["cpu_s_of_last_call"]
    card["members"] = list(renamed.values())
    (READY / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    add(Path(sys.argv[1]), sys.argv[2])
