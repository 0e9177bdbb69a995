"""The last steps of every builder: relaxation if asked, then contacts and overlaps are looked at."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rhotem.battery.contacts import NEAR, contacts
from rhotem.battery.relax import Settings, relax
from rhotem.battery.specimen import Specimen
from rhotem.core import Progress, silent
from rhotem.structure.check import check


def finished(
    specimen: Specimen, relaxation: Mapping[str, Any], progress: Progress = silent
) -> tuple[Specimen, dict[str, Any]]:
    """The specimen, relaxed if asked, and what its record says of relaxation and contacts.

    Parameters
    ----------
    specimen : Specimen
    relaxation : mapping
        ``relax``, ``relax_cell`` and the fields of `rhotem.battery.relax.Settings`.
    progress : Progress

    Raises
    ------
    InputError
        If atoms overlap, or the potential does not know an element.
    """
    check(specimen.structure)
    record: dict[str, Any] = {}
    if relaxation.get("relax") or relaxation.get("relax_cell"):
        names = ("potential", "fmax", "steps", "optimiser")
        chosen = {name: relaxation[name] for name in names if name in relaxation}
        settings = Settings(**chosen, cell=bool(relaxation.get("relax_cell")))
        structure, record["relaxation"] = relax(specimen.structure, settings, progress)
        specimen = replace(specimen, structure=structure)
    worst = contacts(specimen.structure, specimen.references)[:3]
    record["nearest_contacts"] = [contact.record() for contact in worst]
    near = [contact for contact in worst if contact.ratio < NEAR]
    if near:
        told = "; ".join(str(contact) for contact in near)
        advice = "more --steps" if "relaxation" in record else "--relax"
        specimen = specimen.noted(
            f"contacts below {100 * NEAR:.0f} % of the bulk's shortest: {told}; {advice} may mend it"
        )
    return specimen, record
