"""Entries are found by what they are, show and are like; the answers are those of a look at all of them."""

import math

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.library.fingerprint import fingerprint
from rhotem.library.search.contrast import SEEN, ContrastAsked, by_contrast, parse_contrast
from rhotem.library.search.filters import Filter, reduced
from rhotem.library.search.similar import similar
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


def names(found):
    return {entry.id for entry in found}


CONDITIONS = [
    (Filter(), lambda e: True),
    (Filter(formula="CoO2Li"), lambda e: e.formula == "LiCoO2"),
    (Filter(formula="Li4F4"), lambda e: e.formula == "LiF"),
    (Filter(elements=("Li",)), lambda e: "Li" in e.elements),
    (Filter(elements=("Li", "co")), lambda e: {"Li", "Co"} <= set(e.elements)),
    (Filter(elements=("Li",), without=("Co",)), lambda e: "Li" in e.elements and "Co" not in e.elements),
    (Filter(defect="Vacancy li"), lambda e: "vacancy Li" in e.defect),
    (Filter(defect="none"), lambda e: not e.defect),
    (Filter(thickness=(2.5, 9.0)), lambda e: e.thicknesses[-1] >= 2.5),
    (Filter(thickness=(1.2, 1.9)), lambda e: False),
    (Filter(thickness=(2.0, 2.5)), lambda e: e.thicknesses[-1] <= 2.5),
    (Filter(title="ENTRY 1"), lambda e: "entry 1" in e.title),
    (Filter(title="%"), lambda e: False),
    (Filter(zone="1,0,0", spacegroup=166, energy=200.0), lambda e: True),
    (Filter(energy=300.0), lambda e: False),
    (Filter(prototype="abc2"), lambda e: True),
]


def test_conditions(filled):
    for asked, meets in CONDITIONS:
        assert names(filled.entries(asked.conditions())) == {e.id for e in filled.entries() if meets(e)}, asked


NUMBERS = (
    (Filter(energy=np.nan), "energy nan"),
    (Filter(thickness=(np.nan, 2.0)), "thickness nan"),
    (Filter(thickness=(9.0, 2.0)), "give the least first"),
)


def test_a_thickness_between_the_ends_is_found(library, fake):
    """Of those between the thinnest and the thickest the contrasts tell; without columns the range counts."""
    for name, contrasts in (("a" * 20, [1.0, 1.5, 3.0]), ("b" * 20, [1.0, 3.0]), ("c" * 20, [])):
        said = fake.described(name, name)
        row = said["contrasts"][0]
        said["entry"] |= {"bytes": 1, "checksum": "0" * 64, "state": "good", "thicknesses": contrasts or [1.0, 3.0]}
        library.catalogue.add({**said, "contrasts": [{**row, "thickness": t} for t in contrasts]})
    found = names(library.entries(Filter(thickness=(1.2, 1.9)).conditions()))
    assert found == {"a" * 20, "c" * 20}


def test_bad_conditions_are_refused():
    for wrong, said in ((Filter(elements=("Xx",)), "no element"), (Filter(formula="Q2"), "not readable"), *NUMBERS):
        with pytest.raises(InputError, match=said):
            wrong.conditions()


@pytest.mark.parametrize("formula", ["LiCoO2", "Li3V2(PO4)3", "O2Ti"])
def test_formulas_are_read_as_structures_write_them(formula):
    from ase import Atoms

    assert reduced(formula) == Structure(Atoms(formula)).formula


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("ABF Li contrast > 0.1", ContrastAsked("ABF", "Li", 0.1)),
        ("ABF Li contrast > 0.1 at 1e4 e/Å², 5–15 nm", ContrastAsked("ABF", "Li", 0.1, 1e4, (5, 15))),
        ("HAADF Ni/Co contrast >= .2 at 2000 e/A2, 5-15 nm", ContrastAsked("HAADF", "Ni/Co", 0.2, 2000, (5, 15))),
        ("iDPC O contrast above 1 , 2 to 4 nm", ContrastAsked("iDPC", "O", 1.0, None, (2, 4))),
    ],
)
def test_contrast_in_words(words, asked):
    assert parse_contrast(words) == asked


@pytest.mark.parametrize("words", ["", "ABF Li > 0.1", "ABF Li contrast > x", "ABF Li contrast > 0.1, 9-5 nm"])
def test_contrast_in_wrong_words(words):
    with pytest.raises(InputError, match="contrast"):
        parse_contrast(words)


CONTRASTS = [
    ContrastAsked("ABF", "Li", 0.3),
    ContrastAsked("ABF", "Li", 0.3, thickness=(0.5, 1.5)),
    ContrastAsked("ABF", "Li", 0.0, dose=100.0),
    ContrastAsked("ABF", "Li", 0.0, dose=1.0),
]


def test_contrast_as_a_look_at_all(filled, fake):
    for asked in CONTRASTS:
        check_contrast(filled, fake, asked)


def check_contrast(filled, fake, asked):
    expected = {}
    for entry in filled.entries():
        for row in fake.described(entry.id, entry.title)["contrasts"]:
            size, (least, most) = abs(row["contrast"]), asked.thickness or (0, math.inf)
            if row["label"] != "Li" or size <= asked.least or not least <= row["thickness"] <= most:
                continue
            if asked.dose is not None and size * math.sqrt(asked.dose) < SEEN * row["noise"]:
                continue
            expected[entry.id] = max(size, expected.get(entry.id, 0.0))
    found = by_contrast(filled, asked)
    assert {hit.entry.id: pytest.approx(abs(hit.contrast)) for hit in found} == expected
    sizes = [abs(hit.contrast) for hit in found]
    assert sizes == sorted(sizes, reverse=True)
    if asked.dose is not None:
        assert all(hit.snr == pytest.approx(abs(hit.contrast) * math.sqrt(asked.dose) / 2.0) for hit in found)
    assert len(by_contrast(filled, asked, limit=1)) == min(1, len(expected))


def test_a_contrast_that_nothing_can_have_says_what_there_is(filled):
    with pytest.raises(InputError, match=r"no entry has an image HAADF .* images ABF"):
        by_contrast(filled, ContrastAsked("HAADF", "Li", 0.1))
    with pytest.raises(InputError, match="columns Li, Na, Si"):
        by_contrast(filled, ContrastAsked("ABF", "Xe", 0.1))
    assert by_contrast(filled, ContrastAsked("ABF", "Li", 99.0)) == []


def test_a_fingerprint_knows_no_cell_no_turn_and_no_mirror(rng):
    crystal = phase("LiCoO2")
    one = fingerprint(crystal)
    assert np.linalg.norm(one) == pytest.approx(1.0)
    turned = crystal.atoms.copy()
    turned.rotate(37.0, (1, 2, 3), rotate_cell=True)
    turned.positions += rng.normal(size=3)
    mirrored = crystal.atoms.copy()
    mirrored.set_cell(mirrored.cell.array * [1, 1, -1], scale_atoms=True)
    for other in (crystal.atoms.repeat((2, 1, 1)), turned, mirrored, phase("LiCoO2", primitive=True).atoms):
        assert np.linalg.norm(fingerprint(Structure(other)) - one) < 2e-3


def test_the_nearer_a_structure_the_nearer_its_fingerprint():
    def distance(a, b):
        return float(np.linalg.norm(fingerprint(a) - fingerprint(b)))

    host = phase("LiCoO2")
    strained = host.atoms.copy()
    strained.set_cell(strained.cell.array * [1.02, 1.02, 0.99], scale_atoms=True)
    vacancy = host.atoms.repeat((2, 2, 1))
    del vacancy[0]
    near = [distance(host, Structure(strained)), distance(host, Structure(vacancy)), distance(host, phase("LiNiO2"))]
    far = [distance(host, phase(name)) for name in ("LiF", "graphite", "SrTiO3", "Si")]
    assert max(near) < 0.5 * min(far)


def test_similar_entries_come_nearest_first_and_new_ones_are_seen(filled, fake):
    crystal = phase("LiF")
    said = fake.described("f" * 20, "the same")
    said["entry"] |= {"bytes": 1, "checksum": "1" * 64, "state": "good"}
    said["fingerprint"] = fingerprint(Structure(crystal.atoms.repeat(2))).tobytes().hex()
    assert "f" * 20 not in {entry.id for entry, _ in similar(filled, crystal, 5)}
    filled.catalogue.add(said)
    found = similar(filled, crystal, 5)
    assert found[0][0].id == "f" * 20 and found[0][1] < 2e-3 < found[1][1]
    distances = [distance for _, distance in found]
    assert distances == sorted(distances)
    conditions = Filter(elements=("Si",)).conditions()
    assert all(entry.elements == ("Si",) for entry, _ in similar(filled, crystal, 5, conditions))
    filled.catalogue.remove("f" * 20)
    assert "f" * 20 not in {entry.id for entry, _ in similar(filled, crystal, 5)}
