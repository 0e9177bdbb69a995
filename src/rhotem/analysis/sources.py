"""What a run asks of a density source: options that describe it, and the memory it stays within."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, Unpack

from rhotem.core import InputError
from rhotem.density.source import is_density_file, is_peer, source_class


class Described(TypedDict, total=False):
    """What a user says of a density: ``charge`` (e), ``valence`` electrons by element, what a file holds
    (``file_kind``), whether its count is put right (``correct_count``), the folder of GPAW runs (``gpaw_cache``), and
    whether a learned one is refused of elements it was not trained on (``strict``).
    """

    charge: float | None
    valence: dict[str, float] | None
    file_kind: str | None
    correct_count: bool
    gpaw_cache: str | Path | None
    strict: bool


def source_options(source: str, **described: Unpack[Described]) -> dict[str, Any]:
    """What a description means for one density source.

    Raises
    ------
    InputError
        If a file or a predicted density is described where there is none.
    """
    told: dict[str, Any] = {
        "valence": described.get("valence"),
        "correct": described.get("correct_count") or None,
    }
    file_kind = described.get("file_kind")
    if is_density_file(source) and Path(source).suffix != ".gpw":
        told |= {"charge": described.get("charge"), "kind": file_kind}
    elif file_kind is not None or (any(v is not None for v in told.values()) and not is_peer(source)):
        raise InputError(
            "--valence, --file-kind and --correct-count describe a density file (all but --file-kind also an imported "
            f"model), --source {source} is none"
        )
    told = {name: value for name, value in told.items() if value is not None}
    if told:
        return told
    if described.get("strict") and "strict" in inspect.signature(source_class(source)).parameters:
        return {"strict": True}  # other sources know all elements, or none
    return {"cache": described.get("gpaw_cache")} if source == "gpaw" else {}


def memory_options(
    source: str, memory: int | None, announce: Callable[[str], None] | None = None, *, large: bool = False
) -> dict[str, Any]:
    """``memory`` for a source that can stay below it, and ``announce``, who is told its plan; nothing for others.

    Without a bound the plan is worth telling of ``large`` cells only.
    """
    if (memory is None and not large) or "memory" not in inspect.signature(source_class(source)).parameters:
        return {}
    return {"memory": memory, "announce": announce}
