"""Core losses: atoms against abTEM's and against tables, maps against cross-sections and columns."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.core.grid import PeriodicGrid
from rhotem.microscope.core_loss import Placed, core_loss_maps
from rhotem.microscope.ionisation import CoreEdge, Ionisation, cross_section, lattice
from rhotem.microscope.settings import Microscope
from rhotem.potential.slices import PotentialSlices

pytestmark = [pytest.mark.gpaw, pytest.mark.filterwarnings("ignore")]

MICROSCOPE = Microscope(energy=200e3, convergence=22.0)


def vacuum(extent, slices=1):
    """Slices of 1 Å without any potential."""
    grid = PeriodicGrid(np.diag([*extent, float(slices)]), (64, 64, slices))
    return PotentialSlices(np.zeros((slices, 64, 64), dtype=np.float32), grid, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["O-K", "Si-L23"])
def test_channels_sum_up_to_those_of_abtem(name):
    """The addition theorem leaves out m and m'; abTEM interpolates overlaps linearly, hence the tolerance."""
    from abtem.core.energy import energy2sigma
    from abtem.inelastic.core_loss import SubshellTransitions

    edge, size, number = CoreEdge.named(name), 16.0, 48
    n, l = {"O-K": (1, 0), "Si-L23": (2, 1)}[name]
    transitions = SubshellTransitions(Z=edge.number, n=n, l=l, order=1, epsilon=edge.above)
    theirs = transitions.get_transition_potentials(extent=(size, size), gpts=(number, number), energy=200e3).build()
    expected = (np.abs(theirs.array * energy2sigma(200e3) * (size / number) ** 2) ** 2).sum(0)
    kx, ky = np.meshgrid(*2 * [np.fft.fftfreq(number, size / number)], indexing="ij")
    found = sum(np.abs(one) ** 2 for one in Ionisation(edge, 200e3, 10.0).channels(kx, ky))
    inside = expected > 0
    assert inside.sum() > 500
    np.testing.assert_allclose(found[inside], expected[inside], rtol=0.03)


def test_oxygen_loses_energy_as_its_absorption_of_x_rays_says():
    """Bethe's limit: dσ/dE = 4πa0²R²/(TE) df/dE ln(1 + (β/θE)²) at a small collection angle.

    df/dE from the absorption of a free atom 10 eV above the edge (Henke, Gullikson & Davis, At. Data Nucl. Data Tables
    54, 181, 1993): 0.543 Mb, of which 0.030 Mb, seen below the edge, belong to other shells; σ = 109.76 Mb eV · df/dE.
    """
    ionisation = Ionisation(CoreEdge.named("O-K"), 200e3, 10.0)
    angle, gamma, rest = 5.0, 1 + 200e3 / 510998.95, 510998.95
    kinetic = 0.5 * rest * (1 - gamma**-2)
    loss = ionisation.loss
    characteristic = 1e3 * loss / (2 * gamma * kinetic)
    bethe = 4 * np.pi * 0.529177**2 * 13.6057**2 / (kinetic * loss) * (0.513 / 109.76)
    expected = bethe * np.log1p((angle / characteristic) ** 2)
    assert cross_section(ionisation, angle) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("name", ["H-K", "Co-K"])
def test_waves_of_narrow_and_of_wide_shells(name):
    """The bound wave has norm 1; one of the continuum has the amplitude (πk)^-½ per √Rydberg far from the atom."""
    from rhotem.microscope.ionisation import atom

    found = atom(CoreEdge.named(name))
    assert np.trapezoid(found.bound**2, found.radii) == pytest.approx(1, abs=1e-4)
    k = np.sqrt(10.0 / 13.6057)
    assert all(np.abs(wave).max() < 1.5 / np.sqrt(np.pi * k) for wave in found.final.values())


def test_a_lattice_loses_what_its_atoms_lose():
    """Also lithium, whose losses are ten times as narrow as a cell resolves."""
    for name in ("Li-K", "O-K"):
        ionisation = Ionisation(CoreEdge.named(name), 200e3, 6.0)
        density = lattice(ionisation, (3.0, 4.0), (48, 64))
        assert density.mean() * 12.0 == pytest.approx(cross_section(ionisation), rel=5e-3)
        assert density.argmax() == 0
        np.testing.assert_allclose(density[1:], density[:0:-1], rtol=1e-9)


def test_a_thin_map_follows_the_columns_and_holds_the_cross_section_of_every_atom():
    extent = (4.0, 4.0)
    atoms = Placed(np.array([8, 8, 14]), np.array([[1.0, 1.5, 0.2], [1.0, 1.5, 0.7], [3.0, 3.0, 0.5]]))
    maps = core_loss_maps([(vacuum(extent), atoms)], MICROSCOPE, ["O-K", CoreEdge("Si", "L23")])
    for name, number, place in (("O-K", 2, (1.0, 1.5)), ("Si-L23", 1, (3.0, 3.0))):
        section = maps.record["edges"][name]["cross_section_A2_per_eV"]
        assert maps[name].mean() * 16.0 == pytest.approx(number * section, rel=5e-3)
        fine = maps.resampled(0.05)
        brightest = np.unravel_index(fine[name].argmax(), fine[name].shape) * np.array(fine.scan.step)
        np.testing.assert_allclose(brightest, place, atol=0.05)
    assert maps.unit("O-K") == "1/eV"


def test_vacuum_before_the_atoms_is_a_change_of_focus():
    """Four empty slices in front of an atom are 4 Å of defocus."""
    extent, atoms = (4.0, 4.0), Placed(np.array([8]), np.array([[1.0, 1.0, 4.5]]))
    behind = core_loss_maps([(vacuum(extent, 5), atoms)], MICROSCOPE, ["O-K"])
    focused = MICROSCOPE.model_copy(update={"defocus": -4.0})
    here = core_loss_maps([(vacuum(extent), Placed(atoms.numbers, atoms.positions - [0, 0, 4]))], focused, ["O-K"])
    np.testing.assert_allclose(behind["O-K"], here["O-K"], rtol=2e-3)


def test_an_atom_loses_energy_in_the_plane_that_it_scatters_in():
    """Vibration along the beam, across the boundary of a thin slice, leaves an atom in the plane of its site."""
    sites, lens = np.array([[1.0, 1.0, 0.9]]), Microscope(convergence=25)
    resting = Placed(np.array([8]), sites)
    along = Placed(resting.numbers, sites, np.array([[0.0, 0.0, 0.3]]))
    slices = vacuum((4.0, 4.0), 8)
    still, vibrating = (core_loss_maps([(slices, one)], lens, ["O-K"])["O-K"] for one in (resting, along))
    np.testing.assert_array_equal(vibrating, still)
    beside = Placed(np.array([8, 14]), np.array([[1.0, 1.0, 0.9], [3.0, 3.0, 2.5]]), np.array([[0, 0, 2.0], [0, 0, 0]]))
    there = Placed(np.array([8]), np.array([[1.0, 1.0, 2.5]]))
    came, is_there = (core_loss_maps([(slices, one)], lens, ["O-K"])["O-K"] for one in (beside, there))
    np.testing.assert_allclose(came, is_there)
    assert np.abs(came - still).max() > 1e-3 * still.max()


def test_what_is_not_there_is_refused():
    atoms = Placed(np.array([8]), np.array([[1.0, 1.0, 0.5]]))
    for edges, said in ((["O-X"], "expected an element"), ([], "no edge"), (["Si-L23"], "no Si in the specimen")):
        with pytest.raises(InputError, match=said):
            core_loss_maps([(vacuum((4.0, 4.0)), atoms)], MICROSCOPE, edges)
    for edge, said in (("Co-K", "but the beam has 5 keV"), ("Og-K", "no Og"), ("Li-L23", "no electrons in that")):
        with pytest.raises(InputError, match=said):
            Ionisation(CoreEdge.named(edge), 5e3, 6.0)
    with pytest.raises(InputError, match="at most 200"):
        CoreEdge.named("O-K", 300)
    with pytest.raises(InputError, match="no potential"):
        core_loss_maps([], MICROSCOPE, ["O-K"])


def test_configurations_share_the_beams():
    """Two equal configurations are as one; a number that was not announced is refused."""
    atoms = Placed(np.array([8]), np.array([[1.0, 1.0, 0.5]]))
    once = core_loss_maps([(vacuum((4.0, 4.0)), atoms)], MICROSCOPE, ["O-K"])
    twice = core_loss_maps(2 * [(vacuum((4.0, 4.0)), atoms)], MICROSCOPE, ["O-K"], configurations=2)
    np.testing.assert_allclose(twice["O-K"], once["O-K"], rtol=1e-5)
    for number, said in ((1, "more potentials"), (3, "announced")):
        with pytest.raises(InputError, match=said):
            core_loss_maps(2 * [(vacuum((4.0, 4.0)), atoms)], MICROSCOPE, ["O-K"], configurations=number)


def test_edges_are_detectors():
    from rhotem.microscope.detectors import CoreLoss, parse_detector

    assert parse_detector("Li-K") == CoreLoss(name="Li-K")
    assert parse_detector("Co-L23@30").edge == CoreEdge("Co", "L23", 30.0)
    for text in ("Co-L3", "Co-L", "li-k"):
        with pytest.raises(InputError, match="one of K, L1, L23"):
            parse_detector(text)
    for text, said in (("Xx-K", "expected an element"), ("X-K", "expected an element"), ("Li-Q", "an edge: O-K")):
        with pytest.raises(InputError, match=said):
            parse_detector(text)


def test_a_run_maps_losses_beside_images():
    """Without a dose, in the specimen's elements, and in no response."""
    from rhotem.analysis import responses, run
    from rhotem.microscope.detectors import parse_detector

    cut = run.specimen(run.structure("LiF"), zone=(1, 0, 0), thickness=0.5)
    chosen = [parse_detector("F-K"), parse_detector("HAADF=60-100")]
    cut = run.specimen(run.structure("LiF"), zone=(1, 0, 0), thickness=0.5, preset=cut.preset.adjusted(chosen))
    images = run.image(cut, run.potential(cut, run.density(cut, source="free-atoms"), phonons=0))
    assert set(images.images) == {"HAADF", "F-K"} and images.record["edges"]["F-K"]["loss_eV"] > 600
    assert np.corrcoef(images["F-K"].ravel(), images["HAADF"].ravel())[0, 1] > 0.9  # fluorine scatters most
    with pytest.raises(InputError, match="no core losses"):
        responses.response(cut, [])
    dosed = run.specimen(run.structure("LiF"), zone=(1, 0, 0), thickness=0.5, preset=cut.preset.adjusted(dose=1e4))
    with pytest.raises(InputError, match="counting noise"):
        run.image(dosed, run.potential(dosed, run.density(dosed, source="free-atoms"), phonons=0))
    other = run.specimen(
        run.structure("LiF"), zone=(1, 0, 0), thickness=0.5, preset=cut.preset.adjusted([parse_detector("O-K")])
    )
    with pytest.raises(InputError, match="no O in the specimen"):
        run.image(other, run.potential(other, run.density(other, source="free-atoms"), phonons=0))


def test_cells_that_do_not_fit_are_refused():
    from rhotem.core import MemoryLimitError
    from rhotem.microscope.core_loss import tiling_of
    from rhotem.microscope.cost import Sizes

    sizes = Sizes((80.0, 80.0), (2000, 2000), 20, 2.0, 3e8)
    with pytest.raises(MemoryLimitError, match="beams of one κ"):
        tiling_of(sizes, MICROSCOPE, [CoreEdge("O", "K")], 1)
    assert tiling_of(Sizes((5.0, 14.0), (128, 384), 14, 1.4, 1e7), MICROSCOPE, [CoreEdge("O", "K")], 8)[0] > 1


def test_plans_say_which_of_their_keys_core_losses_contradict(tmp_path):
    from rhotem.analysis.plan import parse_plan
    from rhotem.library.view.make import Span, make_entry
    from rhotem.scattering.response import Range

    head = "rhotem: 1\nspecimen: {structure: LiF}\nmotion: {phonons: 0}\nmicroscope: {detectors: [F-K"
    for more, said in (
        (", 4D=40]}", r"microscope.*whole patterns"),
        ("]}\nrecording: {dose_e_per_A2: 1e4}", r"recording\.dose_e_per_A2.*no counting noise"),
    ):
        with pytest.raises(InputError, match=said):
            parse_plan(head + more)
    with pytest.raises(InputError, match="no core losses"):
        make_entry(parse_plan(head + "]}"), tmp_path / "entry", Span((1.0,), Range()))


def test_two_losses_of_an_edge_are_two_maps():
    """Each keeps its name, and its own cross-section: losses farther beyond the edge of an atom are rarer."""
    from rhotem.microscope.detectors import CoreLoss, edges_of, parse_detector, unit

    near, far = parse_detector("O-K"), parse_detector("O-K@100")
    assert far == CoreLoss(name="O-K", above=100) and unit(far.name) == "1/eV"
    atoms = Placed(np.array([8]), np.array([[1.0, 1.5, 0.2]]))
    maps = core_loss_maps([(vacuum((4.0, 4.0)), atoms)], MICROSCOPE, edges_of([near, far]))
    means = [maps[name].mean() for name in ("O-K", "O-K@100")]
    assert means[1] < 0.9 * means[0]
    for name, mean in zip(("O-K", "O-K@100"), means, strict=True):
        assert mean * 16.0 == pytest.approx(maps.record["edges"][name]["cross_section_A2_per_eV"], rel=5e-3)
    with pytest.raises(InputError, match="give one of them"):
        CoreLoss(name="O-K@20", above=30)
