"""One propagation, any lens: responses give the images of direct runs, and refuse what they do not hold."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import InputError, MemoryLimitError
from rhotem.microscope.acquisition.settings import Acquisition, Carbon
from rhotem.microscope.plan import make_plan, probe_window
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Pixelated, Segmented
from rhotem.microscope.simulate import simulate, simulate_series
from rhotem.potential.slices import PotentialSlices
from rhotem.scattering.response import Range, Response, mean_response, open_response, response
from rhotem.scattering.response.images import _rows as rows
from rhotem.scattering.response.range import held_spread

from ..microscope.conftest import gaussian_slices

MICROSCOPE = Microscope(energy=200e3, convergence=22.0)
DETECTORS = (
    Annular(name="ADF", inner=30, outer=60),
    Annular(name="ABF", inner=11, outer=22),
    Annular(name="hard", inner=12, outer=21, edges="hard"),
    Segmented(inner=6, outer=22),
    CenterOfMass(outer=45),
)
RANGE = Range(defocus=60, aberrations={"C12": 30, "C21": 300, "C23": 300, "C34": 1e4, "C50": 2e7}, convergence=16)
TOLERANCE = 1e-5


def twisted(extent=(4.1, 5.3), shape=(48, 64), number=6, seed=None, missing=()):
    """Columns of three heights that wander with depth: no centre, mirror or axis of symmetry."""
    rng = np.random.default_rng(seed) if seed is not None else None
    layers = []
    for s in range(number):
        columns = [
            (0.6 + 0.22 * s, 0.9 - 0.13 * s, 110.0),
            (2.9 - 0.17 * s, 2.2 + 0.31 * s, 45.0),
            (1.7 + 0.05 * s, 4.4 - 0.24 * s, 15.0),
        ]
        shift = rng.normal(0, 0.07, (len(columns), 2)) if rng is not None else np.zeros((len(columns), 2))
        moved = [(x + d[0], y + d[1], h) for (x, y, h), d in zip(columns, shift, strict=True)]
        layers.append(gaussian_slices(extent, shape, moved, number=1).array[0])
    one = gaussian_slices(extent, shape, (), number=number)
    return PotentialSlices(np.stack(layers), one.grid, 0.0)


def direct(potentials, held: Response, lens, detectors, scan=None, repeats=(1, 1), tiling=None, **options):
    """A simulation on the supercell of the response."""
    extent = potentials[0].extent
    scan = scan or Scan.cell(extent, lens)
    number = len(potentials)
    plan = make_plan(potentials[0], lens, scan, detectors, algorithm="bloch", configurations=number)
    tiling = tiling or tuple(p // r for p, r in zip(held.beams.period, repeats, strict=True))
    plan = replace(plan, tiling=tiling, shared=number > 1, windows=None)
    return simulate(potentials, lens, scan, detectors, plan=plan, repeats=repeats, **options)


def assert_equal(images, reference):
    assert images.images.keys() == reference.images.keys() and images.scan == reference.scan
    for name, image in reference.images.items():
        assert np.abs(images[name] - image).max() < TOLERANCE * np.ptp(image), name


def settings(rng):
    """Random settings within `RANGE`, aberrations to fifth order, both signs of defocus."""
    found = {name: float(rng.uniform(-1, 1) * value) for name, value in RANGE.aberrations.items()}
    found |= {f"phi{name[1:]}": float(rng.uniform(0, 2 * np.pi)) for name in RANGE.aberrations if name != "C50"}
    return {
        "convergence": float(rng.uniform(16, 22)),
        "defocus": float(rng.uniform(*RANGE.defocus)),
        "aberrations": found,
        "source_size": float(rng.choice([0.0, 0.8])),
        "focal_spread": float(rng.choice([0.0, 40.0])),
    }


@pytest.fixture(scope="module")
def thermal():
    return [twisted(seed=i) for i in (1, 2)]


@pytest.fixture(scope="module")
def held(thermal):
    return response(thermal, MICROSCOPE, DETECTORS, range=RANGE, edges=[25.0, 40.0])


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_direct_run(thermal, held, seed):
    """Every channel of a crystal without symmetry: rims, source, focal spread, aberrations, smaller apertures."""
    lens = held.asked(settings(np.random.default_rng(seed)), held.thicknesses[0])
    images = held.images(**settings(np.random.default_rng(seed)))
    assert_equal(images, direct(thermal, held, lens, DETECTORS))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_equals_the_direct_run_everywhere(thermal, held, seed):
    test_equals_the_direct_run(thermal, held, seed)


@pytest.fixture(scope="module")
def triclinic():
    """A real potential of a triclinic cell without a centre, atoms displaced, and its response."""
    from ase import Atoms

    from rhotem.analysis import run
    from rhotem.structure.model import Structure

    cell = np.array([[4.2, 0.0, 0.0], [0.0, 4.9, 0.0], [1.4, 1.6333333333, 5.6]])
    places = [(0.1, 0.15, 0.2), (0.55, 0.3, 0.75), (0.3, 0.75, 0.45), (0.8, 0.7, 0.05)]
    crystal = Structure(Atoms([27, 8, 3, 17], cell=cell, scaled_positions=places, pbc=True))
    cut = run.specimen(crystal, zone=(0, 0, 1), plane=True, thickness=1.7)
    potentials = list(run.potential(cut, run.density(cut, "free-atoms"), phonons=2))
    chosen = (Annular(name="ADF", inner=40, outer=80), *DETECTORS[1:])
    return potentials, response(potentials, MICROSCOPE, chosen, range=RANGE, edges=[])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_equals_the_direct_run_of_a_triclinic_crystal(triclinic, seed):
    potentials, made = triclinic
    asked = settings(np.random.default_rng(seed))
    lens = made.asked(asked, made.thicknesses[0])
    assert_equal(made.images(**asked), direct(potentials, made, lens, made.detectors))


@pytest.fixture(scope="module")
def defective():
    """A large cell with columns weakened at one depth, and its response: nothing repeats."""
    one = twisted()
    array = np.tile(one.array, (1, 2, 2))
    array[2, :48, :64] *= 0.5
    cell = gaussian_slices((8.2, 10.6), (96, 128), (), number=6)
    small = Microscope(energy=200e3, convergence=15.0)
    defect = PotentialSlices(array.astype(np.float32), cell.grid, 0.0)
    made = response([defect], small, DETECTORS[:4], range=Range(defocus=20, aberrations={"C21": 100}), edges=[])
    return defect, made


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 20))])
def test_a_defect_cell(defective, seed):
    defect, made = defective
    rng = np.random.default_rng(seed)
    coma = {"C21": float(rng.uniform(0, 100)), "phi21": float(rng.uniform(0, 6))}
    asked = {"defocus": float(rng.uniform(-20, 20)), "aberrations": coma, "focal_spread": float(rng.uniform(0, 40))}
    lens = made.asked(asked, made.thicknesses[0])
    assert_equal(made.images(**asked), direct([defect], made, lens, DETECTORS[:4]))


def test_a_tilted_beam():
    """Tilt is fixed when it is made; aperture, aberrations and detectors are centred on the beam."""
    tilted = Microscope(energy=200e3, convergence=20.0, tilt=(9.0, -6.0))
    made = response([twisted()], tilted, DETECTORS[:4], range=Range(defocus=20, aberrations={"C21": 100}), edges=[])
    asked = {"defocus": 12.0, "aberrations": {"C21": 90.0, "phi21": 1.0}}
    lens = made.asked(asked, made.thicknesses[0])
    images = made.images(**asked)
    assert_equal(images, direct([twisted()], made, lens, DETECTORS[:4]))
    assert images.record["microscope"]["tilt"] == (9.0, -6.0)


def test_equal_cells_give_one_mean_image():
    """Of a block of 2 × 1 cells with thermal motion: the mean of both, from a quarter of the pairs a cell has."""
    parts = [[twisted(seed=10 * i + j).array for j in range(2)] for i in range(2)]
    cell = gaussian_slices((8.2, 5.3), (96, 64), (), number=6)
    blocks = [PotentialSlices(np.concatenate(pair, axis=1), cell.grid, 0.0) for pair in parts]
    made = response(blocks, MICROSCOPE, DETECTORS, repeats=(2, 1), edges=[], range=Range(defocus=10), error_bar=False)
    scan = Scan.cell((4.1, 5.3), MICROSCOPE)
    whole = Scan((2 * scan.shape[0], scan.shape[1]), (8.2, 5.3))
    lens = made.asked({"defocus": 8.0}, made.thicknesses[0])
    reference = direct(blocks, made, lens, DETECTORS, scan=whole, repeats=(2, 1), error_bar=False)
    assert_equal(made.images(defocus=8.0, scan=scan), reference)
    assert made.extent == (4.1, 5.3)


def test_a_scan_of_a_part_and_error_bars(thermal, held):
    """A region whose scan is not periodic, and error bars of thermal motion: both as the direct run has them."""
    coarse = Scan((5, 6), thermal[0].extent, (0.3, 0.2))
    assert_equal(held.images(scan=coarse), direct(thermal, held, MICROSCOPE, DETECTORS, scan=coarse))
    scan = Scan.region((1.0, 0.5), (3.0, 2.5), 0.25, thermal[0].extent)
    reference = direct(thermal, held, held.asked({"defocus": 30.0}, held.thicknesses[0]), DETECTORS, scan=scan)
    images = held.images(defocus=30.0, scan=scan)
    assert_equal(images, reference)
    ours, theirs = (x.record["phonon_error"]["images"] for x in (images, reference))
    assert ours.keys() == theirs.keys()
    for name, row in theirs.items():
        assert ours[name]["of_range"] == pytest.approx(row["of_range"], rel=1e-4), name


def test_thicknesses_come_from_one_pass(thermal):
    depths = [4.0, 8.0, 12.0]
    made = response(thermal, MICROSCOPE, DETECTORS[:2], depths, edges=[], error_bar=False)
    lens = MICROSCOPE
    plan = make_plan(
        thermal[0], lens, Scan.cell(thermal[0].extent, lens), DETECTORS[:2], algorithm="bloch", configurations=2
    )
    plan = replace(plan, tiling=made.beams.period)
    series = simulate_series(thermal, lens, None, DETECTORS[:2], thicknesses=depths, plan=plan, error_bar=False)
    for depth, reference in zip(depths, series, strict=True):
        assert_equal(made.images(thickness=depth), reference)
        assert_equal(made.at([depth]).images(), reference)
    with pytest.raises(InputError, match=r"thickness 0\.6 nm: the response holds 0\.4, 0\.8, 1\.2 nm"):
        made.images(thickness=6.0)


def test_supercell_is_large_enough(thermal, held):
    """Within 1 % of the range of a direct run on twice the supercell."""
    lens = held.asked({"defocus": -40.0}, held.thicknesses[0])
    double = tuple(2 * p for p in held.beams.period)
    # a wide supercell has more κ, which meet other configurations: atoms at rest are compared
    rest = response([twisted()], MICROSCOPE, DETECTORS[:2], range=RANGE, edges=[])
    reference = direct([twisted()], rest, lens, DETECTORS[:2], tiling=double)
    for name, image in rest.images(defocus=-40.0).images.items():
        assert np.abs(image - reference[name]).max() < 0.01 * np.ptp(reference[name]), name


def test_electrons_are_counted_as_in_a_direct_run(thermal, held):
    """The same seed draws the same electrons; moments of all parts are there for the centre of mass."""
    asked = {"defocus": 20.0, "dose": 1e5, "source_size": 0.7}
    lens = held.asked(asked, held.thicknesses[0])
    reference = direct(thermal, held, lens, DETECTORS, rng=np.random.default_rng(4))
    images = held.images(rng=np.random.default_rng(4), **asked)
    assert images.record["counting"]["undetected_fraction"] == pytest.approx(
        reference.record["counting"]["undetected_fraction"], rel=1e-6
    )
    for name in ("ADF", "ABF", "CoMx"):
        assert (np.abs(images[name] - reference[name]) < 1e-5 * np.ptp(reference[name])).mean() > 0.97, name
    with pytest.raises(InputError, match="a dose needs a random generator"):
        held.images(dose=1e4)
    counting = replace(held, microscope=MICROSCOPE.model_copy(update={"dose": 1e4}), _ready={})
    assert np.array_equal(counting.images(dose=None)["ADF"], held.images()["ADF"])
    with pytest.raises(InputError, match="a dose needs a random generator"):
        counting.images()


def test_carbon_is_seen_through_the_source(thermal, held):
    """Its atoms were as sharp as with a point source: a third of the range of ABF off, more in dark fields."""
    layer = Acquisition(counting=False, carbon=Carbon(thickness_nm=2))
    asked = {"dose": 1e5, "source_size": 1.0, "acquisition": layer, "defocus": 10.0}
    lens = held.asked(asked, held.thicknesses[0])
    reference = direct(thermal, held, lens, DETECTORS, rng=np.random.default_rng(3))
    assert_equal(held.images(rng=np.random.default_rng(3), **asked), reference)


def test_what_is_fixed_may_be_said_again_and_none_is_a_value(held):
    """Tilts in a list or an array; without a pixel the positions that were computed, which was passed over."""
    for tilt in ([0.0, 0.0], np.zeros(2)):
        assert held.asked({"tilt": tilt}, held.thicknesses[0]).tilt == (0.0, 0.0)
    with pytest.raises(InputError, match="tilt: fixed"):
        held.asked({"tilt": [0.0, 1.0]}, held.thicknesses[0])
    cell = Scan.cell(held.extent, MICROSCOPE)
    assert held.images(DETECTORS[:1], dose=1e4, pixel=None, rng=np.random.default_rng(0)).scan == cell
    flawed = replace(held, microscope=MICROSCOPE.model_copy(update={"acquisition": Acquisition()}), _ready={})
    assert flawed.asked({"acquisition": None}, held.thicknesses[0]).acquisition is None
    assert flawed.asked({}, held.thicknesses[0]).acquisition is not None


def test_a_mean_is_one_of_the_same_waves(thermal):
    """Of beams at 80 and 200 kV it was the mean of other experiments; integers of beams do not tell them apart."""
    made = response(thermal[:1], MICROSCOPE, DETECTORS[:2], edges=[])
    assert_equal(mean_response([made, made]).images(), made.images())
    for change in ({"energy": 199.9e3}, {"tilt": (1.0, 0.0)}):
        other = replace(made, microscope=made.microscope.model_copy(update=change), _ready={})
        with pytest.raises(InputError, match="they hold different beams, lenses"):
            mean_response([made, other])
    other = replace(made, kept=(*made.kept[:-1], made.kept[-1].model_copy(update={"outer": 59.0})), _ready={})
    with pytest.raises(InputError, match="they hold different beams, lenses, channels"):
        mean_response([made, other])


def test_series_are_images_one_by_one(held):
    asked = {"defocus": [-30.0, 0.0, 45.0], "convergence": [20.0, 22.0, 17.0], "focal_spread": 30.0}
    scan = Scan.cell(held.extent, MICROSCOPE)
    stack = held.series(scan=scan, threads=2, **asked)
    for n in range(3):
        one = {k: v[n] if isinstance(v, list) else v for k, v in asked.items()}
        images = held.images(scan=scan, **one)
        for name, image in images.images.items():
            assert np.abs(stack[name][n] - image).max() < 1e-6 * np.abs(image).max(), name
    with pytest.raises(InputError, match="give equally many of each"):
        held.series(defocus=[0.0, 1.0], convergence=[20.0, 21.0, 22.0])


def test_derivatives_are_those_of_finite_differences(held):
    """At an aperture whose rim begins or leaves no pixel within the steps: the slope jumps there."""
    base = {
        **{"defocus": 20.0, "cs": 1e4, "convergence": 21.37, "focal_spread": 25.0, "source_size": 0.7},
        "aberrations": {"C21": 200.0, "phi21": 0.4, "C12": 10.0, "phi12": 1.0},
    }
    steps = {"defocus": 0.1, "cs": 100.0, "convergence": 4e-4, "focal_spread": 0.1, "source_size": 1e-3}
    steps |= {"C21": 1.0, "phi21": 1e-3, "C12": 0.1, "phi12": 1e-3, "C23": 1.0}
    scan = Scan((7, 9), held.extent)
    soft = [d for d in DETECTORS if d.name != "hard"]
    found = held.gradients(list(steps), soft, scan=scan, **base)
    for name, step in steps.items():

        def at(change, name=name):
            values = dict(base, aberrations=dict(base["aberrations"]))
            where = values if name in base else values["aberrations"]
            where[name] = where.get(name, 0.0) + change
            return held.images(soft, scan=scan, **values).images

        above, below = at(step), at(-step)
        for image, slope in found[name].items():
            error = (above[image] - below[image]) / (2 * step) - slope
            assert np.abs(error).max() < 2e-4 * np.abs(slope).max(), (name, image)
    with pytest.raises(InputError, match="parameter 'voltage'"):
        held.gradients(["voltage"])


def test_detectors_named_later_are_sums_of_parts(thermal, held):
    """Between edges that it holds, soft and hard, in quadrants where there are some."""
    later = (Annular(name="LAADF", inner=22, outer=40), Segmented(inner=11, outer=22), Annular(name="BF", outer=6))
    assert_equal(held.images(later), direct(thermal, held, MICROSCOPE, later))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"convergence": 25.0}, r"convergence 25 mrad: the response holds up to 22 mrad"),
        (
            {"defocus": 300.0},
            r"defocus 30 nm at 22 mrad and 1\.2 nm: the probe needs .* Å, the response has .* defocus -",
        ),
        ({"aberrations": {"C30": 1e7}}, r"C30 1e\+06 nm at 22 mrad .* make it with a larger range"),
        ({"convergence": 5.0}, r"at 5 mrad .* hold none"),
        (
            {"focal_spread": 1500.0},
            r"^focal spread 150 nm at 22 mrad and 1\.2 nm: its foci need .* which with these settings hold \d+ nm",
        ),
        ({"energy": 3e5}, r"energy: fixed when a response is made"),
        ({"tilt": (1.0, 0.0)}, r"tilt: fixed when a response is made"),
        ({"focus": 3.0}, r"focus = 3\.0: Extra inputs"),
        (
            {"detectors": [Annular(name="X", inner=13, outer=25)]},
            r"detector X 13–25 mrad: the response holds edges at 6, ",
        ),
        ({"detectors": [Annular(name="X", inner=30, outer=90)]}, r"detector X 30–90 mrad: .*60 mrad"),
        ({"detectors": [Segmented(inner=6, outer=22, rotation=20)]}, r"not everywhere in these quadrants"),
        ({"detectors": [Segmented(inner=30, outer=60)]}, r"not everywhere in these quadrants"),
        ({"detectors": [CenterOfMass(outer=60)]}, r"no moments to 60 mrad"),
        ({"detectors": [Pixelated()]}, r"signals, not patterns"),
    ],
)
def test_what_it_does_not_hold_is_refused_in_one_line(held, ask, message):
    with pytest.raises(InputError, match=message) as error:
        held.images(**ask)
    assert "\n" not in str(error.value)


def test_the_largest_focal_spread_that_is_held_is_that_of_a_wide_supercell(thermal, held):
    """Within half a per cent of the range of images on 60 Å; a tenth more is refused, or asked for when it is made."""
    spread = held_spread(MICROSCOPE.model_copy(update={"focal_spread": 1500.0}), 12.0, min(held.supercell))
    assert 100 < spread < 600
    lens, scan = MICROSCOPE.model_copy(update={"focal_spread": 0.98 * spread}), Scan((5, 6), thermal[0].extent)
    shown = DETECTORS[:2]
    wide = make_plan(thermal[0], lens, scan, shown, algorithm="bloch", window=60.0)
    reference = simulate(thermal[:1], lens, scan, shown, plan=wide)
    one = response(thermal[:1], MICROSCOPE, DETECTORS, range=RANGE, edges=[25.0, 40.0])
    for name, image in one.images(shown, scan=scan, focal_spread=lens.focal_spread).images.items():
        assert np.abs(image - reference[name]).max() < 5e-3 * np.ptp(reference[name]), name
    with pytest.raises(InputError, match="focal spread"):
        one.images(shown, focal_spread=1.1 * spread)
    larger = MICROSCOPE.model_copy(update={"focal_spread": 1.1 * spread})
    sides = [RANGE.below(lens).window(lens, 12.0) for lens in (MICROSCOPE, larger)]
    assert sides[1] > sides[0]
    assert probe_window(larger, 12.0) > min(held.supercell) > probe_window(MICROSCOPE, 12.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        ({"range": Range(defocus=5000)}, InputError, r"range: probes up to"),
        ({"range": Range(convergence=50)}, InputError, r"smallest aperture of 50 mrad is larger than .* 22 mrad"),
        ({"thicknesses": [500.0]}, InputError, r"thicknesses 50 nm: expected between"),
        ({"edges": [90.0]}, InputError, r"edges \[90.0\] mrad: expected angles up to 60 mrad"),
        ({"memory": 1.2e8}, MemoryLimitError, r"the response needs .* GB, 0\.1 GB allowed: .* simulate every setting"),
        ({"detectors": [Pixelated()]}, InputError, r"patterns"),
        ({"potentials": []}, InputError, r"no potential"),
    ],
)
def test_impossible_responses_are_refused(thermal, make, error, message):
    potentials, detectors = make.pop("potentials", thermal), make.pop("detectors", DETECTORS)
    thicknesses = make.pop("thicknesses", None)
    with pytest.raises(error, match=message) as caught:
        response(potentials, MICROSCOPE, detectors, thicknesses, **make)
    assert "\n" not in str(caught.value)


def test_a_range_holds_every_setting_within_it():
    """The window of a range is never smaller than that of a probe inside."""
    rng = np.random.default_rng(0)
    for thickness in (0.0, 60.0, 150.0):
        window = RANGE.window(MICROSCOPE, thickness)
        for _ in range(60):
            lens = Microscope(**(MICROSCOPE.model_dump() | settings(rng)))
            assert probe_window(lens, thickness) <= window * (1 + 1e-6)


def test_saved_responses_are_the_same_and_checked(thermal, tmp_path):
    held = response(thermal, MICROSCOPE, DETECTORS[:2], range=RANGE, edges=[])
    path = tmp_path / "one.zarr"
    held.save(path)
    again = open_response(path)
    images, reference = again.images(defocus=25.0), held.images(defocus=25.0)
    for name, image in reference.images.items():
        assert np.array_equal(images[name], image)
    assert str(again) == str(held)
    assert images.record["phonon_error"] == reference.record["phonon_error"]
    with pytest.raises(InputError, match="exists"):
        held.save(path)
    held.save(tmp_path / "half.zarr", half=True)
    half = open_response(tmp_path / "half.zarr")
    assert 1e-5 < half.rounding < 5e-4 and "precision   half" in str(half)
    rounded = half.images(defocus=25.0)
    for name, image in reference.images.items():
        assert 0 < np.abs(rounded[name] - image).max() < 2e-3 * np.ptp(image), name
    about = path / "zarr.json"
    whole = about.read_text()
    about.write_text(whole.replace('"slope_rad_angstrom"', '"slope_rad"'))
    with pytest.raises(InputError, match="what it says of itself differs from what was written"):
        open_response(path)
    said = json.loads(whole)
    del said["attributes"]["attributes_checksum"]  # as before attributes had one
    about.write_text(json.dumps(said).replace('"slope_rad_angstrom"', '"slope_rad"').replace('"period"', '"cell"'))
    with pytest.raises(InputError, match=r"what it says of itself is damaged \(KeyError\); make it again"):
        open_response(path)
    about.write_text(whole)
    import zarr

    zarr.open_array(str(path / "rim"), mode="r+")[0, 0, :3] = 7.0
    with pytest.raises(InputError, match="rim differ from what was written"):
        open_response(path)
    zarr.open_group(str(path), mode="r+").attrs.update({"version": 99})
    with pytest.raises(InputError, match="version 99 of responses, this RhoTEM reads 2"):
        open_response(path)
    with pytest.raises(InputError, match="is no Zarr group"):
        open_response(tmp_path / "nothing.zarr")


def test_images_are_written_as_others(held, tmp_path):
    """Pictures, HyperSpy files and one Zarr group, without the position-averaged pattern that a response lacks."""
    from rhotem.microscope.outputs import write_images

    write_images(held.images(DETECTORS[:1], defocus=10.0), tmp_path)
    assert (tmp_path / "ADF.png").exists() and not (tmp_path / "PACBED.png").exists()


def test_a_series_of_nothing_is_refused():
    """It was a ValueError of numpy."""
    with pytest.raises(InputError, match="series of 0 defocus"):
        list(rows({"defocus": []}))


def test_what_does_not_fit_names_the_waves_where_these_are_smaller():
    """In a cell of 40 Å the scattering matrix of the bright field takes less than its parts, of the dark field more."""
    from rhotem.microscope.cost import Sizes
    from rhotem.scattering.response.channels import basis
    from rhotem.scattering.response.plan import plan_response

    sizes, lens = Sizes((40.0, 40.0), (900, 900), 20, 2.0, 6e7), Microscope(energy=200e3, convergence=22.0)
    bright = (Segmented(inner=6, outer=22), Annular(name="ABF", inner=11, outer=22))
    dark = Annular(name="ADF", inner=60, outer=150)
    for detectors, said in ((bright, True), ((*bright, dark), False)):
        with pytest.raises(MemoryLimitError) as caught:
            plan_response(sizes, lens, basis(list(detectors), []), Range().around(lens), memory=1e8)
        assert ("keep the waves of these angles" in str(caught.value)) == said


def test_a_thickness_that_is_no_number_is_refused(held):
    """It was the first thickness; and a focus of zero was called -0."""
    with pytest.raises(InputError, match=r"thickness nan nm: the response holds 1\.2 nm"):
        held.images(thickness=float("nan"))
    with pytest.raises(InputError, match=r"^defocus 0 nm at 5 mrad"):
        held.images(convergence=5.0)
