"""Symmetry operations as arrays: parsed, completed, checked to be a group that suits the cell."""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Lengths that symmetry makes equal may differ by this part; the same for cosines.
METRIC = 0.015
#: Denominators of translations written as decimals: 0.333, 0.66667, 0.125.
_DENOMINATORS = (1, 2, 3, 4, 6, 8, 12, 24, 5, 7, 10, 9, 16, 18, 36)


@dataclass(frozen=True, eq=False)
class Operations:
    """A space group's operations in fractional coordinates, lattice translations left out.

    Parameters
    ----------
    rotations : (n, 3, 3) int array
        Act on column vectors of fractional coordinates.
    translations : (n, 3) array
        In [0, 1).
    reversal : (n,) int array
        −1 where time is reversed (magnetic groups).
    source : str
        Where they are from, in words.
    stated : bool
        Whether the file lists them and its symbol does not contradict: there is nothing to misread.
    """

    rotations: Ints
    translations: Floats
    reversal: Ints
    source: str = ""
    stated: bool = False

    def __len__(self) -> int:
        return len(self.rotations)

    @cached_property
    def keys(self) -> frozenset[tuple]:
        """Each operation without time reversal, hashable."""
        return frozenset(_key(r, t) for r, t in zip(self.rotations, self.translations, strict=True))

    def rigid(self, cell: Floats) -> Floats:
        """The rotations in Cartesian coordinates, (n, 3, 3); cell rows in Å."""
        return cell.T @ self.rotations @ np.linalg.inv(cell.T)


def of_triplets(triplets: list[str], source: str) -> Operations:
    """Operations of a list of ``x,1/2-y,z+.5`` with duplicates dropped; a fourth part ``+1``/``-1`` reverses time.

    Raises
    ------
    ValueError
        For a text that is no operation; says which.
    """
    found: dict[tuple, tuple[Ints, Floats, int]] = {}
    for text in triplets:
        rotation, translation, reversal = _parsed(text)
        found.setdefault((*_key(rotation, translation), reversal), (rotation, translation, reversal))
    parts = list(found.values())
    return Operations(
        np.array([p[0] for p in parts]), np.array([p[1] for p in parts]), np.array([p[2] for p in parts]), source
    )


def of_group(group: Any, source: str) -> Operations:
    """Operations of gemmi's ``GroupOps``."""
    ops = list(group)
    rotations = np.array([op.rot for op in ops], dtype=np.int64) // ops[0].DEN
    translations = np.array([op.tran for op in ops], dtype=float) / ops[0].DEN % 1.0
    return Operations(rotations, translations, np.ones(len(ops), dtype=np.int64), source)


def identity() -> Operations:
    """P 1."""
    return Operations(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)), np.ones(1, dtype=np.int64), "P 1")


def products(one: Operations, two: Operations) -> Operations:
    """Every operation of ``one`` after every one of ``two``, duplicates dropped (centrings of magnetic groups)."""
    found: dict[tuple, tuple[Ints, Floats, int]] = {}
    for r, t, s in zip(one.rotations, one.translations, one.reversal, strict=True):
        for q, u, v in zip(two.rotations, two.translations, two.reversal, strict=True):
            rotation, translation = r @ q, (r @ u + t) % 1.0
            found.setdefault((*_key(rotation, translation), int(s * v)), (rotation, translation, int(s * v)))
    parts = list(found.values())
    return Operations(
        np.array([p[0] for p in parts]), np.array([p[1] for p in parts]), np.array([p[2] for p in parts]), one.source
    )


def with_identity(group: Operations) -> Operations | None:
    """The same list with x,y,z where it is missing, else None."""
    own = _key(np.eye(3, dtype=np.int64), np.zeros(3))
    if own in group.keys:
        return None
    one = identity()
    return replace(
        group,
        rotations=np.concatenate([one.rotations, group.rotations]),
        translations=np.concatenate([one.translations, group.translations]),
        reversal=np.concatenate([one.reversal, group.reversal]),
    )


def is_group(group: Operations) -> bool:
    """Whether products of any two operations are in the list, and so is the identity."""
    if _key(np.eye(3, dtype=np.int64), np.zeros(3)) not in group.keys:
        return False
    rotations = np.einsum("aij,bjk->abik", group.rotations, group.rotations).reshape(-1, 3, 3)
    shifts = np.einsum("aij,bj->abi", group.rotations, group.translations) + group.translations[:, None]
    made = np.concatenate([rotations.reshape(-1, 9), _whole(shifts.reshape(-1, 3))], axis=1)
    return {tuple(row) for row in np.unique(made, axis=0).tolist()} <= group.keys


def lacks_centring(group: Operations, whole: Operations) -> bool:
    """Whether ``whole`` is ``group`` and its products with pure translations."""
    pure = whole.translations[(whole.rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2))]
    return group.keys <= whole.keys and len(pure) > 1 and len(group) * len(pure) == len(whole)


def misfit(group: Operations, cell: Floats) -> float:
    """By how much the cell breaks the symmetry: largest change of the metric, 0 for a cell of the right lattice type.

    |Rᵀ G R − G|_ij / √(G_ii G_jj), G = cell cellᵀ.
    """
    metric = cell @ cell.T
    lengths = np.sqrt(np.diag(metric))
    turned = np.einsum("aki,kl,alj->aij", group.rotations, metric, group.rotations)
    return float(np.abs((turned - metric) / np.outer(lengths, lengths)).max())


def check_cell(group: Operations, cell: Floats, name: str) -> None:
    """Raise where a cell has not the symmetry of the operations.

    Raises
    ------
    InputError
        Beyond `METRIC`.
    """
    if misfit(group, cell) > METRIC:
        import ase.cell

        shown = " ".join(f"{x:.4g}" for x in ase.cell.Cell(cell).cellpar())
        raise InputError(
            f"{name}: the cell {shown} (a b c in Å, α β γ in degrees) has not the symmetry of {group.source}; "
            "correct the cell, the setting of the space group, or its operations"
        )


def _parsed(text: str) -> tuple[Ints, Floats, int]:
    parts = text.strip().strip("'\"").lower().replace(" ", "").split(",")
    reversal = 1
    if len(parts) == 4 and parts[3] in ("+1", "1", "-1", "m", "-m", "+m"):
        reversal = -1 if parts[3].startswith("-") else 1
        parts = parts[:3]
    if len(parts) != 3:
        raise ValueError(f"{text!r} is no symmetry operation such as x,y+1/2,-z")
    rotation, translation = np.zeros((3, 3), dtype=np.int64), np.zeros(3)
    for row, part in enumerate(parts):
        terms = re.findall(r"[+-]?[^+-]+", part)
        if not terms or "".join(terms) != part:
            raise ValueError(f"{text!r} is no symmetry operation such as x,y+1/2,-z")
        for term in terms:
            match = re.fullmatch(r"([+-]?)(\d*)\*?([xyzabc])", term)
            if match is not None:
                column = "xyz".find(match[3]) if match[3] in "xyz" else "abc".find(match[3])
                rotation[row, column] += int(match[1] + (match[2] or "1"))
                continue
            translation[row] += _fraction(term, text)
    if abs(round(np.linalg.det(rotation))) != 1:
        raise ValueError(f"{text!r} is no symmetry operation: it changes volumes")
    return rotation, translation % 1.0, reversal


def _fraction(term: str, text: str) -> float:
    match = re.fullmatch(r"([+-]?)(\d+)/(\d+)|([+-]?(?:\d+\.?\d*|\.\d+))", term)
    if match is None or match[3] == "0":
        raise ValueError(f"{text!r} is no symmetry operation such as x,y+1/2,-z")
    if match[3]:
        return float(Fraction(int(match[1] + match[2]), int(match[3])))
    value = float(match[4])
    digits = len(term.partition(".")[2])
    for denominator in _DENOMINATORS if digits > 2 else _DENOMINATORS[:7]:
        near = round(value * denominator) / denominator
        if abs(near - value) < (1.01 * 10.0**-digits if digits >= 2 else 1e-9):
            return near
    raise ValueError(f"{text!r}: the translation {term} is no simple fraction of the cell")


def _whole(translations: Floats) -> Ints:
    """Translations in whole numbers that tell every fraction apart."""
    scale = 5040 * 24
    return np.rint(translations * scale).astype(np.int64) % scale


def _key(rotation: Ints, translation: Floats) -> tuple:
    return (*rotation.ravel().tolist(), *_whole(translation).tolist())
