"""Makes `data/training/split-elements.json`: the split of before, and the labels of new elements by their parents.

    python scripts/make_element_split.py data/labels/shards/000[13456].zip

What `split.json` names stays where it is. Of other labels a parent is held out (part "elements") by the hash that
`rhotem labels splits` tests by, else trained on: also those that it would watch, as the old ones do for that, and as
selenium and palladium have labels of few other parents.
"""

import json
import sys
from pathlib import Path

from rhotem.labels.read import read_labels
from rhotem.labels.splits import is_test_parent, parent_of, read_split

TRAINING = Path(__file__).parents[1] / "data" / "training"


def main(*shards: str) -> None:
    """Labels of suspect spin are left out, as everywhere."""
    parts = read_split(TRAINING / "split.json")
    named = {name for names in parts.values() for name in names}
    fresh = [label for label in read_labels(shards) if label.name not in named and not label.suspect]
    held = [label for label in fresh if is_test_parent(parent_of(label.meta))]
    parts["elements"] = sorted(label.name for label in held)
    parts["train"] += sorted({label.name for label in fresh} - {*parts["elements"]})
    content = {"schema": 1, "name": "elements", "parts": parts}
    (TRAINING / "split-elements.json").write_text(json.dumps(content, indent=0) + "\n")
    print(f"{len(fresh)} labels, {len(held)} held out: {', '.join(sorted(label.formula for label in held))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
