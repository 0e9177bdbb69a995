"""Reading: what comes in is what ASE says, what cannot be calculated ends in one clear line."""

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule

from rhotem.core import InputError
from rhotem.structure.model import Structure
from rhotem.structure.read import read_structure

PARTIAL = """data_x
_cell_length_a 8.245
_cell_length_b 8.245
_cell_length_c 8.245
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
_space_group_IT_number 225
loop_
 _atom_site_label
 _atom_site_type_symbol
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
 M1 {a} 0.0 0.0 0.0 {p}
 M2 {b} 0.0 0.0 0.0 {q}
 O1 O 0.5 0.5 0.5 1.0
"""


def write(tmp_path, text, name="x.cif"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("extension", ["cif", "vasp", "extxyz", "cfg", "xsf"])
def test_formats_give_the_same_crystal(tmp_path, extension):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    path = tmp_path / f"salt.{extension}"
    ase.io.write(path, atoms)
    read = read_structure(path, charge=1)
    assert np.allclose(read.atoms.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-4)
    assert np.allclose(read.atoms.cell.cellpar(), atoms.cell.cellpar(), atol=1e-4)
    assert sorted(read.atoms.symbols) == ["Cl", "Na"]
    assert read.charge == 1.0 and read.info["name"] == path.name and len(read.info["sha256"]) == 64


def test_moments_are_kept():
    atoms = bulk("Ni")
    atoms.set_initial_magnetic_moments([0.0])
    assert read_structure(atoms).moments is None
    atoms.set_initial_magnetic_moments([2.2])
    assert read_structure(atoms).moments.tolist() == [2.2]


def test_partial_occupancies_name_the_sites(tmp_path):
    path = write(tmp_path, PARTIAL.format(a="Li", b="Ni", p=0.5, q=0.5))
    with pytest.raises(InputError, match=r"4 of 8 sites are partly occupied \(Li 0.5 \+ Ni 0.5\)"):
        read_structure(path)


def test_operations_need_no_name(tmp_path):
    """A list of operations is all a reader needs; the name of their group is not."""
    text = PARTIAL.format(a="Li", b="Ni", p=0.5, q=0.5)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("_space_group"))
    operations = "loop_\n _space_group_symop_operation_xyz\n x,y,z\n -x,-y,-z\nloop_"
    path = write(tmp_path, text.replace("loop_", operations, 1))
    with pytest.raises(InputError, match=r"1 of 2 sites are partly occupied \(Li 0.5 \+ Ni 0.5\)"):
        read_structure(path)


def test_an_ordered_choice_has_the_composition_and_alternates(tmp_path):
    """Li0.5Ni0.5O rock salt: every cation must see both kinds among its twelve neighbours, charges spread evenly."""
    path = write(tmp_path, PARTIAL.format(a="Li", b="Ni", p=0.5, q=0.5))
    structure = read_structure(path, ordering="auto")
    assert structure.atoms.get_chemical_formula() == "Li2Ni2O4"
    assert "ordered in 1 times" in structure.info["notes"][0]
    again = read_structure(path, ordering="auto")
    assert np.array_equal(again.positions, structure.positions) and np.array_equal(again.numbers, structure.numbers)
    # fcc nearest neighbours, 12 each: random would be 6 + 6, the layered/L1_0 optimum has 4 like, 8 unlike
    from ase.neighborlist import neighbor_list

    i, j = neighbor_list("ij", structure.atoms, 8.245 / np.sqrt(2) + 0.1)
    z = structure.numbers
    cations = z[i] != 8
    pairs = (z[i] == z[j])[cations & (z[j] != 8)]
    assert pairs.mean() == pytest.approx(4 / 12)


def test_vacancies_count_as_occupants(tmp_path):
    path = write(tmp_path, PARTIAL.format(a="Ti", b="Nb", p=0.5, q=0.25))
    structure = read_structure(path, ordering="auto")
    assert structure.atoms.get_chemical_formula() == "NbO4Ti2"


def test_smallest_cell_that_matches(tmp_path):
    path = write(tmp_path, PARTIAL.format(a="Ti", b="Nb", p=0.875, q=0.125))
    structure = read_structure(path, ordering="auto")
    assert structure.atoms.get_chemical_formula() == "NbO8Ti7"


def test_occupancies_above_one_are_an_error(tmp_path):
    path = write(tmp_path, PARTIAL.format(a="Ti", b="Nb", p=0.875, q=0.5))
    with pytest.raises(InputError, match="add up to"):
        read_structure(path, ordering="auto")


def test_per_atom_occupancies_are_seen(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_array("occupancy", np.array([1.0, 1.0, 0.5, 1.0]))
    with pytest.raises(InputError, match="1 of 4 sites"):
        read_structure(atoms)


def test_deuterium_is_hydrogen(tmp_path):
    path = write(tmp_path, '2\nLattice="4 0 0 0 4 0 0 0 4"\nLi 0 0 0\nD 2 2 2\n', "lid.xyz")
    assert read_structure(path).numbers.tolist() == [3, 1]


BAD_FILES = {
    "empty.cif": ("", "is empty"),
    "words.cif": ("nothing of a crystal here", "cannot be read|no structure"),
    "odd.vasp": ("x\n1.0\n1 0 0\n0 1 0\n", "cannot be read"),
    "name.xyz": ('1\nLattice="4 0 0 0 4 0 0 0 4"\nQq 0 0 0\n', "unknown element Qq"),
    "none.xyz": ('0\nLattice="4 0 0 0 4 0 0 0 4"\n', "no atoms|cannot be read"),
    "nan.xyz": ('1\nLattice="4 0 0 0 4 0 0 0 4"\nLi nan 0 0\n', "not a finite"),
    "heavy.xyz": ('1\nLattice="4 0 0 0 4 0 0 0 4"\nEs 0 0 0\n', "not among H to Cm"),
    "dummy.xyz": ('1\nLattice="4 0 0 0 4 0 0 0 4"\nX 0 0 0\n', "not among H to Cm"),
    "twice.xyz": ('2\nLattice="4 0 0 0 4 0 0 0 4"\nLi 0 0 0\nO 0.1 0 3.9\n', r"0.14 Å apart"),
    "flat.xyz": ('1\nLattice="4 0 0 0 4 0 4 0 0"\nLi 0 0 0\n', "its cell has no volume"),
    "free.xyz": ("1\n\nLi 0 0 0\n", "no three-dimensional cell.*vacuum"),
    "what.unknown": ("1 2 3", "cannot be read"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_end_in_one_line(tmp_path, name):
    text, message = BAD_FILES[name]
    path = write(tmp_path, text, name)
    with pytest.raises(InputError, match=message) as caught:
        read_structure(path)
    assert "\n" not in str(caught.value) and name.split(".")[0] in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_structure(tmp_path / "not.cif")
    with pytest.raises(InputError, match="is a folder"):
        read_structure(tmp_path)


def test_truncated_cif(tmp_path):
    ase.io.write(tmp_path / "x.cif", bulk("NaCl", "rocksalt", a=5.64))
    text = (tmp_path / "x.cif").read_text()
    path = write(tmp_path, text[: text.index("_atom_site")], "cut.cif")
    with pytest.raises(InputError):
        read_structure(path)


def test_close_atoms_are_remarked_not_refused():
    atoms = ase.Atoms("Li2", cell=np.eye(3) * 6, positions=[[0, 0, 0], [1.3, 0, 0]])
    assert "1.30 Å apart" in read_structure(atoms).info["notes"][0]
    assert read_structure(bulk("NaCl", "rocksalt", a=5.64)).info["notes"] == []


def test_vacuum_around_a_molecule():
    structure = read_structure(molecule("H2O"), vacuum=4.0)
    extent = np.ptp(molecule("H2O").positions, axis=0)
    assert np.allclose(np.diag(structure.cell), extent + 8.0)


def test_structures_pass_through():
    structure = Structure(bulk("Si"), charge=-1)
    assert read_structure(structure) is structure
