"""Slabs that are not as an isolated slab would be: a dipole bends the potential of the vacuum, a charge fills it.

Two faces of one slab differ by the difference of their work functions, which are 2–6 eV: some 3–4 V at most. A polar
termination would go on rising with the thickness, but once the step reaches the band gap electrons move from one face
to the other, or the surface rearranges (P. W. Tasker, J. Phys. C 12, 4977 (1979); C. Noguera, J. Phys.: Condens. Matter
12, R367 (2000)). A learned density sees a few Å around an atom and nothing of that: its step is not to be believed.
"""

from dataclasses import replace
from typing import TypeVar

from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.density.stream import StreamedDensity
from rhotem.potential.slab import CHARGE, potential_step
from rhotem.structure.vacuum import find_vacuum

#: Potential step in V across a slab's vacuum that is worth a warning, and the largest that surfaces have.
STEP, LARGEST = 0.1, 4.0

Density = TypeVar("Density", DensityField, StreamedDensity)


def checked(field: Density, allow_polar: bool = False) -> Density:
    """A density whose record warns of what is not that of an isolated slab.

    Parameters
    ----------
    field : DensityField or StreamedDensity
    allow_polar : bool
        Only warn where a learned density has a potential step that no surface has.

    Raises
    ------
    InputError
        Of that, unless allowed.
    """
    said: list[str] = _warnings(field, allow_polar)
    if not said:
        return field
    return replace(field, record=field.record | {"warnings": [*field.record.get("warnings", ()), *said]})


def _warnings(field: DensityField | StreamedDensity, allow_polar: bool) -> list[str]:
    known = any(field.values.strides) if isinstance(field, DensityField) else field.moments is not None
    if not known or find_vacuum(field.structure) is None:
        return []
    if abs(field.structure.charge) > CHARGE:
        return [f"slab with a charge of {field.structure.charge:+g} e: its uniform background fills the vacuum"]
    step = potential_step(field.structure, field)
    if abs(step) < STEP:
        return []
    if abs(step) > LARGEST and "model" in field.record:
        text = (
            f"polar slab: {field.source} gives a potential step of {step:+.1f} V across it, surfaces have a few V "
            f"(|step| <= {LARGEST:g} V), then charge or atoms move"
        )
        if allow_polar:
            return [f"{text}; nothing of what depends on long waves of the potential (DPC, iDPC, CoM) can be believed"]
        raise InputError(
            f"{text}, which a learned density cannot know; take a non-polar surface, move half of the outer cations to "
            "the other face, or take --source free-atoms or gpaw; --allow-polar goes on all the same"
        )
    return [
        f"slab with a potential step of {step:+.2f} V across: the periodic cell bends the vacuum; "
        "rhotem.potential.slab.referred_to_vacuum gives the potential of the slab alone"
    ]
