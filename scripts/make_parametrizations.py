"""Make src/rhotem/potential/data/parametrizations.json from the tables distributed with abTEM (GPL-3).

The numbers are those of I. Lobato and D. Van Dyck, Acta Cryst. A 70, 636 (2014), and of E. J. Kirkland,
"Advanced Computing in Electron Microscopy", appendix C. Run: python scripts/make_parametrizations.py
"""

import json
from importlib.resources import files
from pathlib import Path

from ase.data import atomic_numbers

TARGET = Path(__file__).parents[1] / "src/rhotem/potential/data/parametrizations.json"


def main() -> None:
    """Write the file."""
    tables = {"source": " ".join(__doc__.split("\n\n")[1].split(" Run:")[0].split())}
    for name in ("lobato", "kirkland"):
        raw = json.loads((files("abtem") / f"parametrizations/data/{name}.json").read_text())
        tables[name] = {str(atomic_numbers[symbol]): rows for symbol, rows in raw.items()}
    TARGET.write_text(json.dumps(tables, indent=None, separators=(",", ":")).replace("},", "},\n") + "\n")


if __name__ == "__main__":
    main()
