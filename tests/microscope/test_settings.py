"""Settings refuse what no microscope can do, in one line; optics agree with abTEM's."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.detectors import channels, weight
from rhotem.microscope.optics import aberration_phase, aperture, band_limit, cutoff_angle, needed_sampling
from rhotem.microscope.presets import DEFAULT_PRESET, PRESETS, get_preset
from rhotem.microscope.settings import (
    ABERRATIONS,
    Annular,
    CenterOfMass,
    Microscope,
    Pixelated,
    Segmented,
    angles,
    image_names,
    largest_angle,
    parse_aberration,
    parse_detector,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Microscope(dose=-5), r"Microscope: dose = -5"),
        (lambda: Microscope(energy=0), r"energy = 0"),
        (lambda: Microscope(convergence=float("nan")), r"convergence"),
        (lambda: Microscope(aberrations={"C99": 1.0}), r"C99 are not known; use C10"),
        (lambda: Microscope(defocus=1.0, aberrations={"C10": 1.0}), r"C10 is given twice"),
        (lambda: Microscope(tilt=(800.0, 700.0)), r"tilt 800,700 mrad: expected less than 1000 mrad"),
        (lambda: Microscope(focus=1.0), r"focus = 1\.0: Extra inputs"),
        (lambda: Annular(name="ADF", inner=50, outer=20), r"inner angle 50\.0 mrad must be below outer 20\.0 mrad"),
        (lambda: Segmented(inner=-1, outer=20), r"inner = -1"),
        (lambda: largest_angle([]), r"no detector"),
        (lambda: largest_angle([Annular(name="A", outer=1), Annular(name="A", outer=2)]), r"repeat"),
        (lambda: get_preset("jeol"), r"'jeol' is not known; choose one of .*layered-oxide"),
    ],
)
def test_impossible_settings_are_one_clear_line(make, message):
    with pytest.raises(InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_default_preset_is_the_documented_one():
    preset = get_preset(DEFAULT_PRESET)
    assert (preset.microscope.energy, preset.microscope.convergence, preset.thickness) == (200e3, 22.0, 10.0)
    found = {(d.kind, d.inner, d.outer) for d in preset.detectors}
    assert found == {("annular", 68.0, 200.0), ("annular", 11.0, 22.0), ("segmented", 6.0, 22.0)}
    assert all(p.status and p.about for p in PRESETS.values())


def test_aberrations_are_those_of_abtem():
    """Every coefficient, against abTEM's Aberrations on the same grid."""
    abtem = pytest.importorskip("abtem")
    rng = np.random.default_rng(3)
    values = {name: float(rng.uniform(0, 2 * np.pi if name.startswith("phi") else 10.0)) for name in ABERRATIONS}
    for name, size in (("C3", 1e4), ("C4", 1e5), ("C5", 1e7), ("C2", 300.0)):
        values |= {n: v * size for n, v in values.items() if n.startswith(name)}
    microscope = Microscope(energy=80e3, convergence=30, aberrations=values)
    theirs = abtem.transfer.Aberrations(energy=80e3, aberration_coefficients=values, extent=20, gpts=64)
    k = np.fft.fftfreq(64, 20 / 64)
    kx, ky = k[:, None], k[None]
    inside = np.hypot(kx, ky) * microscope.wavelength < 0.03
    ours = np.exp(-1j * aberration_phase(kx + 0 * ky, ky + 0 * kx, microscope))
    assert np.abs(ours - theirs._evaluate_kernel())[inside].max() < 2e-3


def test_underfocus_has_negative_c10():
    assert Microscope(defocus=100.0).coefficients == {"C10": -100.0}
    k = np.array([0.5])
    assert aberration_phase(k, 0 * k, Microscope(defocus=100.0))[0] == pytest.approx(
        -np.pi * Microscope().wavelength * 100.0 * 0.25
    )


def test_band_limit_is_abtems():
    abtem_limit = pytest.importorskip("abtem.antialias").antialias_aperture
    kx, ky = np.fft.fftfreq(40, 0.1), np.fft.fftfreq(50, 0.08)
    ours = band_limit(kx[:, None] ** 2 + ky[None] ** 2, (0.1, 0.08))
    assert np.allclose(ours, abtem_limit((40, 50), (0.1, 0.08), np), atol=1e-6)


def test_needed_sampling_is_what_reaches_the_angle():
    wavelength = Microscope().wavelength
    step = needed_sampling(wavelength, 200.0)
    assert cutoff_angle(wavelength, (step, 0.5 * step)) == pytest.approx(200.0)
    k = np.array([200e-3 / wavelength])
    assert band_limit(k**2, (step, step))[0] == pytest.approx(1.0)
    assert band_limit((1.05 * k) ** 2, (step, step))[0] == 0.0


def grid(step):
    k = np.arange(-60, 61)
    return np.meshgrid(k * step[0], k * step[1], indexing="ij")


@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_segments_tile_the_ring(rotation):
    """Four segments add up to the annular detector, each a quarter, whatever the rotation and the pixels."""
    step = (0.04, 0.03)
    kx, ky = grid(step)
    wavelength = Microscope().wavelength
    segments = [
        weight(c, kx, ky, wavelength, step) for c in channels([Segmented(inner=6, outer=22, rotation=rotation)])
    ]
    ring = weight(channels([Annular(name="r", inner=6, outer=22)])[0], kx, ky, wavelength, step)
    assert np.allclose(sum(segments), ring, atol=0.02)
    area = np.pi * (22e-3**2 - 6e-3**2) / wavelength**2
    for segment in segments:
        assert segment.sum() * step[0] * step[1] == pytest.approx(area / 4, rel=0.01)


def test_first_segment_looks_along_x():
    step = (0.04, 0.04)
    kx, ky = grid(step)
    first = weight(channels([Segmented(inner=6, outer=22)])[0], kx, ky, Microscope().wavelength, step)
    assert (first * kx).sum() > 0.5 * (first * np.hypot(kx, ky)).sum()
    assert abs((first * ky).sum()) < 1e-9


def test_soft_edges_have_the_right_area_and_centre_of_mass_is_odd():
    step = (0.09, 0.07)
    kx, ky = grid(step)
    microscope = Microscope(convergence=22)
    area = aperture(kx, ky, microscope, step).sum() * step[0] * step[1]
    assert area == pytest.approx(np.pi * (22e-3 / microscope.wavelength) ** 2, rel=0.005)
    x = weight(channels([CenterOfMass(outer=30)])[1], kx, ky, microscope.wavelength, step)
    assert abs(x.sum()) < 1e-6 * np.abs(x).sum()


def test_adjusted_presets_change_what_is_asked_and_say_so():
    plain = get_preset("layered-oxide")
    assert plain.adjusted(energy=None, tilt=None) is plain
    changed = plain.adjusted([Annular(name="BF", outer=5)], energy=80e3, aberrations={"C12": 20.0})
    assert changed.changed == ("aberrations", "detectors", "energy") and plain.changed == ()
    assert changed.microscope.coefficients == {"C12": 20.0}
    assert changed.microscope.wavelength == pytest.approx(0.04176, abs=1e-5)
    assert [d.name for d in changed.detectors] == ["BF"]


def test_an_aberration_by_name_replaces_that_of_the_preset():
    hrtem = get_preset("cryo-sei-hrtem")
    assert hrtem.adjusted(aberrations={"C10": -100.0}).microscope.coefficients == {"C10": -100.0, "C30": 1e7}
    again = hrtem.adjusted(aberrations={"C10": -100.0}).adjusted(defocus=50.0)
    assert again.microscope.coefficients["C10"] == -50.0
    with pytest.raises(InputError, match="detectors means nothing"):
        hrtem.adjusted([Annular(name="BF", outer=5)])


@pytest.mark.parametrize(
    "text, name, value",
    [
        ("C30=1.2mm", "C30", 1.2e7),
        ("c30=-5um", "C30", -5e4),
        ("C12=2", "C12", 20.0),
        ("C21 = 1e2 nm", "C21", 1e3),
        ("C10=30Å", "C10", 30.0),
        ("phi12=180", "phi12", np.pi),
        ("phi12=0.5rad", "phi12", 0.5),
    ],
)
def test_aberrations_have_units(text, name, value):
    assert parse_aberration(text) == (name, pytest.approx(value))


@pytest.mark.parametrize("text", ["C30", "C30=", "C30=x", "C30=1s", "phi12=2nm", "Q=1", "C30=1=2"])
def test_aberrations_without_meaning(text):
    with pytest.raises(InputError, match="aberration"):
        parse_aberration(text)


def test_detectors_in_words():
    found = [parse_detector(t) for t in ("HAADF=68-200", "BF=5", "iDPC=6-22mrad", "CoM=40", "4D=40")]
    kinds = [Annular, Annular, Segmented, CenterOfMass, Pixelated]
    assert [type(d) for d in found] == kinds
    assert [(getattr(d, "inner", 0), d.outer) for d in found] == [(68, 200), (0, 5), (6, 22), (0, 40), (0, 40)]
    assert [angles(d) for d in found[:2]] == ["68–200 mrad", "to 5 mrad"]
    assert "iDPC" in image_names(found[2]) and image_names(found[0]) == ["HAADF"]
    for text in ("HAADF", "HAADF=", "=1-2", "a b=1-2", "4D=3-40"):
        with pytest.raises(InputError, match="detector"):
            parse_detector(text)
