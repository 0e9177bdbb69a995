"""Stackings, surface layers, stacks and phase boundaries: symmetry, counts and coordination of crystallography."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from rhotem.battery.builders.phase_boundary import phase_boundary
from rhotem.battery.builders.stack import stack
from rhotem.battery.builders.stacking import stacking
from rhotem.battery.builders.surface_layer import surface_layer
from rhotem.battery.contacts import contacts
from rhotem.battery.framework import METAL, OXYGEN, TETRAHEDRON, site_map
from rhotem.battery.stacking import Layer
from rhotem.core import InputError
from rhotem.structure.indices import symmetry
from rhotem.structure.phases import phase


def shells(structure, one, two, reach):
    """Number of ``two`` within ``reach`` of every ``one``."""
    i, j = neighbor_list("ij", structure.atoms, reach)
    symbols = np.array(structure.atoms.get_chemical_symbols())
    return np.bincount(i[(symbols[i] == one) & (symbols[j] == two)], minlength=len(symbols))[symbols == one]


@pytest.mark.parametrize("name", ["LiNiO2", "NaCoO2"])
@pytest.mark.parametrize("kind, number", [("O3", 166), ("O1", 164), ("P3", 160), ("P2", 194), ("O2", 186)])
def test_stackings_have_delmas_symmetry(name, kind, number, rng):
    crystal = phase(name)
    made = stacking(crystal, kind, rng, layers=6)
    assert symmetry(made.structure).number == number
    assert made.structure.formula == crystal.formula and len(made.structure) == 24
    assert made.structure.volume / 6 == pytest.approx(crystal.volume / 3)
    metal = "Ni" if name == "LiNiO2" else "Co"
    assert set(shells(made.structure, metal, "O", 2.1)) == {6}


def test_a_fault_is_where_it_was_asked_for(rng):
    """Close-packed letters of oxygen: unlike layers across an O3 gap, like columns across a P one."""
    crystal = phase("LiNiO2")
    made = stacking(crystal, "O3", rng, layers=6, faults={3: "O1"})
    oxygen = made.structure.atoms[made.structure.numbers == 8]
    order = np.argsort(oxygen.positions[:, 2])
    sharp = made.structure.cell[0] @ made.structure.cell[1] > 0
    step = np.array([1 / 3, 1 / 3 if sharp else 2 / 3])
    letters = []
    for n in order:
        plane = (oxygen.positions[n, :2] @ np.linalg.inv(made.structure.cell[:2, :2])) % 1.0
        letters.append(int(np.argmin([np.abs((plane - k * step + 0.5) % 1 - 0.5).max() for k in range(3)])))
    bottoms = np.array(letters[::2])
    moves = np.diff(np.append(bottoms, bottoms[0])) % 3
    assert moves[2] == 0 and len(set(np.delete(moves, [2, 5]))) == 1 and moves[0] != 0
    assert [d["kind"] for d in made.defects] == ["O1 fault"] and made.defects[0]["gap"] == 3


def test_h3_is_collapsed_and_its_fault_is_empty(rng):
    crystal = phase("LiNiO2")
    made = stacking(crystal, "H3", rng, layers=6, faults={3: "O1"}, across=(2, 2))
    count = made.structure.atoms.symbols.formula.count()
    assert count == {"Ni": 24, "O": 48, "Li": 6}
    assert made.structure.cell[2, 2] == pytest.approx(2 * 0.945 * 14.19, rel=1e-6)
    ions = np.bincount(made.region[made.structure.numbers == 3], minlength=6)
    assert ions[2] == 0 and ions.max() - np.delete(ions, 2).min() <= 1
    with pytest.raises(InputError, match="repeat the plane"):
        stacking(crystal, "H3", rng, layers=3)
    with pytest.raises(InputError, match="even number"):
        stacking(crystal, "O3", rng, layers=4, faults={2: "P2"})
    with pytest.raises(InputError, match="no layered oxide"):
        stacking(phase("LiFePO4"), "O3", rng)


def test_the_spinel_of_the_framework_is_a_spinel():
    """On evenly spaced oxygen with a : c of a cubic lattice the sites of the map are Fd-3m, 8a and 16d filled."""
    import ase

    from rhotem.structure.model import Structure

    sites = site_map(True)
    hexagonal = np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, np.sqrt(24)]]) * 2.9
    names = {OXYGEN: "O", TETRAHEDRON: "Li"}
    kinds = [names.get(int(k), "Mn") for k in sites.kind[sites.spinel]]
    atoms = ase.Atoms(kinds, sites.places[sites.spinel] @ hexagonal, cell=sites.rows @ hexagonal, pbc=True)
    assert symmetry(Structure(atoms)).number == 227
    assert atoms.symbols.formula.count() == {"O": 24, "Mn": 12, "Li": 6}
    assert (sites.spinel & (sites.kind == METAL)).sum() == 9  # three of four in metal layers


@pytest.mark.parametrize("name, metal", [("LiNiO2", "Ni"), ("LiCoO2", "Co")])
def test_rock_salt_layers(name, metal, rng):
    crystal = phase(name)
    made = surface_layer(crystal, (1, 0, 4), rng, rocksalt=12.0, layered=12.0, repeat=(1, 2))
    symbols = np.array(made.structure.atoms.get_chemical_symbols())
    salt, layered = (symbols[made.region == n] for n in (2, 0))
    assert "Li" not in salt and (salt == metal).sum() == (salt == "O").sum()
    assert (layered == metal).sum() == (layered == "Li").sum() == (layered == "O").sum() / 2
    z = made.structure.positions[:, 2]
    assert np.ptp(z[made.region == 2]) == pytest.approx(12.0, abs=2.1)  # whole planes, 2.0 Å apart
    inner = np.abs(z - z[made.region == 2].mean()) < 2.0
    i, j = neighbor_list("ij", made.structure.atoms, 2.4)
    around = np.bincount(i[symbols[j] == "O"], minlength=len(symbols))
    assert set(around[inner & (symbols == metal)]) == {6}
    assert len(made.defects) == 1


def test_spinel_between(rng):
    made = surface_layer(phase("NMC811"), (1, 0, 4), rng, rocksalt=6.0, spinel=12.0, layered=12.0)
    symbols = np.array(made.structure.atoms.get_chemical_symbols())
    inside = made.region == 1
    metals = np.isin(symbols, ["Ni", "Mn", "Co"])
    assert (inside & metals).sum() / (inside & (symbols == "O")).sum() == pytest.approx(0.5, abs=0.03)
    lithium = np.flatnonzero(inside & (symbols == "Li"))
    i, j = neighbor_list("ij", made.structure.atoms, 2.35)
    assert {int(((i == n) & (symbols[j] == "O")).sum()) for n in lithium} <= {3, 4}  # three at the cut
    shares = {m: (symbols[metals & (made.region != 2)] == m).mean() for m in ("Ni", "Mn", "Co")}
    assert shares["Ni"] == pytest.approx(0.8, abs=0.06)
    assert [d["between"] for d in made.defects] == [["layered", "spinel"], ["spinel", "rock salt"]]
    assert not [c for c in contacts(made.structure, made.references) if c.ratio < 0.8]
    with pytest.raises(InputError, match="no layered oxide AMO2"):
        surface_layer(phase("LiFePO4"), (1, 0, 0), rng)


LAYERS = [
    Layer(phase("Li"), (1, 1, 0), 8.0),
    Layer(phase("Li2O"), (1, 1, 0), 12.0),
    Layer(phase("LiF"), (1, 1, 0), 10.0),
]


def test_three_layers_each_with_its_thickness():
    made = stack(LAYERS, max_strain=0.08)
    shared = [np.array(region["strain"]) for region in made.regions]
    assert max(np.abs(e).max() for e in shared) < 0.08
    for index, (layer, region) in enumerate(zip(LAYERS, made.regions, strict=True)):
        part = made.structure.atoms[made.region == index]
        assert part.symbols.formula.reduce()[0] == layer.crystal.atoms.symbols.formula.reduce()[0]
        # the crystal's own density, strained in the plane and thinner or thicker by Poisson's ratio 1/4
        spacing = {0: 3.5093 / np.sqrt(2), 1: 4.619 / np.sqrt(8), 2: 4.027 / np.sqrt(8)}[index]
        planes = int(np.ceil(layer.thickness / spacing - 1e-6))
        area = made.extra["area_A2"] / np.prod(1 + shared[index])
        density = len(layer.crystal) / layer.crystal.volume
        assert len(part) == pytest.approx(area * planes * spacing * density, rel=1e-6)
        assert region["to_A"] - region["from_A"] == pytest.approx((planes - 1) * spacing, rel=0.1)
    assert len(made.defects) == 3 and len(set(made.region)) == 3


def test_the_strain_can_be_assigned():
    made = stack(LAYERS, keep=1, max_strain=0.08, max_area=120.0, vacuum=10.0)
    assert np.abs(made.regions[1]["strain"]).max() < 1e-12 and len(made.defects) == 2
    z = np.sort(made.structure.positions[:, 2])
    assert made.structure.cell[2, 2] - np.ptp(z) == pytest.approx(10.0, abs=1e-6)
    with pytest.raises(InputError, match="no common cell"):
        stack(LAYERS, max_strain=0.001)


@pytest.mark.parametrize("plane", [(1, 0, 0), (0, 1, 0), (1, 0, 1)])
def test_the_framework_goes_through_a_phase_boundary(plane):
    rich, poor = phase("LiFePO4"), phase("FePO4")
    made = phase_boundary(rich, poor, plane, (9.0, 9.0))
    count = made.structure.atoms.symbols.formula.count()
    assert count["Fe"] == count["P"] == count["O"] / 4
    half = made.structure.numbers[made.region == 0]
    assert (half == 3).sum() == (half == 26).sum() == count["Li"]
    assert set(shells(made.structure, "P", "O", 1.75)) == {4}
    assert set(shells(made.structure, "Fe", "O", 2.45)) <= {5, 6}
    assert contacts(made.structure, made.references)[0].ratio > 0.8
    a, b = (np.array(r["strain"]) for r in made.regions)
    assert np.abs(a).max() < 0.027 and np.abs(b).max() < 0.027  # 1.9 to 5.1 % between the two lattices, shared


def test_phase_boundaries_that_are_none():
    with pytest.raises(InputError, match="is not LiFePO4 with fewer ions"):
        phase_boundary(phase("LiFePO4"), phase("LiCoO2"), (1, 0, 0), (9.0, 9.0))
    with pytest.raises(InputError, match="more than 1 %"):
        phase_boundary(phase("LiFePO4"), phase("FePO4"), (1, 0, 0), (9.0, 9.0), max_strain=0.01)
    charged = phase_boundary(phase("Na3V2(PO4)3"), phase("Na3V2(PO4)3"), (0, 0, 1), (9.0, 9.0))
    assert np.abs(charged.regions[0]["strain"]).max() < 1e-9


def test_an_ordered_crystal_from_a_file_is_layered_too(tmp_path, rng):
    """A CIF of ordered NMC811 has no symmetry and says nothing of its parent; its average does."""
    from rhotem.structure.read import read_structure
    from rhotem.structure.write import write_structure

    write_structure(phase("NMC811", repeats=(5, 2, 1)), tmp_path / "nmc.cif")
    crystal = read_structure(tmp_path / "nmc.cif")
    made = stacking(crystal, "P2", rng, layers=2)
    assert made.structure.formula == crystal.formula
    assert set(shells(made.structure, "Ni", "O", 2.1)) == {6}
    assert (surface_layer(crystal, (1, 0, 4), rng, rocksalt=6.0, layered=8.0).region == 2).any()


def test_repeats_in_the_plane():
    one, four = (stack(LAYERS, max_strain=0.08, across=n) for n in ((1, 1), (2, 2)))
    assert len(four.structure) == 4 * len(one.structure)
    assert four.extra["area_A2"] == pytest.approx(4 * one.extra["area_A2"])
    symbols = np.array(four.structure.atoms.get_chemical_symbols())
    assert "F" not in symbols[four.region == 1] and "O" not in symbols[four.region == 2]
