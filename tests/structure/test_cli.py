"""The command: files come out, what is wrong ends in one line and exit code 2, nothing half-written."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli.structure import app
from rhotem.core import InputError
from rhotem.structure.phases import names
from rhotem.structure.read import read_structure


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_phases_are_listed_and_written(tmp_path):
    listed = run("phase")
    assert all(name in listed for name in names())
    out = run("phase", "LFP", "-o", tmp_path / "lfp.cif")
    assert "Streltsov" in out and "Pnma" in out
    assert "Streltsov" in (tmp_path / "lfp.cif").read_text()
    assert read_structure(tmp_path / "lfp.cif").atoms.get_chemical_formula() == "Fe4Li4O16P4"


SHARED = """data_x
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
loop_
_space_group_symop_operation_xyz
'x,y,z'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_occupancy
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Li1 Li 0.5 0 0 0
O1 O 1.0 0.5 0.5 0.5
"""


def test_the_ordered_choice_is_written(tmp_path):
    """What the refusal of partial occupancies says to do: one Li for two O."""
    (tmp_path / "shared.cif").write_text(SHARED)
    with pytest.raises(InputError, match=r"rhotem structure check FILE --order -o ordered\.cif"):
        run("check", tmp_path / "shared.cif")
    run("check", tmp_path / "shared.cif", "--order", "-o", tmp_path / "ordered.cif")
    assert read_structure(tmp_path / "ordered.cif").atoms.symbols.formula.count() == {"Li": 1, "O": 2}
    run("orient", tmp_path / "shared.cif", "--order", "-o", tmp_path / "turned.cif")
    assert read_structure(tmp_path / "turned.cif").atoms.symbols.formula.count() == {"Li": 1, "O": 2}


def test_orient_writes_the_cell(tmp_path):
    record = json.loads(run("orient", "LiCoO2", "--zone", "1,0,0", "-o", tmp_path / "x.cif", "--json"))
    assert record["labels"]["zone"] == "[100]" and record["max_strain"] < 1e-9
    cell = read_structure(tmp_path / "x.cif").cell
    assert np.allclose(cell, np.diag(record["lengths_angstrom"]), atol=1e-6)
    text = run("orient", "LiCoO2", "--plane", "1,0,4", "-o", tmp_path / "y.vasp", "--thickness", "5")
    assert "(104)" in text and "written" in text


def test_build(tmp_path):
    out = tmp_path / "half.cif"
    run("build", "LiCoO2", "--deintercalate", "0.5", "-o", out)
    counts = read_structure(out).atoms.symbols.formula.count()
    assert counts["Co"] == 2 * counts["Li"]
    run("build", "LiNiO2", "--repeat", "2,2,1", "--antisite", "Li:Ni", "--vacancy", "O:2", "-o", out)
    assert read_structure(out).atoms.get_chemical_formula() == "Li12Ni12O22"
    run("build", "LiCoO2", "--slab", "1,0,4", "--thickness", "8", "--rattle", "0.01", "-o", out)
    assert np.allclose(read_structure(out).cell[2, :2], 0)
    run("build", "LiNiO2", "--substitute", "Ni:Mn:0.5", "--strain", "0.01,0,0", "-o", out)


def test_interface(tmp_path):
    out = tmp_path / "boundary.cif"
    text = run("interface", "SrTiO3", "SrTiO3", "--upper-up", "1,1,0", "--width", "8", "-o", out)
    assert "repeats along x" in text
    cell = read_structure(out).cell
    assert np.allclose(cell, np.diag(np.diag(cell)), atol=1e-6)


def test_check_reports(tmp_path):
    summary = json.loads(run("check", "Li3PO4", "--json"))
    assert summary["space_group"] == "Pnma" and summary["density_g_cm3"] == pytest.approx(2.445, abs=0.01)
    assert "Wang" in summary["displacements"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("check", "nothing.cif"), "no such file"),
        (("check", "nothing"), "no such phase"),
        (("orient", "LiCoO2", "--zone", "0,0,0"), "no direction"),
        (("orient", "LiCoO2", "--zone", "1,0,0", "--plane", "1,0,0"), "twice"),
        (("orient", "LiCoO2", "--thickness", "-1"), "positive"),
        (("build", "LiCoO2", "--deintercalate", "x"), "not a number"),
        (("build", "LiCoO2", "--substitute", "Co:Ni"), "expected 3"),
        (("build", "LiCoO2", "--vacancy", "Mg"), "has no Mg"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, arguments, message):
    extra = () if arguments[0] == "check" else ("-o", tmp_path / "out.cif")
    with pytest.raises(InputError, match=message):
        run(*arguments, *extra)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="unknown ending"):
        run("phase", "Si", "-o", tmp_path / "si.abc")
    assert list(tmp_path.iterdir()) == []


def test_a_charge_is_kept_for_a_ready_phase(tmp_path):
    text = run("build", "LiF", "--charge", "1", "-o", tmp_path / "x.cif", "--json")
    assert json.loads(text)["charge"] == 1.0


def test_a_phase_in_repeats_of_its_usual_cell(tmp_path):
    run("phase", "NMC811", "--repeat", "5,2,1", "-o", tmp_path / "nmc.cif")
    made = read_structure(tmp_path / "nmc.cif").atoms
    assert len(made) == 120 and np.allclose(made.cell.cellpar()[:2], [14.36, 5.744])
    with pytest.raises(InputError, match="take other repeats"):
        run("phase", "NMC811", "--repeat", "1,1,1", "-o", tmp_path / "no.cif")
    assert not (tmp_path / "no.cif").exists()
