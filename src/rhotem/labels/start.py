"""A start of the self-consistency from displaced atoms, which leaves no symmetry in open d shells.

Started from superposed atoms in a perfect crystal, d electrons keep the symmetry of their sites, and DFT+U converges to
states in which a half-filled set of orbitals is shared evenly: metals up to an eV above the insulator of the same
structure (Allen, Watson, Phys. Chem. Chem. Phys. 16, 21016 (2014), doi:10.1039/c4cp01083c). Steps on displaced atoms
let the electrons choose; the structure itself is calculated from there.
"""

from typing import Any

import ase
import numpy as np

from rhotem.labels.gpaw_settings import DftSettings

#: Self-consistency steps on the displaced atoms.
STEPS = 10


def begin(calculator: Any, atoms: ase.Atoms, settings: DftSettings) -> None:
    """Bring ``calculator`` to where the structure's own self-consistency starts; nothing without a displacement.

    Parameters
    ----------
    calculator : gpaw calculator
        Fresh, made with the keywords of `rhotem.labels.gpaw_settings.parameters`: those leave the point group out where
        the start is displaced, so that neither density nor k-points are symmetrised afterwards. The next energy asked
        of it for ``atoms``, where they are, goes on from the density and orbitals of `STEPS` steps on displaced atoms:
        energy, forces and density are those of the undisplaced structure.
    atoms : ase.Atoms
        Left as they are.
    settings : DftSettings
        ``start_displacement`` (Å rms along every axis, normally distributed) and ``start_seed``.
    """
    if not settings.start_displacement:
        return
    moved = atoms.copy()
    moved.positions += np.random.default_rng(settings.start_seed).normal(
        0.0, settings.start_displacement, atoms.positions.shape
    )
    for step, _ in enumerate(calculator.iconverge(moved), 1):
        if step == STEPS:
            break
