"""Accuracy of a model on held-out labels, by family, beside free atoms: the tables of docs/model.md.

    python benchmarks/model_accuracy.py MODEL CONFIG.toml

The split is that of the configuration the model was trained with.
"""

import sys
from statistics import fmean, median

from rhotem.models.checkpoint import load_model
from rhotem.models.config import read_config
from rhotem.models.dataset import read_labels
from rhotem.models.evaluate import evaluate
from rhotem.models.split import split


def main(name: str, path: str) -> None:
    model, _ = load_model(name)
    config = read_config(path)
    parts = split(read_labels(config.data.labels), config.data, config.train.seed)
    for title, labels in (("in family", parts.family), ("unseen chemistry", parts.unseen)):
        result = evaluate(model, labels)
        print(f"\n{title}\n| family | n | deformation error mean (median) | potential error | NMAE % | free atoms % |")
        print("|---|---|---|---|---|---|")
        groups = sorted({s["family"] for s in result["structures"]})
        for group in [*groups, "all"]:
            rows = [s for s in result["structures"] if group in (s["family"], "all")]
            error = [s["deformation_error"] for s in rows]
            columns = ("potential_error_ratio", "nmae_valence_percent", "free_atom_nmae_percent")
            others = [fmean(s[c] for s in rows) for c in columns]
            print(
                f"| {group} | {len(rows)} | {fmean(error):.3f} ({median(error):.3f}) | {others[0]:.3f} | "
                f"{others[1]:.2f} | {others[2]:.2f} |"
            )
        for s in result["structures"]:
            print(f"  {s['name']:24s} {s['family']:14s} {s['formula']:14s} {s['deformation_error']:.3f}")
        overall = result["overall"]
        print(f"encoder {overall['encoder_atoms_per_second']:.0f} atoms/s, {overall['voxels_per_second']:.0f} voxels/s")


if __name__ == "__main__":
    main(*sys.argv[1:])
