"""What no model of the structure alone can know of a label: broken symmetry, and which of several states DFT found.

    python benchmarks/label_floor.py symmetry SPLIT.json FOLDER ...
    python benchmarks/label_floor.py states OUT LABEL.npz START ...     (needs GPAW; what is in OUT is not done again)
    python benchmarks/label_floor.py rivals FOLDER ...                  (records that differ only in the start)
    python benchmarks/label_floor.py grid LABEL.npz FACTOR              (needs GPAW)

``symmetry``: an equivariant model gives a symmetric crystal a symmetric density. The best symmetric density is, point
by point, the median of a label over the points that operations of the space group bring there; what then remains is a
lower bound of the deformation error. Operations are those spglib finds within 0.001 Å ("exact") and within 0.1 Å
("near": true of a crystal that is a little strained, so the remainder holds what the strain does, too), as far as they
bring grid points to grid points.

``states``: the label's structure and settings again from another start, compared with the label. Starts: ``again``,
``half`` (half the moments), ``low`` (no moments to speak of), ``antiferro``, and ``distorted-N``: from atoms displaced
by 0.1 Å (seed N), as the setting ``start_displacement`` does it. ``shifted`` moves the crystal by one step of
the label's grid, half a step of GPAW's own, along all axes, and the density back: no model can know where the atoms are
on the grid. ``rivals``: whole labels that are there, of every structure with several starts. ``grid``: the difference
that ``shifted`` makes, both calculated with a grid of FACTOR times as many points along every axis.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.density.metrics import deformation_error, potential_error_ratio, treat_near_nuclei
from rhotem.labels.label import Label
from rhotem.labels.npz import write_npz
from rhotem.labels.read import read_label

Floats = npt.NDArray[np.float64]

TOLERANCES = {"exact": 0.001, "near": 0.1}
#: Displacement of atoms at the start, Å.
DISPLACEMENT = 0.1


def symmetry(split: Path, folders: list[Path]) -> None:
    """Print the floor of every label with operations, and for each part of the split how many have one."""
    from rhotem.labels.splits import read_split

    part_of = {name: part for part, names in read_split(split).items() for name in names}
    rows = []
    for path in sorted(path for folder in folders for path in folder.glob("[!.]*.npz")):
        record = read_label(path)
        if record.voxels is not None:
            continue
        field = treated(record)
        found = {name: floor(field, record, tolerance) for name, tolerance in TOLERANCES.items()}
        rows.append((path.stem, part_of.get(path.stem, "other"), record, found))
        if found["near"][0]:
            cells = " | ".join(f"{n} of {all_of} | {low:.4f}" for n, all_of, low in found.values())
            kind = record.meta.get("prototype", record.meta.get("family", ""))
            print(f"| {path.stem} | {rows[-1][1]} | {record.structure.formula} | {kind} | {cells} |", flush=True)
    print("\n| part | labels | tolerance | with operations | floor, median of these | largest | above 0.01 |")
    print("|---|---|---|---|---|---|---|")
    for part in ("train", "validation", "test", "other"):
        chosen = [r for r in rows if r[1] == part or (part == "other" and r[1] in ("rattled", "excluded"))]
        for name in TOLERANCES:
            lows = [r[3][name][2] for r in chosen if r[3][name][0]]
            shown = f"{median(lows):.4f} | {max(lows):.4f}" if lows else "– | –"
            print(f"| {part} | {len(chosen)} | {name} | {len(lows)} | {shown} | {sum(x > 0.01 for x in lows)} |")


def floor(field: Floats, record: Label, tolerance: float) -> tuple[int, int, float]:
    """Operations used (without the identity), operations found, and the lower bound of the deformation error."""
    structure = record.structure
    rotations, translations = operations(structure.cell, structure.atoms, tolerance)
    flat = field.ravel()
    images = []
    for rotation, translation in zip(rotations, translations, strict=True):
        index = grid_map(rotation, translation, record.grid, tolerance)
        if index is not None:
            images.append(flat[index])
    if len(images) < 2:
        return 0, max(0, len(rotations) - 1), 0.0
    best = np.median(images, axis=0)
    return len(images) - 1, len(rotations) - 1, float(np.abs(flat - best).sum() / np.abs(flat).sum())


def operations(cell: Floats, atoms: Any, tolerance: float) -> tuple[npt.NDArray, Floats]:
    """Space-group operations (R, t) on fractional coordinates, ``x' = R x + t``; the identity if spglib finds none."""
    import spglib

    try:
        found = spglib.get_symmetry((cell, atoms.get_scaled_positions(), atoms.numbers), symprec=tolerance)
    except Exception as error:  # newer spglib raises its own error class where older ones returned None
        if not type(error).__module__.startswith("spglib"):
            raise
        found = None
    return (
        (np.eye(3, dtype=int)[None], np.zeros((1, 3))) if found is None else (found["rotations"], found["translations"])
    )


def grid_map(rotation: npt.NDArray, translation: Floats, grid: PeriodicGrid, tolerance: float) -> npt.NDArray | None:
    """Flat index of every grid point's image, or None where images miss the grid by a tenth of ``tolerance`` (Å)."""
    n = np.array(grid.shape)
    scaled = rotation * n[:, None] / n[None, :]
    steps = translation * n
    missed = (translation - np.rint(steps) / n) @ grid.cell
    if np.abs(scaled - np.rint(scaled)).max() > 1e-9 or np.linalg.norm(missed) > tolerance / 10:
        return None
    points = np.indices(grid.shape).reshape(3, -1)
    moved = (np.rint(scaled).astype(int) @ points + np.rint(steps).astype(int)[:, None]) % n[:, None]
    return np.ravel_multi_index(tuple(moved), grid.shape)


def states(out: Path, label: Path, starts: list[str]) -> None:
    """Calculate what is missing in ``out`` and print all states of the label."""
    out.mkdir(parents=True, exist_ok=True)
    for start in starts:
        path = out / f"{label.stem}-{start}.npz"
        if not path.exists():
            calculated(read_label(label), start, path)
    known = {"label": read_label(label)}
    known |= {p.stem.removeprefix(f"{label.stem}-"): read_label(p) for p in sorted(out.glob(f"{label.stem}-*.npz"))}
    reference = known["label"]
    atoms, grid = reference.structure.atoms, reference.grid
    fields = {name: treated(r) for name, r in known.items()}
    print(f"{label.stem} {atoms.get_chemical_formula()}: energies in meV per atom against the label")
    print("| start | energy | moment, µB | steps | CPU s | deformation error | potential error |")
    print("|---|---|---|---|---|---|---|")
    for name, r in known.items():
        energy = 1000 * (r.meta["energy_eV"] - reference.meta["energy_eV"]) / len(atoms)
        errors = [f(fields[name], fields["label"], grid) for f in (deformation_error, potential_error_ratio)]
        told = f"{r.meta.get('magmom', 0.0):.2f} | {r.meta['iters']} | {r.meta.get('cpu_s', 0):.0f}"
        print(f"| {name} | {energy:+.1f} | {told} | {errors[0]:.3f} | {errors[1]:.3f} |")


def calculated(label: Label, start: str, path: Path) -> None:
    """The label's structure from another start, written to ``path``."""
    from rhotem.labels.deformation import deformation_density
    from rhotem.labels.gpaw_settings import DftSettings, dft_atoms, is_spin_polarised, make_calculator
    from rhotem.labels.start import begin

    settings = DftSettings(**(label.meta.get("settings") or {}))
    if start.startswith("distorted-"):
        settings = replace(settings, start_displacement=DISPLACEMENT, start_seed=int(start[10:]))
    atoms = dft_atoms(label.structure, settings)
    moments = atoms.get_initial_magnetic_moments()
    scale: Any = {"half": 0.5, "low": 0.05, "antiferro": alternating(moments)}.get(start, 1.0)
    atoms.set_initial_magnetic_moments(moments * scale)
    spin, begun = is_spin_polarised(label.structure, settings), time.process_time()
    calculator = make_calculator(label.structure, settings, str(path.with_suffix(".txt")))
    if start == "shifted":
        atoms.positions += (1 / np.array(label.grid.shape)) @ label.grid.cell
    begin(calculator, atoms, settings)
    atoms.calc = calculator
    energy = float(atoms.get_potential_energy())
    deformation, magnetization, _ = deformation_density(calculator, atoms, spin)
    if start == "shifted":
        deformation = np.roll(deformation, (-1, -1, -1), (0, 1, 2))
        magnetization = None if magnetization is None else np.roll(magnetization, (-1, -1, -1), (0, 1, 2))
    meta = {
        "energy_eV": energy,
        "magmom": float(calculator.get_magnetic_moment()) if spin else 0.0,
        "iters": int(calculator.get_number_of_iterations()),
        "cpu_s": time.process_time() - begun,
        "start": start,
    }
    local = atoms.get_magnetic_moments() if spin else np.zeros(len(atoms))
    write_npz(Label(label.structure, deformation, magnetization, label.forces, local, meta), path)


def rivals(folders: list[Path]) -> None:
    """Print how the other states of every structure that has several differ from the one from the structure itself."""
    from rhotem.labels.quality import judge
    from rhotem.labels.states import State

    known = [(State.of(r, p.stem), r) for f in folders for p in sorted(f.glob("[!.]*.npz")) for r in [read_label(p)]]
    plain = [k for k in known if not _displaced(k[0]) and k[1].voxels is None]
    print("| structure | label | displaced start | judged | meV per atom | moment, µB | gap, eV | deformation error |")
    print("|---|---|---|---|---|---|---|---|")
    for state, other in known:
        for first, label in plain:
            if not _displaced(state) or not state.rivals(first):
                continue
            energy = 1000 * (state.energy - first.energy) / len(state.numbers)
            error = deformation_error(treated(other), treated(label), label.grid)
            told = " -> ".join(f"{r.meta.get('magmom', 0.0):.2f}" for r in (label, other))
            gaps = " -> ".join("?" if (g := r.meta.get("gap_eV")) is None else f"{g:.2f}" for r in (label, other))
            names = f"{label.structure.atoms.get_chemical_formula()} | {first.name} | {state.name}"
            print(f"| {names} | {judge(other).state} | {energy:+.1f} | {told} | {gaps} | {error:.3f} |", flush=True)


def _displaced(state: Any) -> bool:
    return bool((state.meta.get("settings") or {}).get("start_displacement"))


def grid(label: Label, factor: float) -> None:
    """Print how much a crystal's density depends on where it is on a finer grid of GPAW."""
    from rhotem.labels.deformation import deformation_density
    from rhotem.labels.gpaw_settings import DftSettings, dft_atoms, is_spin_polarised, parameters, require_gpaw

    settings = DftSettings(**(label.meta.get("settings") or {}))
    points = [2 * round(factor * n / 4) for n in label.grid.shape]  # labels are on a grid twice as fine
    spin, begun = is_spin_polarised(label.structure, settings), time.process_time()
    fields = []
    for step in (0, 1):
        atoms = dft_atoms(label.structure, settings)
        atoms.positions += step * (0.5 / np.array(points)) @ label.grid.cell
        atoms.calc = require_gpaw().GPAW(txt=None, gpts=tuple(points), **parameters(label.structure, settings))
        atoms.get_potential_energy()
        deformation = np.roll(deformation_density(atoms.calc, atoms, spin)[0], (-step,) * 3, (0, 1, 2))
        finer = PeriodicGrid(label.grid.cell, deformation.shape)
        fields.append(treat_near_nuclei(deformation, label.structure, finer)[0])
    errors = [f(fields[1], fields[0], finer) for f in (deformation_error, potential_error_ratio)]
    seconds = time.process_time() - begun
    print(f"{points} points, {seconds:.0f} CPU s: deformation {errors[0]:.2g}, potential {errors[1]:.2g}")


def alternating(moments: Floats) -> Floats:
    """Signs that turn every second of the magnetic atoms around."""
    signs = np.ones(len(moments))
    signs[np.flatnonzero(moments)[1::2]] = -1.0
    return signs


def treated(record: Label) -> Floats:
    return treat_near_nuclei(record.deformation.astype(float), record.structure, record.grid)[0]


def main(what: str, *arguments: str) -> None:
    if what == "symmetry":
        symmetry(Path(arguments[0]), [Path(a) for a in arguments[1:]])
    elif what == "states":
        states(Path(arguments[0]), Path(arguments[1]), list(arguments[2:]))
    elif what == "rivals":
        rivals([Path(a) for a in arguments])
    elif what == "grid":
        grid(read_label(arguments[0]), float(arguments[1]))
    else:
        sys.exit(f"{what}: expected symmetry, states, rivals or grid")


if __name__ == "__main__":
    main(*sys.argv[1:])
