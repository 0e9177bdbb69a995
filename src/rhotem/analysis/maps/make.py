"""All maps of a structure: by atom, by region, and as profiles along an axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.maps.bond_valence import bond_valence_sums
from rhotem.analysis.maps.profiles import Profile, profile
from rhotem.analysis.maps.strain import AtomicStrain, atomic_strain
from rhotem.analysis.run import density, density_grid
from rhotem.analysis.uncertainty import EnsembleSource
from rhotem.core import InputError, Progress, silent
from rhotem.density.charges import hirshfeld_charges
from rhotem.density.source import get_source
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: What may be mapped.
KINDS = ("strain", "charge", "bond-valence", "potential")
#: V: a potential whose error is larger is said to be unknown.
LOST = 1.0
#: Å: heights that differ by less are one layer.
LAYER = 0.6


@dataclass(frozen=True)
class Wanted:
    """What is mapped.

    Parameters
    ----------
    kinds : tuple of str
        Of `KINDS`.
    axis : int
        Lattice vector across layers and interfaces: 0, 1, 2.
    smoothing : float
        σ in Å of the Gaussian of profiles.
    source : str
        Density of charges and potential.
    error : bool
        Error bars of the potential from the members of the density, where it has some.
    """

    kinds: tuple[str, ...] = KINDS
    axis: int = 2
    smoothing: float = 0.5
    source: str = "model"
    error: bool = True

    def __post_init__(self) -> None:
        odd = [kind for kind in self.kinds if kind not in KINDS]
        if odd or not self.kinds:
            raise InputError(f"--of {', '.join(odd) or 'nothing'}: expected some of {', '.join(KINDS)}")


@dataclass(frozen=True, eq=False)
class Maps:
    """Maps of a structure; what was not wanted is None.

    ``height`` (N,): of atoms along the normal in Å; ``regions``: name of every atom's layer or region; ``strain``;
    ``charge`` (N,): Hirshfeld charges in e; ``valence`` (N,): bond valence sums; ``profile``: of Δn and the potential.
    """

    structure: Structure
    wanted: Wanted
    height: Floats
    regions: Sequence[str]
    strain: AtomicStrain | None = None
    charge: Floats | None = None
    valence: Floats | None = None
    profile: Profile | None = None

    @property
    def notes(self) -> list[str]:
        """What a reader must know before using the numbers."""
        notes = []
        if self.valence is not None:
            means = by_element(self.structure.atoms.get_chemical_symbols(), np.abs(self.valence))
            alone = [element for element, mean in means.items() if mean == 0.0]
            if alone:
                notes.append(
                    f"{', '.join(alone)}: no neighbour of opposite formal charge within 4 Å, a bond valence of 0 says "
                    "nothing there"
                )
        error = None if self.profile is None else self.profile.potential_error
        if error is not None and error.max() >= LOST:
            notes.append(
                f"the density's own error bar of the potential reaches {1.645 * error.max():.1f} V (90 %): members of "
                "the model share charge between layers differently; steps of that size say nothing"
            )
        return notes

    def by_region(self) -> list[dict[str, Any]]:
        """One row a region, by height: atoms, mean height, sum of charges, mean strain and bond valences."""
        rows = []
        names = np.array(self.regions)
        for name in dict.fromkeys(self.regions):
            mine = names == name
            row: dict[str, Any] = {
                "region": name,
                "atoms": int(mine.sum()),
                "height_A": mean_height(self.height[mine], float(self.structure.heights[self.wanted.axis])),
            }
            row["elements"] = self.structure.atoms[mine].get_chemical_formula()
            if self.charge is not None:
                row["charge_e"] = float(self.charge[mine].sum())
            if self.strain is not None:
                known = self.strain.volumetric[mine]
                row["volumetric_strain"] = float(np.nanmean(known)) if np.isfinite(known).any() else None
            if self.valence is not None:
                row["bond_valence"] = by_element(self.structure.atoms[mine].get_chemical_symbols(), self.valence[mine])
            rows.append(row)
        return sorted(rows, key=lambda row: float(row["height_A"]))


def make_maps(
    structure: Structure,
    wanted: Wanted,
    reference: Structure | None = None,
    regions: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Maps:
    """Maps of a structure.

    Parameters
    ----------
    structure : Structure
    wanted : Wanted
    reference : Structure, optional
        Crystal that strain is counted from; needed for strain alone.
    regions : sequence of str, optional
        Region of every atom; None: layers along the axis.
    progress : Progress

    Raises
    ------
    InputError
        If strain is wanted without a reference, or as the single maps.
    """
    if "strain" in wanted.kinds and reference is None:
        raise InputError("strain: against what? give --reference CRYSTAL, or leave strain out of --of")
    height = height_of(structure, wanted.axis)
    names = list(regions) if regions is not None else layers(height, float(structure.heights[wanted.axis]))
    strain = atomic_strain(structure, reference) if "strain" in wanted.kinds and reference is not None else None
    valence = bond_valence_sums(structure) if "bond-valence" in wanted.kinds else None
    if not {"charge", "potential"} & set(wanted.kinds):
        return Maps(structure, wanted, height, names, strain, None, valence, None)
    source = get_source(wanted.source)
    progress("density", 0, 1)
    field = density(structure, source)
    members = []
    if wanted.error and "potential" in wanted.kinds and isinstance(source, EnsembleSource):
        for member in source.members(structure, density_grid(source, structure)):
            members.append(member)
            progress("error bars", len(members), source.member_count)
    charge = hirshfeld_charges(field) if "charge" in wanted.kinds else None
    shown = profile(structure, field, wanted.axis, wanted.smoothing, members)
    return Maps(structure, wanted, height, names, strain, charge, valence, shown)


def height_of(structure: Structure, axis: int) -> Floats:
    """Height of atoms along the normal of the other two vectors, within the cell, Å."""
    return structure.atoms.get_scaled_positions(wrap=True)[:, axis] % 1.0 * structure.heights[axis]


def by_element(symbols: Sequence[str], values: Floats) -> dict[str, float]:
    """Mean of an atomic value for every element."""
    kinds = np.array(symbols)
    return {str(e): float(values[kinds == e].mean()) for e in dict.fromkeys(symbols)}


def mean_height(height: Floats, period: float) -> float:
    """Mean of heights that may lie around the cell's end, Å: from the middle of the widest gap between them on."""
    ordered = np.sort(height)
    gaps = np.diff(np.append(ordered, ordered[0] + period))
    start = ordered[(int(np.argmax(gaps)) + 1) % len(ordered)]
    return float((start + ((height - start) % period).mean()) % period)


def layers(height: Floats, period: float) -> list[str]:
    """Names "layer 1", … of atoms whose heights follow each other within 0.6 Å, lowest first, around the cell's end."""
    order = np.argsort(height, kind="stable")
    numbers = np.zeros(len(height), dtype=int)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(height[order]) > LAYER)])
    if numbers.max() > 0 and height[order[0]] + period - height[order[-1]] <= LAYER:
        numbers[numbers == numbers.max()] = 0
    return [f"layer {n + 1}" for n in numbers]
