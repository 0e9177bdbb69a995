"""Lattices in simulated scans of known pixel, drift, shear and hand, and in a measured image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from rhotem.analysis.run import structure
from rhotem.core import InputError
from rhotem.experiment.calibrate.cell import mean_cell
from rhotem.experiment.calibrate.lattice import calibrated, find_lattice
from rhotem.experiment.calibrate.projection import Projection, project
from rhotem.experiment.calibrate.rows import row_displacements
from rhotem.experiment.measurement import Axis, Measurement
from rhotem.experiment.read import read_measurement
from rhotem.structure.model import Structure

from .scans import Scan, measured, scanned

DATA = Path(__file__).resolve().parent.parent / "data" / "experiment"
#: Errors are standard errors: of so many numbers none may be farther off.
FARTHEST = 4.0


@pytest.fixture(scope="module")
def crystal() -> Structure:
    return structure("SrTiO3")


@pytest.fixture(scope="module")
def projection(crystal: Structure) -> Projection:
    return project(crystal, (0, 0, 1))


def oblique() -> Structure:
    """A lattice, and columns in it, without any mirror along its unique axis, [010]: its hand can be told."""
    atoms = Atoms("AuCuAl", cell=[[4.0, 0, 0], [1.3, 5.1, 0], [0, 0, 3.0]], pbc=True)
    atoms.set_scaled_positions([[0, 0, 0], [0.45, 0.3, 0], [0.2, 0.62, 0]])
    return Structure(atoms)


def test_the_projection_is_that_of_the_crystal(projection: Projection):
    assert np.allclose(projection.vectors, np.eye(2) * 3.905)
    assert sorted(projection.labels) == ["O", "O", "Sr", "Ti/O"]
    strongest = np.linalg.norm(projection.reflections[:4], axis=1)
    assert np.allclose(np.sort(strongest)[:2], 1 / 3.905) or np.allclose(np.sort(strongest)[:2], 2**0.5 / 3.905)


@pytest.mark.parametrize("seed", range(4))
def test_pixel_rotation_and_drift_within_their_errors(seed: int, crystal: Structure, projection: Projection):
    """Noise, jitter, a pixel wrong by up to 3 %."""
    rng = np.random.default_rng(seed)
    drift = tuple(rng.normal(size=2) * 0.002)
    scan = Scan(0.2 * (1 + rng.uniform(-0.03, 0.03)), rng.uniform(-40, 40), drift=drift, jitter=0.03)
    image = scanned(projection, scan, (220, 220), rng) + rng.normal(size=(220, 220)) * 0.2
    found = find_lattice(measured(image, 0.2), crystal, (0, 0, 1))
    matrix = scan.matrix
    turn = (found.rotation.value - scan.rotation + 45) % 90 - 45  # the lattice is square
    for value, truth in (
        (found.pixel_x, np.linalg.norm(matrix[:, 0])),
        (found.pixel_y, np.linalg.norm(matrix[:, 1])),
        (found.pixel, np.sqrt(np.linalg.det(matrix))),
        (found.drift[0], drift[0]),
        (found.drift[1], drift[1]),
    ):
        assert abs(value.value - truth) < FARTHEST * value.error
        assert value.error < 1e-3
    assert abs(turn) < FARTHEST * found.rotation.error < 0.5
    assert found.match > 0.95 and found.hand == "the lattice cannot tell"


def test_shear_and_an_unknown_pixel(crystal: Structure, projection: Projection, rng: np.random.Generator):
    scan = Scan(0.17, 10.0, shear=1.5)
    image = scanned(projection, scan, (220, 220), rng) + rng.normal(size=(220, 220)) * 0.1
    found = find_lattice(measured(image, None), crystal, (0, 0, 1))
    assert found.pixel_x.value == pytest.approx(0.17, rel=1e-3)
    assert found.shear.value == pytest.approx(1.5, abs=FARTHEST * found.shear.error) and found.shear.error < 0.1
    kept = calibrated(measured(image, None), found)
    assert kept.pixel == (found.pixel_y.value, found.pixel_x.value) and "lattice" in kept.remarks[-1]


def test_columns_lie_where_the_lattice_says(crystal: Structure, projection: Projection):
    """Positions of all kinds of columns: the brightest pixels of a clean image."""
    image = scanned(projection, Scan(0.2, 7.0), (220, 220), np.random.default_rng(5))
    found = find_lattice(measured(image, 0.2), crystal, (0, 0, 1))
    pixels, kinds, _ = found.positions(image.shape, margin=3)
    values = image[np.round(pixels[:, 1]).astype(int), np.round(pixels[:, 0]).astype(int)]
    for kind, label in enumerate(projection.labels):
        least, most = values[kinds == kind].min(), values[kinds == kind].max()
        assert {"Sr": (0.9, 1.1), "Ti/O": (0.42, 0.55), "O": (0.06, 0.2)}[label][0] < least
        assert {"Sr": (0.9, 1.1), "Ti/O": (0.42, 0.55), "O": (0.06, 0.2)}[label][1] > most


def test_the_hand_is_told_where_the_lattice_can_tell(rng: np.random.Generator):
    crystal = oblique()
    projection = project(crystal, (0, 1, 0))
    image = scanned(projection, Scan(0.2, 5.0), (240, 240), rng)
    assert find_lattice(measured(image, 0.2), crystal, (0, 1, 0)).hand == "as seen from the source"
    assert find_lattice(measured(image[::-1], 0.2), crystal, (0, 1, 0)).hand == "mirrored"
    # seen from the other side, the mirror image is the right one
    assert find_lattice(measured(image[::-1], 0.2), crystal, (0, -1, 0)).hand == "as seen from the source"


def polar() -> Structure:
    """A rectangular lattice whose columns have no symmetry: amplitudes of its transform hide half turns and mirrors."""
    atoms = Atoms("SrTiO", cell=[3.9, 5.1, 4.0], pbc=True)
    atoms.set_scaled_positions([[0, 0, 0], [0.45, 0.3, 0.5], [0.2, 0.65, 0.3]])
    return Structure(atoms)


@pytest.mark.parametrize(
    ("turn", "hand", "rotation"),
    [
        ((1, 1), "as seen from the source", 10.0),
        ((-1, -1), "as seen from the source", -170.0),
        ((-1, 1), "mirrored", 10.0),
        ((1, -1), "mirrored", -170.0),
    ],
)
def test_a_half_turn_is_no_mirror(turn: tuple[int, int], hand: str, rotation: float, rng: np.random.Generator):
    shown = scanned(project(polar(), (0, 0, 1)), Scan(0.25, 10.0), (220, 220), rng)
    image = shown + rng.normal(size=shown.shape) * 0.1
    # the scale of the values is nothing: currents in A, fractions of the beam
    seen = 1e-12 * image[:: turn[0], :: turn[1]]
    found = find_lattice(measured(seen, 0.25), polar(), (0, 0, 1))
    assert np.abs(row_displacements(seen, found.matrix, found.windows).values).max() < 0.1  # noise of 9 rows
    assert found.hand == hand and found.match > 0.98
    assert found.rotation.value == pytest.approx(rotation, abs=0.1)


def test_mean_cell_and_its_error(crystal: Structure, projection: Projection, rng: np.random.Generator):
    noise = 0.1
    scan = Scan(0.2)
    image = scanned(projection, scan, (220, 220), rng)
    noisy = measured(image + rng.normal(size=image.shape) * noise, 0.2)
    found = find_lattice(noisy, crystal, (0, 0, 1))
    cell = mean_cell(noisy, found)
    clean = mean_cell(measured(image, 0.2), found)
    assert cell.cells == clean.cells > 80
    # interpolation averages neighbouring pixels: between no and all of the noise
    assert 0.5 * noise / np.sqrt(cell.cells) < cell.error.mean() < 1.05 * noise / np.sqrt(cell.cells)
    z = (cell.mean - clean.mean) / cell.error
    assert 0.8 < z.std() < 1.25


def test_a_measured_image():
    """SrTiO3: the lattice of 3.905 Å; Sr is brighter than Ti, so that the origin can be told."""
    image = read_measurement(DATA / "srtio3-haadf_1.ser")
    found = find_lattice(image, structure("SrTiO3"), (0, 0, 1))
    assert found.match > 0.8
    assert 0.955 < found.pixel.value / image.axes[-1].scale < 0.98
    pixels, kinds, _ = found.positions(image.data.shape, margin=3)
    values = image.data[np.round(pixels[:, 1]).astype(int), np.round(pixels[:, 0]).astype(int)]
    means = {label: values[kinds == kind].mean() for kind, label in enumerate(found.projection.labels)}
    assert means["Sr"] > means["Ti/O"] > means["O"]


def test_images_that_have_not_this_lattice(crystal: Structure, projection: Projection, rng: np.random.Generator):
    with pytest.raises(InputError, match="no two peaks"):
        find_lattice(measured(rng.normal(size=(128, 128)), 0.2), crystal, (0, 0, 1))
    image = scanned(projection, Scan(0.2), (160, 160), rng)
    with pytest.raises(InputError, match="cannot give the lattice"):
        find_lattice(measured(image, 0.3), crystal, (0, 0, 1))
    with pytest.raises(InputError, match="periods of the lattice"):
        find_lattice(measured(image[:100, :100], 0.2), crystal, (0, 0, 1))
    other: Measurement = replace(
        measured(image, 0.2), data=np.stack([image] * 2), kind="image stack", axes=(Axis("frame"),) * 3
    )
    with pytest.raises(InputError, match="image stack"):
        find_lattice(other, crystal, (0, 0, 1))


def test_pixels_that_are_not_square_are_named(crystal: Structure):
    """Of a scan with half as many rows the structure was said to be wrong."""
    image = Measurement(np.ones((64, 128)), "image", (Axis("y", "Å", 0.2), Axis("x", "Å", 0.1)))
    with pytest.raises(InputError, match=r"pixels of 0.1 Å along rows and 0.2 Å down.*resample"):
        find_lattice(image, crystal, (0, 0, 1))
