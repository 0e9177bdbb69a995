"""Which settings a response is to hold: they size the supercell on which its probes live."""

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from rhotem.core import InputError
from rhotem.microscope.instrument import ABERRATIONS, Microscope, Settings
from rhotem.microscope.plan import LACKING, WIDEST, probe_side, window_of

#: Apertures between the smallest and the largest that are looked at.
APERTURES = 9
#: Relative slack of apertures, for rounding.
SLACK = 1e-6


class Range(Settings):
    """Largest settings to be asked of a response.

    Parameters
    ----------
    defocus : (float, float)
        Least and most in Å; positive is underfocus. One number stands for both signs.
    aberrations : dict
        Largest magnitude in Å of coefficients by name, whatever their azimuth.
    convergence : float or None
        Smallest semi-angle of the aperture in mrad; None: that of the microscope.
    """

    defocus: tuple[float, float] = (0.0, 0.0)
    aberrations: dict[str, float] = Field(default_factory=dict)
    convergence: float | None = Field(None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _both_signs(cls, values: dict) -> dict:
        defocus = values.get("defocus")
        return values | {"defocus": (-abs(defocus), abs(defocus))} if isinstance(defocus, (int, float)) else values

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = sorted(name for name in self.aberrations if name not in ABERRATIONS or name[0] != "C")
        if unknown:
            raise ValueError(f"aberrations {', '.join(unknown)}: expected names of coefficients such as C12, C30")
        if self.defocus[0] > self.defocus[1]:
            raise ValueError(f"defocus from {self.defocus[0]:g} to {self.defocus[1]:g} Å: give the least first")
        return self

    def around(self, microscope: Microscope) -> "Range":
        """The same, wide enough for the settings of a microscope, too."""
        coefficients = dict(microscope.coefficients)
        defocus = -coefficients.pop("C10", 0.0)
        largest = {name: abs(value) for name, value in self.aberrations.items()}
        for name, value in coefficients.items():
            if name[0] == "C":
                largest[name] = max(abs(value), largest.get(name, 0.0))
        least = min(self.convergence or microscope.convergence, microscope.convergence)
        span = (min(self.defocus[0], defocus), max(self.defocus[1], defocus))
        return Range(defocus=span, aberrations=largest, convergence=least)

    def below(self, microscope: Microscope) -> "Range":
        """The same `around` the microscope whose aperture is the largest.

        Raises
        ------
        InputError
            If the smallest aperture is larger.
        """
        if self.convergence is not None and self.convergence > microscope.convergence * (1 + SLACK):
            raise InputError(
                f"range: the smallest aperture of {self.convergence:g} mrad is larger than the largest, "
                f"{microscope.convergence:g} mrad; make it with a larger convergence"
            )
        return self.around(microscope)

    def radii(self, convergence: float, thickness: float) -> tuple[float, float]:
        """Farthest rays in Å on the entrance surface, and anywhere within ``thickness`` Å, at one aperture (mrad).

        ``|∇χ|/2π`` of one coefficient is ``α^n |C_nm|`` at most; the worst signs and azimuths are added.
        """
        angle = 1e-3 * convergence
        others = sum(angle ** int(name[1]) * abs(value) for name, value in self.aberrations.items())
        least, most = self.defocus
        entrance = others + angle * max(abs(least), abs(most))
        behind = others + angle * max(abs(thickness - least), abs(thickness - most))
        return entrance, max(entrance, behind)

    def window(self, microscope: Microscope, thickness: float) -> float:
        """Side in Å of the supercell that holds all these probes.

        Raises
        ------
        InputError
            If the widest probe is wider than any that is computed.
        """
        sides = []
        for convergence in np.linspace(self.convergence or microscope.convergence, microscope.convergence, APERTURES):
            entrance, radius = self.radii(float(convergence), thickness)
            if radius > WIDEST:
                raise InputError(
                    f"range: probes up to {2 * radius:.0f} Å wide, more than the {2 * WIDEST:.0f} Å that are computed; "
                    "take a smaller range, aperture or thickness"
                )
            sides.append(window_of(entrance, radius, float(convergence)))
            if microscope.focal_spread:  # that of the microscope is to be held, too
                off = self.spread(microscope.focal_spread).radii(float(convergence), thickness)
                sides.append(window_of(*off, float(convergence)) - LACKING)
        return max(sides)

    def spread(self, focal_spread: float) -> "Range":
        """The same with foci ``focal_spread`` Å to either side."""
        least, most = self.defocus
        return self.model_copy(update={"defocus": (least - focal_spread, most + focal_spread)})


def needed_window(microscope: Microscope, thickness: float) -> float:
    """Side in Å of the supercell that one probe needs; of any width, unlike `rhotem.microscope.plan.probe_window`."""
    return probe_side(microscope, thickness)[1]


def held_spread(microscope: Microscope, thickness: float, side: float) -> float:
    """Largest focal spread in Å that a supercell of ``side`` Å holds with the other settings of a lens, to 1 %."""
    low, high = 0.0, max(microscope.focal_spread, 1.0)
    while high - low > 0.01 * high:
        middle = 0.5 * (low + high)
        held = needed_window(microscope.model_copy(update={"focal_spread": middle}), thickness) <= side
        low, high = (middle, high) if held else (low, middle)
    return low


def held_defocus(microscope: Microscope, thickness: float, side: float) -> tuple[float, float] | None:
    """Least and most defocus in Å that a supercell of ``side`` Å holds at an aperture, without other aberrations."""
    angle = 1e-3 * microscope.convergence

    def needs(defocus: float) -> float:
        entrance = angle * abs(defocus)
        return window_of(entrance, max(entrance, angle * abs(thickness - defocus)), microscope.convergence)

    tried = np.linspace(-1.0, 1.0, 4001) * (side / angle)
    inside = tried[[needs(float(d)) <= side * (1 + 1e-9) for d in tried]]
    return (float(inside[0]), float(inside[-1])) if len(inside) else None
