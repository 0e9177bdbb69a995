"""What a battery scientist asks for, one command each, as docs/battery.md has it: built, relaxed, measured."""

import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.battery.builders.stack import parsed
from rhotem.battery.contacts import too_near
from rhotem.cli.battery import app
from rhotem.structure.phases import phase
from rhotem.structure.read import read_structure

PAGE = (Path(__file__).parents[2] / "docs" / "battery.md").read_text()
BLOCK = re.search(r"## Eight requests.*?```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [shlex.split(line)[2:] for line in BLOCK.group(1).splitlines()]

#: Formula, crystals that are the yardstick of contacts, defects, of each request by its output.
KNOWN = {
    "antisites": ({"Li": 20, "Ni": 16, "Mn": 2, "Co": 2, "O": 40}, ["NMC811"], {"antisite": 2}),
    "fault": ({"Li": 3, "Ni": 12, "O": 24}, ["LiNiO2"], {"O1 fault": 1}),
    "rocksalt": (None, ["NMC811", "NiO"], {"boundary": 1}),
    "sei": (None, ["Li", "Li2O", "LiF"], {"interface": 3}),
    "boundary": ({"Li": 8, "Fe": 16, "P": 16, "O": 64}, ["LiFePO4", "FePO4"], {"phase boundary": 2}),
    "crack": (None, ["LiF"], {"crack": 1}),
    "half-sodium": ({"Na": 3, "V": 4, "P": 6, "O": 24}, ["Na3V2(PO4)3"], {"vacancy": 3}),
    "twin": ({"Li": 4, "Mn": 8, "O": 16}, ["LiMn2O4"], {"twin plane": 2}),
}


def run(arguments, folder):
    arguments = [*arguments[:-1], str(folder / arguments[-1])]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output + str(result.exception)
    path = Path(arguments[-1])
    return read_structure(path), json.loads(path.with_name(f"{path.stem}.labels.json").read_text())


def check(structure, record, name):
    formula, crystals, defects = KNOWN[name]
    if formula is not None:
        assert structure.atoms.symbols.formula.count() == formula
    kinds = [defect["kind"] for defect in record["defects"]]
    assert {kind: kinds.count(kind) for kind in kinds} == defects
    assert len(record["atoms"]["role"]) == len(structure)
    return [phase(crystal) for crystal in crystals]


def test_there_are_eight():
    assert sorted(Path(command[-1]).stem for command in COMMANDS) == sorted(KNOWN)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: Path(c[-1]).stem)
def test_requests_are_built(command, tmp_path):
    steps = command.index("--relax")
    structure, record = run([*command[:steps], "-o", command[-1]], tmp_path)
    check(structure, record, Path(command[-1]).stem)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: Path(c[-1]).stem)
def test_requests_are_relaxed(command, tmp_path):
    if os.environ.get("RHOTEM_REQUIRE_TORCH") != "1":
        pytest.importorskip("sevenn", reason="needs SevenNet: pip install 'rhotem[battery]'")
    structure, record = run(command, tmp_path)
    crystals = check(structure, record, Path(command[-1]).stem)
    assert not too_near(structure, crystals)
    done = record["relaxation"]
    assert done["energy_eV"] < done["energy_before_eV"] and done["largest_force_eV_per_A"] < 0.5
    assert done["converged"] or "--steps" in command


def test_two_nanometres_of_rock_salt(tmp_path):
    command = next(c for c in COMMANDS if c[0] == "surface-layer")
    structure, record = run([*command[: command.index("--relax")], "-o", command[-1]], tmp_path)
    z = structure.positions[np.array(record["atoms"]["region"]) == 2, 2]
    assert np.ptp(z) == pytest.approx(20.0, abs=2.1)


def test_layers_are_read_from_the_right():
    layer = parsed("some:folder/Li2O.cif:1,1,1:12", lambda name: name)
    assert (layer.crystal, layer.plane, layer.thickness) == ("some:folder/Li2O.cif", (1, 1, 1), 12.0)
