"""One and many settings of the lens: direct runs and a response, side by side in one run.

    python benchmarks/response.py [--thickness 10] [--phonons 8] [--number 1000] [--images 2000] [--direct 1] [--com]

LiCoO2 [100], free atoms, detectors and grid of the default image (HAADF, ABF, segments; with ``--com`` a centre of mass
to 60 mrad, too). ``--direct`` settings are simulated directly on the response's supercell and compared. CPU seconds are
those of this process, threads included. Without error bars of thermal motion, whose second pass of one share of the κ
may be another share at another aperture.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from rhotem.analysis import run
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import CenterOfMass
from rhotem.microscope.simulate import simulate
from rhotem.scattering.response import Range, response


def random_settings(number, rng):
    """Defocus of both signs, astigmatism and coma, apertures from 18 mrad on."""
    return {
        "defocus": rng.uniform(-20, 60, number),
        "convergence": rng.choice([18.0, 20.0, 22.0], number),
        "aberrations": [
            {"C12": a, "phi12": b, "C21": c, "phi21": d}
            for a, b, c, d in rng.uniform(0, 1, (number, 4)) * [20, np.pi, 300, 2 * np.pi]
        ],
        "focal_spread": rng.uniform(0, 30, number),
        "source_size": rng.uniform(0.0, 0.8, number),
    }


def timed(call):
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thickness", type=float, default=10.0)
    parser.add_argument("--phonons", type=int, default=8)
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--direct", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--com", action="store_true")
    arguments = parser.parse_args()
    cut = run.specimen(run.structure("examples/LiCoO2.cif"), zone=(1, 0, 0), thickness=arguments.thickness)
    potentials, _, cpu = timed(
        lambda: list(run.potential(cut, run.density(cut, "free-atoms"), phonons=arguments.phonons))
    )
    print(f"potentials: {cpu:.1f} CPU s")
    lens = cut.preset.microscope
    detectors = (*cut.preset.detectors, *([CenterOfMass(outer=60)] if arguments.com else []))
    held, wall, cpu = timed(
        lambda: response(
            potentials,
            lens,
            detectors,
            range=Range(defocus=(-20, 60), aberrations={"C12": 20, "C21": 300}, convergence=18),
            repeats=cut.repeats[:2],
            threads=arguments.threads,
            error_bar=False,
            announce=print,
        )
    )
    forms = held.record["seconds_after_propagation"]
    print(held)
    print(
        f"response: {cpu:.1f} CPU s, {wall:.1f} s, of which {forms:.1f} s after propagation; {held.nbytes / 1e6:.1f} MB"
    )
    print(f"peak memory so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    _, wall, cpu = timed(held.images)
    print(f"first image: {cpu:.2f} CPU s, {wall:.2f} s (sums channels; compiles where nothing is cached)")
    every = random_settings(max(arguments.number, arguments.images), np.random.default_rng(0))
    rows = [{name: values[n] for name, values in every.items()} for n in range(max(arguments.number, arguments.direct))]
    _, _, one = timed(lambda: [held.images(defocus=float(d)) for d in every["defocus"][:20]])
    print(f"a further focus, with its record: {one / 20:.4f} CPU s")
    direct = 0.0
    nx, ny = cut.repeats[:2]
    for row in rows[: arguments.direct]:
        asked = held.asked(row, held.thicknesses[0])
        scan = Scan.cell(held.extent, asked)
        whole = Scan((scan.shape[0] * nx, scan.shape[1] * ny), (scan.size[0] * nx, scan.size[1] * ny))
        plan = make_plan(potentials[0], asked, whole, detectors, algorithm="bloch", configurations=len(potentials))
        tiling = tuple(p // r for p, r in zip(held.beams.period, (nx, ny), strict=True))
        plan = replace(plan, tiling=tiling, shared=len(potentials) > 1, threads=arguments.threads, windows=None)
        reference, wall, cpu = timed(
            lambda: simulate(potentials, asked, whole, detectors, plan=plan, repeats=(nx, ny), error_bar=False)  # noqa: B023
        )
        direct += cpu / arguments.direct
        images = held.images(scan=scan, **row)
        worst = max(np.abs(images[n] - reference[n]).max() / np.ptp(reference[n]) for n in images.images)
        print(f"direct: {cpu:.1f} CPU s, {wall:.1f} s; largest difference of any image {worst:.1e} of its range")
    some = {name: values[: arguments.number] for name, values in every.items()}
    _, wall, cpu = timed(lambda: held.series(threads=arguments.threads, **some))
    each = cpu / arguments.number
    print(
        f"{arguments.number} settings: {cpu:.1f} CPU s, {wall:.1f} s: {each:.4f} CPU s each, "
        f"{direct / each:.0f} times less"
    )
    _, wall, cpu = timed(lambda: to_zarr(held, {n: v[: arguments.images] for n, v in every.items()}, arguments.threads))
    rate = 3600 * arguments.images * len(held.series(**rows[0])) / wall
    print(
        f"{arguments.images} settings to Zarr: {wall:.1f} s: {3600 * arguments.images / wall:.0f} settings, "
        f"{rate:.0f} images/h"
    )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def to_zarr(held, every, threads, block=500):
    """All images in one group, block by block."""
    import zarr

    scan = Scan.cell(held.extent, held.microscope)
    number = len(every["defocus"])
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, number, block):
            part = {name: values[start : start + block] for name, values in every.items()}
            for name, values in held.series(scan=scan, threads=threads, **part).items():
                path, shape = Path(folder) / name, (number, *scan.shape)
                if start == 0:
                    zarr.open_array(str(path), mode="w", shape=shape, chunks=(block, *scan.shape), dtype=np.float32)
                zarr.open_array(str(path), mode="r+")[start : start + block] = values


if __name__ == "__main__":
    main()
