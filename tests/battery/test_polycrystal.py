"""Grains are pieces of the crystal, turned as asked, that fill the block and do not overlap."""

import json

import ase.build
import ase.io
import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from rhotem.battery.overlaps import shortest_distances
from rhotem.battery.polycrystal import Polycrystal, bicrystal, cut_grains, polycrystal
from rhotem.battery.tilts import tilt_periods
from rhotem.cli.structure import app
from rhotem.core import InputError
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

LCO = phase("LiCoO2")
LIF = Structure(ase.build.bulk("LiF", "rocksalt", a=4.03, cubic=True))


def generator(seed=0):
    return np.random.default_rng(seed)


def unwrapped(made: Polycrystal, vacuum: tuple[float, float, float]) -> np.ndarray:
    """Positions of atoms where their grain is connected: the periodic image nearest to the seed."""
    sides = np.diag(made.structure.cell)
    apart = made.structure.positions - made.seeds[made.grain]
    periods = np.where(np.array(vacuum) > 0, 0.0, np.rint(apart / sides))
    return made.structure.positions - periods * sides


@pytest.mark.parametrize("vacuum", [(0.0, 0.0, 0.0), (12.0, 0.0, 0.0), (10.0, 10.0, 10.0)])
def test_grains_are_the_crystal_turned(vacuum):
    made = polycrystal(LCO, (26.0, 22.0, 24.0), 3, generator(), vacuum=vacuum)
    inverse = np.linalg.inv(LCO.cell)
    local = np.einsum("nji,nj->ni", made.rotations[made.grain], unwrapped(made, vacuum) - made.origin)
    off = local @ inverse - LCO.atoms.get_scaled_positions()[made.site]
    np.testing.assert_allclose(off, np.rint(off), atol=1e-10)
    np.testing.assert_array_equal(made.structure.numbers, LCO.numbers[made.site])
    # no two atoms on one site of one grain
    assert len(np.unique(np.column_stack([np.rint(off), made.site, made.grain]), axis=0)) == len(made.structure)


@pytest.mark.parametrize("vacuum", [(0.0, 0.0, 0.0), (8.0, 0.0, 5.0)])
def test_grains_fill_the_block(vacuum):
    size = np.array([30.0, 22.0, 41.0])
    made = polycrystal(LIF, tuple(size), 6, generator(3), vacuum=vacuum, closest=0.0, stoichiometric=False)
    assert made.volumes.sum() == pytest.approx(size.prod(), rel=1e-10)
    # shares of the volume by random points; images of seeds beyond free faces are further away than the seed itself
    points = generator(1).uniform(size=(20000, 3)) * size
    apart = points[:, None] - (made.seeds - np.array(vacuum) / 2)[None]
    apart -= np.where(np.array(vacuum) > 0, 0.0, np.rint(apart / size) * size)
    share = np.bincount(np.linalg.norm(apart, axis=2).argmin(axis=1), minlength=6) / 20000
    np.testing.assert_allclose(made.volumes / size.prod(), share, atol=0.015)
    # before anything is taken out every grain has the crystal's density, to what its faces cut
    density = len(LIF) / LIF.volume
    expected = made.volumes * density
    assert np.abs(np.bincount(made.grain) - expected).max() < 0.1 * expected.max()
    assert len(made.structure) == pytest.approx(size.prod() * density, rel=0.02)


def test_no_atoms_are_too_close_and_the_composition_stays():
    made = polycrystal(LCO, (34.0, 30.0, 28.0), 4, generator(1), vacuum=(0.0, 0.0, 15.0))
    i, j, d = neighbor_list("ijd", made.structure.atoms, 3.0)
    least = 0.7 * shortest_distances(LCO)[made.structure.numbers[i], made.structure.numbers[j]]
    assert (d > least - 1e-9).all()
    assert made.structure.formula == "LiCoO2"
    assert made.removed["overlap"] and "in excess" in " ".join(made.structure.info["notes"])
    as_cut = polycrystal(LCO, (34.0, 30.0, 28.0), 4, generator(1), vacuum=(0.0, 0.0, 15.0), stoichiometric=False)
    taken = sum(sum(made.removed[name].values()) for name in ("stoichiometry", "polarity"))
    assert len(as_cut.structure) - len(made.structure) == taken
    z = made.structure.positions[:, 2]
    assert z.min() > 7.4 and z.max() < 28.0 + 7.6  # vacuum stays empty


def test_distances_of_the_crystal():
    table = shortest_distances(LIF)
    assert table[3, 9] == pytest.approx(4.03 / 2) and table[3, 3] == pytest.approx(4.03 / np.sqrt(2))


@pytest.mark.parametrize("angle", [22.0, 36.87])
def test_the_misorientation_is_found_in_the_atoms(angle):
    """The angle at which the (200) beam of each grain is strongest."""
    made = bicrystal(LIF, (70.0, 60.0, 8.06), angle, vacuum=(10.0, 10.0, 0.0))
    trial = np.deg2rad(np.arange(-30.0, 30.0, 0.05))
    g = 2 / 4.03 * np.stack([np.cos(trial), np.sin(trial)], axis=1)
    found = []
    for grain in range(2):
        own = made.structure.positions[(made.grain == grain) & (made.depth > 4.0)]
        found.append(np.rad2deg(trial[np.abs(np.exp(2j * np.pi * g @ own[:, :2].T).sum(axis=1)).argmax()]))
    assert abs(found[1] - found[0]) == pytest.approx(angle, abs=0.11)
    assert found[0] + found[1] == pytest.approx(0.0, abs=0.11)  # symmetric
    assert made.structure.cell[2, 2] == pytest.approx(8.06)
    assert "tilt" in made.structure.info["notes"][0]


def test_a_twist_about_the_normal():
    made = bicrystal(LCO, (24.0, 24.0, 40.0), 30.0, axis=(0, 0, 1), normal="z", vacuum=(0.0, 0.0, 10.0))
    relative = Rotation.from_matrix(made.rotations[1] @ made.rotations[0].T).as_rotvec(degrees=True)
    np.testing.assert_allclose(np.abs(relative), [0.0, 0.0, 30.0], atol=1e-9)
    # the planes across the common axis go on through the boundary
    heights = made.structure.positions[made.structure.numbers == 27, 2]
    planes = (heights - heights[0]) / (LCO.cell[2, 2] / 3)
    np.testing.assert_allclose(planes, np.rint(planes), atol=1e-6)
    assert "twist" in made.structure.info["notes"][0]


def test_without_misorientation_it_is_the_perfect_crystal():
    made = bicrystal(LIF, (5 * 4.03, 3 * 4.03, 2 * 4.03), 0.0)
    assert made.removed == {"overlap": {}, "stoichiometry": {}, "polarity": {}}
    assert len(made.structure) == 5 * 3 * 2 * 8
    apart = neighbor_list("d", made.structure.atoms, 2.1)
    assert len(apart) == 6 * len(made.structure)
    np.testing.assert_allclose(apart, 4.03 / 2, atol=1e-9)
    one = polycrystal(LIF, (5 * 4.03, 3 * 4.03, 9.0), 1, generator(), columnar=True)
    assert one.structure.cell[2, 2] == pytest.approx(2 * 4.03)  # whole repeats along the beam


def test_coincidence_boundaries_of_a_cubic_crystal():
    """[001] tilt boundaries of a primitive cubic lattice: Σ5 36.87° (310) and 53.13° (210), Σ13 22.62° (510)."""
    found = {round(t.misorientation, 2): t.period for t in tilt_periods(np.eye(3), 1, 5.2)}
    expected = {0.0: 1.0, 36.87: np.sqrt(10), 53.13: np.sqrt(5), 22.62: np.sqrt(26), 90.0: np.sqrt(2), 180.0: 1.0}
    assert {angle: pytest.approx(found[angle]) for angle in expected} == expected
    # no period without mirror images of the lattice vectors
    assert tilt_periods(np.array([[1.0, 0.0, 0.0], [0.3, 1.1, 0.0], [0.0, 0.0, 1.0]]), 1, 0.9) == []


def test_a_periodic_boundary_has_no_seam():
    """Far from the boundary every atom of the Σ5 block has all its neighbours, across the sides, too."""
    made = bicrystal(LIF, (40.0, 13.0, 4.0), 36.87, vacuum=(10.0, 0.0, 0.0))
    assert made.structure.cell[1, 1] == pytest.approx(2 * 4.03 * np.sqrt(2.5))  # (3, 1, 0)/2 is a lattice vector
    assert "period 6.372 Å along y" in made.structure.info["notes"][0]
    x = made.structure.positions[:, 0]
    inside = np.minimum(np.abs(x - 25.0), np.minimum(x - 5.0, 45.0 - x)) > 4.0
    i, d = neighbor_list("id", made.structure.atoms, 2.1)
    np.testing.assert_array_equal(np.bincount(i, minlength=len(x))[inside], 6)
    np.testing.assert_allclose(d[inside[i]], 4.03 / 2, atol=1e-9)
    off = bicrystal(LIF, (40.0, 13.0, 4.0), 34.0, vacuum=(10.0, 0.0, 0.0))
    assert "meet themselves across y (36.8699°" in off.structure.info["notes"][0]


def test_columns_share_the_zone_axis():
    made = polycrystal(LCO, (40.0, 40.0, 5.0), 4, generator(2), columnar=True, zone=(1, 0, 0))
    assert made.structure.cell[2, 2] == pytest.approx(2 * 2.816, abs=0.02)
    along = np.linalg.solve(LCO.cell.T, (np.transpose(made.rotations, (0, 2, 1)) @ [0.0, 0.0, -1.0]).T).T
    along /= np.abs(along).max(axis=1)[:, None]
    np.testing.assert_allclose(along, np.tile(along[0], (4, 1)), atol=1e-9)


def test_the_seed_decides():
    one, same, other = (polycrystal(LIF, (20.0, 20.0, 20.0), 3, generator(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(one.structure.positions, same.structure.positions)
    np.testing.assert_array_equal(one.structure.numbers, same.structure.numbers)
    assert not np.allclose(one.seeds, other.seeds)


def test_rare_elements_do_not_empty_the_block():
    """2 % of another element, too few for the block's composition to be exact."""
    doped = LIF.atoms.repeat(3)
    doped.symbols[np.flatnonzero(doped.numbers == 3)[[3, 50]]] = "Na"
    made = polycrystal(Structure(doped), (25.0, 25.0, 25.0), 3, generator())
    pure = polycrystal(LIF, (25.0, 25.0, 25.0), 3, generator())
    assert len(made.structure) > 0.98 * len(pure.structure)
    count = made.structure.atoms.symbols.formula.count()
    assert abs(count["F"] / (count["Li"] + count["Na"]) - 1) < 0.01


@pytest.mark.parametrize(
    "change, message",
    [
        ({"size": (20.0, 0.0, 20.0)}, "three lengths"),
        ({"size": (20.0, np.nan, 20.0)}, "three lengths"),
        ({"grains": 0}, "at least 1"),
        ({"vacuum": (-1.0, 0.0, 0.0)}, "not negative"),
        ({"closest": 1.0}, "fraction"),
        ({"up": (0, 0, 1)}, "along the zone axis"),
        ({"zone": (0, 0, 0)}, "no direction"),
        ({"crystal": Structure(LIF.atoms, 1.0)}, "charge"),
        ({"size": (4e3, 4e3, 4e3)}, "atoms"),
        ({"size": (1.0, 1.0, 1.0)}, "larger"),
    ],
)
def test_bad_input(change, message):
    given = {"crystal": LIF, "size": (20.0, 20.0, 20.0), "grains": 2, "rng": generator()} | change
    with pytest.raises(InputError, match=message):
        polycrystal(given.pop("crystal"), given.pop("size"), given.pop("grains"), given.pop("rng"), **given)


def test_bad_grains():
    eye = np.eye(3)
    for seeds, turns, message in (
        ([[1.0, 1, 1]], [eye, eye], "one each"),
        ([[1.0, 1, 99]], [eye], "outside"),
        ([[1.0, 1, 1], [1, 1, 1]], [eye, eye], "one place"),
        ([[1.0, 1, 1]], [-eye], "proper rotation"),
    ):
        with pytest.raises(InputError, match=message):
            cut_grains(LIF, (9.0, 9.0, 9.0), seeds, turns)
    with pytest.raises(InputError, match="180"):
        bicrystal(LIF, (9.0, 9.0, 9.0), 200.0)


def test_the_command(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(app, ["polycrystal", *map(str, arguments)])

    out = tmp_path / "poly.xyz"
    done = run(
        "LiCoO2", "--size", "20,20,6", "--grains", 2, "--columnar", "--zone", "1,0,0", "--vacuum", "5,0,0", "-o", out
    )
    assert done.exit_code == 0 and "grain 2" in done.output and "composition that of the crystal" in done.output
    assert set(ase.io.read(out).arrays["grain"]) == {0, 1}
    arguments = ("LiCoO2", "--size", "20,20,6", "--misorientation", 30, "--zone", "1,0,0", "-o", out, "--json")
    record = json.loads(run(*arguments).output)
    assert len(record["grains"]) == 2 and record["atoms"] == len(ase.io.read(out))
    wrong = run("LiCoO2", "--size", "20,20,6", "-o", tmp_path / "no.xyz")
    assert isinstance(wrong.exception, InputError) and "--grains" in str(wrong.exception)
    assert not (tmp_path / "no.xyz").exists()
