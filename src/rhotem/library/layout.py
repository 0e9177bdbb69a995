"""Where things lie in the folder of a library, and which version of that layout this is."""

import json
import os
from pathlib import Path
from typing import Any

from rhotem.core import InputError

#: File that makes a folder a library, and what it says.
ABOUT, FORM, VERSION = "library.json", "rhotem-library", 1
#: The catalogue, where it is no server's.
CATALOGUE = "catalogue.sqlite"
#: Folders of finished entries, of what workers are writing, of copies for other programs.
ENTRIES, INCOMING, INDEX = "entries", "incoming", "index"
#: Claim of the one driver that writes (`rhotem.core.claims`).
DRIVER = "driver.json"
#: Files of an entry. The last one is written last: it vouches for the others.
RESPONSE, STRUCTURE, DESCRIPTION, THUMBNAIL = "response.zarr", "structure.cif", "entry.json", "thumbnail.png"
CHECKSUMS = "checksums.json"
#: What entries of other densities than free atoms keep of these (`rhotem.library.density`); older ones have none.
DENSITY = "density.zarr"
#: What entries of one lens have instead of a response (`rhotem.library.coefficients`).
COEFFICIENTS = "images.zarr"


def entry_folder(identifier: str) -> Path:
    """Folder of an entry, seen from the library: at most 256 folders hold all of them."""
    return Path(ENTRIES) / identifier[:2] / identifier


def said_in(path: Path, form: str) -> dict[str, Any] | None:
    """What a JSON file of a format says; None where there is none."""
    try:
        said = json.loads(path.read_text("utf-8"))
        return dict(said) if said["format"] == form else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def read_about(folder: Path) -> dict[str, Any]:
    """What the library says of itself.

    Raises
    ------
    InputError
        If it is no library, or one of a newer version.
    """
    said = said_in(folder / ABOUT, FORM)
    if said is None and is_left_over(folder):
        raise InputError(
            f"{folder}: its {ABOUT} is missing or damaged; `rhotem campaign run PLAN.yaml --library {folder}` writes it"
        )
    if said is None:
        raise InputError(
            f"{folder}: no library of RhoTEM; `rhotem campaign run PLAN.yaml --library {folder}` makes one"
        )
    version = said.get("version")
    if version != VERSION:
        raise InputError(
            f"{folder}: library of version {version}, this RhoTEM reads version {VERSION}; "
            + ("update RhoTEM" if isinstance(version, int) and version > VERSION else "make it again")
        )
    return said


def is_left_over(folder: Path) -> bool:
    """Whether a folder is a library but for what it says of itself: whoever made or copied it was killed."""
    known = {ENTRIES, INCOMING, INDEX, DRIVER, ABOUT, *(CATALOGUE + end for end in ("", "-wal", "-shm", "-journal"))}
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()
    return {ENTRIES, INCOMING} <= names <= known | {"damaged"} and not (folder / ABOUT).is_dir()


def write_about(folder: Path, catalogue: str | None) -> None:
    """Make a folder a library; ``catalogue`` is the address of a server's database, None: SQLite in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (ENTRIES, INCOMING):
        (folder / name).mkdir(exist_ok=True)
    said: dict[str, Any] = {"format": FORM, "version": VERSION}
    if catalogue is not None:
        said["catalogue"] = catalogue
    write_json(folder / ABOUT, said)


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is whole or as it was before."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
