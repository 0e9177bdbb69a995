"""A stranger at the command line: what a wrong word may have meant, and an example of every command."""

import importlib
import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from rhotem.cli import hints, main
from rhotem.cli.examples import EXAMPLES, example_of
from rhotem.core import nearby
from rhotem.experiment.read import formats as measured
from rhotem.structure.read import formats as structures

#: Groups for those who make labels and weights; docs/labels.md and docs/model.md hold their examples.
SPECIAL = ("labels", "model")


def leaves() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name."""

    def below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", {})
        for part, one in inner.items():
            yield from below(one, f"{name} {part}")
        if not inner:
            yield name, command

    for name in main.COMMANDS:
        module = importlib.import_module(f"rhotem.cli.{name.replace('-', '_')}")
        yield from below(typer.main.get_command(module.app), name)


def said(*arguments: str) -> str:
    """The one line of wrong usage."""
    result = CliRunner().invoke(main.app, list(arguments), prog_name="rhotem")
    assert result.exit_code == 2 and result.stdout == "" and result.stderr.count("\n") == 1, result.output
    return result.stderr


def test_every_command_has_an_example_that_it_takes() -> None:
    commands = dict(leaves())
    assert set(EXAMPLES) <= set(commands)
    assert {name for name in commands if name.split()[0] not in SPECIAL} <= set(EXAMPLES)
    for name, arguments in EXAMPLES.items():
        commands[name].make_context(name, shlex.split(arguments))  # refuses unknown options and what is missing


@pytest.mark.parametrize("name", ["image", "structure orient"])
def test_help_ends_with_the_example(name: str) -> None:
    result = CliRunner().invoke(main.app, ["help", *name.split()], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert result.stdout.strip().splitlines()[-1].strip() == f"Example: {example_of(name)}"


def test_help_alone_says_the_first_steps() -> None:
    result = CliRunner().invoke(main.app, ["help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0 and "rhotem read FILE.dm4" in result.stdout
    steps = [line.split()[1] for line in hints.FIRST_STEPS.splitlines()[1:]]
    assert set(steps) <= {*main.COMMANDS, "COMMAND"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("LiCoO2.cif", "rhotem image LiCoO2.cif"),
        ("POSCAR", "rhotem image POSCAR"),
        (r"C:\data\LiCoO2.cif", r"rhotem image C:\data\LiCoO2.cif"),
        ("NMC811", "rhotem image NMC811"),
        ("Na3V2(PO4)3", "rhotem image Na3V2(PO4)3"),
        ("scan_07.DM4", "rhotem read scan_07.DM4"),
        ("version", "rhotem --version"),
        ("phases", "rhotem structure phase"),
    ],
)
def test_a_first_word_that_is_no_command(typed: str, meant: str) -> None:
    assert f"; try: {meant} (see rhotem --help)" in said(typed)


@pytest.mark.parametrize("typed", ["nonsense", "xyz"])
def test_a_word_that_means_nothing(typed: str) -> None:
    assert "try:" not in said(typed)


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [
        ("image", "--voltage", "--energy"),
        ("fit", "--kV", "--energy-keV"),
        ("image", "--energy-keV", "--energy"),
        ("fit", "--convergence", "--convergence-mrad"),
        ("image", "--zone-axis", "--zone"),
        ("image", "--fov", "--field-of-view"),
        ("plan", "--focus", "--foci"),
        ("plan", "--thickness", "--thicknesses"),
        ("image", "--output", "--out"),
        ("density", "--out", "--output"),
    ],
)
def test_an_option_by_the_name_of_another_program(command: str, typed: str, meant: str) -> None:
    assert f"here it is {meant} (see rhotem {command} --help)" in said(command, typed, "1")


@pytest.mark.parametrize("indices", [["1", "0", "0"], ["1", "-1", "0"]])
def test_indices_with_spaces_between(indices: list[str]) -> None:
    assert "--zone 1,0,0" in said("image", "LiF", "--zone", *indices)


def test_an_argument_that_is_missing() -> None:
    assert f"for example: {example_of('image')}" in said("image")
    assert f"for example: {example_of('compare')}" in said("compare", "LiF")


@pytest.mark.parametrize(
    ("option", "value", "unit"), [("--thickness", "10kV", "nm"), ("--energy", "high", "kV"), ("--dose", "3 e", "e/Å²")]
)
def test_an_amount_in_a_unit_of_something_else(option: str, value: str, unit: str) -> None:
    line = said("image", "LiF", option, value)
    assert f"expected a number in {unit}" in line and option in line


def test_endings_of_measured_files_are_those_that_are_read() -> None:
    assert set(nearby.MEASURED) <= set(measured.ENDINGS)
    assert set(structures.MEASURED) <= set(measured.ENDINGS)
    taken = {ending for form in structures.FORMATS for ending in form.endings}
    assert not taken & set(structures.MEASURED) and set(measured.STRUCTURES) <= taken


def test_files_that_are_mistaken(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cathode.cif", "scan.tif"):
        (tmp_path / name).write_bytes(b"II*\0" + bytes(400) if name.endswith("tif") else b"data_x\n")
    assert "did you mean cathode.cif?" in said("image", "Cathode.CIF")
    assert "did you mean scan.tif?" in said("read", "scan1.tif")
    assert "LiCoO2 is a ready phase" in said("image", "LiCoO2.cif")
    assert "inside it, cathode.cif" in said("structure", "check", ".")
    assert "`rhotem read scan.tif` reads it" in said("image", "scan.tif")
    assert "a structure, no measured file" in said("read", "cathode.cif")


def test_reading_says_what_to_do_next(tmp_path) -> None:
    np.save(tmp_path / "scan.npy", np.random.default_rng(0).poisson(50.0, (64, 64)).astype(float))
    asked = ["read", str(tmp_path / "scan.npy"), "--pixel-A", "0.1", "--kind"]
    for kind, more in (("image", "--structure FILE.cif"), ("pattern", "--disc")):
        options = asked if kind == "image" else ["read", str(tmp_path / "scan.npy"), "--kind"]
        result = CliRunner().invoke(main.app, [*options, kind])
        assert result.exit_code == 0, result.output
        last = result.stdout.strip().splitlines()[-1]
        assert last.startswith(f"next: rhotem read {tmp_path / 'scan.npy'} {more}")
