"""`rhotem battery`: files and records agree; what is wrong ends in one line and leaves nothing."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.battery.builders import builders
from rhotem.cli.battery import app
from rhotem.core import RhoTEMError
from rhotem.structure.read import read_structure


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.extxyz"])
def test_the_record_lists_the_atoms_of_the_file(tmp_path, name):
    run(
        "antisite",
        "LiNiO2",
        "--pair",
        "Li:Ni",
        "--amount",
        "2",
        "--repeat",
        "2,2,1",
        "--seed",
        3,
        "-o",
        tmp_path / name,
    )
    stem = "POSCAR" if name == "POSCAR" else "a"
    record = json.loads((tmp_path / f"{stem}.labels.json").read_text())
    structure = read_structure(tmp_path / name)
    assert record["atoms"]["element"] == structure.atoms.get_chemical_symbols()
    apart = (np.array(record["atoms"]["position_A"]) - structure.positions) @ np.linalg.inv(structure.cell)
    assert np.abs(apart - np.rint(apart)).max() < 1e-4
    roles = np.array(record["atoms"]["role"])
    assert (roles == "antisite").sum() == len(record["defects"]) == 4
    for defect in record["defects"]:
        away = (np.array(defect["position_A"]) - structure.positions) @ np.linalg.inv(structure.cell)
        nearest = np.linalg.norm((away - np.rint(away)) @ structure.cell, axis=1).argmin()
        assert roles[nearest] == "antisite" and record["atoms"]["element"][nearest] == defect["element"]
    assert record["seed"] == 3 and record["options"]["amount"] == "2"


def test_seeds_decide(tmp_path):
    texts = []
    for number, seed in enumerate((1, 1, 2)):
        run(
            "vacancy", "LiCoO2", "--element", "O", "--repeat", "3,3,1", "--seed", seed, "-o", tmp_path / f"{number}.xyz"
        )
        texts.append((tmp_path / f"{number}.xyz").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_every_builder_is_a_command(tmp_path):
    out = run("--help")
    assert all(name in out for name in builders())
    told = json.loads(run("twin", "LiF", "--plane", "1,1,1", "--thickness", "5", "--json", "-o", tmp_path / "t.cif"))
    assert told["defects"][0]["sigma"] == 3 and told["atoms"] == len(read_structure(tmp_path / "t.cif"))


WRONG = [
    (["vacancy", "LiCoO2", "--element", "Mn"], "has no Mn"),
    (["vacancy", "LiCoO2", "--element", "O", "--amount", "9"], "9 atoms asked for; there are 6"),
    (["vacancy", "LiCoO2", "--element", "O", "--spread", "wide", "--amount", "2"], "random, together or apart"),
    (["antisite", "LiCoO2", "--pair", "Li"], "expected 2 values"),
    (["dopant", "LiCoO2", "--replace", "Co:Xx"], "unknown element Xx"),
    (["delithiate", "LiF", "--amount", "100%"], "nothing gives electrons"),
    (["stack", "Li:110:8", "LiF:100:8", "--max-strain", "0.0001"], "no common cell"),
    (["stack", "Li:110:8", "LiF:100"], "expected CRYSTAL:h,k,l:thickness"),
    (["stack", "Li:110:8"], "write  rhotem battery stack"),
    (["twin", "LiF", "--plane", "0,0,0"], "expected indices like"),
    (["twin", "LiF", "--plane", "1,0,0"], "is a mirror plane"),
    (["stacking", "LiNiO2", "--stack", "Q7"], "expected one of O3"),
    (["stacking", "LiNiO2", "--fault", "9:O1"], "a gap from 1 to 6"),
    (["surface-layer", "LiF"], "no layered oxide"),
    (["surface-layer", "LiNiO2", "--sides", "3"], "1 or 2 sides"),
    (["nanoparticle", "LiCoO2", "--faces", "0,0,1:1"], "enclose no particle"),
    (["crack", "LiF", "--size", "20,20,4", "--length", "90"], "longer than the block"),
    (["phase-boundary", "LiFePO4", "LiF"], "is not LiFePO4 with fewer ions"),
    (["vacancy", "LiF", "--element", "Li", "--fmax", "0.1"], "atoms are not relaxed"),
]


@pytest.mark.parametrize("arguments, said", WRONG)
def test_bad_input_leaves_nothing(tmp_path, arguments, said):
    with pytest.raises(RhoTEMError, match=said):
        run(*arguments, "-o", tmp_path / "x.cif")
    assert not list(tmp_path.iterdir())


def test_a_missing_potential_is_one_line(tmp_path):
    """As a user sees it: exit code 2, one line that says what to install, no file."""
    hidden = "import sys; sys.modules['sevenn'] = None; sys.argv[0] = 'rhotem'; from rhotem.cli.main import run; run()"
    arguments = ["battery", "vacancy", "LiF", "--element", "F", "--relax"]
    arguments += ["--potential", "sevennet", "-o", str(tmp_path / "x.cif")]
    result = subprocess.run([sys.executable, "-c", hidden, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "pip install 'rhotem[battery]'" in result.stderr and not list(tmp_path.iterdir())
