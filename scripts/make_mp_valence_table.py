"""Makes `src/rhotem/peers/mp_valence.json`: PAW set and valence electrons of every element in MPRelaxSet.

The densities of the Materials Project, on which ChargE3Net and DeepDFT were trained, were calculated with the PBE sets
that pymatgen's MPRelaxSet names. Their valences (ZVAL) are read from pymatgen's `potcar-summary-stats.json.bz2`.

    python scripts/make_mp_valence_table.py
"""

import bz2
import json
from pathlib import Path

import pymatgen.io.vasp
from ase.data import atomic_numbers
from pymatgen.io.vasp.sets import MPRelaxSet

OUTPUT = Path(__file__).parents[1] / "src" / "rhotem" / "peers" / "mp_valence.json"


def main() -> None:
    """Write the table."""
    with bz2.open(Path(pymatgen.io.vasp.__file__).parent / "potcar-summary-stats.json.bz2", "rt") as stream:
        library = json.load(stream)[MPRelaxSet.CONFIG["POTCAR_FUNCTIONAL"]]
    valences: dict[str, set[float]] = {}
    for entries in library.values():
        for entry in entries:
            valences.setdefault(entry["symbol"], set()).add(entry["ZVAL"])
    table = {}
    for element, name in sorted(MPRelaxSet.CONFIG["POTCAR"].items(), key=lambda item: atomic_numbers[item[0]]):
        found = valences.get(name, set())
        if len(found) != 1:
            print(f"{element}: no single valence of {name} ({sorted(found)}), left out")
            continue
        table[element] = {"set": name, "valence": found.pop()}
    lines = [f'  "{element}": {json.dumps(entry)}' for element, entry in table.items()]
    OUTPUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
