"""Figures of docs/seed-cases.md."""

from pathlib import Path
from typing import Any

import numpy as np

from seed_cases import RUNS, SALT_DOSES, SALTS, SHEETS, ZEOLITE_DOSES, sheet_cut

#: Images of a salt that are drawn.
SALT_IMAGES = ("HAADF", "ABF", "iDPC", "iCoM", "SSB")


def load(stem: str) -> dict[str, np.ndarray] | None:
    """A file of arrays, if it is there."""
    path = RUNS / f"{stem}.npz"
    return dict(np.load(path)) if path.exists() else None


def fine(image: np.ndarray, size: tuple[float, float], pixel: float = 0.1) -> np.ndarray:
    """A periodic image on finer pixels by its Fourier series."""
    from scipy.signal import resample

    shape = [max(n, round(length / pixel)) for n, length in zip(image.shape, size, strict=True)]
    return np.asarray(resample(resample(image, shape[0], axis=0), shape[1], axis=1))


def show(axes: Any, image: np.ndarray, size: tuple[float, float], title: str, limits: Any = None) -> Any:
    """A picture with its title, x to the right and y upwards."""
    low, high = limits or (None, None)
    extent = (0, size[0], 0, size[1])
    colours = "RdBu_r" if limits and low == -high else "gray"
    drawn = axes.imshow(image.T, origin="lower", extent=extent, cmap=colours, vmin=low, vmax=high)
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    return drawn


def save(figure: Any, path: Path, colours: int = 200) -> None:
    """A picture of few colours, so that noise stays small on disk."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    Image.open(buffer).convert("RGB").quantize(colours).save(path, optimize=True)


def draw_sheets(path: Path) -> None:
    """Phases of the sheets by single sidebands: learned, what bonding changes, what DFT changes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 6.6), layout="constrained", dpi=80)
    axes = figure.subplots(len(SHEETS), 3)
    for row, name in enumerate(SHEETS):
        made = {s: load(f"sheet-{name}-{s}") for s in ("free-atoms", "model", "gpaw")}
        lengths = sheet_cut(name, "CoM=60").cell.lengths
        size = (2 * float(lengths[0]), float(lengths[1]))  # two cells
        mean = {s: 1e3 * np.tile(m["SSB"].mean(axis=0), (2, 1)) for s, m in made.items() if m is not None}
        free = fine(mean["free-atoms"], size)
        learned = fine(mean["model"], size)
        first = show(axes[row, 0], learned, size, f"{name}: SSB, learned (mrad)")
        figure.colorbar(first, ax=axes[row, 0], shrink=0.8)
        changes = {s: fine(mean[s], size) - free for s in ("model", "gpaw") if s in mean}
        most = max(float(np.abs(c).max()) for c in changes.values())
        for column, (source, words) in enumerate((("model", "learned − free atoms"), ("gpaw", "DFT − free atoms")), 1):
            if source in changes:
                last = show(axes[row, column], changes[source], size, words, (-most, most))
                figure.colorbar(last, ax=axes[row, column], shrink=0.8)
            else:
                axes[row, column].axis("off")
    save(figure, path)


def draw_zeolite(path: Path) -> None:
    """iDPC of benzene in silicalite without noise and at two doses, and what the molecule adds."""
    from matplotlib.figure import Figure

    made = load("zeolite-model-2")
    if made is None:
        return
    size = tuple(float(v) for v in made["size"])
    whole, empty = (1e3 * made[f"{w} 0 iDPC"].astype(float) for w in ("with", "without"))
    figure = Figure(figsize=(9.4, 3.6), layout="constrained", dpi=90)
    axes = figure.subplots(1, 2 + len(ZEOLITE_DOSES))
    show(axes[0], fine(whole, size), size, "iDPC, no noise")
    change = fine(whole - empty, size)
    most = float(np.abs(change).max())
    drawn = show(axes[1], change, size, "what benzene adds (mrad)", (-most, most))
    figure.colorbar(drawn, ax=axes[1], shrink=0.7, orientation="horizontal")
    for here, dose in zip(axes[2:], ZEOLITE_DOSES, strict=True):
        show(here, fine(made[f"with {dose:g} iDPC"].astype(float), size), size, f"iDPC, {dose:g} e/Å²")
    save(figure, path)


def draw_salts(path: Path) -> None:
    """Images of a salt without noise and at two doses by five detectors."""
    from matplotlib.figure import Figure

    made = load(f"salt-{next(iter(SALTS))}")
    if made is None:
        return
    size = tuple(float(v) for v in made["size"])
    figure = Figure(figsize=(9.2, 2.0 * (1 + len(SALT_DOSES))), layout="constrained", dpi=75)
    axes = figure.subplots(1 + len(SALT_DOSES), len(SALT_IMAGES))
    for row, dose in enumerate((0.0, *SALT_DOSES)):
        for column, image in enumerate(SALT_IMAGES):
            words = f"{dose:.0e} e/Å²" if dose else "no noise"
            picture = made[f"{dose:g} {image}"].astype(float)
            show(axes[row, column], fine(picture, size), size, f"{image}, {words}")
    save(figure, path, 64)
