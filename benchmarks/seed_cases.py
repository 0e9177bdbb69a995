"""Monolayers with vacancies, a molecule in a zeolite, beam-sensitive salts: what bonding changes, and at which dose.

    OMP_NUM_THREADS=1 python benchmarks/seed_cases.py [NAME ...]    # simulates; again after an interruption: goes on
    python benchmarks/seed_cases_page.py                            # tables and figures of docs/seed-cases.md

Every piece is a file of its own in runs/seeds. Sources of one cell share the displacements of its atoms.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pattern_observer import both_patterns, doses, drawn_ssb, patterns_of
from rhotem.analysis import responses, run
from rhotem.analysis.detect.features import parse_feature
from rhotem.analysis.detect.simulated import simulate_feature, wide_host
from rhotem.analysis.detect.sweep import sweep
from rhotem.analysis.specimen import Specimen
from rhotem.battery.builders.adsorb import molecule_of
from rhotem.battery.builders.guest import guested
from rhotem.learned.source import Model
from rhotem.microscope.reconstruct.registry import make_method
from rhotem.microscope.scan import Scan
from rhotem.scattering.response import Response
from rhotem.structure.build import repeated, vacancy
from rhotem.structure.edits.sheets import sheets
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

RUNS = Path("runs/seeds")
#: Å of vacuum beside sheets, and around a molecule alone.
VACUUM = 12.0
#: Thermal configurations of a contrast; members of the density that give its error, of the eight.
SEEDS, MEMBERS = 4, (0, 2, 4, 6)
#: Sheets: what is cut, and which atom is missing.
SHEETS = {"MoS2": "S", "WS2": "S", "hBN": None}
#: Sheets whose density is calculated by DFT, too (GPAW, PBE, 600 eV).
WITH_DFT = ("MoS2", "hBN", "WS2")
#: kV and mrad of sheets, of the zeolite and of the salts; Å of the waves of the latter two.
SHEET_LENS = {"energy": 80.0, "convergence": 30.0}
ZEOLITE_LENS, ZEOLITE_PIXEL = {"energy": 300.0, "convergence": 15.0}, 0.1
SALT_LENS, SALT_PIXEL = {"energy": 200.0, "convergence": 22.0}, 0.08
#: Cells of the zeolite along the beam.
ZEOLITE_CELLS = (1, 2)
#: e/Å² of the noisy pictures of the zeolite and of the salts.
ZEOLITE_DOSES, SALT_DOSES = (40.0, 400.0), (1e3, 1e4)
#: Salts, nm, features of what is missing in one column.
SALTS = {"LiF": (2.0, ("vacancy:Li:100%", "vacancy:Li")), "Li2O": (2.0, ("vacancy:Li:100%", "vacancy:Li"))}


def lens(settings: dict[str, float], *detectors: str) -> Any:
    """A preset of these settings and detectors."""
    return run.adjusted_preset("layered-oxide", **settings, detectors=detectors)


def sheet(name: str, size: int = 2) -> Structure:
    """A monolayer of so many cells a side; one atom of the upper half column missing where a defect is named."""
    made = repeated(sheets(phase(name), 1, VACUUM), size, size, 1)
    return vacancy(made, SHEETS[name], 1) if SHEETS[name] else made


def sheet_cut(name: str, *detectors: str) -> Specimen:
    """The sheet as it is imaged."""
    preset = lens(SHEET_LENS, *detectors)
    return run.specimen(sheet(name), (0, 0, 1), basis="input", keep_cell=True, preset=preset)


def phases_of(cut: Specimen, field: Any, seed: int) -> dict[str, np.ndarray]:
    """Phases by single sidebands and by the integrated centre of mass, in rad."""
    potentials = run.potential(cut, field, phonons=1, seed=seed)
    shown = run.image(cut, potentials)
    return {"iCoM": shown.images["iCoM"], "SSB": make_method("ssb").reconstruct(patterns_of(cut, shown))["SSB"]}


def sheet_phases(name: str, source: str) -> dict[str, np.ndarray]:
    """Phases (configurations, nx, ny) of a sheet with one source of the density."""
    cut = sheet_cut(name, "CoM=60", "4D=30")
    field = run.density(cut, source, **({"cache": RUNS / "gpaw"} if source == "gpaw" else {}))
    every = [phases_of(cut, field, seed) for seed in range(SEEDS)]
    return {image: np.stack([one[image] for one in every]) for image in every[0]}


def sheet_members(name: str) -> dict[str, np.ndarray]:
    """Phases (members, nx, ny) of the members of the learned density, all moving as the first configuration."""
    cut, model = sheet_cut(name, "CoM=60", "4D=30"), Model()
    crystal = cut.cell.unrotated
    fields = list(model.members(crystal, run.density_grid(model, crystal)))
    every = [phases_of(cut, fields[n], 0) for n in MEMBERS]
    return {image: np.stack([one[image] for one in every]) for image in every[0]}


def pictures(held: Response, dose: float) -> dict[str, np.ndarray]:
    """Images of one cell counted at a dose in e/Å²; 0: without noise."""
    plain = replace(held, microscope=held.microscope.model_copy(update={"pixel": None}), _ready={})
    scan = Scan.cell(held.extent, plain.microscope)
    shown = plain.images(scan=scan, **({"dose": dose, "rng": np.random.default_rng(3)} if dose else {}))
    return {name: np.asarray(image, np.float32) for name, image in shown.images.items()}


def rows_of(cut: Specimen, written: str) -> list[dict[str, Any]]:
    """Doses for d′ = 5 of the detectors of a specimen, in focus, learned density."""
    feature = parse_feature(written)
    made = simulate_feature(cut, feature, phonons=1)
    return [asdict(row) for row in sweep(made, feature, dose=1e4, defocus=[0.0]).rows]


def sheet_doses(name: str, written: str) -> dict[str, Any]:
    """Doses at which a change of a perfect sheet is seen."""
    perfect = sheets(phase(name), 1, VACUUM)
    cut = [
        run.specimen(perfect, (0, 0, 1), basis="input", keep_cell=True, preset=lens(SHEET_LENS, *detectors))
        for detectors in (("ADF=60-140", "ABF=15-30", "DPC=8-30", "CoM=60"), ("4D=60",))
    ]
    return {"rows": rows_of(cut[0], written), "patterns": doses(*both_patterns(cut[1], written))}


def drawn_sheet(name: str, written: str) -> dict[str, Any]:
    """d′ of single sidebands from drawn counts where it is predicted to be 2, 3.5 and 5."""
    perfect = sheets(phase(name), 1, VACUUM)
    cut = run.specimen(perfect, (0, 0, 1), basis="input", keep_cell=True, preset=lens(SHEET_LENS, "4D=30"))
    both = both_patterns(cut, written)
    return {"drawn": {f"{wanted:g}": drawn_ssb(*both, wanted) for wanted in (2.0, 3.5, 5.0)}}


def zeolite(detectors: tuple[str, ...], cells: int) -> Specimen:
    """Silicalite along [010] with one benzene molecule a cell in an intersection of its channels."""
    filled = guested(phase("silicalite"), molecule_of("C6H6"), 1, np.random.default_rng(0)).structure
    preset, deep = lens(ZEOLITE_LENS, *detectors), 0.1 * cells * float(filled.cell[1, 1])
    cutting = {"thickness": deep, "preset": preset, "sampling": ZEOLITE_PIXEL}
    return run.specimen(filled, (0, 1, 0), basis="input", keep_cell=True, **cutting)


def zeolite_doses(source: str, cells: int) -> dict[str, Any]:
    """Doses at which the molecules of one column are seen, by a source."""
    cut = zeolite(("ADF=25-60", "ABF=8-15", "DPC=4-22", "CoM=30"), cells)
    feature = parse_feature("molecule:C:100%")
    made = simulate_feature(cut, feature, source=source, phonons=1)
    found = sweep(made, feature, dose=1e3, defocus=[0.0])
    place = {"place": list(made.pair.place), "atoms": made.pair.atoms} if made.pair else {}
    held = {"with": made.before, "without": made.after}
    images = {f"{when} {dose:g}": pictures(one, dose) for when, one in held.items() for dose in (0.0, *ZEOLITE_DOSES)}
    flat = {f"{when} {name}": image for when, own in images.items() for name, image in own.items()}
    np.savez_compressed(RUNS / f"zeolite-{source}-{cells}.npz", **flat, size=np.array(made.before.extent))
    return {"rows": [asdict(row) for row in found.rows], **place}


def molecule_phase(source: str) -> dict[str, np.ndarray]:
    """Projected phase of the molecule alone in its box, in the turn it has in the zeolite."""
    from rhotem.potential.slices import build_potential

    filled = guested(phase("silicalite"), molecule_of("C6H6"), 1, np.random.default_rng(0))
    alone = filled.structure.atoms[filled.region == 1]
    alone.set_cell(np.ptp(alone.positions, axis=0) + VACUUM * 0.75)
    alone.center()
    alone.pbc = True
    cut = run.specimen(Structure(alone), (0, 1, 0), basis="input", keep_cell=True, preset=lens(ZEOLITE_LENS, "CoM=30"))
    field = run.density(cut, source, **({"cache": RUNS / "gpaw"} if source == "gpaw" else {}))
    slices = build_potential(cut.block, cut.grid, field)
    projected = np.asarray(slices.array, float).sum(axis=0)
    return {"projected": projected, "lengths": np.array(cut.block.lengths[:2])}


def salt_cut(name: str, nm: float, *detectors: str) -> Specimen:
    """A salt along [110], where every column is of one element."""
    preset = lens(SALT_LENS, *detectors)
    return run.specimen(phase(name), (1, 1, 0), thickness=nm, preset=preset, sampling=SALT_PIXEL)


def salt_doses(name: str, nm: float, written: str) -> dict[str, Any]:
    """Doses at which a column, or one atom of it, is seen to be missing."""
    rows = rows_of(salt_cut(name, nm, "HAADF=60-100", "ABF=11-22", "DPC=6-22", "CoM=44"), written)
    return {"rows": rows, "patterns": doses(*both_patterns(salt_cut(name, nm, "4D=44"), written))}


def salt_pictures(name: str, nm: float) -> dict[str, np.ndarray]:
    """Images of a salt 12 Å wide at some doses, phases by single sidebands among them; 0: no noise."""
    host = wide_host(salt_cut(name, nm, "HAADF=60-100", "ABF=11-22", "DPC=6-22", "CoM=44"))
    potentials = run.potential(host, run.density(host), phonons=1)
    held, made = responses.response(host, potentials), {}
    camera = replace(host, preset=lens(SALT_LENS, "4D=22"))
    patterns, rng = patterns_of(camera, run.image(camera, potentials)), np.random.default_rng(4)
    for dose in (0.0, *SALT_DOSES):
        electrons = dose * float(np.prod(patterns.scan.step))
        data = patterns.data if not dose else (rng.poisson(electrons * patterns.data.astype(float)) / electrons)
        counted = replace(patterns, data=data.astype(np.float32))
        own = {**pictures(held, dose), "SSB": make_method("ssb").reconstruct(counted)["SSB"]}
        made |= {f"{dose:g} {image}": picture for image, picture in own.items()}
    return {**made, "size": np.array(held.extent)}


def pieces() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Every file and what makes it, the quickest of each kind first."""
    for name in SHEETS:
        for source in ("free-atoms", "model"):
            yield f"sheet-{name}-{source}", partial(sheet_phases, name, source)
        yield f"sheet-{name}-members", partial(sheet_members, name)
    for name, missing in SHEETS.items():
        for written in ([f"vacancy:{missing}"] if missing else ["vacancy:B", "vacancy:N"]) + ["density"]:
            yield f"doses-{name}-{written}", partial(sheet_doses, name, written)
    yield "doses-drawn-hBN", partial(drawn_sheet, "hBN", "density")
    for name, (nm, features) in SALTS.items():
        for written in features:
            yield f"doses-{name}-{written}", partial(salt_doses, name, nm, written)
        yield f"salt-{name}", partial(salt_pictures, name, nm)
    for source in ("free-atoms", "model"):
        yield f"molecule-{source}", partial(molecule_phase, source)
        for cells in ZEOLITE_CELLS:
            yield f"doses-zeolite-{source}-{cells}", partial(zeolite_doses, source, cells)
    for name in WITH_DFT:
        yield f"sheet-{name}-gpaw", partial(sheet_phases, name, "gpaw")
    yield "molecule-gpaw", partial(molecule_phase, "gpaw")


def main(wanted: list[str]) -> None:
    """Make the files that are not there."""
    RUNS.mkdir(parents=True, exist_ok=True)
    for stem, maker in pieces():
        arrays = stem.startswith(("sheet-", "molecule-", "salt-"))
        path = RUNS / f"{stem.replace(':', '-')}{'.npz' if arrays else '.json'}"
        if path.exists() or (wanted and not any(word in stem for word in wanted)):
            continue
        began, made = time.process_time(), maker()
        temporary = path.with_name(f"tmp-{path.name}")
        if arrays:
            np.savez_compressed(temporary, **{k: np.asarray(v, np.float32) for k, v in made.items()})
        else:
            temporary.write_text(json.dumps({**made, "cpu_s": time.process_time() - began}))
        temporary.rename(path)
        print(f"{stem}: {time.process_time() - began:.1f} CPU s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
