"""What a plan says that a simulation will take."""

from rhotem.microscope.cost import Sizes
from rhotem.microscope.detectors import CoreLoss
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope


def test_maps_of_core_losses_take_time_by_edges_and_by_the_planes_that_hold_atoms_of_them():
    sizes = Sizes((4.0, 6.0), (128, 192), 20, 1.0, 2e6, planes=20, elements={8: 20, 26: 5})
    scan = Scan.cell(sizes.extent, Microscope())

    def seconds(*names):
        detectors = [Annular(name="HAADF", inner=68, outer=150), *(CoreLoss(name=name) for name in names)]
        return make_plan(sizes, Microscope(), scan, detectors, threads=1).seconds

    plain = seconds()
    oxygen, iron = seconds("O-K") - plain, seconds("Fe-K") - plain
    assert oxygen > 2 * plain and 0 < iron < 0.7 * oxygen
    both = seconds("O-K", "Fe-K") - plain
    assert max(oxygen, iron) < both < oxygen + iron
