"""The log of a training run, ``log.csv``, and its picture."""

import csv
from pathlib import Path

#: Parts that are not trained on, and what is watched of them; free atoms have 1, 1 and free_atom_nmae_percent.
WATCHED = ("family", "validation", "rattled", "unseen", "elements")
MEASURED = ("deformation_error", "potential_error_ratio", "nmae_valence_percent", "free_atom_nmae_percent")
#: Means over the steps since the last row.
LOSSES = ("loss", "voxel_error", "potential_error", "spin_error")
COLUMNS = (
    *("step", "minutes", "learning_rate", *LOSSES, "distillation"),
    *(f"{part}_{name}" for part in WATCHED for name in (*MEASURED, "spin_error")),
)


def append(folder: Path, row: dict[str, float]) -> None:
    """Add a row, after the header if it is the first."""
    path = folder / "log.csv"
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        if fresh:
            writer.writeheader()
        writer.writerow({k: (f"{v:.5g}" if isinstance(v, float) else v) for k, v in row.items()})


def trim(folder: Path, step: int) -> None:
    """Drop rows after the step that a run continues from."""
    path = folder / "log.csv"
    if not path.exists():
        return
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if int(row["step"]) <= step]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def learning_curve(folder: Path) -> None:
    """Draw ``learning-curve.png`` from ``log.csv``."""
    from matplotlib.figure import Figure

    with (folder / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for column, label in (
        ("voxel_error", "training voxels"),
        ("family_deformation_error", "held out, in family"),
        ("validation_deformation_error", "validation"),
        ("rattled_deformation_error", "copies of training structures"),
        ("unseen_deformation_error", "unseen chemistry"),
        ("elements_deformation_error", "elements of few labels"),
        ("distillation", "distance from the teacher"),
        ("spin_error", "training voxels, magnetisation"),
        ("family_spin_error", "held out, in family, magnetisation"),
        ("validation_spin_error", "validation, magnetisation"),
    ):
        points = [(int(r["step"]), float(r[column])) for r in rows if r.get(column)]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
    axes.axhline(1.0, color="grey", lw=0.8, ls="--", label="free atoms")
    axes.set(xlabel="step", ylabel="deformation error", yscale="log")
    axes.legend()
    figure.savefig(folder / "learning-curve.png", dpi=150)
