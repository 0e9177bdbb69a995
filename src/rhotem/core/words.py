"""Values as people write them on a command line or in a plan: ``1,1,0``, ``4GB``, ``Li=1,O=6``, ``auto:0.5``."""

import re
import unicodedata
from math import isfinite

from rhotem.core.dimensions import dimension
from rhotem.core.errors import InputError

#: Units that axes do not have, by their spellings in lower case: what they measure, and how large they are.
_UNITS = {
    "energy": {"ev": 1e-3, "v": 1e-3, "kev": 1.0, "kv": 1.0},
    "temperature": {"k": 1.0},
    "time": {"s": 1e6, "ms": 1e3, "µs": 1.0, "us": 1.0, "ns": 1e-3},
    "current": {"pa": 1.0, "na": 1e3},
    "dose": {"e/å²": 1.0, "e/å2": 1.0, "e/å^2": 1.0, "e/a2": 1.0, "e/a^2": 1.0, "e/nm²": 1e-2, "e/nm2": 1e-2},
}
#: A digit with a bar over it.
_BAR = re.compile("(\\d)[\u0304\u0305]")
#: A number with a unit behind it.
_AMOUNT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\W\d_].*?)\s*")
#: Error in per cent of an image's range that ``auto`` alone asks for.
PRECISION = 1.0


def parse_indices(text: str) -> tuple[int, ...]:
    """Three or four Miller indices from ``1,1,0``, ``1 1 0``, ``[1-10]``, ``110``, ``[2-1-10]`` or ``[11̅0]``.

    Without separators every digit is one index. What they mean, and whether they are all zero, is for
    `rhotem.structure` to say: it knows the cell.

    Raises
    ------
    InputError
        If the text is not three or four whole numbers.
    """
    bare = _BAR.sub(r"-\1", text).strip().strip("[](){}<>⟨⟩").strip()
    pieces = re.split(r"[,;\s]+", bare) if re.search(r"[,;\s]", bare) else re.findall(r"[-+−]?\d", bare)
    together = "".join(pieces)
    whole = all(re.fullmatch(r"[-+−]?\d+", piece) for piece in pieces)
    if not whole or len(pieces) not in (3, 4) or len(together) != len(re.sub(r"[,;\s]", "", bare)):
        raise InputError(f"indices {text!r}: expected three or four whole numbers, such as 1,1,0 or [1-10]")
    return tuple(int(piece.replace("−", "-")) for piece in pieces)


def parse_amount(text: str, unit: str) -> float:
    """A number in ``unit`` from ``10``, ``10nm``, ``100 Å``, ``200 kV``, ``1e4 e/A2``.

    Raises
    ------
    InputError
        If it is no number, or its unit measures something else.
    """
    try:
        return float(text)
    except ValueError:
        pass
    match = _AMOUNT.fullmatch(text)
    asked, given = _measure(unit), _measure(match[2]) if match else None
    if match is None or asked is None or given is None or given[0] != asked[0]:
        raise InputError(f"{text!r}: expected a number in {unit}")
    # rounded: 100 Å are 10 nm, not 10.000000000000002
    return float(f"{float(match[1]) * given[1] / asked[1]:.15g}")


def _measure(unit: str) -> tuple[str, float] | None:
    """What a unit measures, and how large it is."""
    spelled = unicodedata.normalize("NFC", unit).lower().replace("μ", "µ").replace("e-/", "e/")
    known = next(((kind, sizes[spelled]) for kind, sizes in _UNITS.items() if spelled in sizes), None)
    return known or dimension(unit)


def parse_memory(text: str) -> int:
    """Bytes from ``4GB``, ``500 MB``, ``1.5GiB``.

    Raises
    ------
    InputError
        If there is no unit or the amount is not positive.
    """
    units = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(?:([KMGT])(I?)B?|()()B)\s*", text.upper())
    size = int(float(match[1]) * (1024 if match[3] else 1000) ** units[match[2] or ""]) if match else 0
    if size <= 0:
        raise InputError(f"memory {text}: expected an amount with its unit, such as 4GB or 500MB")
    return size


def parse_valence(text: str) -> dict[str, float]:
    """Electrons by element from ``Li=1,O=6``.

    Raises
    ------
    InputError
        If it is not written so.
    """
    found = re.findall(r"\s*([A-Z][a-z]?)\s*=\s*([0-9]+(?:\.[0-9]*)?)\s*(?:,|$)", text)
    whole = "".join(re.sub(r"\s", "", text)).rstrip(",") == ",".join("=".join(pair) for pair in found)
    if not found or not whole or len(dict(found)) < len(found):
        raise InputError(f"valence {text}: expected elements and their valence electrons, such as Li=1,O=6")
    return {element: float(number) for element, number in found}


def parse_numbers(text: str, number: int | None = None) -> tuple[float, ...]:
    """Finite numbers from ``2,5,10``; ``number`` of them, None: any.

    Raises
    ------
    InputError
        If they are none, or others in number.
    """
    try:
        found = tuple(float(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        found = (float("nan"),)
    if not all(map(isfinite, found)) or (number is not None and len(found) != number):
        raise InputError(f"{text!r}: expected {number or 'some'} numbers with commas between, such as 2,5")
    return found


def parse_tilt(text: str) -> tuple[float, float]:
    """Two angles in mrad from ``2,-1``.

    Raises
    ------
    InputError
        If they are not two finite numbers.
    """
    try:
        x, y = (float(piece) for piece in text.split(","))
        if not (isfinite(x) and isfinite(y)):
            raise ValueError
    except ValueError:
        raise InputError(f"tilt {text}: expected two angles in mrad, such as 2,-1") from None
    return x, y


def parse_msd(text: str) -> dict[str, float]:
    """⟨u²⟩ in Å² by element from ``Au=0.0082,O=0.006``; what they may be is for `rhotem.structure` to say.

    Raises
    ------
    InputError
        If it is not written so, or an element stands there twice.
    """
    pairs = [piece.split("=") for piece in text.replace(";", ",").split(",") if piece.strip()]
    try:
        read = {symbol.strip(): float(value) for symbol, value in pairs}
        if not read or len(read) < len(pairs) or not all(s.isalpha() and s == s.capitalize() for s in read):
            raise ValueError
    except ValueError:
        raise InputError(f"msd {text}: expected elements and their ⟨u²⟩ in Å², such as Au=0.0082,O=0.006") from None
    return read


def parse_phonons(text: str) -> int | float:
    """A number of configurations; or, from ``auto`` or ``auto:0.5`` (per cent), an error as a fraction of the range.

    Raises
    ------
    InputError
        If it is neither.
    """
    word, _, error = str(text).strip().partition(":")
    try:
        if word.lower() != "auto":
            return int(text)
        asked = float(error.rstrip("% ") if error else PRECISION) / 100
        if not 0 < asked < 1:
            raise ValueError
    except ValueError:
        raise InputError(
            f"phonons {text}: expected a number of configurations, or auto:0.5 for an error of 0.5 % of the range"
        ) from None
    return asked
