"""Whether a data set is what was written."""

from dataclasses import dataclass, field

from rhotem.core import InputError, Progress, silent
from rhotem.library.dataset.store import MANIFEST, Dataset


@dataclass
class Findings:
    """What was found.

    Parameters
    ----------
    whole, pictures : int
        Shards whose checksums are right, and their pictures.
    damaged : dict
        By shard, what is wrong.
    missing : list of str
        Titles of shards that were not made.
    """

    whole: int = 0
    pictures: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """In words."""
        return [
            f"{self.whole} shards whole, {self.pictures} pictures",
            *(f"damaged: {reason}" for reason in self.damaged.values()),
            *(f"not made: {title}" for title in self.missing),
        ]


def verify(dataset: Dataset, progress: Progress = silent) -> Findings:
    """Read every shard and compare it with its checksums, and the manifest with the shards."""
    findings = Findings()
    for number, shard in enumerate(dataset.every):
        if not shard.there:
            findings.missing.append(shard.about["title"])
        else:
            try:
                findings.pictures += len(shard.read()[1])
                findings.whole += 1
            except InputError as error:
                findings.damaged[shard.about["id"]] = str(error)
        progress("shards", number + 1, len(dataset.every))
    if not findings.damaged and findings.whole:
        listed = _listed(dataset)
        if listed != findings.pictures:
            findings.damaged[MANIFEST] = (
                f"{dataset.folder / MANIFEST}: {listed} pictures, shards hold {findings.pictures}; "
                "`rhotem dataset make` writes it again"
            )
    return findings


def _listed(dataset: Dataset) -> int:
    """Rows of the manifest; -1 where there is none that can be read."""
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(dataset.folder / MANIFEST).num_rows)
    except (OSError, ValueError):
        return -1
