"""Dialects of structure files: written by hand after the formats' own rules, each with what it must give."""

import gzip
import json

import gemmi
import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.structure.read import read_structure

ROWS = (
    "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
    "_atom_site_occupancy\n"
)
BARE = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
MGO = ROWS + "Mg1 Mg2+ 0 0 0 1\nO1 O2- 0.5 0.5 0.5 1\n"
RUTILE = ROWS + "Ti1 Ti 0 0 0 1\nO1 O 0.3053 0.3053 0 1\n"
CORUNDUM = ROWS + "Al1 Al 0 0 0.35217 1\nO1 O 0.30625 0 0.25 1\n"
MGBR2 = ROWS + "Mg1 Mg 0 0 0 1\nBr1 Br 0.333333 0.666667 0.25 1\n"


def cif(a, b, c, gamma=90, group="", rows=MGO, more=""):
    name = f"_symmetry_space_group_name_H-M '{group}'\n" if group else ""
    lengths = f"_cell_length_a {a}\n_cell_length_b {b}\n_cell_length_c {c}\n"
    return f"data_x\n{lengths}_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma {gamma}\n{name}{more}{rows}"


def cube(group="", rows=MGO, more="", a=4.21):
    return cif(a, a, a, 90, group, rows, more)


def listed(group, tag="_symmetry_equiv_pos_as_xyz", form="'{}'", centring=True):
    operations = gemmi.find_spacegroup_by_name(group).operations()
    chosen = operations if centring else operations.sym_ops
    return f"loop_\n{tag}\n" + "".join(form.format(op.triplet()) + "\n" for op in chosen)


def read(tmp_path, text, name, **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_structure(path, **options)


def counts(structure):
    return structure.atoms.symbols.formula.count()


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (cif(4.7602, 4.7602, 12.9933, 120, "R3\u0304c", CORUNDUM), {"Al": 12, "O": 18}),
        (cif(3, 3, 5, 120, "P 3\u0305 m 1", MGBR2), {"Mg": 1, "Br": 2}),
        (cif(4.594, 4.594, 2.959, 90, "P4\u2082/mnm", RUTILE), {"Ti": 2, "O": 4}),
        (cube("Fm\\bar{3}m"), {"Mg": 4, "O": 4}),
        (cif(3, 3, 5, 120, "P -3 2/m 1", MGBR2), {"Mg": 1, "Br": 2}),
        (cif(5, 6, 7, 100, "P2(1)/b", ROWS + "Na1 Na .1 .2 .3 1\nCl1 Cl .6 .2 .3 1\n"), {"Na": 4, "Cl": 4}),
    ],
)
def test_spellings_of_space_groups(tmp_path, text, formula):
    """A bar above a digit is its minus sign: R3̄c is not R3c."""
    assert counts(read(tmp_path, text, "a.cif")) == formula


@pytest.mark.parametrize(
    "more",
    [
        "loop_\n_space_group_symop_operation_xyz\n?\n" + listed("P 42/m n m"),
        listed("P 42/m n m", form="{}").replace(",", ", "),
        "loop_\n_symmetry_equiv_pos_site_id\n_symmetry_equiv_pos_as_xyz\n"
        + "".join(
            f"{n} {op.triplet().replace(',', ', ')}\n"
            for n, op in enumerate(gemmi.find_spacegroup_by_name("P 42/m n m").operations(), 1)
        ),
    ],
)
def test_operations_in_other_dresses(tmp_path, more):
    structure = read(tmp_path, cif(4.594, 4.594, 2.959, rows=RUTILE, more=more), "a.cif")
    assert counts(structure) == {"Ti": 2, "O": 4}


def test_operations_without_their_centring(tmp_path):
    """48 of the 192 operations of F m -3 m: composition and Z decide, else the file is refused."""
    part = listed("F m -3 m", centring=False)
    stated = "_chemical_formula_sum 'Mg O'\n_cell_formula_units_Z 4\n"
    structure = read(tmp_path, cube("F m -3 m", more=stated + part), "a.cif")
    assert counts(structure) == {"Mg": 4, "O": 4} and "centring" in " ".join(structure.info["notes"])
    for named in ("_symmetry_space_group_name_H-M 'F m -3 m'\n", "_space_group_name_Hall '-F 4 2 3'\n"):
        with pytest.raises(InputError, match="lack the centring"):
            read(tmp_path, cube(more=named + part), "b.cif")
    # the asymmetric unit in P 1 under the name of the crystal's group is a primitive or expanded cell
    one = "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n"
    assert counts(read(tmp_path, cube("F m -3 m", more=one), "c.cif")) == {"Mg": 1, "O": 1}


def test_rows_of_one_label_keep_their_own_displacements(tmp_path):
    text = cube(rows=ROWS + "_atom_site_U_iso_or_equiv\nM Mg 0 0 0 1 0.004\nM O 0.5 0.5 0.5 1 0.012\n")
    structure = read(tmp_path, text, "a.cif")
    assert np.allclose(np.trace(structure.displacements, axis1=1, axis2=2) / 3, [0.004, 0.012])


@pytest.mark.parametrize("label", ["T1", "Cat1", "Oct2", "Tet1"])
def test_labels_of_sites_are_no_elements(tmp_path, label):
    """T is the tetrahedral site of silicates; tritium is said by its type symbol."""
    with pytest.raises(InputError, match=f"{label} has no element"):
        read(tmp_path, cube(rows=f"{BARE}{label} 0 0 0\nO1 0.5 0.5 0.5\n"), "a.cif")


def test_residual_peaks_are_left_out_by_name(tmp_path):
    structure = read(tmp_path, cube("F m -3 m", rows=MGO + "Q1 Q 0.25 0.25 0.25 1\n"), "a.cif")
    assert counts(structure) == {"Mg": 4, "O": 4} and "Q1 is a dummy" in " ".join(structure.info["notes"])


@pytest.mark.parametrize("kind", ["Fe:0.5, Mg:0.5", "Fe2+0.5Mg2+0.5", "Fe0.5 Mg0.5", "0.5Fe + 0.5Mg"])
def test_mixtures_in_one_word(tmp_path, kind):
    with pytest.raises(InputError, match=r"Fe 0.5 \+ Mg 0.5"):
        read(tmp_path, cube("F m -3 m", rows=f"{ROWS}M1 '{kind}' 0 0 0 1\nO1 O .5 .5 .5 1\n"), "a.cif")


def magnetic(axes):
    moments = "loop_\n_atom_site_moment_label\n" + "".join(f"_atom_site_moment_{axis}\n" for axis in axes)
    operations = (
        "loop_\n_space_group_symop.magn_id\n_space_group_symop.magn_operation_xyz\n"
        "_space_group_symop.magn_operation_timereversal\n1 x,y,z 1\n2 x+1/2,y+1/2,z -1\n"
    )
    return cube(rows=ROWS + "Mn1 Mn2+ 0 0 0 1\nO1 O .5 .5 .5 1\n" + moments + "Mn1 0 0 4.5(1)\n", more=operations)


def test_time_reversal_in_a_column_of_its_own(tmp_path):
    structure = read(tmp_path, magnetic([f"crystalaxis_m{axis}" for axis in "xyz"]), "a.mcif")
    assert sorted(structure.moments.tolist()) == [-4.5, 0.0, 0.0, 4.5]


def test_moments_in_other_axes_are_remarked(tmp_path):
    structure = read(tmp_path, magnetic([f"Cartn_{axis}" for axis in "xyz"]), "a.mcif")
    assert structure.moments is None and "magnetic moments" in " ".join(structure.info["notes"])


@pytest.mark.parametrize("cell", ["_cell_length_a ?\n", "_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n"])
def test_empty_blocks_are_passed_over(tmp_path, cell):
    assert counts(read(tmp_path, f"data_global\n{cell}{BARE}? ? ? ?\n" + cube("F m -3 m"), "a.cif")) == {
        "Mg": 4,
        "O": 4,
    }


def test_cif_2(tmp_path):
    """Texts in three quotes may hold tags; lists and tables are one value."""
    head = '#\\#CIF_2.0\ndata_y\n_a """text data_ loop_\n_cell_length_a 99\n"""\n_b [1 [2 3]]\n_c {\'k\':1 "l":2}\n'
    text = head + cube("F m -3 m").removeprefix("data_x\n")
    structure = read(tmp_path, text, "a.cif")
    assert counts(structure) == {"Mg": 4, "O": 4} and structure.info["notes"] == []


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(cube("F m -3 m").encode()),
        cube("F m -3 m").encode("utf-16-le"),
        cube("F m -3 m").encode() + b"\x1a",
        cube("F m -3 m").replace("\n", "\r").encode(),
    ],
    ids=["gzip", "utf-16", "end-of-text", "cr"],
)
def test_bytes_by_content(tmp_path, content):
    assert counts(read(tmp_path, content, "a.cif")) == {"Mg": 4, "O": 4}


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"PK\x03\x04" + bytes(50), "a.cif", "zip archive"),
        (b"<!DOCTYPE html>\n<html></html>", "a.cif", "web page"),
        (b"data_x\n", "a.cif.gz", "not compressed as its name says"),
        (b"LiF\n1.0\n4 0 0\n0 4 0\n0 0 4\nLi F\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", "a.cif", "looks like a POSCAR"),
        (b"LiF\n1.0\n4 0 0\n0 4 0\n0 0 4\nLi F\n1 1\nDirect\n0 0 0\n.5 .5 .5\n", "a.xyz", "looks like a POSCAR"),
        (
            b"TITLE x\nCELL\n 4 4 4 90 90 90\nATOMS\nNAME X Y Z\nLi 0 0 0\n",
            "a.xtl",
            "muSTEM xtl$",
        ),
    ],
)
def test_names_that_lie(tmp_path, content, name, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, content, name)


POSCAR = "LiF\n{scale}\n4.0{d} 0 0\n0 4.0 0\n0 0 4.0\nLi F\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"


@pytest.mark.parametrize(
    "text",
    [
        POSCAR.format(scale="1.0 ! universal scaling factor of the lattice", d=""),
        POSCAR.format(scale="0.1D+01", d="D0"),
        POSCAR.format(scale="1.0", d="").replace("0 4.0 0", "0 4.0 0 # second vector of the cell"),
    ],
)
def test_poscar_with_comments_and_fortran_numbers(tmp_path, text):
    structure = read(tmp_path, text, "a.vasp")
    assert counts(structure) == {"Li": 1, "F": 1} and structure.volume == pytest.approx(64)


def test_xdatcar_named_vasp_gives_its_last_frame(tmp_path):
    head = POSCAR.format(scale="1.0", d="").partition("Direct")[0]
    frames = "Direct configuration=     1\n0 0 0\n.5 .5 .5\nDirect configuration=     2\n.01 0 0\n.5 .5 .5\n"
    structure = read(tmp_path, head + frames, "a.vasp")
    assert structure.atoms.get_scaled_positions()[0] == pytest.approx([0.01, 0, 0])


LATTICES = ('lattice="4 0 0 0 4 0 0 0 4"', "Lattice=[[4,0,0],[0,4,0],[0,0,4]]", 'Lattice="4 0 0 0 4 0 0 0 4"')


@pytest.mark.parametrize("lattice", LATTICES)
def test_extended_xyz_dialects(tmp_path, lattice):
    named = f"2\n{lattice} properties=species:S:1:pos:R:3:magmoms:R:1\nMn 0 0 0 4.0\nO 2 2 2 0\n"
    structure = read(tmp_path, named, "a.xyz")
    assert structure.volume == pytest.approx(64) and structure.moments.tolist() == [4.0, 0.0]
    plain = read(tmp_path, f"2\n{lattice}\nMn 0 0 0 0.1 0.2\nO 2 2 2 0.3 0.4\n", "b.xyz")
    assert plain.volume == pytest.approx(64) and counts(plain) == {"Mn": 1, "O": 1}


def test_xyz_with_charges_is_no_temsim_file(tmp_path):
    text = "2\n5 5 5\nLi 0 0 0 .5 0.1\nF 2 2 2 -.5 0.1\n"
    assert counts(read(tmp_path, text, "a.xyz", vacuum=5.0)) == {"Li": 1, "F": 1}


SHELX = (
    "TITL rutile\nTEMP -173.15\nCELL 0.71073 4.594 4.594 2.959 90 90 90\nZERR 2 .001 .001 .001 0 0 0\nLATT {latt}\n"
    "SYMM -X, -Y, Z\nSYMM 0.5-Y, 0.5+X, 0.5+Z\nSYMM 0.5+Y, 0.5-X, 0.5+Z\nSYMM 0.5-X, 0.5+Y, 0.5-Z\n"
    "SYMM 0.5+X, 0.5-Y, 0.5-Z\nSYMM Y, X, -Z\nSYMM -Y, -X, -Z\nSFAC TI O\nUNIT 2 4\nFVAR 1.0 {free}\n"
    "TI1 1 10.0 10.0 10.0 {sof} 0.00532 0.00532 =\n 0.00411 0.0 0.0 0.0001\nO1 2 0.3053 0.3053 10.0 10.25 0.005\n"
    "HKLF 4\nEND\nQ1 1 0.1 0.1 0.1 11.0 0.05 0.5\n"
)


@pytest.mark.parametrize("name", ["a.res", "a.ins"])
def test_shelx_by_its_symmetry(tmp_path, name):
    """Rutile: 2 Ti and 4 O, not the asymmetric unit; U_ij in SHELX's order 11 22 33 23 13 12."""
    structure = read(tmp_path, SHELX.format(latt=1, free="", sof="10.125"), name)
    assert counts(structure) == {"Ti": 2, "O": 4}
    density = structure.atoms.get_masses().sum() / structure.volume * 1.66053907
    assert density == pytest.approx(4.25, abs=0.01)
    assert structure.info["displacements_kelvin"] == pytest.approx(100.0)
    first = structure.displacements[structure.atoms.symbols == "Ti"]
    assert np.allclose(np.diagonal(first, axis1=1, axis2=2), [0.00532, 0.00532, 0.00411], atol=1e-6)
    assert np.allclose(np.abs(first[:, 0, 1]), 1e-4)


def test_shelx_free_variables_and_errors(tmp_path):
    """21.0 times its site share is free variable 2; a half-occupied site is shared."""
    with pytest.raises(InputError, match=r"Ti 0.5"):
        read(tmp_path, SHELX.format(latt=1, free="0.5", sof="20.125"), "a.res")
    with pytest.raises(InputError, match="line 3 is 'CELL"):
        read(tmp_path, SHELX.format(latt=1, free="", sof="10.125").replace("4.594 4.594 2", "4.594 4.59x 2"), "c.res")
    twin = SHELX.format(latt=1, free="", sof="10.125").replace("UNIT", "TWIN 0 1 0 1 0 0 0 0 -1 2\nMOVE 1 1 1 -1\nUNIT")
    assert counts(read(tmp_path, twin, "d.res")) == {"Ti": 2, "O": 4}
    with pytest.raises(InputError, match="LATT 9"):
        read(tmp_path, SHELX.format(latt=9, free="", sof="10.125"), "b.res")


def test_asymmetric_units_are_not_taken_for_crystals(tmp_path):
    head = "!BIOSYM archive 3\nPBC=ON\nt\n!DATE x\nPBC    4.0    4.0    4.0   90.0   90.0   90.0 ({})\n"
    rows = "LI  0.0 0.0 0.0 XXXX 1 xx Li 0.0\nF   2.0 2.0 2.0 XXXX 1 xx F  0.0\n"
    assert counts(read(tmp_path, head.format("P1") + rows + "end\nend\n", "a.car")) == {"Li": 1, "F": 1}
    for odd in ("nan", "x", "="):
        with pytest.raises(InputError, match="line 7 is 'F"):
            read(tmp_path, head.format("P1") + rows.replace("2.0 2.0 2.0", f"2.0 {odd} 2.0"), "d.car")
    with pytest.raises(InputError, match="only its asymmetric unit"):
        read(tmp_path, head.format("FM-3M") + rows + "end\nend\n", "b.car")
    with pytest.raises(InputError, match="only its asymmetric unit"):
        read(tmp_path, '<?xml version="1.0"?><XSD><SpaceGroup GroupName="FM-3M"/></XSD>', "c.xsd")


def test_gromacs_ions(tmp_path):
    """LI of residue LI is lithium, not iodine."""
    text = (
        "t\n3\n    1LI      LI    1   0.000   0.000   0.000\n    2CL      CL    2   0.201   0.201   0.201\n"
        "    3SOL     OW    3   0.201   0.000   0.201\n   0.40200   0.40200   0.40200\n"
    )
    structure = read(tmp_path, text, "a.gro")
    assert counts(structure) == {"Li": 1, "Cl": 1, "O": 1} and structure.cell[0, 0] == pytest.approx(4.02)


QE = (
    "&control\n/\n&system\n ibrav=0, nat=2, ntyp=2\n/\n&electrons\n/\nATOMIC_SPECIES\nLi 6.94 Li.upf\nF 19 F.upf\n"
    "CELL_PARAMETERS angstrom\n4 0 0\n0 4 0\n0 0 4\nATOMIC_POSITIONS crystal\nLi 0 0 0\nF .5 .5 .5\nK_POINTS gamma\n"
)
AIMS = "# Müller\nlattice_vector 4 0 0\nlattice_vector 0 4 0\nlattice_vector 0 0 4\natom 0 0 0 Li\natom 2 2 2 F\n"


@pytest.mark.parametrize(("text", "name"), [(QE.encode(), "pw.in"), (AIMS.encode("latin-1"), "geometry.in")])
def test_programs_inputs_called_in(tmp_path, text, name):
    assert counts(read(tmp_path, text, name)) == {"Li": 1, "F": 1}


def test_what_the_materials_project_returns(tmp_path):
    sites = [
        {"species": [{"element": "Mn", "occu": 1}], "abc": [0, 0, 0], "properties": {"magmom": 4.0}},
        {"species": [{"element": "O", "occu": 1}], "abc": [0.5, 0.5, 0.5], "properties": {"magmom": 0.0}},
    ]
    lattice = {"a": 4.0, "b": 4.0, "c": 4.0, "alpha": 90, "beta": 90, "gamma": 90}
    text = json.dumps([{"material_id": "mp-1", "structure": {"lattice": lattice, "sites": sites}}])
    structure = read(tmp_path, text, "a.json")
    assert counts(structure) == {"Mn": 1, "O": 1} and structure.moments.tolist() == [4.0, 0.0]


def test_xsf_with_the_conventional_cell_behind_the_primitive_one(tmp_path):
    text = (
        "CRYSTAL\nPRIMVEC\n0 2 2\n2 0 2\n2 2 0\nCONVVEC\n4 0 0\n0 4 0\n0 0 4\nPRIMCOORD\n2 1\nLi 0 0 0\nF 2 2 2\n"
        "CONVCOORD\n8 1\nLi 0 0 0\nF 2 2 2\n"
    )
    structure = read(tmp_path, text, "a.xsf")
    assert counts(structure) == {"Li": 1, "F": 1} and structure.volume == pytest.approx(16)


def test_open_directions_with_a_cell_are_remarked(tmp_path):
    text = '2\nLattice="4 0 0 0 4 0 0 0 20" Properties=species:S:1:pos:R:3 pbc="T T F"\nLi 0 0 10\nF 2 2 10\n'
    structure = read(tmp_path, text, "a.xyz")
    assert structure.cell[2, 2] == pytest.approx(20) and "not periodic along c (20.00 Å)" in structure.info["notes"][0]


def test_attached_hydrogens_may_be_unreadable(tmp_path):
    rows = ROWS + "_atom_site_attached_hydrogens\nMg1 Mg 0 0 0 1 0\nO1 O 0.5 0.5 0.5 1 0.5\n"
    assert counts(read(tmp_path, cube("F m -3 m", rows=rows), "a.cif")) == {"Mg": 4, "O": 4}


CASTEP = (
    "# comment\n%block lattice_abc\nnm\n0.4 0.4 0.4\n90 90 90\n%endblock lattice_abc\n%BLOCK POSITIONS_{kind}\n{rows}\n"
    "%ENDBLOCK POSITIONS_{kind}\nKPOINTS_MP_SPACING 0.05\n"
)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("FRAC", "mn:1 0 0 0 SPIN= 4.0 ! metal\no .5 .5 .5"),
        ("FRAC", "25 0 0 0 SPIN=4.0\n8 .5 .5 .5"),
        ("ABS", "nm\nMn 0 0 0 spin = 4\nO 0.2 0.2 0.2"),
    ],
)
def test_castep_cell(tmp_path, kind, rows):
    structure = read(tmp_path, CASTEP.format(kind=kind, rows=rows), "a.cell")
    assert counts(structure) == {"Mn": 1, "O": 1} and structure.volume == pytest.approx(64)
    assert structure.moments.tolist() == [4.0, 0.0] and structure.info["notes"] == []
    assert structure.atoms.get_scaled_positions()[1] == pytest.approx([0.5] * 3)


def test_castep_mixtures_are_shared_sites(tmp_path):
    rows = "Ni 0 0 0 MIXTURE:( 1 0.5)\nCo 0 0 0 MIXTURE:( 1 0.5)\nO .5 .5 .5"
    with pytest.raises(InputError, match=r"Co 0.5 \+ Ni 0.5"):
        read(tmp_path, CASTEP.format(kind="FRAC", rows=rows), "a.cell")


@pytest.mark.parametrize("symbol", ["Oh.5", "Oh^5", "O_h^5"])
def test_schoenflies_symbols(tmp_path, symbol):
    text = cube(more=f"_space_group_name_Schoenflies '{symbol}'\n")
    assert counts(read(tmp_path, text, "a.cif")) == {"Mg": 4, "O": 4}


def test_unknown_symbols_are_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="is no space group known"):
        read(tmp_path, cube("I4.1/amd (origin choice 2)"), "a.cif")
