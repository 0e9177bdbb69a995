"""A slab of a layered oxide through its ageing: rock salt on its surface, mobile ions lost, and what is left of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.battery.builders.delithiate import MOBILE
from rhotem.battery.builders.surface_layer import NAMES, surface_layer
from rhotem.battery.charging.charges import by_element
from rhotem.battery.potentials import DEFAULT, potential_calculator
from rhotem.battery.relax import Settings, relax
from rhotem.battery.specimen import Specimen, write_specimen
from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.core.output import to_json
from rhotem.core.whole import read_whole, write_whole
from rhotem.density.charges import hirshfeld_charges
from rhotem.density.source import DensitySource, get_source
from rhotem.structure.model import Structure

#: C/mol, and C in a mAh.
FARADAY, MILLIAMPERE_HOUR = 96485.33212, 3.6
#: Å of the grid of densities; Hirshfeld charges need no finer one.
SPACING = 0.15
#: Share by which a loss in whole ions may differ from that asked for without a remark.
OFF = 0.1
#: Files in the folder.
STEPS, IDENTITY = "steps", "degradation.json"


@dataclass(frozen=True)
class DegradationSettings:
    """A degradation series; the sequences have one entry a step.

    Parameters
    ----------
    cycles : tuple of float
        A label of each step: cycles, or hours.
    rocksalt : tuple of float
        Thickness of rock salt, Å.
    lost : tuple of float
        Per cent of the mobile ions of the layered part that are lost.
    thickness : float
        Of the whole slab at least, Å.
    plane : tuple of int
        Surface (hkl).
    across : (int, int)
        Repeats in the plane.
    relax_steps : int
        Most steps of relaxation of each; 0: none.
    potential : str
    source : str
        Density of the charges; "": none.
    seed : int
        Which ions are lost, how metals lie.
    """

    cycles: tuple[float, ...]
    rocksalt: tuple[float, ...]
    lost: tuple[float, ...]
    thickness: float = 30.0
    plane: tuple[int, ...] = (1, 0, 4)
    across: tuple[int, int] = (1, 1)
    relax_steps: int = 0
    potential: str = DEFAULT
    source: str = "model"
    seed: int = 0

    def __post_init__(self) -> None:
        if not len(self.cycles) == len(self.rocksalt) == len(self.lost) or not self.cycles:
            raise InputError(
                f"degradation: {len(self.cycles)} cycles, {len(self.rocksalt)} thicknesses of rock salt, "
                f"{len(self.lost)} losses; give one of each for every step"
            )
        if any(not (np.isfinite(n) and 0 <= n < 100) for n in self.lost):
            raise InputError(f"degradation: losses of {self.lost} %; expected 0 and more, below 100")
        if any(not (np.isfinite(d) and 0 <= d < self.thickness) for d in self.rocksalt):
            raise InputError(
                f"degradation: rock salt of {self.rocksalt} Å on a slab of {self.thickness:g} Å; expected 0 and more, "
                "and something layered left"
            )


def degrade(
    crystal: Structure, asked: DegradationSettings, out: Path, voltage: float | None = None, progress: Progress = silent
) -> list[dict[str, Any]]:
    """One row a step: what the specimen holds, and which capacity, energy and state of health follow from it.

    Accessible ions are those in the layered part; those that rock salt replaced are gone, as its octahedra are full of
    metal. The capacity counts them all, per mass of the first step; the voltage is that given. A slab is nearly all
    surface: a particle loses ``lost_per_nm2`` ions to rock salt per area of its own,
    and the share lost inside besides. Nothing here knows why rock salt grows: it is a
    record of what is said, not a prediction.

    Parameters
    ----------
    crystal : Structure
        Layered oxide of type O3.
    asked : DegradationSettings
    out : Path
        Folder; steps are kept there, the same series goes on.
    voltage : float, optional
        Mean voltage of the layered crystal, V (`rhotem charge-series`).
    progress : Progress

    Raises
    ------
    InputError
        If the crystal is not of this kind, or the folder holds another series.
    """
    if voltage is not None and not (np.isfinite(voltage) and voltage > 0):
        raise InputError(f"degradation: voltage {voltage:g} V, expected a number > 0")
    folder = Path(out) / STEPS
    described = to_json([2, asdict(asked), crystal.positions, crystal.cell, crystal.numbers])
    identity = {"identity": hashlib.sha256(described.encode()).hexdigest()}
    if any(folder.glob("step-*[0-9].json")) and read_whole(folder / IDENTITY) != identity:
        raise InputError(f"{folder}: holds another series; give another --out, or delete it")
    rows: list[dict[str, Any]] = []
    tools = _Tools(asked)
    for step in range(len(asked.cycles)):
        progress("steps", step, len(asked.cycles))
        kept = folder / f"step-{step + 1:02d}.json"
        row = read_whole(kept)
        if row is None:
            made, row = _step(crystal, asked, step, tools)
            folder.mkdir(parents=True, exist_ok=True)  # not before: what fails at once leaves nothing
            write_whole(folder / IDENTITY, identity)
            write_specimen(made, folder / row["file"])
            write_whole(kept, row)
        if not rows and not row["accessible"]:
            raise InputError(
                "degradation: the first step has no accessible ions to count from; less rock salt, fewer lost"
            )
        rows.append({**row, **_macroscopic(row, rows[0] if rows else row, voltage)})
    return rows


@dataclass
class _Tools:
    """Potential and source of densities of a series: opened at the first step that needs them, and kept."""

    asked: DegradationSettings

    @cached_property
    def calculator(self) -> Any:
        return potential_calculator(self.asked.potential)

    @cached_property
    def source(self) -> DensitySource:
        return get_source(self.asked.source)


def _step(crystal: Structure, asked: DegradationSettings, step: int, tools: _Tools) -> tuple[Specimen, dict[str, Any]]:
    """The specimen of a step, and its row."""
    rng = np.random.default_rng(asked.seed)
    rocksalt = asked.rocksalt[step]
    made = surface_layer(
        crystal, asked.plane, rng, rocksalt=rocksalt, layered=asked.thickness - rocksalt, repeat=asked.across
    )
    made, ion, lost = _emptied(made, asked.lost[step] / 100.0, rng)
    told: dict[str, Any] = {}
    if asked.relax_steps:
        settings = Settings(asked.potential, 0.05, asked.relax_steps)
        structure, told = relax(made.structure, settings, calculator=tools.calculator)
        made = replace(made, structure=structure)
    atoms = made.structure.atoms
    symbols = np.array(atoms.get_chemical_symbols())
    row: dict[str, Any] = {
        "step": step + 1,
        "cycles": asked.cycles[step],
        "rocksalt_A": rocksalt,
        "lost_percent": asked.lost[step],
        "lost_ions": lost,
        "file": f"step-{step + 1:02d}.extxyz",
        "formula": atoms.get_chemical_formula(),
        "atoms": len(atoms),
        "mass_g_per_mol": float(atoms.get_masses().sum()),
        "area_nm2": float(np.linalg.norm(np.cross(*made.structure.cell[:2]))) / 100.0,
        "ion": ion,
        "accessible": int(((symbols == ion) & (made.region == 0)).sum()),
        "relaxation": told,
    }
    if asked.source:
        field = tools.source(made.structure, PeriodicGrid.from_spacing(made.structure.cell, SPACING))
        charges = hirshfeld_charges(field)
        regions = {}
        for number, name in enumerate(NAMES):
            mine = np.flatnonzero(made.region == number)
            table = [{"element": symbols[i], "hirshfeld": float(charges[i])} for i in mine]
            if len(mine):
                regions[name] = {"charge_e": float(charges[mine].sum()), "elements": by_element(table)}
        row["charges"] = regions
    return made, row


def _emptied(made: Specimen, share: float, rng: np.random.Generator) -> tuple[Specimen, str, int]:
    """The specimen without a share of the layered part's mobile ions, to the nearest ion; the ion; how many."""
    symbols = np.array(made.structure.atoms.get_chemical_symbols())
    ion = next((e for e in MOBILE if e in symbols), None)
    if ion is None:
        raise InputError("degradation: no mobile ions are left in the slab; less rock salt, or a larger --thickness")
    sites = np.flatnonzero((symbols == ion) & (made.region == 0))
    keep = np.ones(len(symbols), dtype=bool)
    lost = round(share * len(sites))
    keep[rng.permutation(sites)[:lost]] = False
    structure = Structure(made.structure.atoms[keep], info=made.structure.info)
    left = Specimen(structure, made.regions, made.region[keep], made.role[keep], made.defects, made.references)
    return left, ion, lost


def _macroscopic(row: dict[str, Any], first: dict[str, Any], voltage: float | None) -> dict[str, Any]:
    capacity = row["accessible"] * FARADAY / MILLIAMPERE_HOUR / first["mass_g_per_mol"]
    told = {"capacity_mAh_per_g": capacity, "state_of_health": row["accessible"] / first["accessible"]}
    before, now = (one["accessible"] + one["lost_ions"] for one in (first, row))
    told["lost_per_nm2"] = (before - now) / row["area_nm2"]  # the surface's doing, what is lost inside is not
    return told if voltage is None else {**told, "voltage_V": voltage, "energy_Wh_per_kg": capacity * voltage}


def notes_on(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What a reader must know before using the numbers: losses that whole ions do not give, health above 100 %."""
    notes = []
    for row in rows:
        ions = row["accessible"] + row["lost_ions"]
        got = 100.0 * row["lost_ions"] / ions if ions else 0.0
        if abs(got - row["lost_percent"]) > OFF * row["lost_percent"]:
            notes.append(
                f"step {row['step']}: {row['lost_percent']:g} % of {ions} {row['ion']} are no whole ions, "
                f"{row['lost_ions']} were taken out ({got:.1f} %); a wider slab (--across) comes nearer"
            )
    more = [row for row in rows if row["accessible"] > rows[0]["accessible"]]
    if more:
        named = ", ".join(str(row["step"]) for row in more)
        notes.append(
            f"steps {named} hold more accessible {more[0]['ion']} than step 1, from which health is counted; "
            "put the fresh crystal first, or read it as healing"
        )
    return notes


def table(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows flat: a charge of each region in place of its elements'."""
    flat = []
    for row in rows:
        one = {key: value for key, value in row.items() if key not in ("charges", "relaxation")}
        for name, region in row.get("charges", {}).items():
            one[f"{name.replace(' ', '_')}_charge_e"] = region["charge_e"]
        flat.append(one)
    return flat
