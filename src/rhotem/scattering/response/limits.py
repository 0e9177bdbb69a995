"""Settings of the lens that are asked for afterwards: which may change, and which probes a supercell holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.microscope.instrument import Microscope
from rhotem.scattering.response.range import held_defocus, held_spread, needed_window

#: Settings that change the waves inside the specimen, or the pixels of patterns.
FIXED = ("energy", "tilt", "camera_step")
#: Settings of which None is a value: no counting, the positions that were computed, no flaws.
OPEN = ("dose", "pixel", "acquisition")
#: Relative slack of limits, for rounding.
ROUNDING = 1e-6


def replaced(held: Microscope, settings: Mapping[str, Any], what: str = "a response") -> Microscope:
    """The microscope of a propagation with some settings replaced; None leaves one as it is, but for those `OPEN`.

    Raises
    ------
    InputError
        If a setting is fixed or has no meaning.
    """
    fixed = sorted(name for name in FIXED if settings.get(name) is not None and _differs(settings, held, name))
    if fixed:
        raise InputError(f"{', '.join(fixed)}: fixed when {what} is made; make another for other values")
    changes = {name: value for name, value in settings.items() if value is not None or name in OPEN}
    whole = held.model_dump() | changes
    named = dict(whole["aberrations"])
    for name, plain in (("C10", "defocus"), ("C30", "cs")):
        if plain in changes and "aberrations" not in changes:
            named.pop(name, None)
        elif name in changes.get("aberrations", {}) and plain not in changes:
            whole[plain] = 0.0
    return Microscope(**(whole | {"aberrations": named}))


def _differs(settings: Mapping[str, Any], held: Microscope, name: str) -> bool:
    asked, own = settings[name], getattr(held, name)
    return own is None or np.shape(asked) != np.shape(own) or bool(np.any(np.asarray(asked) != np.asarray(own)))


def level_of(thicknesses: Sequence[float], thickness: float | None, slice_thickness: float, held_by: str) -> int:
    """Place of a thickness among those that are held, within half a slice (Å); None: the last.

    Raises
    ------
    InputError
        If it is not held; ``held_by`` says who holds the others, "the response holds".
    """
    if thickness is None:
        return len(thicknesses) - 1
    nearest = int(np.argmin(np.abs(np.array(thicknesses) - thickness)))
    if not abs(thicknesses[nearest] - thickness) <= 0.5 * slice_thickness * (1 + ROUNDING):  # NaN, too
        held = ", ".join(f"{0.1 * t:.4g}" for t in thicknesses)
        raise InputError(f"thickness {0.1 * thickness:.4g} nm: {held_by} {held} nm")
    return nearest


def check_probe(asked: Microscope, held: Microscope, side: float, thickness: float, what: str) -> None:
    """Refuse an aperture larger than that held, and a probe that a supercell of ``side`` Å does not hold.

    Raises
    ------
    InputError
        The message says what is held.
    """
    largest = held.convergence
    if asked.convergence > largest * (1 + ROUNDING):
        raise InputError(f"convergence {asked.convergence:g} mrad: the {what} holds up to {largest:g} mrad")
    needed = needed_window(asked, thickness)
    if needed <= side * (1 + ROUNDING):
        return
    if needed_window(asked.model_copy(update={"focal_spread": 0.0}), thickness) <= side * (1 + ROUNDING):
        most = held_spread(asked, thickness, side)
        raise InputError(
            f"focal spread {0.1 * asked.focal_spread:.4g} nm at {asked.convergence:g} mrad and {0.1 * thickness:.3g} "
            f"nm: its foci need {needed:.1f} Å, the {what} has {side:.1f} Å, which with these settings hold "
            f"{0.1 * most:.2g} nm; make it with that spread or a larger range"
        )
    named = [f"{n} {v / 10:.4g} nm" for n, v in asked.coefficients.items() if n[0] == "C" and n != "C10"]
    defocus = 0.1 * -asked.coefficients.get("C10", -0.0)  # a focus of zero is 0, not -0
    span = held_defocus(asked, thickness, side)
    holds = f"defocus {0.1 * span[0]:.3g} to {0.1 * span[1]:.3g} nm without other aberrations" if span else "none"
    raise InputError(
        f"{', '.join([f'defocus {defocus:.4g} nm', *named])} at {asked.convergence:g} mrad and "
        f"{0.1 * thickness:.3g} nm: the probe needs {needed:.1f} Å, the {what} has {side:.1f} Å, which at this "
        f"aperture and thickness hold {holds}; make it with a larger range"
    )
