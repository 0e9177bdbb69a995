"""Cells that enclose nothing, in every format that can state one: one line that says so, and exit code 2."""

import itertools
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.core import InputError
from rhotem.structure.read.cell import cell_of

#: Angles that no parallelepiped has: one as large as the two others, one larger, all around, and beyond 180°.
ANGLES = [(90, 40, 50), (30, 30, 90), (120, 120, 120), (90, 90, 190)]
ATOMS = "Li 0 0 0\nF 0.5 0.5 0.5\n"
PLACES = f"%BLOCK POSITIONS_FRAC\n{ATOMS}%ENDBLOCK POSITIONS_FRAC\n"


def cif(angles):
    a, b, c = angles
    return (
        f"data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha {a}\n_cell_angle_beta {b}\n"
        f"_cell_angle_gamma {c}\nloop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
        + ATOMS
    )


def castep(angles):
    words = " ".join(map(str, angles))
    return f"%BLOCK LATTICE_ABC\n4 4 4\n{words}\n%ENDBLOCK LATTICE_ABC\n{PLACES}"


def shelx(angles):
    words = " ".join(map(str, angles))
    atoms = "Li1 1 0 0 0 11.0 0.05\nF1 2 0.5 0.5 0.5 11.0 0.05\n"
    return f"TITL x\nCELL 0.71073 4 4 4 {words}\nLATT -1\nSFAC Li F\nUNIT 1 1\n{atoms}END\n"


def car(angles):
    words = " ".join(f"{a:.4f}" for a in angles)
    row = "{0:5s}{1:15.9f}{2:15.9f}{2:15.9f} XXXX 1      xx      {0:2s}  0.000\n"
    atoms = row.format("Li", 0.0, 0.0) + row.format("F", 2.0, 2.0)
    return f"!BIOSYM archive 3\nPBC=ON\nx\n!DATE\nPBC    4.0000    4.0000    4.0000   {words} (P1)\n{atoms}end\nend\n"


def xtl(angles):
    words = " ".join(map(str, angles))
    return f"x\n4.0 4.0 4.0 {words}\n200.0\n2\nLi\n1 3 1.0 0.01\n0 0 0\nF\n1 9 1.0 0.01\n0.5 0.5 0.5\northogonal\n0\n"


def cel(angles):
    words = " ".join(map(str, angles))
    return f"x\n0 0.4 0.4 0.4 {words}\nLi 0 0 0 1 0.005 0 0 0\nF 0.5 0.5 0.5 1 0.005 0 0 0\n*\n"


def pymatgen(angles):
    lattice = {"a": 4.0, "b": 4.0, "c": 4.0} | dict(zip(("alpha", "beta", "gamma"), angles, strict=True))
    sites = [{"species": [{"element": "Li", "occu": 1}], "abc": [0, 0, 0]}]
    return json.dumps({"lattice": lattice, "sites": sites})


BY_ANGLES = {
    "a.cif": cif, "a.cell": castep, "a.res": shelx, "a.car": car, "a.xtl": xtl, "a.cel": cel, "a.json": pymatgen,
}  # fmt: skip

#: Three vectors of a plane.
ROWS = ["4 0 0", "1 4 0", "5 4 0"]
JOINED, LINES = " ".join(ROWS), "\n".join(ROWS)
BY_VECTORS = {
    "POSCAR": f"x\n1.0\n{LINES}\nLi F\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n",
    "a.cell": f"%BLOCK LATTICE_CART\n{LINES}\n%ENDBLOCK LATTICE_CART\n{PLACES}",
    "a.xyz": f'2\nLattice="{JOINED}" Properties=species:S:1:pos:R:3\nLi 0 0 0\nF 2 2 2\n',
    "a.xsf": f"CRYSTAL\nPRIMVEC\n{LINES}\nPRIMCOORD\n2 1\nLi 0 0 0\nF 2 2 2\n",
    "geometry.in": "\n".join(f"lattice_vector {row}" for row in ROWS) + "\natom 0 0 0 Li\natom 2 2 2 F\n",
    "pw.in": f"&system\nibrav=0, nat=2\n/\nCELL_PARAMETERS angstrom\n{LINES}\nATOMIC_POSITIONS crystal\n{ATOMS}",
    "a.json": json.dumps(
        {
            "lattice": {"matrix": [[float(x) for x in row.split()] for row in ROWS]},
            "sites": [{"species": [{"element": "Li", "occu": 1}], "abc": [0, 0, 0]}],
        }
    ),
    "a.gro": "t\n2\n    1LI      LI    1   0.000   0.000   0.000\n    2F        F    2   0.200   0.200   0.200\n"
    "   0.4 0.4 0.0 0 0 0.1 0 0.5 0.4\n",
}


def refused(path):
    """The line of `rhotem structure check`."""
    result = CliRunner().invoke(main.app, ["structure", "check", str(path)])
    assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize(("name", "angles"), list(itertools.product(BY_ANGLES, ANGLES)))
def test_angles_that_no_cell_has(tmp_path, name, angles):
    (tmp_path / name).write_text(BY_ANGLES[name](angles))
    said = refused(tmp_path / name)
    assert name in said and any(word in said for word in ("make no cell", "expected an angle", "no Dr. Probe")), said
    (tmp_path / name).write_text(BY_ANGLES[name]((85, 95, 100)))
    result = CliRunner().invoke(main.app, ["structure", "check", str(tmp_path / name)])
    assert result.exit_code in (0, 2) and "cell" not in result.stderr, result.stderr  # what is wrong are the angles


@pytest.mark.parametrize("name", BY_VECTORS)
def test_vectors_of_a_plane(tmp_path, name):
    (tmp_path / name).write_text(BY_VECTORS[name])
    said = refused(tmp_path / name)
    assert name in said and "volume" in said, said


def test_nearly_flat_cells_are_told_from_long_stackings():
    """α = 0.36° is a rhombohedral cell of a polytype with hundreds of layers; 10⁻⁵ degrees is none."""
    a, height = 3.08, 990.0  # 393R of silicon carbide
    side = np.sqrt(a**2 / 3 + (height / 3) ** 2)
    alpha = np.degrees(2 * np.arcsin(a / (2 * side)))
    cell = cell_of([side] * 3 + [alpha] * 3, "393R")
    assert np.linalg.det(cell) == pytest.approx(a**2 * np.sqrt(3) / 2 * height / 3, rel=1e-6)
    with pytest.raises(InputError, match="its cell has no volume"):
        cell_of([4, 4, 4, 90, 90, 1e-5], "flat")
