"""The data-set card: what the pictures are, how they were made, for whom, and what they lack."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rhotem.analysis.plan.file import to_yaml
from rhotem.core.output import output_file
from rhotem.library.dataset.model import DatasetPlan
from rhotem.library.dataset.planes import PLANES
from rhotem.library.dataset.recipes import recipes
from rhotem.library.dataset.store import SPLITS, TABLE, Dataset


def write_card(
    dataset: Dataset, plan: DatasetPlan, rows: Sequence[Mapping[str, Any]], lacking: Mapping[str, str], path: Path
) -> None:
    """Write the card beside the shards."""
    with output_file(path) as target:
        target.write_text(card(dataset, plan, rows, lacking), "utf-8")


def card(dataset: Dataset, plan: DatasetPlan, rows: Sequence[Mapping[str, Any]], lacking: Mapping[str, str]) -> str:
    """Markdown."""
    import rhotem

    recipe = recipes()[plan.recipe]
    said, asked = dict(dataset.about["plan"]), plan.pictures.planes or ()
    lines = [
        f"# {plan.name}",
        "",
        f"Simulated scanning transmission electron microscopy: {recipe.about}. {len(rows)} pictures of "
        f"{len({row['shard'] for row in rows})} responses (structure × zone), made by RhoTEM {rhotem.__version__}.",
        "",
        "## Splits",
        "",
        "By chemistry: a structure with one of the elements kept for a split is in no other.",
        "",
        "| split | pictures | responses | formulas |",
        "|---|---|---|---|",
        *(_split(split, rows) for split in SPLITS),
        "",
        "## Arrays of a shard",
        "",
        *(f"- `{name}`: {about}" for name, about in recipe.arrays.items() if name not in PLANES or name in asked),
        f"- `table`: a row for every column of atoms: {', '.join(TABLE)}; `starts`: where those of a picture begin",
        "",
        "Row 0 is the top; x runs to the right. `manifest.parquet`: a row for every picture, with all that was drawn.",
        "",
        "## Made so",
        "",
        "```yaml",
        to_yaml(said).strip(),
        "```",
        "",
        "## What it lacks",
        "",
        "No inelastic scattering beyond thermal motion, no amorphous layers, no thickness gradient within a picture; "
        "cells repeat over the picture, and so do their defects. Jitter is not in the labels, drift and skew are.",
    ]
    if lacking:
        lines += [
            "",
            "Structures without pictures:",
            "",
            *(f"- {name}: {why}" for name, why in sorted(lacking.items())),
        ]
    return "\n".join(lines) + "\n"


def _split(split: str, rows: Sequence[Mapping[str, Any]]) -> str:
    own = [row for row in rows if row["split"] == split]
    formulas = Counter(row["formula"] for row in own)
    return f"| {split} | {len(own)} | {len({row['shard'] for row in own})} | {', '.join(sorted(formulas))} |"
