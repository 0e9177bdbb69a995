"""Bloch waves against two-beam formulas, conservation, reciprocity, abTEM, multislice and published absorption."""

from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import interaction_constant, wavelength
from rhotem.density.field import DensityField
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.settings import Microscope
from rhotem.potential.parametrizations import form_factor
from rhotem.potential.slices import build_potential
from rhotem.scattering.blochwave import (
    Beam,
    Beams,
    BlochWaves,
    OpticalPotential,
    Selection,
    bloch_waves,
    convergent_beam,
    disc_directions,
    excitation_errors,
    select_beams,
    smallest_spacing,
    thermal_absorption,
    tilted,
    wave_vectors,
)
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient
from rhotem.structure.read import read_structure
from rhotem.structure.supercell import imaging_grid, repeated_grid

ROOT = Path(__file__).parents[2]
ENERGY = 200e3
#: ⟨u²⟩ of silicon in Å² at room temperature, B = 0.4668 Å².
MSD = 0.4668 / (8 * np.pi**2)


@pytest.fixture(scope="module")
def silicon() -> Structure:
    return read_structure(ROOT / "examples" / "Si.cif")


@pytest.fixture(scope="module")
def triclinic() -> Structure:
    """A cell without any symmetry, in a frame of its own."""
    cell = np.array([[3.1, 0.4, 0.2], [-0.7, 4.2, 0.3], [0.5, -0.6, 5.0]])
    places = [(0.05, 0.1, 0.2), (0.45, 0.3, 0.7), (0.8, 0.75, 0.4)]
    return Structure(ase.Atoms("GaAsO", scaled_positions=places, cell=cell, pbc=True))


class TwoBeams:
    """U_0, and U_g of one pair ±g, with absorption."""

    def __init__(self, u0: complex, ug: complex) -> None:
        self.u0, self.ug = u0, ug

    def __call__(self, h: np.ndarray) -> np.ndarray:
        size = np.abs(h).sum(axis=1)
        return np.where(size == 0, self.u0, np.where(size == 1, self.ug, 0.0)).astype(complex)


def two_beams(u0: complex, ug: complex) -> BlochWaves:
    crystal = Structure(ase.Atoms("Si", cell=np.diag([2.0, 3.0, 4.0]), pbc=True))
    return BlochWaves(crystal, TwoBeams(u0, ug), ENERGY, Beams(np.array([[0, 0, 0], [1, 0, 0]])))


def test_two_beams_are_the_analytic_ones() -> None:
    """I_g = sin²(π t √(1 + w²)/ξ)/(1 + w²), w = s ξ, ξ = K_z/|U_g|, at any thickness and tilt."""
    waves, g = two_beams(0.07, 0.04), 0.5
    k = np.column_stack([np.linspace(-0.6, 0.1, 15), np.full(15, 0.2)])
    inside = wave_vectors(k, wavelength(ENERGY), 0.07)
    t = np.array([0.0, 137.0, 512.0])
    s = excitation_errors(np.array([[g, 0.0, 0.0]]), inside)[:, 0] / (2 * inside[:, 2])
    xi = inside[:, 2] / 0.04
    w = s * xi
    expected = np.sin(np.pi * t[:, None] * np.sqrt(1 + w**2) / xi) ** 2 / (1 + w**2)
    assert waves.intensities(k, t)[..., 1] == pytest.approx(expected, abs=1e-10)


def test_absorption_of_two_beams() -> None:
    """Far from Bragg reflection the beam falls as exp(−2πU'_0 t/K_z); at it by half of e^∓2πU'_g t/K_z (Borrmann)."""
    u0, ug, t = 1e-3, 8e-4, 2000.0
    waves = two_beams(0.07 + 1j * u0, 0.04 + 1j * ug)
    inside = wave_vectors(np.array([[-0.25, 0.0]]), wavelength(ENERGY), 0.07)
    decay = 2 * np.pi * t / inside[0, 2]
    total = waves.intensities([[-0.25, 0.0]], [t])[0, 0].sum()
    assert total == pytest.approx(0.5 * (np.exp(-decay * (u0 + ug)) + np.exp(-decay * (u0 - ug))), rel=1e-6)
    away = two_beams(0.07 + 1j * u0, 0j).intensities([[0.3, 0.0]], [t])[0, 0].sum()
    assert away == pytest.approx(np.exp(-decay * u0), rel=1e-3)


def test_current_is_conserved_without_absorption(triclinic) -> None:
    """Also where Laue zones of higher order carry much of it."""
    potential = OpticalPotential(triclinic, ENERGY, absorption=0.0)
    waves = bloch_waves(
        triclinic, Beam(ENERGY, 5.0, (20.0, -11.0)), absorption=0.0, selection=Selection(2.0, 0.1, None)
    )
    assert np.abs(waves.g[:, 2]).max() > 0.1
    total = waves.intensities([[0.9, -0.4], [0.7, -0.5]], [50.0, 3000.0]).sum(axis=-1)
    assert total == pytest.approx(np.ones((2, 2)), abs=1e-9)
    assert not potential.absorbs


def test_moving_atoms_absorb(silicon) -> None:
    """What the elastic beams lose grows with thickness, and more where atoms move more."""
    cell = orient(silicon, (1, 1, 0), primitive=True)
    lost = []
    for msd in (0.5 * MSD, MSD):
        waves = bloch_waves(cell, Beam(ENERGY), displacements=np.full(2, msd))
        lost.append(1 - waves.intensities([[0.0, 0.0]], [100.0, 300.0, 1000.0]).sum(axis=-1)[:, 0])
    assert (np.diff(lost, axis=1) > 0).all() and (np.diff(lost, axis=0) > 0).all()


def test_thermal_absorption_is_bird_and_kings() -> None:
    """U'_g of silicon, B = 0.4668 Å², 302.5 kV, as swampni/PyExtal lists them (Bird & King): within 0.3 %."""
    published = {(1, 1, 1): 5.6254957e-4, (2, 2, 0): 7.3504535e-4, (3, 1, 1): 4.9703574e-4, (4, 0, 0): 6.6099927e-4}
    h = np.array(list(published))
    factor = np.abs(np.array([4 + 4j, 8, 4 + 4j, 8]))
    each = thermal_absorption([14], [MSD], np.linalg.norm(h, axis=1) / 5.4307, 302.5e3)[0]
    assert factor * each / 5.4307**3 == pytest.approx(list(published.values()), rel=3.5e-3)


def test_reciprocity(triclinic) -> None:
    """From k to k + g as from −(k + g) to −k, absorption included, in a crystal without symmetry."""
    motion = np.array([0.005, 0.008, 0.012])
    there = bloch_waves(triclinic, Beam(ENERGY, 6.0), None, motion, selection=Selection(1.5, 0.05, None))
    turn = np.diag([1.0, -1.0, -1.0])  # the beam comes from behind
    atoms = triclinic.atoms.copy()
    atoms.set_cell(triclinic.cell @ turn, scale_atoms=True)
    behind = Structure(atoms)
    potential = OpticalPotential(behind, ENERGY, None, motion)
    k = np.array([0.11, -0.07])
    strongest = np.argsort(-there.intensities([k], [200.0])[0, 0, 1:])[:3] + 1
    for row in strongest:
        exact = there.beams.exact[row] - there.beams.exact
        order = np.argsort((exact != 0).any(axis=1), kind="stable")
        back = BlochWaves(behind, potential, ENERGY, Beams(exact[order]))
        g = there.g[row, :2]
        reverse = np.array([-(k[0] + g[0]), k[1] + g[1]])
        forward = there.intensities([k], [200.0])[0, 0, row]
        assert forward > 2e-3
        found = back.intensities([reverse], [200.0])[0, 0, back.beams.index(there.beams.exact[row])]
        assert found == pytest.approx(forward, rel=5e-3)


@pytest.mark.slow
def test_same_beams_as_abtem(silicon) -> None:
    """abTEM's Bloch waves of the same coefficients and beams; it leaves the mean inner potential out of K."""
    from abtem.bloch import BlochWaves as Reference
    from abtem.bloch.dynamical import StructureFactorArray
    from abtem.core.constants import kappa

    crystal = orient(silicon, (1, 1, 0)).crystal
    potential = OpticalPotential(crystal, ENERGY, None, np.full(8, MSD), 0.0)
    h = np.argwhere(np.ones((29, 29, 29))) - 14
    h = h[np.linalg.norm(h @ np.linalg.inv(crystal.cell).T, axis=1) <= 2.4]
    volts = potential.elastic(h) * np.pi * wavelength(ENERGY) / interaction_constant(ENERGY)
    array = StructureFactorArray(volts * kappa, h, crystal.atoms.cell, 2.4, centering="F")
    reference = Reference(array, ENERGY, sg_max=0.05, g_max=1.2, centering="F")
    expected = reference.calculate_diffraction_patterns([100.0, 500.0], lazy=False)
    hkl = np.asarray(reference.hkl)
    direct = (hkl == 0).all(axis=1)
    waves = BlochWaves(crystal, potential, ENERGY, Beams(np.concatenate([hkl[direct], hkl[~direct]])))
    found = waves.intensities([[0.0, 0.0]], [100.0, 500.0])[:, 0]
    values = np.concatenate([expected.array[:, direct], expected.array[:, ~direct]], axis=1)
    assert len(hkl) > 30
    assert found == pytest.approx(values, abs=3e-4)


def smeared(z: int, g: np.ndarray) -> np.ndarray:
    """Form factors of blurred atoms, of which few beams hold the whole potential."""
    return form_factor("pbe")(z, g) / (1.0 + (np.asarray(g) / 2.0) ** 2) ** 2


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (6.0, -3.0)])
def test_same_spots_as_multislice(tilt: tuple[float, float]) -> None:
    """Bonded silicon along [110], 10 nm: beams of Bloch waves against the project's multislice, same potential."""
    with np.load(ROOT / "tests" / "data" / "vasp" / "Si.npz") as data:
        atoms = ase.Atoms(numbers=data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
        bonding = (data["AECCAR2"].astype(float) - data["AECCAR1"])[::2, ::2, ::2]
    crystal = Structure(atoms)
    field = DensityField("deformation", crystal, PeriodicGrid(atoms.cell.array, bonding.shape), bonding)
    cell = orient(crystal, (1, 1, 0))
    block = cell.repeated(1, 1, 26)
    grid = repeated_grid(imaging_grid(cell, 0.09, 6), 1, 1, 26)
    slices = build_potential(block, grid, field, parametrization=smeared)
    extent = (float(grid.cell[0, 0]), float(grid.cell[1, 1]))
    engine = BlochEngine(Microscope(energy=ENERGY, tilt=tilt), extent, grid.shape[:2], slices.thickness, (1, 1))
    expected = np.abs(engine.exit_wave(slices.array)) ** 2

    leaning = tilted(ENERGY, tilt)[None]

    def spots(density: DensityField | None) -> tuple[BlochWaves, np.ndarray]:
        potential = OpticalPotential(cell.crystal, ENERGY, density, absorption=0.0, parametrization=smeared)
        vectors = wave_vectors(leaning, wavelength(ENERGY), 0.0)
        beams = select_beams(cell.crystal, potential, vectors, 3.0, 0.07, 0.2)
        waves = BlochWaves(cell.crystal, potential, ENERGY, beams)
        return waves, waves.intensities(leaning, [float(block.lengths[2])])[0, 0]

    waves, found = spots(field)
    flat = np.abs(waves.g[:, 2]) < 1e-6
    places = np.rint(waves.g[flat, :2] * np.array(extent)).astype(int)
    assert flat.sum() > 60
    assert found[flat] == pytest.approx(expected[places[:, 0], places[:, 1]], abs=1.5e-3)
    assert np.abs(spots(None)[1] - found).max() > 0.01  # bonding shows, so that it is compared as well


def test_extinction_distances_of_silicon(silicon) -> None:
    """100 kV, at rest: 602, 757, 1349, 1268 Å (Hirsch et al., Electron Microscopy of Thin Crystals), within 4 %."""
    potential = OpticalPotential(silicon, 100e3)
    u = np.abs(potential.elastic(np.array([[1, 1, 1], [2, 2, 0], [3, 1, 1], [4, 0, 0]])))
    assert 1 / (wavelength(100e3) * u) == pytest.approx([602, 757, 1349, 1268], rel=0.04)


def test_thickness_fringes_of_silicon(silicon) -> None:
    """Bright field of the (440) systematic row's Bragg orientation repeats with the extinction distance."""
    cell = orient(silicon, (0, 0, 1), primitive=True)
    g = 4.0 * np.sqrt(2.0) / 5.43102
    k = -0.5 * g * np.array([1.0, 0.0])
    axes = cell.crystal.cell
    h = np.rint(axes @ np.array([g, 0.0, 0.0])).astype(int)
    turned = h if np.allclose(h @ np.linalg.inv(axes).T, [g, 0, 0], atol=1e-6) else None
    assert turned is not None, "x of the imaging cell is [110] here"
    potential = OpticalPotential(cell.crystal, ENERGY, absorption=0.0)
    waves = BlochWaves(cell.crystal, potential, ENERGY, Beams(np.array([[0, 0, 0], turned])))
    t = np.arange(0.0, 4000.0, 2.0)
    bright = waves.intensities([k], t)[:, 0, 0]
    minima = t[1:-1][(bright[1:-1] < bright[:-2]) & (bright[1:-1] <= bright[2:])]
    xi = 1 / (wavelength(ENERGY) * abs(potential.elastic(turned[None])[0]))
    assert np.diff(minima) == pytest.approx(np.full(len(minima) - 1, xi), rel=0.01)


def test_weak_beams_stand_for_the_beams_they_replace(silicon) -> None:
    """Bethe's potentials bring the pattern of few beams near that of many; selections converge."""
    cell = orient(silicon, (1, 1, 0), primitive=True)

    def pattern(selection: Selection) -> np.ndarray:
        waves = bloch_waves(cell, Beam(ENERGY), None, np.full(2, MSD), selection=selection)
        return waves.intensities([[0.05, 0.02]], [300.0])[0, 0, :9]

    many = pattern(Selection(3.5, 0.25, None))
    alone = np.abs(pattern(Selection(3.5, 0.02, None)) - many).max()
    folded = np.abs(pattern(Selection(3.5, 0.02, 0.25)) - many).max()
    assert folded < 0.3 * alone
    assert np.abs(pattern(Selection(3.0, 0.06, 0.2)) - many).max() < 1e-2


def test_derivatives_are_those_of_finite_differences(silicon) -> None:
    cell = orient(silicon, (1, 1, 0), primitive=True)
    waves = bloch_waves(cell, Beam(ENERGY), None, np.full(2, MSD), selection=Selection(1.5, 0.03, None))
    k, t, step = np.array([[0.03, -0.02], [0.1, 0.05]]), 400.0, 1e-5
    pair = np.stack([waves.beams.exact[1], -waves.beams.exact[1]])
    place = waves.matrix_of(pair)
    values, slopes = waves.derivatives(k, t, [place, *waves.slopes(k)])
    assert values == pytest.approx(waves.amplitudes(k, [t])[0], abs=1e-9)
    thicker, thinner = waves.amplitudes(k, [t + 0.01, t - 0.01])
    assert slopes[0] == pytest.approx((thicker - thinner) / 0.02, abs=1e-6)
    original = waves.matrix.copy()
    waves.matrix = original + 1e-7 * place
    more = waves.amplitudes(k, [t])[0]
    waves.matrix = original - 1e-7 * place
    less = waves.amplitudes(k, [t])[0]
    waves.matrix = original
    assert slopes[1] == pytest.approx((more - less) / 2e-7, abs=2e-3 * np.abs(slopes[1]).max())
    shift = np.array([step, 0.0])
    moved = (waves.amplitudes(k + shift, [t])[0] - waves.amplitudes(k - shift, [t])[0]) / (2 * step)
    assert np.abs(slopes[2] - moved).max() < 5e-3 * np.abs(moved).max()


def test_discs_and_pattern(silicon) -> None:
    """The pattern holds what the discs do; the disc of −g is that of g turned, in a centrosymmetric crystal."""
    cell = orient(silicon, (1, 1, 0), primitive=True)
    beam = Beam(ENERGY, 2.0)
    waves = bloch_waves(cell, beam, None, np.full(2, MSD), selection=Selection(1.2, 0.02, None))
    held = convergent_beam(waves, [100.0, 400.0], beam.convergence, 0.2)
    assert held.pattern(1).sum() == pytest.approx(held.means()[1].sum(), rel=2e-2)
    assert held.convergence < 0.5 * smallest_spacing(waves)
    one, other = waves.beams.index(waves.beams.exact[1]), waves.beams.index(-waves.beams.exact[1])
    assert held.discs[1, other] == pytest.approx(held.discs[1, one][::-1, ::-1], abs=1e-6)
    middle = held.discs.shape[-1] // 2
    assert held.discs[0, :, middle, middle] == pytest.approx(waves.intensities([[0.0, 0.0]], [100.0])[0, 0], abs=1e-6)


@pytest.mark.parametrize("absorption", ["thermic", -0.1, 1.5])
def test_refuses_an_absorption_that_is_none(silicon, absorption) -> None:
    with pytest.raises(InputError, match="absorption"):
        OpticalPotential(silicon, ENERGY, absorption=absorption)


def test_refuses_bad_settings(silicon) -> None:
    cell = orient(silicon, (1, 1, 0), primitive=True)
    waves = bloch_waves(cell, Beam(ENERGY))
    with pytest.raises(InputError, match="none but the direct"):
        bloch_waves(cell, Beam(ENERGY), selection=Selection(0.1, 0.01, None))
    with pytest.raises(InputError, match="at most"):
        bloch_waves(cell, Beam(ENERGY), selection=Selection(9.0, 3.0, None))
    with pytest.raises(InputError, match="g_max"):
        bloch_waves(cell, Beam(ENERGY), selection=Selection(2.0, 0.1, 0.05))
    with pytest.raises(InputError, match="displacements"):
        bloch_waves(cell, Beam(ENERGY), displacements=np.zeros(3))
    with pytest.raises(InputError, match="directions"):
        waves.intensities([[60.0, 0.0]], [100.0])
    with pytest.raises(InputError, match="thicknesses"):
        waves.intensities([[0.0, 0.0]], [-1.0])
    with pytest.raises(InputError, match="reflection"):
        waves.beams.index([99, 0, 0])
    with pytest.raises(InputError, match="pixel"):
        disc_directions(ENERGY, 2.0, 1e-4)


@pytest.mark.slow
def test_fringes_of_many_beams_are_those_of_multislice_and_abtem(silicon) -> None:
    """Silicon along [110], bright field and 111 from 0 to 100 nm: Bloch waves, multislice, and abTEM's Bloch waves.

    Atoms are blurred, so that few beams hold the whole potential. Multislice drifts off by its slices of 0.64 Å.
    """
    from abtem.bloch import BlochWaves as Reference
    from abtem.bloch.dynamical import StructureFactorArray
    from abtem.core.constants import kappa

    cell = orient(silicon, (1, 1, 0))
    grid = imaging_grid(cell, 0.09, 6)
    slices = build_potential(cell, grid, parametrization=smeared)
    extent, depth = (float(grid.cell[0, 0]), float(grid.cell[1, 1])), float(grid.cell[2, 2])
    number = 260
    engine = BlochEngine(Microscope(energy=ENERGY, convergence=1e-6), extent, grid.shape[:2], slices.thickness, (1, 1))
    whole = engine.prepared(np.tile(slices.array, (number, 1, 1)))
    exits = [len(slices.array) * n for n in range(10, number + 1, 10)]
    beams, matrices = engine.scattered(engine.groups[0], whole, 1.0, exits)
    thicknesses = [depth * n for n in range(10, number + 1, 10)]

    potential = OpticalPotential(cell.crystal, ENERGY, absorption=0.0, parametrization=smeared)
    vectors = wave_vectors(np.zeros((1, 2)), wavelength(ENERGY), 0.0)
    waves = BlochWaves(cell.crystal, potential, ENERGY, select_beams(cell.crystal, potential, vectors, 3.0, 0.07, 0.2))
    found = waves.intensities([[0.0, 0.0]], thicknesses)[:, 0]
    flat = np.flatnonzero(np.abs(waves.g[:, 2]) < 1e-6)
    places = np.rint(waves.g[flat, :2] * np.array(extent)).astype(int)
    size = np.linalg.norm(waves.g[flat], axis=1)
    shown = [flat[0], flat[np.argmin(np.abs(size - np.sqrt(3) / 5.43102))]]
    rows = [int(np.flatnonzero((beams == places[flat == n][0]).all(axis=1))[0]) for n in shown]
    expected = np.array([[abs(m[0, row]) ** 2 for row in rows] for m in matrices])
    assert np.ptp(expected[:, 0]) > 0.5 and np.ptp(expected[:, 1]) > 0.05  # fringes
    assert found[:, shown] == pytest.approx(expected, abs=0.01)

    crystal = cell.crystal
    h = np.argwhere(np.ones((29, 29, 29))) - 14
    h = h[np.linalg.norm(h @ np.linalg.inv(crystal.cell).T, axis=1) <= 2.4]
    volts = potential.elastic(h) * np.pi * wavelength(ENERGY) / interaction_constant(ENERGY)
    array = StructureFactorArray(volts * kappa, h, crystal.atoms.cell, 2.4, centering="F")
    reference = Reference(array, ENERGY, sg_max=0.05, g_max=1.2, centering="F")
    theirs = reference.calculate_diffraction_patterns(thicknesses, lazy=False).array
    hkl = np.asarray(reference.hkl)
    direct = (hkl == 0).all(axis=1)
    same = BlochWaves(crystal, potential, ENERGY, Beams(np.concatenate([hkl[direct], hkl[~direct]])))
    values = np.concatenate([theirs[:, direct], theirs[:, ~direct]], axis=1)
    assert same.intensities([[0.0, 0.0]], thicknesses)[:, 0] == pytest.approx(values, abs=1e-3)
