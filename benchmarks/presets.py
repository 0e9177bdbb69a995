"""Every preset against abTEM run by hand on its own fine grid: free atoms of Lobato's table at rest.

    python benchmarks/presets.py [PRESET ...] [--crystal SrTiO3] [--third]

Probes: sixteen positions on a diagonal of the cell, detectors with hard edges on both sides, the same supercell, so
that grid, slices and potential are tested and no edges. abTEM: a third of our slices, 0.02 Å, its own `Potential`,
`Probe` and detectors; patterns are |FFT|² of its exit waves. Parallel beams: abTEM's `PlaneWave` and `CTF`, without
focal spread and angles, whose exact pair factors abTEM does not have (docs/validation-images.md). Errors are the
largest deviation over the range of abTEM's image.

``--third`` decides between both with a multislice of its own for presets with a probe: double precision, whole atoms at
their own heights, their projected potentials summed in Fourier space on the grid itself, exp(iσV) on four times the
points, cut to the grid's band, no band limit but a plain circle. Errors of RhoTEM and of abTEM against it are printed.
"""

import argparse
import time

import numpy as np

from rhotem.analysis import run
from rhotem.core.units import VOLT_PER_FE
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.optics import aberration_phase, soft_aperture
from rhotem.microscope.parallel import parallel_images
from rhotem.microscope.presets import PRESETS
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import fourier_resample
from rhotem.potential.parametrizations import form_factor
from rhotem.potential.slices import build_potential

ZONES = {"SrTiO3": (0, 0, 1), "Si": (1, 1, 0), "LiCoO2": (1, 0, 0)}
#: Å of abTEM's pixels; times finer that its potential is made, as its interpolation between pixels damps it (by 9 % of
#: intensities at 4/Å on pixels of 0.03 Å); times thinner than ours its slices are; Å of the probe's supercell at least.
STEP, SHARPER, FINER, WIDE = 0.02, 4, 3, 15.0
PROBES = 16
#: mrad that the third calculation carries: pixels of 0.03 Å at 200 kV, finer at more.
CARRIED = 280.0
#: mrad; what a focal spread of 30 Å lets through, which abTEM has as an envelope alone; no spot is on its edge.
OBJECTIVE = 24.0


def by_hand(cut):
    """abTEM's potential of one cell of the specimen, on its own grid, and how often it is repeated along the beam."""
    import abtem

    depth = round(cut.block.lengths[2] / cut.cell.lengths[2])
    slices = FINER * round(cut.grid.shape[2] / depth)
    shape = tuple(int(np.ceil(length / STEP)) for length in cut.cell.lengths[:2])
    atoms = cut.cell.structure.atoms  # planes lie in the middle of slices, and so of one of three
    made = abtem.Potential(
        atoms,
        gpts=tuple(SHARPER * n for n in shape),
        slice_thickness=cut.cell.lengths[2] / slices + 1e-9,
        parametrization="lobato",
        projection="infinite",
    ).build(lazy=False)
    array = np.stack([fourier_resample(np.asarray(one), shape) for one in made.array]).astype(np.float32)
    return abtem.PotentialArray(array, slice_thickness=made.slice_thickness[0], extent=made.extent), depth


def tiled(made, tiling, depth):
    """The specimen of abTEM, and its cell repeated across the beam."""
    import abtem

    extent = tuple(n * length for n, length in zip(tiling, made.extent, strict=True))
    array = np.tile(made.array, (1, *tiling))
    one = abtem.PotentialArray(array, slice_thickness=made.slice_thickness[0], extent=extent)
    return abtem.CrystalPotential(one, (1, 1, depth)), one


def theirs(cut, tiling, positions):
    """Diffracted intensities (probes, nx, ny) of abTEM by hand, in fft order: fractions of the beam."""
    import abtem

    microscope = cut.preset.microscope
    made, depth = by_hand(cut)
    potential, one = tiled(made, tiling, depth)
    probe = abtem.Probe(energy=microscope.energy, semiangle_cutoff=microscope.convergence, defocus=microscope.defocus)
    probe.grid.match(one)
    found = []
    for position in positions:  # one at a time: little memory
        waves = probe.multislice(potential, scan=abtem.CustomScan(position[None]), lazy=False)
        wave = np.fft.fft2(np.asarray(waves.array).reshape(one.gpts))
        found.append(np.abs(wave) ** 2 / (np.abs(np.fft.fft2(probe.build(lazy=False).array)) ** 2).sum())
    return np.array(found)


def own_potential(cut):
    """Slices as images take them."""
    options = {"oversampling": cut.oversampling, "whole_atoms": True}
    return build_potential(cut.block, cut.grid, parametrization="lobato", **options)


def acting(cut, height, shape):
    """exp(iσV) of the atoms at one height of a cell, on its grid of ``shape`` points."""
    atoms, (lx, ly) = cut.cell.structure, cut.cell.lengths[:2]
    fine = tuple(2 * n for n in shape)
    gx, gy = np.fft.fftfreq(fine[0], lx / fine[0])[:, None], np.fft.fftfreq(fine[1], ly / fine[1])
    g, total = np.hypot(gx, gy), np.zeros(fine, dtype=complex)
    for z, position in zip(atoms.numbers, atoms.positions, strict=True):
        if abs(position[2] % cut.cell.lengths[2] - height) < 1e-3:
            waves = np.exp(-2j * np.pi * (gx * position[0] + gy * position[1]))
            total += form_factor("lobato")(int(z), g.ravel()).reshape(fine) * waves
    phase = cut.preset.microscope.interaction * VOLT_PER_FE / (lx * ly) * np.fft.ifft2(total).real * total.size
    inside = np.ix_(*(np.rint(np.fft.fftfreq(n) * n).astype(int) for n in shape))
    return np.fft.ifft2(np.fft.fft2(np.exp(1j * phase))[inside]) / 4


def third(cut, tiling, positions):
    """Diffracted intensities (probes, nx, ny) by a multislice of its own, in fft order: fractions of the beam."""
    microscope, (lx, ly, depth) = cut.preset.microscope, cut.cell.lengths
    pixel = microscope.wavelength / (3e-3 * CARRIED)
    shape = tuple(int(np.ceil(length / pixel)) for length in (lx, ly))
    heights = np.unique((cut.cell.structure.positions[:, 2] % depth).round(3))
    planes = [np.tile(acting(cut, height, shape), tiling) for height in heights]
    kx = np.fft.fftfreq(planes[0].shape[0], lx / shape[0])[:, None]
    ky = np.fft.fftfreq(planes[0].shape[1], ly / shape[1])
    k2 = kx**2 + ky**2
    keep = np.sqrt(k2) < 2 / 3 * 0.5 / max(lx / shape[0], ly / shape[1])
    ways = np.diff([0.0, *heights, depth + heights[0]])
    travel = [keep * np.exp(-1j * np.pi * microscope.wavelength * k2 * way) for way in ways]
    hole = soft_aperture(kx, ky, microscope, (1 / (lx * tiling[0]), 1 / (ly * tiling[1])))
    found = []
    for x, y in positions:
        wave = hole * np.exp(-1j * aberration_phase(kx, ky, microscope) - 2j * np.pi * (kx * x + ky * y))
        wave = wave / np.sqrt((hole**2).sum()) * travel[0]
        for _ in range(round(cut.block.lengths[2] / depth)):
            for plane, way in zip(planes, travel[1:], strict=True):
                wave = np.fft.fft2(np.fft.ifft2(wave) * plane) * way
        found.append(np.abs(wave) ** 2)
    return np.array(found)


def probes(cut, with_third=False):
    """Errors by image of a preset with a probe, and the seconds of both."""
    microscope = cut.preset.microscope
    detectors = [d.model_copy(update={"edges": "hard"}) if hasattr(d, "edges") else d for d in cut.preset.detectors]
    slices = own_potential(cut)
    tiling = tuple(int(np.ceil(WIDE / length)) for length in slices.extent)
    engine = BlochEngine(microscope, slices.extent, slices.wave_grid, slices.thickness, tiling, edge_average=False)
    positions = np.linspace(0, 1, PROBES, endpoint=False)[:, None] * cut.cell.lengths[:2] + 0.01
    start = time.process_time()
    ours = Recorder(detectors, PROBES, microscope.wavelength, engine.supercell)
    engine.run(slices.array, positions, {len(slices.array): ours})
    middle = time.process_time()
    cells = tuple(round(s / length) for s, length in zip(engine.supercell, cut.cell.lengths, strict=False))
    reference = seen(detectors, engine, theirs(cut, cells, positions))
    end = time.process_time()
    found = compared(images(ours), images(reference))
    if with_third:
        by_third = images(seen(detectors, engine, third(cut, cells, positions)))
        ours_off, theirs_off = (compared(images(one), by_third) for one in (ours, reference))
        found = {f"{name} (third: {ours_off[name]:.2f}, {theirs_off[name]:.2f})": x for name, x in found.items()}
    return found, (middle - start, end - middle)


def seen(detectors, engine, intensity):
    """What detectors record of diffracted intensities (probes, nx, ny)."""
    beams = np.stack(
        np.meshgrid(*(np.rint(np.fft.fftfreq(n) * n).astype(int) for n in intensity.shape[1:]), indexing="ij"), -1
    ).reshape(-1, 2)
    reference = Recorder(detectors, PROBES, engine.microscope.wavelength, engine.supercell)
    flat = intensity.reshape(PROBES, -1)
    reference.add(slice(None), reference.weights(beams), flat)
    reference.show(slice(None), beams, flat)
    return reference


def images(recorder):
    """Signals by name; deflections in mrad over the beam's intensity in the detector."""
    found = dict(zip((channel.name for channel in recorder.channels), recorder.sums.T, strict=True))
    for name in [n for n in found if f"{n}x" in found]:
        found |= {f"{name}{axis}": found[f"{name}{axis}"] / found[name] for axis in "xy"}
    x, y = (np.arange(-n, n + 1) * step for n, step in zip(recorder.pacbed_half, recorder.step, strict=True))
    seen = np.hypot(x[:, None], y) * 1e3 * recorder.wavelength <= recorder.outer
    return found | recorder.patterns | {"PACBED": recorder.pacbed * seen / PROBES}


def compared(ours, reference):
    return {name: 100 * np.abs(ours[name] - v).max() / np.ptp(v) for name, v in reference.items()}


def parallel(cut):
    """Errors of the exit wave, spots and, where there is a lens, image of a parallel beam."""
    import abtem

    plain = {"focal_spread": 0.0, "convergence": 1e-6, "dose": None, "precession": 0.0, "pixel": None}
    plain["objective"] = OBJECTIVE if cut.preset.mode == "hrtem" else None
    microscope = cut.preset.microscope.model_copy(update=plain)
    slices = own_potential(cut)
    start = time.process_time()
    made = parallel_images([slices], microscope, repeats=cut.repeats[:2])
    middle = time.process_time()
    one, depth = by_hand(cut)
    potential, cell = tiled(one, (1, 1), depth)
    wave = abtem.PlaneWave(energy=microscope.energy)
    wave.grid.match(cell)
    exits = wave.multislice(potential, lazy=False)
    errors = {"spots": spots(made, np.asarray(exits.array))}
    if cut.preset.mode == "hrtem":
        # abTEM's slices act where they begin, so that its exit lies half a slice farther
        ctf = abtem.CTF(
            defocus=microscope.defocus + cell.slice_thickness[0] / 2,
            Cs=microscope.cs,
            semiangle_cutoff=OBJECTIVE,
            soft=False,
            energy=microscope.energy,
        )
        image = np.abs(np.asarray(exits.apply_ctf(ctf).array)) ** 2
        errors["HRTEM"] = compared({"i": made["HRTEM"]}, {"i": fourier_resample(image, made["HRTEM"].shape)})["i"]
    return errors, (middle - start, time.process_time() - middle)


def spots(made, wave):
    """Largest deviation of a spot but the direct one over the largest of these, per cent."""
    theirs = np.fft.fftshift(np.abs(np.fft.fft2(wave) / wave.size) ** 2)
    half = np.array(made.diffraction.shape) // 2
    centre = np.array(theirs.shape) // 2
    theirs = theirs[centre[0] - half[0] : centre[0] + half[0] + 1, centre[1] - half[1] : centre[1] + half[1] + 1]
    ours = made.diffraction.copy()
    for one in (ours, theirs):
        one[tuple(half)] = 0.0
    return 100 * np.abs(ours - theirs).max() / theirs.max()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("presets", nargs="*", default=list(PRESETS))
    parser.add_argument("--crystal", default="SrTiO3")
    parser.add_argument("--third", action="store_true", help="a third calculation beside both")
    parser.add_argument("--thickness", type=float, help="nm, instead of the preset's")
    given = parser.parse_args()
    print("| preset | nm | slice Å | grid mrad | errors, % of range | CPU s, ours / abTEM |\n|---|---|---|---|---|---|")
    for name in given.presets:
        preset = PRESETS[name]
        cut = run.specimen(
            run.structure(given.crystal), ZONES[given.crystal], preset=preset, thickness=given.thickness, at_rest=True
        )
        found, seconds = probes(cut, given.third) if preset.mode == "stem" else parallel(cut)
        told = ", ".join(f"{key} {value:.2f}" for key, value in found.items())
        thickness = cut.block.lengths[2] / 10
        print(
            f"| {name} | {thickness:.1f} | {cut.grid.spacing[2]:.2f} | {cut.carried:.0f} | {told} "
            f"| {seconds[0]:.1f} / {seconds[1]:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
