"""Keyword arguments that a `typing.TypedDict` describes, checked when they are given."""

from collections.abc import Mapping
from typing import Any


def check_keywords(given: Mapping[str, Any], kind: type, function: str) -> None:
    """Refuse a keyword that ``kind``, a TypedDict, does not have, as Python does.

    Raises
    ------
    TypeError
        If there is one.
    """
    for name in given:
        if name not in kind.__annotations__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
