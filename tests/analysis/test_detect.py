"""Detectability: of a bump on a bright field, of deflections, of features that are there and that are not."""

import json

import ase.build
import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.analysis import run
from rhotem.analysis.detect.features import make_pair, parse_feature
from rhotem.analysis.detect.noise import Channels, channels_of, transfer
from rhotem.analysis.detect.observer import seen
from rhotem.analysis.detect.simulated import wide_host
from rhotem.cli import main
from rhotem.core import InputError
from rhotem.microscope.detectors import Annular, CenterOfMass, Segmented
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.structure.model import Structure

SCAN = Scan((24, 20), (6.0, 5.0))
MICROSCOPE = Microscope(energy=200e3, convergence=20.0)


def waves(rng: np.random.Generator, amplitude: float) -> np.ndarray:
    """A smooth periodic field without a mean."""
    x, y = np.meshgrid(*(2 * np.pi * np.arange(n) / n for n in SCAN.shape), indexing="ij")
    phases = rng.uniform(0, 2 * np.pi, 6)
    orders = [(1, 0), (0, 1), (1, 1), (2, 1), (1, -2), (3, 0)]
    field = sum(np.cos(a * x + b * y + p) for (a, b), p in zip(orders, phases, strict=True))
    return amplitude * np.asarray(field)


def test_counts_of_one_detector_are_poisson():
    """d′² of N electrons a pixel is N Σ s²/p where the intensity p hardly changes (the classical result)."""
    rng = np.random.default_rng(0)
    intensity, change = 0.4 + waves(rng, 0.03), waves(rng, 1e-4)
    detector = Annular(name="ABF", inner=11, outer=22)
    names = tuple(c.name for c in detector.channels())
    before = Channels(names, intensity[None], intensity[None, None])
    after = Channels(names, (intensity + change)[None], (intensity + change)[None, None])
    found = seen(after, before, transfer(detector, names, SCAN, MICROSCOPE)["ABF"])
    assert found.index == pytest.approx((change**2 / intensity).sum(), rel=1e-3)
    assert found.detectability(1e4) == pytest.approx(1e2 * np.sqrt(found.index))
    assert found.contrast_to_noise(1.0) == pytest.approx((np.abs(change) / np.sqrt(intensity)).max(), rel=1e-3)


def quarters(rng: np.random.Generator, detector: Segmented, phase: np.ndarray) -> Channels:
    """Four evenly lit segments whose difference is the gradient of a phase."""
    names = tuple(c.name for c in detector.channels())
    gx, gy = (np.roll(phase, -1, axis) - np.roll(phase, 1, axis) for axis in (0, 1))
    mean = 0.2 + np.stack([gx, gy, -gx, -gy])
    noise = np.zeros((4, 4, *SCAN.shape))
    for i in range(4):
        noise[i, i] = 0.2
    return Channels(names, mean, noise)


def test_an_integrated_phase_tells_what_its_gradients_tell():
    """Integration only drops the part of the noise that is no gradient, so iDPC and dDPC see alike, and both
    components together as well: their d′² add up to it where the signal is a gradient and the noise white.
    """
    rng = np.random.default_rng(1)
    detector = Segmented(inner=11, outer=22)
    flat, bump = np.zeros(SCAN.shape), waves(rng, 1e-3)
    before, after = quarters(rng, detector, flat), quarters(rng, detector, bump)
    found = {
        name: seen(after, before, factors).index
        for name, factors in transfer(detector, before.names, SCAN, MICROSCOPE).items()
    }
    assert found["dDPC"] == pytest.approx(found["iDPC"], rel=1e-4)
    assert found["DPCx"] + found["DPCy"] == pytest.approx(found["iDPC"], rel=0.05)


def test_the_filter_separates_noisy_images_as_predicted():
    """Poisson electrons in four segments, images made by the detector itself, 2,000 of each kind."""
    rng, counted = np.random.default_rng(2), 60.0
    detector = Segmented(inner=11, outer=22)
    before, after = quarters(rng, detector, np.zeros(SCAN.shape)), quarters(rng, detector, waves(rng, 3e-3))
    factors = transfer(detector, before.names, SCAN, MICROSCOPE)["iDPC"]
    found = seen(after, before, factors)
    scores = []
    for kind in (before, after):
        drawn = rng.poisson(counted * kind.mean, (2000, *kind.mean.shape)) / counted
        images = [detector.images(dict(zip(before.names, one, strict=True)), SCAN, MICROSCOPE)["iDPC"] for one in drawn]
        scores.append((np.stack(images) * found.template).sum(axis=(1, 2)))
    measured = (scores[1].mean() - scores[0].mean()) / np.sqrt(0.5 * (scores[0].var() + scores[1].var()))
    assert 1.5 < measured < 6
    assert found.detectability(counted) == pytest.approx(measured, rel=0.06)


def test_deflections_scatter_as_electrons_do():
    """Centre of mass of electrons drawn beam by beam, against the covariance from the recorder's moments."""
    rng = np.random.default_rng(4)
    detector = CenterOfMass(outer=30)
    recorder = Recorder([detector], 1, MICROSCOPE.wavelength, (12.0, 12.0), counted=True)
    beams = np.array([(h, k) for h in range(-9, 10) for k in range(-9, 10) if h * h + k * k < 80])
    intensity = rng.uniform(0.2, 1.0, len(beams))
    intensity *= 0.8 / intensity.sum()
    columns = (intensity @ recorder.weights(beams))[:, None, None]
    found = channels_of(detector, recorder, columns)
    electrons = 500
    drawn = rng.poisson(electrons * intensity, (40_000, len(beams)))
    angles = 1e3 * MICROSCOPE.wavelength * beams / 12.0
    seen_angles = drawn @ angles / drawn.sum(axis=1, keepdims=True)
    x, y = (found.names.index(name) for name in ("CoMx", "CoMy"))
    np.testing.assert_allclose(found.mean[[x, y], 0, 0], intensity @ angles / intensity.sum(), atol=1e-6)
    expected = found.covariance[np.ix_([x, y], [x, y])][..., 0, 0] / electrons
    np.testing.assert_allclose(np.cov(seen_angles.T), expected, atol=0.03 * expected[0, 0])


def test_nothing_changes_nothing_is_seen():
    rng = np.random.default_rng(3)
    detector = Segmented(inner=11, outer=22)
    same = quarters(rng, detector, np.zeros(SCAN.shape))
    factors = transfer(detector, same.names, SCAN, MICROSCOPE)["iDPC"]
    assert seen(same, same, factors).detectability(1e6) == 0.0


@pytest.fixture(scope="module")
def host():
    crystal = Structure(ase.build.bulk("LiF", "rocksalt", 4.03, cubic=True))
    return wide_host(run.specimen(crystal, zone=(0, 0, 1), thickness=1.6))


def test_features_change_what_they_say(host):
    """Counts of atoms, the column they are in, and everything else where it was."""
    numbers = host.cell.structure.numbers
    assert min(host.cell.lengths[:2]) >= 12.0
    vacancy = make_pair(host, parse_feature("vacancy:Li:50%"))
    gone = np.setdiff1d(np.arange(len(numbers)), vacancy.kept)
    assert vacancy.atoms == len(gone) == 2 and set(numbers[gone]) == {3}
    places = host.cell.structure.positions[gone]
    np.testing.assert_allclose(places[:, :2], np.tile(places[0, :2], (2, 1)), atol=1e-6)
    left = vacancy.after.cell.structure
    np.testing.assert_allclose(left.positions, vacancy.before.cell.structure.positions[vacancy.kept], atol=1e-9)
    assert vacancy.after.grid.shape == vacancy.before.grid.shape

    swapped = make_pair(host, parse_feature("antisite:Li/F")).after.cell.structure
    assert np.bincount(swapped.numbers).tolist() == np.bincount(numbers).tolist()
    assert (swapped.numbers != numbers).sum() == 2
    doped = make_pair(host, parse_feature("dopant:Li=Na:3")).after.cell.structure
    assert (doped.numbers == 11).sum() == 3 and len(doped) == len(numbers)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("vacancy", "takes 1 element"),
        ("vacancy:Xx", "no element"),
        ("vacancy:Li:0", "whole number"),
        ("vacancy:Li:1.5", "whole number"),
        ("vacancy:Li:120%", "share"),
        ("antisite:Li", "takes 2 elements"),
        ("dopant:F=F", "changes nothing"),
        ("hole:Li", "expected one of"),
        ("molecule:C:2", "one molecule, or all of a column"),
    ],
)
def test_features_that_are_none(written: str, words: str):
    with pytest.raises(InputError, match=words) as caught:
        parse_feature(written)
    assert "\n" not in str(caught.value)


def test_features_that_the_cell_does_not_have(host):
    with pytest.raises(InputError, match="no column holds Ni"):
        make_pair(host, parse_feature("vacancy:Ni"))
    with pytest.raises(InputError, match="column has 4 at this thickness"):
        make_pair(host, parse_feature("vacancy:Li:9"))


def test_a_molecule_goes_as_a_whole(host):
    """Water beside an empty column of lithium: its three atoms go, also across the border of the cell, no ion does."""
    atoms = host.cell.structure.atoms.copy()
    del atoms[[a.index for a in atoms if a.symbol == "Li" and np.hypot(*(a.position - atoms[0].position)[:2]) < 0.1]]
    place = np.array([0.0, 0.0, 0.1]) + atoms.cell.sum(axis=0) * [0.5, 0.5, 0]
    water = ase.build.molecule("H2O")
    near = [a.index for a in atoms if np.linalg.norm((a.position - place)[:2]) < 3.2]
    del atoms[near]
    water.positions += place - water.positions[0]
    filled = Structure(atoms + water)
    cut = run.specimen(filled, (0, 0, 1), basis="input", keep_cell=True)
    pair = make_pair(wide_host(cut), parse_feature("molecule:O"))
    before, after = (s.cell.structure.numbers for s in (pair.before, pair.after))
    assert pair.atoms == 3 and np.bincount(before, minlength=10)[[1, 8]].tolist() == [2, 1]
    assert np.bincount(after, minlength=10)[[3, 9]].tolist() == np.bincount(before, minlength=10)[[3, 9]].tolist()
    assert len(after) == len(before) - 3
    with pytest.raises(InputError, match="with the whole crystal"):
        make_pair(host, parse_feature("molecule:Li"))


def test_atoms_give_way_to_the_change_alone(host):
    """What relaxing does to the crystal without the change, here 0.3 Å along x, is left out."""

    def relaxed(structure):
        atoms = structure.atoms.copy()
        atoms.positions[:, 0] += 0.3
        if len(atoms) < len(host.cell.structure):
            atoms.positions[2] += [0.0, 0.1, 0.2]
        return Structure(atoms)

    feature = parse_feature("vacancy:Li")
    stiff, pair = make_pair(host, feature), make_pair(host, feature, relaxed)
    moved = pair.after.cell.structure.positions - stiff.after.cell.structure.positions
    expected = np.zeros_like(moved)
    expected[2] = [0.0, 0.1, 0.2]
    np.testing.assert_allclose(moved, expected, atol=1e-9)
    before = (s.before.cell.structure.positions for s in (stiff, pair))
    np.testing.assert_array_equal(*before)
    assert stiff.moved is None and pair.moved == pytest.approx(np.hypot(0.1, 0.2))


@pytest.mark.slow
def test_a_relaxed_vacancy_is_at_rest(host):
    """Fluorine about a missing lithium moves away; forces are gone (those of the perfect crystal are 0 by symmetry)."""
    from rhotem.battery.potentials import potential_calculator
    from rhotem.battery.relax import Settings, relax

    feature = parse_feature("vacancy:Li")
    stiff = make_pair(host, feature)
    pair = make_pair(host, feature, lambda structure: relax(structure, Settings(fmax=0.03))[0])
    gone = np.setdiff1d(np.arange(len(host.cell.structure)), pair.kept)[0]
    forces = []
    for one in (stiff, pair):
        atoms = one.after.cell.structure.atoms.copy()
        atoms.pbc, atoms.calc = True, potential_calculator()
        forces.append(np.linalg.norm(atoms.get_forces(), axis=1).max())
    assert forces[1] < 0.04 < 0.5 < forces[0]
    away = []
    for one in (stiff, pair):
        vectors = one.after.cell.structure.positions - host.cell.structure.positions[gone]
        vectors -= np.rint(vectors / host.cell.lengths) * host.cell.lengths
        away.append(np.sort(np.linalg.norm(vectors, axis=1))[:6].mean())
    assert 0.05 < away[1] - away[0] < 0.4 and pair.moved < 0.5


def test_the_headline_names_specimen_change_and_dose():
    from rhotem.analysis.detect.report import _headline
    from rhotem.analysis.detect.sweep import Detectability

    made = Detectability(parse_feature("vacancy:Li"), [], 1e4, 1.0, {}, None, {"specimen": "LiNiO2 along [100]"})
    first, second = _headline(made).split("\n")
    assert first.startswith("LiNiO2 along [100]: ") and "Li missing" in first
    assert second.startswith("1e+04 e/Å²") and "seen from 5 on" in second


@pytest.mark.slow
def test_the_command_answers_and_its_record_is_no_run(tmp_path):
    """Twice the dose, √2 the d′, at the same dose for d′ = 5; the record says how to ask again."""
    common = ["plan", "LiF", "--feature", "dopant:Li=Na", "--source", "free-atoms", "--thicknesses", "0.8"]
    common += ["--phonons", "0", "--foci", "0,0,1", "--detector", "HAADF=60-120", "--quiet"]
    best = []
    for number, dose in enumerate((1e4, 2e4)):
        done = CliRunner().invoke(main.app, [*common, "--dose", str(dose), "--out", str(tmp_path / str(number))])
        assert done.exit_code == 0, done.stderr
        best.append(json.loads((tmp_path / str(number) / "record.json").read_text())["detectability"]["best"])
    assert best[1]["detectability"] == pytest.approx(np.sqrt(2) * best[0]["detectability"], rel=1e-6)
    assert best[1]["enough"] == pytest.approx(best[0]["enough"], rel=1e-6)
    assert best[0]["change"] > 0
    again = CliRunner().invoke(main.app, ["image", str(tmp_path / "0" / "record.json")])
    assert again.exit_code == 2 and "without a plan; repeat" in again.stderr


@pytest.mark.slow
def test_a_sheet_has_its_own_thickness(tmp_path):
    """A boron atom missing in one layer of hBN: no thickness is asked for, and ABF needs far more than a phase."""
    import rhotem
    from rhotem.analysis.detect.plan import detectability
    from rhotem.structure.edits.sheets import sheets
    from rhotem.structure.phases import phase
    from rhotem.structure.write import write_structure

    write_structure(sheets(phase("hBN"), 1, 8.0), tmp_path / "layer.cif")
    optics = {"energy_keV": 80.0, "convergence_mrad": 30.0, "detectors": ["ABF=15-30", "CoM=40"]}
    specimen = {"structure": str(tmp_path / "layer.cif"), "zone": (0, 0, 1)}
    plan = rhotem.Plan(specimen=specimen, density={"source": "free-atoms"}, microscope=optics)
    found = detectability(plan, parse_feature("vacancy:B"), dose=1e4, defocus=[0.0])
    assert found.best("iCoM").enough < 0.01 * found.best("ABF").enough
    assert found.thicknesses == pytest.approx([0.2])  # as thick as its atoms, without the vacuum
    with pytest.raises(InputError, match="one slab"):
        detectability(plan, parse_feature("vacancy:B"), dose=1e4, defocus=[0.0], thicknesses=[5.0])


@pytest.mark.parametrize("detectors", [["Li-K"], ["HAADF=60-200", "O-K"]])
def test_core_losses_are_refused_before_anything_is_read(tmp_path, detectors):
    """A plan of them was refused only after the density had been computed."""
    said = [part for one in detectors for part in ("--detector", one)]
    arguments = ["plan", "LiCoO2", "--feature", "vacancy:Li", "--zone", "1,0,0", *said, "--out", str(tmp_path / "plan")]
    result = CliRunner().invoke(main.app, arguments)
    assert result.exit_code == 2 and result.stdout == ""
    assert "a response holds no core losses" in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "plan").exists()


def test_kept_atoms_are_displaced_as_before_the_change():
    """Rows of what is left, with the ⟨u²⟩ that they had; `AlikePotentials` would draw an atom's own."""
    from rhotem.analysis.alike import ChangedPotentials

    cut = run.specimen(run.structure("LiF"), zone=(0, 0, 1), thickness=1)
    pair = make_pair(wide_host(cut), parse_feature("dopant:Li=Na"))
    before = run.potential(pair.before, run.density(pair.before, "free-atoms"), phonons=2, seed=5)
    after = ChangedPotentials(before, pair.after, pair.kept, run.density(pair.after, "free-atoms"), None)
    assert len(after) == 2
    for one, other in zip(before.displacements(), after.displacements(), strict=True):
        assert np.array_equal(one[pair.kept], other)
