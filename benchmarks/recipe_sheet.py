"""Pictures of a data set of any recipe, drawn at random, with every array beside: ``recipe_sheet.py SET sheet.png``.

Of patterns the first three by three are shown side by side, of series the first, a middle and the last frame.
"""

import argparse
from pathlib import Path

import numpy as np

from rhotem.library.dataset import open_dataset


def flat(values: np.ndarray) -> np.ndarray:
    """An array of a picture as one grey picture."""
    values = np.asarray(values, dtype=float)
    if values.ndim == 4:
        return np.block([[values[i, j] for j in range(3)] for i in range(3)])
    if values.ndim == 3:
        return np.concatenate([values[0], values[len(values) // 2], values[-1]], axis=1)
    return values


def main() -> None:
    """Draw the sheet."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arrays", nargs="*", help="those to show; without it all")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    every = list(open_dataset(asked.dataset).pictures())
    chosen = [every[n] for n in sorted(rng.choice(len(every), min(asked.pictures, len(every)), replace=False))]
    names = asked.arrays or [name for name in chosen[0][0] if name != "table"]
    tall = max(np.divide(*flat(chosen[0][0][name]).shape) for name in names)
    size = (3 * len(names), (3 * tall + 0.3) * len(chosen))
    figure, places = pyplot.subplots(len(chosen), len(names), squeeze=False, figsize=size)
    for row, (arrays, said) in zip(places, chosen, strict=True):
        for place, name in zip(row, names, strict=True):
            place.imshow(flat(arrays[name]), cmap="gray", interpolation="nearest")
            place.set_title(f"{name} {said['formula']} {said['thickness_nm']:g} nm", fontsize=7)
            place.set_axis_off()
    figure.tight_layout()
    figure.savefig(asked.sheet, dpi=80)


if __name__ == "__main__":
    main()
