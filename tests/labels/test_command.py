"""`rhotem labels` as a user meets it."""

import pytest
from typer.testing import CliRunner

from rhotem.cli.labels import app
from rhotem.core import InputError
from rhotem.labels.npz import write_npz

command = CliRunner()


def test_list_shows_the_jobs_and_runs_nothing(tmp_path):
    (tmp_path / "p.yaml").write_text("output: out\nrecipes: [{prototype: rocksalt}, {prototype: o3}]")
    result = command.invoke(app, ["run", str(tmp_path / "p.yaml"), "--list"])
    assert result.exit_code == 0, result.output
    assert result.output.count("to do") == 2
    assert not (tmp_path / "out" / "records").exists()


def test_what_known_labels_hold_is_not_made_again(label, tmp_path):
    plan = tmp_path / "p.yaml"
    plan.write_text("output: out\nrecipes: [{prototype: rocksalt}, {prototype: o3}]")
    first = command.invoke(app, ["run", str(plan), "--list"]).output.split()[0]
    (tmp_path / "known").mkdir()
    write_npz(label, tmp_path / "known" / f"{first}.npz")
    result = command.invoke(app, ["run", str(plan), "--list", "--known", str(tmp_path / "known")])
    assert "1 of 2 labels are known" in result.output
    assert result.output.count("to do") == 1 and first not in result.output


def test_status_names_what_is_rejected(label, tmp_path):
    (tmp_path / "records").mkdir()
    write_npz(label, tmp_path / "records" / "good.npz")
    (tmp_path / "records" / "bad.npz").write_bytes(b"not a label")
    result = command.invoke(app, ["status", str(tmp_path)])
    assert "1 labels accepted" in result.output
    assert "rejected: bad" in result.output


def test_status_of_nothing_says_how_to_begin(tmp_path):
    (tmp_path / "p.yaml").write_text("output: out\nrecipes: []")
    result = command.invoke(app, ["status", str(tmp_path / "p.yaml")])
    assert isinstance(result.exception, InputError)
    assert "labels run" in str(result.exception)


def test_pack_check_splits_in_a_row(label, tmp_path):
    (tmp_path / "raw").mkdir()
    write_npz(label, tmp_path / "raw" / "a.npz")
    for arguments in (
        ["shard", "raw", "shards"],
        ["pack", "raw", "kept"],
        ["check", "shards", "raw"],
        ["splits", "splits", "shards", "raw"],
    ):
        result = command.invoke(app, [arguments[0], *(str(tmp_path / a) for a in arguments[1:])])
        assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "splits").glob("*.json"))) == 8


def test_compare_of_a_label_with_itself(label, tmp_path):
    write_npz(label, tmp_path / "a.npz")
    result = command.invoke(app, ["compare", str(tmp_path / "a.npz"), str(tmp_path / "a.npz")])
    assert float(result.output) == 0.0


def test_one_file_cannot_hold_many_densities(label, tmp_path):
    for name in "ab":
        write_npz(label, tmp_path / f"{name}.npz")
    result = command.invoke(app, ["export", str(tmp_path), "-o", str(tmp_path / "CHGCAR")])
    assert isinstance(result.exception, InputError)


@pytest.mark.parametrize(
    "name", ["run", "status", "add", "export", "pack", "shard", "check", "splits", "noise", "compare"]
)
def test_every_command_explains_itself(name):
    assert command.invoke(app, [name, "--help"]).exit_code == 0
