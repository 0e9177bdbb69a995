"""Molecules in pores: masks lie where atoms of the molecule project, and where a molecule changes the picture."""

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import cut
from rhotem.library.campaign.compute import prepared
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.draw import scene_of
from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import make
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.recipes import recipes
from rhotem.library.dataset.recorded import take
from rhotem.library.store import Library

HOST = """a box with a wide pore
1.0
7.5 0 0
0 8.5 0
0 0 7.0
Si
1
Direct
0.02 0.03 0.1
"""
CAMPAIGN = """
rhotem-campaign: 1
name: pores
structures:
  - {names: [host.vasp]}
  - {builder: guest, crystals: [host.vasp], options: {molecule: H2O}}
vary: {keep_cell: [true], zone_basis: [input], zone: [[0, 0, 1]]}
motion: {phonons: 0}
density: {source: free-atoms}
microscope: {energy_keV: 300, detectors: ["DPC=4-22"], convergence_mrad: 18}
thicknesses_nm: [0.7]
kept: {edges_mrad: [], foci_nm: [0]}
"""
PLAN = """
rhotem-dataset: 1
name: pores
recipe: molecules
campaigns: campaign.yaml
pictures: {each: 4, pixels: 48, images: iDPC, dose_e_per_A2: 500}
"""


@pytest.fixture(scope="module")
def pores(tmp_path_factory):
    """A data set of an empty and a filled pore; tasks by whether there is a molecule, and the library."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("pores")
    (folder / "campaign.yaml").write_text(CAMPAIGN)
    (folder / "plan.yaml").write_text(PLAN)
    (folder / "host.vasp").write_text(HOST)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # structures of a campaign are named as seen from here
        outcome = make(load_dataset_plan(folder / "plan.yaml"), folder / "library", folder / "made")
    assert not outcome.lacking
    with Library.open(folder / "library") as library:
        tasks = [Task.from_json(library.described(e.id)["task"]) for e in library.entries()]
        held = {task.recipe is not None: (task, library.response(task.id)) for task in tasks}
    return outcome.dataset, held


def test_the_mask_is_where_atoms_of_the_molecule_project(pores):
    """Every pixel by its place on the specimen, and the atoms of the imaging cell with the role of a guest."""
    task, held = pores[1][True]
    job, built = prepared(task, Voice())
    cell = cut(job.plan, job.crystal, [job.name]).cell
    guest = np.array(built["atoms"]["role"])[cell.atom_index] == "molecule"
    atoms, sides = cell.structure.positions[guest, :2], cell.lengths[:2]
    assert sorted(cell.structure.numbers[guest]) == [1, 1, 8]
    said = Pictures(pixels=64, pixel_A=0.25, jitter_pm=0.0, drift_pm_per_s=100.0, skew_mrad=10.0)
    picture = take(held, said, "iDPC", np.random.default_rng(2))
    arrays, _ = recipes()["molecules"].label(picture, scene_of(task))
    places = picture.frame.positions.transpose(2, 1, 0)  # rows, columns, x and y
    apart = places[:, :, None] - atoms
    apart -= np.rint(apart / sides) * sides
    near = np.linalg.norm(apart, axis=-1).min(axis=-1)
    clear = np.abs(near - 1.0) > 0.02  # discs are round in the picture, whose axes are 10 mrad off 90°
    assert np.array_equal(arrays["molecule"][clear] == 255, near[clear] <= 1.0)
    assert 0.02 < (near <= 1.0).mean() < 0.5
    facts = recipes()["molecules"].facts(picture, scene_of(task))
    centre = np.mean([atoms[0] + (a - atoms[0] - np.rint((a - atoms[0]) / sides) * sides) for a in atoms], axis=0)
    assert facts["molecules"] == len(facts["centres_px"]) >= 1
    for x, y in facts["centres_px"]:
        assert arrays["centre"][round(y), round(x)] > 240
        off = places[round(y), round(x)] - centre
        assert np.linalg.norm(off - np.rint(off / sides) * sides) < 0.25


def test_a_molecule_changes_the_picture_where_its_mask_is(pores):
    """The same scan of the pore with and without it: the phase that the molecule adds."""
    (task, filled), (_, empty) = pores[1][True], pores[1][False]
    said = Pictures(pixels=64, pixel_A=0.25, jitter_pm=0.0, drift_pm_per_s=0.0, skew_mrad=0.0, defocus_nm=0.3)
    pictures = [take(one, said, "iDPC", np.random.default_rng(5)) for one in (filled, empty)]
    assert pictures[0].settings == pictures[1].settings
    added = pictures[0].clean.astype(float) - pictures[1].clean
    arrays, _ = recipes()["molecules"].label(pictures[0], scene_of(task))
    inside = arrays["molecule"] == 255
    assert added[inside].mean() > 3 * np.abs(added[~inside]).mean()
    facts = recipes()["molecules"].facts(pictures[0], scene_of(task))
    x, y = next(c for c in facts["centres_px"] if min(c) > 9 and max(c) < 54)
    box = added[round(y) - 8 : round(y) + 9, round(x) - 8 : round(x) + 9]
    heavy = np.array(center_of_mass(np.clip(box, 0, None) ** 2)) - 8  # oxygen lies beside the mean of three atoms
    assert np.linalg.norm(heavy) * 0.25 < 0.6


def test_an_empty_pore_has_no_molecule(pores):
    from pyarrow import parquet

    dataset, _ = pores
    for shard in dataset.shards():
        arrays, said = shard.read()
        filled = "guest" in shard.about["defect"]
        assert arrays["molecule"].any() == filled and arrays["centre"].any() == filled
        assert all((one["molecules"] > 0) == (len(one["centres_px"]) > 0) for one in said)
        assert filled or not any(one["molecules"] for one in said)
        assert not np.array_equal(arrays["image"], arrays["clean"])
    rows = parquet.read_table(dataset.folder / "manifest.parquet").to_pylist()
    assert {row["molecules"] > 0 for row in rows} == {True, False}
