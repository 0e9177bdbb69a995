"""Nodes from a specimen: occupancies, Debye–Waller scale, mistilt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ase.data import atomic_numbers

from rhotem.analysis import responses, run
from rhotem.analysis.disorder import ExchangedPotentials, ScaledPotentials
from rhotem.analysis.motion import moving_of
from rhotem.analysis.specimen import Specimen
from rhotem.core import InputError, Progress, silent
from rhotem.experiment.fit.images.nodes import FEWEST, MOST, NodeAxis, Nodes
from rhotem.scattering.response import Range, Response
from rhotem.structure.beam_symmetry import lateral_translations

#: Makes specimen and potentials of a value and `rhotem.analysis.motion.Moving`.
One = Callable[[float, dict[str, Any]], tuple[Specimen, run.Potentials]]


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

    def nodes(self, name: str, values: Sequence[float], one: One, unit: str = "") -> Nodes:
        """Responses at all values, the first the reference; ``one`` makes specimen and potentials from `Moving`."""
        if self.draws < 1:
            raise InputError(f"draws {self.draws}: expected 1 or more")
        found, total = [], self.draws * len(values)
        for draw in range(self.draws):
            moving = dict(moving_of(self.moving | {"seed": int(self.moving.get("seed", 0)) + draw}))
            row = []
            for value in values:
                row.append(self.response(*one(value, moving)))
                self.progress(f"nodes of {name}", draw * len(values) + len(row), total)
            found.append(Nodes(row[0], (NodeAxis(name, tuple(values), tuple(row), unit),)))
        return Nodes.mean(found)

    def response(self, cut: Specimen, potentials: run.Potentials) -> Response:
        """The response of one draw."""
        options: dict[str, Any] = {"thicknesses": self.thicknesses, "range": self.range, "edges": list(self.edges)}
        return responses.response(cut, potentials, error_bar=False, **options)


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


def exchange_nodes(making: Making, elements: tuple[str, str], shares: Sequence[float]) -> Nodes:
    """Shares of the first element's atoms that have changed places with the second's, at random (antisites).

    Images are means over what the crystal repeats by: else columns that are alike in a specimen would differ by the few
    arrangements that were drawn, and a fit would find less of the exchange than there is.
    """

    def one(share: float, moving: dict[str, Any]) -> tuple[Specimen, run.Potentials]:
        return making.cut, ExchangedPotentials(making.cut, elements, share, **moving)

    found = making.nodes(f"{elements[0]}/{elements[1]}", shares, one)
    return found.repeating(lateral_translations(making.cut.cell.structure))


def motion_nodes(making: Making, source: str, scales: Sequence[float]) -> Nodes:
    """Scales of all mean square displacements, 1 as they are taken."""
    density = run.density(making.cut, source)

    def one(scale: float, moving: dict[str, Any]) -> tuple[Specimen, run.Potentials]:
        return making.cut, ScaledPotentials(making.cut, density, scale, **moving)

    return making.nodes("motion", scales, one)


def tilt_nodes(making: Making, source: str, tilts: Sequence[float], along: str = "x") -> Nodes:
    """Mistilts in mrad along x or y: how far the beam leans off the zone axis."""
    if along not in ("x", "y"):
        raise InputError(f"mistilt along {along!r}: expected x or y")
    density, preset = run.density(making.cut, source), making.cut.preset

    def one(tilt: float, moving: dict[str, Any]) -> tuple[Specimen, run.Potentials]:
        x, y = preset.microscope.tilt
        leaning = (x + tilt, y) if along == "x" else (x, y + tilt)
        microscope = preset.microscope.model_copy(update={"tilt": leaning})
        cut = replace(making.cut, preset=preset.model_copy(update={"microscope": microscope}))
        return cut, run.potential(making.cut, density, **moving)

    return making.nodes(f"tilt_{along}", tilts, one, "mrad")
