"""The repository as a whole: what it promises in README, its layers, its versions, and what must never be in it."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import rhotem
from rhotem.cli.main import COMMANDS, app
from rhotem.labels.read import read_label

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()
BIN = Path(sys.executable).parent

#: Patterns are written in pieces so that this file does not contain what it looks for.
FORBIDDEN = [
    "/" + r"(work|farm|home/\w+|root)/",  # folders of a machine
    r"\." + "library/",
    "before" + "-stop",
    "pypi" + r"\.org",
    "files.python" + "hosted",
    "deb.debian" + r"\.org",
    "registry.npm" + "js",
    r"\b" + "chat" + r"gpt\b",
    r"\b" + "clau" + r"de\b",
    r"\b" + "co" + r"pilot\b",
    "-----BEGIN " + "[A-Z ]*PRIVATE KEY",
]

UNFINISHED = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]


def tracked(*patterns: str) -> list[Path]:
    try:
        listing = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    return [path for name in listing.decode().split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str | None:
    data = path.read_bytes()
    return None if b"\0" in data[:8192] else data.decode(errors="replace")


def shell_lines(text: str) -> list[str]:
    """Commands that a Markdown text tells the reader to type: lines of its sh blocks, without comments."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_nothing_of_the_machine_it_was_made_on():
    pattern = re.compile("|".join(FORBIDDEN), re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in tracked()
        if (text := text_of(path)) is not None
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_nothing_unfinished():
    marks = re.compile("|".join(rf"\b{word}\b" for word in UNFINISHED))
    stubs = re.compile(r"\braise NotImplementedError\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line) or (path.is_relative_to(ROOT / "src") and stubs.search(line))
    ]
    assert not found, "\n".join(found)


def test_files_stay_small():
    """Sources can be read in one go; the repository can be cloned quickly."""
    long = [p.name for p in tracked("src/*.py") if len(p.read_text().splitlines()) > 400]
    assert not long, f"over 400 lines: {long}"
    weights = [p for p in tracked() if p.suffix == ".safetensors"]
    assert sum(p.stat().st_size for p in weights) <= 20e6, "weights of all networks: over 20 MB"
    large = [str(p.relative_to(ROOT)) for p in tracked() if p not in weights and p.stat().st_size > 8e6]
    assert not large, f"over 8 MB: {large}"
    labels, shards = ROOT / "data" / "labels", ROOT / "data" / "labels" / "shards"
    single = [p for p in tracked() if p.is_relative_to(labels) and not p.is_relative_to(shards)]
    assert sum(p.stat().st_size for p in single) <= 45e6, "labels outside of shards: over 45 MB"
    members = {
        f"{p}/{m.filename}": m.compress_size for p in shards.glob("*.zip") for m in zipfile.ZipFile(p).infolist()
    }
    assert sum(members.values()) <= 20e3 * len(members), "labels of shards: over 20 kB in the mean"
    large = [name for name, size in members.items() if size > 40e3 and not read_label(name).complete]
    assert not large, f"over 40 kB, and no whole grid to test against: {large}"


def test_no_room_outgrows_the_house():
    """A room of more than 15 % of the lines holds two rooms."""
    rooms = [path for path in (ROOT / "src" / "rhotem").iterdir() if (path / "__init__.py").exists()]
    lines = {room.name: sum(len(p.read_text().splitlines()) for p in room.rglob("*.py")) for room in rooms}
    total = sum(lines.values())
    assert {name: n / total for name, n in lines.items() if n > 0.15 * total} == {}


def test_rooms_import_one_way():
    answer = subprocess.run([BIN / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_package_folder_is_a_package():
    for path in (ROOT / "src" / "rhotem").rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_help_is_quick():
    """0.5 s of processor time, the best of five: what a quiet machine needs, whatever else this one does."""
    import resource

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "rhotem.cli.main", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) < 0.5


def test_importing_rhotem_imports_nothing_heavy():
    code = "import sys, rhotem; print(len([m for m in sys.modules if m.split('.')[0] in ('numpy', 'scipy', 'ase')]))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0\n"


def test_one_version():
    assert importlib.metadata.version("rhotem") == rhotem.__version__
    assert re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == rhotem.__version__
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == rhotem.__version__


def test_constraints_cover_what_is_required():
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [line for extra in project["optional-dependencies"].values() for line in extra] + project["dependencies"]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in wanted} - {"rhotem"}
    assert not names - set(pinned)


def test_conda_recipe_requires_the_same():
    """conda-forge calls matplotlib without its windows matplotlib-base."""
    recipe = yaml.safe_load((ROOT / "packages" / "conda" / "recipe.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = sorted(line.replace(" ", "") for line in recipe["requirements"]["run"])
    ours = [*project["dependencies"], f"python{project['requires-python']}"]
    assert asked == sorted(re.sub("^matplotlib>", "matplotlib-base>", line) for line in ours)
    assert recipe["context"]["version"] == rhotem.__version__
    assert recipe["build"]["python"]["entry_points"] == [f"{k} = {v}" for k, v in project["scripts"].items()]


def test_density_sources_can_be_loaded():
    """Every registered source is there; those that need an extra say so when used, not when found."""
    from rhotem.density.source import GROUP

    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.dist is not None and entry.dist.name == "rhotem":
            assert callable(entry.load())


def test_readme_commands_exist():
    lines = [line.removeprefix(".venv/bin/") for line in shell_lines(README)]
    commands = [line.split() for line in lines if re.match(r"rhotem\b", line)]
    assert commands, "README shows no rhotem command"
    for words in commands:
        name = words[1]
        assert name.startswith("-") or name in COMMANDS, f"README: no command {' '.join(words)}"
        inner = (
            words[1:3]
            if name in ("structure", "battery", "labels", "model", "campaign", "library", "dataset")
            else words[1:2]
        )
        answer = CliRunner().invoke(app, [*inner, "--help"], env={"COLUMNS": "200"})
        assert answer.exit_code == 0, answer.stderr
        for option in (word.split("=")[0] for word in words[2:] if word.startswith("--")):
            assert option in answer.stdout, f"README: rhotem {' '.join(inner)} has no {option}"


def test_readme_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for line in shell_lines(README) if line.startswith("make ")}
    assert {"demo", "test"} <= named <= targets


def test_readmes_show_the_same():
    """The same commands, Python and pictures in both languages; comments are translated."""
    pattern = re.compile(r"```python\n.*?```|\]\((?:docs/images/|http)[^)]+\)", re.DOTALL)
    assert shell_lines(CHINESE) == shell_lines(README)
    ours, theirs = ([re.sub(r"  # .*", "", part) for part in pattern.findall(text)] for text in (README, CHINESE))
    assert ours == theirs
    assert "README.md" in CHINESE and "README.zh-CN.md" in README


def test_readme_links_and_pictures_are_there():
    for link in re.findall(r"\]\(([^)#]+)", README + CHINESE):
        assert link.startswith("http") or (ROOT / link).exists(), f"README: {link} is not there"


@pytest.mark.slow
def test_readme_python_runs(tmp_path: Path):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for block in blocks:
        answer = subprocess.run(
            [sys.executable, "-c", block],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "MPLBACKEND": "Agg"},
        )
        assert answer.returncode == 0, answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(path: Path, tmp_path: Path):
    answer = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert answer.returncode == 0, answer.stderr
