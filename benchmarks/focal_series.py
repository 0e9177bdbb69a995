"""Focal series of HRTEM: how often 68 % intervals hold the truth, and what a fit costs against simulating again.

    OMP_NUM_THREADS=1 python benchmarks/focal_series.py [--series 200] [--electrons 100] [--seed 1000] [--keep FILE.npy]

SrTiO3 [001], 4.3 nm, 300 kV, Cs −16 µm, free atoms. Four images 3.6 nm apart, 40 x 44 pixels of 0.22 Å, made by the
lens itself; every series has places and Poisson noise of its own. Exit waves that fits use are 0.4 nm apart. Fits start
at the truth: this is about errors, not about the search. Atoms at rest; costs are those of four configurations.

    OMP_NUM_THREADS=1 python benchmarks/focal_series.py --write series.npy

writes one such series for `rhotem fit` instead: 150 x 160 pixels, turned by 14°, seed 1 unless given.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from rhotem.analysis import run
from rhotem.experiment.fit.focal import FocalState, Photo, fit_series
from rhotem.experiment.fit.focal.model import FocalLimits, Model
from rhotem.experiment.fit.focal.pairs import Pairs
from rhotem.scattering.exits import exit_waves

SHAPE, PIXEL, BLUR, STEPS = (40, 44), 0.22, 0.3, (0.0, 36.0, 72.0, 108.0)
LIMITS = FocalLimits((-150, 50), (-3e5, 0.0), 20.0, 28.0)
NAMES = ("thickness", "defocus", "focus_step", "Cs", "C12a", "C12b", "focal_spread", "blur")


def preset_of(focus):
    """The microscope at a focus in Å."""
    settings = {"energy": 300.0, "convergence": 0.2, "cs": -0.016, "focal_spread": 28.0, "defocus": 0.1 * focus}
    preset = run.adjusted_preset("hrtem", **settings)
    return preset.model_copy(update={"microscope": preset.microscope.model_copy(update={"dose": None})})


def on_camera(image, size, origin, shape=SHAPE, turn=0.0):
    """An image of the cell, blurred, at the pixels of the camera."""
    row, column = np.indices(shape) * PIXEL
    row, column = np.sin(turn) * column + np.cos(turn) * row, np.cos(turn) * column - np.sin(turn) * row
    q = [np.rint(np.fft.fftfreq(n) * n) / side for n, side in zip(image.shape, size, strict=True)]
    waves = np.fft.fft2(image) / image.size * np.exp(-2 * np.pi**2 * BLUR**2 * (q[0][:, None] ** 2 + q[1][None] ** 2))
    places = origin[0] + column, origin[1] + row
    along = [np.exp(2j * np.pi * place.ravel()[:, None] * one) for place, one in zip(places, q, strict=True)]
    return ((along[0] @ waves) * along[1]).sum(axis=1).real.reshape(shape)


def held_by(cut, potentials, thickest):
    """Exit waves of whole cells, from 0.8 nm on."""
    cell = float(cut.cell.lengths[2])
    depths = cell * np.arange(2, int(thickest / cell) + 1)
    return exit_waves(potentials, cut.preset.microscope, depths, repeats=cut.repeats[:2])


def coverage(cut, arguments):
    """Deviations in errors, parameter by parameter."""
    ideal = [replace(cut, preset=preset_of(step - 80.0)) for step in STEPS]
    potential = run.potential(cut, run.density(cut, "free-atoms"), phonons=0)
    images = [run.image(one, potential) for one in ideal]
    deep = run.specimen(run.structure("SrTiO3"), zone=(0, 0, 1), thickness=7.1, preset=cut.preset)
    held = held_by(deep, run.potential(deep, run.density(deep, "free-atoms"), phonons=0), 70.0)
    truth = np.array([10 * cut.thickness, -80.0, 1.0, -1.6e5, 0.0, 0.0, 28.0, BLUR, PIXEL, 0.0, 0.0, PIXEL])
    kept = arguments.keep
    pulls = np.load(kept).tolist() if kept and kept.exists() else []
    start, before = time.process_time(), len(pulls)
    for n in range(before, arguments.series):
        rng = np.random.default_rng(arguments.seed + n)
        origins = rng.uniform(0, 3.9, (len(STEPS), 2))
        seen = [on_camera(one["HRTEM"], one.scan.size, o) for one, o in zip(images, origins, strict=True)]
        photos = [Photo(rng.poisson(arguments.electrons * np.maximum(one, 0)) * 1.0, True) for one in seen]
        each = np.column_stack([origins, np.full(len(STEPS), arguments.electrons), np.zeros(len(STEPS))])
        state = FocalState(truth, each)
        fit = fit_series(photos, held, [state.affine], STEPS, LIMITS, convergence=0.2, start=state)
        pulls.append([(getattr(fit.state, name) - getattr(state, name)) / fit.error(name) for name in NAMES])
        if kept:
            np.save(kept, np.array(pulls))
    each = (time.process_time() - start) / max(1, arguments.series - before)
    return np.array(pulls), each


def costs(cut):
    """CPU seconds of a direct image, of preparing pairs, of an image from them, and of one with its derivatives."""
    potential = run.potential(cut, run.density(cut, "free-atoms"), phonons=4)
    list(potential)  # what is kept of it is there
    times = [time.process_time()]
    run.image(cut, potential)
    times.append(time.process_time())
    pairs = Pairs(held_by(cut, potential, 45.0), 0.2, LIMITS.least_spread)
    times.append(time.process_time())
    model = Model(pairs, [Photo(np.zeros((128, 128)))], [0.0], LIMITS)
    state = FocalState(
        np.array([40.0, -80.0, 1.0, -1.6e5, 0.0, 0.0, 28.0, BLUR, PIXEL, 0, 0, PIXEL]), np.array([[0.0, 0.0, 1.0, 0.0]])
    )
    model.shown(state)
    times.append(time.process_time())
    model.with_slopes(state)
    return np.diff([*times, time.process_time()])


def write(cut, path, seed, electrons):
    """Write a series that drifts and is turned: what `rhotem fit` is given in docs/fit.md."""
    rng = np.random.default_rng(seed)
    potential = run.potential(cut, run.density(cut, "free-atoms"), phonons=0)
    stack = []
    for step in STEPS:
        shown = run.image(replace(cut, preset=preset_of(step - 80.0)), potential)
        seen = on_camera(shown["HRTEM"], shown.scan.size, rng.uniform(0, 4, 2), (150, 160), np.deg2rad(14.0))
        stack.append(rng.poisson(electrons * np.maximum(seen, 0)))
    np.save(path, np.array(stack, dtype=np.int32))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--keep", type=Path, metavar="FILE.npy", help="deviations so far: another run goes on there")
    parser.add_argument("--electrons", type=float, default=100.0, help="a pixel")
    parser.add_argument("--seed", type=int, help="1000, of --write 1")
    parser.add_argument("--write", type=Path, metavar="FILE.npy", help="a series for rhotem fit, and nothing else")
    arguments = parser.parse_args()
    cut = run.specimen(run.structure("SrTiO3"), zone=(0, 0, 1), thickness=4.3, preset=preset_of(-80.0))
    if arguments.write:
        write(cut, arguments.write, 1 if arguments.seed is None else arguments.seed, arguments.electrons)
        return
    arguments.seed = 1000 if arguments.seed is None else arguments.seed
    pulls, each = coverage(cut, arguments)
    print(f"{arguments.series} series, {arguments.electrons:g} electrons a pixel; a fit: {each:.2f} CPU s")
    for name, column in zip(NAMES, pulls.T, strict=True):
        print(
            f"  {name:12s} {100 * (np.abs(column) < 1).mean():5.1f} % inside 68 % intervals, deviation "
            f"{np.sqrt((column**2).mean()):.2f} errors, mean {column.mean():+.2f}"
        )
    print(f"  together {100 * (np.abs(pulls) < 1).mean():.1f} %")
    direct, once, image, slopes = costs(cut)
    print(
        f"four configurations, 128 x 128 pixels: simulated {direct:.2f} CPU s an image; exit waves and pairs once "
        f"{once:.1f}; then {image:.3f} an image, {slopes:.3f} with 16 derivatives"
    )


if __name__ == "__main__":
    main()
