"""Phase boundaries: two states of one framework side by side, as LiFePO4 and FePO4 in a particle that is charged."""

from collections.abc import Callable
from typing import Any

import ase
import numpy as np

from rhotem.battery.builders.table import Builder, Generator, Option, plane_of
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError
from rhotem.structure.assemble import flat_frame, layer_vectors
from rhotem.structure.coherent import POISSON
from rhotem.structure.coincidence import principal, strain_between
from rhotem.structure.indices import standard_cell, three_indices
from rhotem.structure.lattice import coset_representatives
from rhotem.structure.model import Structure

#: Å that a framework atom may be away from its place in the other state.
FRAMEWORK = 1.0


def phase_boundary(
    rich: Structure,
    poor: Structure,
    plane: tuple[int, ...],
    thickness: tuple[float, float],
    *,
    keep: int | None = None,
    max_strain: float = 0.08,
) -> Specimen:
    """Two states of one framework on either side of a plane; the framework goes on through both boundaries.

    Both are cut by the same integer vectors, so that every layer of one continues a layer of the other.

    Parameters
    ----------
    rich, poor : Structure
        Crystals in like cells: same framework, one with fewer mobile ions.
    plane : three or four int
        (hkl) of the boundary.
    thickness : (float, float)
        Least thickness of each, Å.
    keep : 0 or 1, optional
        The state that keeps its lattice in the plane; by default they meet in the middle.
    max_strain : float
        Largest principal strain between the two.

    Raises
    ------
    InputError
        If the frameworks differ, or the strain is too large.
    """
    cells = [rich, poor]
    units = _layers(rich, poor, plane)
    rows = [unit.cell.array[:2, :2] for unit in units]
    most = float(np.abs(principal(strain_between(rows[1], rows[0]))).max())
    if most > max_strain:
        raise InputError(
            f"phase boundary: {rich.formula} and {poor.formula} differ by {100 * most:.1f} % in this"
            f" plane, more than {100 * max_strain:g} %; choose another plane or --max-strain"
        )
    weight = {None: 0.5, 0: 1.0, 1: 0.0}[keep]
    target = weight * rows[0] + (1.0 - weight) * rows[1]
    parts, amounts, counts = [], [], []
    for unit, own, least in zip(units, rows, thickness, strict=True):
        count = max(1, int(np.ceil(least / float(unit.cell[2, 2]) - 1e-6)))
        amounts.append(strain_between(own, target))
        height = float(unit.cell[2, 2]) * (1 - POISSON / (1 - POISSON) * float(np.trace(amounts[-1])))
        slant = np.linalg.solve(own.T, unit.cell.array[2, :2]) @ target
        unit.set_cell([[*target[0], 0], [*target[1], 0], [*slant, height]], scale_atoms=True)
        parts.append(unit.repeat((1, 1, count)))
        counts.append(count)
    return _joined(cells, parts, [principal(strain) for strain in amounts], counts, plane)


def _joined(
    cells: list[Structure], parts: list[ase.Atoms], amounts: list[Any], counts: list[int], plane: tuple[int, ...]
) -> Specimen:
    lower, upper = parts
    third = lower.cell.array[2] + upper.cell.array[2]
    upper.positions += lower.cell.array[2]
    atoms = lower + upper
    slant = third[:2] @ np.linalg.inv(lower.cell.array[:2, :2])
    third[:2] = (slant - np.rint(slant - 1e-6)) @ lower.cell.array[:2, :2]
    atoms.set_cell([*lower.cell.array[:2], third])
    atoms.pbc = True
    atoms.wrap(eps=1e-9)
    names = [str(each.info.get("name") or each.formula) for each in cells]
    text = ",".join(map(str, plane))
    strains = ", ".join(f"{n} {100 * e[0]:+.2f} and {100 * e[1]:+.2f} %" for n, e in zip(names, amounts, strict=True))
    note = f"{names[0]} / {names[1]} on ({text}), {counts[0]} and {counts[1]} layers, strains: {strains}, not relaxed"
    middle = float(lower.cell[2, 2])
    regions = [
        {"name": n, "phase": c.formula, "strain": e.tolist(), "layers": k}
        for n, c, e, k in zip(names, cells, amounts, counts, strict=True)
    ]
    defects = [{"kind": "phase boundary", "plane": list(plane), "position_A": [0.0, 0.0, z]} for z in (0.0, middle)]
    region = np.repeat([0, 1], [len(lower), len(upper)])
    structure = Structure(atoms, info={"name": "/".join(names), "notes": [note]})
    return Specimen(structure, regions, region, np.full(len(atoms), HOST, object), defects, cells)


def _layers(rich: Structure, poor: Structure, plane: tuple[int, ...]) -> list[ase.Atoms]:
    """The layer of both by the same vectors; atoms of ``poor`` on the side of the cut where those of ``rich`` are."""
    names = standard_cell(rich)
    transform, _ = layer_vectors(rich.cell, names.plane_to_structure(three_indices(plane, True, names.hexagonal)[0]))
    inverse, shifts = np.linalg.inv(transform.astype(float)), coset_representatives(transform)
    fractional = np.linalg.solve(rich.cell.T, rich.positions.T).T
    partner = _partners(rich, poor)
    apart = np.linalg.solve(poor.cell.T, poor.positions.T).T - fractional[partner]
    apart -= np.rint(apart)
    z = np.sort((fractional @ inverse)[:, 2] % (1 / len(shifts)))
    gaps = np.diff([*z, z[0] + 1 / len(shifts)])
    cut = [0.0, 0.0, z[int(gaps.argmax())] + gaps.max() / 2]
    units = []
    for crystal, host, off in ((rich, np.arange(len(rich)), 0.0), (poor, partner, apart)):
        placed = (fractional[host] + shifts[:, None]).reshape(-1, 3) @ inverse - cut
        placed = (
            placed
            - np.floor(placed)
            + np.tile(off @ inverse if np.ndim(off) else np.zeros((len(host), 3)), (len(shifts), 1))
        )
        rows = transform @ crystal.cell
        cell = rows @ flat_frame(rows).T
        units.append(ase.Atoms(np.tile(crystal.numbers, len(shifts)), placed @ cell, cell=cell, pbc=True))
    return units


def _partners(rich: Structure, poor: Structure) -> np.ndarray:
    """Atom of ``rich`` that every atom of ``poor`` is, by place in the cell."""
    places = [s.atoms.get_scaled_positions() for s in (rich, poor)]
    apart = places[1][:, None] - places[0]
    distance = np.linalg.norm((apart - np.rint(apart)) @ rich.cell, axis=2)
    distance[poor.numbers[:, None] != rich.numbers] = np.inf
    partner = distance.argmin(axis=1)
    worst = distance.min(axis=1).max()
    if worst > FRAMEWORK or len(set(partner.tolist())) < len(partner):
        raise InputError(
            f"phase boundary: {poor.formula} is not {rich.formula} with fewer ions in the same cell; give both in like"
            " cells, the fuller one first"
        )
    return partner


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    keep = None if options["keep"] == 0 else options["keep"] - 1
    if keep not in (None, 0, 1):
        raise InputError(f"--keep {options['keep']}: expected 0 (both give way), 1 or 2")
    width = options["thickness"]
    if not (np.isfinite(width) and width > 0):
        raise InputError(f"--thickness {width}: expected a positive length in Å")
    rich, poor = (load(text) for text in texts)
    plane = plane_of(options["plane"])
    return phase_boundary(rich, poor, plane, (width, width), keep=keep, max_strain=options["max_strain"])


BUILDER = Builder(
    "phase-boundary",
    "Two states of one framework side by side: LiFePO4 FePO4.",
    _build,
    [
        Option("plane", "1,0,0", "h,k,l", "Plane of the boundary, indices of the first crystal."),
        Option("thickness", 15.0, "Å", "Least thickness of each state."),
        Option("keep", 0, "0|1|2", "State that keeps its lattice in the plane; 0: they meet in the middle."),
        Option("max_strain", 0.08, "", "Largest strain between the two, 0.05 is 5 %."),
    ],
    "RICH POOR",
    (2, 2),
)
