"""`rhotem doctor`: what is installed, which device, how fast."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from typing import Any

import typer

import rhotem
from rhotem.cli.common import JsonOption, to_json

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
    "torch": "the learned density",
    "cupy": "images on an NVIDIA GPU",
}

#: How to install what is optional.
INSTALL = {
    "gpaw": "scripts/install-gpaw.sh in a checkout, or CC=g++ CXX=g++ pip install 'rhotem[gpaw]' (docs/install.md)",
    "torch": "pip install 'rhotem[models]'",
    "cupy": "pip install cupy-cuda12x",
}

#: Edge of the square transforms that are timed, in pixels: about one primitive cell's worth of STEM probe.
FFT_EDGE = 256

#: Frozen-phonon configurations of the default image.
PHONONS = 8


@app.command()
def doctor(
    as_json: JsonOption = False,
    seconds: float = typer.Option(2.0, min=0.1, max=60.0, help="How long to measure the speed."),
) -> None:
    """What is installed, which device, which sources and presets there are, how fast it is."""
    report = {
        "rhotem": rhotem.__version__,
        "python": {"version": sys.version.split()[0], "path": sys.executable},
        "device": device(),
        "packages": packages(),
        "sources": sources(),
        "presets": presets(),
        "speed": speed(seconds),
    }
    typer.echo(to_json(report)) if as_json else _show(report)


def device() -> dict[str, Any]:
    """Cores this process may use, memory in bytes, and the names of NVIDIA GPUs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
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
    from importlib.metadata import entry_points

    from rhotem.density.source import GROUP

    found = {}
    for entry in sorted(entry_points(group=GROUP)):
        try:
            entry.load()
        except Exception as error:  # a source of another package may fail in any way
            found[entry.name] = f"cannot be loaded: {error}"
        else:
            found[entry.name] = gpaw_state() if entry.name == "gpaw" else "ready"
    return found


def presets() -> dict[str, str]:
    """What ``--preset`` may be, and what each is for."""
    from rhotem.microscope.presets import PRESETS

    return {name: preset.about for name, preset in PRESETS.items()}


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
    """Rate of the transforms that multislice spends its time on, and what the default image will take at that rate.

    Two-dimensional single-precision FFTs, in million pixels per second and in 10⁹ operations per second and core,
    counted as 5 N log2 N. The default image is LiCoO2 along [100]; its time comes from the plan that `rhotem image`
    prints, whose cost model is scaled to the rate measured here.
    """
    import numpy as np
    import scipy.fft

    waves = np.ones((8, FFT_EDGE, FFT_EDGE), np.complex64)
    workers = device()["cores"]
    scipy.fft.fft2(waves, workers=workers)  # plans and threads
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        scipy.fft.fft2(waves, workers=workers)
        count += waves.size
    rate = count / spent
    operations = rate * 5 * np.log2(FFT_EDGE**2) / workers
    try:
        image: float | str = round(_default_image_seconds(operations), 1)
    except Exception as error:  # a doctor must not fall ill: whatever is broken is the finding
        image = f"{type(error).__name__}: {error}"
    return {
        "fft_edge": FFT_EDGE,
        "fft_million_pixels_per_second": round(rate / 1e6, 1),
        "fft_giga_operations_per_second_and_core": round(operations / 1e9, 2),
        "default_image_seconds": image,
    }


def _default_image_seconds(operations: float) -> float:
    """Time to build the potential of the default image of LiCoO2 (measured) and to simulate it (planned)."""
    from rhotem.analysis import run
    from rhotem.microscope.plan import FFT_LARGE, make_plan
    from rhotem.microscope.scan import Scan

    started = time.perf_counter()
    crystal = run.structure("LiCoO2")
    indices, plane = run.direction(crystal, None, None)
    cut = run.specimen(crystal, indices, plane=plane)
    potential = next(iter(run.potential(cut, run.density(cut), phonons=0)))
    building = time.perf_counter() - started
    scan = Scan.cell(potential.extent, cut.preset.microscope)
    plan = make_plan(potential, cut.preset.microscope, scan, cut.preset.detectors, configurations=PHONONS)
    return PHONONS * building + plan.seconds / (FFT_LARGE * operations)


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
    for name, about in report["presets"].items():
        table.add_row(f"--preset {name}", about)
    table.add_section()
    rate = report["speed"]
    table.add_row("FFT", f"{rate['fft_million_pixels_per_second']:.0f} million pixels per second ({rate['fft_edge']}²)")
    image = rate["default_image_seconds"]
    table.add_row(
        "Default image", f"[red]fails: {image}[/]" if isinstance(image, str) else f"LiCoO2, about {image:.0f} s"
    )
    console.print(table)
