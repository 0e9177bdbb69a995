"""The eight specimens of docs/battery.md beside each other, drawn by ASE from the files of its commands.

Run: python benchmarks/battery_figure.py FOLDER docs/images/battery-specimens.png
"""

import sys
from pathlib import Path

import ase.io
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from ase.visualize.plot import plot_atoms

#: File, title, view, repeats, in the order of the page.
PANELS = [
    ("antisites", "NMC811, 5 % antisites", "0x,90y,0z", (1, 1, 1)),
    ("fault", "LiNiO2 H3, O1 fault", "-90x,0y,0z", (1, 1, 2)),
    ("rocksalt", "2 nm rock salt on NMC811", "-90x,90y,0z", (3, 2, 1)),
    ("sei", "Li | Li2O | LiF", "-90x,90y,0z", (1, 1, 2)),
    ("boundary", "LiFePO4 / FePO4", "-90x,0y,0z", (3, 1, 1)),
    ("crack", "crack between two grains of LiF", "0x,0y,0z", (1, 1, 1)),
    ("half-sodium", "Na1.5V2(PO4)3", "-90x,0y,0z", (2, 1, 2)),
    ("twin", "Σ3 twin of LiMn2O4", "-90x,0y,0z", (2, 1, 2)),
]


def main(folder: Path, target: Path) -> None:
    """Draw the figure."""
    figure, axes = plt.subplots(2, 4, figsize=(12, 9))
    for axis, (name, title, view, repeats) in zip(axes.flat, PANELS, strict=True):
        atoms = ase.io.read(folder / f"{name}.extxyz").repeat(repeats)
        plot_atoms(atoms, axis, rotation=view, radii=0.45, show_unit_cell=1)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(target, dpi=70)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
