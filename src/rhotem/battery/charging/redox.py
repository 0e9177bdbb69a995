"""Which metals give the electrons when mobile ions leave: couples of neighbouring valences, one after another."""

from collections.abc import Mapping, Sequence

import numpy as np

from rhotem.structure.ordering import formal_charge

#: A couple: metal and the lower of its two valences.
Couple = tuple[str, int]

#: Couples in the order in which they are oxidised in oxides, by potentials of battery materials: Ti(III)/Ti(IV) at 1.5
#: to 2.5 V against lithium, Fe(II)/Fe(III) 3.4 V, … (A. Manthiram, Nat. Commun. 11, 1550 (2020)).
LADDER: tuple[Couple, ...] = (
    ("V", 2), ("Ti", 3), ("Fe", 2), ("V", 3), ("Mn", 2), ("Co", 2), ("V", 4), ("Mn", 3), ("Ni", 2), ("Ni", 3),
    ("Cr", 3), ("Fe", 3), ("Co", 3),
)  # fmt: skip
METALS = tuple(dict.fromkeys(metal for metal, _ in LADDER))
LOWEST = {metal: min(low for name, low in LADDER if name == metal) for metal in METALS}


def electrons_given(symbols: Sequence[str]) -> dict[Couple, float] | None:
    """Electrons of every couple that the metals of a neutral cell have given, beyond their lowest valences.

    Elements without a couple have their formal charge. None where these valences do not balance.
    """
    counts = {metal: sum(symbol == metal for symbol in symbols) for metal in METALS}
    rest = sum(formal_charge(symbol) for symbol in symbols if symbol not in METALS)
    left = -rest - sum(LOWEST[metal] * count for metal, count in counts.items())
    if left < -1e-6 or not any(counts.values()):
        return None
    given: dict[Couple, float] = {}
    for metal, low in LADDER:
        given[metal, low] = min(left, counts[metal])
        left -= given[metal, low]
    return given if left < 1e-6 else None


def couples_between(before: Sequence[str], after: Sequence[str]) -> Mapping[Couple, float] | None:
    """Shares of couples in the electrons given between two states of a cell; None where valences do not say."""
    one, two = electrons_given(before), electrons_given(after)
    if one is None or two is None:
        return None
    steps = {couple: two[couple] - one[couple] for couple in LADDER}
    total = sum(steps.values())
    if not np.isfinite(total) or abs(total) < 1e-9:
        return None
    return {couple: step / total for couple, step in steps.items() if abs(step) > 1e-9}


def couple_name(couple: Couple) -> str:
    """``Co(III)/Co(IV)``."""
    roman = ("0", "I", "II", "III", "IV", "V", "VI", "VII")
    metal, low = couple
    return f"{metal}({roman[low]})/{metal}({roman[low + 1]})"
