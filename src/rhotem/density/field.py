"""`DensityField`, the object every density source returns and everything after it consumes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.structure.model import Structure

Kind = Literal["deformation", "valence", "total", "spin"]


@dataclass(frozen=True, eq=False)
class OneCentre:
    """A density around one atom, Σ_lm R_lm(|r−R|) Y_lm, too sharp for a grid.

    Parameters
    ----------
    atom : int
        Index of the atom in the structure.
    radii : (Nr,) array
        Increasing radii in Å, first may be 0; the function is zero beyond the last.
    values : ((lmax+1)², Nr) array
        R_lm in e/Å³, real harmonics of docs/conventions.md, row l² + l + m.
    """

    atom: int
    radii: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]

    @property
    def lmax(self) -> int:
        """Largest angular momentum."""
        return int(np.sqrt(len(self.values))) - 1


@dataclass(frozen=True, eq=False)
class DensityField:
    """An electron density of a structure: smooth part on a grid plus sharp one-centre parts.

    n(r) = values (band-limited on the grid) + Σ one_centre.   For ``kind="deformation"`` free atoms are subtracted.

    Parameters
    ----------
    kind : "deformation", "valence", "total" or "spin"
        What the numbers mean. Sources return "deformation": that is what the potential needs. "spin" is n↑ − n↓ by
        itself, as it is written to files.
    structure : Structure
        The atoms it belongs to, in the same cell as the grid.
    grid : PeriodicGrid
    values : array of the grid's shape
        Smooth part in e/Å³.
    one_centre : sequence of OneCentre
        Parts handled analytically; empty for most sources.
    spin : array of the grid's shape or None
        n↑ − n↓ in e/Å³ where known.
    reference : str
        Identifier of the free-atom table that was subtracted.
    source : str
        Who made it, in words for captions: "free atoms", "GPAW PBE+U", "file X", "model Y".
    record : dict
        Provenance: settings, corrections applied with their size, counts.
    """

    kind: Kind
    structure: Structure
    grid: PeriodicGrid
    values: npt.NDArray
    one_centre: Sequence[OneCentre] = ()
    spin: npt.NDArray | None = None
    reference: str = ""
    source: str = ""
    record: dict = field(default_factory=dict)


def caption(source: str, record: Mapping[str, Any]) -> str:
    """Who made a density, for captions; of a learned one how far the structure is outside of its training, too.

    Elements it was never trained on are named with their expected error (free atoms 1), or as left free.
    """
    novelty, new = record.get("novelty"), record.get("new_elements", {})
    why = []
    for part, said in (("zero_shot", "untrained"), ("few_labels", "few labels")):
        if errors := {name: f"{row['expected_error']:.2f}" for name, row in new.get(part, {}).items()}:
            why.append(f"{', '.join(errors)} {said}, error {', '.join(errors.values())}")
    if new.get("free") and "fallback" not in record:
        why.append(f"free atoms around {', '.join(new['free'])}")
    if novelty and novelty["value"] >= novelty["limit"] and not why:
        why.append("outside of its training")
    said = f"{source}, novelty {novelty['value']:.1f}" if novelty else source
    return f"{said} ({'; '.join(why)})" if why else said
