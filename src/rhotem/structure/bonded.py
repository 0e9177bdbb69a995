"""What bonds hold together in a crystal: molecules, chains, sheets, frameworks."""

from collections import defaultdict

import ase
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

#: Atoms nearer than this times the sum of their covalent radii are bonded.
BONDED = 1.2


def bonded_groups(atoms: ase.Atoms) -> tuple[Ints, Ints, list[Ints]]:
    """Groups of atoms that bonds connect, also across the borders of the cell.

    Parameters
    ----------
    atoms : ase.Atoms

    Returns
    -------
    group : (N,) int array
        Group of every atom, numbered by first atom.
    shift : (N, 3) int array
        Lattice vectors that, added to the atoms, make every group one piece.
    loops : list of (n, 3) int array
        Of every group the lattice vectors along which it goes on for ever; of a molecule none.
    """
    from ase.neighborlist import natural_cutoffs, neighbor_list

    i, j, across = neighbor_list("ijS", atoms, natural_cutoffs(atoms, mult=BONDED))
    bonds = defaultdict(list)
    for one, two, vector in zip(i.tolist(), j.tolist(), across, strict=True):
        bonds[one].append((two, vector))
    group, shift = np.full(len(atoms), -1), np.zeros((len(atoms), 3), dtype=np.int64)
    loops: list[Ints] = []
    for first in range(len(atoms)):
        if group[first] >= 0:
            continue
        number, ahead, found = len(loops), [first], set()
        group[first] = number
        while ahead:
            one = ahead.pop()
            for two, vector in bonds[one]:
                reached = shift[one] + vector
                if group[two] < 0:
                    group[two], shift[two] = number, reached
                    ahead.append(two)
                elif np.any(reached != shift[two]):
                    found.add(tuple((reached - shift[two]).tolist()))
        loops.append(np.array(sorted(found), dtype=np.int64).reshape(-1, 3))
    return group, shift, loops
