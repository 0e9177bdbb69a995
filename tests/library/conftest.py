"""Libraries of fake entries, in SQLite and on a server."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rhotem.library.campaign.ledger import Ledger
from rhotem.library.campaign.task import Asked, Task
from rhotem.library.catalogue.tables import METADATA
from rhotem.library.store import Library

HERE = Path(__file__).parent
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def tasks(titles: list[str]) -> list[Task]:
    """Tasks of titles; equal titles are equal tasks."""
    return [Task(hashlib.sha256(t.encode()).hexdigest()[:20], t, {}, Asked((1.0,))) for t in titles]


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """The file of the fake worker."""
    spec = importlib.util.spec_from_file_location("fake_worker", HERE / "fake_worker.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def worker() -> tuple[str, ...]:
    """How a fake worker is started."""
    return (sys.executable, str(HERE / "fake_worker.py"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server that is started for these tests and stopped after them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found or importlib.util.find_spec("psycopg") is None:
        pytest.skip("needs PostgreSQL and psycopg: apt-get install postgresql, pip install 'rhotem[postgres]'")
    programs = found[-1].parent
    # the server refuses to be root's
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="rhotem-pg-") as place:
        if user:
            shutil.chown(place, "postgres")
        data = f"{place}/data"
        subprocess.run([programs / "initdb", "-D", data, "-A", "trust", "-U", "tester"], check=True, **QUIET, **user)
        options = f"-c listen_addresses='' -c unix_socket_directories={place} -c fsync=off"
        start = [programs / "pg_ctl", "-D", data, "-w", "-o", options, "-l", f"{place}/log", "start"]
        subprocess.run(start, check=True, **QUIET, **user)
        try:
            yield f"postgresql://tester@/postgres?host={place}"
        finally:
            subprocess.run([programs / "pg_ctl", "-D", data, "-m", "fast", "stop"], check=True, **QUIET, **user)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Library]:
    """An empty library with its catalogue in the folder, and one with its catalogue on a server."""
    address = request.getfixturevalue("server") if request.param == "postgresql" else None
    with Library.create(tmp_path / "library", address) as made:
        yield made
        if address is not None:
            METADATA.drop_all(made.catalogue.engine)


@pytest.fixture
def filled(library: Library, fake: ModuleType) -> Library:
    """The same with forty fake entries, without their files."""
    for task in tasks([f"entry {i}" for i in range(40)]):
        said = fake.described(task.id, task.title)
        said["entry"] |= {"bytes": 1000, "checksum": "0" * 64, "state": "good"}
        library.catalogue.add(said)
    return library


@pytest.fixture
def campaign(library: Library) -> Callable[..., Ledger]:
    """A campaign of tasks of such titles in a library."""

    def make(titles: list[str], name: str = "fake") -> Ledger:
        ledger = Ledger(library.catalogue, name)
        ledger.begin("{}", tasks(titles))
        return ledger

    return make
