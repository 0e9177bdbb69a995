"""From the frames of a film to the film: panels, file, still pictures, mean."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis.plan import Plan
from rhotem.analysis.voice import Voice
from rhotem.battery.film.draw import Atoms, Panel, pictures
from rhotem.battery.film.frames import FilmFrames
from rhotem.battery.film.movie import Picture, write_movie
from rhotem.battery.film.store import Store
from rhotem.battery.film.wanted import Film, Wanted
from rhotem.battery.trajectories.report import MOBILE
from rhotem.core import InputError, Progress
from rhotem.core.output import output_file, output_folder
from rhotem.microscope.images import ImageSet
from rhotem.microscope.outputs import write_images
from rhotem.microscope.scan import Scan

#: Pictures on the sheet of a film at most, side by side (twice as many of tall ones), and so many times smaller.
SHEET, ACROSS, SMALL = 8, 2, 2


def finish(store: Store, frames: FilmFrames, plan: Plan, out: Path, rest: tuple[Wanted, Voice]) -> Film:
    """Write the film, its first and last picture, a sheet of some, and the mean of the frames if asked for."""
    wanted, voice = rest
    names = [n for n in store.read("images") if not n.endswith(("x", "y"))]
    panels = _panels(store, names, wanted)
    path = out / f"film.{wanted.form}"
    ends = [(0, out / "first.png"), (len(frames) - 1, out / "last.png")]
    made = _overlooked(_drawn(store, panels, wanted, plan), len(frames), out / "overview.png")
    write_movie(_kept(made, ends, (voice.progress, len(frames))), path, wanted.fps)
    average = _average(store, out, plan) if wanted.average else None
    return Film(path, store.path, len(frames), average)


def _drawn(store: Store, panels: list[Panel], wanted: Wanted, plan: Plan) -> Any:
    numbers = np.array(store.read("numbers"))
    size = np.array([*store.read("size_angstrom"), 0.0])
    simulation = store.read("simulation")
    microscope = simulation.get("microscope", {})
    headline = (
        f"{microscope.get('energy', 0) / 1e3:g} kV, {microscope.get('convergence', 0):g} mrad, "
        f"{simulation.get('thickness', 0) / 10:.2f} nm, density: {plan.density.source}"
    )
    atoms = Atoms(store.array("positions_A"), numbers, _ions(numbers, wanted.element), size)
    return pictures(
        panels, atoms, _words(store), labels=store.read("labels"), headline=headline, overlay=wanted.overlay
    )


def _ions(numbers: np.ndarray, element: str) -> np.ndarray:
    from ase.data import atomic_numbers

    there = check_ion(numbers, element)
    named = element or next((one for one in MOBILE if one in there), "")
    return np.asarray(numbers == atomic_numbers.get(named, -1))


def check_ion(numbers: np.ndarray, element: str) -> set[str]:
    """The elements of a trajectory; InputError unless that which is asked for is among them."""
    from ase.data import chemical_symbols

    there = {chemical_symbols[z] for z in numbers}
    if element and element not in there:
        raise InputError(f"--element {element}: not in the trajectory; choose one of {', '.join(sorted(there))}")
    return there


def check_scales(scales: Iterable[str], names: Iterable[str]) -> None:
    """InputError where a scale is of an image that is not made."""
    unknown = sorted(set(scales) - set(names))
    if unknown:
        raise InputError(f"--scale {unknown[0]}: no such image; there are {', '.join(names)}")


def _words(store: Store) -> list[str]:
    """What stands above every picture."""
    times, numbers = store.read("times_fs"), store.read("frames_of_trajectory")
    if times is None:
        return [f"frame {number}" for number in numbers]
    unit, scale = ("ps", 1e3) if times[-1] >= 2e3 else ("fs", 1.0)
    return [
        f"t = {t / scale:.{3 if unit == 'ps' else 1}f} {unit} (frame {n})" for t, n in zip(times, numbers, strict=True)
    ]


def _panels(store: Store, names: list[str], wanted: Wanted) -> list[Panel]:
    size = tuple(store.read("size_angstrom"))
    noisy = store.read("simulation").get("microscope", {}).get("dose") is not None
    check_scales(wanted.scales, names)
    panels = []
    for name in names:
        values = store.array(name)
        unit = str(values.attrs["unit"])
        title = name if unit == "fraction of beam" else f"{name} ({unit})"
        panels.append(Panel(name, title, values, size, smooth=not noisy, ends=wanted.scales.get(name)))
    if wanted.difference:
        values = np.asarray(store.array("deformation"))
        panels.append(Panel("difference", "Δn − first frame (e/Å²)", values - values[0], size, signed=True))
    return panels


def _kept(made: Any, ends: Sequence[tuple[int, Path]], told: tuple[Progress, int]) -> Any:
    """The pictures, some of them written as PNG on their way; of a film of one frame it is the first and the last."""
    from PIL import Image

    for number, picture in enumerate(made):
        for path in (path for end, path in ends if end == number):
            with output_file(path) as target:
                Image.fromarray(picture).save(target)
        told[0]("film", number + 1, told[1])
        yield picture


def _overlooked(made: Iterable[Picture], frames: int, path: Path) -> Iterator[Picture]:
    """The pictures; some of them, evenly taken, on one sheet as a PNG when all have passed."""
    from PIL import Image

    chosen = set(np.linspace(0, frames - 1, min(SHEET, frames)).round().astype(int).tolist())
    small = []
    for number, picture in enumerate(made):
        if number in chosen:
            small.append(np.asarray(Image.fromarray(picture).reduce(SMALL)))
        yield picture
    across = min(ACROSS if small[0].shape[1] > small[0].shape[0] else 2 * ACROSS, len(small))
    small += [np.full_like(small[0], 255)] * (-len(small) % across)
    rows = [np.concatenate(small[n : n + across], axis=1) for n in range(0, len(small), across)]
    with output_file(path) as target:
        Image.fromarray(np.concatenate(rows)).save(target)


def _average(store: Store, out: Path, plan: Plan) -> Path:
    """Mean of all frames, and its standard error, as images; frames as configurations of thermal motion."""
    scan = Scan(
        tuple(np.array(store.array(store.read("images")[0])).shape[1:]),
        tuple(store.read("size_angstrom")),
        tuple(store.read("origin_angstrom")),
    )
    record = {**store.read("simulation"), "configurations": store.frames, "phonon_error": {}}
    means, errors = {}, {}
    for name in store.read("images"):
        stack = np.asarray(store.array(name), dtype=float)
        means[name] = stack.mean(axis=0)
        errors[name] = stack.std(axis=0, ddof=1) / np.sqrt(len(stack)) if len(stack) > 1 else 0.0 * stack[0]
    folder, words = out / "average", f"mean of {store.frames} frames"
    with output_folder(folder) as inside:
        for values, place, said in ((means, inside, words), (errors, inside / "error", f"standard error, {words}")):
            shown = ImageSet(values, scan, np.zeros((0, 0)), (1.0, 1.0), record=record)
            write_images(
                shown,
                place,
                labels=store.read("labels"),
                source=str(plan.density.source),
                phonons=store.frames,
                motion=said,
                pixel=None,
            )
    return folder
