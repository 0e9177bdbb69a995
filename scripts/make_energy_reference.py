"""Makes `tests/data/energy/sevenn.npz`: energies, forces and stresses of SevenNet-0 by the package ``sevenn``.

Fast tests of `rhotem.learned.energy` compare with it where ``sevenn`` is not installed. It computes in single
precision: its own rounding, some 1e-6 eV/Å, is part of the numbers.

    python scripts/make_energy_reference.py
"""

from importlib.metadata import version
from pathlib import Path

import ase
import numpy as np
from ase.build import add_adsorbate, bulk, fcc111, molecule
from sevenn.calculator import SevenNetCalculator

from rhotem.structure.phases import phase

TARGET = Path(__file__).parents[1] / "tests" / "data" / "energy" / "sevenn.npz"


def rattled(atoms: ase.Atoms, by: float, seed: int, strain: float = 0.0) -> ase.Atoms:
    """Atoms moved by chance (Å), in a cell strained and sheared by chance."""
    generator = np.random.default_rng(seed)
    turn = np.eye(3) + strain * generator.normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ turn, scale_atoms=True)
    atoms.positions += by * generator.normal(size=(len(atoms), 3))
    atoms.pbc = True
    return atoms


def cells() -> dict[str, ase.Atoms]:
    """Strained crystals, metals, slabs, defects, a molecule, a cell smaller than the cutoff."""
    slab = fcc111("Cu", (2, 2, 3), vacuum=7.0)
    add_adsorbate(slab, molecule("CO"), 1.9, "fcc")
    surface = phase("LiF").atoms.repeat((1, 1, 2))
    surface.cell[2] *= 2.0
    holes = phase("LiFePO4").atoms
    del holes[[a.index for a in holes if a.symbol == "Li"][:2]]
    swapped = phase("LiNiO2").atoms.repeat((2, 2, 1))
    lithium, nickel = (next(a.index for a in swapped if a.symbol == s) for s in ("Li", "Ni"))
    swapped.numbers[[lithium, nickel]] = swapped.numbers[[nickel, lithium]]
    water = molecule("H2O", vacuum=5.0)
    return {
        "LiCoO2, strained": rattled(phase("LiCoO2").atoms, 0.08, 1, 0.03),
        "NiO, sheared": rattled(bulk("NiO", "rocksalt", 4.19), 0.05, 2, 0.06),
        "Na3V2(PO4)3": rattled(phase("Na3V2(PO4)3").atoms, 0.05, 3, 0.01),
        "Li metal": rattled(bulk("Li", cubic=True).repeat(2), 0.12, 4, 0.02),
        "Ni3Al": rattled(
            ase.Atoms("AlNi3", [[0, 0, 0], [0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]], cell=[3.6] * 3), 0.1, 5
        ),
        "LiF, slab": rattled(surface, 0.06, 6),
        "LiFePO4, lithium vacancies": rattled(holes, 0.05, 7),
        "LiNiO2, antisites": rattled(swapped, 0.04, 8),
        "CO on Cu": rattled(slab, 0.03, 9),
        "H2O": rattled(water, 0.05, 10),
        "La2O3, compressed": rattled(
            ase.Atoms("La2O3", [[0, 2.27, 1.5], [1.97, 1.13, 4.6], [0, 2.27, 3.9], [1.97, 1.13, 2.2], [0, 0, 0]],
                      cell=[[3.94, 0, 0], [-1.97, 3.41, 0], [0, 0, 6.13]]), 0.05, 11, 0.03),
    }  # fmt: skip


def main() -> None:
    """Evaluate and write."""
    calculator = SevenNetCalculator("7net-0", device="cpu")
    arrays = {"version": np.array(version("sevenn")), "names": np.array(list(cells()))}
    for n, (name, atoms) in enumerate(cells().items()):
        atoms.calc = calculator
        arrays |= {
            f"{n}.numbers": atoms.numbers,
            f"{n}.positions": atoms.positions,
            f"{n}.cell": atoms.cell.array,
            f"{n}.energy": np.float64(atoms.get_potential_energy()),
            f"{n}.forces": atoms.get_forces().astype(float),
            f"{n}.stress": atoms.get_stress(voigt=False).astype(float),
        }
        print(f"{name}: {len(atoms)} atoms, {arrays[f'{n}.energy']:.4f} eV")
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(TARGET, **arrays)


if __name__ == "__main__":
    main()
