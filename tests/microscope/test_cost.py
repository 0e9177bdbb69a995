"""What the cost model counts is what is done: waves, slices that act, points of potentials."""

import pytest

from rhotem.analysis import run
from rhotem.microscope import bloch, cost
from rhotem.microscope.transforms import fast_grid

CONSTANTS = ("POINT", "ENDS", "MAKE", "TABLES", "PRODUCT", "INTENSITY", "GROUP", "BEGIN")


@pytest.fixture
def counted(monkeypatch):
    """Counts of an image, by constant the same as its plan says, and slices that acted on every wave."""
    done = {"ENDS": 0, "MAKE": 0, "acted": 0}
    transmission, passes = bloch.transmission, bloch._Worker.passes

    def made(slices, *rest, **options):
        done["MAKE"] += slices.size
        return transmission(slices, *rest, **options)

    def sent(self, vectors, slices, *rest):
        done["ENDS"] += len(vectors) * self.waves[0].size
        done["acted"] += len(vectors) * sum(one is not None for one in slices)
        return passes(self, vectors, slices, *rest)

    monkeypatch.setattr(bloch, "transmission", made)
    monkeypatch.setattr(bloch._Worker, "passes", sent)
    monkeypatch.setattr(cost, "pace", lambda: 1.0)
    preset = run.adjusted_preset("layered-oxide", detectors=["ABF=11-22"])
    cut = run.specimen(run.structure("LiFePO4"), (0, 1, 0), preset=preset, thickness=0.6, at_rest=False)
    said = {}

    def plan_of(plan):
        said["plan"] = plan

    run.image(cut, run.potential(cut, run.density(cut, "free-atoms"), phonons=8), announce=plan_of)
    return cut, said["plan"], done


@pytest.mark.slow
def test_plans_count_what_is_done(counted, monkeypatch):
    """Olivine: 8 of 20 slices hold atoms. Areas of discs stand for beams; one share takes one more potential."""
    cut, plan, done = counted
    points = fast_grid(cut.grid.shape[:2])
    assert done["acted"] * points[0] * points[1] == done["ENDS"] * cut.planes
    held = 4.0 * cut.grid.size * cut.oversampling**2
    sizes = cost.Sizes(
        tuple(cut.block.lengths[:2]),
        cut.grid.shape[:2],
        cut.grid.shape[2],
        cut.grid.spacing[2],
        held,
        False,
        cut.planes,
    )
    model = cost.Cost(sizes, cut.preset.microscope, cut.preset.detectors, plan.probes, plan.tiling, 14.0)
    for name in ("ENDS", "MAKE"):
        for other in CONSTANTS:
            monkeypatch.setattr(cost, other, float(other == name))
        assert model.bloch(8).seconds == pytest.approx(done[name], rel=0.15), name
