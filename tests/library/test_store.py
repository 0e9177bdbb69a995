"""A library is opened, refused or made; its catalogue holds what was put into it, in SQLite and PostgreSQL."""

import json
import os
import sqlite3

import pytest
from sqlalchemy import text

from rhotem.core import InputError
from rhotem.library.catalogue import connect
from rhotem.library.catalogue.connect import file_system
from rhotem.library.catalogue.tables import entries
from rhotem.library.layout import ABOUT, CATALOGUE
from rhotem.library.store import Library


def test_entries_come_back_as_they_were(filled, fake):
    listed = filled.entries()
    assert len(listed) == 40 and [e.title for e in listed] == sorted(e.title for e in listed)
    for entry in listed:
        said = fake.described(entry.id, entry.title)["entry"]
        for name in ("formula", "zone", "energy", "temperature", "spacegroup", "defect", "atoms", "prototype"):
            assert getattr(entry, name) == said[name], name
        assert entry.elements == tuple(sorted(said["elements"])) and entry.thicknesses == tuple(said["thicknesses"])
        assert entry.path == filled.folder / "entries" / entry.id[:2] / entry.id / "response.zarr"


def test_an_entry_is_added_once_and_removed_with_all_of_its_rows(filled, fake):
    entry = filled.entries()[0]
    said = fake.described(entry.id, "another title")
    said["entry"] |= {"bytes": 1, "checksum": "1" * 64, "state": "good"}
    filled.catalogue.add(said)
    assert len(filled.entries()) == 40 and filled.entry(entry.id).title == "another title"
    filled.catalogue.remove(entry.id)
    assert len(filled.entries()) == 39
    with filled.catalogue.begin() as connection:
        for table in ("appearances", "contrasts", "elements", "fingerprints"):
            asked = text(f"select count(*) from {table} where entry = :name")
            assert connection.execute(asked, {"name": entry.id}).scalar_one() == 0


def test_a_refused_change_leaves_nothing(filled, fake):
    said = fake.described("a" * 20, "half")
    said["entry"] |= {"bytes": 1, "checksum": "1" * 64, "state": "good"}
    said["contrasts"] *= 2  # twice the same key
    with pytest.raises(InputError, match="the catalogue refuses"):
        filled.catalogue.add(said)
    assert len(filled.entries()) == 40


def test_first_digits_name_an_entry(filled):
    first = filled.entries()[0]
    assert filled.entry(first.id[:9]) == first
    with pytest.raises(InputError, match="no such entry"):
        filled.entry("0" * 12)
    with pytest.raises(InputError, match="expected hexadecimal digits"):
        filled.entry("%")
    letter = max("0123456789abcdef", key=lambda c: sum(e.id.startswith(c) for e in filled.entries()))
    with pytest.raises(InputError, match="several entries begin so"):
        filled.entry(letter)


def test_what_is_no_library_is_refused(tmp_path):
    with pytest.raises(InputError, match="no library of RhoTEM; `rhotem campaign run"):
        Library.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="holds something else"):
        Library.create(tmp_path)
    with pytest.raises(InputError, match="expected postgresql://"):
        Library.create(tmp_path / "new", "mysql://somewhere")


def test_a_newer_library_or_catalogue_is_refused(tmp_path):
    Library.create(tmp_path / "one").close()
    about = tmp_path / "one" / ABOUT
    about.write_text(json.dumps({"format": "rhotem-library", "version": 2}))
    with pytest.raises(InputError, match="library of version 2, this RhoTEM reads version 1; update RhoTEM"):
        Library.open(tmp_path / "one")
    Library.create(tmp_path / "two").close()
    with sqlite3.connect(tmp_path / "two" / CATALOGUE) as connection:
        connection.execute("update about set value = '7' where key = 'schema'")
    with pytest.raises(InputError, match="catalogue of version 7, this RhoTEM knows version 2; update RhoTEM"):
        Library.open(tmp_path / "two")


def test_an_older_catalogue_is_brought_up_to_date_when_it_may_be_written(tmp_path):
    Library.create(tmp_path / "old").close()
    with sqlite3.connect(tmp_path / "old" / CATALOGUE) as connection:
        connection.execute("drop table appearances")
        connection.execute("update about set value = '1' where key = 'schema'")
    with pytest.raises(InputError, match="catalogue of version 1; `rhotem library repair"):
        Library.open(tmp_path / "old")
    Library.open(tmp_path / "old", write=True).close()
    with Library.open(tmp_path / "old") as library, library.catalogue.begin() as connection:
        assert connection.execute(text("select count(harmonics) from appearances")).scalar_one() == 0
        assert connection.execute(text("select value from about where key = 'schema'")).scalar_one() == "2"


def test_the_journal_suits_the_disk(tmp_path, monkeypatch):
    assert file_system(tmp_path) in connect.LOCAL
    for kind, journal in (("ext4", "wal"), ("nfs4", "delete"), ("", "delete")):
        monkeypatch.setattr(connect, "file_system", lambda folder, kind=kind: kind)
        with Library.create(tmp_path / f"on {kind}") as library, library.catalogue.begin() as connection:
            assert connection.execute(text("pragma journal_mode")).scalar_one() == journal


def test_a_folder_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    with Library.create(tmp_path / "library"):
        pass
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    with pytest.raises(InputError, match="nothing can be written there"):
        Library.open(tmp_path / "library", write=True)
    with Library.open(tmp_path / "library") as library:
        assert library.entries([entries.c.formula == "LiF"]) == []
        with pytest.raises(InputError, match="readonly database"):
            library.catalogue.remove("a" * 20)
