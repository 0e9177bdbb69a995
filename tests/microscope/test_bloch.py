"""Unit-cell Bloch beams against abTEM's multislice on the tiled supercell: an independent code."""

import numpy as np
import pytest

from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.record import Recorder
from rhotem.microscope.settings import Microscope, Pixelated

abtem = pytest.importorskip("abtem")


def abtem_patterns(slices, microscope, tiling, positions, outer, **kwargs):
    tiled = np.tile(slices.array, (1, *tiling))
    extent = tuple(l * m for l, m in zip(slices.extent, tiling, strict=True))
    potential = abtem.PotentialArray(tiled, slice_thickness=slices.thickness, extent=extent)
    # abTEM's slices act where they begin, ours in their middle: its probe starts half a slice on
    coefficients = microscope.coefficients
    coefficients["C10"] = coefficients.get("C10", 0.0) + slices.thickness / 2
    probe = abtem.Probe(energy=microscope.energy, semiangle_cutoff=microscope.convergence, aberrations=coefficients)
    probe.grid.match(potential)
    waves = probe.multislice(potential, scan=abtem.CustomScan(positions), lazy=False)
    pattern = np.abs(np.fft.fft2(waves.array)) ** 2
    return np.fft.fftshift(pattern, axes=(1, 2))


@pytest.mark.parametrize("tiling", [(1, 1), (3, 2)])
def test_equals_abtem_multislice_on_the_supercell(crystal, tiling):
    """No approximation: every diffracted intensity equals multislice of the tiled potential to single precision."""
    slices = crystal[0]
    microscope = Microscope(energy=200e3, convergence=25, defocus=40, cs=2e4, aberrations={"C12": 15.0, "phi12": 0.4})
    positions = np.array([[0.0, 0.0], [1.0, 1.2], [2.37, 4.9]])
    detector = Pixelated(outer=60)
    engine = BlochEngine(
        microscope,
        slices.extent,
        slices.array.shape[1:],
        slices.thickness,
        tiling,
        threads=2,
        edge_average=False,
        refine=False,
    )
    recorder = Recorder([detector], len(positions), microscope.wavelength, engine.supercell)
    engine.run(slices.array, positions, {len(slices.array): recorder})
    ours = recorder.patterns["4D"]
    reference = abtem_patterns(slices, microscope, tiling, positions, 60)
    centre = [n // 2 for n in reference.shape[1:]]
    half = recorder.pacbed_half
    reference = reference[
        :, centre[0] - half[0] : centre[0] + half[0] + 1, centre[1] - half[1] : centre[1] + half[1] + 1
    ]
    k = np.arange(-half[0], half[0] + 1) * recorder.step[0], np.arange(-half[1], half[1] + 1) * recorder.step[1]
    seen = np.hypot(k[0][:, None], k[1][None]) < 60e-3 / microscope.wavelength
    print(np.abs(ours - reference)[:, seen].max() / reference.max(), reference.sum(axis=(1, 2)), ours.sum(axis=(1, 2)))
    assert np.abs(ours - reference)[:, seen].max() < 2e-6 * reference.max() * 10


def test_uninterpolated_prism_of_abtem_gives_the_same_patterns(crystal):
    """PRISM without interpolation is another route to the exact result; its own detector-free comparison."""
    from rhotem.microscope.abtem_engine import AbtemEngine

    slices, tiling = crystal[0], (2, 2)
    microscope = Microscope(energy=200e3, convergence=25, defocus=40)
    positions = np.array([[0.3, 0.0], [2.37, 4.9]])
    patterns = {}
    for name in ("bloch", "prism"):
        if name == "bloch":
            engine = BlochEngine(microscope, slices.extent, (48, 72), slices.thickness, tiling, 1, refine=False)
        else:
            engine = AbtemEngine(microscope, slices.extent, (48, 72), slices.thickness, tiling, (1, 1))
        recorder = Recorder([Pixelated(outer=60)], 2, microscope.wavelength, engine.supercell)
        engine.run(slices.array, positions, {len(slices.array): recorder})
        patterns[name] = recorder.patterns["4D"]
    assert np.abs(patterns["bloch"] - patterns["prism"]).max() < 1e-4 * patterns["bloch"].max()
    assert patterns["prism"].sum() == pytest.approx(patterns["bloch"].sum(), rel=1e-4)
