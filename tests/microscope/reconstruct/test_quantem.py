"""Patterns simulated, written, read and reconstructed by quantem and by ourselves: the same projected potential."""

import dataclasses

import numpy as np
import pytest

from rhotem.core import InputError, MissingDependencyError
from rhotem.core.packages import find_spec
from rhotem.microscope.outputs import write_images
from rhotem.microscope.reconstruct import bridge
from rhotem.microscope.reconstruct.data import read_patterns
from rhotem.microscope.reconstruct.registry import make_method
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Pixelated
from rhotem.microscope.simulate import simulate

from ..conftest import gaussian_slices
from .objects import CELL, COLUMNS, MICROSCOPE, WIDTH, expected, patterns

quantem = pytest.mark.skipif(find_spec("quantem") is None, reason="needs quantem: docs/reconstructions.md")


def bands(image, microscope):
    """Slope and root mean square error against σV in four bands of the transfer."""
    q, coefficients = expected(microscope, image.shape)
    found = np.fft.fft2(image, norm="forward")
    q = q * microscope.wavelength / (1e-3 * microscope.convergence)
    rows = []
    for low, high in ((0.01, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 1.85)):
        inside = (q > low) & (q <= high)
        norm = (np.abs(coefficients[inside]) ** 2).sum()
        slope = (found * coefficients.conj())[inside].sum() / norm
        error = np.sqrt((np.abs(found - coefficients)[inside] ** 2).sum() / norm)
        rows.append((slope, error))
    return rows


@quantem
@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"defocus": 80.0, "aberrations": {"C12": 40.0, "phi12": 0.7}}])
@pytest.mark.parametrize("name, image", [("ssb", "SSB"), ("wiener", "Wiener")])
def test_round_trip_by_quantem_and_by_single_sideband(name, image, changes, tmp_path):
    """Multislice of a thin cell without symmetry, by way of a file: within 5 % in every band."""
    microscope = MICROSCOPE.model_copy(update=changes)
    slices = gaussian_slices(CELL, (84, 108), COLUMNS, width=WIDTH, number=1, thickness=1.0)
    images = simulate([slices], microscope, Scan.cell(CELL, microscope), [Pixelated(outer=40.0)], algorithm="bloch")
    write_images(images, tmp_path, phonons=0)
    held = read_patterns(tmp_path)
    assert held.scan.periodic and held.microscope.coefficients == microscope.coefficients
    for slope, error in bands(make_method(name).reconstruct(held)[image], microscope):
        assert abs(slope - 1) < 0.05 and error < 0.06


@quantem
@pytest.mark.slow
def test_turned_cameras_are_turned_alike():
    held = patterns(MICROSCOPE.model_copy(update={"defocus": 80.0}))
    data, step = held.data[:, :, ::-1, :].swapaxes(2, 3), held.angular_step[::-1]
    turned = dataclasses.replace(held, data=data, angular_step=step, rotation=90.0)
    for slope, error in bands(make_method("wiener").reconstruct(turned)["Wiener"], held.microscope):
        assert abs(slope - 1) < 0.02 and error < 0.02
    first, second = (make_method("parallax").reconstruct(one)["parallax"] for one in (held, turned))
    assert np.abs(first - second).max() < 0.02 * np.ptp(first)


def test_missing_quantem_is_one_line(monkeypatch):
    from rhotem.core import packages

    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"--method wiener: needs quantem, torch.*rhotem\[reconstruct\]"):
        bridge.require_quantem("wiener")


def test_parallax_in_focus_is_refused(monkeypatch):
    from rhotem.microscope.reconstruct import direct

    monkeypatch.setattr(direct, "require_quantem", lambda method: None)
    with pytest.raises(InputError, match="in focus and transfers nothing; use ssb"):
        make_method("parallax").reconstruct(patterns(MICROSCOPE, shape=(4, 5)))


def test_the_rim_gets_the_intensity_of_its_amplitude():
    """Coherent patterns with what incoherent beams add at the rim, f − f²: that is taken off, and nothing else."""
    held = patterns(MICROSCOPE, shape=(6, 8))
    disc = bridge.amplitude(held, *held.angles)
    bright = held.mean[disc == 1].mean()
    recorded = dataclasses.replace(held, data=(held.data + bright * (disc - disc**2)).astype(np.float32))
    mended = bridge.rim_as_amplitude(recorded)
    assert np.abs(mended.data - held.data).max() < 0.06 * bright  # the formula's rim is round, that of pixels oblong
    assert np.abs(recorded.data - held.data).max() > 0.2 * bright
    inside = (disc == 0) | (disc == 1)
    assert np.array_equal(mended.data[:, :, inside], recorded.data[:, :, inside])
    np.testing.assert_allclose(mended.mean[~inside], disc[~inside] ** 2 * bright, rtol=1e-5)
    assert np.abs(np.diff(mended.data - recorded.data, axis=0)).max() < 1e-6 * bright
