"""Fill in what the default potential gives for the electrodes of the voltage calibration.

    .venv/bin/python scripts/make_voltage_calibration.py [NAME ...]

Reads and writes src/rhotem/battery/charging/calibration.json; some ten minutes of one core for all.
"""

import json
import sys
from pathlib import Path

import rhotem.battery.charging.make as make
from rhotem.battery.charging.asked import Asked
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

TABLE = Path(__file__).parents[1] / "src/rhotem/battery/charging/calibration.json"


def crystal(row: dict) -> Structure:
    """The electrode full of ions: a phase, with elements replaced, or every second metal of a primitive cell."""
    start = phase(row["phase"], primitive=row.get("primitive", False))
    atoms = start.atoms.copy()
    symbols = atoms.get_chemical_symbols()
    for old, new in row.get("replace", {}).items():
        symbols = [new if symbol == old else symbol for symbol in symbols]
    for old, new in row.get("replace_half", {}).items():
        sites = [i for i, symbol in enumerate(symbols) if symbol == old]
        for i in sites[: len(sites) // 2]:
            symbols[i] = new
    atoms.set_chemical_symbols(symbols)
    return Structure(atoms, info={"name": row["name"]})


def main() -> None:
    """Compute the raw voltages of the electrodes named, or of all."""
    table = json.loads(TABLE.read_text("utf-8"))
    make.calibration_of = lambda potential: None  # what it is made from knows no calibration
    for row in table["electrodes"]:
        if sys.argv[1:] and row["name"] not in sys.argv[1:]:
            continue
        series = make.charge_series(crystal(row), Asked(x=tuple(row["x"]), potential=table["potential"]))
        row["raw_V"] = round(series.mean.raw, 3)
        print(f"{row['name']:22s} raw {row['raw_V']:.2f} V, measured {row['measured_V']:.2f} V", flush=True)
        TABLE.write_text(_text(table), "utf-8")


def _text(table: dict) -> str:
    """One electrode a line."""
    rows = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in table["electrodes"])
    return f'{{\n  "potential": {json.dumps(table["potential"])},\n  "electrodes": [\n{rows}\n  ]\n}}\n'


if __name__ == "__main__":
    main()
