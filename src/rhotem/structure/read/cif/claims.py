"""What a CIF says of itself, compared with what was read: composition, formula units, density."""

from dataclasses import dataclass

import numpy as np

from rhotem.core.units import DALTON_PER_A3
from rhotem.structure.read.cif.document import Block

#: Share of electrons by which composition may miss: below the first it is rounding, above the second an error.
ROUNDING, WRONG = 0.01, 0.10
#: The same for densities.
DENSITY_ROUNDING, DENSITY_WRONG = 0.03, 0.15
#: A density off by more than this is an error of the cell, even where the composition is right.
CELL_WRONG = 0.5
#: Isotopes that formulas and densities tell apart, in u.
MASSES = {"D": 2.014, "T": 3.016}


@dataclass(frozen=True)
class Verdict:
    """How far a reading is from the file's statements (0: agrees), remarks, and why it is refused if it is."""

    misfit: float
    notes: tuple[str, ...] = ()
    error: str = ""


def compare(
    block: Block, stated: dict[str, float], read: tuple[dict[str, float], dict[str, float]], volume: float, sure: bool
) -> Verdict:
    """Judge the atoms read by sum formula, Z and density.

    Parameters
    ----------
    block : Block
    stated : dict
        Sum formula; empty where the file has none.
    read : two dicts
        Atoms of each element in the cell as read; those of the hydrogens that are D or T.
    volume : float
        Å³.
    sure : bool
        Whether the symmetry is listed, so that a Z that does not fit is the file's mistake unless the density backs it.
    """
    amounts, isotopes = read
    units = block.number("_cell_formula_units_z")
    density = block.number("_exptl_crystal_density_diffrn")
    z = units if units and units > 0 else 0.0
    if stated:
        verdict = _composition(stated, amounts, z, (density, volume), sure)
        if verdict is not None:
            return verdict
    return _density(amounts, isotopes, density, volume, bool(stated))


def mass(amounts: dict[str, float], isotopes: dict[str, float] | None = None) -> float:
    """Mass of atoms in u."""
    from ase.data import atomic_masses, atomic_numbers

    heavy = sum((MASSES[name] - atomic_masses[1]) * n for name, n in (isotopes or {}).items())
    return float(sum(atomic_masses[atomic_numbers[s]] * n for s, n in amounts.items())) + heavy


def _electrons(amounts: dict[str, float]) -> float:
    from ase.data import atomic_numbers

    return float(sum(atomic_numbers[s] * n for s, n in amounts.items()))


def _composition(
    stated: dict[str, float],
    amounts: dict[str, float],
    z: float,
    weighed: tuple[float | None, float],
    sure: bool,
) -> Verdict | None:
    """None if formula (and Z, where it is stated) agree within rounding."""
    heavy = {s: n for s, n in stated.items() if s != "H"} or stated
    read = {s: n for s, n in amounts.items() if s != "H"} or amounts
    factor = _electrons(read) / _electrons(heavy)  # formula units that the atoms read make up
    off = sum(abs(_electrons({s: read.get(s, 0.0) - factor * heavy.get(s, 0.0)})) for s in set(read) | set(heavy))
    share = off / _electrons(read)
    said, got = _written(stated), _written({s: n / factor for s, n in amounts.items()})
    if share > ROUNDING:
        return _by_formula(stated, amounts, z, share, said)
    if z and abs(factor / z - 1) > ROUNDING:
        return _by_units(stated, factor, z, weighed, sure)
    missing = factor * stated.get("H", 0.0) - amounts.get("H", 0.0)
    if abs(missing) > max(0.05, 0.02 * factor * stated.get("H", 0.0)):
        if missing > 0:
            return Verdict(0.0, (f"{missing:.4g} H of the formula {said} have no places in the file and are missing",))
        return Verdict(0.01, (f"formula {said}, but the atoms are {got}",))
    return None


def _by_formula(stated: dict[str, float], amounts: dict[str, float], z: float, share: float, said: str) -> Verdict:
    """The elements come in another ratio than stated."""
    factor = z or _electrons(amounts) / _electrons(stated)
    lacking = {s: factor * n - amounts.get(s, 0.0) for s, n in stated.items()}
    less = [f"{n:.4g} {s}" for s, n in lacking.items() if n > 0.02 * factor * stated[s] + 0.01]
    more = [f"{-n:.4g} {s}" for s, n in lacking.items() if n < -0.02 * factor * stated[s] - 0.01]
    more += [f"{n:.4g} {s}" for s, n in amounts.items() if s not in stated]
    what = "; ".join(
        part for part in (less and f"{', '.join(less)} too few", more and f"{', '.join(more)} too many") if part
    )
    text = f"the atoms make {_written(amounts)} a cell, the formula says {factor:g} × {said}: {what}"
    if share <= WRONG and (not z or abs(_electrons(amounts) / _electrons(stated) / z - 1) < 2 * WRONG):
        return Verdict(share, (text,))
    return Verdict(
        share, (), f"{text}; correct the atoms, or the formula (_chemical_formula_sum) if the atoms are right"
    )


def _by_units(
    stated: dict[str, float], factor: float, z: float, weighed: tuple[float | None, float], sure: bool
) -> Verdict:
    """The formula is right, the number of formula units is not: the density, where stated, decides who errs."""
    text = f"the atoms make {factor:.4g} formula units {_written(stated)} a cell, the file says Z = {z:g}"
    density, volume = weighed
    if not density and (sure or z % 1):
        return Verdict(0.02, (f"{text}; its symmetry is listed, and so Z is taken for wrong",))
    if density:
        by_atoms = factor * mass(stated) / volume * DALTON_PER_A3
        if abs(by_atoms / density - 1) < DENSITY_ROUNDING:
            return Verdict(0.02, (f"{text}; its density agrees with the atoms",))
    return Verdict(
        abs(np.log(factor / z)), (), f"{text}; correct symmetry or atoms, or _cell_formula_units_Z if they are right"
    )


def _density(
    amounts: dict[str, float], isotopes: dict[str, float], density: float | None, volume: float, has_formula: bool
) -> Verdict:
    if not density or density <= 0:
        return Verdict(0.0)
    read = mass(amounts, isotopes) / volume * DALTON_PER_A3
    off = abs(read / density - 1)
    if off < DENSITY_ROUNDING:
        return Verdict(0.0)
    text = f"density {read:.3f} g/cm³ as read, the file says {density:g}"
    if off < (CELL_WRONG if has_formula else DENSITY_WRONG):
        return Verdict(off if not has_formula else 0.02, (text,))
    return Verdict(off, (), f"{text}; correct atoms or cell, or _exptl_crystal_density_diffrn if they are right")


def _written(amounts: dict[str, float]) -> str:
    return " ".join(f"{s}{'' if abs(n - 1) < 5e-4 else format(n, '.4g')}" for s, n in sorted(amounts.items()) if n > 0)
