"""Files of a pilot study: pictures, table of charges, and the page."""

from collections.abc import Sequence
from pathlib import Path

from rhotem.battery.pilot.figures import draw_charges, draw_density, draw_images
from rhotem.battery.pilot.make import Pilot, record
from rhotem.battery.pilot.page import write_page
from rhotem.core.table import write_rows

__all__ = ["record", "write_report"]

#: Names of the files.
PAGE, SITES = "report.html", "sites.csv"
#: Images that are shown, those there are.
SHOWN = ("HAADF", "ABF", "iDPC")


def write_report(made: Pilot, command: Sequence[str], folder: Path) -> None:
    """Pictures, charges of all sites, and the page."""
    there = list(made.host.result.images.images)
    names = [name for name in SHOWN if name in there] or there[:3]
    images, density, charges = (folder / f"{name}.png" for name in ("images", "density", "charges"))
    draw_images(made, images, names)
    draw_density(made, density)
    draw_charges(made, charges)
    write_rows(folder / SITES, made.changes())
    ring = f"green rings: columns with {made.asked.dopant}"
    pictures = [
        (images, f"Images without and with the dopant on one grey scale, and their difference; {ring}."),
        (density, f"Deformation density (electrons gained against free atoms) summed along the beam; {ring}."),
        (charges, "Change of every atom's charge against its distance from the nearest dopant."),
    ]
    write_page(made, pictures, command, folder / PAGE)
