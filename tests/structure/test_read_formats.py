"""Formats but CIF: files that other programs and our own exports write come back; what is doubtful is refused."""

import bz2
import gzip
import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from ase.spacegroup import crystal

from rhotem.core import InputError
from rhotem.potential.files.structures import write_qstem, write_temsim
from rhotem.structure.model import Structure
from rhotem.structure.read import read_structure
from rhotem.structure.write import FORMATS, write_structure


def perovskite() -> Atoms:
    return crystal(
        ["Sr", "Ti", "O"], [(0, 0, 0), (0.5,) * 3, (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.905] * 3 + [90] * 3
    )


def spinel() -> Atoms:
    return crystal(
        ["Li", "Mn", "O"],
        [(0.125,) * 3, (0.5,) * 3, (0.2636,) * 3],
        spacegroup=227,
        setting=2,
        cellpar=[8.25] * 3 + [90] * 3,
    )


def triclinic() -> Atoms:
    return Atoms(
        "LiCoO2",
        cell=[3.1, 4.2, 5.3, 81, 97, 102],
        scaled_positions=np.array([[0.1, 0.2, 0.3], [0.6, 0.7, 0.8], [0.1, 0.7, 0.3], [0.6, 0.2, 0.8]]),
        pbc=True,
    )


def same(read: Structure, atoms: Atoms, atol: float = 1e-3) -> None:
    """The same crystal up to order, rotation and a shift: cell, elements, and distances by element."""
    assert np.allclose(read.atoms.cell.cellpar(), atoms.cell.cellpar(), atol=atol)
    assert read.atoms.symbols.formula.count() == atoms.symbols.formula.count()
    for one, two in {tuple(sorted(pair)) for pair in zip(atoms.numbers, np.roll(atoms.numbers, 1), strict=True)}:
        ours, theirs = (
            np.sort(a.get_all_distances(mic=True)[np.ix_(a.numbers == one, a.numbers == two)], axis=None)
            for a in (read.atoms, atoms)
        )
        assert np.allclose(ours, theirs, atol=atol)


def write(tmp_path, text, name):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("make", [perovskite, spinel, triclinic])
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.cif", "cif"), ("POSCAR", "vasp"), ("a.vasp", "vasp"), ("a.xyz", "extxyz"), ("a.cfg", "cfg"),
        ("a.xsf", "xsf"),
        ("a.json", "json"), ("a.traj", "traj"), ("a.db", "db"), ("a.gen", "gen"), ("a.res", "res"),
        ("a.pdb", "proteindatabank"),
        ("geometry.in", "aims"), ("a.lmp", "lammps-data"), ("a.cube", "cube"),
    ],
)  # fmt: skip
def test_what_ase_writes(tmp_path, make, name, form):
    atoms = make()
    options = {"masses": True} if form == "lammps-data" else {"direct": True} if form == "vasp" else {}
    if form == "cube":
        options = {"data": np.zeros((10, 10, 10))}
    ase.io.write(tmp_path / name, atoms, format=form, **options)
    same(read_structure(tmp_path / name), atoms, 2e-3 if form == "proteindatabank" else 1e-4)


@pytest.mark.parametrize(
    "name", ["POSCAR.gz", "a.cif.gz", "a.vasp.bz2", "relaxed_CONTCAR", "POSCAR_1", "poscar.relaxed", "a.CIF"]
)
def test_names_and_compression(tmp_path, name):
    plain = tmp_path / "plain"
    ase.io.write(plain, perovskite(), format="cif" if "cif" in name.lower() else "vasp")
    pack = {"gz": gzip.compress, "bz2": bz2.compress}.get(name.rpartition(".")[2], bytes)
    (tmp_path / name).write_bytes(pack(plain.read_bytes()))
    same(read_structure(tmp_path / name), perovskite())


@pytest.mark.parametrize("ending", FORMATS)
def test_our_structure_files_read_back(tmp_path, ending):
    path = tmp_path / f"x{ending}"
    write_structure(Structure(perovskite()), path)
    same(read_structure(path), perovskite())


def test_our_exports_for_imaging_programs_read_back(tmp_path):
    """QSTEM's and TEMSIM's files with their displacements; B = 8π²⟨u²⟩ and √⟨u²⟩ of docs/potential.md."""
    u2 = np.array([0.0079, 0.0056, 0.0093, 0.0093, 0.0093])
    for name, writer in (("p.cfg", write_qstem), ("p.xyz", write_temsim)):
        writer(Structure(perovskite()), tmp_path / name, u2)
        read = read_structure(tmp_path / name)
        same(read, perovskite())
        for z, value in ((38, 0.0079), (22, 0.0056), (8, 0.0093)):
            assert np.allclose(read.displacements[read.numbers == z], value * np.eye(3), atol=1e-6)


def test_prismatic_and_mustem_as_ase_writes_them(tmp_path):
    factors = {"Sr": 0.62, "Ti": 0.44, "O": 0.73}
    ase.io.write(tmp_path / "a.xyz", perovskite(), format="prismatic", debye_waller_factors=factors)
    ase.io.write(tmp_path / "a.xtl", perovskite(), format="mustem", keV=200, debye_waller_factors=dict(factors))
    for name in ("a.xyz", "a.xtl"):
        read = read_structure(tmp_path / name)
        same(read, perovskite())
        assert np.allclose(read.displacements[read.numbers == 38], 0.62 / (8 * np.pi**2) * np.eye(3), atol=1e-5)


def test_half_occupied_rows_of_every_imaging_format(tmp_path):
    kirkland = "x\n 4 4 4\n38 0 0 0 0.5 0.08\n20 0 0 0 0.5 0.08\n8 2 2 2 1.0 0.1\n-1\n"
    shared = "Sr2+ 0 0 0 0.5 0.006 0 0 0\nCa2+ 0 0 0 0.5 0.006 0 0 0\n"
    cel = f"x\n 0 0.4 0.4 0.4 90 90 90\n{shared}O2- .5 .5 .5 1 0.007 0 0 0\n*\n"
    xtl = "x\n4.0 4.0 4.0\n200.0\n3\nSr\n1 38 0.5 0.006\n0 0 0\nCa\n1 20 0.5 0.006\n0 0 0\nO\n1 8 1.0 0.007\n.5 .5 .5\n"
    for name, text in (("k.xyz", kirkland), ("d.cel", cel), ("m.xtl", xtl)):
        path = write(tmp_path, text, name)
        with pytest.raises(InputError, match=r"1 of 2 sites are partly occupied \(Ca 0.5 \+ Sr 0.5\)"):
            read_structure(path)
        assert read_structure(path, ordering="auto").atoms.symbols.formula.count() == {"Ca": 1, "Sr": 1, "O": 2}


def test_dr_probe_displacements_are_nanometres_squared(tmp_path):
    text = "x\n 0 0.4 0.4 0.5 90 90 120\nSr 0 0 0 1 0.0079 0 0 0\n*\n"
    read = read_structure(write(tmp_path, text, "d.cel"))
    assert np.allclose(read.atoms.cell.cellpar(), [4, 4, 5, 90, 90, 120])
    assert np.allclose(read.displacements[0], 0.79 / (8 * np.pi**2) * np.eye(3))


# -- POSCAR ----------------------------------------------------------------------------------------------------------

HEAD = "title\n{scale}\n3 0 0\n0 3 0\n0 0 3\n"
REST = "Direct\n0 0 0\n.5 .5 .5\n"


@pytest.mark.parametrize(
    ("text", "symbols", "side"),
    [
        (HEAD.format(scale="1.0") + "Li F\n1 1\n" + REST, "LiF", 3.0),
        (HEAD.format(scale="2.0") + "Li F\n1 1\n" + REST, "LiF", 6.0),
        (HEAD.format(scale="-64") + "Li F\n1 1\n" + REST, "LiF", 4.0),
        (HEAD.format(scale="2 2 2") + "Li F\n1 1\n" + REST, "LiF", 6.0),
        (HEAD.format(scale="-64") + "Li F\n1 1\nCartesian\n0 0 0\n1.5 1.5 1.5\n", "LiF", 4.0),
        (HEAD.format(scale="2.0") + "Li F\n1 1\nCartesian\n0 0 0\n1.5 1.5 1.5\n", "LiF", 6.0),
        (HEAD.format(scale="1.0") + "Li_sv F\n1 1\n" + REST, "LiF", 3.0),
        (HEAD.format(scale="1.0") + "LI/0a1b F\n1 1\n" + REST, "LiF", 3.0),
        (HEAD.format(scale="1.0") + "Li F ! as VASP\n1 1 # counts\n" + REST, "LiF", 3.0),
        (HEAD.format(scale="1.0") + "Li F\n1 1\nSelective dynamics\nDirect\n0 0 0 T T F\n.5 .5 .5 F F F\n", "LiF", 3.0),
        (HEAD.format(scale="1.0") + "Li F\n1 1\nSelective\nDirect\n0 0 0 T T F Li\n.5 .5 .5 F F F F\n", "LiF", 3.0),
        (HEAD.format(scale="1.0") + "Li F\n1 1\n" + REST + "\n 0 0 0\n 0 0 0\n", "LiF", 3.0),
        (HEAD.format(scale="1.0").replace("title", "Li F") + "1 1\n" + REST, "LiF", 3.0),
        (HEAD.format(scale="1.0") + "D Li\n1 1\n" + REST, "HLi", 3.0),
        (HEAD.format(scale="1.0") + "Fe O Fe\n1 1 0\n" + REST, "FeO", 3.0),
    ],
)
def test_poscar_variants(tmp_path, text, symbols, side):
    read = read_structure(write(tmp_path, text, "POSCAR"))
    assert read.atoms.get_chemical_formula("reduce") == Atoms(symbols).get_chemical_formula("reduce")
    assert np.allclose(np.diag(read.cell), side)
    assert np.allclose(read.positions, [[0, 0, 0], [side / 2] * 3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.format(scale="1.0") + "1 1\n" + REST, "VASP 4"),
        (HEAD.format(scale="1.0") + "Li F\n1 1 1\n" + REST, "expected 2 whole numbers"),
        (HEAD.format(scale="1.0") + "Li F\n1 2\n" + REST, "truncated"),
        (HEAD.format(scale="1.0") + "Li F\n1 1\n" + REST + ".5 .5 0\n", "one more position"),
        (HEAD.format(scale="1.0") + "Li Qx\n1 1\n" + REST, "'Qx' is no element"),
        (HEAD.format(scale="0") + "Li F\n1 1\n" + REST, "no volume"),
        (HEAD.format(scale="1.0") + "Li F\n1 1\n0 0 0\n.5 .5 .5\n", "expected Direct or Cartesian"),
        (
            HEAD.format(scale="1.0") + "Li F\n1 1\nDirect\n0 0 0 Li\n.5 .5 .5 Na\n",
            "atom 2 is F by the line of symbols, Na",
        ),
        (HEAD.format(scale="1.0") + "Li F\n1 1\nDirect\n0 0 0\n.5 .5 x\n", "expected position 2 of 2"),
    ],
)
def test_poscars_that_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_structure(write(tmp_path, text, "POSCAR"))


def test_what_pymatgen_writes(tmp_path):
    from pymatgen.core import Lattice
    from pymatgen.core import Structure as Pymatgen

    made = Pymatgen.from_spacegroup(
        "R-3m", Lattice.hexagonal(2.8156, 14.0542), ["Li", "Co", "O"], [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.2605]]
    )
    for name in ("a.cif", "POSCAR", "a.json"):
        made.to(str(tmp_path / name))
        read = read_structure(tmp_path / name)
        assert read.atoms.symbols.formula.count() == {"Li": 3, "Co": 3, "O": 6}
        assert np.allclose(read.atoms.cell.cellpar(), [2.8156, 2.8156, 14.0542, 90, 90, 120], atol=1e-4)
    made.to(str(tmp_path / "sym.cif"), symprec=0.01)
    assert read_structure(tmp_path / "sym.cif").atoms.symbols.formula.count() == {"Li": 3, "Co": 3, "O": 6}
    made.replace_species({"Co": {"Ni": 0.5, "Co": 0.5}})
    made.to(str(tmp_path / "mixed.json"))
    with pytest.raises(InputError, match=r"partly occupied \(Co 0.5 \+ Ni 0.5\)"):
        read_structure(tmp_path / "mixed.json")


# -- xyz, LAMMPS, and what is doubtful -------------------------------------------------------------------------------


def test_xyz_variants(tmp_path):
    ase.io.write(tmp_path / "m.xyz", molecule("H2O"), format="xyz")
    assert read_structure(tmp_path / "m.xyz", vacuum=4.0).atoms.symbols.formula.count() == {"H": 2, "O": 1}
    numbers = write(tmp_path, "2\nx\n8 0 0 0\n1 0 0 0.96\n", "n.xyz")
    assert read_structure(numbers, vacuum=4.0).numbers.tolist() == [8, 1]
    two = write(tmp_path, "1\nx\nHe 0 0 0\n1\nx\nNe 0 0 0\n", "two.xyz")
    frames = read_structure(two, vacuum=4.0)
    assert frames.numbers.tolist() == [10] and any("last of 2 frames" in note for note in frames.info["notes"])
    for text in ("2\nx\nHe 0 0 0\n", "1\nx\nHe 0 0 0\nHe 0 0 3\n", "1\nx\nHe 0 0\n", "1\nx\nBq 0 0 0\n"):
        with pytest.raises(InputError):
            read_structure(write(tmp_path, text, "bad.xyz"), vacuum=4.0)
    sheet = graphene(vacuum=None)
    ase.io.write(tmp_path / "g.xyz", sheet, format="extxyz")
    assert np.allclose(read_structure(tmp_path / "g.xyz", vacuum=5.0).atoms.cell.lengths(), [2.46, 2.46, 10.0])


DATA = "x\n\n2 atoms\n2 atom types\n\n0 4 xlo xhi\n0 4 ylo yhi\n0 4 zlo zhi\n{tilt}\n"
DATA += "Masses\n\n{masses}\n\nAtoms{style}\n\n{rows}\n"
ROWS = "1 1 0 0 0\n2 2 2 2 2"


@pytest.mark.parametrize(
    ("masses", "style", "rows"),
    [
        ("1 6.94 # Li\n2 18.998 # F", " # atomic", ROWS),
        ("1 6.94\n2 18.998", "", ROWS),
        ("1 6.941\n2 19.00", " # charge", "1 1 1.0 0 0 0\n2 2 -1.0 2 2 2"),
        ("1 6.94 # Li\n2 18.998 # F", " # full", "1 1 1 0.5 0 0 0 0 0 0\n2 1 2 -0.5 2 2 2 0 0 0"),
        ("1 6.94 # Li\n2 18.998 # F", " # molecular", "1 1 1 0 0 0\n2 1 2 2 2 2"),
    ],
)
def test_lammps_data(tmp_path, masses, style, rows):
    text = DATA.format(masses=masses, style=style, rows=rows, tilt="1 0.5 0.25 xy xz yz\n")
    read = read_structure(write(tmp_path, text, "a.lmp"))
    assert read.atoms.symbols.get_chemical_formula() == "FLi"
    assert np.allclose(read.cell, [[4, 0, 0], [1, 4, 0], [0.5, 0.25, 4]])
    assert np.allclose(read.positions, [[0, 0, 0], [2, 2, 2]])


@pytest.mark.parametrize(
    ("masses", "style", "rows", "message"),
    [
        ("1 1.0\n2 1.0", " # atomic", ROWS, "type 1 has no element"),
        ("1 6.94 # Li\n2 18.998 # F", "", "1 1 1 0 0 0\n2 1 2 2 2 2", "atom style is not stated"),
        ("1 6.94 # Li\n2 18.998 # F", " # sphere", ROWS, "style sphere is not read"),
        ("1 6.94 # Li\n2 18.998 # F", " # atomic", "1 1 0 0 0", "1 atoms in its table, the head says 2"),
    ],
)
def test_lammps_data_refused(tmp_path, masses, style, rows, message):
    with pytest.raises(InputError, match=message):
        read_structure(write(tmp_path, DATA.format(masses=masses, style=style, rows=rows, tilt=""), "a.data"))


def test_lammps_dump_of_a_tilted_cell(tmp_path):
    """Bounds of a dump hold the tilted cell; scaled and plain coordinates agree."""
    box = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS xy xz yz pp pp pp\n-1 6 -1\n0 4.5 1\n0 5 0.5\n"
    plain = write(tmp_path, box + "ITEM: ATOMS id element x y z\n2 F 2 2 2\n1 Li 0 0 0\n", "a.dump")
    cell = np.array([[5, 0, 0], [-1, 4, 0], [1, 0.5, 5]])
    # docs.lammps.org, Howto_triclinic: xlo = -1 - min(0, xy, xz, xy + xz) = 0, xhi = 6 - max(0, xy, xz, xy + xz) = 5
    read = read_structure(plain)
    assert np.allclose(read.cell, cell) and read.atoms.get_chemical_symbols() == ["Li", "F"]
    scaled = np.linalg.solve(cell.T, [2, 2, 2])
    rows = f"ITEM: ATOMS id element xs ys zs\n1 Li 0 0 0\n2 F {' '.join(map(str, scaled))}\n"
    assert np.allclose(read_structure(write(tmp_path, box + rows, "b.lammpstrj")).positions, read.positions)


def test_pdb_symmetry_is_applied(tmp_path):
    text = (
        "CRYST1   10.000   11.000   12.000  90.00  90.00  90.00 P 21 21 21    4\n"
        "HETATM    1  O   HOH A   1       1.000   2.000   3.000  1.00 10.00           O  \nEND\n"
    )
    read = read_structure(write(tmp_path, text, "a.pdb"))
    assert read.atoms.symbols.formula.count() == {"O": 4}
    assert np.allclose(read.displacements, 10.0 / (8 * np.pi**2) * np.eye(3))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.foo", "1 2 3", "no format for .foo; known: .cif"),
        ("a.cif", HEAD.format(scale="1") + "Li\n1\nDirect\n0 0 0\n", "no CIF|no table of atoms|cannot be read"),
        ("a.xyz", "data_x\n_cell_length_a 4\n", "content is no .*; it looks like CIF"),
        ("a.vasp", "2\nx\nLi 0 0 0\nF 2 2 2\n", "content is no POSCAR"),
        ("structure", HEAD.format(scale="1") + "Li\n1\nDirect\n0 0 0\n", "looks like a POSCAR; name it so"),
        ("a.xsf", "CRYSTAL\nPRIMVEC\n1 0 0\n", "xsf|lattice vector"),
        ("a.json", json.dumps({"a": 1}), "cannot be read"),
    ],
)
def test_ending_and_content_must_agree(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_structure(write(tmp_path, text, name))
    assert "\n" not in str(caught.value)


def test_vacuum_where_there_is_a_cell_is_remarked():
    assert any("no vacuum is added" in note for note in read_structure(bulk("Si"), vacuum=5.0).info["notes"])


def test_overlaps_go_on_when_allowed():
    """Li–Li 1.2 Å is 47 % of twice the covalent radius (B. Cordero et al., 2008: 1.28 Å)."""
    from rhotem.structure.orient import orient

    atoms = Atoms("Li2", cell=np.eye(3) * 6, positions=[[0, 0, 0], [1.2, 0, 0]], pbc=True)
    with pytest.raises(InputError, match=r"1.20 Å apart, 47 % .*--allow-overlaps"):
        read_structure(atoms)
    allowed = read_structure(atoms, allow_overlaps=True)
    assert "allowed on request" in allowed.info["notes"][0]
    assert len(orient(allowed, (0, 0, 1)).structure) == 2
    for near in ("H2O", "HF", "CH4", "C2H2"):
        assert read_structure(molecule(near), vacuum=3.0).info["notes"] == []
