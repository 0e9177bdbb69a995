"""One network of pictures out of two trainings: the members of both, calibrated together on the validation split.

    python scripts/join_networks.py NETWORK OTHER --dataset DATASET --out columns.safetensors

Both are networks for columns of the same widths and pixel; the splits of their data sets must keep the same elements
from training, or held-out chemistries are none. The header tells both trainings.
"""

import argparse
from pathlib import Path

from rhotem.core import InputError
from rhotem.learned.pictures.weights import load_weights, save_weights
from rhotem.library.dataset import open_dataset
from rhotem.training.pictures.calibrate import calibrated

#: What is found anew, or belongs to a file.
ANEW = ("format", "version", "members", "threshold", "sigma_floor_A", "sigma_scale")


def main() -> None:
    """Join two networks and calibrate them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    first, second = load_weights(asked.network), load_weights(asked.other)
    for key in ("widths", "pixel_A"):
        if first.header[key] != second.header[key]:
            raise InputError(f"{asked.other}: {key} {second.header[key]}, {asked.network} has {first.header[key]}")
    members = [dict(one) for one in (*first.members, *second.members)]
    header = {key: value for key, value in first.header.items() if key not in ANEW}
    told = {key: value for key, value in second.header.items() if key in ("dataset", "identity", "seconds", "training")}
    header |= {"with": told | {"members": len(second.members)}, "threshold": 0.4}
    save_weights(asked.out, members, header)
    said = calibrated(load_weights(asked.out), open_dataset(asked.dataset).shards("validation"))
    save_weights(asked.out, members, header | said)
    print(said)


if __name__ == "__main__":
    main()
