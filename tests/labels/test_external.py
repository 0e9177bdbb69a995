"""Other people's DFT as labels, and labels for other programs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from rhotem.core import InputError
from rhotem.labels.export import export_density, write_extxyz
from rhotem.labels.external import from_density, read_vasprun
from rhotem.labels.npz import write_npz
from rhotem.labels.quality import judge

VASP = Path(__file__).parents[1] / "data" / "vasp"

VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <incar><i name="ENCUT"> 400.0</i></incar>
 <parameters><separator name="electronic">
  <i type="int" name="NELM"> {nelm}</i><i name="ENCUT"> 400.0</i></separator></parameters>
 <atominfo><array name="atoms"><set>{atoms}</set></array></atominfo>
 <calculation>
  {steps}
  <structure><crystal><varray name="basis">{basis}</varray></crystal>
  <varray name="positions">{positions}</varray></structure>
  <varray name="forces">{forces}</varray>
  <energy><i name="e_fr_energy"> -6.9</i><i name="e_0_energy"> -6.8</i></energy>
 </calculation>
</modeling>
"""


def vasprun_of(path: Path, target: Path, stretch: float = 1.0, steps: int = 5, nelm: int = 60) -> Path:
    """A vasprun.xml of the structure in a CHGCAR, as VASP writes it, shortened."""
    from rhotem.density.files.read import read_density

    atoms = read_density(path).structure.atoms

    def rows(array: np.ndarray) -> str:
        return "".join(f"<v>{' '.join(f'{x:.10f}' for x in row)}</v>" for row in array)

    target.write_text(
        VASPRUN.format(
            nelm=nelm,
            atoms="".join(f"<rc><c>{s}</c><c>1</c></rc>" for s in atoms.symbols),
            steps="<scstep></scstep>" * steps,
            basis=rows(atoms.cell.array * stretch),
            positions=rows(atoms.get_scaled_positions()),
            forces=rows(np.full((len(atoms), 3), 0.25)),
        )
    )
    return target


@pytest.fixture
def nacl(tmp_path) -> Path:
    return VASP / "NaCl.CHGCAR.gz"


def test_chgcar_with_its_run_becomes_a_label(nacl, tmp_path):
    record = from_density(nacl, vasprun_of(nacl, tmp_path / "vasprun.xml"), prototype="rocksalt")
    assert judge(record).state == "accepted"
    assert record.meta["energy_eV"] == -6.8
    assert record.forces == pytest.approx(0.25)
    assert record.grid.integrate(record.deformation.astype(float)) == pytest.approx(0.0, abs=0.02)
    # Na gives, Cl takes: density is gained around Cl, whichever code calculated it.
    grid, fractions = record.grid, record.structure.atoms.get_scaled_positions()
    chlorine = fractions[list(record.structure.atoms.symbols).index("Cl")]
    points = np.stack(np.meshgrid(*[np.arange(n) / n for n in grid.shape], indexing="ij"), -1) - chlorine
    distance = np.linalg.norm((points - np.round(points)) @ grid.cell, axis=-1)
    shell = (distance > 0.9) & (distance < 1.3)
    assert record.deformation[shell].mean() > 0


def test_unconverged_run_is_rejected(nacl, tmp_path):
    record = from_density(nacl, vasprun_of(nacl, tmp_path / "vasprun.xml", steps=60, nelm=60))
    assert judge(record).state == "rejected"
    assert "self-consistency" in judge(record).reasons[0]


def test_run_of_another_cell_is_refused(nacl, tmp_path):
    with pytest.raises(InputError, match="cell"):
        from_density(nacl, vasprun_of(nacl, tmp_path / "vasprun.xml", stretch=1.05))


def test_truncated_vasprun_is_refused(nacl, tmp_path):
    path = vasprun_of(nacl, tmp_path / "vasprun.xml")
    path.write_text(path.read_text()[:-60])
    with pytest.raises(InputError, match="complete"):
        read_vasprun(path)


def test_extxyz_is_what_ase_reads(label, tmp_path):
    files = []
    for i in range(3):
        write_npz(replace(label, meta={**label.meta, "energy_eV": -1.5 * i}), tmp_path / f"{i}.npz")
        files.append(tmp_path / f"{i}.npz")
    assert write_extxyz(files, tmp_path / "all.extxyz") == 3
    frames = read(tmp_path / "all.extxyz", index=":")
    assert [f.get_potential_energy() for f in frames] == [0.0, -1.5, -3.0]
    assert frames[0].positions == pytest.approx(label.structure.positions)
    assert frames[2].info["prototype"] == "rocksalt"


def test_exported_chgcar_holds_the_valence_electrons(label, tmp_path):
    """Counted by another reader: Li 1 + F 7 in GPAW's default sets, sampled at 0.1 Å, nuclei on grid points: 1 %."""
    vasp = pytest.importorskip("pymatgen.io.vasp")
    write_npz(label, tmp_path / "a.npz")
    target = export_density(tmp_path / "a.npz", tmp_path / "CHGCAR")
    data = vasp.Chgcar.from_file(str(target)).data["total"]
    assert data.mean() == pytest.approx(8.0, abs=0.12)
