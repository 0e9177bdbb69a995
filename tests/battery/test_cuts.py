"""Twins, cracks and particles: coincidence, mirror symmetry, shapes, and nothing lost."""

import numpy as np
import pytest

from rhotem.battery.builders.crack import crack
from rhotem.battery.builders.grain_boundary import grain_boundary
from rhotem.battery.builders.nanoparticle import nanoparticle
from rhotem.battery.builders.slab import slab
from rhotem.battery.builders.twin import twin
from rhotem.battery.wulff import faces_of, shape
from rhotem.core import InputError
from rhotem.structure.phases import phase


def coincidence(crystal, plane):
    """Share of lattice points of a cubic crystal that its mirror image in (hkl) has too, counted in a ball."""
    lattice = crystal.cell.diagonal()[0] * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    n = np.array(plane) / np.linalg.norm(plane)
    grid = np.stack(np.meshgrid(*[np.arange(-14, 15)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = grid @ lattice
    points = points[np.linalg.norm(points, axis=1) < 5.5 * crystal.cell.diagonal()[0]]
    image = points - 2 * np.outer(points @ n, n)
    fraction = image @ np.linalg.inv(lattice)
    return (np.abs(fraction - np.rint(fraction)).max(axis=1) < 1e-6).mean()


@pytest.mark.parametrize(
    "name, plane, sigma",
    [
        ("LiMn2O4", (1, 1, 1), 3),
        ("LiF", (1, 1, 1), 3),
        ("LiF", (2, 1, 0), 5),
        ("LiF", (3, 1, 0), 5),
        ("Si", (2, 1, 0), 5),
        ("NiO", (3, 1, 0), 5),
    ],
)
def test_coincidence_of_cubic_twins(name, plane, sigma):
    crystal = phase(name)
    made = twin(crystal, plane, 5.0)
    assert made.defects[0]["sigma"] == sigma
    assert 1 / coincidence(crystal, plane) == pytest.approx(sigma, rel=0.05)
    assert made.structure.formula == crystal.formula
    lower, upper = (made.structure.atoms[made.region == n].symbols.formula.count() for n in (0, 1))
    assert lower == upper


@pytest.mark.parametrize("name, plane", [("LiMn2O4", (1, 1, 1)), ("LiCoO2", (1, 0, 4)), ("Si", (1, 1, 1))])
def test_grains_are_mirror_images(name, plane):
    """Upper atoms are the lower ones with z turned over, shifted as one body, at the crystal's density."""
    crystal = phase(name)
    made = twin(crystal, plane, 10.0)
    lower, upper = (made.structure.atoms[made.region == n] for n in (0, 1))
    turned = lower.copy()
    turned.positions[:, 2] *= -1
    away = (made.region == 1) & (made.role == "host")
    inner = np.flatnonzero(made.role[made.region == 0] == "host")
    turned = turned[inner]
    cell = made.structure.cell
    best = np.inf
    for atom in np.flatnonzero(away)[:40]:
        if made.structure.numbers[atom] != turned.numbers[0]:
            continue
        moved = turned.positions + made.structure.positions[atom] - turned.positions[0]
        fraction = (moved[:, None] - upper.positions) @ np.linalg.inv(cell)
        apart = np.linalg.norm((fraction - np.rint(fraction)) @ cell, axis=2)
        apart[turned.numbers[:, None] != upper.numbers] = np.inf
        best = min(best, float(apart.min(axis=1).max()))
    assert best < 1e-6
    area = np.linalg.det(made.structure.cell[:2, :2])
    assert len(lower) / (area * made.structure.cell[2, 2] / 2) == pytest.approx(len(crystal) / crystal.volume, rel=0.05)


def test_a_mirror_plane_is_no_twin():
    with pytest.raises(InputError, match="mirror plane of LiF"):
        twin(phase("LiF"), (1, 0, 0))
    with pytest.raises(InputError, match="positive length"):
        twin(phase("LiF"), (1, 1, 1), -3.0)


def test_wulff_shapes():
    """γ100 = √3 γ111: the corners of the octahedron just touch the cube's faces; volume 4√3 h³ (h: to (111))."""
    normals, energies, names = faces_of(phase("LiF"), {(1, 1, 1): 1.0})
    assert len(normals) == 8 and len(set(names)) == 8
    vertices, volume = shape(normals, energies)
    assert volume == pytest.approx(4 * np.sqrt(3)) and len(np.unique(vertices.round(6), axis=0)) == 6
    both = faces_of(phase("LiF"), {(1, 1, 1): 1.0, (1, 0, 0): np.sqrt(3) / 2})
    assert len(both[0]) == 14 and shape(both[0], both[1])[1] < volume
    assert len(faces_of(phase("LiCoO2"), {(1, 0, 4): 1.0})[0]) == 6
    with pytest.raises(InputError, match="enclose no particle"):
        shape(*faces_of(phase("LiCoO2"), {(0, 0, 1): 1.0})[:2])


@pytest.mark.parametrize("name, faces", [("LiF", {(1, 0, 0): 1.0}), ("LiCoO2", {(0, 0, 1): 1.0, (1, 0, 4): 1.0})])
def test_particles(name, faces):
    crystal = phase(name)
    made = nanoparticle(crystal, faces, 16.0)
    assert made.structure.formula == crystal.formula
    volume = np.pi / 6 * 16.0**3
    if name == "LiF":  # a cube of 12.9 Å holds seven planes, 2.01 Å apart; one ion is left over
        assert len(made.structure) == 7**3 - 1
    else:
        assert 0.75 < len(made.structure) / (volume * len(crystal) / crystal.volume) < 1.1
    normals, energies, _ = faces_of(crystal, faces)
    scale = (volume / shape(normals, energies)[1]) ** (1 / 3)
    spread = made.structure.positions - made.structure.positions.mean(axis=0)
    assert (np.ptp(spread @ normals.T, axis=0) < 2 * energies * scale + 0.5).all()
    assert set(made.role) - {"host"} <= {f"face {d['plane']}" for d in made.defects}


@pytest.mark.parametrize("name, grains, zone", [("LiF", 1, (0, 0, 1)), ("LiCoO2", 1, (1, 0, 0)), ("LiF", 3, (0, 0, 1))])
def test_cracks(name, grains, zone, rng):
    crystal = phase(name)
    along = "grain" if grains == 1 else "boundary"
    made = crack(crystal, (30.0, 28.0, 3.0), 7.0, 20.0, rng, grains=grains, along=along, zone=zone)
    assert made.structure.formula == crystal.formula
    mouth, tip = (np.array(made.defects[0][key])[:2] for key in ("position_A", "tip_A"))
    direction = (tip - mouth) / np.linalg.norm(tip - mouth)
    assert np.linalg.norm(tip - mouth) == pytest.approx(20.0)
    flat = made.structure.positions[:, :2] - mouth
    sides = made.structure.cell.diagonal()[1]
    flat[:, 1] -= np.rint(flat[:, 1] / sides) * sides
    ahead, aside = flat @ direction, np.abs(flat @ [-direction[1], direction[0]])
    assert not ((ahead > 0) & (ahead < 20.0) & (aside < 3.5 * (1 - ahead / 20.0) - 1e-6)).any()
    assert (made.role == "crack face").any() and made.extra["removed"]["opening"]


def test_cracks_that_cannot_be(rng):
    with pytest.raises(InputError, match="longer than the block"):
        crack(phase("LiF"), (20.0, 20.0, 4.0), 5.0, 30.0, rng, along="grain")
    with pytest.raises(InputError, match="no boundary"):
        crack(phase("LiF"), (20.0, 20.0, 4.0), 5.0, 10.0, rng)


def test_boundaries_and_slabs_say_which_atoms():
    made = grain_boundary(phase("LiF"), (26.0, 13.0, 4.0), 36.87)
    assert set(made.region) == {0, 1} and set(made.role) == {"boundary", "host"}
    away = made.structure.positions[made.role == "host", 0] % 13.0
    assert away.min() > 3.0 and away.max() < 10.0
    cut = slab(phase("LiCoO2"), (1, 0, 4), 15.0)
    z = cut.structure.positions[:, 2]
    assert z[cut.role == "lower surface"].max() < z[cut.role == "host"].min() < z[cut.role == "upper surface"].min()


@pytest.mark.parametrize("name, plane", [("LiF", (1, 0, 0)), ("LiCoO2", (1, 0, 4))])
def test_molecules_touch_the_surface(name, plane, rng):
    from ase.data.vdw_alvarez import vdw_radii

    from rhotem.battery.builders.adsorb import adsorbed, molecule_of
    from rhotem.structure.build import repeated

    water = molecule_of("H2O")
    bare = repeated(slab(phase(name), plane, 8.0, 18.0).structure, 3, 4, 1)
    made = adsorbed(bare, water, 3, rng)
    assert len(made.structure) == len(bare) + 9
    apart = made.structure.atoms.get_all_distances(mic=True)
    touch = 0.8 * np.add.outer(vdw_radii[made.structure.numbers], vdw_radii[made.structure.numbers])
    for number in (1, 2, 3):
        own, others = made.region == number, made.region < number
        ratio = apart[np.ix_(own, others)] / touch[np.ix_(own, others)]
        assert ratio.min() == pytest.approx(1.0, abs=1e-6)  # touches, and nothing is nearer
        inside = made.structure.atoms[own].get_all_distances()
        np.testing.assert_allclose(np.sort(inside, axis=None), np.sort(water.get_all_distances(), axis=None), atol=1e-9)
    with pytest.raises(InputError, match="no room for molecule"):
        adsorbed(bare, water, 200, rng)
    with pytest.raises(InputError, match="more vacuum"):
        adsorbed(repeated(slab(phase(name), plane, 8.0, 4.0).structure, 3, 4, 1), water, 1, rng)
    with pytest.raises(InputError, match="touch its own image"):
        adsorbed(slab(phase(name), plane, 8.0, 18.0).structure, water, 1, rng)
    with pytest.raises(InputError, match="no molecule of that name"):
        molecule_of("unobtainium")


def test_benzene_fits_the_four_intersections_of_silicalite_and_no_crystal_without_pores():
    """MFI has four intersections of channels a cell, 9 Å wide between nuclei; nothing touches, molecules are whole."""
    from ase.data.vdw_alvarez import vdw_radii

    from rhotem.battery.builders.adsorb import molecule_of
    from rhotem.battery.builders.guest import guested

    benzene, host = molecule_of("C6H6"), phase("silicalite")
    made = guested(host, benzene, 4, np.random.default_rng(0))
    atoms = made.structure.atoms
    apart = atoms.get_all_distances(mic=True)
    radii = vdw_radii[atoms.numbers]
    strange = made.region[:, None] != made.region
    assert (apart / np.add.outer(radii, radii))[strange & ((made.region[:, None] > 0) | (made.region > 0))].min() >= 0.8
    for number in range(1, 5):
        inside = atoms[made.region == number].get_all_distances()
        np.testing.assert_allclose(
            np.sort(inside, axis=None), np.sort(benzene.get_all_distances(), axis=None), atol=1e-9
        )
    # intersections lie on the mirror planes y = 1/4 and 3/4, half a cell apart along a
    middle = np.array([d["position_A"] for d in made.defects]) @ np.linalg.inv(host.cell) % 1
    assert sorted(np.round(middle[:, 1] * 4).astype(int).tolist()) == [1, 1, 3, 3]
    with pytest.raises(InputError, match="no room for molecule 1 of 1 in LiCoO2"):
        guested(phase("LiCoO2"), benzene, 1, np.random.default_rng(0))
    with pytest.raises(InputError, match="expected at least 1"):
        guested(host, benzene, 0, np.random.default_rng(0))


@pytest.mark.parametrize("content", ["0\n\n", "1\nbroken\nQq 0 0 0\n", "2\nshort\nC 0 0 0\n", "no file of atoms"])
def test_files_that_hold_no_molecule_are_refused(tmp_path, content):
    from rhotem.battery.builders.adsorb import molecule_of

    (tmp_path / "m.xyz").write_text(content)
    with pytest.raises(InputError, match="give an xyz file"):
        molecule_of(str(tmp_path / "m.xyz"))


def test_a_guest_does_not_touch_its_own_copies():
    """A chain 11 Å long in a channel of 8 Å a cell: straight, its copies would be in each other."""
    import ase

    from rhotem.battery.builders.guest import guested
    from rhotem.structure.model import Structure

    channel = Structure(ase.Atoms("He4", [[0, 0, 0], [0, 0, 2], [0, 0, 4], [0, 0, 6]], cell=[7, 7, 8], pbc=True))
    chain = ase.Atoms("C9", [[0, 0, 1.4 * n] for n in range(9)])
    atoms = guested(channel, chain, 1, np.random.default_rng(0)).structure.atoms
    carbon = atoms.positions[atoms.numbers == 6]
    steps = [np.array(n) - 1 for n in np.ndindex(3, 3, 3) if n != (1, 1, 1)]
    nearest = min(np.linalg.norm(carbon[:, None] - carbon + n * [7, 7, 8], axis=2).min() for n in steps)
    assert nearest > 0.8 * 2 * 1.77  # of van der Waals radii
