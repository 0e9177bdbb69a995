"""Error bars of images: none without doubt, linear in it, and where the doubtful electrons are."""

from collections.abc import Iterator

import ase.build
import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.analysis.uncertainty import check, ensemble, image_uncertainty, plan, remarks
from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField, caption
from rhotem.structure.model import Structure


class Doubt:
    """Members that move ± so many electrons from one atom of a crystal to the other."""

    def __init__(self, electrons: float) -> None:
        self.electrons = electrons
        self.member_count = 3

    def members(self, structure: Structure, grid: PeriodicGrid) -> Iterator[DensityField]:
        gaussians = []
        for index in range(2):
            d = grid.points() @ np.linalg.inv(grid.cell) - structure.atoms.get_scaled_positions()[index]
            r2 = (((d - np.rint(d)) @ grid.cell) ** 2).sum(-1)
            g = np.exp(-r2 / (2 * 0.4**2))
            gaussians.append(g / grid.integrate(g))
        for step in (-1.0, 0.0, 1.0):
            values = step * self.electrons * (gaussians[1] - gaussians[0])
            yield DensityField("deformation", structure, grid, values, source="doubt")


@pytest.fixture(scope="module")
def cut():
    preset = run.adjusted_preset("layered-oxide", detectors=["HAADF=50-70", "ABF=11-22", "DPC=6-22"])
    return run.specimen(Structure(ase.build.bulk("MgO", "rocksalt", a=4.21)), (1, 1, 0), thickness=0.6, preset=preset)


@pytest.fixture(scope="module")
def found(cut):
    return {e: image_uncertainty(cut, Doubt(e), phonons=0, temperature=300.0) for e in (0.0, 0.1, 0.2)}


def test_no_doubt_no_error_bar(found):
    for image in found[0.0].sigma.images.values():
        assert np.abs(image).max() < 1e-9


def test_thin_crystals_are_linear(found):
    """σ of members at −1, 0, 1 is the response to one step; twice the electrons, twice σ."""
    for name in ("ABF", "iDPC"):
        one, two = found[0.1].sigma[name], found[0.2].sigma[name]
        np.testing.assert_allclose(two, 2.0 * one, atol=0.05 * two.max())
        assert one.max() > 0.0


def test_haadf_hardly_knows(found):
    rows = found[0.2].record()["images"]
    assert found[0.2].record()["members"] == 3
    assert rows["HAADF"]["of_range"] < 0.1 * rows["ABF"]["of_range"] < rows["iDPC"]["of_range"]


def test_the_mean_is_the_undoubted_image(cut, found):
    field = next(Doubt(0.0).members(cut.cell.unrotated, PeriodicGrid.from_spacing(cut.cell.unrotated.cell, 0.12)))
    plain = run.image(cut, run.potential(cut, field, phonons=0)).resampled(0.1)
    np.testing.assert_allclose(found[0.2].mean["ABF"], plain["ABF"], atol=2e-3 * np.ptp(plain["ABF"]))


def test_what_it_costs_is_said():
    assert "8 members" in plan(8, 8) and "2.0 times" in plan(8, 8)
    assert "8.0 times" in plan(0, 8)


def test_free_atoms_have_no_doubt():
    with pytest.raises(InputError, match="no ensemble"):
        ensemble("free-atoms")


def test_a_cluster_makes_slices_and_images_of_the_members(cut, tmp_path, monkeypatch):
    """The address goes to both; slices of every member are those of the whole block, and vanish."""
    asked, image = [], run.image

    def seen(specimen, potentials, **options):
        asked.append((options.pop("scheduler"), potentials._scheduler, potentials.on_disk))
        potentials._scheduler = None
        return image(specimen, potentials, **options)

    monkeypatch.setattr(run, "image", seen)
    here, address = {"phonons": 0, "temperature": 300.0}, "tcp://somewhere:8786"
    got = image_uncertainty(cut, Doubt(0.2), **here, scratch=tmp_path, scheduler=address)
    assert asked == 3 * [(address, address, True)] and got.members == 3
    assert not list(tmp_path.iterdir())


def test_what_has_no_error_bars_is_refused_before_anything_is_calculated(cut):
    class Refusing(Doubt):
        def check_members(self, structure: Structure) -> None:
            raise InputError(f"not {structure.formula}")

        def members(self, structure: Structure, grid: PeriodicGrid) -> Iterator[DensityField]:
            raise AssertionError("calculated")

    check(cut, Doubt(0.1))
    for action in (check, lambda *given: image_uncertainty(*given, phonons=0, temperature=300.0)):
        with pytest.raises(InputError, match="not MgO"):
            action(cut, Refusing(0.1))
    pattern = run.specimen(cut.cell.unrotated, (1, 1, 0), thickness=0.6, preset="saed")
    with pytest.raises(InputError, match="makes no images"):
        check(pattern, Doubt(0.1))


def test_error_bars_of_novel_structures_are_doubted():
    usual, novel = ({"novelty": {"value": value, "limit": 1.0}} for value in (0.4, 1.9))
    assert remarks({}) == remarks(usual) == [] and "1.9" in remarks(novel)[0]
    assert caption("free atoms", {}) == "free atoms"
    assert caption("model m", usual) == "model m, novelty 0.4"
    assert caption("model m", novel) == "model m, novelty 1.9 (outside of its training)"
