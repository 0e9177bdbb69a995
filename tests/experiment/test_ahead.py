"""What to record next: information by other means, what fits then reach, records of fits, bad input."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.core import InputError
from rhotem.core.output import write_record
from rhotem.experiment.ahead.information import after, bits, bits_of_rivals, of_setting, seen
from rhotem.experiment.ahead.known import Known, read_known
from rhotem.experiment.ahead.planned import plan_after
from rhotem.experiment.ahead.report import advice, figure, record, table
from rhotem.experiment.ahead.settings import Asked, what_tells
from rhotem.experiment.fit.images import Recorded, fit_images
from rhotem.experiment.fit.images.nodes import Nodes
from rhotem.experiment.fit.images.state import LENS, NAMES, UNITS
from tests.experiment.test_fit_images import DETECTORS, SHAPE, TRUTH, counted, response_with_edges


@pytest.fixture(scope="module")
def held():
    return response_with_edges([20.4])


def known_of(width=1e3, rivals=()):
    """TRUTH, known up to ``width`` of every parameter."""
    matrix = TRUTH.values[7:11].reshape(2, 2)
    return Known(NAMES[:LENS], UNITS[:LENS], TRUTH.values[:LENS], width**2 * np.eye(LENS), matrix, rivals)


def asked(foci=(1.2,), doses=(1e4,), shape=SHAPE, doubt=None):
    images = [Recorded(one, np.zeros(shape), True) for one in DETECTORS]
    images[0] = replace(images[0], doubt=doubt)
    return Asked(images, [(0, 1), (0,), (1,)], foci, doses)


def test_eliminating_nuisances_is_inverting_everything(rng):
    """Two images of 30 pixels that share 3 wanted and 2 other parameters, each with gain, offset and a doubt."""
    shared, own = rng.normal(size=(2, 5, 30)), rng.normal(size=(2, 3, 30))
    expected, dose = rng.uniform(0.5, 2.0, (2, 30)), 7.0
    whole = np.zeros((11, 11))
    for n in range(2):
        slopes = np.zeros((11, 30))
        slopes[:5], slopes[5 + 3 * n : 8 + 3 * n] = shared[n], own[n]
        whole += dose * (slopes / expected[n]) @ slopes.T
        whole[7 + 3 * n, 7 + 3 * n] += 1.0  # the doubt is in standard errors
    prior = np.diag([0.3, 2.0, 5.0])
    whole[:3, :3] += np.linalg.inv(prior)
    images = [seen(shared[n], own[n], expected[n]) for n in range(2)]
    later = after(prior, of_setting(images, dose, 3))
    assert later == pytest.approx(np.linalg.inv(whole)[:3, :3])
    assert bits(prior, later) == pytest.approx(0.5 * np.log2(np.linalg.det(prior) / np.linalg.det(later)))
    # what stayed stays
    fixed = prior.copy()
    fixed[1, 1] = 0.0
    assert after(fixed, of_setting(images, dose, 3))[1] == pytest.approx(0.0)


def test_what_tells_two_minima_apart():
    """Equal odds, d standard deviations apart: the capacity of a binary signal in Gaussian noise, by quadrature."""
    x, weight = np.polynomial.hermite_e.hermegauss(80)
    for distance in (0.5, 2.0, 4.0):
        ln = 0.5 * distance**2 + distance * x
        exact = 1 - (weight * np.log2(1 + np.exp(-ln))).sum() / weight.sum()
        assert bits_of_rivals(np.array([[distance**2]]), np.array([0.5, 0.5])) == pytest.approx(exact, abs=0.03)
    assert bits_of_rivals(np.zeros((2, 2)), np.array([0.5, 0.3, 0.2])) == pytest.approx(0.0, abs=1e-9)
    entropy = -sum(p * np.log2(p) for p in (0.5, 0.3, 0.2))
    assert bits_of_rivals(1e4 * np.eye(2), np.array([0.5, 0.3, 0.2])) == pytest.approx(entropy, abs=0.02)


def test_errors_that_are_promised_are_those_of_the_fit(held, rng):
    """Nothing known before: what 2e6 e/Å² would leave is what a fit of such images states."""
    area = abs(np.linalg.det(TRUTH.values[7:11].reshape(2, 2)))
    bright = replace(TRUTH, gains=np.full(2, 2e6 * area), offsets=np.zeros(2), values=TRUTH.values.copy())
    bright.values[-2:] = 0.0  # the scan is straight
    fit = fit_images(counted(held, rng, bright), held, [[0.2, 0.0], [0.0, 0.2]], start=bright)
    (told,) = [
        one for one in what_tells(_sharp(known_of()), Nodes(held), asked(doses=(2e6,))) if len(one.setting.images) == 2
    ]
    for name in ("thickness", "defocus", "source_size"):
        assert told.errors[name] == pytest.approx(fit.error(name), rel=0.15), name


def _sharp(known):
    """Draws at the values themselves, as wide as they may be: huge errors would move draws to the bounds."""
    return replace(known, covariance=np.diag([3.0, 3.0, 1.0, 1.0, 0.05]) ** 2)


def test_more_electrons_and_more_images_tell_more(held):
    doubt = DETECTORS[0].model_copy(update={"inner": 20.4})
    known = _sharp(known_of())
    found = {
        (len(o.setting.images), o.setting.images[0], o.setting.dose): o.bits
        for o in what_tells(known, Nodes(held), asked(doses=(1e3, 1e5)))
    }
    assert found[2, "ADF", 1e5] > found[2, "ADF", 1e3] > 0
    for dose in (1e3, 1e5):
        assert found[2, "ADF", dose] > max(found[1, "ADF", dose], found[1, "ABF", dose])
    doubted = what_tells(known, Nodes(held), asked(doses=(1e5,), doubt=doubt))
    (less,) = [one.bits for one in doubted if one.setting.images == ("ADF",)]
    assert less < found[1, "ADF", 1e5]


def test_a_larger_scan_tells_as_much_more_as_it_has_pixels(held):
    """Four times the pixels at a dose are the same pixels at four times the dose, up to the edges of the scan."""
    known = _sharp(known_of())
    large = what_tells(known, Nodes(held), asked(shape=(96, 96), doses=(1e4,)))
    same = what_tells(known, Nodes(held), asked(shape=(48, 48), doses=(4e4,)))
    for one, other in zip(large, same, strict=True):
        assert one.setting.images == other.setting.images
        assert one.bits == pytest.approx(other.bits)


def test_rivals_count(held, tmp_path):
    known = replace(_sharp(known_of()), rivals=(((78.0, -6.0), 0.5),))
    found = what_tells(known, Nodes(held), asked(foci=(-2.0, 1.2), doses=(1e5,)))
    assert 0.5 < found[0].rivals <= 0.92 and found[0].bits > found[0].rivals  # of odds 2:1 there are 0.918 bits
    assert "tell the minima apart" in advice(known, found)
    assert "now" in table(known, found) and len(record(known, found)["settings"]) == 6
    figure(known, found, tmp_path / "next.png")
    assert (tmp_path / "next.png").stat().st_size > 1e4


def test_a_fit_is_read_from_its_record(held, rng, tmp_path):
    fit = fit_images(counted(held, rng), held, [[0.2, 0.0], [0.0, 0.2]], start=TRUTH)
    write_record(tmp_path, {"asked": {"rhotem": 1}, "fit": fit.record()})
    known, asked_for = read_known(tmp_path)
    assert asked_for == {"rhotem": 1} and known.rivals == ()
    assert known.values == pytest.approx(fit.state.values[:LENS])
    assert known.covariance == pytest.approx(fit.covariance[:LENS, :LENS])
    assert known.matrix == pytest.approx(np.reshape(fit.state.values[7:11], (2, 2)))
    pattern = {"thickness_nm": 50.1, "thickness_error_nm": 0.2, "minima": [{"thickness_nm": 50.1, "odds": 1.0}]}
    write_record(tmp_path, {"asked": {"rhotem": 1}, "fits": {"one": pattern}})
    known, _ = read_known(tmp_path / "record.json")
    assert known.values[0] == pytest.approx(501.0) and known.covariance[0, 0] == pytest.approx(4.0)


def test_the_next_plan_is_as_thick_as_the_specimen_may_be():
    asked_for = {
        "specimen": {"structure": "SrTiO3", "thickness_nm": 120.0, "zone": [0, 0, 1]},
        "microscope": {"preset": "pacbed", "energy_keV": 200, "convergence_mrad": 14, "detectors": ["PACBED=20"]},
    }
    thick = replace(known_of(), values=np.array([501.0, 0, 0, 0, 0.8]), covariance=np.diag([25.0, 1, 1, 1, 1]))
    plan = plan_after(thick, asked_for, {"microscope.detectors": ("HAADF=60-180",)})
    assert plan.specimen.thickness_nm == pytest.approx(50.1 + 4 * 0.5 + 2.0)
    assert plan.preset().mode == "stem" and plan.microscope.energy_keV == 200
    assert [one.name for one in plan.preset().detectors] == ["HAADF"]


@pytest.mark.slow
def test_from_a_fit_to_the_next_setting(tmp_path):
    """The record of a fit of 3.9 nm of SrTiO3, written by hand: ABF and HAADF together tell most, and the more dose."""
    numbers = dict(zip(NAMES, [39.0, 20.0, 0, 0, 0.8, 0, 0, 0.3, 0, 0, 0.3, 0, 0], strict=True))
    fit = {
        "parameters": {name: {"value": value, "error": 1.0, "unit": "Å"} for name, value in numbers.items()},
        "nodes": {},
        "minima": [{"thickness_nm": 3.9, "defocus_nm": 2.0, "odds": 1.0}],
        "covariance": np.diag([9.0, 9.0, 4.0, 4.0, 0.01, *[1.0] * 12]).tolist(),
    }
    asked_for = {
        "specimen": {"structure": "SrTiO3", "thickness_nm": 7.0, "zone": [0, 0, 1]},
        "density": {"source": "free-atoms"},
        "motion": {"phonons": 0},
        "microscope": {"energy_keV": 200, "convergence_mrad": 18, "detectors": ["HAADF=60-180", "ABF=9-18"]},
    }
    (tmp_path / "fit").mkdir()
    write_record(tmp_path / "fit", {"asked": asked_for, "fit": fit})
    options = ["--after", tmp_path / "fit", "--foci", "0,4,2", "--doses", "1e4,1e5", "--rings", "60"]
    arguments = ["plan", "SrTiO3", *map(str, options), "--out", str(tmp_path / "next")]
    result = CliRunner().invoke(main.app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "next: HAADF, ABF at" in result.stdout and "1e+05 e/Å²" in result.stdout
    found = json.loads((tmp_path / "next" / "record.json").read_text())["next"]["settings"]
    assert {tuple(one["images"]) for one in found} >= {("HAADF", "ABF"), ("HAADF",), ("ABF",), ("ring60-120",)}
    assert all(one["errors"]["thickness"] <= 3.0 + 1e-9 for one in found)
    assert (tmp_path / "next" / "next.png").exists()


@pytest.mark.parametrize(
    "content, words",
    [
        ("{}", "no record of a fit of scanned images or of a pattern"),
        ("not json", "no record of a fit (JSONDecodeError)"),
        (json.dumps({"asked": {}, "fits": {"a": {}, "b": {}}}), "fit one alone"),
    ],
)
def test_what_is_no_fit_is_refused(tmp_path, content, words):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(InputError) as caught:
        read_known(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "say what the session is for"),
        (["--feature", "vacancy:Sr", "--after", "fit"], "say what the session is for"),
        (["--after", "nowhere"], "nowhere: no record of a fit"),
        (["--after", "fit", "--thicknesses", "3"], "--thicknesses means nothing"),
        (["--after", "fit", "--doses", "-4"], "--doses -4: expected positive"),
        (["--feature", "vacancy:Sr", "--doses", "1e4"], "--doses is of --after"),
        (["--after", "fit", "--relax"], "--relax means nothing after a fit"),
        (["--feature", "vacancy:Sr", "--potential", "sevennet-0"], "add --relax"),
        (["--feature", "vacancy:Sr", "--relax", "--potential", "nothing"], "not known; choose"),
        (["--feature", "density", "--relax"], "leave --relax out"),
    ],
)
def test_bad_questions_are_answered_in_one_line(tmp_path, options, words):
    out = tmp_path / "out"
    result = CliRunner().invoke(main.app, ["plan", "SrTiO3", *options, "--out", str(out), "--quiet"])
    assert result.exit_code == 2 and words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and not out.exists()
