"""Charge transfer between two states of charge of one cell: LiCoO2 -> Li0.5CoO2, with the learned density.

    python benchmarks/charge_transfer.py [MODEL] [PNG]

The hexagonal cell is doubled along a and every second Li of each layer is taken out, nothing moves. Drawn: the change
of the valence density (Li 2s counted, cores left out) in the plane through all kinds of atoms, and of the charges.
"""

import sys

import numpy as np

from rhotem.analysis import run
from rhotem.core import PeriodicGrid
from rhotem.density.charges import bader_charges, hirshfeld_charges
from rhotem.density.convert import as_kind
from rhotem.density.field import DensityField
from rhotem.density.superpose import superpose
from rhotem.learned.source import Model
from rhotem.structure.model import Structure

SPACING, LARGEST = 0.12, 0.05
COLORS = {"Li": "tab:green", "Co": "tab:blue", "O": "tab:red"}


def cells() -> tuple[Structure, Structure, list[int]]:
    """LiCoO2, the same with half of the Li, and which atoms of the first were taken out."""
    full = run.structure("LiCoO2").atoms.repeat((2, 1, 1))
    lithium = [i for i in range(len(full)) if full.numbers[i] == 3]
    layers: dict[float, list[int]] = {}
    for i in lithium:
        layers.setdefault(round(float(full.positions[i, 2]), 3), []).append(i)
    removed = [layer[-1] for layer in layers.values()]
    half = full.copy()
    del half[removed]
    return Structure(full), Structure(half), removed


def valence_change(full: DensityField, half: DensityField, removed: list[int]) -> np.ndarray:
    """n_valence(half) − n_valence(full) in e/Å³: the deformations' difference less the 2s of the Li taken out."""
    taken = Structure(full.structure.atoms[removed])
    change = as_kind(half, "deformation").values - as_kind(full, "deformation").values
    return change - superpose(taken, full.grid, {3: 1.0})


def table(full: DensityField, half: DensityField, removed: list[int]) -> dict[str, dict[str, np.ndarray]]:
    """Charges of the atoms that stay, before and after, by scheme."""
    kept = [i for i in range(len(full.structure)) if i not in removed]
    result = {}
    for name, scheme in (("Hirshfeld", hirshfeld_charges), ("Bader", bader_charges)):
        result[name] = {"before": scheme(full)[kept], "after": scheme(half)}
    own = [-np.array(f.record["electrons_by_atom"]) for f in (full, half)]
    result["model"] = {"before": own[0][kept], "after": own[1]}
    return result


def draw(change: np.ndarray, full: Structure, removed: list[int], charges: dict, symbols: list[str], path: str) -> None:
    """The plane spanned by a + 2b and c, and the change of charges by element."""
    from matplotlib.figure import Figure
    from scipy.ndimage import map_coordinates

    across = full.cell[0] / 2.0 + 2.0 * full.cell[1]
    width, height = np.linalg.norm(across), float(np.linalg.norm(full.cell[2]))
    t, z = np.linspace(0.0, 2.0, 300), np.linspace(0.0, 1.0, 360)
    points = t[:, None, None] * across + z[None, :, None] * full.cell[2]
    index = (points @ np.linalg.inv(full.cell)) * np.array(change.shape)
    plane = map_coordinates(change, np.moveaxis(index, -1, 0), order=1, mode="grid-wrap")
    figure = Figure(figsize=(9.0, 4.6), layout="constrained", dpi=110)
    axes = figure.subplots(1, 2, width_ratios=(1.5, 1.0))
    extent = (0.0, 2.0 * width, 0.0, height)
    shown = axes[0].imshow(plane.T, origin="lower", extent=extent, vmin=-LARGEST, vmax=LARGEST, cmap="RdBu")
    figure.colorbar(shown, ax=axes[0], label="change of the valence density (e/Å³)", extend="both")
    for i, position in enumerate(full.positions):
        for shift in np.ndindex(6, 6, 1):
            place = position + (np.array(shift) - [3, 1, 0]) @ full.cell
            u, w = place[:2] @ across[:2] / width**2, place[2] / height
            if np.linalg.norm(place[:2] - u * across[:2]) < 1e-2 and -1e-6 < u < 2.0 + 1e-6:
                symbol = full.atoms.symbols[i]
                face = "none" if i in removed else COLORS[symbol]
                axes[0].plot(u * width, w * height, "o", ms=5, mfc=face, mec=COLORS[symbol])
    axes[0].set(
        xlabel="along [120] (Å)", ylabel="along c (Å)", title="Li$_{0.5}$CoO$_2$ − LiCoO$_2$, open: Li taken out"
    )
    names = ["Li", "Co", "O"]
    for k, (scheme, both) in enumerate(charges.items()):
        moved = both["after"] - both["before"]
        means = [np.mean([m for m, s in zip(moved, symbols, strict=True) if s == name]) for name in names]
        bars = axes[1].bar(np.arange(3) + 0.27 * (k - 1), means, 0.26, label=scheme)
        axes[1].bar_label(bars, fmt="%+.2f", fontsize=7)
    axes[1].axhline(0.0, color="black", lw=0.6)
    axes[1].margins(y=0.15)
    axes[1].set_xticks(range(3), names)
    axes[1].set(ylabel="change of charge per atom (e)", title="per Li taken out: 2 Co and 4 O")
    axes[1].legend(fontsize=8)
    figure.savefig(path)


def main() -> None:
    """Print the charges and draw the figure."""
    source = Model(sys.argv[1] if len(sys.argv) > 1 else "default", positive="off")
    path = sys.argv[2] if len(sys.argv) > 2 else "charge-transfer.png"
    full, half, removed = cells()
    grid = PeriodicGrid.from_spacing(full.cell, SPACING)
    fields = source(full, grid), source(half, grid)
    change = valence_change(*fields, removed)
    print(f"electrons of valence that left: {-grid.integrate(change):.4f}, Li taken out: {len(removed)}")
    charges = table(*fields, removed)
    symbols = list(half.atoms.get_chemical_symbols())
    print("scheme      element   before    after   change (e per atom)")
    for scheme, both in charges.items():
        for name in ("Li", "Co", "O"):
            own = np.array(symbols) == name
            before, after = both["before"][own].mean(), both["after"][own].mean()
            print(f"{scheme:10s}  {name:8s} {before:+7.3f}  {after:+7.3f}  {after - before:+7.3f}")
    draw(change, full, removed, charges, symbols, path)


if __name__ == "__main__":
    main()
