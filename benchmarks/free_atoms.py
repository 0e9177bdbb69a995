"""Free PBE atoms against independent tables, element by element: the tables of docs/free-atoms.md.

    python benchmarks/free_atoms.py

Independent: Waasmaier & Kirfel (1995) as in xraydb, fits to (Dirac-)Hartree-Fock X-ray form factors; Lobato & Van Dyck
(2014), fits of electron form factors to the same kind of atoms. GPAW's PAW data sets, if GPAW is installed, are what
DFT labels subtract.
"""

import time

import numpy as np
from ase.data import chemical_symbols

from rhotem.core.units import BOHR, MOTT_BETHE, VOLT_PER_FE
from rhotem.density import free_atoms
from rhotem.potential.parametrizations import form_factor, x_ray_form_factor

G = np.linspace(0.0, 12.0, 241)
BATTERY = ("H", "Li", "B", "C", "O", "F", "Na", "Al", "Si", "P", "S", "Ti", "V", "Mn", "Fe", "Co", "Ni", "Zr", "La")


def waasmaier_kirfel(z: int) -> np.ndarray:
    """f_x in e at G."""
    import xraydb

    return xraydb.f0(chemical_symbols[z], G / 2)


def by_element(table: free_atoms.FreeAtomTable) -> None:
    """Largest differences of f_x for s = g/2 up to 6/Å and of ⟨r²⟩."""
    lobato = form_factor("lobato")
    print(
        "| Z | | Δf_x WK (e) | at s | Δf_x WK, s < 2 | Δf_x Lobato (e) | at s | ⟨r²⟩ PBE (e Å²) | ⟨r²⟩ Lobato | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for z in range(1, 87):
        f = table.x_ray_form_factor(z, G)
        wk, other = f - waasmaier_kirfel(z), f - x_ray_form_factor(lobato, z, G)
        moment = table.second_moment(z)
        theirs = float(lobato(z, np.zeros(1))[0]) / (MOTT_BETHE * 2.0 * np.pi**2 / 3.0)
        at, at_other = np.abs(wk).argmax(), np.abs(other).argmax()
        low = np.abs(wk[G <= 4]).max()
        print(
            f"| {z} | {chemical_symbols[z]} | {wk[at]:+.3f} | {G[at] / 2:.2f} | {low:.3f} | {other[at_other]:+.3f} | "
            f"{G[at_other] / 2:.2f} | {moment:.3f} | {theirs:.3f} | {moment / theirs:.3f} |"
        )


def against_labels(table: free_atoms.FreeAtomTable) -> None:
    """Valence of the table and of GPAW's data sets, which were solved on a six times coarser grid."""
    from gpaw.setup_data import SetupData

    print("\n| | valence | ∫\\|Δn\\| (e) | largest Δf_x (e) | ⟨r²⟩ ours / GPAW |\n|---|---|---|---|---|")
    for symbol in BATTERY:
        z = chemical_symbols.index(symbol)
        data = SetupData(symbol, "PBE")
        r, weight = data.rgd.r_g * BOHR, 4 * np.pi * data.rgd.r_g**2 * data.rgd.dr_g * BOHR**3
        theirs = sum(f * phi**2 for f, phi in zip(data.f_j, data.phi_jg, strict=True)) / (4 * np.pi) / BOHR**3
        charge = weight * (table.evaluate(z, r, table.default_valence(z)) - theirs)
        factor = np.abs((charge * np.sinc(2 * G[:, None] * r)).sum(1)).max()
        ratio = table.second_moment(z, table.default_valence(z)) / (weight * r**2 * theirs).sum()
        print(f"| {symbol} | {table.default_valence(z)} | {np.abs(charge).sum():.1e} | {factor:.1e} | {ratio:.5f} |")


def lithium_fluoride(table: free_atoms.FreeAtomTable) -> None:
    """Projected structure factors of LiF [001], a = 4.03 Å, beside an independent evaluation of PBE atoms."""
    print("\n| LiF | RhoTEM (V·Å) | independent |\n|---|---|---|")
    for (h, k), value in {(2, 0): 20.777, (2, 2): 14.415, (4, 0): 9.231, (4, 4): 5.381, (6, 0): 4.869}.items():
        g = np.hypot(h, k) / 4.03
        total = sum(4 * table.electron_form_factor(z, g) for z in (3, 9)) * VOLT_PER_FE / 4.03**2
        print(f"| {h}{k}0 | {total:.4f} | {value} |")


def main() -> None:
    """Print everything."""
    start = time.perf_counter()
    table = free_atoms.load()
    loading = time.perf_counter() - start
    start = time.perf_counter()
    table.x_ray_form_factor(27, G)
    first = time.perf_counter() - start
    many = np.random.default_rng(0).uniform(0, 6, 1_000_000)
    start = time.perf_counter()
    table.x_ray_form_factor(27, many)
    print(f"{table.identifier}\nload {loading:.3f} s, first f_x of an element {first:.3f} s, ", end="")
    print(f"then {1e-6 / (time.perf_counter() - start) * len(many):.0f} M values/s\n")
    by_element(table)
    lithium_fluoride(table)
    try:
        against_labels(table)
    except ImportError:
        print("\nGPAW is not installed: its data sets are not compared")


if __name__ == "__main__":
    main()
