"""All kinds of detectors, and what may be asked of several together."""

import math
import pkgutil
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler, SerializeAsAny

from rhotem.core import InputError
from rhotem.microscope.camera import Camera
from rhotem.microscope.detectors.base import KINDS, Channel, DetectorBase
from rhotem.microscope.instrument import NUMBER

#: Pictures of a run that are no detector's; in small letters, as some file systems know no others.
TAKEN = ("overview", "pacbed", "diffraction", "probe", "displacements", "exit_wave", "clean")

for _module in pkgutil.iter_modules([str(Path(__file__).parent)]):
    if _module.name != "registry":
        import_module(f"{__package__}.{_module.name}")


def detector_of(value: Any) -> Any:
    """A detector as such, or from its settings with ``kind``."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} of a detector is not known; use {', '.join(KINDS)}")
    return KINDS[kind](**value)


class _AnyKind:
    """JSON schema of all kinds that there are when it is asked for."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"oneOf": [handler(kind.__pydantic_core_schema__) for kind in KINDS.values()]}


#: Any detector, also from its settings as a dictionary with ``kind``.
Detector = Annotated[SerializeAsAny[DetectorBase], BeforeValidator(detector_of), _AnyKind]


def channels(detectors: Sequence[DetectorBase]) -> list[Channel]:
    """Channels recorded for ``detectors``; pixelated detectors keep whole patterns and have none."""
    return [channel for detector in detectors for channel in detector.channels()]


def angles(detector: DetectorBase) -> str:
    """The angles of a detector, or what it tells apart instead, in words."""
    return detector.seen


def image_names(detector: DetectorBase) -> list[str]:
    """Names of the images, or patterns, that a detector gives."""
    return detector.image_names()


def unit(name: str) -> str:
    """Unit of the image called ``name``; empty for fractions of the beam."""
    units = {suffix: u for kind in KINDS.values() for suffix, u in kind.units.items()}
    return next((u for suffix, u in units.items() if name.partition("@")[0].endswith(suffix)), "")


def largest_angle(detectors: Sequence[DetectorBase]) -> float:
    """Largest detected angle in mrad.

    Raises
    ------
    InputError
        If there is no detector, two have the same name, or one that of another picture.
    """
    names = [(type(d), d.name) for d in detectors]
    if not names:
        raise InputError("no detector: give at least one, e.g. Annular(name='HAADF', inner=68, outer=200)")
    if len(set(names)) < len(names):
        if any(not name for _, name in names):
            raise InputError("two detectors of one kind without a name: ask for one of them, or name them in Python")
        raise InputError(f"detector names {[n for _, n in names]} repeat; give every detector its own name")
    _check_parts(detectors)
    taken = [d.name for d in detectors if d.name.lower() in TAKEN and not d.averaged]
    if taken:
        raise InputError(f"detector {taken[0]}: {taken[0]}.png is another picture of a run; choose another name")
    return max(d.outer for d in detectors)


def _check_parts(detectors: Sequence[DetectorBase]) -> None:
    """Refuse detectors whose images or sums would be taken for those of another: ``CoMx=30`` beside ``CoM=40``."""
    owners: dict[str, str] = {}
    for detector in detectors:
        own = {*detector.image_names(), *(channel.name for channel in detector.channels())}
        kind = str(getattr(detector, "kind", type(detector).__name__))
        for name in sorted(own):
            if name in owners:
                raise InputError(f"two detectors, {owners[name]} and {kind}, have {name}; give one another name")
            owners[name] = kind


def sees_pixels(detectors: Sequence[DetectorBase]) -> bool:
    """Whether single pixels of patterns are shown, each of which belongs to one κ."""
    return any(d.patterns or d.averaged for d in detectors)


def summing(detectors: Sequence[DetectorBase]) -> tuple[DetectorBase, ...]:
    """Those whose images follow from sums of signals: neither patterns nor their mean."""
    return tuple(d for d in detectors if d.channels() and not d.patterns)


def farthest_angle(detectors: Sequence[DetectorBase], camera_step: float | None = None) -> float:
    """Largest angle in mrad that is recorded: the corners of a pixelated detector lie beyond its ``outer``.

    Pixels of a given ``camera_step`` (mrad) end up to one beyond it.
    """
    largest = largest_angle(detectors)
    sides = [d.outer for d in detectors if d.patterns]
    if camera_step is not None:
        sides = [max(side, Camera(camera_step).edge(side)) for side in sides]
    return max([largest, *(math.sqrt(2) * side for side in sides)])


def parse_detector(text: str) -> DetectorBase:
    """A detector written as ``NAME=inner-outer`` or ``NAME=outer``, angles in mrad.

    ``DPC=6-22`` (also iDPC, dDPC) has four segments, ``DPC8=6-22`` and ``DPC16=6-22`` more; ``SEG4=6-22``, ``SEG8``
    and ``SEG16`` show them, too, and ``DPC=6-22@30`` turns them by 30°. ``eABF=11-22`` is ABF without the inner disc.
    ``CoM=40`` and ``iCoM=40`` give the first moment up to that angle, ``4D=40`` every diffraction pattern; any other
    name is that of an annular detector. ``Li-K`` and ``Co-L23`` are maps of core losses, ``Li-K@30`` 30 eV above.

    Raises
    ------
    InputError
        If it is not written so, or the angles make no detector.
    """
    spelled = next((found for kind in KINDS.values() if (found := kind.spelled(text)) is not None), None)
    if spelled is not None:
        return spelled
    angles, turned = rf"(?:({NUMBER})\s*[-–:]\s*)?({NUMBER})\s*(?:mrad)?", rf"(?:@\s*({NUMBER})\s*(?:deg|°)?)?"
    match = re.fullmatch(rf"\s*([\w.+]+)\s*=\s*{angles}\s*{turned}\s*", text)
    if match is None:
        raise InputError(f"detector {text!r}: expected NAME=inner-outer in mrad, such as HAADF=68-200, or an edge: O-K")
    more = {"rotation": float(match[4])} if match[4] else {}
    name, inner, outer = match[1], float(match[2] or 0.0), float(match[3])
    kinds = [kind for kind in KINDS.values() if name.lower() in kind.written] or [KINDS["annular"]]
    try:
        return kinds[-1].parsed(name, inner, outer, **more)
    except InputError as error:
        raise InputError(f"detector {text!r}: {error}") from None
