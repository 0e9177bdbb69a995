"""Images of slices that lie on disk, and of probes in a window of a large potential."""

import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.microscope import bloch, windows
from rhotem.microscope.parallel import parallel_images
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope
from rhotem.microscope.simulate import simulate
from rhotem.microscope.windows import choices
from rhotem.potential.files.own import write_potential
from rhotem.potential.slices import PotentialSlices
from rhotem.potential.stream_read import open_potential, window


def columns(extent: float, n: int, places: list[tuple[float, float]]) -> PotentialSlices:
    """Gaussian columns in four slices of 2 Å."""
    x = np.arange(n) * extent / n
    total = np.zeros((n, n))
    for a, b in places:
        dx, dy = ((x - c + extent / 2) % extent - extent / 2 for c in (a, b))
        total += 400.0 * np.exp(-(dx[:, None] ** 2 + dy[None] ** 2) / (2 * 0.25**2))
    grid = PeriodicGrid(np.diag([extent, extent, 8.0]), (n, n, 4))
    return PotentialSlices(np.tile(total, (4, 1, 1)).astype(np.float32), grid, 1.0)


def test_windows_serve_every_probe_once_and_leave_it_room():
    extent, shape, margin = (33.0, 11.0), (330, 100), 9.0
    positions = np.random.default_rng(0).uniform([-5.0, 0.0], [40.0, 11.0], (300, 2))
    found = choices(extent, shape, margin)
    assert found[0].number == 1 and len(found) > 3
    for made in found:
        assert made.counts[1] == 1 and made.points[1] == 100  # 11 Å are no more than a probe needs
        served = list(made.serve(positions))
        assert sorted(np.concatenate([rows for rows, _ in served]).tolist()) == list(range(300))
        for rows, corner in served:
            if made.number > 1:
                inside = (positions[rows, 0] - corner[0]) % extent[0]
                assert inside.min() >= margin / 2 - 1e-9 and inside.max() <= made.size[0] - margin / 2 + 1e-9


def test_a_large_cell_is_scanned_in_windows_from_memory_and_from_disk(tmp_path, monkeypatch):
    """Two configurations of random columns: windows give the images of the whole cell; from disk the very same."""
    rng, scan = np.random.default_rng(3), Scan((48, 6), (48.0, 8.0))
    held = [columns(48.0, 240, rng.uniform(0.0, [48.0, 8.0], (40, 2)).tolist()) for _ in range(2)]
    held = [cut(slices, 8.0) for slices in held]
    microscope = Microscope(energy=200e3, convergence=17.0)
    detectors = (Annular(name="ADF", inner=25.0, outer=40.0), Annular(name="BF", inner=0.0, outer=8.0))
    with monkeypatch.context() as only_whole:
        only_whole.setattr(windows, "SERVED", ())
        whole = make_plan(held[0], microscope, scan, detectors, algorithm="bloch")
    plan = make_plan(held[0], microscope, scan, detectors, algorithm="bloch", memory_limit=whole.memory - 1)
    assert plan.windows and plan.windows.counts[1] == 1 and plan.windows.counts[0] > 1
    assert "of the cell" in str(plan)
    expected = simulate(held, microscope, scan, detectors, plan=whole)
    for number, slices in enumerate(held):
        write_potential(slices, tmp_path / f"{number}.zarr")
    stored = [open_potential(tmp_path / f"{number}.zarr") for number in range(2)]
    read = make_plan(stored[0], microscope, scan, detectors, algorithm="bloch", memory_limit=plan.memory - 1)
    assert read.windows and "read from disk" in str(read) and read.memory < plan.memory
    told = []
    got, again = (
        simulate(potentials, microscope, scan, detectors, plan=plan, progress=lambda *stage: told.append(stage))
        for potentials in (held, stored)
    )
    for name in ("ADF", "BF"):
        assert np.ptp(expected[name]) > 0.1 * expected[name].max()
        assert np.abs(got[name] - expected[name]).max() < 5e-3 * expected[name].max()
        np.testing.assert_array_equal(again[name], got[name])
    assert got.diffraction.sum() == pytest.approx(expected.diffraction.sum(), rel=1e-3)
    assert told[-1][1] <= told[-1][2] and told[-1][1] > 0.9 * told[-1][2]


def cut(slices: PotentialSlices, width: float) -> PotentialSlices:
    """The part of a cell up to ``width`` Å in y."""
    n = round(width / slices.sampling[1])
    sides = np.diag([slices.extent[0], n * slices.sampling[1], slices.grid.cell[2, 2]])
    array = slices.array[:, :, :n].copy()
    return PotentialSlices(array, PeriodicGrid(sides, (array.shape[1], n, len(array))), 1.0)


def test_hrtem_from_disk_is_that_from_memory(tmp_path, monkeypatch):
    held = columns(16.0, 128, [(3.0, 4.0), (9.0, 12.0)])
    write_potential(held, tmp_path / "v.zarr")
    microscope = Microscope(energy=200e3, convergence=0.1, defocus=400.0, objective=30.0)
    expected = parallel_images([held], microscope)
    monkeypatch.setattr(bloch, "FINE_BYTES", 8 * 128 * 128)  # one slice at a time
    got = parallel_images([open_potential(tmp_path / "v.zarr")], microscope)
    np.testing.assert_allclose(got["HRTEM"], expected["HRTEM"], rtol=1e-6)
    np.testing.assert_allclose(got.diffraction, expected.diffraction, atol=1e-9)


def test_probes_in_a_window_see_what_they_see_in_the_whole():
    """Probes 7 Å from the window's sides give the signals of the whole potential."""
    whole = columns(24.0, 128, [(12.0, 12.0), (14.0, 11.0), (9.5, 13.0), (20.0, 12.0)])
    microscope = Microscope(energy=200e3, convergence=15.0)
    detectors = (Annular(name="ADF", inner=20.0, outer=40.0), Annular(name="BF", inner=0.0, outer=8.0))
    part, corner = window(whole, (4.0, 4.0), (16.0, 16.0))
    signals = []
    for potential, origin in ((whole, (11.0, 11.0)), (part, (11.0 - corner[0], 11.0 - corner[1]))):
        scan = Scan((4, 4), (2.0, 2.0), origin, periodic=False)
        plan = make_plan(potential, microscope, scan, detectors, algorithm="bloch", window=14.0)
        images = simulate([potential], microscope, scan, detectors, plan=plan)
        signals.append([images["ADF"], images["BF"]])
    for far, near in zip(*signals, strict=True):
        assert np.abs(far - near).max() < 5e-3 * far.max()
        assert np.ptp(far) > 0.05 * far.max()  # there is something to see
