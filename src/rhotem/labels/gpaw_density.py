"""Deformation density of a GPAW calculation, radially exact around the nuclei.

In the projector augmented-wave method (Blöchl, Phys. Rev. B 50, 17953 (1994), eqs. 15–18) the valence density is

    n(r) = ñ(r) + Σ_a Σ_ij D^a_ij (φ_i φ_j − φ̃_i φ̃_j)(r − R_a)

with the smooth ñ on a grid and the rest confined to the augmentation spheres, where it is a short sum of radial
functions times spherical harmonics. Nothing of the second kind is ever put on a grid. The free atoms are split the same
way, n_f = ñ_f + Σ_j f_j (φ_j² − φ̃_j²)/4π with the occupations f_j of the spherical atom the data set was made from,
so that

    Δn = [ñ − Σ_a ñ_f](grid) + Σ_a [(n^a − ñ^a) − (n_f − ñ_f)](one-centre).

Core electrons are frozen in their free-atom state: they cancel. The data sets' free atoms are those of the shipped
table (`rhotem.density.free_atoms`), so the table's potential plus that of Δn is the potential of the calculation.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import BOHR
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.free_atoms import load
from rhotem.structure.model import Structure

#: Electrons by which the count of a self-consistent PAW density may be off, per atom, before it is made exact.
COUNT_TOLERANCE = 1e-4

#: Where the tail of a free pseudo-atom is cut, in Å; the outermost s shells of alkali atoms have lost < 1e-8 e there.
FREE_RADIUS = 16.0


@dataclass(frozen=True, eq=False)
class PawSet:
    """Radial functions of one PAW data set, in Å and e/Å³.

    Parameters
    ----------
    radii : (Nr,) array
        Radii inside the augmentation sphere in Å, from 0; every difference below is zero beyond.
    volumes : (Nr,) array
        Quadrature weights r² dr in Å³ belonging to ``radii``.
    l_j : tuple of int
        Angular momenta of the partial waves.
    pairs : (Nj, Nj, Nr) array
        φ_i φ_j − φ̃_i φ̃_j, radial parts, e/Å³.
    free_one_centre : (Nr,) array
        Free-atom n_f − ñ_f in e/Å³ (spherical density, not multiplied by √4π).
    free_radii, free_pseudo : (Nf,) arrays
        Uniform radii in Å and the free-atom pseudo valence density ñ_f in e/Å³ on them.
    valence : float
        Valence electrons of the neutral atom.
    """

    radii: npt.NDArray[np.float64]
    volumes: npt.NDArray[np.float64]
    l_j: tuple[int, ...]
    pairs: npt.NDArray[np.float64]
    free_one_centre: npt.NDArray[np.float64]
    free_radii: npt.NDArray[np.float64]
    free_pseudo: npt.NDArray[np.float64]
    valence: float

    @classmethod
    def from_gpaw(cls, data: Any) -> "PawSet":
        """Read ``gpaw.setup_data.SetupData``.

        Raises
        ------
        InputError
            If the data set was not made for PBE, or is not a PAW set.
        """
        if data.setupname != "PBE" or not len(data.phi_jg):
            raise InputError(
                f"PAW set of {data.symbol}: made for {data.setupname}, but free atoms are PBE; use the PBE PAW set"
            )
        r = np.asarray(data.rgd.r_g) * BOHR
        occupations = np.asarray(data.f_j, dtype=float)
        phi, smooth = np.array(data.phi_jg), np.array(data.phit_jg)
        # One point beyond the largest sphere: the functions reach exactly zero there.
        inside = min(data.rgd.ceil(max(data.rcut_j)) + 2, len(r))
        pairs = (np.einsum("ig,jg->ijg", phi, phi) - np.einsum("ig,jg->ijg", smooth, smooth))[..., :inside] / BOHR**3
        free_radii = np.linspace(0.0, FREE_RADIUS, int(FREE_RADIUS / 0.01) + 1)
        return cls(
            radii=r[:inside],
            volumes=(r**2 * np.asarray(data.rgd.dr_g) * BOHR)[:inside],
            l_j=tuple(data.l_j),
            pairs=pairs,
            free_one_centre=np.einsum("j,jjg->g", occupations, pairs) / (4 * np.pi),
            free_radii=free_radii,
            free_pseudo=_resampled(r, smooth[occupations > 0], occupations[occupations > 0], free_radii),
            valence=float(occupations.sum()),
        )

    def one_centre(self, atom: int, matrix: npt.NDArray[np.float64], free: bool = True) -> OneCentre:
        """(n^a − ñ^a) of atomic density matrix D_ij, minus that of the free atom if ``free``.

        GPAW's harmonics are those of docs/conventions.md (order m = −l…l, sine branch first, no Condon–Shortley sign).
        """
        from gpaw.sphere.gaunt import gaunt

        lmax = max(self.l_j)
        coupling = gaunt(lmax)[:, : (lmax + 1) ** 2]
        values = np.zeros(((2 * lmax + 1) ** 2, len(self.radii)))
        starts = np.cumsum([0] + [2 * l + 1 for l in self.l_j])
        for i, li in enumerate(self.l_j):
            for j, lj in enumerate(self.l_j):
                block = matrix[starts[i] : starts[i + 1], starts[j] : starts[j + 1]]
                weights = np.einsum(
                    "mn,mnL->L", block, coupling[li**2 : (li + 1) ** 2, lj**2 : (lj + 1) ** 2], optimize=True
                )
                rows = np.flatnonzero(weights)
                values[rows] += weights[rows, None] * self.pairs[i, j]
        if free:
            values[0] -= np.sqrt(4 * np.pi) * self.free_one_centre
        return OneCentre(atom, self.radii, values)

    def free_transform(self, g: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Fourier transform in e of the free pseudo valence density ñ_f at |g| in 1/Å (any shape)."""
        from scipy.integrate import simpson
        from scipy.interpolate import CubicSpline

        # Functions cut at 16 Å vary over 1/(2π·16) = 0.01 /Å at the fastest and over much more where they have weight.
        mesh = np.linspace(0.0, max(float(np.max(g)), 0.1), int(np.max(g) / 0.003) + 20)
        r = self.free_radii
        integrand = 4 * np.pi * r**2 * self.free_pseudo * np.sinc(2 * np.outer(mesh, r))
        return CubicSpline(mesh, simpson(integrand, x=r, axis=1))(g)


def _resampled(
    r: npt.NDArray, waves: npt.NDArray, occupations: npt.NDArray, radii: npt.NDArray
) -> npt.NDArray[np.float64]:
    """Σ f_j φ̃_j²/4π in e/Å³ on uniform radii: the logarithmic grid of the set is too coarse in the tail for sin(kr)."""
    from scipy.interpolate import CubicSpline

    orbitals = CubicSpline(r, waves, axis=1)(radii)
    return (occupations @ orbitals**2) / (4 * np.pi * BOHR**3)


def deformation_field(calculation: Any, structure: Structure, grid: PeriodicGrid | None = None) -> DensityField:
    """Deformation density of a finished GPAW calculation, its free atoms taken from the same PAW sets.

    Parameters
    ----------
    calculation : GPAW calculator
        Converged, or read from a ``.gpw`` file; serial, or with its density gathered on every rank.
    structure : Structure
        The atoms of the calculation in the same order.
    grid : PeriodicGrid or None
        Requested grid. The field's grid is never coarser than GPAW's; where finer it holds the same Fourier series.

    Returns
    -------
    DensityField
        ``kind="deformation"``. ``values``: ñ − Σ ñ_f, band-limited at GPAW's own grid. ``one_centre``: one per atom,
        l up to twice that of the partial waves. ``spin``: n↑ − n↓, band-limited at the field's grid, integral exact.
        ``record["count_residual"]``: electrons missing before the count was made exact by a uniform density, which
        changes no structure factor but F_0.

    Raises
    ------
    InputError
        If the calculator is of GPAW's legacy kind, is not PBE, or its electron count is off.
    """
    dft = getattr(calculation, "dft", None)
    if dft is None:
        raise InputError(
            f"{type(calculation).__name__}: GPAW's legacy calculator; use GPAW 26 or newer, legacy_gpaw off"
        )
    density = dft.density
    matrices = density.D_asii.gather(broadcast=True, copy=True)
    sets = _paw_sets(dft.setups)
    own = PeriodicGrid(structure.cell, _pseudo(density)[0].shape)
    channels = density.ndensities
    terms = tuple(setup.one_centre(a, matrices[a][:channels].real.sum(axis=0)) for a, setup in enumerate(sets))
    smooth = sum(_pseudo(density)) - own.inverse_fourier(_superposed(own, structure, sets))
    smooth, residual = _exact_count(own, smooth, terms, sets, float(density.charge))
    final = own
    if grid is not None:
        n1, n2, n3 = (max(pair) for pair in zip(own.shape, grid.shape, strict=True))
        final = PeriodicGrid(own.cell, (n1, n2, n3))
    spin = _spin(density, matrices, sets, structure, own, final) if channels == 2 else None
    return DensityField(
        kind="deformation",
        structure=structure,
        grid=final,
        values=final.inverse_fourier(padded(own.fourier(smooth), final.shape)),
        one_centre=terms,
        spin=spin,
        reference=load().identifier,
        source="GPAW PBE+U" if any(s.hubbard_u is not None for s in dft.setups) else "GPAW PBE",
        record={
            "charge": float(density.charge),
            "valence_electrons": sum(s.valence for s in sets),
            "count_residual": residual,
            "count_residual_put": "uniformly over the cell",
            "native_shape": list(own.shape),
            "paw_sets": {s.data.symbol: s.data.fingerprint for s in dft.setups},
        },
    )


def padded(coefficients: npt.NDArray, shape: tuple[int, int, int]) -> npt.NDArray:
    """The same real Fourier series on a finer grid; the Nyquist term of an even length is halved between ±n/2."""
    for axis, n in enumerate(shape):
        old = coefficients.shape[axis]
        if n == old:
            continue
        moved = np.moveaxis(coefficients, axis, 0)
        out = np.zeros((n, *moved.shape[1:]), dtype=complex)
        half = (old - 1) // 2
        out[: half + 1] = moved[: half + 1]
        out[n - half :] = moved[old - half :]
        if old % 2 == 0:
            out[old // 2] += 0.5 * moved[old // 2]
            out[n - old // 2] += 0.5 * moved[old // 2]
        coefficients = np.moveaxis(out, 0, axis)
    return coefficients


def _paw_sets(setups: Any) -> list[PawSet]:
    """One `PawSet` per atom, shared between atoms of the same data set."""
    known: dict[int, PawSet] = {}
    for setup in setups:
        if id(setup.data) not in known:
            known[id(setup.data)] = PawSet.from_gpaw(setup.data)
    return [known[id(setup.data)] for setup in setups]


def _pseudo(density: Any) -> npt.NDArray[np.float64]:
    """Pseudo valence density per spin channel in e/Å³: GPAW's ñ without its smooth core."""
    total = density.nt_sR.to_pbc_grid().gather(broadcast=True).data[: density.ndensities]
    # Subtracting what GPAW itself added keeps the band limit of the core out of the result.
    core = density.nct_R.to_pbc_grid().gather(broadcast=True).data
    return (np.asarray(total) - np.asarray(core)) / BOHR**3


def _superposed(grid: PeriodicGrid, structure: Structure, sets: list[PawSet]) -> npt.NDArray[np.complex128]:
    """Fourier coefficients of Σ ñ_f on ``grid``, atoms placed by exact phases."""
    length = np.sqrt(grid.g_squared())
    h, k, m = grid.indices()
    total: npt.NDArray[np.complex128] = np.zeros(grid.shape, dtype=np.complex128)
    for setup in dict.fromkeys(sets):
        phases = np.zeros(grid.shape, dtype=complex)
        for a in (a for a, s in enumerate(sets) if s is setup):
            x, y, z = np.linalg.solve(grid.cell.T, structure.positions[a])
            px, py, pz = (np.exp(-2j * np.pi * i * f) for i, f in ((h, x), (k, y), (m, z)))
            phases += px[:, None, None] * py[None, :, None] * pz[None, None, :]
        total += setup.free_transform(length) * phases / grid.volume
    return total


def _exact_count(
    grid: PeriodicGrid,
    smooth: npt.NDArray[np.float64],
    terms: tuple[OneCentre, ...],
    sets: list[PawSet],
    charge: float,
) -> tuple[npt.NDArray[np.float64], float]:
    """Shift ``smooth`` so that Δn integrates to −charge; also the residual in e."""
    one_centre = sum(np.sqrt(4 * np.pi) * float(t.values[0] @ s.volumes) for t, s in zip(terms, sets, strict=True))
    residual = float(-charge - grid.integrate(smooth) - one_centre)
    if abs(residual) > COUNT_TOLERANCE * len(terms):
        raise InputError(
            f"GPAW density: {residual:+.4f} e are missing from the electron count, expected below "
            f"{COUNT_TOLERANCE * len(terms):.1e}; converge the calculation (density 1e-4) or check its charge"
        )
    return smooth + residual / grid.volume, residual


def _spin(
    density: Any, matrices: Any, sets: list[PawSet], structure: Structure, own: PeriodicGrid, final: PeriodicGrid
) -> npt.NDArray[np.float64]:
    """Spin density n↑ − n↓ in e/Å³ on ``final``: every Fourier coefficient exact up to its band limit."""
    from rhotem.density.fourier import coefficients

    up, down = _pseudo(density)
    terms = tuple(
        setup.one_centre(a, (matrices[a][0] - matrices[a][1]).real, free=False) for a, setup in enumerate(sets)
    )
    zero = DensityField("valence", structure, own, np.zeros(own.shape), terms)
    h = np.stack(np.meshgrid(*final.indices(), indexing="ij"), axis=-1).reshape(-1, 3)
    sharp = coefficients(zero, h).reshape(final.shape)
    return final.inverse_fourier(sharp + padded(own.fourier(up - down), final.shape))
