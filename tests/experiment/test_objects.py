"""Objects of py4DSTEM and quantem as measurements: stand-ins with their interface, and the packages where they are."""

from types import SimpleNamespace

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.core.units import wavelength
from rhotem.experiment.objects import from_py4dstem, from_quantem
from rhotem.experiment.read.stated import Stated

#: mrad of 0.02 1/Å at 200 kV.
STEP = 1e3 * wavelength(200e3) * 0.02


@pytest.fixture
def cube(rng):
    return rng.poisson(3.0, (4, 5, 16, 18)).astype(float)


class Calibration:
    """Of py4DSTEM: what it says of pixels."""

    def __init__(self, scan=(1, "pixels"), angle=(1, "pixels")):
        self.scan, self.angle = scan, angle

    def get_R_pixel_size(self):
        return self.scan[0]

    def get_R_pixel_units(self):
        return self.scan[1]

    def get_Q_pixel_size(self):
        return self.angle[0]

    def get_Q_pixel_units(self):
        return self.angle[1]


class DiffractionSlice(SimpleNamespace):
    pass


class VirtualDiffraction(DiffractionSlice):
    pass


class RealSlice(SimpleNamespace):
    pass


def test_each_direction_keeps_its_own_step():
    picture = RealSlice(
        data=np.random.default_rng(0).random((8, 9)), calibration=Calibration((np.array([0.2, 0.1]), "A"))
    )
    assert [axis.scale for axis in from_py4dstem(picture).axes] == pytest.approx([0.2, 0.1])


def test_a_datacube_and_its_slices(cube):
    scale = Calibration((0.5, "nm"), (0.02, "A^-1"))
    found = from_py4dstem(SimpleNamespace(data=cube, calibration=scale, name="scan"), Stated(energy_keV=200))
    assert found.kind == "4D" and np.array_equal(found.data, cube) and found.source.path == "scan"
    assert [axis.scale for axis in found.axes] == pytest.approx([5.0, 5.0, STEP, STEP])
    pattern = from_py4dstem(VirtualDiffraction(data=cube[0, 0], calibration=scale), Stated(energy_keV=200))
    assert pattern.kind == "pattern" and pattern.pixel == pytest.approx((STEP, STEP))
    image = from_py4dstem(RealSlice(data=cube[:, :, 0, 0], calibration=scale))
    assert image.kind == "image" and image.pixel == pytest.approx((5.0, 5.0))


def test_pixels_without_unit_stay_without_scale(cube):
    plain = from_py4dstem(SimpleNamespace(data=cube, calibration=Calibration()))
    assert [axis.scale for axis in plain.axes] == [None] * 4
    with pytest.raises(InputError, match="expected a DataCube"):
        from_py4dstem(cube)
    with pytest.raises(InputError, match=r"NaN|finite|not a number"):
        from_py4dstem(SimpleNamespace(data=np.full((4, 4, 8, 8), np.nan), calibration=Calibration()))


def test_a_dataset_of_quantem(cube):
    made = SimpleNamespace(
        array=cube, sampling=[0.5, 0.6, 0.02, 0.02], origin=[0, 0, 0, 0], units=["A", "A", "A^-1", "A^-1"], name="scan"
    )
    found = from_quantem(made, Stated(energy_keV=200))
    assert found.kind == "4D" and [axis.scale for axis in found.axes] == pytest.approx([0.5, 0.6, STEP, STEP])
    with pytest.raises(InputError, match="expected a Dataset"):
        from_quantem(cube)


def test_objects_of_py4dstem_itself(cube):
    py4DSTEM = pytest.importorskip("py4DSTEM")
    held = py4DSTEM.DataCube(data=cube)
    held.calibration.set_R_pixel_size(0.5)
    held.calibration.set_R_pixel_units("A")
    held.calibration.set_Q_pixel_size(0.02)
    held.calibration.set_Q_pixel_units("A^-1")
    found = from_py4dstem(held, Stated(energy_keV=200))
    assert [axis.scale for axis in found.axes] == pytest.approx([0.5, 0.5, STEP, STEP])
    assert from_py4dstem(held.get_virtual_image(mode="circle", geometry=((8, 9), 4))).kind == "image"
    assert from_py4dstem(held.get_dp_mean(), Stated(energy_keV=200)).kind == "pattern"


def test_objects_of_quantem_itself(cube):
    structures = pytest.importorskip("quantem.core.datastructures")
    made = structures.Dataset4dstem.from_array(cube, sampling=[0.5, 0.6, 0.02, 0.02], units=["A", "A", "A^-1", "A^-1"])
    found = from_quantem(made, Stated(energy_keV=200))
    assert [axis.scale for axis in found.axes] == pytest.approx([0.5, 0.6, STEP, STEP])
