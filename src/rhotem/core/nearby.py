"""Files that a name that is not there may have meant."""

from difflib import get_close_matches
from pathlib import Path

#: Endings of measured images and patterns, which `rhotem.experiment.read` reads, without those that structures share.
MEASURED = (
    ".dm3", ".dm4", ".emd", ".hspy", ".ser", ".emi", ".mib", ".mrc", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy",
)  # fmt: skip
#: How many files are named, and how alike they are at least.
NAMED, ALIKE = 3, 0.6


def nearby(path: Path) -> str:
    """Words that ask for files of the same folder with such a name, whatever its case; empty without any."""
    try:
        there = {one.name.lower(): one for one in sorted(path.parent.iterdir()) if one.is_file()}
    except OSError:
        return ""
    near = get_close_matches(path.name.lower(), there, NAMED, ALIKE)
    return f"; did you mean {' or '.join(str(there[name]) for name in near)}?" if near else ""


def inside(folder: Path, endings: tuple[str, ...]) -> str:
    """Words that name some files of a folder that have one of the endings; empty without any."""
    try:
        there = sorted(one for one in folder.iterdir() if one.suffix.lower() in endings and one.is_file())
    except OSError:
        return ""
    return f", {' or '.join(map(str, there[:NAMED]))}" if there else ""
