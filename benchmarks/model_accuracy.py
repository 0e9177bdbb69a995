"""Accuracy of a model on labels it was not trained on, by part and family, beside free atoms: tables of docs/model.md.

    python benchmarks/model_accuracy.py MODEL CONFIG.toml [PART ...]

The split is that of the configuration the model was trained with. Parts: family, validation, rattled, unseen,
elements; all without naming any.
"""

import sys
from statistics import fmean, median

from rhotem.learned.model import load_model
from rhotem.training.config import read_config
from rhotem.training.dataset import read_labels
from rhotem.training.evaluate import evaluate
from rhotem.training.split import split

TITLES = {
    "family": "in family: prototype trained on, composition or ordering not",
    "validation": "in family, watched during training",
    "rattled": "copies of structures that are trained on, displaced and strained",
    "unseen": "unseen chemistry",
    "elements": "parents of elements that few labels have, and molecules",
}


def main(name: str, path: str, *wanted: str) -> None:
    model, _ = load_model(name)
    config = read_config(path)
    parts = split(read_labels(config.data.labels), config.data, config.train.seed).held_out
    for part, labels in parts.items():
        if wanted and part not in wanted:
            continue
        result = evaluate(model, labels)
        print(f"\n{TITLES[part]}")
        print(
            "| family | n | deformation error mean (median) | potential error mean (median) | NMAE % | free atoms % |"
        )
        print("|---|---|---|---|---|---|")
        groups = sorted({s["family"] for s in result["structures"]})
        for group in [*groups, "all"]:
            rows = [s for s in result["structures"] if group in (s["family"], "all")]
            pairs = [[s[c] for s in rows] for c in ("deformation_error", "potential_error_ratio")]
            both = " | ".join(f"{fmean(v):.3f} ({median(v):.3f})" for v in pairs)
            others = [fmean(s[c] for s in rows) for c in ("nmae_valence_percent", "free_atom_nmae_percent")]
            print(f"| {group} | {len(rows)} | {both} | {others[0]:.2f} | {others[1]:.2f} |")
        for s in sorted(result["structures"], key=lambda s: s["deformation_error"]):
            print(
                f"  {s['name']:18s} {s['family']:16s} {s['formula']:16s} {s['deformation_error']:.3f} "
                f"{s['potential_error_ratio']:.3f}"
            )
        overall = result["overall"]
        print(f"encoder {overall['encoder_atoms_per_second']:.0f} atoms/s, {overall['voxels_per_second']:.0f} voxels/s")


if __name__ == "__main__":
    main(*sys.argv[1:])
