"""What has to go where a crystal was cut: elements in excess, and the charges of polar boundaries and surfaces.

A cut ion crystal has charged faces, and fields of volts per nanometre between them, that no real specimen keeps. Ions
are judged by formal charges: E_i = q_i Φ_i + 10 V |q_i| (1 − share of unlike neighbours left), Φ the potential of all
charges smeared by 3 Å, so that only faces count and not the crystal's own arrangement (the second term stands for that:
site potentials of oxides are of that order).
"""

from math import gcd

import numpy as np
import numpy.typing as npt

from rhotem.battery.overlaps import LONGEST, saturation
from rhotem.core import InputError
from rhotem.core.units import EPS0
from rhotem.structure.model import Structure
from rhotem.structure.ordering import formal_charge

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Elements below this share of the atoms do not decide how much of the others is kept.
RARE = 0.05
#: Å: smearing of charges, depth below faces down to which ions may go; 1/Å: where the smeared charges end (1e-7).
SMEARING, DEEPEST, FINEST = 3.0, 2.0 * LONGEST, 0.3
#: V: what a missing neighbourhood adds to the energy of a unit charge.
BINDING = 10.0
#: V: potential of a smeared unit charge at its centre.
OWN = float(np.sqrt(2.0 / np.pi) / (4.0 * np.pi * EPS0 * SMEARING))
#: Most atoms of a formula unit that are left out where part of one is over.
SMALL = 24
#: Rounds in which an excess is taken out; formula units taken out at once, as a share of all; most that go.
ROUNDS, AT_ONCE, MOST = 8, 5e-4, 0.06


class Block:
    """Atoms of a block, of which some are taken out.

    Parameters
    ----------
    crystal : Structure
        Gives composition and coordination.
    numbers, positions, depth : arrays
        ``depth`` in Å below the nearest face of the atom's grain.
    box : (3,) array
        Periods in Å, 0 where there is vacuum.
    cell : (3,) array
        Sides with vacuum, Å.
    """

    def __init__(
        self, crystal: Structure, numbers: Ints, positions: Floats, depth: Floats, box: Floats, cell: Floats
    ) -> None:
        from ase.data import chemical_symbols

        self.numbers, self.near = numbers, depth < DEEPEST
        count = np.bincount(crystal.numbers, minlength=int(numbers.max(initial=0)) + 1)
        #: atoms of each element in a formula unit, and shares of the atoms
        self.unit = count // gcd(*count.tolist())
        self.share = count / len(crystal)
        charge = np.array([formal_charge(symbol) if z else 0.0 for z, symbol in enumerate(chemical_symbols)])
        charge = charge[: len(self.share)]
        self.charges = (charge - charge @ self.share)[numbers]
        if np.ptp(self.charges) < 1e-9:
            self.charges = np.zeros(len(numbers))
        self.alive = np.ones(len(numbers), dtype=bool)
        self.binding = BINDING * (1.0 - saturation(crystal, numbers, positions, depth, box, DEEPEST))
        self.phases = tuple(
            np.ascontiguousarray(2.0 * np.pi * (p / l % 1.0)) for p, l in zip(positions.T, cell, strict=True)
        )
        half = np.ceil(FINEST * cell).astype(int)
        modes = np.meshgrid(*(np.arange(-n, n + 1) / l for n, l in zip(half, cell, strict=True)), indexing="ij")
        g2 = modes[0] ** 2 + modes[1] ** 2 + modes[2] ** 2
        inverse = np.divide(1.0, g2, out=np.zeros(g2.shape), where=g2 > 0)
        #: Fourier coefficients of the potential of a smeared unit charge, V
        self.green = np.exp(-2.0 * np.pi**2 * SMEARING**2 * g2) * inverse / (4.0 * np.pi**2 * EPS0 * cell.prod())

    def potential(self) -> Floats:
        """Of the smeared charges at all atoms, V."""
        import finufft

        present = np.where(self.alive, self.charges, 0.0).astype(complex)
        sums = finufft.nufft3d1(*self.phases, present, self.green.shape, eps=1e-6, isign=-1)
        return np.asarray(finufft.nufft3d2(*self.phases, sums * self.green, eps=1e-6, isign=1).real)

    def energy(self) -> float:
        """Of the smeared charges in each other's potential, eV."""
        q = self.charges[self.alive]
        return float(0.5 * q @ self.potential()[self.alive] - 0.5 * OWN * q @ q)

    def worst(self, z: int, count: int) -> Ints:
        """Those of an element near faces that are least bound."""
        own = np.flatnonzero((self.numbers == z) & self.near & self.alive)
        weight = np.abs(self.charges[own]) if self.charges.any() else np.ones(len(own))
        score = self.charges[own] * self.potential()[own] + weight * self.binding[own]
        return own[np.lexsort((own, -score.round(6)))[:count]]


def balance(block: Block) -> None:
    """Take out elements in excess of the composition that the scarcest one (not a rare one) allows.

    Raises
    ------
    InputError
        If an element of the crystal is missing: the block is too small.
    """
    count = np.bincount(block.numbers, minlength=len(block.share))
    deciding = block.share >= min(RARE, block.share.max())
    if (count[deciding] == 0).any():
        raise InputError(f"polycrystal: {len(block.numbers)} atoms do not hold every element; make it larger")
    total = (count[deciding] / block.share[deciding]).min()
    if block.unit.sum() <= SMALL:  # whole formula units; a rare element's unit is too many atoms to lose
        total = np.floor(total / block.unit.sum() + 1e-6) * block.unit.sum()
    target = np.floor(total * block.share + 1e-6).astype(int)
    excess = np.maximum(count - target, 0)
    for left in range(ROUNDS, 0, -1):
        for z in np.flatnonzero(excess):
            gone = block.worst(int(z), int(np.ceil(excess[z] / left)))
            block.alive[gone] = False
            excess[z] -= len(gone)


def neutralise(block: Block) -> None:
    """Take out whole formula units, ion by ion where they are least bound, while that lowers the energy."""
    unit = block.unit
    elements, total = np.flatnonzero(unit), int(block.alive.sum()) // int(unit.sum())
    if not block.charges.any():
        return
    step = max(1, round(AT_ONCE * total))
    before = block.energy()
    for _ in range(int(MOST * total / step)):
        kept = block.alive.copy()
        for z in elements:
            block.alive[block.worst(int(z), step * int(unit[z]))] = False
        after = block.energy()
        if after >= before:
            block.alive = kept
            return
        before = after
