"""Work given to a Dask cluster: unusable ones are said in one line, results come back in order."""

from pathlib import Path

import pytest
from ase.build import bulk
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.core import InputError
from rhotem.core.tasks import connect, pieces
from rhotem.labels import runner
from rhotem.labels.job import Job
from rhotem.structure.model import Structure

distributed = pytest.importorskip("distributed")
NOWHERE = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module")
def cluster():
    """Two workers within this process."""
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as made:
        yield made


class Squares:
    """A job that returns squares."""

    def square(self, index: int) -> int:
        """Of the piece's number."""
        return index**2


def test_pieces_come_back_in_order(cluster, tmp_path: Path) -> None:
    seen = []
    for scheduler in (None, cluster.scheduler_address):
        with pieces(Squares(), tmp_path, scheduler, lambda *stage: seen.append(stage)) as run:
            assert run("square", 7, "squares") == [0, 1, 4, 9, 16, 25, 36]
    assert seen.count(("squares", 7, 7)) == 2


def test_a_folder_that_workers_do_not_see_is_refused(cluster, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="do not see"), connect(cluster.scheduler_address, tmp_path / "nowhere"):
        pass


def test_labels_are_given_to_the_workers(cluster, tmp_path: Path, monkeypatch) -> None:
    """The client is no default one, so that the loop over its futures must be told."""

    def done(directory: Path, line: str, time_limit: float, attempts: int) -> str:
        (directory / f"{Job.from_json(line).id}.txt").write_text(f"{time_limit} {attempts}")
        return "done"

    monkeypatch.setattr(runner, "run_job", done)
    jobs = [Job.of(Structure(bulk("LiF", "rocksalt", a=a))) for a in (4.0, 4.1, 4.2)]
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / f"{jobs[1].id}.json").write_text("{}")
    counts = runner.run(tmp_path, jobs, scheduler=cluster.scheduler_address, time_limit=5.0)
    assert counts == {"done": 2, "failed before": 1}
    assert {p.stem: p.read_text() for p in tmp_path.glob("*.txt")} == {jobs[i].id: "5.0 4" for i in (0, 2)}


def test_no_scheduler_is_one_line_and_exit_code_2(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("rhotem.core.tasks.PATIENCE", 1)
    plan = tmp_path / "p.yaml"
    plan.write_text("output: out\nrecipes: [{prototype: rocksalt}]")
    commands = [
        ["labels", "run", plan],
        ["potential", "LiF", "--source", "free-atoms", "--sampling", 0.2, "-o", tmp_path / "v.zarr"],
    ]
    for command in commands:
        result = CliRunner().invoke(main.app, [str(a) for a in (*command, "--scheduler", NOWHERE)])
        assert result.exit_code == 2, result.output
        assert result.stderr.splitlines()[-1].startswith(f"error: --scheduler {NOWHERE}: no Dask scheduler answers")
