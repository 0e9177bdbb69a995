"""What a label must pass before anything is trained on it or tested against it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.density.metrics import treat_near_nuclei
from rhotem.labels.label import Label
from rhotem.labels.read import read_label

#: Electrons that may be missing after the region within 0.15 Å of the nuclei is filled: fixed part and per atom.
#: All-electron on-grid noise reaches 0.12 e and 0.011 e per atom in the first 160 labels; a wrong charge is
#: a whole electron.
COUNT_TOLERANCE = (0.1, 0.012)
#: Grid steps in Å between which a label's grid must lie: 400 eV doubly refined is 0.10.
STEPS = (0.03, 0.18)
#: Moment in Bohr magnetons by which the total may be off an integer.
MOMENT_TOLERANCE = 0.1
#: d shells that are itinerant in oxides and fluorides: non-integer moments are accepted of these only, and of metals
#: without anions. Mn, Fe, Co and Ni compounds are insulators whose fractional moment means a wrong state.
ITINERANT = {"Ti", "V"}
#: Electrons in partly filled states, per spin, above which a cell is called metallic.
PARTIAL = 0.02
#: Largest |force| in eV/Å; beyond, atoms are so close that frozen cores overlap.
LARGEST_FORCE = 60.0
#: Σ|Δn| per valence electron: free atoms are off by 1.5–20 % in every known solid; more means
#: that atoms are in wrong places.
LARGEST_DEFORMATION = 0.35

#: Gap in eV below which, and moment in Bohr magnetons of an atom with U above which, a state is looked at again.
SMALL_GAP, OPEN_SHELL = 0.2, 0.5
METASTABLE = "may be metastable: repeat with start_displacement 0.1"

_ANIONS = {"O", "F", "Cl", "S", "N", "Se", "Te", "Br", "I"}


@dataclass(frozen=True)
class Verdict:
    """``state``: "accepted", "quarantined" (kept, shown, never used) or "rejected" (no label); ``reasons`` in words.

    ``warnings``: what to look at in a label that is used.
    """

    state: str
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def judge(record: Label) -> Verdict:
    """Decide whether a label may be used."""
    wrong = list(_defects(record))
    if wrong:
        return Verdict("rejected", tuple(wrong))
    doubtful = list(_doubts(record))
    state = "quarantined" if doubtful else "accepted"
    return Verdict(state, tuple(doubtful), (METASTABLE,) if may_be_metastable(record) else ())


def judge_file(path: str | Path) -> tuple[Label | None, Verdict]:
    """Read and judge a file; a file that cannot be read is rejected with the reason."""
    try:
        record = read_label(path)
    except InputError as error:
        return None, Verdict("rejected", (str(error),))
    return record, judge(record)


def _defects(record: Label) -> list[str]:
    """Reasons for which the numbers cannot be a converged density of that structure."""
    dn, n = record.deformation, len(record.structure)
    if not record.meta.get("converged", True):
        return ["self-consistency was not reached"]
    if not np.isfinite(dn).all():
        return [f"density has {int((~np.isfinite(dn)).sum())} values that are not finite"]
    found = []
    if record.magnetization is not None and (
        record.magnetization.shape != dn.shape or not np.isfinite(record.magnetization).all()
    ):
        found.append("magnetization is not finite or not on the grid of the density")
    cell = record.meta.get("cell")
    if cell is not None and not np.allclose(cell, record.structure.cell, atol=1e-3):
        found.append("cell of the density and cell of the structure differ")
    grid = record.grid
    if not (grid.spacing > STEPS[0]).all() or not (grid.spacing < STEPS[1]).all():
        steps = ", ".join(f"{s:.3f}" for s in grid.spacing)
        found.append(f"grid steps {steps} Å do not fit the cell, expected {STEPS[0]}–{STEPS[1]} Å")
    if record.voxels is not None:  # judged when its full grid was there
        return found
    residual = treat_near_nuclei(dn, record.structure, grid)[1]["residual_e"]
    allowed = COUNT_TOLERANCE[0] + COUNT_TOLERANCE[1] * n
    if abs(residual) > allowed:
        found.append(
            f"electron count off by {-residual:+.3f} e, allowed {allowed:.2f} for charge {record.structure.charge:+g}"
        )
    valence = record.meta.get("valence_electrons")
    if valence and grid.integrate(np.abs(dn.astype(float))) > LARGEST_DEFORMATION * valence:
        found.append("deformation of more than 35 % of all valence electrons: atoms and density do not belong together")
    return found


def _doubts(record: Label) -> list[str]:
    """Reasons for which a converged density may be that of a wrong electronic state."""
    found = []
    spin = suspect_spin(record)
    if spin:
        found.append(spin)
    force = np.linalg.norm(record.forces, axis=1).max()
    if np.isfinite(force) and force > LARGEST_FORCE:
        found.append(f"force of {force:.0f} eV/Å: atoms too close")
    return found


def may_be_metastable(record: Label) -> bool:
    """Whether a d shell that carries U is open, hardly a gap is open, and the start was the structure itself.

    Such a shell may share an electron evenly among orbitals of which a lower state fills one (docs/labels.md, "Which
    state"). A gap that is not known says nothing.
    """
    gap, with_u = record.meta.get("gap_eV"), record.meta.get("U") or {}
    displaced = (record.meta.get("settings") or {}).get("start_displacement", 0.0)
    if gap is None or gap >= SMALL_GAP or displaced:
        return False
    symbols = record.structure.atoms.symbols
    return any(s in with_u and abs(m) > OPEN_SHELL for s, m in zip(symbols, record.magmoms, strict=True))


def suspect_spin(record: Label) -> str:
    """Why the spin state is not accepted; empty if it is: an integer total moment, or a metal that may have any."""
    moment = float(record.meta.get("magmom", 0.0))
    if record.magnetization is None and not record.meta.get("spinpol", False):
        return ""
    off = abs(moment - round(moment))
    charge = record.structure.charge
    if abs(charge - round(charge)) > 1e-6:
        # A fractional charge is spread over a band: no integer is expected.
        return ""
    if off <= MOMENT_TOLERANCE:
        return ""
    elements = set(record.structure.atoms.symbols)
    partial = record.meta.get("partial_e")
    metallic = partial is not None and min(partial) > PARTIAL  # unknown counts as not
    magnetic = elements & {"Cr", "Mn", "Fe", "Co", "Ni", "Cu"}
    if not elements & _ANIONS:
        return ""
    if elements & ITINERANT and not magnetic and metallic:
        return ""
    return (
        f"suspect spin: total moment {moment:.2f} of {record.structure.atoms.get_chemical_formula()} is not an integer"
    )
