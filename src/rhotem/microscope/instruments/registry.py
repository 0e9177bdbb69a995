"""Instruments by name: those of the package, those in the user's folder, and any file."""

import os
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from rhotem.core import InputError
from rhotem.core.folders import instruments_folder
from rhotem.microscope.instruments.model import Instrument

#: Endings of the files of instruments.
ENDINGS = (".yaml", ".yml")


def library() -> dict[str, Path]:
    """Files of all named instruments; one of the user takes the place of the package's of its name."""
    shipped = Path(str(files("rhotem.microscope.instruments"))) / "library"
    found: dict[str, Path] = {}
    for folder in (shipped, instruments_folder()):
        if folder.is_dir():
            found |= {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS}
    return found


def listed() -> dict[str, Instrument]:
    """All named instruments."""
    return {name: read_instrument(path) for name, path in library().items()}


def path_of(name: str) -> Path:
    """The file of an instrument that is given by name or by path.

    Raises
    ------
    InputError
        If there is none; the message lists the names.
    """
    known = library()
    if name in known:
        return known[name]
    path = Path(name)
    if path.suffix.lower() in ENDINGS or os.sep in name or "/" in name:
        if path.is_file():
            return path
        raise InputError(f"instrument {name}: no such file; `rhotem instruments` lists those with a name")
    raise InputError(
        f"instrument {name!r} is not known; choose one of {', '.join(known)}, give a .yaml file, or put one into "
        f"{instruments_folder()}"
    )


def get_instrument(name: str) -> Instrument:
    """The instrument of a name or a path."""
    return read_instrument(path_of(name))


def read_instrument(path: Path) -> Instrument:
    """The instrument in a YAML file; paths of its maps refer to the folder of the file.

    Raises
    ------
    InputError
        In one line with the file and, where YAML is wrong, the line.
    """
    try:
        return _read(path.absolute(), path.stat().st_mtime_ns)
    except OSError as error:
        raise InputError(f"instrument {path}: cannot be read ({error.strerror})") from None


@lru_cache(maxsize=64)
def _read(path: Path, stamp: int) -> Instrument:
    try:
        text = path.read_text(encoding="utf-8-sig")
        _check_keys(yaml.compose(text, yaml.SafeLoader), path)
        data = yaml.safe_load(text)
    except UnicodeDecodeError:
        raise InputError(f"instrument {path}: not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"instrument {path}{where}: not readable as YAML") from None
    if not isinstance(data, dict) or "rhotem-instrument" not in data:
        raise InputError(
            f"instrument {path}: expected the key rhotem-instrument; `rhotem instruments template` shows one"
        )
    try:
        _check_lengths(data)
        return Instrument(**_numbers(_beside(data, path.parent)))
    except InputError as error:
        raise InputError(f"instrument {path}: {error}") from None


def _check_keys(node: Any, path: Path, above: tuple[Any, ...] = ()) -> None:
    """Refuse keys that stand twice, of which YAML takes the last, and what holds itself."""
    line = node.start_mark.line + 1 if node is not None else 0
    if any(node is other for other in above):
        raise InputError(f"instrument {path}, line {line}: nested within itself")
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _check_keys(inner, path, (*above, node))
    elif isinstance(node, yaml.MappingNode):
        known: set[str] = set()
        for key, inner in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in known:
                raise InputError(f"instrument {path}, line {line}: key {name} stands twice; give it once")
            known.add(name)
            _check_keys(inner, path, (*above, node))


def _check_lengths(data: Mapping[str, Any]) -> None:
    """Refuse lengths without a unit: nobody means 1.4 Å with ``cc: 1.4``.

    Raises
    ------
    InputError
        With the key.
    """
    named = {"cc": data.get("cc")}
    aberrations = data.get("aberrations")
    for name, one in aberrations.items() if isinstance(aberrations, dict) else ():
        if isinstance(one, dict):
            named |= {f"aberrations.{name}.{key}": one.get(key) for key in ("value", "sigma", "limit")}
    for key, value in named.items():
        number = _numbers(value)
        if isinstance(number, int | float) and number:
            raise InputError(f"{key} {value}: a length needs its unit: Å, nm, um or mm, as {value}nm")


def _numbers(value: Any) -> Any:
    """Numbers such as 2e-7, which YAML 1.1 takes for text."""
    if isinstance(value, Mapping):
        return {str(key): _numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_numbers(inner) for inner in value)
    if isinstance(value, str):
        try:
            return float(value) if value[:1] in "+-.0123456789" and value else value
        except ValueError:
            return value
    return value


def _beside(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths of maps seen from everywhere."""
    detectors = data.get("detectors")
    if not isinstance(detectors, list):
        return data
    seen = [
        {**d, "map": str((folder / d["map"]).resolve())} if isinstance(d, dict) and isinstance(d.get("map"), str) else d
        for d in detectors
    ]
    return {**data, "detectors": seen}


def template() -> str:
    """Text of an instrument that shows every key, with what each means."""
    return (Path(str(files("rhotem.microscope.instruments"))) / "template.yaml").read_text(encoding="utf-8")
