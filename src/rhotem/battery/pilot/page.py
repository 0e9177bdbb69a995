"""The report of a pilot study: one page that opens from disk, pictures inside."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from rhotem.battery.charging.redox import LOWEST, METALS, electrons_given
from rhotem.battery.pilot.make import Pilot
from rhotem.core.page import figure, page, table
from rhotem.structure.ordering import formal_charge

#: Sites that the table of charges lists.
SITES = 14


def write_page(made: Pilot, pictures: Sequence[tuple[Path, str]], command: Sequence[str], path: Path) -> None:
    """Write the page; ``pictures``: files and what stands below them."""
    name = made.crystal.info.get("name", made.crystal.formula)
    title = f"{made.asked.dopant} in {name}"
    parts = [
        f"<h1>{escape(title)}: charge density and images</h1>",
        *(f"<p>{text}</p>" for text in _summary(made)),
        "<h2>What a microscope shows</h2>",
        table(("image", "range without", "largest change", "rms change, % of range"), _image_rows(made)),
        *(figure(file.read_bytes(), caption) for file, caption in pictures[:1]),
        "<h2>Where electrons go</h2>",
        *(figure(file.read_bytes(), caption) for file, caption in pictures[1:]),
        f"<h2>Charges of the {SITES} sites nearest to the dopant</h2>",
        table(("site", "distance (Å)", "moved (Å)", "Hirshfeld (e), change", "Bader (e), change"), _site_rows(made)),
        "<h2>How</h2>",
        *(f"<p>{escape(text)}</p>" for text in _method(made)),
        f"<pre>{escape(' '.join(command))}</pre>",
    ]
    path.write_text(page(title, "\n".join(parts)), "utf-8")


def _summary(made: Pilot) -> list[str]:
    dopant, old = made.asked.dopant, made.replaced
    sites = [row for row in made.changes() if row["host"] != row["doped"]]
    others = [row for row in made.changes() if row["host"] == row["doped"]]
    number = made.doped.structure.atoms.get_chemical_symbols().count(dopant)
    gave = np.mean([row["bader_doped_e"] for row in sites]), np.mean([row["bader_host_e"] for row in sites])
    most = max(others, key=lambda row: abs(row["bader_change_e"]))
    plain = max(made.image_changes(), key=lambda row: row["rms_of_range"])
    return [
        f"{number} {dopant} on sites of {old} in {made.doped.structure.atoms.get_chemical_formula()}. By valence "
        f"{dopant} gives {formal_charge(dopant):g} electrons, {old} {_valence(made):.2g}; by Bader's partition of "
        f"the density the dopant has {gave[0]:+.2f} e, {old} on that site {gave[1]:+.2f} e.",
        f"Of the other atoms {most['host']} at {most['distance_A']:.2f} Å changes most, by "
        f"{most['bader_change_e']:+.3f} e (Bader); atoms move by up to {max(row['moved_A'] for row in others):.3f} Å.",
        f"{plain['image']} changes most: {100 * plain['rms_of_range']:.1f} % of its range (root mean square over the "
        "cell). Whether a dose shows this is what <code>rhotem plan</code> answers.",
    ]


def _valence(made: Pilot) -> float:
    """Mean valence of the replaced element in the crystal, from the balance of charges; its usual one otherwise."""
    symbols, old = made.crystal.atoms.get_chemical_symbols(), made.replaced
    given = electrons_given(symbols) if old in METALS else None
    if given is None:
        return formal_charge(old)
    return LOWEST[old] + sum(n for (metal, _), n in given.items() if metal == old) / symbols.count(old)


def _image_rows(made: Pilot) -> list[tuple[str, ...]]:
    return [
        (r["image"], f"{r['range']:.4g}", f"{r['largest_change']:+.4g}", f"{100 * r['rms_of_range']:.2f}")
        for r in made.image_changes()
    ]


def _site_rows(made: Pilot) -> list[tuple[str, ...]]:
    return [
        (
            r["host"] if r["host"] == r["doped"] else f"{r['host']} → {r['doped']}",
            f"{r['distance_A']:.2f}",
            f"{r['moved_A']:.3f}",
            f"{r['hirshfeld_doped_e']:+.3f}, {r['hirshfeld_change_e']:+.3f}",
            f"{r['bader_doped_e']:+.3f}, {r['bader_change_e']:+.3f}",
        )
        for r in made.changes()[:SITES]
    ]


def _method(made: Pilot) -> list[str]:
    source = made.doped.result.plan.density.source
    warnings = made.doped.result.density.record.get("warnings", ())
    return [
        f"The crystal, {made.asked.repeat.replace(',', ' x ')} cells, was relaxed with {made.asked.potential}, cell "
        "and all; the doped one keeps that cell, as a dilute dopant has to, and its atoms were relaxed. One "
        f"arrangement of dopants (seed {made.asked.seed}). Densities: {source}. A learned density and a learned "
        "potential know no valence: what they say of charges is model output, not a measurement. Columns with the "
        "dopant have it in every repeat of the cell along the beam.",
        *(f"{name.capitalize()}: {told}." for name, told in made.relaxations.items()),
        *(str(text) for text in warnings),
    ]
