"""Pictures, files and atoms are seen from the source, down [uvw]: right-handed drawings of right-handed crystals."""

import ase
import ase.spacegroup
import numpy as np
import pytest
import tifffile

from rhotem.analysis import run
from rhotem.microscope.images import ImageSet
from rhotem.microscope.outputs import write_images
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import CenterOfMass
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient


def quartz(group):
    """α-quartz, right- (P3_221) or left-handed (P3_121): Levien et al., Am. Mineral. 65, 920 (1980)."""
    silicon, oxygen = (0.4697, 0.0, 2 / 3), (0.4135, 0.2669, 0.7858)
    if group == "P3_121":  # the mirror image
        silicon, oxygen = (0.4697, 0.0, 1 / 3), (0.4135, 0.2669, 0.2142)
    number = {"P3_221": 154, "P3_121": 152}[group]
    cell = [4.916, 4.916, 5.4054, 90, 90, 120]
    atoms = ase.spacegroup.crystal(["Si", "O"], [silicon, oxygen], spacegroup=number, cellpar=cell)
    assert atoms.get_chemical_formula() == "O6Si3"
    return Structure(atoms)


@pytest.mark.parametrize("group", ["P3_221", "P3_121"])
@pytest.mark.parametrize("zone", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (1, 1, 0)])
def test_drawings_have_the_handedness_of_the_crystal(group, zone):
    """Right, up and towards the viewer (x, −y, −z of the imaging cell) come from the crystal by a proper rotation.

    Every atom is found where that rotation puts it, so a right-handed crystal is drawn right-handed.
    """
    crystal = quartz(group)
    cell = orient(crystal, zone)
    drawn = np.diag([1.0, -1.0, -1.0]) @ cell.rotation @ (np.eye(3) + cell.strain)
    assert np.linalg.det(drawn) > 0.9
    seen = cell.structure.positions @ np.diag([1.0, -1.0, -1.0])
    sides = np.abs(np.diag(cell.structure.cell))
    for number, place in zip(crystal.numbers, crystal.positions @ drawn.T, strict=True):
        apart = seen[cell.structure.numbers == number] - place
        apart -= np.rint(apart / sides) * sides
        assert np.linalg.norm(apart, axis=1).min() < 1e-3
    # the mirror image is another crystal: its atoms are elsewhere
    other = quartz("P3_121" if group == "P3_221" else "P3_221").positions @ drawn.T
    apart = seen[cell.structure.numbers == 8][:, None] - other[crystal.numbers == 8][None]
    apart -= np.rint(apart / sides) * sides
    assert np.linalg.norm(apart, axis=2).min(axis=0).max() > 0.3


def test_zone_faces_the_viewer_and_labels_say_what_points_up():
    cell = orient(run.structure("LiCoO2"), (1, 0, 0))
    towards = cell.zone_conventional @ run.structure("LiCoO2").cell
    turned = cell.rotation @ (towards / np.linalg.norm(towards))
    assert turned == pytest.approx([0, 0, -1], abs=1e-2)
    assert cell.labels["up"] == "[001]" and cell.labels["y"] == "[00-1]"


def test_the_beam_meets_the_uvw_face_first():
    """A slab with fluorine on its +c face and lithium on the other: seen down [001] fluorine comes first."""
    atoms = ase.Atoms("LiOF", [(1.5, 1.5, 4.0), (0, 0, 6.0), (1.5, 1.5, 8.0)], cell=[3, 3, 20])
    cut = run.specimen(Structure(atoms), (0, 0, 1), basis="input")
    depth = dict(
        zip(cut.block.structure.atoms.get_chemical_symbols(), cut.block.structure.positions[:, 2], strict=False)
    )
    assert depth["F"] < depth["O"] < depth["Li"]


def test_row_0_of_every_file_is_the_top_of_the_picture(tmp_path):
    """One bright spot near x = 3, y = 1 Å of 4 x 6 Å: a quarter down from the top, right of the middle."""
    import matplotlib.image
    from rsciio.hspy import file_reader

    scan = Scan((40, 60), (4.0, 6.0))
    x, y = (np.arange(n) * 0.1 for n in scan.shape)
    spot = np.exp(-((x[:, None] - 3.0) ** 2 + (y[None] - 1.0) ** 2) / 0.1)
    images = ImageSet({"HAADF": spot}, scan, np.ones((3, 3)), (1.0, 1.0), {}, {"microscope": {}})
    write_images(images, tmp_path, labels={"x": "[100]", "up": "[0-10]"})
    data = tifffile.imread(tmp_path / "HAADF.tif")
    assert np.unravel_index(data.argmax(), data.shape) == (10, 30)
    (read,) = file_reader(str(tmp_path / "HAADF.hspy"))
    values, axes = read["data"], read["axes"]
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert [a["name"] for a in axes] == ["y", "x"] and all(a["scale"] > 0 for a in axes)
    assert row * axes[0]["scale"] == pytest.approx(1.0) and column * axes[1]["scale"] == pytest.approx(3.0)
    picture = matplotlib.image.imread(tmp_path / "HAADF.png")[..., :3].min(axis=2)
    # the image itself: what is not white paper
    dark = np.argwhere(picture < 0.2)
    (top, left), (bottom, right) = dark.min(axis=0), dark.max(axis=0)
    inner = picture[top : bottom + 1, left : right + 1]
    first = inner[: inner.shape[0] // 3]
    assert first.max() > 0.95


def test_centre_of_mass_points_to_the_atom_in_the_frame_of_files():
    """A probe to the left of and above an atom is pulled to the right and down: +x, +y."""
    atoms = ase.Atoms("Si", [(4.0, 5.0, 1.0)], cell=[8, 10, 2])
    preset = run.adjusted_preset("layered-oxide", detectors=["CoM=40"])
    cut = run.specimen(Structure(atoms), (0, 0, 1), basis="input", keep_cell=True, preset=preset)
    images = run.image(cut, run.potential(cut, run.density(cut, "free-atoms"), phonons=0), phonons=0)
    (place,) = cut.cell.structure.positions[:, :2]
    assert isinstance(cut.preset.detectors[0], CenterOfMass)
    step = np.array(images.scan.step)
    i, j = np.rint((place - 0.4) / step).astype(int)
    assert images["CoMx"][i, j] > 0 and images["CoMy"][i, j] > 0
