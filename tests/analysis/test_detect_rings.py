"""Rings, all parts at once, and the density's own error, of a smooth charge on the bonds of LiF."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import ase.build
import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.analysis.detect.features import parse_feature
from rhotem.analysis.detect.noise import transfer
from rhotem.analysis.detect.observer import seen
from rhotem.analysis.detect.report import advice, table
from rhotem.analysis.detect.rings import all_parts, best_ring, ring_edges
from rhotem.analysis.detect.simulated import Simulated, simulate_feature
from rhotem.analysis.detect.sweep import sweep
from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import DensityField
from rhotem.microscope.detectors import Annular
from rhotem.structure.model import Structure

EDGES = [8.0, 16.0, 24.0, 32.0, 40.0, 60.0]
DENSITY = parse_feature("density")


@dataclass
class Waves:
    """Δn = a wave along the cube edges, 0.05 e/Å³; members have it times ``factors``."""

    factors: tuple[float, ...] = (0.9, 1.1)
    spacing: float = 0.3

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        n = np.meshgrid(*(np.arange(k) / k for k in grid.shape), indexing="ij")
        values = 0.05 * sum(np.cos(2 * np.pi * x) for x in n)
        return DensityField("deformation", structure, grid, values, reference=free_atoms.load().identifier)

    @property
    def member_count(self) -> int:
        return len(self.factors)

    def members(self, structure: Structure, grid: PeriodicGrid) -> Iterator[DensityField]:
        field = self(structure, grid)
        yield from (replace(field, values=factor * field.values) for factor in self.factors)


def simulated(factors: tuple[float, ...] = (0.9, 1.1)) -> Simulated:
    preset = run.adjusted_preset("layered-oxide", detectors=("ABF=8-24", "DPC=8-24", "DF=40-60"))
    crystal = Structure(ase.build.bulk("LiF", "rocksalt", 4.03, cubic=True))
    cut = run.specimen(crystal, zone=(0, 0, 1), thickness=0.8, preset=preset, sampling=0.1)
    source = Waves(factors)
    return simulate_feature(cut, DENSITY, source=source, edges=EDGES, members=source, phonons=0)  # type: ignore[arg-type]  # a source itself


@pytest.fixture(scope="module")
def made() -> Simulated:
    return simulated()


def index_of(made: Simulated, detector: object, image: str) -> float:
    after, before, scan, microscope = made.channels(detector)  # type: ignore[arg-type]
    return seen(after, before, transfer(detector, before.names, scan, microscope)[image]).index  # type: ignore[arg-type]


def test_the_best_ring_is_what_the_observer_says_of_that_detector_and_no_named_one_beats_it(made: Simulated) -> None:
    best = best_ring(made, EDGES, made.before.thicknesses[-1])
    inner, outer = best.angles
    assert best.seen.index == pytest.approx(
        index_of(made, Annular(name="own", inner=inner, outer=outer), "own"), rel=1e-4
    )
    for inner, outer in ((8, 24), (40, 60), (0, 8), (16, 40), (24, 60)):
        other = index_of(made, Annular(name="other", inner=inner, outer=outer), "other")
        assert other <= best.seen.index * (1 + 1e-4)


def test_parts_that_are_not_added_up_tell_at_least_as_much_as_any_image_made_of_them(made: Simulated) -> None:
    """The data-processing inequality, of a ring and of an integrated phase from quarters of 8 to 24 mrad."""
    whole = all_parts(made, made.before.thicknesses[-1]).seen.index
    assert whole >= best_ring(made, EDGES, made.before.thicknesses[-1]).seen.index
    assert whole >= index_of(made, made.before.detectors[1], "iDPC")


@pytest.mark.parametrize(("factors", "margin"), [((0.9, 1.1), 7.07), ((0.0, 2.0), 0.707)])
def test_a_feature_is_held_against_the_error_of_the_density(factors: tuple[float, ...], margin: float) -> None:
    """Members that have 1 ± x of the bonds: images of a weak density are linear in it, so the margin is 1/(√2 x)."""
    result = sweep(simulated(factors), DENSITY, dose=1e4, defocus=[0.0], edges=EDGES)
    for row in result.rows:
        assert row.margin == pytest.approx(margin, rel=0.1), row.image
    assert ("below the density's own error bar" in advice(result)) == (margin < 1.645)
    assert "ring" in table(result) and "4D" in table(result)
    assert result.best().image != "4D"  # a bound, no image


def test_edges_of_rings() -> None:
    assert ring_edges(10.0, 20.0, 130.0) == [10, 20, 30, 40, 80, 120]
    for step in (0.0, -1.0, 80.0):
        with pytest.raises(InputError, match="--rings") as caught:
            ring_edges(step, 20.0, 130.0)
        assert "\n" not in str(caught.value)
