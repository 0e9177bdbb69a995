"""Named instruments: files, residual aberrations within their limits, envelopes, and what is switched off."""

from pathlib import Path

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.instrument import parse_length
from rhotem.microscope.instruments import CONTRIBUTIONS, Instrument, get_instrument, listed
from rhotem.microscope.instruments.contributions import without
from rhotem.microscope.instruments.registry import read_instrument, template
from rhotem.microscope.instruments.residuals import PAIR, Measured, drawn
from rhotem.microscope.presets import get_preset
from rhotem.microscope.settings import Annular, Mapped, Microscope, Pixelated, Segmented


def test_lengths_carry_their_unit():
    assert parse_length("2nm") == 20 and parse_length("-1.5 um") == -1.5e4 and parse_length("1mm") == 1e7
    with pytest.raises(InputError, match="with the unit"):
        parse_length("2 pc")


def test_residuals_of_a_round_aberration_are_normal_and_end_at_the_limit():
    """Cut at 95 %: variance σ²(1 − 2aφ(a)/0.95), a = 1.96."""
    measured = {"C30": Measured(value="3um", limit="1um")}
    values = np.array([drawn(measured, np.random.default_rng(i))["C30"] for i in range(20000)])
    sigma = 1e4 / 1.959964
    share = 1 - 2 * 1.959964 * np.exp(-(1.959964**2) / 2) / np.sqrt(2 * np.pi) / 0.95
    assert abs(values.mean() - 3e4) < 4 * sigma / np.sqrt(len(values))
    assert values.var() == pytest.approx(share * sigma**2, rel=0.03)
    assert np.abs(values - 3e4).max() <= 1e4 and np.abs(values - 3e4).max() > 0.99e4


def test_residuals_with_an_azimuth_are_pairs_within_a_circle():
    """Each component σ²(1 − 2.9957·0.05/0.95); their azimuth has no direction; C and φ give the pair back."""
    measured = {"C23": Measured(value="20nm", azimuth_deg=25, limit="30nm")}
    rows = [drawn(measured, np.random.default_rng(i)) for i in range(20000)]
    pair = np.array([row["C23"] * np.exp(3j * row["phi23"]) for row in rows])
    error = pair - 200 * np.exp(3j * np.deg2rad(25))
    sigma = 300 / PAIR
    variance = sigma**2 * (1 + np.log(0.05) * 0.05 / 0.95)
    assert np.abs(error).max() <= 300 * (1 + 1e-9)
    for part in (error.real, error.imag):
        assert part.var() == pytest.approx(variance, rel=0.03) and abs(part.mean()) < 4 * sigma / np.sqrt(len(rows))
    assert abs((error.real * error.imag).mean()) < 0.02 * variance


def test_alignments_differ_by_their_seed_and_each_coefficient_has_draws_of_its_own():
    many = {"C12": Measured(limit="1nm"), "C30": Measured(limit="1um")}
    one, other = drawn(many, np.random.default_rng(1)), drawn(many, np.random.default_rng(2))
    assert one == drawn(many, np.random.default_rng(1)) and one["C30"] != other["C30"]
    known = many | {"C12": Measured(value="0.5nm")}
    assert drawn(known, np.random.default_rng(1))["C30"] == one["C30"]
    assert drawn(known, None) == {"C12": 5.0, "phi12": 0.0}


def test_the_focal_spread_is_that_of_its_formula():
    """1 mm and 1 eV FWHM at 200 kV: Cc f ΔE/E = 1e7 · 1.1637 · 0.42466/2e5."""
    spread = Instrument(name="a", energy_keV=200, cc="1mm", energy_spread_eV=1.0).focal_spread
    assert spread == pytest.approx(1e7 * 1.16365 * 0.424661 / 2e5, rel=1e-4)
    lens = Instrument(name="a", energy_keV=200, cc="1mm", current_ripple=1e-6).focal_spread
    assert lens == pytest.approx(1e7 * 2e-6)


def test_a_current_becomes_a_dose():
    """1 pA is 6.2415 electrons in a µs."""
    one = Instrument(name="a", energy_keV=200, current_pA=10, acquisition={"dwell_us": 4})
    assert one.dose(0.5) == pytest.approx(10 * 1e-12 * 4e-6 / 1.602176634e-19 / 0.25)
    base = get_preset("layered-oxide")
    assert one.microscope(base).dose == pytest.approx(one.dose(0.2))
    assert one.microscope(base, pixel=0.1).dose == pytest.approx(4 * one.dose(0.2))


def test_shipped_instruments_say_where_their_numbers_come_from():
    for name, one in listed().items():
        assert one.name == name and "typical" in one.status
        for key in ("aberrations", "energy_spread_eV", "cc", "source_size_A", "current_pA"):
            assert one.sources[key], (name, key)
        on = [k for k, v in one.acquisition.model_dump().items() if isinstance(v, dict)]
        assert {f"acquisition.{k}" for k in on} <= set(one.sources), name


def test_limits_of_corrected_instruments_are_a_phase_of_a_quarter_pi():
    """2π/λ α^(n+1)/(n+1) C = π/4 at the angle that the file names, within rounding to two digits."""
    for name, angle in (("corrected-200-cfeg", 30), ("corrected-300-xfeg", 28), ("corrected-80-cfeg", 34)):
        one = get_instrument(name)
        wavelength = one.microscope(get_preset("layered-oxide")).wavelength
        for key, measured in one.aberrations.items():
            n = int(key[1])
            if n > 1 or key == "C12":
                phase = 2 * np.pi / wavelength * (1e-3 * angle) ** (n + 1) / (n + 1) * measured.limit
                assert phase == pytest.approx(np.pi / 4, rel=0.06), (name, key)
        assert f"{angle} mrad" in one.sources["aberrations"]


def test_every_contribution_goes_away_alone():
    """Off changes the instrument (but for what it has not), and all off leaves an ideal one."""
    one, base = get_instrument("corrected-200-cfeg"), get_preset("layered-oxide")
    absent = {"black-pixels", "map", "residuals"}
    for name in CONTRIBUTIONS:
        assert (without(one, [name]) != one) == (name not in absent), name
    ideal = without(one, CONTRIBUTIONS).preset(base)
    microscope = ideal.microscope
    assert not microscope.aberrations and microscope.focal_spread == microscope.source_size == microscope.cs == 0
    acquisition = microscope.acquisition
    assert not acquisition.moves and not acquisition.counting and acquisition.carbon is acquisition.flicker is None
    for detector in ideal.detectors:
        electronics = detector.electronics
        assert (electronics.gain, electronics.offset, electronics.dqe, electronics.bits) == (1, 0, 1, None)
        assert not electronics.read_noise and not electronics.row_noise and not electronics.lag_us
    with pytest.raises(InputError, match="choose of aberrations, residuals"):
        without(one, ["noise"])


def test_counts_without_gain_keep_their_noise_in_electrons():
    one = without(get_instrument("corrected-200-cfeg"), ["gain"]).detectors[0].electronics
    assert one.read_noise == pytest.approx(25 / 20) and one.row_noise == pytest.approx(8 / 20)


def test_a_preset_keeps_its_mode_and_gets_the_instrument():
    one = get_instrument("corrected-300-xfeg")
    scanned, parallel = one.preset(get_preset("layered-oxide")), one.preset(get_preset("cryo-sei-hrtem"))
    assert scanned.microscope.convergence == 21 and scanned.detectors == one.detectors
    assert parallel.microscope.convergence == 0.1 and parallel.microscope.dose == 100 and not parallel.detectors
    patterns = one.preset(get_preset("ptychography"))
    assert patterns.detectors == get_preset("ptychography").detectors and patterns.microscope.dose is not None


def test_what_is_named_is_taken_exactly():
    """C12 without an azimuth has none of the residual's."""
    real = get_instrument("corrected-200-cfeg").preset(get_preset("layered-oxide"))
    named = real.adjusted(aberrations={"C12": 20.0}, defocus=30.0, cs=5e3).microscope
    assert named.aberrations["C12"] == 20 and "phi12" not in named.aberrations
    assert (named.defocus, named.cs) == (30.0, 5e3) and named.aberrations["C21"] == real.microscope.aberrations["C21"]


def test_detectors_of_a_name_get_its_electronics_and_map(tmp_path):
    np.save(tmp_path / "map.npy", np.pad(np.ones((40, 40)), 10))
    own = Mapped(name="HAADF", inner=60, outer=180, map=str(tmp_path / "map.npy"), electronics={"gain": 3})
    segments = Segmented(inner=5, outer=20, electronics={"gain": 4})
    one = Instrument(name="a", energy_keV=200, detectors=(own, segments))
    asked = [Annular(name="HAADF", inner=80, outer=120), Annular(name="BF", outer=5), Segmented(inner=2, outer=9)]
    mapped, plain, quarters = one.equipped(asked)
    assert isinstance(mapped, Mapped) and (mapped.inner, mapped.outer, mapped.electronics.gain) == (80, 120, 3)
    # the map lies where it lay: its scale is that of its own ring
    assert mapped.mrad_per_pixel == pytest.approx(own.sensitivity.record()["mrad_per_pixel"])
    assert plain == asked[1] and quarters.electronics.gain == 4


def test_the_template_is_an_instrument_and_a_folder_of_the_user_comes_first(tmp_path, monkeypatch):
    folder = tmp_path / "instruments"
    folder.mkdir()
    (folder / "ours.yaml").write_text(template().replace("name: mine", "name: ours"))
    monkeypatch.setenv("RHOTEM_INSTRUMENTS", str(folder))
    assert get_instrument("ours").voltage_ripple == 5e-7 and "ours" in listed()
    (folder / "corrected-200-cfeg.yaml").write_text("rhotem-instrument: 1\nname: corrected-200-cfeg\nenergy_keV: 120\n")
    assert get_instrument("corrected-200-cfeg").energy_keV == 120
    assert read_instrument(folder / "ours.yaml").sources["aberrations"] == "tableau of the corrector"


@pytest.mark.parametrize(
    "text, words",
    [
        ("name: a\n", "expected the key rhotem-instrument"),
        ("rhotem-instrument: 1\nname: a\n", "energy_keV"),
        ("rhotem-instrument: 2\nname: a\nenergy_keV: 200\n", "rhotem-instrument"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\naberrations: {C99: {}}\n", "C99: expected C10"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\naberrations: {C12: {limit: 1nm, sigma: 1nm}}\n", "not both"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\ncc: 3 furlong\n", "with the unit"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\ncc: 1.4\n", "cc 1.4: a length needs its unit"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\ncc: '1.4'\n", "cc 1.4: a length needs its unit"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\naberrations: {C12: {limit: 1}}\n", "C12.limit 1: a length"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\ndetectors: [{kind: ring, outer: 3}]\n", "kind 'ring'"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\nsources: {colour: x}\n", "no such key"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\nacquisition: {jitter: {sigma_pm: 3}}\n", "time_us"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\nacquisition: {camera: {mtf: []}}\n", "mtf"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\nenergy_keV: 300\n", "line 4: key energy_keV stands twice"),
        ("rhotem-instrument: 1\nname: a\nenergy_keV: 200\ndetectors: &d [*d]\n", "line 4: nested within itself"),
        ("rhotem-instrument: [1\n", "not readable as YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_instrument(path)
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_detectors_of_other_kinds_keep_what_they_are(tmp_path: Path):
    """A detector that records patterns has no channel: a file with one ended in an IndexError."""
    path = tmp_path / "ours.yaml"
    path.write_text(
        "rhotem-instrument: 1\nname: a\nenergy_keV: 200\ndetectors:\n  - {kind: pixelated, name: 4D, outer: 40}\n"
    )
    for detector in (Pixelated(name="4D", outer=30), Annular(name="4D", inner=30, outer=60)):
        assert read_instrument(path).equipped([detector]) == [detector]


def test_the_dose_of_patterns_is_that_of_the_positions_they_are_computed_at():
    """Pixels of images gave each of these (0.246/0.2)² = 1.5 times the electrons of current and dwell time."""
    from rhotem.analysis.optics import adjusted_preset

    one = get_instrument("corrected-300-xfeg")
    electrons = one.current_pA * 1e-12 * one.acquisition.dwell_us * 1e-6 / 1.602176634e-19
    for name, more in (("ptychography", {}), ("layered-oxide", {"detectors": ["4D=40"], "convergence": 15})):
        lens = adjusted_preset(name, instrument="corrected-300-xfeg", **more).microscope
        step = lens.wavelength / (4e-3 * lens.convergence)
        assert lens.dose * step**2 == pytest.approx(electrons, rel=1e-6), name
    images = adjusted_preset("layered-oxide", instrument="corrected-300-xfeg", convergence=15).microscope
    stepped = adjusted_preset("ptychography", instrument="corrected-300-xfeg", scan_step=0.2).microscope
    assert images.dose == stepped.dose == pytest.approx(electrons / 0.04, rel=1e-6)


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(InputError, match="choose one of corrected-200-cfeg"):
        get_instrument("titan")
    with pytest.raises(InputError, match="no such file"):
        get_instrument("there/titan.yaml")


@pytest.mark.parametrize("name", [*CONTRIBUTIONS])
@pytest.mark.parametrize("mode", ["layered-oxide", "hrtem"])
def test_what_is_switched_off_leaves_valid_settings(name: str, mode: str):
    """The DQE of a camera became a number where a curve belongs: no run could go without it."""
    for instrument in listed():
        found = without(get_instrument(instrument), [name]).preset(get_preset(mode))
        assert Microscope(**found.microscope.model_dump()) == found.microscope
        assert all(type(d)(**d.model_dump()) == d for d in found.detectors)
