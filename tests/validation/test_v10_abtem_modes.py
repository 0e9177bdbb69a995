"""Every mode beside abTEM run by hand on the same slices: the same sums, so the same numbers to single precision.

Hard-edged detectors and abTEM's own aperture on both sides. abTEM's slices act where they begin, ours in their middle:
its probe starts half a slice on, and its exit wave is half a slice further on.
"""

import numpy as np
import pytest

from rhotem.microscope.acquisition.camera import exposed
from rhotem.microscope.acquisition.settings import CameraChip
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.derive import derive_images
from rhotem.microscope.optics import soft_disc
from rhotem.microscope.parallel import parallel_images, plane_waves
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Enhanced, Microscope, Pixelated, Segmented
from rhotem.microscope.virtual import virtual_images

from ..microscope.conftest import COLUMNS, gaussian_slices

abtem = pytest.importorskip("abtem")

TILING = (3, 2)
LENS = Microscope(
    energy=200e3,
    convergence=25,
    defocus=40,
    cs=2e4,
    aberrations={"C12": 15.0, "phi12": 0.4, "C21": 200.0, "phi21": 1.1, "C23": 90.0, "phi23": -0.3},
)
#: Angles that no beam of the supercell is near: masks are alike.
RINGS = {"BF": (0, 9.0), "ABF": (12.0, 24.5), "ADF": (28.0, 43.5)}
SEGMENTED = Segmented(inner=6.0, outer=24.5, edges="hard", each=True, rotation=11.0)


@pytest.fixture(scope="module")
def slices():
    return gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, seed=1, strength=3.0)


@pytest.fixture(scope="module")
def ours(slices):
    """Images of one cell by Bloch beams, with abTEM's aperture and hard edges."""
    detectors = (
        *(Annular(name=n, inner=a, outer=b, edges="hard") for n, (a, b) in RINGS.items()),
        Enhanced(inner=12.0, outer=24.5, edges="hard", weight=0.7),
        SEGMENTED,
        CenterOfMass(name="", outer=90.0),
        Pixelated(name="4D", outer=50.0),
    )
    scan = Scan.cell(slices.extent, LENS)
    form = {"edge_average": False, "refine": False}
    engine = BlochEngine(LENS, slices.extent, slices.array.shape[1:], slices.thickness, TILING, 1, **form)
    recorder = Recorder(detectors, len(scan.positions), LENS.wavelength, engine.supercell)
    engine.run(slices.array, scan.positions, {len(slices.array): recorder})
    return derive_images(
        recorder.folded(scan.shape, (1, 1), 1), scan, LENS, detectors, None, {"microscope": LENS.model_dump()}
    )


@pytest.fixture(scope="module")
def theirs(slices, ours):
    """abTEM's measurements at the same positions, by name."""
    extent = tuple(l * m for l, m in zip(slices.extent, TILING, strict=True))
    tiled = np.tile(slices.array, (1, *TILING))
    potential = abtem.PotentialArray(tiled, slice_thickness=slices.thickness, extent=extent)
    coefficients = LENS.coefficients
    coefficients["C10"] += slices.thickness / 2
    probe = abtem.Probe(energy=LENS.energy, semiangle_cutoff=LENS.convergence, aberrations=coefficients)
    probe.grid.match(potential)
    scan = abtem.GridScan(start=(0, 0), end=slices.extent, gpts=ours.scan.shape, endpoint=False)
    turned = np.radians(SEGMENTED.rotation - 45)
    segments = abtem.SegmentedDetector(1, 4, SEGMENTED.inner, SEGMENTED.outer, rotation=turned)
    detectors = {n: abtem.AnnularDetector(a, b) for n, (a, b) in RINGS.items()}
    detectors |= {
        "disc": abtem.AnnularDetector(0, 12.0),
        "segments": segments,
        "4D": abtem.PixelatedDetector(max_angle=None),
    }
    found = probe.scan(potential, scan=scan, detectors=list(detectors.values()), lazy=False)
    return dict(zip(detectors, found, strict=True))


def alike(own, other):
    """Largest deviation over the range."""
    return np.abs(own - other).max() / np.ptp(other)


@pytest.mark.parametrize("name", RINGS)
def test_rings(ours, theirs, name):
    assert alike(ours[name], theirs[name].array) < 1e-4


def test_enhanced_annular_bright_field(ours, theirs):
    assert alike(ours["eABF"], theirs["ABF"].array - 0.7 * theirs["disc"].array) < 1e-4


def test_segments_and_differential_phase_contrast(ours, theirs):
    measured = theirs["segments"].array[:, :, 0]
    for i in range(4):
        assert alike(ours[f"segment{i}"], measured[..., i]) < 1e-4
    # opposite quadrants, each as if at its centroid, along the directions that they are turned to
    pairs = theirs["segments"].differentials((2, 0), (3, 1))
    inner, outer = SEGMENTED.inner, SEGMENTED.outer
    centroid = 2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2) * np.sin(np.pi / 4) / (np.pi / 4)
    deflection = centroid * pairs.array * np.exp(1j * np.radians(SEGMENTED.rotation))
    assert alike(ours["DPCx"], deflection.real) < 1e-4
    assert alike(ours["DPCy"], deflection.imag) < 1e-4
    gradient = abtem.Images(2 * np.pi * 1e-3 / LENS.wavelength * deflection, sampling=pairs.sampling)
    integral = gradient.integrate_gradient().array
    assert alike(ours["iDPC"], integral - integral.mean()) < 1e-3


def test_centre_of_mass_and_its_integral(ours, theirs):
    patterns = theirs["4D"]
    centre = patterns.center_of_mass(units="mrad")
    assert alike(ours["CoMx"], centre.array.real) < 1e-4
    assert alike(ours["CoMy"], centre.array.imag) < 1e-4
    # abTEM integrates the deflection in 1/Å: 2π of it is the gradient of our phase
    integral = 2 * np.pi * patterns.center_of_mass(units="1/Å").integrate_gradient().array
    assert alike(ours["iCoM"], integral - integral.mean() + ours["iCoM"].mean()) < 1e-3


def test_patterns_their_mean_and_virtual_detectors(ours, theirs):
    expected = theirs["4D"].array
    own = ours.patterns["4D"]
    middle, half = [n // 2 for n in expected.shape[2:]], [n // 2 for n in own.shape[-2:]]
    cut = tuple(slice(m - h, m + h + 1) for m, h in zip(middle, half, strict=True))
    expected = expected[..., cut[0], cut[1]]
    assert np.abs(own - expected).max() < 1e-4 * expected.max()
    mean = expected.mean(axis=(0, 1))
    least = [(n - m) // 2 for n, m in zip(ours.diffraction.shape, mean.shape, strict=True)]
    seen = ours.diffraction[least[0] : least[0] + mean.shape[0], least[1] : least[1] + mean.shape[1]]
    assert np.abs(seen - mean).max() < 1e-4 * mean.max()
    ring = virtual_images(ours, [Annular(name="ABF", inner=12.0, outer=24.5, edges="hard")])["ABF"]
    assert alike(ring, theirs["ABF"].array) < 1e-4


@pytest.fixture(scope="module")
def behind(slices):
    """abTEM's exit wave of a plane wave."""
    potential = abtem.PotentialArray(slices.array, slice_thickness=slices.thickness, extent=slices.extent)
    return abtem.PlaneWave(energy=200e3).multislice(potential, lazy=False)


def test_exit_wave_and_focus_series(slices, behind):
    step = slices.thickness / 2
    back = behind.apply_ctf(abtem.CTF(energy=200e3, defocus=step)).array
    own = parallel_images([slices], Microscope(energy=200e3, convergence=1e-6)).exit_wave
    assert np.abs(own - back).max() < 1e-4 * np.abs(back).max()
    for focus in (-150.0, 0.0, 90.0):
        assert alike(imaged(slices, focus), imaged_by_abtem(slices, behind, focus)) < 1e-4


def imaged(slices, focus):
    """HRTEM image behind an aperture of 40 mrad."""
    lens = Microscope(energy=200e3, convergence=1e-6, defocus=focus, cs=2e4, objective=40.0)
    return parallel_images([slices], lens)["HRTEM"]


def imaged_by_abtem(slices, behind, focus):
    """The same, with an aperture whose edge covers pixels of the cell in part, as ours does."""
    extent, shape = slices.extent, slices.array.shape[1:]
    axes = (np.fft.fftfreq(n, length / n) for n, length in zip(shape, extent, strict=True))
    edge = soft_disc(*np.meshgrid(*axes, indexing="ij"), 40e-3 / LENS.wavelength, (1 / extent[0], 1 / extent[1]))
    wave = behind.apply_ctf(abtem.CTF(energy=200e3, defocus=focus + slices.thickness / 2, Cs=2e4)).array
    return np.abs(np.fft.ifft2(np.fft.fft2(wave) * edge)) ** 2


def test_camera_transfers_what_abtem_would_show(slices, behind):
    """Without noise a camera is its MTF: a product in Fourier space."""
    chip = CameraChip(mtf=((0.0, 1.0), (0.5, 0.6), (1.0, 0.2)), dqe=((0.0, 1.0),), gain=3.0)
    image = imaged_by_abtem(slices, behind, 90.0)
    q = 2 * np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in image.shape), indexing="ij"))
    # three points on a line: the curve between them is that line, and constant beyond Nyquist
    seen = np.fft.ifft2(np.fft.fft2(100 * image) * np.interp(q, [0, 1], [1.0, 0.2])).real
    assert alike(exposed(100 * imaged(slices, 90.0), chip, None, {}), 3 * seen) < 1e-4


def test_nanobeam_patterns(slices):
    """Discs that hardly overlap, at three places."""
    lens = Microscope(energy=200e3, convergence=1.5, defocus=40.0)
    tiling = (12, 8)
    form = {"edge_average": False, "refine": False}
    engine = BlochEngine(lens, slices.extent, slices.array.shape[1:], slices.thickness, tiling, 1, **form)
    places = np.array([[0.0, 0.0], [1.1, 2.3], [3.6, 0.4]])
    recorder = Recorder((Pixelated(name="4D", outer=30.0),), len(places), lens.wavelength, engine.supercell)
    engine.run(slices.array, places, {len(slices.array): recorder})
    extent = tuple(length * m for length, m in zip(slices.extent, tiling, strict=True))
    tiled = np.tile(slices.array, (1, *tiling))
    potential = abtem.PotentialArray(tiled, slice_thickness=slices.thickness, extent=extent)
    defocus = lens.defocus + slices.thickness / 2
    probe = abtem.Probe(energy=lens.energy, semiangle_cutoff=lens.convergence, defocus=defocus)
    probe.grid.match(potential)
    detector = abtem.PixelatedDetector(max_angle=None)
    expected = probe.scan(potential, scan=abtem.CustomScan(places), detectors=detector, lazy=False).array
    own = recorder.patterns["4D"]
    cut = [slice(n // 2 - m // 2, n // 2 + m // 2 + 1) for n, m in zip(expected.shape[1:], own.shape[1:], strict=True)]
    assert np.abs(own - expected[:, cut[0], cut[1]]).max() < 1e-4 * expected.max()


def test_hologram(slices, behind):
    lens = Microscope(energy=200e3, convergence=1e-6, defocus=60.0)
    images = parallel_images([slices], lens, hologram=True)
    opened = abtem.CTF(energy=200e3, defocus=60.0 + slices.thickness / 2)
    wave = behind.apply_ctf(opened).array
    own = images["amplitude"] * np.exp(1j * images["phase"])
    assert np.abs(own - wave).max() < 1e-4 * np.abs(wave).max()


@pytest.mark.parametrize("cone", [0.0, 9.0])
def test_spots_of_a_still_and_of_a_precessed_beam(slices, cone):
    lens = Microscope(energy=200e3, convergence=1e-6, precession=cone)
    pattern = parallel_images([slices], lens).diffraction
    potential = abtem.PotentialArray(slices.array, slice_thickness=slices.thickness, extent=slices.extent)
    total = 0.0
    beams = plane_waves(lens, slices)
    for beam in beams:
        wave = abtem.PlaneWave(energy=200e3, tilt=beam.microscope.tilt).multislice(potential, lazy=False).array
        total = total + np.abs(np.fft.fftshift(np.fft.fft2(wave, norm="forward"))) ** 2 / len(beams)
    middle, half = [n // 2 for n in total.shape], [n // 2 for n in pattern.shape]
    least = [min(m, h) - 1 for m, h in zip(middle, half, strict=True)]
    cut = [tuple(slice(c - n, c + n + 1) for c, n in zip(at, least, strict=True)) for at in (middle, half)]
    off = np.abs(pattern[cut[1]] - total[cut[0]])
    direct = tuple(least)
    # both in single precision: the direct beam within its rounding, spots within 1e-4 of the strongest
    assert off[direct] < 2e-6 * total.max()
    off[direct] = 0
    assert off.max() < 1e-4 * np.sort(total.ravel())[-2]
