"""Moments of a crystal through edits, builders and files: antiferromagnetic order is the reference, known by hand."""

import numpy as np
import pytest
from ase.build import bulk, molecule

from rhotem.battery.builders import builders
from rhotem.battery.builders.adsorb import adsorbed
from rhotem.battery.builders.guest import guested
from rhotem.structure import build
from rhotem.structure.assemble import interface, slab
from rhotem.structure.model import Structure
from rhotem.structure.moments import START_MOMENTS
from rhotem.structure.orient import orient
from rhotem.structure.read import read_structure
from rhotem.structure.write import FORMATS, MAGNETIC, unwritten, write_structure

A = 4.17


def afm(element="Ni", moment=1.5):
    """Rock salt with layers of (001) of alternating sign: moments follow from heights alone."""
    atoms = bulk(f"{element}O", "rocksalt", a=A, cubic=True)
    return Structure(atoms, moments=expected(atoms.numbers, atoms.positions[:, 2], moment), info={"name": "afm"})


def expected(numbers, heights, moment=1.5, spacing=A / 2):
    """Sign by the number of the layer of a metal, nothing for oxygen."""
    layer = np.rint(heights / spacing).astype(int)
    return np.where(numbers == 8, 0.0, moment * (-1.0) ** layer)


def alternating(structure, heights, spacing=A / 2):
    """Whether moments are those of the order, up to all signs turned over."""
    own = expected(structure.numbers, heights, spacing=spacing)
    return np.allclose(structure.moments, own) or np.allclose(structure.moments, -own)


def test_edits_that_keep_sites_keep_their_moments():
    crystal = afm()
    large = build.repeated(crystal, 2, 1, 3)
    assert alternating(large, large.positions[:, 2]) and abs(large.moments).sum() == pytest.approx(1.5 * 24)
    holed = build.vacancy(large, "Ni", 3, np.random.default_rng(1))
    assert len(holed) == len(large) - 3 and alternating(holed, holed.positions[:, 2])


@pytest.mark.parametrize("ordered", [False, True])
def test_what_takes_another_place_brings_its_own_moment(ordered):
    """Fe on sites of Ni has the moment of iron with the sign of the site; Mg has none."""
    crystal = build.repeated(afm(), 1, 1, 2)
    rng = None if ordered else np.random.default_rng(0)
    for element, size in (("Fe", START_MOMENTS["Fe"]), ("Mg", 0.0)):
        made = build.substitute(crystal, "Ni", element, 0.25, rng)
        symbols, own = np.array(made.atoms.get_chemical_symbols()), expected(made.numbers, made.positions[:, 2], 1.0)
        assert (symbols == element).sum() == len(made) / 8
        assert np.allclose(made.moments[symbols == element], size * own[symbols == element])
        assert np.allclose(made.moments[symbols == "Ni"], 1.5 * own[symbols == "Ni"])
        assert not made.moments[symbols == "O"].any()


def test_slabs_keep_the_order_of_their_layers():
    """A (001) slab of 12 Å with vacuum: layers alternate, as many up as down; (110) has both signs in a layer."""
    made = slab(afm(), (0, 0, 1), 12.0, 10.0)
    heights = made.positions[:, 2] - made.positions[:, 2].min()
    assert alternating(made, heights) and made.moments.sum() == pytest.approx(0, abs=1e-9)
    other = slab(afm(), (1, 1, 0), 10.0, 10.0)
    assert abs(other.moments).sum() == pytest.approx(1.5 * (other.numbers == 28).sum())
    assert other.moments.sum() == pytest.approx(0, abs=1e-9)


def test_two_crystals_of_which_one_has_moments():
    """Above each other along y: the one keeps its order, the other gets its starting moments instead of none."""
    iron = Structure(bulk("FeO", "rocksalt", a=4.3, cubic=True), info={"name": "FeO"})
    cells = [orient(crystal, (0, 0, 1)) for crystal in (afm(), iron)]
    made = interface(*cells, widths=(8.0, 8.0), max_strain=0.05).structure
    symbols = np.array(made.atoms.get_chemical_symbols())
    assert np.allclose(made.moments[symbols == "Fe"], START_MOMENTS["Fe"])
    nickel = made.moments[symbols == "Ni"]
    assert np.allclose(abs(nickel), 1.5) and nickel.sum() == pytest.approx(0, abs=1e-9)
    assert not made.moments[symbols == "O"].any()


def test_molecules_on_and_in_a_crystal_have_none():
    surface = build.repeated(slab(afm(), (0, 0, 1), 6.0, 14.0), 2, 2, 1)
    made = adsorbed(surface, molecule("H2O"), 1, np.random.default_rng(0)).structure
    assert np.allclose(made.moments[:-3], surface.moments) and not made.moments[-3:].any()
    host = Structure(bulk("NiO", "rocksalt", a=3 * A, cubic=True), moments=afm().moments)
    inside = guested(host, molecule("H2O"), 1, np.random.default_rng(0)).structure
    assert np.allclose(inside.moments[:8], host.moments) and not inside.moments[8:].any()


def made_by(name, crystal, **options):
    builder = builders()[name]
    default = {option.name: option.default for option in builder.options}
    return builder.specimen(["afm"], lambda _: crystal, np.random.default_rng(0), **{**default, **options})


def test_builders_pass_moments_on_or_say_that_they_do_not():
    dislocated = made_by("dislocation", afm(), plane="0,1,0", burgers="1,0,0", size="52,52").structure
    nickel = dislocated.moments[dislocated.numbers == 28]
    assert np.allclose(abs(nickel), 1.5) and nickel.sum() == pytest.approx(0, abs=1e-6)
    assert not any("not passed on" in note for note in dislocated.info["notes"])
    twin = made_by("twin", afm(), plane="1,1,1", thickness=6.0).structure
    assert twin.moments is None and "moments_muB" not in twin.atoms.arrays
    assert any("afm: its magnetic moments are not passed on" in note for note in twin.info["notes"])
    plain = made_by("twin", Structure(afm().atoms, info={"name": "x"}), plane="1,1,1", thickness=6.0).structure
    assert not any("not passed on" in note for note in plain.info["notes"])


@pytest.mark.parametrize("ending", sorted(FORMATS))
def test_files_hold_moments_or_it_is_said(tmp_path, ending):
    crystal, path = build.repeated(afm(), 1, 1, 2), tmp_path / f"afm{ending}"
    write_structure(crystal, path)
    again = read_structure(path)
    if FORMATS[ending] in MAGNETIC:
        assert not unwritten(crystal, path)
        assert alternating(again, again.positions[:, 2])
    else:
        assert "holds no magnetic moments" in unwritten(crystal, path)[0] and again.moments is None
    assert not unwritten(Structure(crystal.atoms), path)
