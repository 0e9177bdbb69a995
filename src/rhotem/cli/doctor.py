"""`rhotem doctor`: what is installed, which device, how fast."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import typer

import rhotem
from rhotem.analysis import PHONONS
from rhotem.cli.common import JsonOption, to_json
from rhotem.core.threads import available_cores

if TYPE_CHECKING:
    from rhotem.analysis.run import Specimen

app = typer.Typer()

#: Packages that matter, and what is missing without them ("": RhoTEM does not start).
PACKAGES = {
    "numpy": "",
    "scipy": "",
    "ase": "",
    "spglib": "",
    "finufft": "",
    "abtem": "",
    "h5py": "",
    "zarr": "",
    "rosettasciio": "",
    "matplotlib": "",
    "gpaw": "new DFT densities",
    "torch": "training and imported networks",
    "cupy": "images on an NVIDIA GPU",
}

#: How to install what is optional.
INSTALL = {
    "gpaw": "scripts/install-gpaw.sh in a checkout, or CC=g++ CXX=g++ pip install 'rhotem[gpaw]' (docs/install.md)",
    "torch": "pip install 'rhotem[training]'",
    "cupy": "pip install cupy-cuda12x",
}

#: Edge of the square transforms that are timed, in pixels: about one primitive cell's worth of STEM probe.
FFT_EDGE = 256


@app.command()
def doctor(
    as_json: JsonOption = False,
    seconds: float = typer.Option(2.0, min=0.1, max=60.0, help="How long to measure the speed."),
) -> None:
    """What is installed, which device, which sources and presets there are, how fast it is."""
    measured = speed(seconds)
    report = {
        "rhotem": rhotem.__version__,
        "python": {"version": sys.version.split()[0], "path": sys.executable},
        "device": device(),
        "packages": packages(),
        "sources": sources(),
        "models": models(),
        "speed": measured,
        "presets": presets(1e9 * measured["fft_giga_operations_per_second_and_core"]),
    }
    typer.echo(to_json(report)) if as_json else _show(report)


def device() -> dict[str, Any]:
    """Cores this process may use, memory in bytes, and the names of NVIDIA GPUs."""
    cores = available_cores()
    page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    gpus: list[str] = []
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        gpus = answer.stdout.strip().splitlines() if answer.returncode == 0 else []
    return {"cores": cores, "threads": os.environ.get("OMP_NUM_THREADS"), "memory_bytes": page * pages, "gpus": gpus}


def packages() -> dict[str, str | None]:
    """Versions of the packages RhoTEM works with; None where one is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        # CuPy's distributions are named after the CUDA version they are built for.
        names = [name] if name != "cupy" else ["cupy", "cupy-cuda13x", "cupy-cuda12x", "cupy-cuda11x"]
        found[name] = next((v for v in map(_version, names) if v), None)
    return found


def sources() -> dict[str, str]:
    """What ``--source`` may be, and for each "ready" or what is missing."""
    from rhotem.core.registry import registered
    from rhotem.density.source import GROUP

    found = {}
    for name, entry in registered(GROUP).items():
        try:
            entry.load()
        except Exception as error:  # a source of another package may fail in any way
            found[name] = f"cannot be loaded: {error}"
        else:
            found[name] = gpaw_state() if name == "gpaw" else "ready"
    return found


def models() -> dict[str, Any]:
    """The default model, what it was measured at, and models imported by the user; read without PyTorch."""
    from importlib.resources import files

    from rhotem.core.folders import models_folder

    found: dict[str, Any] = {"default": None, "imported": sorted(p.stem for p in models_folder().glob("*.safetensors"))}
    weights = files("rhotem.learned") / "shipped"
    if (weights / "default.safetensors").is_file():
        info = json.loads((weights / "default.json").read_text()).get("info", {})
        measured = info.get("accuracy", {})
        errors = {name: round(result["deformation_error"], 3) for name, result in measured.items() if result}
        found["default"] = {"name": info.get("name", "default"), "deformation_error": errors}
    return found


def presets(operations: float) -> dict[str, dict[str, Any]]:
    """What ``--preset`` may be, what each is for, whether it runs here, and seconds and bytes of its image of LiCoO2.

    The image is that of `rhotem image LiCoO2 --preset ...`: what its plan says; for a parallel beam at ``operations``
    per second and core, with potentials as a thin one takes, scaled with their size.
    """
    from rhotem.analysis import run
    from rhotem.core import RhoTEMError
    from rhotem.microscope.presets import DEFAULT_PRESET, PRESETS

    crystal = run.structure("LiCoO2")
    zone, _ = run.direction(crystal, None, None)
    cut = run.specimen(crystal, zone, preset=DEFAULT_PRESET, thickness=1.0, at_rest=False)
    field, spent = run.density(cut), []
    for _ in range(3):  # the first loads tables
        started = time.perf_counter()
        points = next(iter(run.potential(cut, field, phonons=0))).array.size
        spent.append(time.perf_counter() - started)
    rate = min(spent) / points
    found: dict[str, dict[str, Any]] = {}
    for name, preset in PRESETS.items():
        found[name] = {"about": preset.about, "default": name == DEFAULT_PRESET}
        try:
            found[name] |= {
                "runs": True,
                **_cost(run.specimen(crystal, zone, preset=preset, at_rest=False), rate, operations),
            }
        except RhoTEMError as error:
            found[name] |= {"runs": False, "why": str(error)}
        except Exception as error:  # a doctor must not fall ill: whatever is broken is the finding
            found[name] |= {"runs": False, "why": f"{type(error).__name__}: {error}"}
    return found


def _cost(cut: "Specimen", rate: float, operations: float) -> dict[str, float]:
    """Seconds and bytes of the default number of configurations, ``rate`` seconds per point of their potentials."""
    import numpy as np

    from rhotem.core import PeriodicGrid
    from rhotem.microscope.plan import make_plan
    from rhotem.microscope.scan import Scan
    from rhotem.potential.slices import PotentialSlices

    (nx, ny, slices), finer = cut.grid.shape, cut.oversampling
    building = PHONONS * rate * cut.grid.size * finer**2
    if cut.preset.mode != "stem":
        wave = PHONONS * slices * nx * ny * (10 * np.log2(nx * ny) + 24) / operations
        return {"seconds": round(building + wave, 1), "memory_bytes": 12.0 * cut.grid.size + 2e8}
    # A plan looks at sizes only.
    grid = PeriodicGrid(cut.grid.cell, (finer * nx, finer * ny, slices))
    array = np.broadcast_to(np.float32(0), (slices, finer * nx, finer * ny))
    empty = PotentialSlices(array, grid, 0.0, oversampling=finer)
    scan = Scan.cell(empty.extent, cut.preset.microscope)
    plan = make_plan(empty, cut.preset.microscope, scan, cut.preset.detectors, configurations=PHONONS)
    return {"seconds": round(plan.seconds, 1), "memory_bytes": plan.memory}


def gpaw_state() -> str:
    """Say "ready", or why GPAW cannot be used. Asked in another process: a broken build can end the one that asks."""
    code = "import gpaw, sys; sys.exit(0 if gpaw.setup_paths else 3)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if answer.returncode == 0:
        return "ready"
    if answer.returncode == 3:
        return "no PAW data sets: pip install gpaw-data"
    if _version("gpaw") is None:
        return f"not installed: {INSTALL['gpaw']}"
    return f"broken: {(answer.stderr.strip().splitlines() or ['ended by a signal'])[-1]}"


def speed(seconds: float) -> dict[str, Any]:
    """Rate of the transforms that multislice spends its time on.

    Two-dimensional single-precision FFTs, the fastest of many so that other work of the machine does not count, in
    million pixels per second and in 10⁹ operations per second and core, counted as 5 N log2 N.
    """
    import numpy as np
    import scipy.fft

    waves = np.ones((8, FFT_EDGE, FFT_EDGE), np.complex64)
    workers = device()["cores"]
    scipy.fft.fft2(waves, workers=workers)  # plans and threads
    start, fastest = time.perf_counter(), float("inf")
    while (begun := time.perf_counter()) - start < seconds:
        scipy.fft.fft2(waves, workers=workers)
        fastest = min(fastest, time.perf_counter() - begun)
    rate = waves.size / fastest
    operations = rate * 5 * np.log2(FFT_EDGE**2) / workers
    return {
        "fft_edge": FFT_EDGE,
        "fft_million_pixels_per_second": round(rate / 1e6, 1),
        "fft_giga_operations_per_second_and_core": round(operations / 1e9, 2),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    hardware = report["device"]
    threads = f" (OMP_NUM_THREADS={hardware['threads']})" if hardware["threads"] else ""
    table.add_row("RhoTEM", report["rhotem"])
    table.add_row("Python", f"{report['python']['version']}  {report['python']['path']}")
    table.add_row("Device", f"{hardware['cores']} cores{threads}, {hardware['memory_bytes'] / 1e9:.1f} GB memory")
    table.add_row("GPU", "; ".join(hardware["gpus"]) or "none found")
    table.add_section()
    for name, version in report["packages"].items():
        missing = f"[yellow]not installed[/]: needed for {PACKAGES[name]}" if PACKAGES[name] else "[red]missing[/]"
        table.add_row(name, version or missing)
    table.add_section()
    for name, state in report["sources"].items():
        table.add_row(f"--source {name}", "[green]ready[/]" if state == "ready" else f"[yellow]{state}[/]")
    table.add_section()
    model = report["models"]["default"]
    errors = ", ".join(f"{name} {error}" for name, error in (model or {}).get("deformation_error", {}).items())
    shown = f"{model['name']}: deformation error {errors or 'not measured'}" if model else "none"
    table.add_row("Default model", shown)
    for name in report["models"]["imported"]:
        table.add_row(f"--source {name}", "imported model")
    table.add_section()
    for name, preset in report["presets"].items():
        cost = f"LiCoO2 about {preset['seconds']:.0f} s" if preset["runs"] else f"[red]does not run: {preset['why']}[/]"
        table.add_row(f"--preset {name}", f"{preset['about']}; {cost}" + (" (default)" if preset["default"] else ""))
    table.add_section()
    rate = report["speed"]
    table.add_row("FFT", f"{rate['fft_million_pixels_per_second']:.0f} million pixels per second ({rate['fft_edge']}²)")
    console.print(table)
