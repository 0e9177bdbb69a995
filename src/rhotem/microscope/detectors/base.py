"""What every detector is: settings, regions of the diffraction plane that it sums, and images made of these sums."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy.typing as npt
from pydantic import Field, model_validator

from rhotem.core import InputError
from rhotem.microscope.acquisition.settings import Electronics
from rhotem.microscope.detectors.sensitivity import Sensitivity
from rhotem.microscope.instrument import Microscope, Settings

if TYPE_CHECKING:
    from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]

#: Classes by their ``kind``; a class enters when it is defined.
KINDS: "dict[str, type[DetectorBase]]" = {}


@dataclass(frozen=True)
class Region:
    """A part of the diffraction plane that is bounded by circles around the axis and straight lines through it.

    Parameters
    ----------
    inner, outer : float
        Angles in mrad.
    hard : bool
        A pixel lies in it altogether or not at all; else by its covered part.
    quadrants : tuple of float
        Azimuths in degrees of the quadrants (90° wide) whose intersection it is; none: the whole ring. Two quadrants
        45° apart leave an eighth, four 22.5° apart a sixteenth.
    """

    inner: float
    outer: float
    hard: bool = False
    quadrants: tuple[float, ...] = ()


@dataclass(frozen=True)
class Channel:
    """One number for each probe position: Σ_k weight(k) |ψ(k)|² over a region.

    Parameters
    ----------
    name : str
    region : Region
    role : "", "x", "y" or "η"
        Weight: 1, the angle along x or y in mrad, or a sensitivity; those with a role belong to the channel whose name
        lacks the last letter.
    sensitivity : Sensitivity or None
        The weight of role "η".
    """

    name: str
    region: Region
    role: str = ""
    sensitivity: Sensitivity | None = None

    @property
    def plain(self) -> str:
        """Name of the channel that counts the same electrons with weight 1."""
        return self.name[:-1] if self.role else self.name

    @property
    def function(self) -> str:
        """Name of the weight: "", "x", "y", or that of a sensitivity."""
        return f"η {self.plain}" if self.role == "η" else self.role

    def weigh(self, x: Array, y: Array, pixel: tuple[float, float]) -> Array | float:
        """The weight at angles ``x, y`` in mrad, on pixels of this size."""
        if self.sensitivity is not None:
            return self.sensitivity(x, y, pixel)
        if self.role == "x":
            return x
        return y if self.role == "y" else 1.0


class DetectorBase(Settings):
    """Base of all detectors. A kind is one class with ``kind: Literal["…"]`` and the methods below.

    Attributes
    ----------
    units : mapping
        Units of images by the end of their names; others are fractions of the incident beam.
    written : tuple of str
        Names, in lower case, that stand for this kind in ``NAME=inner-outer``; none: those that no other kind has.
    patterns : bool
        Whether a whole diffraction pattern is kept for each position.
    averaged : bool
        Whether it sees the mean over all positions only, which every run of a scanned probe records.
    electronics : Electronics or None
        From electrons to counts, where electrons are counted; None: the electrons themselves.
    """

    units: ClassVar[Mapping[str, str]] = {}
    written: ClassVar[tuple[str, ...]] = ()
    patterns: ClassVar[bool] = False
    averaged: ClassVar[bool] = False

    name: str
    outer: float = Field(gt=0, lt=1000)
    electronics: Electronics | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" in cls.model_fields:
            KINDS[cls.model_fields["kind"].default] = cls

    @classmethod
    def parsed(cls, name: str, inner: float, outer: float, **more: float) -> Self:
        """That written as ``name=inner-outer``; ``rotation`` where ``@degrees`` stands behind it."""
        if inner and "inner" not in cls.model_fields:
            raise InputError(f"{name} has no inner angle; write {name}={outer:g}")
        angles: dict[str, Any] = {"inner": inner, "outer": outer} if inner else {"outer": outer}
        return cls(**angles, **more)

    @classmethod
    def spelled(cls, text: str) -> Self | None:
        """That of a text without angles, or None."""
        return None

    @property
    def seen(self) -> str:
        """Its angles in words."""
        inner = getattr(self, "inner", 0.0)
        return f"{inner:g}–{self.outer:g} mrad" if inner else f"to {self.outer:g} mrad"

    def image_names(self) -> list[str]:
        """Names of the images, or patterns, that it gives."""
        return [self.name]

    def channels(self) -> list[Channel]:
        """Sums that are recorded for it."""
        return []

    def read_out(self) -> list[str]:
        """Names of the channels that its electronics reads."""
        return [channel.name for channel in self.channels() if not channel.role]

    def images(self, signals: Mapping[str, Array], scan: "Scan", microscope: Microscope) -> dict[str, Array]:
        """Images (nx, ny) by name from signals (nx, ny) by name of channel, deflections in mrad."""
        return {}

    def remarks(self, microscope: Microscope) -> dict[str, Any]:
        """What the record of a simulation says beside its images: key -> image -> value."""
        return {}


class Ring(DetectorBase):
    """A ring between two angles in mrad.

    ``edges="hard"`` counts a pixel of the pattern fully or not at all, as abTEM does; "soft" by its covered part.
    """

    edges: Literal["soft", "hard"] = "soft"
    inner: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.inner >= self.outer:
            raise ValueError(
                f"detector {self.name}: inner angle {self.inner} mrad must be below outer {self.outer} mrad"
            )
        return self

    def region(self, *quadrants: float) -> Region:
        """The ring, or the part of it within quadrants."""
        return Region(self.inner, self.outer, self.edges == "hard", quadrants)
