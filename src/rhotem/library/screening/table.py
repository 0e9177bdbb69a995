"""The ranked table of a screening."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from rhotem.core import InputError

#: What the console shows, in this order, with the form of its numbers; images come behind.
SHORT = {
    "a_A": "8.3f",
    "c_A": "8.3f",
    "voltage_V": "8.2f",
    "voltage_error_V": "8.2f",
    "capacity_mAh_per_g": "8.0f",
    "volume_change_percent": "8.1f",
    "metal_charge_change_e": "8.2f",
    "anion_charge_change_e": "8.2f",
}
#: Heads of these columns.
HEADS = ("a/Å", "c/Å", "V", "± V", "mAh/g", "ΔV/%", "Δq metal", "Δq anion")


def ranked(rows: Sequence[dict[str, Any]], key: str, *, smallest: bool = False) -> list[dict[str, Any]]:
    """Rows in the order of a column, the largest first; those without it at the end, with ``rank`` from 1.

    Raises
    ------
    InputError
        If no row has a number there; the columns that there are stand in the message.
    """
    there = [row for row in rows if _is_number(row.get(key))]
    if not there:
        names = dict.fromkeys(n for row in rows for n, v in row.items() if _is_number(v))
        failed = next((row["failed"] for row in rows if row.get("failed")), "")
        choice = f"choose one of {', '.join(names)}" if names else f"all failed, the first one: {failed}"
        raise InputError(f"--rank {key}: no candidate has it; {choice}")
    there.sort(key=lambda row: (row[key] if smallest else -row[key], row["name"]))
    others = [row for row in rows if not _is_number(row.get(key))]
    return [{"rank": n, **row} for n, row in enumerate(there, start=1)] + [{"rank": None, **row} for row in others]


def usual_rank(rows: Sequence[dict[str, Any]]) -> str:
    """The column by which candidates are ranked where none is named."""
    return "voltage_V" if any(_is_number(row.get("voltage_V")) for row in rows) else "density_g_per_cm3"


def _is_number(value: Any) -> bool:
    """Whether there is one: what was not determined is NaN, which has no place in an order."""
    return isinstance(value, int | float) and isfinite(value)


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table for a console."""
    images = [n for n in dict.fromkeys(n for row in rows for n in row) if n.endswith(("_ion", "_metal"))]
    forms = {**{n: f for n, f in SHORT.items() if any(n in row for row in rows)}, **dict.fromkeys(images, "9.3f")}
    heads = dict(zip(SHORT, HEADS, strict=True)) | {name: name.replace("_", " ") for name in images}
    wide = max(len(str(row["name"])) for row in rows)
    sizes = {name: max(int(form.split(".")[0]), len(heads[name])) for name, form in forms.items()}
    made = ["      ".rjust(6) + "candidate".ljust(wide) + "".join("  " + heads[n].rjust(sizes[n]) for n in forms)]
    for row in rows:
        cells = "".join("  " + _cell(row.get(n), f).rjust(sizes[n]) for n, f in forms.items())
        rank = "-" if row["rank"] is None else str(row["rank"])
        made.append(f"{rank.rjust(4)}  {str(row['name']).ljust(wide)}{cells}")
    return made


def _cell(value: Any, form: str) -> str:
    return "-" if not _is_number(value) else f"{value:{form}}".strip()
