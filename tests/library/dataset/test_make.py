"""Data sets: complete, the same bytes from the same plan, whatever was killed; bad input in one line."""

import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.library.dataset import open_dataset
from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import make
from rhotem.library.dataset.verify import verify


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_plan_and_seed_give_the_same_bytes(planned, made):
    again = make(load_dataset_plan(planned / "plan.yaml"), planned / "library", planned / "again", workers=2)
    assert again.drawn == 3 and not again.lacking
    assert contents(planned / "again") == contents(made.folder)


def test_another_seed_gives_other_pictures(planned, made):
    plan = load_dataset_plan(planned / "plan.yaml")
    other = make(plan.model_copy(update={"seed": 1}), planned / "library", planned / "other").dataset
    one, two = (d.shards()[0].read()[0]["image"] for d in (made, other))
    assert not np.array_equal(one, two)


@pytest.mark.slow
def test_killed_at_random_nothing_is_lost_and_nothing_made_twice(planned, made):
    path = planned / "longer.yaml"
    path.write_text((planned / "plan.yaml").read_text().replace("each: 6", "each: 50"))
    whole = make(load_dataset_plan(path), planned / "library", planned / "whole").dataset
    target, chance = planned / "killed", random.Random(3)
    command = [sys.executable, "-m", "rhotem", "dataset", "make", path, "--out", target, "-l", planned / "library"]
    written: dict[str, int] = {}
    for killed in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(written)
        # kills meet the drawing, not the imports: after the folder, or another shard, has appeared
        while process.poll() is None and len(list(target.glob("shards/*.zarr"))) < before + (killed % 2):
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for shard in target.glob("shards/*.zarr"):
            changed = (shard / "zarr.json").stat().st_mtime_ns
            assert written.setdefault(shard.name, changed) == changed, "a whole shard was written again"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert contents(target) == contents(whole.folder)


def test_splits_keep_chemistries_apart(made):
    manganese = {s.about["split"] for s in made.every if "Mn" in s.about["elements"]}
    others = {s.about["split"] for s in made.every if "Mn" not in s.about["elements"]}
    assert (manganese, others) == ({"test"}, {"train"})


def test_the_manifest_says_what_was_drawn(made):
    from pyarrow import parquet

    rows = parquet.read_table(made.folder / "manifest.parquet").to_pylist()
    assert len(rows) == 18
    pictures = {(s.about["id"], i): said for s in made.shards() for i, said in enumerate(s.read()[1])}
    for row in rows:
        said = pictures[row["shard"], row["picture"]]
        assert row["dose_e_per_A2"] == said["dose_e_per_A2"] and 300 <= said["dose_e_per_A2"] <= 1e5
    assert {row["image"] for row in rows} == {"HAADF", "ABF", "iDPC"}


def test_a_damaged_shard_is_found(planned, made):
    copy = planned / "damaged"
    shutil.copytree(made.folder, copy)
    shard = open_dataset(copy).shards()[0]
    file = next(p for p in (shard.path / "image").rglob("*") if p.is_file() and p.name != "zarr.json")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    findings = verify(open_dataset(copy))
    assert findings.whole == 2 and list(findings.damaged) == [shard.about["id"]]
    assert verify(made).damaged == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("recipe: columns", "recipe: colums", ["plan.yaml, line 4", "no such recipe", "columns"]),
        ("each: 6", "ech: 6", ["plan.yaml, line 6", "pictures.ech", "each"]),
        ("each: 6", "dose_e_per_A2: {loguniform: [0, 9]}", ["plan.yaml, line 6", "positive"]),
        ("test: [Mn]", "test: [Xx]", ["plan.yaml, line 7", "Xx"]),
        ("rhotem-dataset: 1", "rhotem-dataset: 9", ["plan.yaml, line 2", "format 9"]),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_with_its_line(planned, tmp_path, old, new, words):
    path = tmp_path / "plan.yaml"
    path.write_text((planned / "plan.yaml").read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        load_dataset_plan(path)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_images_that_nobody_records_and_other_plans_are_refused(planned, made):
    plan = load_dataset_plan(planned / "plan.yaml")
    pictures = plan.pictures.model_copy(update={"images": ("BF",)})
    outcome = None
    with pytest.raises(InputError, match="another plan or seed"):
        outcome = make(plan.model_copy(update={"pictures": pictures}), planned / "library", made.folder)
    with pytest.raises(InputError, match="no image BF"):
        outcome = make(plan.model_copy(update={"pictures": pictures}), planned / "new library", planned / "bf")
    assert outcome is None
    assert not (planned / "new library").exists() and not (planned / "bf").exists(), "nothing is made for nothing"
