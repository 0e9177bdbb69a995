"""Run notebooks, each in an empty folder of its own, and fail where a cell fails.

    python scripts/run_notebooks.py [--write] [NOTEBOOK ...]

Without names all of docs/tutorials. ``--write`` puts the outputs into the notebooks, without times and counters that
change from run to run. Needs nbclient and ipykernel (`pip install -e '.[dev]'`).
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = ROOT / "docs" / "tutorials"
#: Largest notebook with outputs that is kept in the repository, bytes.
LARGEST = 400_000
#: Longest time of one cell, seconds.
LIMIT = 900


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run in a temporary folder.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=resources).execute()
    return notebook


def merged(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs of a cell with neighbouring pieces of one stream as one: commands print in pieces of any length."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Put the outputs into the file; refuse what is too large for the repository."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = merged(cell.outputs)
    notebook.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(notebook)
    if len(text.encode()) > LARGEST:
        sys.exit(f"{path.name}: {len(text.encode())} bytes with outputs, more than {LARGEST}; draw smaller pictures")
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def main() -> None:
    """Run them one after another; exit code 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of docs/tutorials")
    parser.add_argument("--write", action="store_true", help="put the outputs into the notebooks")
    options = parser.parse_args()
    # `%%sh` cells find the rhotem of this environment; pictures are drawn as notebooks draw them
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ.pop("MPLBACKEND", None)
    paths = options.notebooks or sorted(TUTORIALS.glob("*.ipynb"))
    if not paths:
        sys.exit(f"no notebooks in {TUTORIALS}")
    failed = 0
    for path in paths:
        start = time.perf_counter()
        try:
            notebook = executed(path)
        except CellExecutionError as error:
            print(f"{path.name}: failed\n{error}", file=sys.stderr)
            failed = 1
            continue
        if options.write:
            write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
