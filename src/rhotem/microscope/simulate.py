"""`simulate`: potentials in, calibrated images out."""

import time
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MemoryLimitError, Progress, silent
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.images import ImageSet
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Detector, Microscope, Segmented
from rhotem.microscope.signals import count, divergence, phase_image, segments_to_moment, source_blur
from rhotem.potential.slices import PotentialSlices

#: Least extent in Å of the supercell that a probe lives on, so that its images do not overlap.
PROBE_CELL = 20.0


def simulate(
    potentials: Iterable[PotentialSlices],
    microscope: Microscope,
    detectors: "tuple[Detector, ...] | list[Detector]",
    *,
    repeats: tuple[int, int] = (1, 1),
    configurations: int = 1,
    memory: float | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> ImageSet:
    """Images of one cell of a crystal from potentials that are periodic across the beam.

    Parameters
    ----------
    potentials : iterable of PotentialSlices
        One per frozen-phonon configuration, on one grid; intensities are averaged.
    microscope, detectors
    repeats : (int, int)
        The lateral cell of the potentials holds this many equal cells, but for thermal motion. Images show one of
        them, averaged over all: each is a further sample of the motion.
    configurations : int
        How many potentials to expect, for the progress.
    memory : float, optional
        Bytes that may be used.
    seed : int
        Of the counting noise.
    progress : Progress

    Raises
    ------
    InputError
        If there is no potential, or the grids differ.
    MemoryLimitError
        If ``memory`` is not enough.
    """
    started = time.perf_counter()
    stream = iter(potentials)
    first = next(stream, None)
    if first is None:
        raise InputError("no potential to simulate; give at least one configuration")
    cell = Scan.cell((first.extent[0] / repeats[0], first.extent[1] / repeats[1]), microscope)
    whole = Scan((cell.shape[0] * repeats[0], cell.shape[1] * repeats[1]), first.extent)
    tiling = tuple(int(np.ceil(PROBE_CELL / length)) for length in first.extent)
    engine = BlochEngine(microscope, first.extent, first.grid.shape[:2], first.thickness, (tiling[0], tiling[1]))
    _check_memory(engine, first, memory)
    recorder = Recorder(detectors, len(whole.positions), microscope.wavelength, engine.supercell)
    total, done, runs = engine.beams * configurations, 0, 0

    def advance(beams: int) -> None:
        nonlocal done
        done += beams
        progress("multislice", done, total)

    for slices in chain([first], stream):
        engine.run(slices.array, whole.positions, {len(slices.array): recorder}, advance)
        runs += 1
    sums = recorder.sums.reshape(repeats[0], cell.shape[0], repeats[1], cell.shape[1], -1).mean((0, 2)) / runs
    signals = {c.name: sums[..., i] for i, c in enumerate(recorder.channels)}
    record: dict[str, Any] = {
        "algorithm": "Bloch beams (multislice of every beam of the probe in one cell)",
        "beams": engine.beams,
        "supercell_angstrom": list(engine.supercell),
        "configurations": runs,
        "scan_step_angstrom": list(cell.step),
        "seconds": time.perf_counter() - started,
    }
    images = _images(signals, detectors, cell, microscope, np.random.default_rng(seed))
    step = tuple(1e3 * microscope.wavelength * s for s in recorder.step)
    patterns = {name: p.reshape(*whole.shape, *p.shape[1:]) / runs for name, p in recorder.patterns.items()}
    pacbed = recorder.pacbed / (runs * len(whole.positions))
    return ImageSet(images, cell, pacbed, (step[0], step[1]), patterns, record)


def _check_memory(engine: BlochEngine, slices: PotentialSlices, memory: float | None) -> None:
    """Waves, transmission functions and scattering matrices must fit."""
    beams = max(len(group.vectors) for group in engine.groups)
    pixels = engine.shape[0] * engine.shape[1]
    needed = 8.0 * pixels * (3 * len(slices.array) + 2 * beams + engine.batch * engine.threads)
    if memory is not None and needed > memory:
        raise MemoryLimitError(
            f"needs {needed / 1e9:.2f} GB, {memory / 1e9:.2f} GB allowed; allow more, or use a coarser sampling, "
            "a thinner specimen or a smaller outer detector angle"
        )


def _images(
    signals: dict[str, npt.NDArray],
    detectors: "tuple[Detector, ...] | list[Detector]",
    scan: Scan,
    microscope: Microscope,
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[np.float64]]:
    """What an operator sees: source size and counting noise first, then what is computed from the signals."""
    signals = {name: source_blur(signal, scan, microscope.source_size) for name, signal in signals.items()}
    images: dict[str, npt.NDArray[np.float64]] = {}
    for detector in detectors:
        if isinstance(detector, Annular):
            images[detector.name] = _counted(signals[detector.name], scan, microscope, rng)
        elif isinstance(detector, Segmented):
            parts = [_counted(signals[f"{detector.name}segment{i}"], scan, microscope, rng) for i in range(4)]
            x, y = segments_to_moment(np.stack(parts), detector)
            images |= _phase_contrast(detector.name, ("DPCx", "DPCy", "iDPC", "dDPC"), x, y, scan, microscope)
        elif isinstance(detector, CenterOfMass):
            x, y = signals[f"{detector.name}CoMx"], signals[f"{detector.name}CoMy"]
            images |= _phase_contrast(detector.name, ("CoMx", "CoMy", "iCoM", "dCoM"), x, y, scan, microscope)
    return images


def _counted(signal: npt.NDArray, scan: Scan, microscope: Microscope, rng: np.random.Generator) -> npt.NDArray:
    return signal if microscope.dose is None else count(signal, scan, microscope.dose, rng)


def _phase_contrast(
    prefix: str, names: tuple[str, str, str, str], x: npt.NDArray, y: npt.NDArray, scan: Scan, microscope: Microscope
) -> dict[str, npt.NDArray[np.float64]]:
    phase = phase_image(x, y, scan, microscope.wavelength)
    return {prefix + n: v for n, v in zip(names, (x, y, phase, divergence(x, y, scan)), strict=True)}
