"""Files of a degradation series: table and figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rhotem.battery.degradation.make import table
from rhotem.core.figures import blank_figure
from rhotem.core.table import write_rows

#: Names of the files.
TABLE, FIGURE = "degradation.csv", "degradation.png"


def write_report(rows: Sequence[dict[str, Any]], name: str, folder: Path) -> None:
    """Table and figure."""
    write_rows(folder / TABLE, table(rows))
    draw(rows, name, folder / FIGURE)


def draw(rows: Sequence[dict[str, Any]], name: str, path: Path) -> None:
    """What was put in, capacity and state of health, and charges of the parts, against cycles."""
    number = 3 if any(row.get("charges") for row in rows) else 2
    figure = blank_figure(3.5 * number, 3.2, dpi=130)
    places = figure.subplots(1, number)
    cycles = [row["cycles"] for row in rows]
    places[0].plot(cycles, [row["rocksalt_A"] for row in rows], "-o", ms=4, label="rock salt (Å)")
    places[0].plot(cycles, [row["lost_percent"] for row in rows], "-s", ms=4, label="ions lost inside (%)")
    places[0].set_title("what was put in", fontsize=8)
    places[0].legend(fontsize=7)
    places[1].plot(cycles, [row["capacity_mAh_per_g"] for row in rows], "-o", ms=4, color="tab:green")
    for row in rows:
        health, place = f"{100 * row['state_of_health']:.0f} %", (row["cycles"], row["capacity_mAh_per_g"])
        places[1].annotate(health, place, fontsize=7, xytext=(0, 5), textcoords="offset points")
    places[1].set_title("accessible ions as capacity (mAh/g)\nand state of health: model output", fontsize=8)
    if number == 3:
        _charges(places[2], rows)
    for axes in places:
        axes.set_xlabel("cycles", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    figure.suptitle(f"{name}: a record of what was put in, no prediction", fontsize=9)
    figure.savefig(path)


def _charges(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for region, told in row["charges"].items():
            for element, charges in told["elements"].items():
                lines.setdefault(f"{element}, {region}", []).append((row["cycles"], charges["hirshfeld"]))
    for label, shown in lines.items():
        axes.plot(*zip(*shown, strict=True), "-o", ms=3, label=label)
    axes.legend(fontsize=6, ncols=2)
    axes.set_title("mean Hirshfeld charges (e)", fontsize=8)
