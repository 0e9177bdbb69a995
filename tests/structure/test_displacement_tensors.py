"""Displacement tensors: what is believed, other temperatures, and that they follow their atoms wherever these go."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import cellpar_to_cell

from rhotem.battery.polycrystal import cut_grains
from rhotem.core import InputError
from rhotem.structure import assemble, build
from rhotem.structure.coherent import Side, coherent_interface
from rhotem.structure.debye import debye_displacement, debye_temperature
from rhotem.structure.debye_waller import thermal_motion
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient
from rhotem.structure.phases import phase
from rhotem.structure.write import write_structure

#: U_ij of a monoclinic crystal in the basis of a CIF, Å².
ALPHA = np.array([[0.012, 0.001, 0.004], [0.001, 0.008, -0.002], [0.004, -0.002, 0.020]])
BETA = np.array([[0.006, -0.001, 0.000], [-0.001, 0.015, 0.003], [0.000, 0.003, 0.009]])


def monoclinic() -> tuple[Structure, np.ndarray]:
    """A crystal and the CIF's U_ij, taken to Cartesian axes: U = A N U' N Aᵀ, N the reciprocal lengths."""
    atoms = Atoms("TiO", cell=cellpar_to_cell([5.0, 6.0, 7.0, 90, 107, 90]), pbc=True)
    atoms.set_scaled_positions([[0.1, 0.2, 0.3], [0.55, 0.71, 0.83]])
    lengths = np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    frame = atoms.cell.array.T @ np.diag(lengths)
    cif = np.stack([ALPHA, BETA])
    return Structure(atoms, displacements=frame @ cif @ frame.T, info={"displacements_kelvin": 300.0}), cif


def exponents(structure: Structure, h: np.ndarray) -> np.ndarray:
    """2π² gᵀ U g of every atom and reflection h: what a Debye–Waller factor is made of."""
    g = h @ np.linalg.inv(structure.cell).T
    return 2 * np.pi**2 * np.einsum("hi,nij,hj->nh", g, structure.displacements, g)


def reflections(count: int = 40) -> np.ndarray:
    return np.random.default_rng(1).integers(-5, 6, size=(count, 3))


def test_cartesian_tensors_are_those_of_the_cif():
    """exp(−2π² Σ U_ij h_i h_j a*_i a*_j), and gemmi's own smear of the same numbers."""
    gemmi = pytest.importorskip("gemmi")
    structure, cif = monoclinic()
    h, lengths = reflections(), np.linalg.norm(np.linalg.inv(structure.cell), axis=0)
    expected = 2 * np.pi**2 * np.einsum("hi,nij,hj->nh", h * lengths, cif, h * lengths)
    np.testing.assert_allclose(exponents(structure, h), expected, rtol=1e-12, atol=1e-14)
    cell = gemmi.UnitCell(5.0, 6.0, 7.0, 90, 107, 90)
    scale = np.diag([cell.reciprocal().a, cell.reciprocal().b, cell.reciprocal().c])
    turned = np.array(cell.orth.mat.tolist()) @ scale @ cif @ scale @ np.array(cell.orth.mat.tolist()).T
    np.testing.assert_allclose(np.linalg.eigvalsh(structure.displacements), np.linalg.eigvalsh(turned), atol=1e-12)


def test_a_written_cif_holds_them(tmp_path):
    """Read by gemmi: U_ij in the CIF's basis, the mean, nothing for an atom without, the temperature."""
    gemmi = pytest.importorskip("gemmi")
    structure, cif = monoclinic()
    tensors = np.concatenate([structure.displacements, np.full((1, 3, 3), np.nan)])
    atoms = structure.atoms + Atoms("O", positions=[[1.0, 3.0, 4.0]])
    write_structure(Structure(atoms, displacements=tensors, info=dict(structure.info)), tmp_path / "a.cif")
    block = gemmi.cif.read(str(tmp_path / "a.cif")).sole_block()
    read = gemmi.make_small_structure_from_block(block)
    assert [site.label for site in read.sites] == ["Ti1", "O1", "O2"]
    for site, u in zip(read.sites, cif, strict=False):
        found = [site.aniso.u11, site.aniso.u22, site.aniso.u33, site.aniso.u12, site.aniso.u13, site.aniso.u23]
        np.testing.assert_allclose(found, [u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2]], atol=1e-6)
    assert not read.sites[2].aniso.nonzero()
    assert read.sites[0].u_iso == pytest.approx(np.trace(structure.displacements[0]) / 3, abs=1e-6)
    assert block.find_value("_diffrn_ambient_temperature") == "300"


@pytest.mark.parametrize("zone", [(0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 2, 3)])
def test_orientation_changes_no_debye_waller_factor(zone):
    """Reflections keep their indices under rotation and strain, and gᵀ U g with them; images of an atom move alike."""
    structure, _ = monoclinic()
    cell = orient(structure, zone, max_strain=0.03)
    h = reflections()
    np.testing.assert_allclose(exponents(cell.crystal, h), exponents(structure, h), rtol=1e-10, atol=1e-13)
    back = Structure(cell.unrotated.atoms, displacements=cell.unrotated.displacements)
    np.testing.assert_allclose(back.displacements, structure.displacements, atol=1e-12)
    block = cell.repeated(2, 1, 2)
    images = exponents(block.structure, h @ block.transform.T)
    np.testing.assert_allclose(images, exponents(structure, h)[block.atom_index], rtol=1e-10, atol=1e-13)
    assert len(block.structure.displacements) == len(block.structure)
    assert block.structure.info["displacements_kelvin"] == 300.0


def test_strain_is_followed():
    structure, _ = monoclinic()
    made = build.strained(structure, [[0.01, 0.004, 0], [0.004, -0.02, 0], [0, 0, 0.03]])
    np.testing.assert_allclose(exponents(made, reflections()), exponents(structure, reflections()), atol=1e-13)


def test_primitive_cells_average_over_translated_copies():
    cubic = bulk("Cu", cubic=True)
    tensors = np.array([np.eye(3) * u for u in (0.006, 0.007, 0.008, np.nan)])
    cell = orient(Structure(cubic, displacements=tensors), (0, 0, 1), primitive=True)
    assert len(cell.crystal) == 1
    np.testing.assert_allclose(cell.crystal.displacements, 0.007 * np.eye(3)[None], atol=1e-15)


def test_defects_keep_what_is_known_and_forget_what_is_not():
    oxide = phase("LiCoO2")
    spread = np.array([0.004 + 0.001 * i for i in range(len(oxide))])
    known = Structure(oxide.atoms, info=dict(oxide.info), displacements=spread[:, None, None] * np.eye(3))

    def means(made: Structure) -> np.ndarray:
        """Of each atom, by its place in the cell of the crystal."""
        assert made.displacements.shape == (len(made), 3, 3)
        return np.trace(made.displacements, axis1=1, axis2=2) / 3

    def expected(made: Structure) -> np.ndarray:
        apart = np.linalg.solve(oxide.cell.T, made.positions.T).T[:, None] - oxide.atoms.get_scaled_positions()
        return spread[np.linalg.norm(apart - np.rint(apart), axis=2).argmin(axis=1)]

    rng = np.random.default_rng(0)
    for made in (
        build.repeated(known, 2, 1, 2),
        build.vacancy(build.repeated(known, 2, 2, 1), "Li", 2, rng),
        build.deintercalate(known, 0.5),
        build.deintercalate(build.repeated(known, 2, 1, 1), 0.5, rng=rng),
    ):
        np.testing.assert_allclose(means(made), expected(made), atol=1e-12)
    for made in (build.substitute(known, "Co", "Ni", 0.5), build.antisite(known, "Li", "Co", 1)):
        lost = np.isnan(means(made))
        assert lost.any() and not lost.all()
        np.testing.assert_allclose(means(made)[~lost], expected(made)[~lost], atol=1e-12)
    assert set(
        build.substitute(known, "Co", "Ni", 0.5).atoms.symbols[lost_of(build.substitute(known, "Co", "Ni", 0.5))]
    ) == {"Ni"}


def lost_of(structure: Structure) -> np.ndarray:
    return np.isnan(structure.displacements[:, 0, 0])


def test_slabs_turn_them():
    """Along the bond of a chain: a hexagonal crystal whose atoms move along c only, cut along (1,0,0)."""
    atoms = Atoms("Zn", cell=cellpar_to_cell([2.66, 2.66, 4.95, 90, 90, 120]), pbc=True)
    along = np.zeros((1, 3, 3))
    along[0, 2, 2] = 0.03
    made = assemble.slab(Structure(atoms, displacements=along), (1, 0, 0), 8.0)
    values, axes = np.linalg.eigh(made.displacements)
    np.testing.assert_allclose(values, [[0, 0, 0.03]] * len(made), atol=1e-12)
    # c lies in the surface
    np.testing.assert_allclose(np.abs(axes[:, 2, 2]), 0.0, atol=1e-9)
    in_plane = made.cell[np.isclose(np.linalg.norm(made.cell, axis=1), 4.95)][0] / 4.95
    np.testing.assert_allclose(np.abs(axes[:, :, 2] @ in_plane), 1.0, atol=1e-9)
    assert "displacements_A2" not in made.atoms.arrays


def test_interfaces_keep_those_of_both_sides():
    soft, hard = (
        Structure(bulk("Al", cubic=True), displacements=np.tile(u * np.eye(3), (4, 1, 1))) for u in (0.02, 0.005)
    )
    plain = Structure(bulk("Al", cubic=True))
    cells = [ImagingCell.from_orthogonal(s) for s in (soft, hard, plain)]
    made = assemble.interface(cells[0], cells[1], (8.0, 8.0)).structure
    low = made.positions[:, 1] < made.cell[1, 1] / 2 - 0.1
    np.testing.assert_allclose(made.displacements[low], 0.02 * np.eye(3)[None].repeat(low.sum(), 0), atol=1e-12)
    np.testing.assert_allclose(made.displacements[~low], 0.005 * np.eye(3)[None].repeat((~low).sum(), 0), atol=1e-12)
    half = assemble.interface(cells[0], cells[2], (8.0, 8.0)).structure
    assert lost_of(half).any() and not lost_of(half).all()
    both = coherent_interface(Side(soft, (0, 0, 1), 2), Side(hard, (0, 0, 1), 2))
    assert set(np.round(np.trace(both.displacements, axis1=1, axis2=2) / 3, 6)) == {0.02, 0.005}


def test_grains_turn_them():
    atoms = Atoms("Zn", cell=np.diag([3.0, 3.1, 3.2]), pbc=True)
    tensor = np.diag([0.01, 0.02, 0.03])
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    seeds = [[5.0, 10, 10], [15.0, 10, 10]]
    made = cut_grains(Structure(atoms, displacements=tensor[None]), (20.0, 20.0, 20.0), seeds, [np.eye(3), turn])
    for grain, expected in enumerate((tensor, turn @ tensor @ turn.T)):
        own = made.structure.displacements[made.grain == grain]
        np.testing.assert_allclose(own, np.tile(expected, (len(own), 1, 1)), atol=1e-12)


def isotropic(symbols: str, values: list[float], **info: object) -> Structure:
    count = len(values)
    atoms = Atoms(symbols, cell=np.eye(3) * 4, scaled_positions=np.arange(3 * count).reshape(-1, 3) / (3.0 * count))
    return Structure(atoms, displacements=np.array(values)[:, None, None] * np.eye(3), info=info)


def test_the_file_comes_before_the_table():
    motion = thermal_motion(isotropic("TiO2", [0.004, 0.009, 0.008], displacements_kelvin=300.0))
    np.testing.assert_allclose(motion.values, np.array([0.004, 0.009, 0.008])[:, None, None] * np.eye(3))
    assert "the structure's source, 300 K" in motion.words and motion.short == "structure file" and not motion.remarks
    assert motion.elements["O"] == pytest.approx(0.0085)
    given = thermal_motion(isotropic("TiO2", [0.004, 0.009, 0.008]), msd={"Ti": 0.003})
    np.testing.assert_allclose(given.isotropic, [0.003, 0.009, 0.008])
    assert "states no temperature: taken as room temperature" in given.words


@pytest.mark.parametrize("value", [0.05, 0.0127, 1 / (8 * np.pi**2), 0.00633, 0.0061])
def test_one_number_on_every_site_of_a_compound_is_a_placeholder(value):
    motion = thermal_motion(isotropic("TiO2", [value] * 3))
    assert motion.short == "table of oxide" and any("every site" in remark for remark in motion.remarks)


@pytest.mark.parametrize(
    "value, used",
    [
        (0.0059, True),
        (0.00645, True),
        (0.05, False),
        (1 / (8 * np.pi**2), False),
        (0.0, False),
        (-0.01, False),
        (0.3, False),
    ],
)
def test_one_site_is_not_a_placeholder_unless_the_number_is_round(value, used):
    motion = thermal_motion(Structure(bulk("Au"), displacements=value * np.eye(3)[None]))
    assert (motion.short == "structure file") is used and bool(motion.remarks) is not used
    assert motion.isotropic[0] == pytest.approx(value if used else 0.00804, rel=1e-2)


def test_single_atoms_are_refused_alone():
    bent = isotropic("TiO2", [0.004, 0.009, 0.25])
    motion = thermal_motion(bent)
    np.testing.assert_allclose(motion.isotropic, [0.004, 0.009, 0.0065])
    assert any("1 of 2 O (0.2500 Å²)" in remark and "outside" in remark for remark in motion.remarks)
    tensors = np.array(isotropic("TiO2", [0.004, 0.009, 0.008]).displacements)
    tensors[1] = np.array([[0.01, 0.02, 0], [0.02, 0.01, 0], [0, 0, 0.01]])
    motion = thermal_motion(Structure(bent.atoms, displacements=tensors))
    np.testing.assert_allclose(motion.isotropic, [0.004, 0.0065, 0.008])
    assert any("not positive definite" in remark for remark in motion.remarks)
    tensors[1] = np.nan
    motion = thermal_motion(Structure(bent.atoms, displacements=tensors))
    np.testing.assert_allclose(motion.isotropic, [0.004, 0.0065, 0.008])
    assert not motion.remarks and motion.short == "structure file + table of oxide"


def test_b_written_as_u_is_recognised():
    motion = thermal_motion(isotropic("TiO2", [0.38, 0.56, 0.50]))
    assert motion.short == "table of oxide" and any("B by their size" in remark for remark in motion.remarks)


def test_a_wrong_shape_is_refused():
    with pytest.raises(InputError, match="shape"):
        thermal_motion(Structure(bulk("Au"), displacements=np.ones((1, 6))))


def test_another_temperature_scales_every_principal_axis():
    structure, _ = monoclinic()
    cold = Structure(structure.atoms, displacements=structure.displacements, info={"displacements_kelvin": 120.0})
    motion = thermal_motion(cold, 300.0)
    masses = cold.atoms.get_masses()
    for tensor, result, mass in zip(cold.displacements, motion.values, masses, strict=True):
        values, axes = np.linalg.eigh(tensor)
        theta = [debye_temperature(float(mass), float(v), 120.0) for v in values]
        expected = [debye_displacement(float(mass), t, 300.0) for t in theta]
        np.testing.assert_allclose(axes.T @ result @ axes, np.diag(expected), atol=1e-10)
    assert (np.linalg.eigvalsh(motion.values) > 1.5 * np.linalg.eigvalsh(cold.displacements)).all()
    assert "120 K" in motion.words
    classical = thermal_motion(cold, 60.0, zero_point=False)
    np.testing.assert_allclose(classical.values, cold.displacements / 2, atol=1e-14)


def test_what_is_measured_near_absolute_zero_is_not_continued_to_room_temperature():
    """0.004 Å² of gold at 5 K is an error of the refinement or disorder: zero-point motion is a tenth of that."""
    motion = thermal_motion(
        Structure(bulk("Au"), displacements=0.004 * np.eye(3)[None], info={"displacements_kelvin": 5})
    )
    assert motion.short == "value of the element" and any("cannot be continued" in remark for remark in motion.remarks)
    assert thermal_motion(
        Structure(bulk("Au"), displacements=0.0011 * np.eye(3)[None], info={"displacements_kelvin": 5}), 5.0
    ).isotropic == pytest.approx([0.0011])
