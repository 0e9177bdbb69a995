"""Axes of nodes from a specimen: occupancies, Debye–Waller scale, mistilt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ase.data import atomic_numbers

from rhotem.analysis import responses, run
from rhotem.analysis.disorder import ExchangedPotentials, ScaledPotentials
from rhotem.analysis.motion import moving_of
from rhotem.analysis.specimen import Specimen
from rhotem.core import InputError, Progress, silent
from rhotem.experiment.fit.images.nodes import FEWEST, MOST, NodeAxis
from rhotem.scattering.response import Range, Response, mean_response


@dataclass(frozen=True, eq=False)
class Making:
    """How responses at nodes are made.

    Parameters
    ----------
    cut : Specimen
    thicknesses : sequence of float
        nm.
    range : Range
        Of the lens.
    draws : int
        Sets of displacements, and of arrangements, that every node is the mean of; the same ones at all nodes.
    moving : dict
        `rhotem.analysis.motion.Moving`.
    progress : Progress
        Told of nodes.
    edges : sequence of float
        Further angles in mrad at which detectors may begin and end.
    """

    cut: Specimen
    thicknesses: Sequence[float]
    range: Range
    draws: int = 1
    moving: dict[str, Any] = field(default_factory=dict)
    progress: Progress = silent
    edges: Sequence[float] = ()

    def response(self, potentials: Callable[[dict[str, Any]], run.Potentials], cut: Specimen | None = None) -> Response:
        """The mean over all draws; ``potentials`` makes them from `Moving`."""
        if self.draws < 1:
            raise InputError(f"draws {self.draws}: expected 1 or more")
        seed, found = int(self.moving.get("seed", 0)), []
        for draw in range(self.draws):
            made = potentials(dict(moving_of(self.moving | {"seed": seed + draw})))
            options: dict[str, Any] = {"thicknesses": self.thicknesses, "range": self.range}
            options |= {"edges": list(self.edges)}
            found.append(responses.response(cut or self.cut, made, error_bar=False, **options))
        return mean_response(found)

    def axis(self, name: str, values: Sequence[float], one: Callable[[float], Response], unit: str = "") -> NodeAxis:
        """An axis with a response at every value, the first its reference."""
        found = []
        for place, value in enumerate(values):
            found.append(one(value))
            self.progress(f"nodes of {name}", place + 1, len(values))
        return NodeAxis(name, tuple(values), tuple(found), unit)


@dataclass(frozen=True)
class Exchange:
    """Atoms of two elements that may have changed places: ``elements``, and ``shares`` of the first at nodes."""

    elements: tuple[str, str]
    shares: tuple[float, ...]


def parse_exchange(text: str) -> Exchange:
    """An exchange as it is typed: ``Li/Ni=0,7,14,20`` (per cent).

    Raises
    ------
    InputError
        If it is none.
    """
    elements, _, numbers = text.partition("=")
    pair = tuple(part.strip() for part in elements.split("/"))
    try:
        shares = tuple(0.01 * float(part) for part in numbers.split(","))
    except ValueError:
        shares = ()
    wrong = not FEWEST <= len(shares) <= MOST or list(shares) != sorted(set(shares)) or min(shares, default=-1) < 0
    if len(pair) != 2 or pair[0] == pair[1] or any(e not in atomic_numbers for e in pair) or wrong or shares[-1] > 1:
        raise InputError(
            f"exchange {text!r}: expected two elements and {FEWEST} to {MOST} increasing per cents, as Li/Ni=0,7,14,20"
        )
    return Exchange((pair[0], pair[1]), shares)


def exchange_axis(making: Making, elements: tuple[str, str], shares: Sequence[float]) -> NodeAxis:
    """Shares of the first element's atoms that have changed places with the second's, at random (antisites)."""

    def one(share: float) -> Response:
        return making.response(lambda moving: ExchangedPotentials(making.cut, elements, share, **moving))

    return making.axis(f"{elements[0]}/{elements[1]}", shares, one)


def motion_axis(making: Making, source: str, scales: Sequence[float]) -> NodeAxis:
    """Scales of all mean square displacements, 1 as they are taken."""
    density = run.density(making.cut, source)

    def one(scale: float) -> Response:
        return making.response(lambda moving: ScaledPotentials(making.cut, density, scale, **moving))

    return making.axis("motion", scales, one)


def tilt_axis(making: Making, source: str, tilts: Sequence[float], along: str = "x") -> NodeAxis:
    """Mistilts in mrad along x or y: how far the beam leans off the zone axis."""
    if along not in ("x", "y"):
        raise InputError(f"mistilt along {along!r}: expected x or y")
    density, preset = run.density(making.cut, source), making.cut.preset

    def one(tilt: float) -> Response:
        x, y = preset.microscope.tilt
        leaning = (x + tilt, y) if along == "x" else (x, y + tilt)
        microscope = preset.microscope.model_copy(update={"tilt": leaning})
        cut = replace(making.cut, preset=preset.model_copy(update={"microscope": microscope}))
        return making.response(lambda moving: run.potential(making.cut, density, **moving), cut)

    return making.axis(f"tilt_{along}", tilts, one, "mrad")
