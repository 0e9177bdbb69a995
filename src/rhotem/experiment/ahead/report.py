"""What to record next as a table, a sentence and a figure."""

from pathlib import Path
from typing import Any

from rhotem.core.figures import blank_figure
from rhotem.experiment.ahead.known import Known
from rhotem.experiment.ahead.settings import Told

#: Lines of the table; images of the figure.
LINES, DRAWN = 12, 6


def table(known: Known, found: list[Told]) -> str:
    """Settings that tell most, with the errors that they would leave."""
    names = [known.names[place] for place in known.specimen]
    lines = [
        f"{'images':28s} {'defocus':>8s} {'dose':>8s} {'bits':>6s} {'rivals':>6s} "
        + " ".join(f"{f'± {name}':>12s}" for name in names),
        f"{'':28s} {'nm':>8s} {'e/Å²':>8s} {'':>6s} {'':>6s} " + " ".join(f"{_unit(known, n):>12s}" for n in names),
        f"{'now':28s} {'':8s} {'':8s} {'':6s} {'':6s} " + " ".join(f"{_now(known, n):12.3g}" for n in names),
    ]
    for one in found[:LINES]:
        said = one.setting
        lines.append(
            f"{', '.join(said.images)[:28]:28s} {said.defocus:8.3g} {said.dose:8.1e} {one.bits:6.2f} {one.rivals:6.2f} "
            + " ".join(f"{_scale(known, n) * one.errors[n]:12.3g}" for n in names)
        )
    return "\n".join(lines)


def advice(known: Known, found: list[Told]) -> str:
    """One sentence: what tells most, and what it leaves in doubt."""
    best, setting = found[0], found[0].setting
    left = ", ".join(
        f"{known.names[n]} ± {_scale(known, known.names[n]) * best.errors[known.names[n]]:.2g} "
        f"{_unit(known, known.names[n])} instead of {_now(known, known.names[n]):.2g}".replace("  ", " ")
        for n in known.specimen
    )
    foci = [one.setting.defocus for one in found]
    edge = setting.defocus in (min(foci), max(foci)) and min(foci) < max(foci)
    return (
        f"next: {', '.join(setting.images)} at {setting.defocus:.3g} nm defocus, {setting.dose:.3g} e/Å²: "
        f"{best.bits:.2f} bits, {left}"
        + (f"; {best.rivals:.2f} bits of them tell the minima apart" if known.rivals else "")
        + ("; the best focus is at the end of those asked, ask for more (--foci)" if edge else "")
    )


def record(known: Known, found: list[Told]) -> dict[str, Any]:
    """All numbers, JSON-ready; errors in Å as the fit has them."""
    return {
        "known": {
            name: {"value": float(value), "error": float(known.covariance[n, n] ** 0.5), "unit": unit}
            for n, (name, value, unit) in enumerate(zip(known.names, known.values, known.units, strict=True))
        },
        "settings": [
            {**vars(one.setting), "bits": one.bits, "bits_of_rivals": one.rivals, "errors": one.errors} for one in found
        ],
    }


def figure(known: Known, found: list[Told], path: Path) -> None:
    """Information against defocus for the images that tell most, at the largest dose."""
    drawn = blank_figure(6.0, 4.2, dpi=110)
    axes = drawn.subplots()
    most = max(one.setting.dose for one in found)
    names = list(dict.fromkeys(one.setting.images for one in found if one.setting.dose == most))[:DRAWN]
    for name in names:
        own = sorted(
            (one.setting.defocus, one.bits) for one in found if (one.setting.images, one.setting.dose) == (name, most)
        )
        axes.plot(*zip(*own, strict=True), "o-", ms=3, label=", ".join(name))
    axes.set_xlabel("defocus of the next scan (nm)")
    axes.set_ylabel("information on the specimen (bits)")
    axes.set_title(f"{most:.3g} e/Å²; known: thickness ± {_now(known, 'thickness'):.2g} nm", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7)
    drawn.savefig(path)


def _scale(known: Known, name: str) -> float:
    return 0.1 if known.units[known.names.index(name)] == "Å" else 1.0


def _unit(known: Known, name: str) -> str:
    unit = known.units[known.names.index(name)]
    return "nm" if unit == "Å" else unit


def _now(known: Known, name: str) -> float:
    place = known.names.index(name)
    return float(_scale(known, name) * known.covariance[place, place] ** 0.5)
