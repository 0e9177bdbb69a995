"""Quantum ESPRESSO's lattices against ASE's names of lattices, tables of volumes and measured crystals."""

import numpy as np
import pytest
from ase.cell import Cell

from rhotem.core import InputError
from rhotem.core.units import BOHR
from rhotem.structure.read import read_structure
from rhotem.structure.read.bravais import LATTICES, lattice_vectors

A, B, C = 5.1, 5.9, 7.3
BC, AC, AB = 0.11, -0.17, 0.23
MORE = {"b": B, "c": C, "bc": BC, "ac": AC, "ab": AB}
SINE = {name: np.sqrt(1 - value**2) for name, value in MORE.items() if value < 1}
TRICLINIC = A * B * C * np.sqrt(1 + 2 * BC * AC * AB - BC**2 - AC**2 - AB**2)
#: Name of the lattice by ASE, and volume of the primitive cell: that of the conventional one over its lattice points.
TABLE = {
    1: ("CUB", A**3),
    2: ("FCC", A**3 / 4),
    3: ("BCC", A**3 / 2),
    -3: ("BCC", A**3 / 2),
    4: ("HEX", A * A * C * np.sqrt(3) / 2),
    5: ("RHL", A**3 * np.sqrt(1 - 3 * AB**2 + 2 * AB**3)),
    -5: ("RHL", A**3 * np.sqrt(1 - 3 * AB**2 + 2 * AB**3)),
    6: ("TET", A * A * C),
    7: ("BCT", A * A * C / 2),
    8: ("ORC", A * B * C),
    9: ("ORCC", A * B * C / 2),
    -9: ("ORCC", A * B * C / 2),
    91: ("ORCC", A * B * C / 2),
    10: ("ORCF", A * B * C / 4),
    11: ("ORCI", A * B * C / 2),
    12: ("MCL", A * B * C * SINE["ab"]),
    -12: ("MCL", A * B * C * SINE["ac"]),
    13: ("MCLC", A * B * C * SINE["ab"] / 2),
    -13: ("MCLC", A * B * C * SINE["ac"] / 2),
    14: ("TRI", TRICLINIC),
}


@pytest.mark.parametrize("ibrav", sorted(LATTICES))
def test_every_lattice_is_the_one_of_its_name(ibrav):
    """Right-handed, with the volume of the table, and the lattice that ASE finds in the vectors alone."""
    name, volume = TABLE[ibrav]
    vectors = lattice_vectors(ibrav, A, MORE)
    assert np.linalg.det(vectors) == pytest.approx(volume, rel=1e-12)
    assert Cell(vectors).get_bravais_lattice(eps=1e-6).name == name


#: Conventional cells (vectors as rows) whose lattice the primitive vectors must give back with their centrings.
RIGHT = np.diag([A, B, C])
CONVENTIONAL = {
    1: (np.eye(3) * A, []),
    2: (np.eye(3) * A, [(0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]),
    3: (np.eye(3) * A, [(0.5, 0.5, 0.5)]),
    -3: (np.eye(3) * A, [(0.5, 0.5, 0.5)]),
    4: ([[A, 0, 0], [-A / 2, A * np.sqrt(3) / 2, 0], [0, 0, C]], []),
    6: (np.diag([A, A, C]), []),
    7: (np.diag([A, A, C]), [(0.5, 0.5, 0.5)]),
    8: (RIGHT, []),
    9: (RIGHT, [(0.5, 0.5, 0)]),
    -9: (RIGHT, [(0.5, 0.5, 0)]),
    91: (RIGHT, [(0, 0.5, 0.5)]),
    10: (RIGHT, [(0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]),
    11: (RIGHT, [(0.5, 0.5, 0.5)]),
    12: ([[A, 0, 0], [B * AB, B * SINE["ab"], 0], [0, 0, C]], []),
    -12: ([[A, 0, 0], [0, B, 0], [C * AC, 0, C * SINE["ac"]]], []),
    13: ([[A, 0, 0], [B * AB, B * SINE["ab"], 0], [0, 0, C]], [(0.5, 0, 0.5)]),
    -13: ([[A, 0, 0], [0, B, 0], [C * AC, 0, C * SINE["ac"]]], [(0.5, 0.5, 0)]),
}


@pytest.mark.parametrize("ibrav", sorted(CONVENTIONAL))
def test_axes_and_centrings_lie_as_documented(ibrav):
    """Sides and centrings of the conventional cell are whole combinations of the primitive vectors."""
    cell, centrings = CONVENTIONAL[ibrav]
    inverse = np.linalg.inv(lattice_vectors(ibrav, A, MORE))
    points = np.concatenate([np.eye(3), np.array(centrings).reshape(-1, 3)]) @ np.array(cell) @ inverse
    assert np.allclose(points, np.rint(points), atol=1e-9)


@pytest.mark.parametrize("ibrav", [5, -5, 14])
def test_angles_between_vectors(ibrav):
    """A rhombohedron has three equal sides and angles, its axis along z or [111]; a triclinic cell those asked for."""
    sides = Cell(lattice_vectors(ibrav, A, MORE)).cellpar()
    cosines = np.cos(np.radians(sides[3:]))
    if ibrav == 14:
        assert sides[:3] == pytest.approx([A, B, C]) and cosines == pytest.approx([BC, AC, AB])
        return
    assert sides[:3] == pytest.approx([A] * 3) and cosines == pytest.approx([AB] * 3)
    axis = lattice_vectors(ibrav, A, MORE).sum(axis=0)
    assert axis / np.linalg.norm(axis) == pytest.approx([0, 0, 1] if ibrav == 5 else np.ones(3) / np.sqrt(3))


def given(folder, system, atoms="Si 0 0 0\nSi 1/4 1/4 1/4", unit="alat", more=""):
    (folder / "pw.in").write_text(
        f"&control\n outdir='./'\n/\n&system\n {system}\n/\n&electrons\n conv_thr=1.0d-8 /\n"
        f"ATOMIC_SPECIES\nSi 28.086 Si.upf\n{more}ATOMIC_POSITIONS {unit}\n{atoms}\n"
        "K_POINTS automatic\n 4 4 4 0 0 0\n"
    )
    return read_structure(folder / "pw.in")


@pytest.mark.parametrize(
    "system",
    [
        "ibrav= 2, celldm(1) =10.263, nat= 2, ntyp= 1, ecutwfc = 30.0",
        "IBRAV = 2 ! fcc\n A = 5.43094D0\n nat=2 ntyp=1",
        "nat=2,ibrav=2,celldm=10.263,5*0.0",
    ],
)
def test_silicon_has_the_bonds_and_the_density_of_silicon(tmp_path, system):
    """2.352 Å and 2.329 g/cm³, from ibrav = 2 in every way to write it."""
    silicon = given(tmp_path, system)
    assert silicon.atoms.get_distance(0, 1, mic=True) == pytest.approx(2.352, abs=1e-3)
    assert silicon.atoms.get_masses().sum() / silicon.volume * 1.66054 == pytest.approx(2.329, abs=2e-3)
    assert np.allclose(silicon.cell, 5.43094 / 2 * np.array([[-1, 0, 1], [0, 1, 1], [-1, 1, 0]]), atol=1e-3)


def test_units_of_positions_say_the_same(tmp_path):
    """Graphite's hexagonal cell by celldm and by A and C; formulas instead of numbers, left to right as pw.x reads."""
    ways = {
        "crystal": "C 0 0 1/4\nC1 1/3 2/3 0.5/2",
        "angstrom": f"C 0 0 1.6775\nC1 0 {2.4612 / np.sqrt(3)} 1.6775",
        "bohr": f"C 0 0 {1.6775 / BOHR}\nC1 0 {2.4612 / np.sqrt(3) / BOHR} 1.6775/{BOHR}",
        "alat": "C 0 0 6.71/2.4612/4\nC_2 0 3^(-1/2) 1-1+6.71/2.4612/4",
    }
    for system in ("A=2.4612, C=6.71", f"celldm(1)={2.4612 / BOHR}, celldm(3)={6.71 / 2.4612}"):
        for unit, atoms in ways.items():
            layer = given(tmp_path, f"ibrav=4, {system}, nat=2, ntyp=1", atoms, f"({unit})")
            assert layer.cell[2, 2] == pytest.approx(6.71) and layer.positions[:, 2] == pytest.approx([1.6775] * 2)
            assert layer.atoms.get_distance(0, 1, mic=True) == pytest.approx(1.42097, abs=1e-4), unit


def test_vectors_of_a_card(tmp_path):
    """ibrav = 0 in its three units, and alat as the length of the first vector where nothing else says it."""
    rows = "0 0.5 0.5\n0.5 0 0.5\n0.5 0.5 0\n"
    ways = {
        "ibrav=0, A=5.43, nat=2": f"CELL_PARAMETERS alat\n{rows}",
        "ibrav=0, celldm(1)=10.2612, nat=2": f"CELL_PARAMETERS\n{rows}",
        "ibrav=0, nat=2": "CELL_PARAMETERS {angstrom}\n0 2.715 2.715\n2.715 0 2.715\n2.715 2.715 0\n",
    }
    for system, card in ways.items():
        silicon = given(tmp_path, system, unit="crystal", more=card)
        assert silicon.volume == pytest.approx(5.43**3 / 4, rel=1e-4), system


def test_starting_magnetizations_are_no_moments(tmp_path):
    system = "ibrav=2, A=5.43, nat=2, nspin=2, starting_magnetization(1)=0.5"
    silicon = given(tmp_path, system)
    assert silicon.moments is None and any("are guesses, not moments" in note for note in silicon.info["notes"])


@pytest.mark.parametrize(
    ("system", "more", "said"),
    [
        ("ibrav=4, A=3, nat=2", "", r"ibrav = 4 needs c beside a \(celldm\(3\)"),
        ("ibrav=12, A=3, B=3, C=4, nat=2", "", r"needs cosAB beside a \(celldm\(4\)"),
        ("ibrav=15, A=3, nat=2", "", "ibrav = 15 is no lattice of Quantum ESPRESSO"),
        ("ibrav=5, A=3, cosAB=-0.6, nat=2", "", "make no cell"),
        ("ibrav=2, nat=2", "", r"needs celldm\(1\) or A"),
        ("ibrav=2, A=5.4, celldm(1)=10.2, nat=2", "", "leave one out"),
        ("ibrav=2, A=5.4, nat=3", "", "nat = 3, ATOMIC_POSITIONS lists 2"),
        ("ibrav=2, A=five, nat=2", "", "a = five in &SYSTEM, expected a number"),
        ("ibrav=0, A=5.4, nat=2", "", "needs the card CELL_PARAMETERS"),
        ("ibrav=2, A=5.4, nat=2", "CELL_PARAMETERS alat\n1 0 0\n0 1 0\n0 0 1\n", "both state the lattice"),
        ("ibrav=0, nat=2", "CELL_PARAMETERS alat\n1 0 0\n0 1 0\n0 0 1\n", r"alat needs celldm\(1\) or A"),
        ("space_group=227, A=5.43, nat=2", "", "asymmetric unit of a space group"),
    ],
)
def test_what_states_no_structure_is_one_line(tmp_path, system, more, said):
    with pytest.raises(InputError, match=said) as error:
        given(tmp_path, system, more=more)
    assert "\n" not in str(error.value) and "pw.in" in str(error.value)
