"""Writes constraints.txt from the environment it runs in: the versions RhoTEM was last tested with.

Run it with an environment that has every extra installed, after its tests passed:
``.venv/bin/python scripts/update_constraints.py``.
"""

import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Versions RhoTEM was last tested with, for `pip install -c constraints.txt`. Written by scripts/update_constraints.py.
# torch is needed for training and imported networks only; docs/install.md says how to get the small CPU build on Linux.
"""


def closure(name: str, extras: frozenset[str], found: dict[str, str], seen: set[tuple[str, frozenset[str]]]) -> None:
    """Add to ``found`` the versions of everything that ``name[extras]`` requires and this environment has."""
    key = (re.sub(r"[-_.]+", "-", name).lower(), extras)
    if key in seen:
        return
    seen.add(key)
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return
    found[key[0]] = distribution.version.split("+")[0]
    for line in distribution.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras | {""}):
            closure(requirement.name, frozenset(requirement.extras), found, seen)


def main() -> None:
    """Write constraints.txt next to pyproject.toml."""
    found: dict[str, str] = {}
    extras = frozenset(importlib.metadata.metadata("rhotem").get_all("Provides-Extra") or [])
    closure("rhotem", extras, found, set())
    del found["rhotem"]
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))
    (ROOT / "constraints.txt").write_text(HEADER + lines)


if __name__ == "__main__":
    main()
