"""What is damaged costs what it holds and nothing else: descriptions, checksums, catalogues, names of folders."""

import errno
import json
import os
import shutil
import sqlite3

import pytest
from pyarrow.parquet import read_table
from typer.testing import CliRunner

from rhotem.cli.library import app
from rhotem.core import InputError
from rhotem.library.campaign.driver import Crew, drive
from rhotem.library.campaign.ledger import Ledger
from rhotem.library.campaign.model import Limits
from rhotem.library.layout import ABOUT, CATALOGUE, CHECKSUMS, DESCRIPTION, ENTRIES, INCOMING
from rhotem.library.merge import merge
from rhotem.library.repair import folders, look, recover, repair
from rhotem.library.shard import seal
from rhotem.library.store import Library
from tests.library.conftest import tasks


@pytest.fixture
def three(tmp_path, worker):
    """A library of three entries with their files."""
    with Library.create(tmp_path / "three") as library:
        ledger = Ledger(library.catalogue, "fake")
        ledger.begin("{}", tasks(["a", "b", "c"]))
        drive(ledger, Limits(), Crew(1, command=worker))
        yield library


@pytest.mark.parametrize(
    "content", ['{"sha256": {}}', '{"sha256": []}', "[]", '{"bytes": "x", "sha256": {}}', "[" * 9**5]
)
def test_checksums_of_any_content_are_one_damaged_entry(three, content):
    name = three.entries()[1].id
    (three.entries()[1].path.parent / CHECKSUMS).write_text(content)
    assert list(look(three.catalogue).damaged) == [name]
    assert list(repair(three.catalogue).damaged) == [name]
    assert look(three.catalogue).clean and len(three.entries()) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("contrasts"),
        lambda said: said["entry"].update(thicknesses=[]),
        lambda said: said["entry"].update(colour="red"),
        lambda said: said["entry"].update(title=None),
        lambda said: said["entry"].update(title=[]),
        lambda said: said.update(fingerprint="zz"),
        lambda said: said.update(fingerprint="0000"),
        lambda said: said["contrasts"].append(said["contrasts"][0]),
    ],
)
def test_a_description_that_is_no_entrys_stops_neither_repair_nor_merge(three, tmp_path, change):
    folder = three.entries()[0].path.parent
    said = json.loads((folder / DESCRIPTION).read_text())
    change(said)
    (folder / DESCRIPTION).write_text(json.dumps(said))
    seal(folder)
    with Library.create(tmp_path / "other") as other:
        copied, refused = merge(other, three)
        assert copied == 2 and list(refused) == [folder.name] and look(other.catalogue).clean
    three.catalogue.remove(folder.name)
    recover(three.catalogue)
    assert look(three.catalogue).clean and (three.folder / "damaged" / folder.name).is_dir()


def test_a_catalogue_that_takes_nothing_says_nothing_against_entries(three, monkeypatch):
    entry = three.entries()[0]
    three.catalogue.remove(entry.id)

    def full(self, described):
        raise InputError("the catalogue refuses (database or disk is full)")

    with monkeypatch.context() as patch:
        patch.setattr("rhotem.library.catalogue.catalogue.Catalogue.add", full)
        with pytest.raises(InputError, match="disk is full"):
            recover(three.catalogue)
    assert entry.path.parent.is_dir() and not (three.folder / "damaged").exists()
    assert recover(three.catalogue) == [entry.id]


def test_what_was_damaged_twice_is_kept_twice(three, worker):
    name = three.entries()[0].id
    for _ in range(2):
        (three.entry(name).path.parent / DESCRIPTION).write_text("{}")
        repair(three.catalogue)
        drive(Ledger(three.catalogue, "fake"), Limits(), Crew(1, command=worker))
    assert {path.name for path in (three.folder / "damaged").iterdir()} == {name, f"{name}-2"}


def test_merge_copies_what_the_catalogue_knows_and_the_disk_has_lost(three, tmp_path):
    with Library.create(tmp_path / "other") as other:
        merge(other, three)
        shutil.rmtree(other.entries()[0].path.parent)
        assert merge(other, three) == (1, {}) and look(other.catalogue).clean


def test_merge_stops_where_the_disk_is_full(three, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise shutil.Error([("a", "b", str(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "b")))])

    monkeypatch.setattr("rhotem.library.merge.shutil.copytree", full)
    with Library.create(tmp_path / "other") as other:
        with pytest.raises(InputError, match="No space left on device; make room"):
            merge(other, three)
        assert not list((other.folder / INCOMING).iterdir())


def test_an_entry_in_another_folder_is_lost(three):
    entry = three.entries()[0]
    (three.folder / ENTRIES / "zz").mkdir()
    shutil.move(entry.path.parent, three.folder / ENTRIES / "zz")
    assert look(three.catalogue).lost == [entry.id] and entry.id not in folders(three.folder)


@pytest.mark.parametrize("name", ["what?mode=memory", "per%20cent", "a#b", "with space", "é"])
def test_folders_may_have_any_name(three, tmp_path, name, monkeypatch):
    there = tmp_path / name / "library"
    shutil.copytree(three.folder, there)
    with Library.open(there, write=True) as moved:
        assert len(moved.entries()) == 3
    monkeypatch.setattr("rhotem.library.catalogue.connect.os.access", lambda *args: False)  # read without a journal
    with Library.open(there) as moved:
        assert len(moved.entries()) == 3
    assert not (tmp_path / "what").exists()


def test_a_damaged_catalogue_says_what_to_do_and_does_not_look_clean(three, tmp_path):
    three.catalogue.engine.dispose()
    path = three.folder / CATALOGUE
    content = path.read_bytes()
    with sqlite3.connect(path) as connection:
        place = connection.execute("select rootpage from sqlite_master where name = 'tasks_id'").fetchone()[0] - 1
        size = connection.execute("pragma page_size").fetchone()[0]
    path.write_bytes(content[: place * size] + bytes(size) + content[(place + 1) * size :])
    with Library.open(three.folder) as opened:
        assert "damaged catalogue" in "".join(look(opened.catalogue).lines())
    path.write_bytes(b"no catalogue" * 999)
    with pytest.raises(InputError, match=r"move catalogue\.sqlite away, and `rhotem library repair"):
        Library.open(three.folder)
    path.rename(tmp_path / "away")
    with Library.open(three.folder, write=True) as opened:
        repair(opened.catalogue)
        assert len(opened.entries()) == 3 and look(opened.catalogue).clean


def test_a_library_whose_making_was_killed_is_made(tmp_path):
    for name in (ENTRIES, INCOMING):
        (tmp_path / "half" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=r"library\.json is missing or damaged"):
        Library.open(tmp_path / "half")
    with Library.create(tmp_path / "half") as made:
        assert made.entries() == []


@pytest.mark.parametrize("gone", [(), ("entries", "tasks")])
def test_a_catalogue_whose_making_was_killed_is_made(tmp_path, gone):
    Library.create(tmp_path / "half").close()
    with sqlite3.connect(tmp_path / "half" / CATALOGUE) as connection:
        connection.execute("delete from about")
        for table in gone:
            connection.execute(f"drop table {table}")
    with pytest.raises(InputError, match="its catalogue is empty"):
        Library.open(tmp_path / "half")
    with Library.create(tmp_path / "half") as made:
        assert made.entries() == [] and look(made.catalogue).clean


def test_what_others_may_not_read_is_neither_lost_nor_damaged(three, monkeypatch):
    hidden = three.entries()[0].path.parent

    def denied(path, *rest):
        if path in (hidden.parent, hidden / CHECKSUMS):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return kept(path, *rest)

    for name in ("iterdir", "read_bytes"):
        kept = getattr(type(hidden), name)
        with monkeypatch.context() as patch:
            patch.setattr(type(hidden), name, denied)
            with pytest.raises(InputError, match="cannot be read; have its permissions changed"):
                repair(three.catalogue)
    assert len(three.entries()) == 3 and look(three.catalogue).clean


def test_entries_are_as_open_as_their_library_whatever_the_umask(tmp_path, three):
    with Library.create(tmp_path / "shared") as other:
        other.folder.chmod(0o2775)
        before = os.umask(0o077)
        try:
            merge(other, three)
        finally:
            os.umask(before)
        entry = other.entries()[0].path.parent
        assert entry.parent.stat().st_mode & 0o077 == entry.stat().st_mode & 0o077 == 0o075
        assert (entry / CHECKSUMS).stat().st_mode & 0o066 == 0o064


def test_a_server_that_cannot_be_reached_leaves_no_folder_and_shows_no_password(tmp_path):
    with pytest.raises(Exception, match=r"psycopg|refuses|expected") as refused:
        Library.create(tmp_path / "new", "postgresql://me:secret@127.0.0.1:1/none")
    assert not (tmp_path / "new").exists() and "secret" not in str(refused.value)
    Library.create(tmp_path / "new").close()
    assert "catalogue" not in json.loads((tmp_path / "new" / ABOUT).read_text())


def test_an_entry_named_twice_is_exported_once(three, tmp_path):
    name = three.entries()[0].id
    shown = CliRunner().invoke(
        app, ["export", str(three.folder), name, name[:8], "--format", "parquet", "-o", str(tmp_path / "out")]
    )
    assert shown.exit_code == 0
    rows = read_table(tmp_path / "out" / "entries.parquet").column("id").to_pylist()
    assert rows == [name]
