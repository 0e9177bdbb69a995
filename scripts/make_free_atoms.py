"""Makes `src/rhotem/density/tables/free_atoms_pbe.npz`: radial shell densities of free PBE atoms (needs GPAW, numba).

Spherical, spin-paired, scalar-relativistic PBE by `gpaw.atom.all_electron.AllElectron` in the configurations of its
PAW data sets (`gpaw.atom.configurations`), the atoms DFT labels are referred to. GPAW solves on 150 points per node;
here 6 times as many (form factors converged to a few 1e-6 e), then every shell is put on one compact grid.

    python scripts/make_free_atoms.py [OUTPUT]
"""

import importlib.metadata
import sys
from pathlib import Path

import gpaw.atom.all_electron as all_electron
import numba
import numpy as np
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree
from gpaw.setup_data import SetupData
from scipy.interpolate import CubicSpline

LAST = 96
#: Tried in turn: GPAW's start density is too rough for some f-elements on the finest grids.
POINTS_PER_NODE = (900, 800, 700, 600, 450, 300, 150)
OUTPUT = Path(__file__).parents[1] / "src" / "rhotem" / "density" / "tables" / "free_atoms_pbe.npz"


#: Scales in Å of the compact grid, even in log(1 + r/NEAR) + r/FAR.
NEAR, FAR = 1e-3, 3.0


def compact_radii(points: int = 420, largest: float = 20.0) -> np.ndarray:
    """Radii in Å, logarithmic near the nucleus (K shells of heavy atoms), at most 0.12 Å apart in the tails."""
    fine = np.concatenate([[0.0], np.geomspace(1e-7, largest, 200_000)])
    coordinate = np.log1p(fine / NEAR) + fine / FAR
    return np.interp(np.linspace(0.0, coordinate[-1], points), coordinate, fine)


_calls: list[None] = []


@numba.njit
def _sweeps(u, c0, fm, fp, f0, dr):
    """Inner loops of `gpaw.atom.all_electron.shoot`: inward to the turning point, outward to it, derivative jump."""
    last = len(u) - 1
    u[last] = 1.0
    u[last - 1] = f0[last] / fm[last]
    g = last - 1
    while c0[g] > 0.0:
        u[g - 1] = (f0[g] * u[g] + fp[g] * u[g + 1]) / fm[g]
        if u[g - 1] < 0.0:
            return 100, 0.0
        if u[g - 1] > 1e100:
            u *= 1e-100
        g -= 1
    turn = g + 1
    if turn == last:
        return 100, 0.0
    value = u[turn]
    outside = 0.5 * (u[turn + 1] - u[turn - 1]) / dr[turn]
    u[0], u[1] = 0.0, 1.0
    nodes = 0
    for g in range(1, turn + 1):
        u[g + 1] = (fm[g] * u[g - 1] - f0[g] * u[g]) / fp[g]
        if u[g + 1] * u[g] < 0.0:
            nodes += 1
    u[: turn + 2] *= value / u[turn]
    inside = 0.5 * (u[turn + 1] - u[turn - 1]) / dr[turn]
    return nodes, (outside - inside) * value


def shoot(u, l, vr, e, r2dvdr, r, dr, c10, c2, scalarrel, gmax=None):
    """`gpaw.atom.all_electron.shoot` (scalar-relativistic, no confinement) with compiled loops: 100 times faster."""
    _calls.append(None)
    if len(_calls) > 60_000:  # rounding noise of a fine grid can keep GPAW's eigenvalue search from ending
        raise all_electron.ConvergenceError("eigenvalue search does not end")
    x = 0.5 * all_electron.alpha**2
    mass_r = r * (1.0 + x * e) - x * vr
    c0 = l * (l + 1) + 2 * mass_r * (vr - e * r)
    if (c0 > 0).all():
        raise all_electron.ConvergenceError("Bad initial electron density guess!")
    c0 += x * r2dvdr / mass_r
    c1 = c10 - x * r * r2dvdr / (mass_r * dr)
    return _sweeps(u, c0, 0.5 * c1 - c2, 0.5 * c1 + c2, c0 - 2 * c2, dr)


class Atom(all_electron.AllElectron):
    """`AllElectron` that starts from the orbitals of the element before: Slater functions fail for some f-elements."""

    before: "Atom | None" = None

    def initialize_wave_functions(self):
        """Orbitals of the previous element, contracted by the ratio of nuclear charges."""
        super().initialize_wave_functions()
        if self.before is None:
            return
        known = dict(zip(zip(self.before.n_j, self.before.l_j, strict=True), self.before.u_j, strict=True))
        for n, l, u in zip(self.n_j, self.l_j, self.u_j, strict=True):
            if (n, l) in known:
                u[:] = np.interp(self.r * self.Z / self.before.Z, self.before.r, known[n, l])
                u /= np.sqrt(np.dot(u**2, self.dr))


def solve(symbol: str, before: "Atom | None") -> Atom:
    """The self-consistent atom on the finest grid that converges, started as GPAW does or from ``before``."""
    for points in POINTS_PER_NODE:
        for start in (None, before):
            atom = Atom(symbol, "PBE", txt=None, gpernode=points)
            atom.before = start
            _calls.clear()
            try:
                atom.run()
            except (all_electron.ConvergenceError, RuntimeError, AssertionError) as error:
                print(f"[{symbol}: {points} points per node: {error!r}]", flush=True)
                continue
            atom.before = None
            return atom
    raise all_electron.ConvergenceError(f"{symbol} does not converge")


def shells(atom: Atom, radii: np.ndarray) -> list[tuple[int, int, float, float, np.ndarray]]:
    """(n, l, occupation, eigenvalue in eV, density in e/Å³ on ``radii``) of every occupied shell."""
    grid = np.arange(atom.N)
    wanted = radii / Bohr
    index = wanted * atom.N / (atom.beta + wanted)
    found = []
    for n, l, f, e, u in zip(atom.n_j, atom.l_j, atom.f_j, atom.e_j, atom.u_j, strict=True):
        if f == 0:
            continue
        u = np.where(abs(u) < 1e-30, 0.0, u)
        # u/r is smooth and has simple nodes, so it is interpolated rather than the density
        wave = CubicSpline(grid[1:], u[1:] / atom.r[1:])(np.maximum(index, 1.0))
        found.append((n, l, f, e * Hartree, f * wave**2 / (4 * np.pi) / Bohr**3))
    return found


def paw_valence(symbol: str) -> set[tuple[int, int]]:
    """Occupied valence shells (n, l) of GPAW's default PBE data set; empty where there is none."""
    try:
        data = SetupData(symbol, "PBE")
    except (FileNotFoundError, RuntimeError):
        return set()
    return {(n, l) for n, l, f in zip(data.n_j, data.l_j, data.f_j, strict=True) if f > 0}


def main(output: Path) -> None:
    """Solve all atoms and write the table."""
    all_electron.shoot = shoot
    radii = compact_radii()
    rows, densities, atom = [], [], None
    for z in range(1, LAST + 1):
        symbol = chemical_symbols[z]
        valence = paw_valence(symbol)
        atom = solve(symbol, atom)
        for n, l, f, e, density in shells(atom, radii):
            rows.append((z, n, l, f, e, (n, l) in valence))
            densities.append(density)
        print(symbol, end=" ", flush=True)
    table = np.array(rows)
    densities = np.array(densities)
    densities[densities < 1e-30] = 0.0
    np.savez_compressed(
        output,
        radii=radii,
        scales=np.array([NEAR, FAR]),
        density=densities.astype(np.float32),
        z=table[:, 0].astype(np.int16),
        n=table[:, 1].astype(np.int8),
        l=table[:, 2].astype(np.int8),
        occupation=table[:, 3],
        eigenvalue=table[:, 4],
        valence=table[:, 5].astype(bool),
        gpaw=np.array([importlib.metadata.version("gpaw"), importlib.metadata.version("gpaw-data")]),
    )
    print(f"\n{output}: {len(rows)} shells, {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
