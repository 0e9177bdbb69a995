"""The focus of largest contrast against direct runs and limits; columns that are the wrong way round."""

from dataclasses import replace

import numpy as np
import pytest

import rhotem
from rhotem.analysis import run as steps
from rhotem.analysis.columns import columns
from rhotem.analysis.focus import best_focus, usual_span
from rhotem.analysis.inversion import inversions, remarks, usual_signs
from rhotem.analysis.plan import Plan
from rhotem.core import InputError
from rhotem.microscope.presets import get_preset
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Segmented

CUT = steps.specimen(steps.structure("LiF"), (1, 1, 0), thickness=1.0)


def spots(heights: dict[str, float], width: float = 0.4) -> np.ndarray:
    """A periodic picture of CUT with a Gaussian on every column, its height by label."""
    (a, b), shape = CUT.cell.lengths[:2], (40, 56)
    qx, qy = (np.fft.fftfreq(n, length / n) for n, length in zip(shape, (a, b), strict=True))
    form = np.exp(-2 * np.pi**2 * width**2 * (qx[:, None] ** 2 + qy[None] ** 2))
    spectrum = np.zeros(shape, dtype=complex)
    for column in columns(CUT.cell):
        x, y = column.position
        spectrum += heights[column.label] * np.exp(-2j * np.pi * (qx[:, None] * x + qy[None] * y)) * form
    return np.fft.ifft2(spectrum).real


def test_columns_the_wrong_way_round_are_named():
    extent = tuple(float(x) for x in CUT.cell.lengths[:2])
    bright, light, hollow = spots({"F": 3, "Li": 1}), spots({"F": 1, "Li": 3}), spots({"F": 3, "Li": -1})
    signs = {"HAADF": 1, "ABF": -1}
    assert inversions({"HAADF": bright, "ABF": 1 - bright}, extent, CUT, signs) == {}
    found = inversions({"HAADF": light, "ABF": 1 - light}, extent, CUT, signs)
    assert found == {"HAADF": ["F is darker than Li"], "ABF": ["F is brighter than Li"]}
    assert inversions({"HAADF": hollow, "ABF": 1 - hollow}, extent, CUT, signs) == {
        "HAADF": ["Li is dark"],
        "ABF": ["Li is bright"],
    }
    # the same picture of the other sign is as wrong as can be
    assert inversions({"ABF": bright}, extent, CUT, signs)["ABF"][0] == "F is brighter than Li"


def test_what_the_probe_does_not_resolve_is_not_judged():
    """A light column in the tails of heavy ones is no inversion: 8.6 mrad have an Airy radius of 1.8 Å."""
    extent = tuple(float(x) for x in CUT.cell.lengths[:2])
    hollow, blunt = spots({"F": 3, "Li": -1}), CUT.preset.microscope.model_copy(update={"convergence": 8.6})
    coarse = replace(CUT, preset=CUT.preset.model_copy(update={"microscope": blunt}))
    assert inversions({"HAADF": hollow}, extent, CUT, {"HAADF": 1}) == {"HAADF": ["Li is dark"]}
    assert inversions({"HAADF": hollow}, extent, coarse, {"HAADF": 1}) == {}


def test_signs_are_those_of_bright_and_dark_field():
    detectors = (
        Annular(name="HAADF", inner=60, outer=200),
        Annular(name="ABF", inner=11, outer=22),
        Annular(name="BF", outer=11),
        Annular(name="both", inner=11, outer=60),
        Segmented(inner=6, outer=22),
        CenterOfMass(outer=40),
    )
    found = usual_signs(detectors, Microscope(convergence=22.0))
    assert found == {"HAADF": 1, "ABF": -1, "iDPC": 1, "dDPC": 1, "iCoM": 1}


def test_the_span_follows_spherical_aberration():
    """Underfocus of Scherzer's probe, 0.87 √(Cs λ), lies in its middle."""
    plain = usual_span(Microscope(convergence=22.0), 10.0)
    assert plain == (-5.0, 10.0)
    microscope = Microscope(convergence=8.6, cs=1.2e7)
    low, high = usual_span(microscope, 2.0)
    assert low < 0.087 * np.sqrt(1.2e7 * microscope.wavelength) < high


def test_the_best_focus_is_where_direct_runs_have_most_contrast():
    detectors = (Annular(name="HAADF", inner=50, outer=90), Annular(name="ABF", inner=11, outer=22))
    cut = steps.specimen(
        steps.structure("LiF"), (1, 1, 0), thickness=1.0, preset=get_preset("layered-oxide").adjusted(detectors)
    )
    slices = list(steps.potential(cut, steps.density(cut, "free-atoms"), phonons=0))
    focus = best_focus(cut, slices, "HAADF", span=(-2, 3))

    def contrast(defocus: float) -> float:
        preset = cut.preset.adjusted(defocus=10 * defocus)
        moved = steps.image(replace(cut, preset=preset), slices, phonons=0)
        return float(moved["HAADF"].std())

    # a thin crystal is in focus at half of its depth: 0.57 nm
    assert focus.defocus == pytest.approx(0.05 * cut.block.lengths[2], abs=0.4)
    assert not focus.wrong and not focus.doubt
    best = contrast(focus.defocus)
    assert best == pytest.approx(focus.contrast, rel=0.02)
    assert best >= max(contrast(focus.defocus - 0.5), contrast(focus.defocus + 0.5))
    with pytest.raises(InputError, match="choose one of HAADF, ABF"):
        best_focus(cut, slices, "iDPC")


PLAN = {
    "specimen": {"structure": "LiF", "thickness_nm": 1},
    "motion": {"phonons": 0},
    "density": {"source": "free-atoms"},
    "microscope": {"detectors": ["HAADF=50-90", "BF=11"], "defocus_nm": {"best": "HAADF"}},
}


def test_a_plan_with_the_best_focus_is_imaged_there_and_says_so():
    plan, said = Plan(**PLAN), []
    written = {**PLAN["microscope"], "defocus_nm": "best:HAADF"}
    assert plan.best == "HAADF" and plan == Plan(**PLAN | {"microscope": written})
    result = rhotem.run(plan, voice=rhotem.Voice(tell=said.append))
    focus = result.record["run"]["focus"]
    assert result.images.record["microscope"]["defocus"] == pytest.approx(10 * focus["defocus_nm"])
    assert any("is best for HAADF of" in line for line in said)
    given = rhotem.run(plan.changed(defocus_nm=focus["defocus_nm"]))
    for name in ("HAADF", "BF"):
        difference = np.abs(result.images[name] - given.images[name]).max()
        assert difference < 0.02 * np.ptp(given.images[name])
    assert result.record["run"]["identity"] != given.record["run"]["identity"]


@pytest.mark.parametrize(
    "value, words",
    [
        ("best:iDPC", "choose one of HAADF, BF"),
        ("3 nm", "the unit is always nm"),
        ("beste", "or best"),
        ({"worst": "ABF"}, "the name of an image"),
        (True, "the name of an image"),
    ],
)
def test_a_focus_that_is_none_is_refused(value, words):
    with pytest.raises(InputError, match=words):
        Plan(**PLAN | {"microscope": {**PLAN["microscope"], "defocus_nm": value}})


def test_a_second_focus_beside_the_best_is_refused():
    """C10 is a focus: it was passed over without a word."""
    with pytest.raises(InputError, match="C10 is a focus, too"):
        Plan(**PLAN | {"microscope": {**PLAN["microscope"], "aberrations": ["C10=-2nm"]}})


def test_noise_and_parallel_beams_are_not_judged():
    cut = steps.specimen(steps.structure("LiF"), (1, 1, 0), thickness=1.0, preset="saed")
    images = type("Images", (), {"clean": {}, "images": {"HRTEM": np.ones((4, 4))}})()
    assert remarks(images, cut) == []


@pytest.mark.slow
def test_idpc_of_licoo2_is_inverted_on_the_surface_and_not_at_its_best_focus():
    """10 nm along [100]: at 0 nm Co is darker than Li, as a direct run shows; at the best focus it is brighter."""
    plan = {
        "specimen": {"structure": "LiCoO2", "zone": (1, 0, 0), "thickness_nm": 10},
        "motion": {"phonons": 2},
        "density": {"source": "free-atoms"},
        "microscope": {"detectors": ["DPC=6-22"], "defocus_nm": 0},
    }
    warned = []
    result = rhotem.run(plan, voice=rhotem.Voice(warn=warned.append))
    assert any("inverts iDPC: Co is darker than Li" in line for line in warned)
    cut, signs = result.specimen, {"iDPC": 1}
    best = rhotem.run(Plan(**plan).changed(defocus_nm="best:iDPC"), voice=rhotem.Voice(warn=warned.append))
    assert 4 < best.record["run"]["focus"]["defocus_nm"] <= 10
    assert inversions(best.images.images, best.images.scan.size, cut, signs) == {}
