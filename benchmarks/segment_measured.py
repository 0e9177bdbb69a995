"""`rhotem segment` on a measured picture of a known crystal, without retraining, against Gaussian fits.

    python benchmarks/segment_measured.py 16_STOimage_1.ser SrTiO3 [--zone 0,0,1] [--network FILE ...]

Truth: fits at the places of the lattice (`rhotem read --columns`), of the columns that a dark field shows. A column is
found within 0.5 Å; nothing is judged within 1 Å of the edge.
"""

import argparse
import time
from collections import Counter

import numpy as np
from scipy.spatial import cKDTree

from rhotem.analysis.run import structure
from rhotem.experiment.calibrate.lattice import find_lattice
from rhotem.experiment.columns.gaussians import fit_columns
from rhotem.experiment.read import read_measurement
from rhotem.learned.pictures import load_weights, segment
from rhotem.library.dataset.scene import SPECIES, species_of

NEAR, EDGE = 0.5, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("structure")
    parser.add_argument("--zone", default="0,0,1")
    parser.add_argument("--network", nargs="+", default=[None])
    asked = parser.parse_args()
    measurement = read_measurement(asked.picture)
    zone = tuple(int(i) for i in asked.zone.split(","))
    lattice = find_lattice(measurement, structure(asked.structure), zone)
    columns = fit_columns(measurement, lattice)
    pixel = np.array([measurement.pixel[1], measurement.pixel[0]])
    size = np.array(measurement.data.shape[::-1]) * pixel
    truth = columns.places[columns.fitted] * pixel
    labels = np.array(columns.labels)[columns.fitted]

    def inside(places):
        return ((places > EDGE) & (places < size - EDGE)).all(axis=1)

    print(f"{inside(truth).sum()} columns fitted: {dict(Counter(labels[inside(truth)].tolist()))}")
    for path in asked.network:
        began = time.process_time()
        found = segment(measurement.data, measurement.pixel, load_weights(path))
        seconds = time.process_time() - began
        places = found.places * pixel
        distance, nearest = cKDTree(truth).query(places)
        back = cKDTree(places).query(truth)[1]
        right = (back[nearest] == np.arange(len(nearest))) & (distance <= NEAR)
        met = np.zeros(len(truth), dtype=bool)
        met[nearest[right]] = True
        hit, missed = int((met & inside(truth)).sum()), int((~met & inside(truth)).sum())
        false = int((~right & inside(places)).sum())
        apart = places[right] - truth[nearest[right]]
        ratio = np.abs(apart) / (found.errors[right] * pixel)
        print(f"{path or 'the network of RhoTEM'}: F1 {2 * hit / (2 * hit + missed + false):.3f}", end=", ")
        print(f"{hit} found, {missed} missed, {false} not there, {seconds:.1f} CPU s")
        print(
            f"  rms along rows, down: {np.sqrt((apart**2).mean(axis=0)).round(3)} Å, bias {apart.mean(axis=0).round(3)}"
        )
        print(f"  within 1 and 2 σ: {(ratio <= 1).mean():.3f} {(ratio <= 2).mean():.3f}")
        classes = found.classes[right].argmax(axis=1) + 1
        for label in sorted(set(labels)):
            chosen = labels[nearest[right]] == label
            counted = Counter(SPECIES[i] for i in classes[chosen])
            meant = SPECIES[species_of(label.split("/")[0])]
            print(f"  {label}, {meant}: {dict(counted)}")


if __name__ == "__main__":
    main()
