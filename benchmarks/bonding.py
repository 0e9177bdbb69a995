"""What bonding changes in images and weak reflections of six cathodes, against phonons and the density's own error.

    OMP_NUM_THREADS=1 python benchmarks/bonding.py [PHASE ...]     # simulates; again after an interruption: goes on
    python benchmarks/bonding_page.py                              # tables and figures of docs/bonding-in-cathodes.md

Every phase x source x configuration is a file of its own in runs/bonding: images at all thicknesses from one response,
and amplitudes of a plane wave. Sources share the displacements of the atoms, so that their difference hardly scatters.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis import responses, run
from rhotem.analysis.alike import ChangedPotentials
from rhotem.analysis.columns import columns
from rhotem.analysis.specimen import Specimen
from rhotem.density.field import DensityField
from rhotem.learned.source import Model
from rhotem.microscope.parallel import parallel_images
from rhotem.microscope.presets import get_preset
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell
from rhotem.structure.phases import phase

RUNS = Path("runs/bonding")
#: Zone axis of every phase.
ZONES = {
    "LiCoO2": (1, 0, 0),
    "LiNiO2": (1, 0, 0),
    "NMC": (1, 0, 0),
    "LiMn2O4": (1, 1, 0),
    "LiFePO4": (0, 1, 0),
    "Li2MnO3": (1, 0, 0),
}
#: Phases whose density is calculated by DFT as well (GPAW, PBE+U, 600 eV, kept in runs/bonding/gpaw), configurations.
WITH_DFT = {"LiNiO2": 2}
#: nm to which a phase is propagated, and pixel of its waves in Å: one phase as far and as fine as the rest cannot be.
REACHES = dict.fromkeys(ZONES, (10.0, 0.08)) | {"LiCoO2": (30.0, 0.07)}
#: The same of members of the density, which see light detectors alone; and which of the eight.
MEMBERS_REACH, MEMBERS = (6.0, 0.085), (0, 2, 4, 6)
LADDER = (2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0)
DETECTORS = ("HAADF=60-100", "ABF=11-22", "DPC=6-22", "CoM=44")
LIGHT = DETECTORS[1:]
#: Thermal configurations of images and of diffraction; members of the density move as the first.
CONFIGURATIONS, PLANE_CONFIGURATIONS = 2, 4
#: 1/Å up to which amplitudes are kept.
REACH = 0.8
#: Part of the lithium of every column that is missing in the specimen that says what an occupancy is worth.
MISSING = 0.2


def crystal(name: str) -> Structure:
    """A phase of the catalogue; NMC: Li6Ni4MnCoO12 with pure columns, on the mean lattice of NMC811."""
    if name != "NMC":
        return run.structure(name)
    mean = phase("LiNiO2").atoms
    fractions = mean.get_scaled_positions()
    mean.set_cell([2.872, 2.872, 14.203, 90, 90, 120])
    mean.set_scaled_positions(fractions)
    doubled = mean.repeat((1, 2, 1))
    layers = [i for i in range(len(mean)) if mean.numbers[i] == 28]
    doubled.symbols[layers[0]], doubled.symbols[layers[1]] = "Mn", "Co"
    return Structure(doubled, info={"name": "Li6Ni4MnCoO12"})


def specimen(name: str, light: bool = False) -> Specimen:
    """The phase along its zone axis, as thick as the thickest."""
    preset = run.adjusted_preset("layered-oxide", detectors=LIGHT if light else DETECTORS)
    basis = "input" if name == "NMC" else "conventional"
    deep, pixel = MEMBERS_REACH if light else REACHES[name]
    return run.specimen(
        crystal(name),
        ZONES[name],
        basis=basis,
        primitive=name != "NMC",
        thickness=deep,
        preset=preset,
        sampling=pixel,
    )


def depths_of(cut: Specimen) -> list[float]:
    """Thicknesses in nm; the last is that of whole cells."""
    length = float(cut.block.lengths[2]) / 10
    inside = [t for t in LADDER if t < length - 0.5]
    return [*inside, length]


def images(cut: Specimen, potentials: run.Potentials) -> dict[str, np.ndarray]:
    """Images of every thickness, (thicknesses, nx, ny)."""
    held = responses.response(cut, potentials, thicknesses=depths_of(cut), edges=(), error_bar=False)
    depths = list(held.thicknesses)
    series = held.series(thickness=depths)
    return {**series, "thickness": 0.1 * np.array(depths)}


def amplitudes(cut: Specimen, potentials: run.Potentials) -> dict[str, np.ndarray]:
    """Beams of a plane wave (configurations, thicknesses, beams) behind every thickness, and their indices."""
    microscope = get_preset("saed").microscope
    lengths = np.array([float(v) for v in cut.cell.lengths[:2]])
    most = np.floor(REACH * lengths).astype(int)
    i, j = np.mgrid[-most[0] : most[0] + 1, -most[1] : most[1] + 1].reshape(2, -1)
    inside = np.hypot(i / lengths[0], j / lengths[1]) <= REACH
    i, j, rows = i[inside], j[inside], []
    for slices in potentials:
        row = []
        for thickness in depths_of(cut):
            number = round(10 * thickness / slices.thickness)
            cell = slices.grid.cell.copy()
            cell[2, 2] = number * slices.thickness
            grid = type(slices.grid)(cell, (*slices.grid.shape[:2], number))
            wave = parallel_images([replace(slices, array=slices.array[:number], grid=grid)], microscope).exit_wave
            row.append(np.fft.fft2(wave, norm="forward")[i, j])
        rows.append(row)
    hkl = np.rint(run_indices(cut) @ np.stack([i, j, np.zeros_like(i)])).T
    return {"beams": np.array(rows).astype(np.complex64), "hkl": hkl, "ij": np.stack([i, j], axis=1)}


def run_indices(cut: Specimen) -> np.ndarray:
    """Indices (hkl) of the conventional cell of the imaging cell's reciprocal vectors."""
    return run.spot_indices(cut.cell)


def vacant(cut: Specimen, full: DensityField, seed: int) -> tuple[Specimen, run.Potentials]:
    """The specimen with a part of the lithium of every column missing, free atoms, its atoms moving as before."""
    rng = np.random.default_rng(17)
    whole = ImagingCell.from_orthogonal(cut.block.structure)
    before = replace(cut, cell=whole, block=whole)
    gone: list[int] = []
    for column in columns(whole):
        rows = [r for r in column.rows if whole.structure.numbers[r] == 3]
        gone += list(rng.choice(rows, round(MISSING * len(rows)), replace=False)) if rows else []
    kept = np.setdiff1d(np.arange(len(whole.structure)), gone)
    fewer = ImagingCell.from_orthogonal(Structure(whole.structure.atoms[kept]))
    after = replace(before, cell=fewer, block=fewer)
    first = run.potential(cut, full, phonons=1, seed=seed)
    return after, ChangedPotentials(first, after, kept, run.density(after, "free-atoms"), None)


def pieces(name: str) -> Iterator[tuple[str, Callable[[], dict[str, np.ndarray]]]]:
    """Every file of a phase and what makes it."""
    cut = specimen(name)
    sources: dict[str, Callable[[], DensityField]] = {
        "free": lambda: run.density(cut, "free-atoms"),
        "learned": lambda: run.density(cut, "model"),
    }
    if name in WITH_DFT:
        sources["dft"] = lambda: run.density(cut, "gpaw", cache=RUNS / "gpaw")
    fields: dict[str, DensityField] = {}

    def field(source: str) -> DensityField:
        if source not in fields:
            fields[source] = sources[source]()
        return fields[source]

    for seed in range(CONFIGURATIONS):
        for source in sources:
            if source == "dft" and seed >= WITH_DFT[name]:
                continue
            yield (
                f"{source}-{seed}",
                lambda s=source, n=seed: images(cut, run.potential(cut, field(s), phonons=1, seed=n)),
            )
        if seed == 0:
            yield from _members(name)
    for source in sources:
        yield (
            f"{source}-plane",
            lambda s=source: amplitudes(cut, run.potential(cut, field(s), phonons=PLANE_CONFIGURATIONS)),
        )
    yield "vacant-0", lambda: images(*vacant(cut, field("free"), 0))


def _members(name: str) -> Iterator[tuple[str, Callable[[], dict[str, np.ndarray]]]]:
    cut, model = specimen(name, light=True), Model()
    held: list[DensityField] = []

    def member(number: int) -> dict[str, np.ndarray]:
        if not held:
            structure = cut.cell.unrotated
            held.extend(model.members(structure, run.density_grid(model, structure)))
        potentials = run.potential(cut, held[number], phonons=1, seed=0)
        return {**images(cut, potentials), **amplitudes(cut, potentials)}

    for number in MEMBERS:
        yield f"member{number}-0", lambda n=number: member(n)


def make(name: str) -> None:
    """Make the files of a phase that are not there."""
    RUNS.mkdir(parents=True, exist_ok=True)
    for stem, maker in pieces(name):
        path = RUNS / f"{name}-{stem}.npz"
        if path.exists():
            continue
        began = time.process_time()
        made: dict[str, Any] = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in maker().items()}
        temporary = path.with_suffix(".tmp.npz")
        np.savez_compressed(temporary, **made)
        temporary.rename(path)
        print(f"{path.stem}: {time.process_time() - began:.1f} CPU s", flush=True)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ZONES:
        make(chosen)
