"""Example plans of data sets can be read, and the large one is as large as it says."""

from pathlib import Path

import pytest

from rhotem.library.campaign.expand import tasks_of
from rhotem.library.campaign.load import load_campaign
from rhotem.library.dataset.load import load_dataset_plan

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "datasets"
PLANS = sorted(path for path in EXAMPLES.glob("*.yaml") if "rhotem-dataset:" in path.read_text())


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_plans_and_their_campaigns_can_be_read(path):
    plan = load_dataset_plan(path)
    assert plan.campaigns and all(load_campaign(campaign).structures for campaign in plan.campaigns)


@pytest.mark.slow
def test_the_large_one_has_20000_pictures_of_150_structures():
    plan = load_dataset_plan(EXAMPLES / "many.yaml")
    tasks = [task for campaign in plan.campaigns for task in tasks_of(load_campaign(campaign))]
    assert len({task.id for task in tasks}) == len(tasks)
    structures = {(task.plan["specimen"]["structure"], str(task.recipe)) for task in tasks}
    assert len(structures) >= 150 and plan.pictures.each * len(tasks) >= 20_000
