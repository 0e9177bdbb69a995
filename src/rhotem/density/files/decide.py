"""Total, all-electron valence or pseudised valence, and of which PAW sets: what a density file holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.density.files.counts import Assignment, candidates, decide, tolerance
from rhotem.density.files.formats import units_of
from rhotem.density.files.nucleus import FILL_RADIUS, filled
from rhotem.density.files.raw import RawDensity
from rhotem.density.files.spheres import inside
from rhotem.density.superpose import superpose
from rhotem.structure.model import Structure

#: A pseudised grid sums to its electrons; an all-electron one misses up to this many per atom near the nuclei.
SAMPLING_SLACK = 1.5
#: Total densities are filled this far from nuclei (Å): there the core is steeper than any grid.
TOTAL_FILL = 0.25
#: A valence is pseudised if within `CLOSE` (Å) of the nuclei it differs from the free atoms' by more than this part.
PSEUDISED, CLOSE = 0.25, 0.45
#: A count of a total density that misses by more than this (e/atom) before correction is worth a warning.
RESIDUAL = 0.02


@dataclass(frozen=True, eq=False)
class Decision:
    """What a file holds, with free atoms already subtracted.

    Parameters
    ----------
    assignment : Assignment
    pseudised : bool
        Rebuild the inside of augmentation spheres.
    deformation : array
        File minus free atoms as the file samples them, e/Å³; not yet treated near nuclei.
    fill_radius : float
        How far from nuclei an all-electron density is filled, Å.
    record : dict
        Counts, for the field's record.
    """

    assignment: Assignment
    pseudised: bool
    deformation: npt.NDArray
    fill_radius: float = FILL_RADIUS
    record: dict = field(default_factory=dict)


def decide_content(
    raw: RawDensity,
    structure: Structure,
    valence: Mapping[str, float] | None = None,
    certain: bool = False,
    correct: bool = False,
) -> Decision:
    """Decide by counting electrons, near nuclei after the treatment the density will get.

    Parameters
    ----------
    raw : RawDensity
        On the cell of ``structure``.
    structure : Structure
        In the order and with the charge the count refers to.
    valence : mapping, optional
        Electrons by element symbol where known.
    certain : bool
        The user has said what the file holds; a sum of AECCAR0 and 2 under a CHGCAR name is not considered.
    correct : bool
        Take a prediction whose count misses by up to 5 %; the treatment near nuclei will put it right.

    Raises
    ------
    InputError
        Count that is not positive, fits nothing, or fits more than one thing.
    """
    if not raw.electrons > 0:
        raise InputError(f"{raw.path}: holds {raw.electrons:.3f} electrons, expected a positive density")
    by_option = _readings(raw, structure, valence, certain, units_of(raw)[0])
    for other in units_of(raw)[1:]:
        if not any(abs(misfit) <= tolerance(structure) for _, misfit in by_option.values()):
            found = _readings(raw, structure, valence, certain, other)
            if any(abs(misfit) <= tolerance(structure) for _, misfit in found.values()):
                by_option = found
    listed = [(option, misfit) for option, (_, misfit) in by_option.items()]
    assignment, misfit = decide(str(raw.path), structure, structure.charge, listed, correct)
    decision = _subtracted(raw, structure, assignment, by_option[assignment][0], misfit)
    if abs(misfit) > tolerance(structure):
        held, expected = decision.record["electrons_on_grid"], assignment.count(structure) - structure.charge
        decision.record["electrons_after_correction"] = expected
        warning = f"holds {held:.3f} e instead of {expected:g} ({assignment.text()}); corrected as asked"
        decision.record["warnings"] = [*decision.record.get("warnings", []), warning]
    return decision


def _readings(
    raw: RawDensity,
    structure: Structure,
    valence: Mapping[str, float] | None,
    certain: bool,
    units: tuple[float, ...],
) -> dict[Assignment, tuple[float, float]]:
    """Unit and misfit of each thing the file could be."""
    best: dict[Assignment, tuple[float, float]] = {}
    for scale in units:
        for option, misfit in _misfits(raw, structure, valence, scale, certain):
            # One file may be read as pseudised or all-electron, in two units: the better reading counts.
            if option not in best or abs(misfit) < abs(best[option][1]):
                best[option] = (scale, misfit)
    return best


def _misfits(
    raw: RawDensity, structure: Structure, valence: Mapping[str, float] | None, scale: float, certain: bool
) -> list[tuple[Assignment, float]]:
    """How many electrons the file holds more than each thing it could be."""
    electrons = raw.electrons * scale
    known = candidates(structure, valence)
    everything = Assignment.everything(structure)
    sums = _TreatedSums(raw, structure, scale)
    plain = [(o, electrons - o.count(structure) + structure.charge) for o in known]
    fits = any(abs(m) <= tolerance(structure) for _, m in plain)
    if raw.content == "pseudo-valence" and (fits or certain):
        return plain
    # Cores and valence nodes make the sum over a grid unreliable: compare after the treatment near nuclei.
    # The plain sum is exact for cores averaged over voxels, as RhoTEM writes them.
    total = []
    if raw.content == "total" or (not valence and raw.content != "valence"):
        exact = electrons - everything.count(structure) + structure.charge
        total = [(everything, sums.misfit(everything)), (everything, exact)]
    if raw.content == "total":
        return total
    if raw.content == "pseudo-valence":
        return [*plain, *total]
    slack = SAMPLING_SLACK * len(structure)
    treated = [(o, sums.misfit(o)) for o, m in plain if abs(m) < slack]
    if raw.content == "valence":
        return treated or plain
    return [*plain, *treated, *total]


class _TreatedSums:
    """Electrons of the file and of each element's free atoms after filling near nuclei, which is linear."""

    def __init__(self, raw: RawDensity, structure: Structure, scale: float) -> None:
        self._raw, self._structure, self._scale = raw, structure, scale
        self._file: dict[float, float] = {}
        self._free: dict[tuple[int, float, float], float] = {}

    def misfit(self, option: Assignment) -> float:
        """Electrons of the file minus those of the free atoms, plus the charge."""
        radius = TOTAL_FILL if option.total else FILL_RADIUS
        grid = self._raw.grid
        if radius not in self._file:
            self._file[radius] = self._scale * grid.integrate(filled(grid, self._raw.values, self._structure, radius))
        return (
            self._file[radius]
            - sum(self._element(z, n, radius) for z, n in option.electrons.items())
            + self._structure.charge
        )

    def _element(self, z: int, electrons: float, radius: float) -> float:
        key = (z, electrons, radius)
        if key not in self._free:
            atoms = self._structure.atoms[self._structure.numbers == z]
            part = replace(self._structure, atoms=atoms, moments=None, displacements=None)
            density = superpose(part, self._raw.grid, {z: electrons})
            self._free[key] = self._raw.grid.integrate(filled(self._raw.grid, density, self._structure, radius))
        return self._free[key]


def _subtracted(raw: RawDensity, structure: Structure, assignment: Assignment, scale: float, misfit: float) -> Decision:
    """The decision, with free atoms subtracted as the file samples them."""
    values = raw.values * scale if scale != 1.0 else raw.values
    free = superpose(structure, raw.grid, dict(assignment.electrons))
    deformation = values - free
    record = {
        "electrons_on_grid": raw.electrons * scale,
        "electrons_found": f"{'total' if assignment.total else 'valence'}: {assignment.text()}",
        "count_misfit_e": misfit,
    }
    if scale != 1.0:
        record["unit"] = f"{'e/Bohr^3' if scale > 1.0 else 'e/A^3'}, by the electron count"
    difference = _close_difference(raw, structure, deformation, free)
    if raw.content == "pseudo-valence":
        # Without a core there is nothing to tell by name: a sum of AECCAR0 and 2 follows the free atoms' cusp.
        pseudised = not assignment.total or difference > PSEUDISED
    else:
        pseudised = raw.content == "unknown" and not assignment.total and difference > PSEUDISED
    record |= {"pseudised": pseudised, "difference_near_nuclei": difference}
    if pseudised or not assignment.total:
        return Decision(assignment, pseudised, deformation, FILL_RADIUS, record)
    averaged = values - _voxel_averaged(raw, structure)
    if _close_difference(raw, structure, averaged, free) < difference:
        deformation, record["cores"] = averaged, "averaged over voxels"
    remaining = raw.grid.integrate(filled(raw.grid, deformation, structure, TOTAL_FILL)) + structure.charge
    if abs(remaining) > RESIDUAL * len(structure):
        record["warnings"] = [
            f"total density on a grid: {remaining:+.3f} e remain after subtracting free atoms, because the grid is too "
            "coarse for cores; a valence density (AECCAR2) is more accurate"
        ]
    return Decision(assignment, False, deformation, TOTAL_FILL, record)


def _voxel_averaged(raw: RawDensity, structure: Structure) -> npt.NDArray:
    """Free atoms as RhoTEM writes total densities: cores averaged over voxels."""
    return superpose(structure, raw.grid, voxel_average=True)


def _close_difference(raw: RawDensity, structure: Structure, deformation: npt.NDArray, free: npt.NDArray) -> float:
    """Σ|Δn| / Σ n_free over the points within `CLOSE` of nuclei."""
    above = below = 0.0
    for centre in structure.positions:
        index, _, _ = inside(raw.grid, centre, CLOSE)
        above += float(np.abs(deformation[index]).sum())
        below += float(free[index].sum())
    return above / below if below else 0.0
