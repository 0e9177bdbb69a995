"""Elements that were never trained on: relatives, what is said, and what is taken away around those left free."""

from dataclasses import replace
from types import SimpleNamespace

import ase
import ase.build
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField, caption
from rhotem.density.fourier import coefficients as fourier
from rhotem.learned.coefficients import atom_coefficients, member_coefficients
from rhotem.learned.error_bars import widened_for
from rhotem.learned.newcomers import Measured, Newcomers, Strangers, load_measured, save_measured
from rhotem.learned.planes import stream
from rhotem.learned.readouts.spherical.coefficients import electrons_by_atom
from rhotem.learned.relatives import group, nearest, relatives
from rhotem.learned.source import Model
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

#: e/ε0 in V Å.
E_OVER_EPS0 = 180.9512


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(positive="off")


def bulk(name: str, kind: str, a: float, **more) -> Structure:
    return Structure(ase.build.bulk(name, kind, a=a, **more))


def with_one(number: int, repeats: int = 4, displaced: float = 0.0) -> tuple[Structure, int]:
    """Lithium fluoride with one other atom on a site of lithium in its middle."""
    atoms = ase.build.bulk("LiF", "rocksalt", a=4.03, cubic=True).repeat(repeats)
    middle = np.linalg.norm(atoms.positions - atoms.cell.sum(0) / 2, axis=1)
    site = int(np.argmin(np.where(atoms.numbers == 3, middle, np.inf)))
    atoms.numbers[site] = number
    atoms.positions += displaced * np.random.default_rng(0).normal(size=atoms.positions.shape)
    return Structure(atoms), site


# -- relatives ------------------------------------------------------------------------------------------------------


def test_groups_are_those_of_the_periodic_table():
    """Against pymatgen, which has lanthanides and actinides in group 3 as well."""
    element = pytest.importorskip("pymatgen.core").Element
    for z in range(1, 104):
        assert group(z) == element.from_Z(z).group, z


def test_relatives():
    trained = Model("fast").model.settings.elements
    expected = {"Br": "Cl", "Se": "S", "Rb": "K", "As": "P", "Ge": "Si", "Hf": "Zr", "Ta": "Nb", "La": "Zr", "Rh": "Co"}
    for new, old in expected.items():
        numbers = ase.Atoms(new + old).numbers
        assert nearest(int(numbers[0]), trained) == numbers[1], new
    for z in range(1, 104):
        weights = relatives(z, trained)
        assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()
        if z in trained:  # itself, more than any other
            assert trained[int(weights.argmax())] == z


def test_trained_elements_are_as_they_were(model):
    """Rows of others change nothing where they are not."""
    from rhotem.learned.model import LearnedModel
    from rhotem.learned.weights import in_precision, read_arrays

    plain = LearnedModel(model.model.settings, in_precision(read_arrays(model.path), np.float32))
    for a, b in zip(
        atom_coefficients(plain, phase("LiFePO4")), atom_coefficients(model.model, phase("LiFePO4")), strict=True
    ):
        np.testing.assert_array_equal(a, b)


# -- predicted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("element", ["Sr", "Tl"])
def test_new_elements_are_predicted_and_it_is_said(model, element):
    """Strontium has few labels, thallium none: what is expected of it is what its relatives had before theirs."""
    crystal = phase("SrTiO3") if element == "Sr" else bulk("TlCl", "cesiumchloride", 3.83)
    field = model(crystal, PeriodicGrid.from_spacing(crystal.cell, 0.25))
    part, said = ("few_labels", "few labels of Sr") if element == "Sr" else ("zero_shot", "not trained on Tl")
    row = field.record["new_elements"][part][element]
    assert 0.05 < row["expected_error"] < 0.6 and ("OSr" in row["measured_on"] or element == "Tl")
    line = field.record["warnings"][0]
    assert said in line and f"{row['expected_error']:.2f}" in line and "gpaw" in line
    short = f"({element} {'few labels' if element == 'Sr' else 'untrained'}, error {row['expected_error']:.2f})"
    assert short in caption(field.source, field.record)
    assert np.abs(field.values).max() > 0.01 and field.record["novelty"]["value"] >= 1.0
    if element == "Sr":
        assert field.record["novelty"]["of_known_elements"] < 1.0 and len(field.record["warnings"]) == 1


@pytest.mark.parametrize("place", ["in memory", "by planes"])
def test_in_memory_and_by_planes_alike(model, place):
    """Zero-shot and left free side by side: the same functions, the same words."""
    structure = Structure(ase.build.bulk("LiF", "rocksalt", a=4.03, cubic=True).repeat((2, 2, 2)))
    structure.atoms.numbers[[0, 40]] = 81, 88
    planes = stream(model, structure)
    whole = model(structure, planes.grid)
    if place == "in memory":
        assert planes.source == whole.source and planes.record["warnings"] == whole.record["warnings"]
        assert planes.record["new_elements"] == whole.record["new_elements"]
        assert "Ra" in whole.record["new_elements"]["free"] and "Tl" in whole.record["new_elements"]["zero_shot"]
        assert "free atoms around Ra" in caption(whole.source, whole.record)
    else:
        values = np.moveaxis(planes.planes(range(planes.grid.shape[2])), 0, 2)
        np.testing.assert_allclose(values, whole.values, atol=1e-6 * np.abs(whole.values).max())
        np.testing.assert_array_equal(planes.one_centre[7].values, whole.one_centre[7].values)


def test_repeated_cells_are_the_cell(model):
    small = Structure(ase.build.bulk("LiF", "rocksalt", a=4.03, cubic=True))
    small.atoms.numbers[0] = 88
    large = Structure(small.atoms.repeat((2, 1, 2)))
    mine, theirs = (atom_coefficients(model.model, s) for s in (small, large))
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(np.tile(a, (4, 1, 1)), b, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize("name", ["default", "fast"])
def test_strict_and_charged_are_refused(name):
    crystal = bulk("TlCl", "cesiumchloride", 3.83)
    with pytest.raises(InputError, match=r"--strict: model .* not trained on Tl"):
        Model(name, strict=True)(crystal, PeriodicGrid.from_spacing(crystal.cell, 0.3))
    with pytest.raises(InputError, match="not trained on Tl"):
        stream(Model(name), replace(crystal, charge=1.0))
    Model(name, strict=True).strangers(phase("LiF"))


def test_beyond_the_free_atoms_is_refused(model):
    with pytest.raises(InputError, match="Z = 98"):
        model.strangers(bulk("Cf", "fcc", 5.0))


# -- left free ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("displaced", [0.0, 0.1])
def test_what_is_taken_away_is_neutral_and_local(model, displaced):
    """Radium, beyond the encoder: no change beyond twice the reach but by the mean, which is a convention of V(0)."""
    structure, site = with_one(88, 5, displaced)
    readout, newcomers = model.model.readout, model.model.newcomers
    after = atom_coefficients(model.model, structure)
    model.model.newcomers = None
    before = atom_coefficients(model.model, structure)
    model.model.newcomers = newcomers
    difference = [a - b for a, b in zip(after, before, strict=True)]
    apart = structure.atoms.get_distances(site, range(len(structure)), mic=True)
    changed = np.array([any(np.abs(d[i]).max() > 1e-6 for d in difference) for i in range(len(structure))])
    assert changed[site] and (apart[changed] < readout.cutoff).all()
    assert not any(a[site].any() for a in after[:1]) and np.abs(after[1][site]).max() < 1e-6
    assert float(electrons_by_atom(readout.blocks, after).sum()) == pytest.approx(0.0, abs=1e-9)
    assert float(electrons_by_atom(readout.blocks, tuple(difference)).sum()) == pytest.approx(0.0, abs=1e-6)
    potential, places = smooth_potential(readout, structure, difference, changed)
    far = np.linalg.norm(_shortest(places - structure.positions[site], structure.cell), axis=1) > 2.0 * readout.cutoff
    assert np.ptp(potential[far]) < 0.1 and np.abs(potential[far] - potential[far].mean()).max() < 0.05
    assert np.abs(potential[~far]).max() > 1.0


def smooth_potential(readout, structure, coefficients, chosen):
    """V in volt of some atoms' functions on points 0.7 Å apart, folded with a Gaussian of 0.5 Å, and these points."""
    own = Structure(structure.atoms[chosen])
    fine, grid = (PeriodicGrid.from_spacing(own.cell, step) for step in (0.2, 0.7))
    found = readout.evaluate(tuple(c[chosen] for c in coefficients), own, fine)
    field = DensityField("deformation", own, fine, found.values, one_centre=found.one_centre)
    h = np.stack(np.meshgrid(*[np.rint(np.fft.fftfreq(n) * n) for n in grid.shape], indexing="ij"), -1).reshape(-1, 3)
    squared = ((h @ grid.reciprocal) ** 2).sum(1)
    used = (squared > 0) & (squared < 0.7**2)
    waves = np.zeros(len(h), dtype=complex)
    waves[used] = fourier(field, h[used].astype(int)) / squared[used] * np.exp(-2.0 * np.pi**2 * squared[used] * 0.25)
    values = -np.fft.ifftn(waves.reshape(grid.shape)).real * grid.size * E_OVER_EPS0 / (4.0 * np.pi**2)
    return values.ravel(), grid.points().reshape(-1, 3)


def _shortest(vectors, cell):
    fractional = vectors @ np.linalg.inv(cell)
    return (fractional - np.rint(fractional)) @ cell


def test_members_are_left_free_alike(model):
    """The mean of the members is the density, there, too."""
    structure, site = with_one(88, 2)
    mean = atom_coefficients(model.model, structure)
    each = member_coefficients(model.model, structure)
    for a, b in zip(mean, each, strict=True):
        np.testing.assert_allclose(b.mean(0), a, atol=2e-5 * np.abs(a).max())
        assert np.abs(b[:, site]).max() < 1e-5


def test_nothing_learned_is_free_atoms(model):
    """Two elements beyond the encoder: nothing is given to atoms that are free themselves."""
    crystal = bulk("PoRa", "rocksalt", 6.5)
    field = model(crystal, PeriodicGrid.from_spacing(crystal.cell, 0.4))
    assert not field.values.any() and field.record["fallback"] == "free atoms" and "Po, Ra" in field.source
    for c in atom_coefficients(model.model, crystal):
        assert not c.any()


def test_which_are_left_free(model):
    newcomers = model.model.newcomers
    found = newcomers.among([3, 5, 9, 36, 59, 84])
    assert set(found.predicted) == {5, 59} and set(found.free) == {36, 84} and set(found.few) == {5}
    assert "closed shell" in found.free[36] and "encoder" in found.free[84]
    # praseodymium gives its electrons to fluorine, to gold, but to none of its own or lithium; rhenium keeps its own
    assert [set(newcomers.among(n).free) for n in ([59, 9], [59, 79], [59, 3], [59], [75])] == [
        *(set(), set(), {59}, {59}, set())
    ]
    assert not newcomers.among([38]).free  # the metal was trained on
    assert set(newcomers.among([3, 96]).free) == {96}
    untrained = newcomers.measured.untrained
    bad = replace(newcomers.measured, untrained=replace(untrained, potential={**untrained.potential, 81: 1.4}))
    assert "1.40" in Newcomers(newcomers.trained, newcomers.encoded, None, bad).among([81]).free[81]
    assert set(Newcomers(newcomers.trained).among([81]).free) == {81}  # nothing measured
    with pytest.raises(InputError, match="leaves free atoms"):
        model.check_members(with_one(88, 2)[0])


def test_unmeasured_elements_have_the_error_of_their_relatives():
    measured = Measured({50: 0.4, 53: 0.8}, {50: 0.9, 53: 0.5}, {50: ("OSn",), 53: ("IRb",)})
    assert measured.error(50) == 0.4 and 0.4 < measured.error(49) < 0.6 < measured.error(85) < 0.8
    found = Newcomers([8], None, None, measured).among([8, 49])
    assert "estimated from its relatives" in found.warnings("m", 4.0)[0] and bool(found) and not Strangers({}, {})


def test_elements_of_few_labels_are_trained_and_said_to_be_few():
    """Strontium with two labels: predicted, with the error of compounds held out; not refused, not untrained."""
    before = Measured({38: 0.5, 56: 0.6}, {38: 0.4, 56: 0.4}, {38: ("OSr",), 56: ("BaS",)}, 1.3, 1.2)
    held_out = Measured({38: 0.12, 56: 1.2}, {38: 0.1, 56: 0.2}, {38: ("OSr",)}, 1.1, 1.0, untrained=before)
    newcomers = Newcomers([3, 8, 9, 38, 56], None, None, held_out, {3: 200, 8: 300, 9: 80, 38: 2, 56: 5})
    assert newcomers.known == {3, 8, 9}
    found = newcomers.among([8, 38])
    assert found and not found.new and found.few == {38: 2} and found.expected_error == 0.12
    row = found.record()["new_elements"]["few_labels"]["Sr"]
    assert row["labels"] == 2 and row["measured_on"] == ["OSr"] and not found.record()["new_elements"]["zero_shot"]
    line = found.warnings("m", 4.0)[0]
    assert "few labels of Sr" in line and "0.12 and 0.10 (OSr)" in line
    # in its own metal, too, as it was trained on one; an error of 1 leaves an element free however it came about
    assert not newcomers.among([38]).free and set(newcomers.among([8, 56]).free) == {56}
    assert newcomers.among([8, 56]).new == [56]
    # a metal that was held out does not speak for compounds that were better before, but for itself
    metal = replace(held_out, errors={38: 0.7, 56: 0.3}, potential={38: 0.7, 56: 0.2}, compounds={38: ("Sr",)})
    of_metal = Newcomers(newcomers.trained, None, None, metal, newcomers.few)
    assert of_metal.among([8, 38]).predicted[38] == (0.5, 0.4, ("OSr",))
    assert of_metal.among([38]).predicted[38] == (0.7, 0.7, ("Sr",))
    # calcium was not trained on: what is expected of it is what its relatives had before they were
    assert newcomers.among([8, 20]).predicted[20][0] == pytest.approx(before.error(20)) and before.error(20) > 0.5
    assert newcomers.among([8, 20]).new == [20]
    # where nothing was measured, nothing is said of them
    assert not Newcomers([3, 8, 38], None, None, None, {38: 2}).among([8, 38])
    # error bars: as held-out compounds ask for, as those of before, not at all
    model = SimpleNamespace(newcomers=newcomers)
    widened = [widened_for(model, bulk(name, "rocksalt", 5.0)) for name in ("SrO", "CaO", "LiF")]
    assert widened == [(1.1, 1.0), (1.3, 1.2), (1.0, 1.0)]


def test_stored_and_of_these_weights_only(tmp_path):
    weights = tmp_path / "m.safetensors"
    weights.write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    measured = Measured({5: 0.3}, {5: 0.2}, {5: ("BN",)}, 1.2, 1.1, {"voxels": {"coverage": 0.9}})
    for found in (measured, replace(measured, untrained=measured)):
        save_measured(weights, found)
        assert load_measured(weights) == found
    weights.write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{ ")
    assert load_measured(weights) is None and load_measured(tmp_path / "other.safetensors") is None
    (tmp_path / "uncertainty" / "m-elements.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        load_measured(weights)
