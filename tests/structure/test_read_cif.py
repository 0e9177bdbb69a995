"""CIF: settings, occupancies, digits, statements and displacements, against gemmi's tables, pymatgen and formulas."""

import gemmi
import numpy as np
import pytest
from ase.cell import Cell

from rhotem.core import InputError
from rhotem.structure.read import read_structure

CELLS = {
    "triclinic": (5.1, 6.2, 7.3, 80, 95, 101), "monoclinic": (5.1, 6.2, 7.3, 90, 103, 90),
    "orthorhombic": (5.1, 6.2, 7.3, 90, 90, 90), "tetragonal": (5.1, 5.1, 7.3, 90, 90, 90),
    "trigonal": (5.1, 5.1, 7.3, 90, 90, 120), "hexagonal": (5.1, 5.1, 7.3, 90, 90, 120),
    "cubic": (6.2, 6.2, 6.2, 90, 90, 90),
}  # fmt: skip
PLACE = np.array([0.1234, 0.2171, 0.3412])


def cif(
    cell=(4.03, 4.03, 4.03, 90, 90, 90),
    symmetry="_symmetry_space_group_name_H-M 'F m -3 m'",
    columns="label type_symbol fract_x fract_y fract_z",
    rows=("Li1 Li 0 0 0", "F1 F 0.5 0.5 0.5"),
    more="",
):
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_x", *(f"_cell_{n} {v}" for n, v in zip(names, cell, strict=True)), symmetry, more, "loop_"]
    return "\n".join([*lines, *(f"_atom_site_{c}" for c in columns.split()), *rows]) + "\n"


def read(tmp_path, text, **options):
    path = tmp_path / "x.cif"
    path.write_text(text)
    return read_structure(path, **options)


def counted(structure):
    return structure.atoms.symbols.formula.count()


def expected_positions(group, place=PLACE):
    """All images of a general position by gemmi, sorted."""
    images = np.array([op.apply_to_xyz(place.tolist()) for op in group]) % 1.0
    return images[np.lexsort(images.round(5).T)]


def positions(structure):
    places = structure.atoms.get_scaled_positions(wrap=True) % 1.0
    return places[np.lexsort(places.round(5).T)]


def suiting(entry):
    """A cell of the lattice type of a table entry, with its unique axis."""
    system = entry.crystal_system_str()
    cell = list(CELLS[system])
    if system == "monoclinic":
        axis = "abc".index(entry.monoclinic_unique_axis())
        cell[3:] = [90, 90, 90]
        cell[3 + axis] = 103
    if entry.ext == "R":
        cell = [5.1, 5.1, 5.1, 75, 75, 75]
    return tuple(cell)


@pytest.mark.parametrize("part", range(6))
def test_every_setting_of_gemmis_table_by_its_full_symbol(tmp_path, part):
    """All 550 and more settings, origins and axes: the images of a general position are those of the table."""
    entries = list(gemmi.spacegroup_table())[part::6]
    for entry in entries:
        group = entry.operations()
        rows = [f"Cu1 Cu {PLACE[0]} {PLACE[1]} {PLACE[2]}"]
        symmetry = f"_space_group_name_H-M_alt '{entry.xhm()}'"
        path = tmp_path / "x.cif"
        path.write_text(cif(tuple(4 * x if x < 20 else x for x in suiting(entry)), symmetry, rows=rows))
        assert np.allclose(
            positions(read_structure(path, allow_overlaps=True)), expected_positions(group), atol=1e-6
        ), entry.xhm()


@pytest.mark.parametrize("entry", list(gemmi.spacegroup_table())[::37], ids=lambda entry: entry.xhm().replace(" ", ""))
def test_hall_symbol_and_operations_give_the_same(tmp_path, entry):
    group = entry.operations()
    cell, rows = tuple(4 * x if x < 20 else x for x in suiting(entry)), [f"Cu1 Cu {' '.join(map(str, PLACE))}"]
    by_hall = cif(cell, f"_space_group_name_Hall '{entry.hall}'", rows=rows)
    listed = "loop_\n_space_group_symop_operation_xyz\n" + "\n".join(f"'{op.triplet()}'" for op in group)
    for symmetry in (by_hall, cif(cell, listed, rows=rows)):
        assert np.allclose(
            positions(read(tmp_path, symmetry, allow_overlaps=True)), expected_positions(group), atol=1e-6
        )


@pytest.mark.parametrize(
    ("symbol", "same"),
    [
        ("F d -3 m S", "F d -3 m:1"), ("Fd-3mZ", "F d -3 m:2"), ("F 41/d -3 2/m :2", "F d -3 m:2"),
        ("P6(3)/mmc", "P 63/m m c"), ("P 6_3/m m c", "P 63/m m c"), ("P63/mmc", "P 63/m m c"),
        ("P2(1)2(1)2(1)", "P 21 21 21"), ("P2_1/n", "P 1 21/n 1"), ("C2/m", "C 1 2/m 1"), ("P21/c", "P 1 21/c 1"),
        ("R -3 m H", "R -3 m:H"), ("R3mR", "R 3 m:R"), ("R 3 c :h", "R 3 c:H"), ("I 41/a m d Z", "I 41/a m d:2"),
        ("P 21/n 21/m 21/a", "P n m a"), ("P 4/n m m (origin choice 2)", "P 4/n m m:2"), ("C m c e", "C m c a"),
        ("P 42/m 21/n 2/m", "P 42/m n m"), ("R -3 2/m", "R -3 m:H"), ("p n m a", "P n m a"), ("P b n m", "P b n m"),
    ],
)  # fmt: skip
def test_ways_to_write_a_symbol(tmp_path, symbol, same):
    entry = gemmi.find_spacegroup_by_name(same)
    cell, rows = tuple(4 * x if x < 20 else x for x in suiting(entry)), [f"Cu1 Cu {' '.join(map(str, PLACE))}"]
    text = cif(cell, f"_symmetry_space_group_name_H-M '{symbol}'", rows=rows)
    read_it = read(tmp_path, text, allow_overlaps=True)
    assert np.allclose(positions(read_it), expected_positions(entry.operations()), atol=1e-6)


@pytest.mark.parametrize("symbol", ["A 21/n", "I 1 21/q 1", "X 4 m m", "P 7"])
def test_symbols_of_nothing_are_refused(tmp_path, symbol):
    with pytest.raises(InputError, match="no space group known"):
        read(tmp_path, cif((5, 6, 7, 90, 100, 90), f"_symmetry_space_group_name_H-M '{symbol}'"))


def test_the_symbol_goes_before_the_number(tmp_path):
    """P b n m is number 62 in another setting than P n m a; with a wrong number the symbol is used, and said so."""
    rows = [f"Cu1 Cu {' '.join(map(str, PLACE))}"]
    for number in (62, 63):
        symmetry = f"_symmetry_space_group_name_H-M 'P b n m'\n_symmetry_Int_Tables_number {number}"
        structure = read(tmp_path, cif((20, 24, 28, 90, 90, 90), symmetry, rows=rows))
        group = gemmi.find_spacegroup_by_name("P b n m").operations()
        assert np.allclose(positions(structure), expected_positions(group), atol=1e-6)
        assert any("is not number 63" in note for note in structure.info["notes"]) == (number == 63)


def test_an_open_origin_is_decided_by_the_atoms_or_refused(tmp_path):
    spinel = ["Li1 Li 0.125 0.125 0.125", "Mn1 Mn 0.5 0.5 0.5", "O1 O 0.2636 0.2636 0.2636"]
    cube = (8.2475, 8.2475, 8.2475, 90, 90, 90)
    structure = read(tmp_path, cif(cube, "_symmetry_space_group_name_H-M 'F d -3 m'", rows=spinel))
    assert counted(structure) == {"Li": 8, "Mn": 16, "O": 32}
    assert any("origin is not stated" in note for note in structure.info["notes"])
    silicon = cif((5.431,) * 3 + (90,) * 3, "_symmetry_Int_Tables_number 227", rows=["Si1 Si 0.125 0.125 0.125"])
    with pytest.raises(InputError, match=r"origin or setting .* not stated.*Si8 or .*Si16"):
        read(tmp_path, silicon)
    stated = silicon.replace("data_x", "data_x\n_chemical_formula_sum Si\n_cell_formula_units_Z 8")
    assert counted(read(tmp_path, stated)) == {"Si": 8}


def test_cells_of_another_lattice_are_refused(tmp_path):
    with pytest.raises(InputError, match="has not the symmetry"):
        read(tmp_path, cif((3.81, 3.81, 3.81, 60, 60, 60)))
    with pytest.raises(InputError, match="has not the symmetry"):
        read(tmp_path, cif((4.9, 4.9, 4.9, 33, 33, 33), "_symmetry_space_group_name_H-M 'R -3 m :H'"))
    with pytest.raises(InputError, match="has not the symmetry"):
        read(tmp_path, cif((4.9, 5.9, 4.9, 90, 90, 100), "_symmetry_space_group_name_H-M 'P 1 21/c 1'"))


@pytest.mark.parametrize(
    ("triplets", "message"),
    [
        (["x,y,z", "-x,y,z+1/2", "x,-y,z"], "no group"),
        (["x,y,z", "-x,-y,x"], "changes volumes"),
        (["x,y,z", "-x,-y"], "no symmetry operation"),
        (["x,y,z", "x+0.471,y,z"], "no simple fraction"),
    ],
)
def test_operations_that_are_none(tmp_path, triplets, message):
    listed = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "\n".join(triplets)
    with pytest.raises(InputError, match=message):
        read(tmp_path, cif(symmetry=listed))


def test_centring_of_fifths_and_decimals(tmp_path):
    """Translations of supercells (1/5) and decimals (0.3333) are exact."""
    fifths = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "\n".join(f"x+{n}/5,y,z" for n in range(5))
    structure = read(tmp_path, cif((20, 4.03, 4.03, 90, 90, 90), fifths, rows=["Li1 Li 0 0 0", "F1 F 0.1 0.5 0.5"]))
    assert counted(structure) == {"Li": 5, "F": 5}
    thirds = "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nx+0.3333,y+0.6667,z+0.6667\nx+0.6667,y+0.3333,z+0.3333"
    structure = read(tmp_path, cif((2.8, 2.8, 14, 90, 90, 120), thirds, rows=["Li1 Li 0 0 0"]))
    heights = np.sort(structure.atoms.get_scaled_positions(wrap=True), axis=0)
    assert np.allclose(heights, [[0, 0, 0], [1 / 3] * 3, [2 / 3] * 3], atol=1e-9)


OCCUPIED = "label type_symbol fract_x fract_y fract_z occupancy"


@pytest.mark.parametrize(
    ("rows", "formula"),
    [
        (["Fe1 Fe2+ 0 0 0 0.75", "Fe2 Fe3+ 0 0 0 0.25", "O1 O2- .5 .5 .5 1"], {"Fe": 4, "O": 4}),
        (["Fe1 Fe 0 0 0 0.333", "Fe2 Fe 0 0 0 0.333", "Fe3 Fe 0 0 0 0.333", "O1 O .5 .5 .5 1"], {"Fe": 4, "O": 4}),
        (["Fe1 Fe 0 0 0 1.002", "O1 O .5 .5 .5 1"], {"Fe": 4, "O": 4}),
        (["Li1 Li 0 0 0 1", "H1 H .5 .5 .5 0.5", "D1 D .500 .500 .500 0.3", "T1 T .5 .5 .5 .2"], {"Li": 4, "H": 4}),
        (["Mn1 Mn3+ 0 0 0 0.5(1)", "Mn2 Mn4+ 1.0 0 0 0.5(1)", "O1 O .5 .5 .5 ?"], {"Mn": 4, "O": 4}),
    ],
)  # fmt: skip
def test_shares_of_one_element_make_a_full_site(tmp_path, rows, formula):
    assert counted(read(tmp_path, cif(columns=OCCUPIED, rows=rows))) == formula


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["Li1 Li 0 0 0 0.7", "Ni1 Ni 0 0 0 0.5", "O1 O .5 .5 .5 1"], "add up to 1.200"),
        (["Li1 Li 0 0 0 -0.1", "O1 O .5 .5 .5 1"], "occupancy -0.1"),
        (["Li1 Li 0 0 0 1.5", "O1 O .5 .5 .5 1"], "occupancy 1.5"),
        (["Li1 Li 0 0 0 full", "O1 O .5 .5 .5 1"], "Li1 has occupancy 'full'"),
        (["Li1 Li 0 0 0 ?", "Ni1 Ni 0 0 0 ?", "O1 O .5 .5 .5 1"], "add up to 2.000"),
        (["Li1 Li 0 0 0 1", "Li2 Li .5 .5 0 1", "O1 O .5 .5 .5 1"], "written 2 times"),
        (["Fe,Mg Fe,Mg 0 0 0 1", "O1 O .5 .5 .5 1"], "mixture .* without shares"),
        (["Li1 Li 0 0 0 .5", "Ni1 Ni 0 0 0.01 .5", "O1 O .5 .5 .5 1"], "partly occupied|add up"),
        (["M1 M 0 0 0 1", "O1 O .5 .5 .5 1"], "M1 has no element"),
        (["Li1 Li 0 0 x 1", "O1 O .5 .5 .5 1"], "Li1 has coordinates 0 0 x, 'x' is no number"),
        (["Li1 Li 0 0,5 0 1", "O1 O .5 .5 .5 1"], "'0,5' is no number"),
        (["Li1 Li 0 0 ? 1", "O1 O .5 .5 .5 1"], "Li1 has no coordinates"),
    ],
)
def test_rows_that_cannot_be(tmp_path, rows, message):
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, cif(columns=OCCUPIED, rows=rows))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("label", "formula", "element"),
    [
        ("NA1", "", "Na"), ("li1", "", "Li"), ("Ow1", "", "O"), ("OW1", "", "O"), ("Wat2", "", "O"), ("Oh1", "", "O"),
        ("HO1", "'H4 O4'", "H"), ("CO1", "'C4 O4'", "C"), ("CO1", "'Co4 O4'", "Co"), ("W1", "'O4 F4'", "O"),
        ("W1", "'W4 F4'", "W"), ("HOh1", "", "H"), ("WatOW", "", "O"), ("Watz1", "", "O"), ("Fe2+", "", "Fe"),
        ("O2-", "", "O"),
        ("D1", "", "H"),
        ("Cl1A", "", "Cl"), ("SiT1", "", "Si"), ("OBr", "", "O"), ("Db1", "", "H"), ("U1", "", "U"),
        ("CS1", "'Cs4 F4'", "Cs"),
    ],
)  # fmt: skip
def test_elements_of_labels(tmp_path, label, formula, element):
    more = f"_chemical_formula_sum {formula}" if formula else ""
    text = cif(columns="label fract_x fract_y fract_z", rows=[f"{label} 0 0 0"], more=more)
    try:
        structure = read(tmp_path, text)
    except InputError as error:  # the formula has a second element that this table lacks
        assert formula and f"make {element}4 a cell" in str(error)
        return
    assert set(structure.atoms.symbols) == {element}


def test_digits_of_partly_occupied_sites_follow_the_composition(tmp_path):
    """Na0.67 at (0.33, 0.67) is one site of three near images; without the rule it would hold three times as much."""
    cell, symmetry = (2.84, 2.84, 10.8, 90, 90, 120), "_symmetry_space_group_name_H-M 'P 63/m m c'"
    rows = ["Na1 Na 0.33 0.67 0.75 0.67", "Co1 Co 0 0 0 1", "O1 O 0.33 0.67 0.09 1"]
    with pytest.raises(InputError, match=r"2 of 8 sites are partly occupied \(Na 0.67\)"):
        read(tmp_path, cif(cell, symmetry, OCCUPIED, rows))
    rows[0] = "Na1 Na 0.33 0.67 0.75 0.33"
    with pytest.raises(InputError, match=r"2 of 8 sites are partly occupied \(Na 0.33\)"):
        read(tmp_path, cif(cell, symmetry, OCCUPIED, rows))


def test_occupancies_of_the_asymmetric_unit_are_known_by_the_composition(tmp_path):
    """SHELX's site occupation factors: 1/48 for a site of m-3m."""
    rows = ["Li1 Li 0 0 0 0.0208333", "F1 F 0.5 0.5 0.5 0.0208333"]
    more = "_chemical_formula_sum 'Li F'\n_cell_formula_units_Z 4"
    structure = read(tmp_path, cif(columns=OCCUPIED, rows=rows, more=more))
    assert counted(structure) == {"Li": 4, "F": 4}
    assert any("shares of the asymmetric unit" in note for note in structure.info["notes"])


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ("_chemical_formula_sum 'F Li'\n_cell_formula_units_Z 4\n_exptl_crystal_density_diffrn 2.64", None),
        ("_chemical_formula_sum 'F Li H2'\n_cell_formula_units_Z 4", "8 H of the formula"),
        ("_chemical_formula_sum 'F Li H2 O'\n_cell_formula_units_Z 4", InputError),
        ("_chemical_formula_sum 'F Li'\n_cell_formula_units_Z 8", InputError),
        ("_chemical_formula_sum 'F Li'\n_cell_formula_units_Z 8\n_exptl_crystal_density_diffrn 2.63", "Z = 8"),
        ("_chemical_formula_sum 'F Na'\n_cell_formula_units_Z 4", InputError),
        ("_exptl_crystal_density_diffrn 5.2", InputError),
        ("_chemical_formula_sum 'F Li'\n_cell_formula_units_Z 4\n_exptl_crystal_density_diffrn 1.2", InputError),
        ("_exptl_crystal_density_diffrn 2.8", "the file says 2.8"),
    ],
)
def test_statements_of_the_file(tmp_path, more, outcome):
    text = cif(more=more)
    if outcome is InputError:
        with pytest.raises(InputError, match="correct"):
            read(tmp_path, text)
        return
    notes = read(tmp_path, text).info["notes"]
    assert notes == [] if outcome is None else any(outcome in note for note in notes)


@pytest.mark.parametrize(
    "text",
    [
        cif().replace("\n", "\r\n"),
        cif().replace("\n", "\r"),
        "\n# a comment\n" + cif(),
        cif().replace("data_x", "data_x y"),
        cif().replace("data_x\n", ""),
        cif().replace("'F m -3 m'", "F m -3 m"),
        cif(more="_publ_section_title\n;\ndata_y loop_ 'quotes\n_atom_site_label\n;"),
        cif(more="_journal_name ‘Zeitschrift für Kristallographie’"),
        cif(more="loop_\n_publ_author_name\n_publ_author_address\n'One' 'There'\n'Two'"),
        "data_global\n_journal_year 2000\n" + cif(),
        cif().replace("_atom_site_fract", "_atom_site.fract").replace("_cell_length", "_cell.length"),
        cif().replace("4.03", "4.0300(5)").replace("0.5", ".5000"),
    ],
)
def test_ways_to_write_a_file(tmp_path, text):
    path = tmp_path / "x.cif"
    path.write_bytes(text.encode())
    assert counted(read_structure(path)) == {"Li": 4, "F": 4}
    path.write_bytes(text.encode("utf-16"))
    assert counted(read_structure(path)) == {"Li": 4, "F": 4}


def test_of_several_structures_the_first_is_read_and_named(tmp_path):
    structure = read(tmp_path, cif() + cif(rows=["Na1 Na 0 0 0"]).replace("data_x", "data_y"))
    assert counted(structure) == {"Li": 4, "F": 4}
    assert any("2 structures" in note and "block x" in note and "y" in note for note in structure.info["notes"])


def test_modulated_structures_are_refused(tmp_path):
    with pytest.raises(InputError, match="modulated"):
        read(tmp_path, cif(symmetry="_cell_modulation_dimension 1"))


def test_magnetic_moments_follow_the_operations(tmp_path):
    """MnO-like planes: the time-reversed centring turns moments over; axial vectors keep their sign under inversion."""
    operations = (
        "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n-x,-y,-z,+1\n"
        "loop_\n_space_group_symop_magn_centering.xyz\nx,y,z,+1\nx+1/2,y+1/2,z,+1\nx+1/2,y,z+1/2,-1\nx,y+1/2,z+1/2,-1"
    )
    moments = (
        "loop_\n_atom_site_moment.label\n_atom_site_moment.crystalaxis_x\n_atom_site_moment.crystalaxis_y\n"
        "_atom_site_moment.crystalaxis_z\nMn1 0 0 4.5"
    )
    rows = ["Mn1 Mn 0 0 0", "O1 O 0.5 0.5 0.5"]
    structure = read(tmp_path, cif((4.44,) * 3 + (90,) * 3, operations, rows=rows, more=moments))
    of_manganese = structure.moments[structure.numbers == 25]
    heights = structure.atoms.get_scaled_positions()[structure.numbers == 25, 2]
    assert np.allclose(of_manganese, np.where(np.isclose(heights, 0.5), -4.5, 4.5))
    assert np.allclose(structure.moments[structure.numbers == 8], 0)


# -- displacements ---------------------------------------------------------------------------------------------------


def test_displacements_keep_their_quadratic_form(tmp_path):
    """Debye-Waller exponents are scalars: hᵀUh with U_ij of the file equals g·⟨uu⟩·g with the Cartesian tensor.

    exp(−2π² Σ U_ij h_i h_j a*_i a*_j) for any reflection, for the atom and its image by the operation.
    """
    cell = (5.2, 6.3, 7.1, 90, 104, 90)
    u = np.array([[0.011, 0.001, 0.004], [0.001, 0.017, -0.002], [0.004, -0.002, 0.023]])
    six = [u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2]]
    names = "\n".join(f"_atom_site_aniso_U_{ij}" for ij in ("11", "22", "33", "12", "13", "23"))
    more = f"loop_\n_atom_site_aniso_label\n{names}\nCu1 {' '.join(map(str, six))}\n_diffrn_ambient_temperature 150(2)"
    rows = ["Cu1 Cu 0.12 0.23 0.34", "O1 O 0.4 0.4 0.4"]
    symmetry = "_symmetry_space_group_name_H-M 'P 1 21/c 1'"
    structure = read(tmp_path, cif(cell, symmetry, rows=rows, more=more))
    assert structure.info["displacements_kelvin"] == 150.0
    assert np.isnan(structure.displacements[structure.numbers == 8]).all()
    matrix = Cell.fromcellpar(cell).array
    reciprocal = np.linalg.inv(matrix).T
    lengths = np.linalg.norm(reciprocal, axis=1)
    h = np.array([1, -2, 3])
    stated = (h * lengths) @ u @ (h * lengths)
    found = [(h @ reciprocal) @ t @ (h @ reciprocal) for t in structure.displacements[structure.numbers == 29]]
    turned = h * [-1, 1, -1]  # h R of the screw axis 2_1 along b
    other = (turned * lengths) @ u @ (turned * lengths)
    assert np.allclose(sorted(found), sorted([stated, stated, other, other]))


def exponents(reflections, beta):
    """−ln of the Debye–Waller factor, Σ β_ij h_i h_j, written out as Trueblood et al. (1996) do."""
    h, k, l = np.array(reflections, dtype=float).T
    b11, b22, b33, b12, b13, b23 = beta
    return b11 * h * h + b22 * k * k + b33 * l * l + 2 * (b12 * h * k + b13 * h * l + b23 * k * l)


def test_one_displacement_stated_in_three_ways_is_one(tmp_path):
    """β_ij, B_ij and U_ij of one atom in a triclinic cell; the exponents of reflections are those of β_ij as stated.

    U_ij = B_ij/8π² = β_ij/2π² a*_i a*_j; the Cartesian exponent is 2π² gᵀ⟨uu⟩g.
    """
    cell, rows = (5.2, 6.3, 7.1, 81, 104, 97), ["Cu1 Cu 0.12 0.23 0.34", "O1 O 0.4 0.4 0.4"]
    beta = (0.0093, 0.0081, 0.0069, 0.0012, -0.0017, 0.0008)
    matrix = Cell.fromcellpar(cell).array
    reciprocal = np.linalg.inv(matrix).T
    a, b, c = np.linalg.norm(reciprocal, axis=1)
    scales = (a * a, b * b, c * c, a * b, a * c, b * c)
    u = [value / (2 * np.pi**2 * scale) for value, scale in zip(beta, scales, strict=True)]
    ways = {"beta": beta, "U": u, "B": [8 * np.pi**2 * value for value in u]}
    tensors = []
    for tag, six in ways.items():
        names = "\n".join(f"_atom_site_aniso_{tag}_{ij}" for ij in ("11", "22", "33", "12", "13", "23"))
        more = f"loop_\n_atom_site_aniso_label\n{names}\nCu1 {' '.join(f'{value:.12g}' for value in six)}"
        structure = read(tmp_path, cif(cell, "_symmetry_space_group_name_H-M 'P 1'", rows=rows, more=more))
        assert not any("not read" in note for note in structure.info["notes"])
        tensors.append(structure.displacements[structure.numbers == 29][0])
    reflections = [(1, 0, 0), (0, 2, 0), (0, 0, 3), (1, -2, 3), (2, 1, -1), (-3, 0, 2)]
    g = np.array(reflections) @ reciprocal
    for tensor in tensors:
        assert np.allclose(2 * np.pi**2 * np.einsum("ni,ij,nj->n", g, tensor, g), exponents(reflections, beta))


def test_beta_of_a_special_position_is_turned_by_the_symmetry(tmp_path):
    """β11 = β22 = 2 β12 on a threefold axis is round about it: β33/2π² c*² along c, β11/2π² a*² across."""
    names = "\n".join(f"_atom_site_aniso_beta_{ij}" for ij in ("11", "22", "33", "12", "13", "23"))
    more = f"loop_\n_atom_site_aniso_label\n{names}\nLi1 0.030 0.030 0.003 0.015 0 0"
    a, c = 2.8156, 14.0542
    cell, symmetry = (a, a, c, 90, 90, 120), "_symmetry_space_group_name_H-M 'R -3 m :H'"
    rows = ["Li1 Li 0 0 0.5", "Co1 Co 0 0 0", "O1 O 0 0 0.2605"]
    structure = read(tmp_path, cif(cell, symmetry, rows=rows, more=more))
    across, along = 0.030 * (a * np.sqrt(0.75)) ** 2 / (2 * np.pi**2), 0.003 * c**2 / (2 * np.pi**2)
    assert np.allclose(structure.displacements[structure.numbers == 3], np.diag([across, across, along]), atol=1e-9)


@pytest.mark.parametrize(("tag", "factor"), [("U_iso_or_equiv", 1.0), ("B_iso_or_equiv", 8 * np.pi**2)])
def test_isotropic_displacements(tmp_path, tag, factor):
    columns = f"label type_symbol fract_x fract_y fract_z {tag}"
    rows = [f"Li1 Li 0 0 0 {0.02 * factor}", "F1 F 0.5 0.5 0.5 ?"]
    structure = read(tmp_path, cif(columns=columns, rows=rows))
    assert np.allclose(structure.displacements[structure.numbers == 3], 0.02 * np.eye(3))
    assert np.isnan(structure.displacements[structure.numbers == 9]).all()
    assert "displacements_kelvin" not in structure.info


def test_hexagonal_tensor_of_a_special_position(tmp_path):
    """U11 = U22 = 2 U12 on a threefold axis is round about the axis: U11 across, U33 along."""
    names = "\n".join(f"_atom_site_aniso_U_{ij}" for ij in ("11", "22", "33", "12", "13", "23"))
    more = f"loop_\n_atom_site_aniso_label\n{names}\nLi1 0.012 0.012 0.030 0.006 0 0"
    cell, symmetry = (2.8156, 2.8156, 14.0542, 90, 90, 120), "_symmetry_space_group_name_H-M 'R -3 m :H'"
    rows = ["Li1 Li 0 0 0.5", "Co1 Co 0 0 0", "O1 O 0 0 0.2605"]
    structure = read(tmp_path, cif(cell, symmetry, rows=rows, more=more))
    assert np.allclose(structure.displacements[structure.numbers == 3], np.diag([0.012, 0.012, 0.030]), atol=1e-9)


def test_ordered_crystals_keep_the_displacements_of_their_sites(tmp_path):
    columns = OCCUPIED + " U_iso_or_equiv"
    rows = ["Li1 Li 0 0 0 0.5 0.01", "Ni1 Ni 0 0 0 0.5 0.03", "O1 O 0.5 0.5 0.5 1 0.007"]
    structure = read(tmp_path, cif((8.245,) * 3 + (90,) * 3, columns=columns, rows=rows), ordering="auto")
    metals = structure.numbers != 8
    assert np.allclose(structure.displacements[metals], 0.02 * np.eye(3))
    assert np.allclose(structure.displacements[~metals], 0.007 * np.eye(3))


def test_a_formula_that_counts_partly_occupied_sites_as_full_is_remarked(tmp_path):
    """ASE writes Li1 F1 beside an occupancy of 0.5: the atoms are right, the formula is said to be what it is."""
    import ase

    crystal = ase.Atoms("LiF", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[4.0] * 3, pbc=True)
    crystal.info["occupancy"] = {"0": {"Li": 0.5}, "1": {"F": 1.0}}
    crystal.set_array("spacegroup_kinds", np.arange(2))
    crystal.write(tmp_path / "half.cif")
    with pytest.raises(InputError, match="--order"):
        read_structure(tmp_path / "half.cif")
    ordered = read_structure(tmp_path / "half.cif", ordering="auto")
    assert any("counts partly occupied sites as full" in note for note in ordered.info["notes"])
