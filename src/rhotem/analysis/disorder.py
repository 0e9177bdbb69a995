"""Potentials of a specimen whose atoms are exchanged at random, or move more or less than they should."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Unpack

import numpy as np

from rhotem.analysis.motion import Moving
from rhotem.analysis.run import Potentials, density
from rhotem.analysis.specimen import Specimen
from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.potential.slices import PotentialSlices, build_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell


class ExchangedPotentials(Potentials):
    """Potentials in which a share of one element's atoms has changed places with another's, at random.

    Every configuration of thermal motion is another arrangement, so that images are their mean. Larger shares contain
    smaller ones: with one ``seed`` specimens of different shares differ by the atoms added alone, and move alike.

    Parameters
    ----------
    cut : Specimen
        Its block holds the sites. Free atoms: bonds of a random arrangement are those of no crystal.
    elements : (str, str)
    share : float
        Of the first element's atoms.
    memory : float, optional
        Bytes that building one may use.
    **moving
        `rhotem.analysis.motion.Moving`. Sites keep their ⟨u²⟩, whoever sits there.

    Raises
    ------
    InputError
        If the specimen lacks an element, has too few of the second, or the share is none.
    """

    def __init__(
        self,
        cut: Specimen,
        elements: tuple[str, str],
        share: float,
        memory: float | None = None,
        **moving: Unpack[Moving],
    ) -> None:
        super().__init__(cut, density(cut, "free-atoms"), memory, **moving)
        first, second = elements
        symbols = np.array(cut.block.structure.atoms.get_chemical_symbols())
        self.share = share
        self._first, self._second = (np.flatnonzero(symbols == element) for element in elements)
        for element, sites in ((first, self._first), (second, self._second)):
            if not len(sites):
                raise InputError(f"exchange of {first} and {second}: the specimen has no {element}")
        if not 0 <= share <= 1 or share * len(self._first) > len(self._second):
            raise InputError(f"exchange of {100 * share:g} % of {first}: expected 0 to 100 %, and as many {second}")

    def __iter__(self) -> Iterator[PotentialSlices]:
        options = self._slicing()
        for number, moved in enumerate(self.displacements()):
            yield build_potential(self._arranged(number), self._cut.grid, None, displacements=moved, **options)

    def _arranged(self, number: int) -> ImagingCell:
        """The block of one configuration; the part of an atom that a share leaves is there as often as it says."""
        rng = np.random.default_rng((self.seed, 4, number))
        count = int(self.share * len(self._first) + rng.uniform())
        one, two = rng.permutation(self._first)[:count], rng.permutation(self._second)[:count]
        block = self._cut.block.structure
        atoms = block.atoms.copy()
        numbers = block.atoms.numbers
        atoms.numbers[one], atoms.numbers[two] = numbers[self._second[0]], numbers[self._first[0]]
        return ImagingCell.from_orthogonal(Structure(atoms, charge=block.charge, info=block.info))


class VacantPotentials(Potentials):
    """Potentials in which a share of one element's sites is empty, at random.

    As `ExchangedPotentials`: every configuration is another arrangement, larger shares contain smaller ones, and
    specimens of different shares move alike.

    Parameters
    ----------
    cut : Specimen
    element : str
    share : float
        Of its sites that are empty.
    memory : float, optional
    **moving
        `rhotem.analysis.motion.Moving`.

    Raises
    ------
    InputError
        If the specimen lacks the element, or the share is none.
    """

    def __init__(
        self, cut: Specimen, element: str, share: float, memory: float | None = None, **moving: Unpack[Moving]
    ) -> None:
        super().__init__(cut, density(cut, "free-atoms"), memory, **moving)
        self.share = share
        self._sites = np.flatnonzero(np.array(cut.block.structure.atoms.get_chemical_symbols()) == element)
        if not len(self._sites) or not 0 <= share <= 1:
            raise InputError(f"{100 * share:g} % of {element} empty: expected 0 to 100 % of an element that is there")

    def __iter__(self) -> Iterator[PotentialSlices]:
        options = self._slicing()
        block = self._cut.block.structure
        for number, moved in enumerate(self.displacements()):
            rng = np.random.default_rng((self.seed, 5, number))
            count = int(self.share * len(self._sites) + rng.uniform())
            left = np.delete(np.arange(len(block)), rng.permutation(self._sites)[:count])
            cell = ImagingCell.from_orthogonal(Structure(block.atoms[left], charge=block.charge, info=block.info))
            apart = None if moved is None else moved[left]
            yield build_potential(cell, self._cut.grid, None, displacements=apart, **options)


class ScaledPotentials(Potentials):
    """Potentials whose atoms have ``scale`` times their mean square displacements, along the same directions."""

    def __init__(
        self, cut: Specimen, field: DensityField, scale: float, memory: float | None = None, **moving: Unpack[Moving]
    ) -> None:
        super().__init__(cut, field, memory, **moving)
        if not scale > 0:
            raise InputError(f"Debye–Waller scale {scale:g}: expected a positive number")
        self.motion = replace(self.motion, values=scale * self.motion.values)
