import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rhotem.labels.label import Label
from rhotem.labels.npz import write_npz
from rhotem.labels.quality import judge, judge_file
from rhotem.structure.model import Structure


def dipole_label(**kwargs: object) -> Label:
    """The analytic label of conftest.py."""
    spec = importlib.util.spec_from_file_location("labels_conftest", Path(__file__).parent / "conftest.py")
    helper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(helper)
    return helper.dipole_label(**kwargs)


def test_a_good_label_is_accepted(label):
    assert judge(label).state == "accepted"


def test_charged_cells_are_counted_with_their_charge():
    assert judge(dipole_label(charge=1.0)).state == "accepted"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: replace(r, meta={**r.meta, "converged": False}), "self-consistency"),
        (lambda r: replace(r, deformation=np.where(np.arange(28) == 3, np.nan, r.deformation)), "not finite"),
        (lambda r: replace(r, structure=Structure(r.structure.atoms, charge=1.0)), "electron count off by"),
        (lambda r: replace(r, meta={**r.meta, "cell": (2 * r.structure.cell).tolist()}), "cell of the density"),
        (lambda r: replace(r, deformation=r.deformation[::4]), "grid steps"),
        (lambda r: replace(r, meta={**r.meta, "valence_electrons": 1.0}), "do not belong together"),
    ],
)
def test_bad_labels_are_rejected_with_the_reason(label, change, reason):
    verdict = judge(change(label))
    assert verdict.state == "rejected"
    assert reason in " ".join(verdict.reasons)


def test_truncated_file_is_rejected_not_raised(label, tmp_path):
    path = tmp_path / "a.npz"
    write_npz(label, path)
    path.write_bytes(path.read_bytes()[:1000])
    record, verdict = judge_file(path)
    assert record is None
    assert verdict.state == "rejected"


def spin_label(symbols: str, moment: float, partial: tuple[float, float] | None):
    base = dipole_label()
    atoms = base.structure.atoms.copy()
    atoms.symbols[:] = [symbols, "O"]
    meta = {**base.meta, "spinpol": True, "magmom": moment}
    if partial is not None:
        meta["partial_e"] = list(partial)
    return replace(base, structure=Structure(atoms), meta=meta, magnetization=np.zeros(base.deformation.shape))


@pytest.mark.parametrize(
    ("element", "moment", "partial", "state"),
    [
        ("Ni", 2.0, (0.0, 0.0), "accepted"),  # an insulator's integer
        ("Mn", 4.6, (0.3, 0.3), "quarantined"),  # an insulator in a wrong state
        ("Ti", 0.4, (0.2, 0.1), "accepted"),  # TiO is a metal
        ("Ti", 0.4, (0.0, 0.2), "quarantined"),  # half-metals have integers
        ("Ti", 0.4, None, "quarantined"),  # not known whether a metal
    ],
)
def test_spin_states(element, moment, partial, state):
    assert judge(spin_label(element, moment, partial)).state == state
