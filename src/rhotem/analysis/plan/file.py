"""Plans in files: YAML or JSON, with the line of every key."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rhotem.core import InputError

#: Nested keys and lists of a plan, and of what a record holds beside one.
DEEPEST = 16
#: Keys and values of a document: aliases can make a few lines of YAML stand for billions.
MOST = 100_000
#: Plain scalars by the core schema of YAML 1.2, in which 2e4 is a number and ``no`` an element.
WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_WHOLE, _REAL = re.compile(r"[-+]?\d+"), re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")


class Mark(NamedTuple):
    """Line and column of a key in a file, counted from 1; in a text the line."""

    line: int
    column: int = 1

    def __str__(self) -> str:
        return str(self.line)


#: Where every key and item stands, by its place: ("specimen", "zone", 0).
Marks = dict[tuple[str | int, ...], Mark]


def read_document(path: Path) -> tuple[Any, Marks]:
    """Content of a YAML or JSON file, and the line of every key and item by its place.

    Raises
    ------
    InputError
        If it cannot be read, is no YAML, or a key stands twice; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8 text'})") from None
    if path.suffix.lower() == ".json":  # YAML would take what JSON does not allow
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {error.lineno}: not readable as JSON: {error.msg}") from None
        except RecursionError:
            raise InputError(f"{path}: nested too deeply for a plan") from None
    return parse_document(text, path)


def parse_document(text: str, path: Path) -> tuple[Any, Marks]:
    """As `read_document`, of a text that stands in ``path``."""
    # JSON may be indented by tabs, which YAML does not know
    plain = re.sub(r"^\t+", lambda tabs: " " * len(tabs[0]), text, flags=re.MULTILINE) if _is_json(text) else text
    try:
        node = yaml.compose(plain, Loader=yaml.SafeLoader)
    except RecursionError:
        raise InputError(f"{path}: nested too deeply for a plan") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "bad character"
        raise InputError(f"{path}{where}: not readable as YAML or JSON: {problem}") from None
    lines: Marks = {}
    return (None if node is None else _content(node, (), path, lines)), lines


def scalar(text: str) -> Any:
    """What a plain word of YAML means."""
    if text.lower() in WORDS and text in (text.lower(), text.upper(), text.capitalize()):
        return WORDS[text.lower()]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _content(node: Any, place: tuple[str | int, ...], path: Path, lines: Marks) -> Any:
    line = _mark(node)
    if len(place) > DEEPEST:
        raise InputError(f"{path}, line {line}: nested too deeply for a plan, or within itself")
    if len(lines) > MOST:
        raise InputError(f"{path}, line {line}: more than {MOST} keys and values; write fewer, or split the plan")
    lines.setdefault(place, line)
    if isinstance(node, yaml.ScalarNode):
        if node.tag not in ("tag:yaml.org,2002:str",) and node.tag.startswith("!"):
            raise InputError(f"{path}, line {line}: tag {node.tag} means nothing in a plan; leave it out")
        return scalar(node.value) if node.style is None else _joined(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_content(item, (*place, i), path, lines) for i, item in enumerate(node.value)]
    content: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), _mark(key_node)
        if not isinstance(key_node, yaml.ScalarNode):
            raise InputError(f"{path}, line {line}: a key is one word")
        if key in content:
            raise InputError(f"{path}, line {line}: key {key} stands twice; give it once")
        lines[(*place, key)] = line
        content[key] = _content(value_node, (*place, key), path, lines)
    return content


def _mark(node: Any) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _joined(text: str) -> str:
    """Text in which JSON wrote characters beyond 16 bits as pairs."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Dumper(yaml.SafeDumper):
    """Writes text that `scalar` would take for something else in quotes."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    quoted = not isinstance(scalar(value), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def to_yaml(data: dict[str, Any]) -> str:
    """YAML in the order of the keys, lists of numbers on one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def write_document(data: dict[str, Any], path: Path) -> None:
    """Write keys and values to a YAML or JSON file.

    Raises
    ------
    InputError
        If its name ends otherwise, or it cannot be written.
    """
    is_json = path.suffix.lower() == ".json"
    if not is_json and path.suffix.lower() not in (".yaml", ".yml"):
        raise InputError(f"{path}: a plan is written to .yaml or .json; name it so")
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n" if is_json else to_yaml(data)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def is_document(path: Path) -> bool:
    """Whether a file is a plan or the record of a run, by its ending and by what stands in it."""
    ending = path.suffix.lower()
    if ending in (".yaml", ".yml"):
        return path.is_file()
    if ending != ".json" or not path.is_file():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return bool(re.search(r'"rhotem(-record)?"\s*[:,}]', _start(path)))
    return isinstance(content, dict) and ("rhotem" in content or content.get("format") == "rhotem-record")


def _start(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")[:4000]
    except OSError:
        return ""
