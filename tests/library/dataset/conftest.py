"""A data set of three small cells, made once."""

from pathlib import Path

import pytest

from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import make

CAMPAIGN = """
rhotem-campaign: 1
name: tiny
structures:
  - {names: [LiF, MnO]}
  - {builder: vacancy, crystals: [LiF], options: {element: F, amount: 1, repeat: "2,1,1"}}
vary: {keep_cell: [true], zone_basis: [input], zone: [[0, 0, 1]]}
motion: {phonons: 0}
density: {source: free-atoms}
microscope: {detectors: ["HAADF=50-90", "ABF=11-22", "DPC=6-22"], convergence_mrad: 20}
thicknesses_nm: [0.8]
kept: {edges_mrad: [], foci_nm: [0]}
"""
PLAN = """
rhotem-dataset: 1
name: tiny
recipe: columns
campaigns: campaign.yaml
pictures: {each: 6, pixels: 48}
split: {test: [Mn]}
"""


@pytest.fixture(scope="session")
def planned(tmp_path_factory) -> Path:
    """A plan on disk beside its campaign, with the library that holds its responses."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "campaign.yaml").write_text(CAMPAIGN)
    (folder / "plan.yaml").write_text(PLAN)
    return folder


@pytest.fixture(scope="session")
def made(planned):
    """The data set."""
    return make(load_dataset_plan(planned / "plan.yaml"), planned / "library", planned / "made").dataset
