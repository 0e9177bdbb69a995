"""Images of held-out cathodes: the network and free atoms against DFT, detector by detector.

    python benchmarks/cathode_images.py [MODEL] [FOLDER] [PNG]

The crystals are in the test part of data/training/split.json: the weights never saw them. The DFT density is the label
itself. All three densities get the same atoms, displacements and microscope. Images are kept in FOLDER
(runs/cathode-images) and not made again; those of the network are named by its weights.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis import run
from rhotem.analysis.columns import columns
from rhotem.analysis.factors import factor_table
from rhotem.analysis.specimen import Specimen
from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.labels.label import Label
from rhotem.learned.source import Model
from rhotem.learned.weights import fingerprint
from rhotem.structure.orient import orient
from rhotem.training.dataset import read_labels

LABELS, SPLIT = ("data/labels/whole", "data/labels/shards"), Path("data/training/split.json")
#: Label, zone axis in its own cell, name.
CASES = (
    ("00050", (1, 0, 0), "NaMnTiO$_4$"),
    ("00100", (1, 0, 0), "Na$_2$MnNiO$_4$"),
    ("00103", (1, 0, 0), "Li$_2$AlTiO$_4$"),
    ("1affe70f5469bc7b", (1, -1, 0), "FeO"),
)
DETECTORS = ("HAADF=68-160", "ABF=11-22", "DPC=6-22", "CoM=22")
SHOWN = {"ABF": "ABF", "iDPC": "iDPC", "DPCy": "DPC$_y$", "CoMy": "CoM$_y$", "HAADF": "HAADF"}
#: nm, configurations of thermal motion, Å, largest principal strain that closes the imaging cell, 1/Å.
THICKNESS, PHONONS, PIXEL, STRAIN, LOW_ORDER = 5.0, 4, 0.1, 0.02, 0.7
#: Reflections weaker than this share of the strongest (V) are left out.
WEAK = 0.02

Images = dict[str, np.ndarray]


def specimen(label: Label, zone: tuple[int, int, int]) -> Specimen:
    """The crystal along the zone axis, its cell strained until a small orthogonal one closes."""
    closed = orient(label.structure, zone, "input", max_strain=STRAIN)
    preset = run.adjusted_preset("layered-oxide", detectors=DETECTORS)
    return run.specimen(closed.crystal, zone, basis="input", thickness=THICKNESS, preset=preset, primitive=False)


def images(cut: Specimen, field: DensityField, path: Path) -> Images:
    """Images of a density, pixels of 0.1 Å; read where they were made before."""
    if not path.exists():
        shown = run.image(cut, run.potential(cut, field, phonons=PHONONS)).resampled(PIXEL)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{name: shown[name].astype(np.float32) for name in SHOWN})
    with np.load(path) as data:
        return {name: data[name].astype(float) - data[name].mean() * (name == "iDPC") for name in data.files}


def densities(label: Label, source: Model) -> dict[str, DensityField]:
    """Deformation densities of one crystal: free atoms, DFT, the network."""
    grid = label.grid
    return {
        "free atoms": run.density(label.structure, "free-atoms"),
        "DFT": DensityField("deformation", label.structure, grid, label.treated, source="DFT"),
        "learned": source(label.structure, grid),
    }


def factors(fields: dict[str, DensityField]) -> dict[str, float]:
    """Σ|V − V_DFT| / Σ|V_DFT| of low-order reflections in per cent, and their number."""
    table = factor_table(fields["DFT"], LOW_ORDER)
    learned = factor_table(fields["learned"], LOW_ORDER).bonded
    strong = np.abs(table.bonded) > WEAK * np.abs(table.bonded).max()
    whole = np.abs(table.bonded[strong]).sum() / 100.0

    def off(values: np.ndarray) -> float:
        return float(np.abs(values - table.bonded)[strong].sum() / whole)

    return {"reflections": int(strong.sum()), "free atoms": off(table.free), "learned": off(learned)}


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def measure(source: Model, folder: Path) -> Iterator[tuple[str, Specimen, dict[str, Images]]]:
    """Print the table of every crystal; yields its name, specimen and images by source."""
    tested = set(json.loads(SPLIT.read_text())["parts"]["test"])
    weights = fingerprint(source.path)[:12]
    trained = source.header["info"].get("labels", "?")
    print(f"model {source.name}, weights {weights}, {trained} labels; {THICKNESS:g} nm, {PHONONS} configurations")
    print(
        "crystal     image     range     free atoms %   learned %   ratio     (rms difference from DFT over the range)"
    )
    for name, zone, title in CASES:
        if name not in tested:
            raise InputError(f"label {name}: not in the test part of {SPLIT}; choose one that is")
        label = read_labels(LABELS, wanted=[name])[0]
        cut = specimen(label, zone)
        found = {}
        fields = densities(label, source)
        for kind, field in fields.items():
            stem = f"{name}-{weights}" if kind == "learned" else f"{name}-{kind.replace(' ', '-')}"
            found[kind] = images(cut, field, folder / f"{stem}.npz")
        for image in SHOWN:
            dft = found["DFT"][image]
            free, learned = (rms(found[kind][image] - dft) for kind in ("free atoms", "learned"))
            span = np.ptp(dft)
            print(
                f"{label.formula:11s} {image:6s} {span:9.4g}   {100 * free / span:10.3f}   {100 * learned / span:9.3f}"
                f"   {learned / free:6.3f}"
            )
        low = factors(fields)
        print(
            f"{label.formula:11s} V_hkl, {low['reflections']:2d} with |g| < {LOW_ORDER:g}/Å: free atoms off by "
            f"{low['free atoms']:.2f} %, learned {low['learned']:.2f} %",
            flush=True,
        )
        yield title, cut, found


def draw(shown: list[tuple[str, Specimen, dict[str, Images]]], path: str) -> None:
    """A row per crystal; DFT, learned − DFT and free atoms − DFT of every detector."""
    from matplotlib.figure import Figure

    drawn = ("ABF", "iDPC", "CoMy", "HAADF")
    units = {"ABF": "% of beam", "HAADF": "% of beam", "iDPC": "rad", "CoMy": "mrad"}
    figure = Figure(figsize=(12.4, 6.3), dpi=100)
    outer = figure.add_gridspec(1, len(drawn), left=0.035, right=0.995, top=0.895, bottom=0.085, wspace=0.07)
    for place, name in zip(outer, drawn, strict=True):
        grid = place.subgridspec(len(shown), 3, wspace=0.04, hspace=0.04)
        scale = 100.0 if units[name] == "% of beam" else 1.0
        whole = [scale * found["DFT"][name] for _, _, found in shown]
        changes = [
            [scale * (found[kind][name] - found["DFT"][name]) for kind in ("learned", "free atoms")]
            for _, _, found in shown
        ]
        low, high = min(map(np.min, whole)), max(map(np.max, whole))
        most = max(np.abs(pair).max() for pair in changes)
        rows: list[list[Any]] = []
        for row, (title, cut, _) in enumerate(shown):
            axes = [figure.add_subplot(grid[row, column]) for column in range(3)]
            rows.append(axes)
            first = _panel(axes[0], whole[row], cut, (low, high), "gray")
            for place_, change in zip(axes[1:], changes[row], strict=True):
                second = _panel(place_, change, cut, (-most, most), "RdBu_r")
            if row == 0:
                for place_, words in zip(axes, ("DFT", "learned\n− DFT", "free atoms\n− DFT"), strict=True):
                    place_.set_title(words, fontsize=8)
            if name == drawn[0]:
                axes[0].set_ylabel(title, fontsize=10)
                _scale_bar(axes[0])
            if name == "HAADF":
                _columns(axes[0], cut)
        bottom = rows[-1]
        for places, mappable in ((bottom[:1], first), (bottom[1:], second)):
            left, right = places[0].get_position().x0, places[-1].get_position().x1
            bar = figure.add_axes((left, 0.055, right - left, 0.016))
            figure.colorbar(mappable, cax=bar, orientation="horizontal").ax.tick_params(labelsize=7)
            bar.locator_params(nbins=2 if len(places) == 1 else 4)
        middle = rows[0][1].get_position()
        figure.text(middle.x0 + middle.width / 2, 0.965, f"{SHOWN[name]} ({units[name]})", ha="center", fontsize=11)
    figure.savefig(path)
    _fewer_colours(path)


def _panel(axes: Any, image: np.ndarray, cut: Specimen, limits: tuple[float, float], colours: str) -> Any:
    """One period across and about 10 Å up."""
    lx, ly = (float(v) for v in cut.cell.lengths[:2])
    across = max(1, round(5.0 / lx))
    up = min(ly, 2.0 * lx * across)
    part = np.tile(image, (across, 1))[:, : max(1, round(up / ly * image.shape[1]))]
    axes.set(xticks=[], yticks=[])
    return axes.imshow(
        part.T,
        extent=(0, lx * across, up, 0),
        vmin=limits[0],
        vmax=limits[1],
        cmap=colours,
        interpolation="bicubic",
    )


def _columns(axes: Any, cut: Specimen) -> None:
    """Names of the columns on a picture."""
    width, height = axes.get_xlim()[1], axes.get_ylim()[1]
    for column in columns(cut.cell):
        x, y = column.position
        if 0.4 < x < width - 0.4 and 0.4 < y < height - 0.4:
            axes.text(x, y, column.label, color="tab:orange", fontsize=7, ha="center", va="center")


def _scale_bar(axes: Any) -> None:
    """2 Å, with a white edge."""
    from matplotlib.patheffects import withStroke

    height = axes.get_ylim()[1]
    edge = {"color": "black", "path_effects": [withStroke(linewidth=2.2, foreground="white")], "zorder": 5}
    axes.plot([0.3, 2.3], [0.03 * height] * 2, lw=2.5, solid_capstyle="butt", **edge)
    axes.text(1.3, 0.05 * height, "2 Å", fontsize=7, ha="center", va="bottom", **edge)


def _fewer_colours(path: str) -> None:
    """A palette: a third of the file."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Print the tables and draw the figure of the first three crystals."""
    source = Model(sys.argv[1] if len(sys.argv) > 1 else "default", positive="off")
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "runs/cathode-images")
    path = sys.argv[3] if len(sys.argv) > 3 else "cathodes-learned.png"
    draw(list(measure(source, folder))[:3], path)


if __name__ == "__main__":
    main()
