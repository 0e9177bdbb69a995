"""The same short training on whole grids and on the few voxels that shards keep of them, seed by seed.

    OMP_NUM_THREADS=1 python benchmarks/label_formats.py FOLDER --seeds 2 3 --steps 600

FOLDER: whole labels that the split trains on (the project's first set, or `data/labels/whole`). Tested is every third
whole label of the split's test part. One run takes a minute to a minute and a half of one core.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from rhotem.labels.members import decode, encode_few
from rhotem.labels.splits import read_split
from rhotem.training.config import read_config
from rhotem.training.dataset import read_labels
from rhotem.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
SPLIT = ROOT / "data" / "training" / "split.json"
SHOWN = ("deformation_error", "potential_error_ratio", "nmae_valence_percent")


def main() -> None:
    """Train both ways with every seed and print the errors side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    parts = read_split(SPLIT)
    whole = [x for x in read_labels([options.folder], wanted=parts["train"]) if x.complete]
    few = [replace(decode(encode_few(x, x.name)), structure=x.structure, name=x.name) for x in whole]
    tested = [x for x in read_labels([ROOT / "data" / "labels" / "whole"], wanted=parts["test"]) if x.complete][::3]
    print(f"{len(whole)} labels trained on, {len(tested)} tested; {options.steps} steps")
    for seed in options.seeds:
        errors = []
        for labels in (few, whole):
            with tempfile.TemporaryDirectory() as out:
                config = read_config(ROOT / "data" / "training" / "ablations.toml")
                config.out, config.train.seed, config.train.steps = out, seed, options.steps
                config.data.split = str(SPLIT)
                config.train.evaluate_every, config.train.evaluate_points = 10**6, 500
                trainer = Trainer(config, labels=[*labels, *tested])
                errors.append(trainer.run()["accuracy"]["family"])
        for name in SHOWN:
            print(f"seed {seed}  {name:24s} few {errors[0][name]:.4f}  whole {errors[1][name]:.4f}")
        print(f"seed {seed}  ratio of deformation errors {np.divide(*(e[SHOWN[0]] for e in errors)):.4f}", flush=True)


if __name__ == "__main__":
    main()
