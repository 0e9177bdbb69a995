"""A crystal with and without a dopant: both relaxed, their densities, charges and images side by side."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.charges import charge_table
from rhotem.analysis.plan import Plan
from rhotem.analysis.results import Result
from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import run
from rhotem.battery.builders.dopant import dopants
from rhotem.battery.charging.charges import SPACING
from rhotem.battery.charging.redox import METALS
from rhotem.battery.film.charge import projected_deformation
from rhotem.battery.potentials import DEFAULT, potential_calculator
from rhotem.battery.relax import Settings, relax
from rhotem.battery.zones import zone_in_repeats
from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.source import default_source, get_source
from rhotem.structure.build import displaced, repeated
from rhotem.structure.edits.table import parts, whole
from rhotem.structure.model import Structure
from rhotem.structure.write import write_structure

Floats = npt.NDArray[np.float64]

#: Å by which atoms are moved first: else symmetry holds the crystal on a saddle, which the dopant alone would leave.
NUDGE = 0.02
#: Names of the two sides, and of their structure files.
HOST, DOPED = "host", "doped"


@dataclass(frozen=True)
class PilotSettings:
    """A pilot study.

    Parameters
    ----------
    dopant : str
    replaces : str
        Element whose sites it takes; "": the transition metal that the crystal has most of.
    count : int
        Dopants in the cell.
    repeat : str
        ``nx,ny,nz`` of the crystal.
    potential, fmax, steps
        As in `rhotem.battery.relax.Settings`.
    seed : int
        Chooses the sites.
    """

    dopant: str
    replaces: str = ""
    count: int = 1
    repeat: str = "2,2,1"
    potential: str = DEFAULT
    fmax: float = 0.03
    steps: int = 300
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Side:
    """The crystal with or without the dopant: relaxed, its run, charges of atoms, ∫ Δn dz (nx, ny) in e/Å²."""

    structure: Structure
    result: Result
    charges: list[dict[str, Any]]
    deformation: Floats


@dataclass(frozen=True, eq=False)
class Pilot:
    """Both sides in one cell; atom i of one is on the site of atom i of the other; ``dopants``: their indices."""

    asked: PilotSettings
    crystal: Structure
    replaced: str
    dopants: npt.NDArray[np.int64]
    host: Side
    doped: Side

    @property
    def relaxations(self) -> dict[str, str]:
        """How each side was relaxed, in words: steps, how far atoms moved, whether they came to rest."""
        sides = {HOST: self.host, DOPED: self.doped}
        return {name: str(side.structure.info["notes"][-1]) for name, side in sides.items()}

    @property
    def notes(self) -> list[str]:
        """What a reader must know before using the numbers."""
        return [
            f"{name}: {told}; what changes beside the dopant may be that it is not at rest"
            for name, told in self.relaxations.items()
            if "not converged" in told
        ]

    @property
    def distances(self) -> Floats:
        """Å from every atom to the nearest dopant, in the relaxed doped crystal."""
        atoms = self.doped.structure.atoms
        rows = [atoms.get_distances(int(i), range(len(atoms)), mic=True) for i in self.dopants]
        return np.asarray(np.min(rows, axis=0))

    def changes(self) -> list[dict[str, Any]]:
        """Every site, nearest to the dopant first: elements, distance, charges with and without, displacement in Å."""
        from ase.geometry import find_mic

        moved = self.doped.structure.positions - self.host.structure.positions
        moved -= np.median(moved, axis=0)
        lengths = find_mic(moved, self.host.structure.cell)[1]
        rows = []
        for i in np.argsort(self.distances, kind="stable").tolist():
            one, two = self.host.charges[i], self.doped.charges[i]
            row = {"atom": i, "host": one["element"], "doped": two["element"], "distance_A": float(self.distances[i])}
            for kind in ("hirshfeld", "bader"):
                row |= {
                    f"{kind}_host_e": one[kind],
                    f"{kind}_doped_e": two[kind],
                    f"{kind}_change_e": two[kind] - one[kind],
                }
            rows.append({**row, "moved_A": float(lengths[i])})
        return rows

    def image_changes(self) -> list[dict[str, Any]]:
        """For every image: range without the dopant, largest change, and root mean square change over the range."""
        rows = []
        for name, values in self.host.result.images.images.items():
            change = self.doped.result.images[name] - values
            span = float(np.ptp(values)) or 1.0
            rows.append(
                {
                    "image": name,
                    "range": span,
                    "largest_change": float(change.flat[np.abs(change).argmax()]),
                    "rms_of_range": float(np.sqrt((change**2).mean()) / span),
                }
            )
        return rows


def pilot(crystal: Structure, asked: PilotSettings, plan: Plan, folder: Path, voice: Voice) -> Pilot:
    """Relax the crystal, cell and all, put the dopant in and relax its surroundings, then both through the microscope.

    The doped crystal keeps the cell of the other one, as a dilute dopant has to, so that images lie on the same pixels.

    Parameters
    ----------
    crystal : Structure
    asked : PilotSettings
    plan : Plan
        Of the images; its zone is that of the crystal.
    folder : Path
        Where both structures and images are written.
    voice : Voice

    Raises
    ------
    InputError
        If the crystal has no such site, or the dopant is no element or unknown to the potential.
    """
    replaced = asked.replaces or _commonest(crystal)
    calculator = potential_calculator(asked.potential)
    settings = Settings(asked.potential, asked.fmax, asked.steps, cell=True)
    nx, ny, nz = (whole(n) for n in parts(asked.repeat, "repeat", 3, ","))
    made = dopants(
        crystal, (replaced, asked.dopant), str(asked.count), np.random.default_rng(asked.seed), repeat=asked.repeat
    )
    sites = np.flatnonzero(made.role == "dopant")
    formula = made.structure.atoms.get_chemical_formula()
    voice.tell(f"{asked.dopant} on sites of {replaced}: {formula}, relaxed without and with it")
    rng = np.random.default_rng(asked.seed)
    host, _ = relax(displaced(repeated(crystal, nx, ny, nz), NUDGE**2, rng), settings, voice.progress, calculator)
    atoms = host.atoms.copy()
    atoms.numbers[sites] = made.structure.numbers[sites]
    doped, _ = relax(replace(host, atoms=atoms), replace(settings, cell=False), voice.progress, calculator)
    zone = zone_in_repeats(crystal, plan.specimen.zone, (nx, ny, nz))
    sides = [_side(one, name, (plan, zone), folder, voice) for one, name in ((host, HOST), (doped, DOPED))]
    return Pilot(asked, crystal, replaced, sites, *sides)


def _commonest(crystal: Structure) -> str:
    symbols = crystal.atoms.get_chemical_symbols()
    metals = [metal for metal in METALS if metal in symbols]
    if not metals:
        raise InputError(f"{crystal.formula} has none of {', '.join(METALS)}; give --replaces ELEMENT")
    return max(metals, key=symbols.count)


def _side(structure: Structure, name: str, how: tuple[Plan, tuple[int, ...]], folder: Path, voice: Voice) -> Side:
    plan, zone = how
    path = folder / f"{name}.extxyz"
    write_structure(structure, path)
    settings = {
        "specimen.structure": str(path),
        "specimen.zone": zone,
        "specimen.zone_basis": "input",
        "specimen.keep_cell": True,
    }
    result = run(plan.changed(settings), folder / name, replace(voice, tell=lambda text: None))
    assert isinstance(result.density, DensityField)  # of so few atoms
    return Side(
        structure,
        result,
        charge_table(_fine(result.density, plan)),
        projected_deformation(result.specimen, result.density),
    )


def _fine(field: DensityField, plan: Plan) -> DensityField:
    """The density on a grid that Bader's basins need."""
    if field.grid.spacing.max() <= SPACING * 1.05:
        return field
    source = get_source(plan.density.source or default_source())
    return source(field.structure, PeriodicGrid.from_spacing(field.structure.cell, SPACING))


def record(made: Pilot) -> dict[str, Any]:
    """What was found, JSON-ready."""
    return {
        "crystal": made.crystal.info.get("name", made.crystal.formula),
        "settings": asdict(made.asked),
        "replaced": made.replaced,
        "dopants": made.dopants.tolist(),
        "formula_host": made.host.structure.atoms.get_chemical_formula(),
        "formula_doped": made.doped.structure.atoms.get_chemical_formula(),
        "relaxations": made.relaxations,
        "notes": made.notes,
        "images": made.image_changes(),
        "sites": made.changes(),
    }
