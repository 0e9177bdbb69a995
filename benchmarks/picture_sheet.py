"""A contact sheet of random pictures of a data set of columns with their labels, to be looked at.

    python benchmarks/picture_sheet.py DATASET sheet.png [--number 24] [--seed 0] [--defects]

Each picture is shown twice: as it is, and with a ring at every column, by class (blue light, orange anion, green
transition metal, red other); rings of columns that noise hides are thin, columns with vacancies have a white square,
with antisites a white cross. ``--defects``: of pictures that have such columns.
"""

import argparse

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from rhotem.library.dataset import open_dataset
from rhotem.library.dataset.store import TABLE

COLOURS = ("black", "tab:blue", "tab:orange", "tab:green", "tab:red")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("out")
    parser.add_argument("--number", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--defects", action="store_true")
    parser.add_argument("--dpi", type=int, default=60)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    shards = [s for s in open_dataset(asked.dataset).shards() if s.about["defect"] or not asked.defects]
    chosen = [shards[i] for i in rng.permutation(len(shards))[: asked.number]]
    across = 6
    rows = 2 * -(-len(chosen) // across)
    figure = Figure(figsize=(2 * across, 2.15 * rows), dpi=asked.dpi, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, across, squeeze=False)
    for one in axes.ravel():
        one.set_axis_off()
    for place, shard in enumerate(chosen):
        arrays, said = shard.read()
        number = int(rng.integers(len(said)))
        table = arrays["table"][slice(*arrays["starts"][number : number + 2])]
        row, column = 2 * (place // across), place % across
        title = f"{shard.about['title'][:24]}\n{said[number]['image']} {said[number]['dose_e_per_A2']:.0e}"
        axes[row, column].set_title(title, fontsize=7)
        for again in (0, 1):
            image = arrays["image"][number].astype(float)
            axes[row + again, column].imshow(image, cmap="gray", vmin=np.percentile(image, 1), vmax=image.max())
        rings(axes[row + 1, column], table, said[number])
        axes[row + 1, column].set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    figure.savefig(asked.out)
    small(asked.out)


def small(path) -> None:
    """A picture of greys and the colours of the labels alone, a sixth as large."""
    colours = [[grey] * 3 for grey in range(0, 256, 28)] + [[255] * 3]
    for name in COLOURS[1:]:
        colours += [[round(255 * share * part) for part in to_rgb(name)] for share in (1.0, 0.6)]
    palette = Image.new("P", (1, 1))
    flat = [value for colour in colours for value in colour]
    palette.putpalette(flat + [0] * (768 - len(flat)))
    Image.open(path).convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


def rings(ax, table, said) -> None:
    """Draw the labels."""
    above = table[:, TABLE.index("above")]
    clear = (np.abs(above) if said["image"] == "ABF" else above) > 1
    for kind, colour in enumerate(COLOURS):
        for chosen, width in ((clear, 1.2), (~clear, 0.4)):
            x, y = table[chosen & (table[:, 2] == kind), :2].T
            ax.scatter(x, y, s=22, facecolors="none", edgecolors=colour, linewidths=width)
    for name, marker in (("vacant", "s"), ("exchanged", "x")):
        x, y = table[table[:, TABLE.index(name)] > 0, :2].T
        ax.plot(x, y, marker, ms=8, mfc="none", mec="w", mew=0.8)


if __name__ == "__main__":
    main()
