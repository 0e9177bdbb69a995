"""Columns of simulated images: places, intensities and strain within their errors, against atomap, counted."""

from typing import Any

import numpy as np
import pytest

from rhotem.analysis.run import structure
from rhotem.core import InputError
from rhotem.experiment.calibrate.lattice import ImageLattice, find_lattice
from rhotem.experiment.calibrate.projection import project
from rhotem.experiment.columns.count import count_atoms
from rhotem.experiment.columns.gaussians import FittedColumns, fit_columns
from rhotem.experiment.columns.layers import layers
from rhotem.experiment.columns.strain import strain
from rhotem.experiment.measurement import Measurement

from .scans import Scan, measured, scanned

NOISE = 0.05


@pytest.fixture(scope="module")
def fitted() -> tuple[Measurement, ImageLattice, FittedColumns]:
    crystal = structure("SrTiO3")
    rng = np.random.default_rng(3)
    image = scanned(project(crystal, (0, 0, 1)), Scan(0.17, 12.0), (190, 190), rng)
    measurement = measured(image + rng.normal(size=image.shape) * NOISE, 0.17)
    lattice = find_lattice(measurement, crystal, (0, 0, 1))
    return measurement, lattice, fit_columns(measurement, lattice)


def test_places_and_heights_within_their_errors(fitted: tuple[Measurement, ImageLattice, FittedColumns]):
    _, lattice, columns = fitted
    assert columns.fitted.all() and set(columns.labels) == {"Sr", "Ti/O"}
    for label, height in (("Sr", 1.0), ("Ti/O", 0.466)):
        chosen = np.array(columns.labels) == label
        z = (columns.places - columns.expected)[chosen] / columns.place_errors[chosen]
        assert 0.8 < np.sqrt((z**2).mean()) < 1.25
        # the tails of the faint oxygen are part of the surroundings
        assert columns.heights[chosen].mean() == pytest.approx(height, rel=0.04)
        assert columns.widths[chosen].mean() * lattice.pixel.value == pytest.approx(0.45, rel=0.05)
        scatter = columns.volumes[chosen].std() / columns.volume_errors[chosen].mean()
        assert 0.6 < scatter < 1.25


def test_no_strain_is_none_within_errors(fitted: tuple[Measurement, ImageLattice, FittedColumns]):
    found = strain(fitted[2])
    inside = np.isfinite(found.xx)
    assert inside.mean() > 0.9
    for values, error in ((found.xx, 0), (found.yy, 1), (found.xy, 2)):
        z = values[inside] / found.errors[inside, error]
        assert 0.7 < np.sqrt((z**2).mean()) < 1.4


def test_a_strained_half_is_found():
    """The lower half is stretched along y by 2 %."""
    crystal = structure("SrTiO3")
    projection = project(crystal, (0, 0, 1))
    size, middle = 220, 110
    y, x = np.indices((size, size))
    stretched = np.where(y < middle, y, middle + (y - middle) / 1.02)
    image = np.zeros((size, size))
    for position, weight in zip(projection.positions, projection.weights, strict=True):
        places = np.stack([x, stretched], axis=-1) * 0.2 @ np.linalg.inv(projection.vectors) - position
        part = (places + 0.5) % 1 - 0.5
        image += weight * np.exp(-((part @ projection.vectors) ** 2).sum(axis=-1) / (2 * 0.45**2))
    measurement = measured(image, 0.2)
    columns = fit_columns(measurement, find_lattice(measurement, crystal, (0, 0, 1)))
    found = strain(columns)
    sr = np.array(columns.labels) == "Sr"
    upper, lower = columns.places[:, 1] < middle - 30, columns.places[:, 1] > middle + 30
    step = np.nanmean(found.yy[sr & lower]) - np.nanmean(found.yy[sr & upper])
    assert step == pytest.approx(0.02, abs=0.001)
    assert abs(np.nanmean(found.xx[sr & lower]) - np.nanmean(found.xx[sr & upper])) < 0.001
    rows = [row for row in layers(columns, found.displacements[:, 1], along="y") if row.label == "Sr"]
    assert len(rows) > 6 and max(row.spread for row in rows) < 0.02


@pytest.mark.slow
def test_gaussians_agree_with_those_of_atomap(fitted: tuple[Measurement, ImageLattice, FittedColumns]):
    atomap = pytest.importorskip("atomap.api")
    measurement, _, columns = fitted
    sr = np.flatnonzero(np.array(columns.labels) == "Sr")[:12]
    lattice = atomap.Sublattice(columns.expected, image=np.asarray(measurement.data))
    lattice.find_nearest_neighbors()
    for i in sr:
        atom = lattice.atom_list[i]
        atom.refine_position_using_2d_gaussian(lattice.image, percent_to_nn=0.4)
        apart = np.hypot(atom.pixel_x - columns.places[i, 0], atom.pixel_y - columns.places[i, 1])
        assert apart < 4 * columns.place_errors[i].max()


def test_layers_have_the_error_of_their_mean(fitted: tuple[Measurement, ImageLattice, FittedColumns]):
    columns = fitted[2]
    for row in layers(columns, columns.heights, along="x"):
        truth = {"Sr": 1.0, "Ti/O": 0.466}[row.label]
        assert abs(row.mean - truth) < 5 * row.error + 0.04 * truth
    with pytest.raises(InputError, match="values for"):
        layers(columns, columns.heights[1:])


def test_arrows_point_where_columns_moved_in_the_image(fitted, tmp_path, monkeypatch):
    """The scan is turned: arrows along the crystal's axes pointed elsewhere in the picture."""
    from rhotem.experiment.columns import output

    measurement, lattice, columns = fitted
    assert abs(lattice.rotation.value) > 5
    made: list[Any] = []
    real = output.new_figure
    monkeypatch.setattr(output, "new_figure", lambda *given, **more: made.append(real(*given, **more)) or made[-1])
    output.draw_columns(measurement, columns, strain(columns), tmp_path / "columns.png")
    (drawn,) = [one for one in made[0][1][1].collections if hasattr(one, "U")]
    offsets = np.asarray(drawn.get_offsets())
    for place, u, v in zip(offsets, drawn.U, drawn.V, strict=True):
        n = int(np.nanargmin(np.hypot(*(columns.places - place).T)))
        assert (u, v) == pytest.approx(tuple(columns.places[n] - columns.expected[n]))


def test_layers_of_strain_do_without_the_rim(fitted: tuple[Measurement, ImageLattice, FittedColumns]):
    """One column at the rim, where strain has no value, made the mean of its layer none."""
    columns = fitted[2]
    values = np.where(columns.kinds == 0, 1.0, 2.0)
    values[::7] = np.nan
    rows = layers(columns, values, along="y")
    assert len(rows) > 6 and all(row.mean == (1.0 if row.kind == 0 else 2.0) for row in rows)
    whole = layers(columns, np.nan_to_num(values), along="y")
    assert sum(row.columns for row in rows) < sum(row.columns for row in whole)


@pytest.mark.parametrize(("intensity", "error"), [(np.nan, 0.01), (0.2, np.nan), (0.2, 0.0)])
def test_a_column_without_intensity_has_no_number_of_atoms(intensity: float, error: float):
    """It had one atom: the maximum of probabilities that are no numbers is the first."""
    with pytest.raises(InputError, match="1 columns have no intensity or no error"):
        count_atoms(np.array([0.2, intensity]), np.array([0.01, error]), [0.1, 0.2, 0.3], [1, 2, 3], 0.0)
    with pytest.raises(InputError, match="rising"):
        count_atoms(np.array([0.2]), np.array([0.01]), [0.1, 0.2, 0.3], [3, 2, 1])


def test_atoms_are_counted_by_a_ladder(rng: np.random.Generator):
    numbers = np.arange(1, 21)
    ladder = 0.02 * numbers**0.9
    truth = rng.integers(2, 20, 400)
    error = 0.008
    counts = count_atoms(ladder[truth - 1] + rng.normal(size=400) * error, np.full(400, error), ladder, numbers, 0.0)
    assert abs((counts.atoms - truth).mean()) < 0.1
    inside = np.take_along_axis(counts.probabilities, truth[:, None] - 1, axis=1)
    # probabilities are what they say: their mean is the mean frequency of being right at random draws from them
    assert inside.mean() == pytest.approx((counts.probabilities**2).sum(axis=1).mean(), abs=0.05)
    with pytest.raises(InputError, match="rising"):
        count_atoms(ladder, ladder, ladder[::-1], numbers)
    with pytest.raises(InputError, match="beyond the ladder"):
        count_atoms(np.array([2.0]), np.array([0.01]), ladder, numbers)
