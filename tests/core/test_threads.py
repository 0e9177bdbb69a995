"""Threads: what the machine gives, or less where OMP_NUM_THREADS says so."""

import os

import pytest

from rhotem.core.threads import available_threads


@pytest.mark.parametrize("asked, expected", [("1", 1), ("2", 2), ("2,1", 2), (" 3 ", 3), ("999", 4)])
def test_no_more_than_asked_for_nor_than_there_are(monkeypatch, asked, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert available_threads() == expected


@pytest.mark.parametrize("asked", [None, "", "0", "all"])
def test_all_of_them_where_nothing_sensible_is_asked(monkeypatch, asked):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert available_threads() == 4
