"""Pairs of patterns and potentials: V·Å by an independent sum over atoms, and the beam follows the potential."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import make, planned
from rhotem.library.dataset.pairs import held_pairs, take_pair
from rhotem.library.dataset.pictures import Pictures

CAMPAIGN = """
rhotem-campaign: 1
name: pairs
structures: [{names: [SrTiO3]}]
vary: {zone: [[1, 0, 0]]}
motion: {phonons: 2}
density: {source: free-atoms}
microscope: {detectors: ["PACBED=30"], convergence_mrad: 10}
thicknesses_nm: [0.8, 1.6]
"""
PLAN = """
rhotem-dataset: 1
name: pairs
recipe: pattern-potential
campaigns: campaign.yaml
pictures: {each: 4, pixels: 32, pixel_A: 0.15, camera_mrad: 2}
"""
#: V Å² in the Fourier coefficients of a potential for Å of a form factor: h²/2πme.
MOTT = 47.8780


def opened(folder, plan=PLAN, campaign=CAMPAIGN):
    """What pairs of the campaign's crystal are drawn from."""
    folder.mkdir(exist_ok=True)
    (folder / "campaign.yaml").write_text(campaign)
    (folder / "plan.yaml").write_text(plan)
    chosen = load_dataset_plan(folder / "plan.yaml")
    task: Task = planned(chosen)[0][1][0]
    return held_pairs(task, folder, chosen.pictures), chosen.pictures


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("averaged"))


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    campaign = CAMPAIGN.replace("PACBED=30", "4D=30").replace("convergence_mrad: 10", "convergence_mrad: 20")
    return opened(tmp_path_factory.mktemp("single"), campaign=campaign)


def test_the_potential_is_the_sum_of_its_atoms(averaged):
    """Perovskite seen along [100]: form factors of Lobato and Van Dyck, another table than potentials are made from."""
    from rhotem.potential.parametrizations import form_factor

    held, said = averaged
    pair = take_pair(held, said, "", np.random.default_rng(0))
    assert held.cell == pytest.approx((3.905,) * 3, rel=0.01)
    cells = round(pair.settings["thickness_nm"] * 10 / held.cell[2])
    f = form_factor("lobato")
    step, pixels = pair.settings["pixel_A"], said.pixels
    x = step * (np.arange(pixels) - pixels // 2)
    expected = np.zeros((pixels, pixels))
    for h in range(-15, 16):
        for k in range(-15, 16):
            g = np.array([h, k]) / np.array(held.cell[:2])
            length = float(np.hypot(*g))
            if length <= 0.5 / step:
                sr, ti, o = (f(z, np.array([length]))[0] for z in (38, 22, 8))
                amplitude = sr + (ti + o) * (-1) ** (h + k) + o * ((-1) ** h + (-1) ** k)
                waves = np.exp(2j * np.pi * (g[0] * x[None] + g[1] * x[:, None]))
                expected += (amplitude * waves).real
    expected *= MOTT * cells / (held.cell[0] * held.cell[1])
    error = np.abs(pair.potential - expected)
    assert error.max() < 0.02 * np.ptp(expected), (error.max(), np.ptp(expected))
    assert pair.potential.argmax() == pixels // 2 * pixels + pixels // 2, "the heavier column is in the middle"


def test_the_mean_of_the_potential_is_the_mean_inner_potential(averaged):
    """Over whole cells, V_0 times the thickness."""
    from rhotem.potential.parametrizations import mean_inner_potential

    held, said = averaged
    said = said.model_copy(update={"pixel_A": Pictures(pixel_A=held.cell[0] / 32).pixel_A})
    pair = take_pair(held, said, "", np.random.default_rng(0))
    volume = float(np.prod(held.cell))
    v0 = mean_inner_potential("pbe", np.array([38, 22, 8, 8, 8]), volume)
    assert pair.potential.mean() == pytest.approx(10 * v0 * pair.settings["thickness_nm"], rel=1e-5)


def test_a_single_probe_is_deflected_up_the_potential(single):
    """Centre of mass of the pattern along the gradient of the potential in the middle of the picture."""
    held, said = single
    steep = []
    for seed in range(40):
        pair = take_pair(held, said, "", np.random.default_rng(seed))
        assert pair.settings["image"] == "CBED"
        axis = np.arange(len(pair.clean)) - len(pair.clean) // 2
        found = [(pair.clean * a).sum() / pair.clean.sum() for a in (axis, axis[:, None])]
        n = said.pixels // 2
        around = slice(n - 1, n + 2)
        down, right = np.gradient(pair.potential[around, around].astype(float))
        steep.append([*found, right[1, 1], down[1, 1]])
    kx, ky, vx, vy = np.array(steep).T
    assert np.corrcoef(kx, vx)[0, 1] > 0.7 and np.corrcoef(ky, vy)[0, 1] > 0.7
    assert abs(np.corrcoef(kx, vy)[0, 1]) < 0.5 and abs(np.corrcoef(ky, vx)[0, 1]) < 0.5


def test_averaged_patterns_count_electrons_of_the_area(averaged):
    """Poisson about what is expected; all electrons of the area but those beside the camera."""
    held, said = averaged
    pairs = [take_pair(held, said, "", np.random.default_rng(seed)) for seed in range(30)]
    for pair in pairs:
        electrons = pair.settings["dose_e_per_A2"] * (32 * 0.15) ** 2
        assert 0.9 * electrons < pair.clean.sum() <= electrons * (1 + 1e-5)
    seen = [pair.clean > 5 for pair in pairs]
    pulls = [(p.counts - p.clean)[s] / np.sqrt(p.clean[s]) for p, s in zip(pairs, seen, strict=True)]
    pull = np.concatenate(pulls).astype(float)
    assert abs(pull.mean()) < 5 / np.sqrt(len(pull)) and abs(pull.var() - 1) < 5 * np.sqrt(2.5 / len(pull))


def test_a_mistilt_breaks_the_symmetry_of_a_pattern(tmp_path, averaged):
    """Without one the mean pattern of a perovskite has its fourfold axis."""
    held, said = averaged
    even = take_pair(held, said, "", np.random.default_rng(1)).clean
    assert np.abs(even - even[::-1, ::-1]).max() < 1e-4 * even.max()
    tilted, asked = opened(tmp_path / "tilted", PLAN.replace("pixels: 32", "pixels: 32, tilt_mrad: 4"))
    pair = take_pair(tilted, asked, "", np.random.default_rng(1))
    assert np.abs(pair.clean - pair.clean[::-1, ::-1]).max() > 0.02 * pair.clean.max()
    assert pair.settings["tilt_mrad"] == 4 and 0 <= pair.settings["tilt_direction_rad"] < 2 * np.pi


def test_a_set_of_pairs(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    (tmp_path / "plan.yaml").write_text(PLAN)
    outcome = make(load_dataset_plan(tmp_path / "plan.yaml"), tmp_path / "library", tmp_path / "made")
    arrays, said = outcome.dataset.shards()[0].read()
    assert arrays["counts"].shape == (4, 29, 29) and arrays["potential"].shape == (4, 32, 32)
    assert arrays["potential"].dtype == np.float32 and {one["right"] for one in said} == {"[00-1]"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("pixels: 32", "pixels: 32, rotation_deg: 3", ["plan.yaml, line 6", "rotation_deg", "means nothing"]),
        ("pixels: 32", "pixels: 32, defocus_nm: 3", ["pictures.defocus_nm", "do not depend on it"]),
        ("pixel_A: 0.15", "pixel_A: 0.01", ["0.05 Å or more"]),
        ("PACBED=30", "HAADF=50-90", ["PACBED=40"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(tmp_path, old, new, words):
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN.replace(old, new))
    (tmp_path / "plan.yaml").write_text(PLAN.replace(old, new))
    with pytest.raises(InputError) as error:
        make(load_dataset_plan(tmp_path / "plan.yaml"), tmp_path / "library", tmp_path / "made")
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value), str(error.value)
    assert not (tmp_path / "library").exists() and not (tmp_path / "made").exists()
