"""Makes `src/rhotem/density/files/vasp_paw.json`: valence electrons and augmentation radii of VASP's PBE data sets.

Valences (ZVAL) are read from pymatgen's `potcar-summary-stats.json.bz2` (sets PBE, PBE.52, PBE.54 and PBE.64; GW,
norm-conserving and fractional-charge sets left out). Radii are RCORE of the default set of each element, in Bohr, as
POTCAR headers give them. Elements without an entry use 2.8 Bohr, the largest of their neighbours.

    python scripts/make_vasp_paw_table.py
"""

import bz2
import json
from pathlib import Path

import pymatgen.io.vasp
from ase.data import atomic_numbers

OUTPUT = Path(__file__).parents[1] / "src" / "rhotem" / "density" / "files" / "vasp_paw.json"
RADII = """H 1.1 He 1.1 Li 2.05 Be 1.9 B 1.7 C 1.5 N 1.5 O 1.52 F 1.52 Ne 1.7 Na 2.2 Mg 2.0 Al 1.9 Si 1.9 P 1.9 S 1.9
Cl 1.9 Ar 1.9 K 2.3 Ca 2.3 Sc 2.5 Ti 2.8 V 2.7 Cr 2.5 Mn 2.3 Fe 2.3 Co 2.3 Ni 2.3 Cu 2.3 Zn 2.3 Ga 2.6 Ge 2.3 As 2.1
Se 2.1 Br 2.1 Kr 2.3 Rb 2.5 Sr 2.5 Y 2.8 Zr 3.0 Nb 2.4 Mo 2.75 Tc 2.8 Ru 2.7 Rh 2.7 Pd 2.6 Ag 2.5 Cd 2.3 In 3.1 Sn 3.0
Sb 2.3 Te 2.3 I 2.3 Xe 2.5 Cs 2.5 Ba 2.8 La 2.8 Hf 3.0 Ta 2.9 W 2.75 Re 2.7 Os 2.7 Ir 2.6 Pt 2.6 Au 2.5 Hg 2.5 Tl 3.2
Pb 3.1 Bi 3.0"""


def main() -> None:
    """Write the table."""
    source = Path(pymatgen.io.vasp.__file__).parent / "potcar-summary-stats.json.bz2"
    with bz2.open(source, "rt") as stream:
        summary = json.load(stream)
    words = RADII.split()
    radii = dict(zip(words[::2], map(float, words[1::2]), strict=True))
    sets: dict[str, dict[int, set[str]]] = {}
    for library in ("PBE", "PBE_52", "PBE_54", "PBE_64"):
        for entries in summary[library].values():
            for entry in entries:
                name, valence = entry["symbol"], entry["ZVAL"]
                element = name.split("_")[0]
                if element not in atomic_numbers or "GW" in name or "nc" in name or valence != int(valence):
                    continue
                sets.setdefault(element, {}).setdefault(int(valence), set()).add(name)
    table = {
        element: {
            "radius_bohr": radii.get(element, 2.8),
            "valences": {str(v): sorted(names) for v, names in sorted(sets[element].items())},
        }
        for element in sorted(sets, key=lambda e: atomic_numbers[e])
    }
    lines = [f'  "{element}": {json.dumps(entry)}' for element, entry in table.items()]
    OUTPUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
