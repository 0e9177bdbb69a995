"""What a library keeps beside a response so that it is found again."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rhotem.analysis.columns import columns
from rhotem.analysis.specimen import Specimen
from rhotem.library.appearance import appearances, to_bytes
from rhotem.library.contrast import contrasts
from rhotem.library.fingerprint import fingerprint
from rhotem.library.tabulated import Tabulated
from rhotem.scattering.response import Response
from rhotem.structure.indices import standard_cell
from rhotem.structure.model import Structure


def described(
    cut: Specimen, held: Response, foci: Sequence[float], crystal: Structure, phonons: float | None
) -> dict[str, Any]:
    """Rows of the catalogue and the atoms of the picture, JSON-ready; ``phonons``: temperature in K, None: at rest.

    The identifier, title, defect, sizes and times are the business of who made it.
    """
    named = standard_cell(crystal)
    stoichiometry = crystal.atoms.symbols.formula.stoichiometry()[0]
    microscope = cut.preset.microscope
    found, seen = columns(cut.cell), Tabulated.of(held, foci)
    entry = {
        "formula": crystal.formula,
        "elements": sorted(set(crystal.atoms.get_chemical_symbols())),
        "zone": str(cut.cell.labels["zone"]),
        "thicknesses": [round(0.1 * t, 4) for t in held.thicknesses],
        "preset": cut.preset.name,
        "energy": round(1e-3 * microscope.energy, 6),
        "convergence": microscope.convergence,
        "temperature": phonons,
        "spacegroup": int(named.number),
        "prototype": f"{stoichiometry:abc} {named.number}",
        "atoms": len(crystal),
    }
    lengths = cut.cell.lengths
    picture = {
        "cell_A": [float(lengths[0]), float(lengths[1])],
        "axes": dict(cut.cell.labels),
        "columns": [{"label": c.label, "position_A": [float(x) for x in c.position], "atoms": c.count} for c in found],
    }
    return {
        "entry": entry,
        "contrasts": [asdict(row) for row in contrasts(seen, found)],
        "fingerprint": fingerprint(crystal).tobytes().hex(),
        "appearances": {name: to_bytes(looks).hex() for name, looks in appearances(seen).items()},
        "picture": picture,
    }
