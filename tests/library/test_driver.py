"""Tasks are done once, whatever happens to those who do them; what cannot be done says why."""

import json
import os
import shutil
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from rhotem.core import InputError, RhoTEMError
from rhotem.library.campaign.driver import Crew, drive
from rhotem.library.campaign.ledger import Ledger
from rhotem.library.campaign.model import Limits
from rhotem.library.campaign.status import lines
from rhotem.library.catalogue.tables import METADATA
from rhotem.library.hold import hold
from rhotem.library.layout import DRIVER, INCOMING, RESPONSE
from rhotem.library.repair import look, repair
from rhotem.library.shard import new_shard
from rhotem.library.store import Library
from tests.library.conftest import tasks


def begun(ledger: Ledger) -> Counter:
    path = ledger.catalogue.folder.parent / "begun.txt"
    return Counter(path.read_text().split() if path.exists() else [])


def test_every_task_is_done_once_and_no_other_campaign_does_it_again(campaign, worker):
    ledger = campaign(["a", "b", "c"])
    reports = []
    tally = drive(ledger, Limits(), Crew(2, command=worker), lambda t: reports.append(str(t)))
    assert ledger.counts() == {"done": 3, "waiting": 0, "failed": 0, "cancelled": 0}
    assert set(begun(ledger).values()) == {1} and tally.done == 3 and 0 < tally.busy <= 1
    assert "to go" in reports[0] and reports[-1] == "3 of 3 done"
    other = campaign(["b", "c"], name="other")
    assert other.counts()["done"] == 2 and drive(other, Limits(), Crew(1, command=worker)).done == 0
    found = look(ledger.catalogue)
    assert found.clean and found.whole == 3 and not found.unfinished
    assert drive(ledger, Limits(), Crew(1, command=worker)).to_do == 0


def test_failures_are_kept_with_their_reason_and_tried_again_when_asked(campaign, worker):
    ledger = campaign(["wrong", "defect", "crash", "fine"])
    tally = drive(ledger, Limits(attempts=2), Crew(1, command=worker))
    assert (tally.done, tally.failed) == (1, 3)
    assert drive(ledger, Limits(), Crew(1)).given_up == 3  # a run with nothing to do still tells of them
    reasons = {title: reason for _, title, reason in ledger.failures()}
    assert reasons["wrong"] == "this crystal cannot be"
    assert reasons["defect"].startswith("ZeroDivisionError: of the program (fake_worker.py:")
    assert "exit code 9" in reasons["crash"]
    assert sorted(begun(ledger).values()) == [1, 1, 1, 2]  # only the crash was tried again
    assert any("failed: " in line and "this crystal" in line for line in lines(ledger))
    (ledger.catalogue.folder.parent / "healed").touch()
    assert ledger.change(("failed",), "waiting") == 3
    assert drive(ledger, Limits(), Crew(1, command=worker)).done == 1
    assert sorted(title for _, title, _ in ledger.failures()) == ["defect", "wrong"]


def test_a_task_that_is_ended_counts_the_time_that_it_took(campaign, worker):
    """Not the hour that it was allowed."""
    tally = drive(campaign(["spin"]), Limits(seconds=3600, memory="1MB"), Crew(1, command=worker))
    assert (tally.done, tally.failed) == (0, 1) and tally.seconds < 60


@pytest.mark.slow
def test_a_task_beyond_its_limits_is_ended_and_the_rest_goes_on(campaign, worker):
    ledger = campaign(["large 0.6", "spin", "fine"])
    tally = drive(ledger, Limits(seconds=2.0, memory="500MB"), Crew(1, command=worker))
    assert tally.done == 1
    reasons = {title: reason for _, title, reason in ledger.failures()}
    assert "limit of 0.5 GB" in reasons["large 0.6"] and "limit of 2 s of processor time" in reasons["spin"]


@pytest.mark.slow
def test_workers_that_all_die_stop_the_campaign_in_one_line(campaign, worker):
    ledger = campaign([f"crash {i}" for i in range(8)])
    with pytest.raises(RhoTEMError, match=r"5 workers in a row died .*rhotem doctor"):
        drive(ledger, Limits(attempts=1), Crew(1, command=worker))
    assert ledger.counts()["waiting"] == 4


def test_a_full_disk_stops_it_and_fails_no_task(campaign, worker):
    ledger = campaign(["a", "full", "b"])
    with pytest.raises(InputError, match=r"No space left on device; make room, .*resume"):
        drive(ledger, Limits(), Crew(1, command=worker))
    assert ledger.counts() == {"done": 1, "waiting": 2, "failed": 0, "cancelled": 0}
    assert look(ledger.catalogue).clean and not list((ledger.catalogue.folder / INCOMING).iterdir())


def test_a_second_driver_is_refused(campaign, worker):
    ledger = campaign(["a"])
    with (
        hold(ledger.catalogue.folder),
        pytest.raises(InputError, match=rf"process {os.getpid()} of .* is writing into it"),
    ):
        drive(ledger, Limits(), Crew(1, command=worker))
    assert drive(ledger, Limits(), Crew(1, command=worker)).done == 1


def test_cancelled_from_outside_it_ends_after_what_is_in_flight(campaign, worker):
    ledger = campaign([f"slow 0.5 {i}" for i in range(20)])

    def cancel() -> None:
        while not begun(ledger):
            time.sleep(0.05)
        with Library.open(ledger.catalogue.folder, write=True) as other:
            Ledger.named(other.catalogue, "fake").change(("waiting",), "cancelled")

    thread = threading.Thread(target=cancel)
    thread.start()
    drive(ledger, Limits(), Crew(1, command=worker))
    thread.join()
    counts = ledger.counts()
    assert 0 < counts["done"] < 20 and counts["done"] + counts["cancelled"] == 20


def test_a_campaign_of_the_same_name_with_other_tasks_is_refused(campaign):
    campaign(["a", "b"])
    assert campaign(["a", "b"]).counts()["waiting"] == 2
    with pytest.raises(InputError, match="one of that name with other tasks"):
        campaign(["a", "c"])


def test_damaged_lost_and_unknown_entries_are_found_mended_and_made_again(campaign, worker):
    ledger = campaign(["a", "b", "c", "d"])
    drive(ledger, Limits(), Crew(2, command=worker))
    a, b, c, _ = ledger.catalogue.entries()
    (a.path / "data").write_bytes(b"other")
    shutil.rmtree(b.path.parent)
    ledger.catalogue.remove(c.id)
    new_shard(ledger.catalogue.folder, "f" * 20).rename(
        ledger.catalogue.folder / INCOMING / f"{'f' * 20}-{os.uname().nodename}-4194305-00000000"
    )
    found = look(ledger.catalogue)
    assert not found.clean and list(found.damaged) == [a.id] and found.lost == [b.id] and found.unknown == [c.id]
    assert found.whole == 1 and found.unfinished == 1
    assert any(f"{RESPONSE}/data differs from what was written" in line for line in found.lines())
    repair(ledger.catalogue)
    after = look(ledger.catalogue)
    assert after.clean and after.whole == 2 and not after.unfinished
    assert (ledger.catalogue.folder / "damaged" / a.id).is_dir()
    assert drive(ledger, Limits(), Crew(2, command=worker)).done == 2
    assert look(ledger.catalogue).whole == 4


def test_a_catalogue_is_made_again_from_the_entries(campaign, worker):
    ledger = campaign(["a", "b"])
    drive(ledger, Limits(), Crew(2, command=worker))
    before = ledger.catalogue.entries()
    folder = ledger.catalogue.folder
    METADATA.drop_all(ledger.catalogue.engine)
    with pytest.raises(InputError, match="rhotem library repair"):
        Library.open(folder)
    with Library.open(folder, write=True) as again:
        repair(again.catalogue)
        assert again.entries() == before


def test_a_refused_driver_changes_nothing(campaign, worker):
    ledger = campaign(["wrong a", "b"])
    drive(ledger, Limits(), Crew(1, command=worker))
    with hold(ledger.catalogue.folder), pytest.raises(InputError, match="is writing into it"):
        drive(ledger, Limits(), Crew(1, command=worker), again=("failed",))
    assert ledger.counts()["failed"] == 1
    drive(ledger, Limits(), Crew(1, command=worker), again=("failed",))
    assert ledger.failures()[0][2] == "this crystal cannot be" and ledger.recent()[0][0] > 0


def test_a_driver_that_was_taken_for_dead_ends_in_one_line(campaign, worker):
    ledger = campaign(["a", "b", "c"])
    claim = ledger.catalogue.folder / DRIVER

    def take_over(tally):
        claim.write_text(json.dumps({"host": "elsewhere", "pid": 7, "started": 1.0}))

    with pytest.raises(InputError, match="process 7 of elsewhere has taken over"):
        drive(ledger, Limits(), Crew(1, command=worker), take_over)
    assert json.loads(claim.read_text())["host"] == "elsewhere" and ledger.counts()["done"] == 1


def test_limits_of_a_changed_plan_count_for_tasks_that_are_not_done(campaign):
    ledger = campaign(["a", "b"])
    changed = [replace(task, plan={"computing": {"memory": "8GB"}}) for task in tasks(["a", "b"])]
    ledger.begin('{"limits": "other"}', changed)
    assert ledger.plan() == '{"limits": "other"}'
    assert {ledger.next([]).plan["computing"]["memory"]} == {"8GB"}
