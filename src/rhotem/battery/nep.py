"""Neuroevolution potentials (NEP) as ASE calculators; a committee says where one is lost.

Those of the shape that `rhotem distil` makes are run by `rhotem.battery.quick`, others by ``nep-adapters``.

A potential of `rhotem distil` is a file ``nep.txt`` in GPUMD's format. Further members of its committee, trained on the
same frames from other starting weights, stand beside it, and ``nep.json`` says which and how far they may disagree.
A file of another origin has neither, and nothing watches it.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers
from ase.formula import Formula
from ase.stress import full_3x3_to_voigt_6_stress

from rhotem.battery.quick import Quick, quick
from rhotem.core import ConvergenceError, InputError
from rhotem.core.packages import require

FORMAT = "rhotem-nep"
#: Ending of what stands beside a potential.
CARD = ".json"
#: How far the share of an element may be from that of the material that was learned: half of the lithium of LiCoO2 is
#: 0.11 away, lithium metal 0.75.
APART = 0.15


@dataclass(frozen=True)
class Card:
    """What stands beside a potential.

    Parameters
    ----------
    members : list of str
        Further files of its committee.
    limit : float
        eV/Å: a force may differ so much between members within what they know.
    record : dict
        How it was made and how good it is.
    """

    members: list[str]
    limit: float
    record: dict[str, Any]

    @classmethod
    def of(cls, path: Path) -> "Card | None":
        """The one beside a file; None where there is none.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        beside = path.with_suffix(CARD)
        if not beside.exists():
            return None
        try:
            record = json.loads(beside.read_text())
            if record["format"] != FORMAT:
                return None
            limit = record["limit_eV_per_A"]
            card = cls([str(name) for name in record["members"]], np.inf if limit is None else float(limit), record)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"potential {path}: {beside.name} is damaged ({error}); distil again") from error
        missing = [name for name in card.members if not (path.parent / name).exists()]
        if missing:
            raise InputError(f"potential {path}: {missing[0]} of its committee is missing; it belongs beside it")
        return card


class NepCalculator(Calculator):
    """Energy (eV), forces (eV/Å), stress (eV/Å³) and shares of atoms, by a NEP.

    Parameters
    ----------
    path : Path
        ``nep.txt`` in GPUMD's format.

    Raises
    ------
    InputError
        If the file is no such potential.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012  # a list in ASE

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.engine = _engine(self.path)
        self.card = Card.of(self.path)
        symbols = elements_of(self.path)
        #: elements it knows, as other calculators say it
        self.type_map = {atomic_numbers[symbol]: n for n, symbol in enumerate(symbols)}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the potential."""
        return sha256(self.path.read_bytes()).hexdigest()

    @cached_property
    def quick(self) -> "Quick | None":
        """Kernels that are faster; None for a potential of another shape."""
        return quick(self.path, elements_of(self.path), _engine)

    @cached_property
    def committee(self) -> "list[NepCalculator]":
        """Further members."""
        return [NepCalculator(self.path.parent / name) for name in self.card.members] if self.card else []

    def calculate(
        self, atoms: ase.Atoms | None = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """Evaluate; everything is made in one pass.

        Raises
        ------
        InputError
            If an element is unknown, or the cell is not periodic.
        """
        # not at every step of a run, and before the atoms count as seen: asked again, they are refused again
        if atoms is not None and "numbers" in system_changes:
            self._check_elements(atoms)
        super().calculate(atoms, properties, system_changes)
        if not self.atoms.pbc.all():
            raise InputError(f"potential {self.path.name}: needs a cell periodic in all directions; add vacuum")
        made = self.quick.results(self.atoms) if self.quick else None
        if made is not None:
            self.results = made
            return
        found = self.engine.predict_structures([self.atoms])
        energy = float(found.energy[0])
        virial = np.asarray(found.structure_virials[0], dtype=float).reshape(3, 3) * len(self.atoms)
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energies": np.asarray(found.potential, dtype=float),
            "forces": np.asarray(found.forces, dtype=float),
            "stress": full_3x3_to_voigt_6_stress(-0.5 * (virial + virial.T) / self.atoms.get_volume()),
        }

    def _check_elements(self, atoms: ase.Atoms) -> None:
        """A potential of one material gives numbers for any other of the same elements, and they mean nothing."""
        odd = sorted({str(s) for s in atoms.symbols if atomic_numbers[s] not in self.type_map})
        if odd:
            raise InputError(f"potential {self.path.name}: does not know {', '.join(odd)}")
        material = self.card.record.get("material") if self.card else None
        if material is None:
            return
        learned, here = Formula(material).count(), atoms.symbols.formula.count()
        apart = [abs(n / sum(learned.values()) - here.get(s, 0) / len(atoms)) for s, n in learned.items()]
        if max(apart) > APART:
            raise InputError(
                f"potential {self.path.name}: learned {material}, this is {atoms.symbols.formula:metal}; "
                "distil one of it, or take sevennet-0"
            )

    def disagreement(self, atoms: ase.Atoms) -> npt.NDArray[np.float64]:
        """Of every atom, how far the members' forces are from this one's, eV/Å; zero without a committee."""
        own = self.get_forces(atoms)
        apart = [np.linalg.norm(member.get_forces(atoms) - own, axis=1) for member in self.committee]
        return np.max(apart, axis=0) if apart else np.zeros(len(atoms))

    def watch(self, atoms: ase.Atoms) -> None:
        """Stop where the potential is lost.

        Raises
        ------
        ConvergenceError
            If the committee disagrees by more than it does anywhere near what it was trained on.
        """
        if self.card is None:
            return
        apart = self.disagreement(atoms)
        worst = int(np.argmax(apart))
        if not apart[worst] < self.card.limit:
            raise ConvergenceError(
                f"potential {self.path.name} does not know this: its committee disagrees by {apart[worst]:.2g} eV/Å at "
                f"{atoms.symbols[worst]} {worst} (limit {self.card.limit:.2g}); distil in more turns, hotter, or from "
                "this specimen's cell, or run --potential sevennet-0"
            )


def check_installed() -> None:
    """Raise MissingDependencyError unless what runs these potentials is installed."""
    require("nep_adapters", extra="nep", what="potential: a NEP")


def elements_of(path: Path) -> list[str]:
    """Symbols in the first line of a potential.

    Raises
    ------
    InputError
        If it is none of energies.
    """
    try:
        with open(path) as stream:
            kind, count, *symbols = stream.readline().split()
        known = kind in ("nep3", "nep3_zbl", "nep4", "nep4_zbl") and len(symbols) == int(count) > 0
        if known and all(symbol in atomic_numbers for symbol in symbols):
            return symbols
    except (OSError, ValueError):
        pass
    raise InputError(f"potential {path}: not a NEP of energies in GPUMD's format (nep3 or nep4)")


def _engine(path: Path) -> Any:
    """The potential in ``nep-adapters``; ImportError where that is missing."""
    from nep_adapters import NepAdaptersError, NEPCalculator

    elements_of(path)
    try:
        return NEPCalculator(path, backend="cpu")
    except NepAdaptersError as error:
        raise InputError(f"potential {path}: cannot be read ({str(error).splitlines()[0]})") from error
