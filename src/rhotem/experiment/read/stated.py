"""What a user says of a measured file: values that it lacks, each with the option that gives it."""

from dataclasses import dataclass, fields
from math import inf
from typing import Any

from rhotem.core import InputError
from rhotem.experiment.measurement import Kind


@dataclass(frozen=True)
class Stated:
    """Values that a file lacks; a value that contradicts the file is refused.

    Parameters
    ----------
    kind : "image", "image stack", "pattern", "4D" or None
    dataset : str or None
        Number (from 1) or name of a recording in a file of several.
    pixel_A : float or None
        Size of a pixel of an image, or the step of a scan.
    px_per_mrad : float or None
        Pixels of a diffraction pattern per mrad.
    energy_keV, convergence_mrad, dwell_us, current_pA, dose_e_per_A2, camera_length_mm : float or None
        The convergence is the semi-angle. Current, dwell time and pixel give the dose.
    counts : bool or None
        Whether values are electrons.
    scan : (int, int) or None
        Rows and columns of a scan whose patterns a file holds one after another.
    flip : bool
        The first row of the file is the bottom of the picture.
    """

    kind: Kind | None = None
    dataset: str | None = None
    pixel_A: float | None = None
    px_per_mrad: float | None = None
    energy_keV: float | None = None
    convergence_mrad: float | None = None
    dwell_us: float | None = None
    current_pA: float | None = None
    dose_e_per_A2: float | None = None
    camera_length_mm: float | None = None
    counts: bool | None = None
    scan: tuple[int, int] | None = None
    flip: bool = False

    def check(self) -> None:
        """Refuse numbers that are no sizes.

        Raises
        ------
        InputError
            If a number is not positive and finite.
        """
        if self.scan is not None and min(self.scan) < 1:
            raise InputError(f"{option('scan')} {self.scan[0]},{self.scan[1]}: expected positive numbers")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < inf:
                raise InputError(f"{option(field.name)} {value:g}: expected a positive number")

    def record(self) -> dict[str, Any]:
        """What was said, JSON-ready."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in said.items() if value is not None and value is not False}


@dataclass(frozen=True)
class Option:
    """How a value is given on the command line."""

    name: str
    about: str
    metavar: str = ""


#: By field of `Stated`; messages and `--help` use the same words.
OPTIONS: dict[str, Option] = {
    "kind": Option("--kind", "image, stack, pattern or 4D, where the file does not say."),
    "dataset": Option("--dataset", "Which recording of a file of several: its number or name.", "N|NAME"),
    "pixel_A": Option("--pixel-A", "Pixel of an image, or step of a scan.", "Å"),
    "px_per_mrad": Option("--px-per-mrad", "Pixels of a pattern per mrad.", "px/mrad"),
    "energy_keV": Option("--energy-keV", "Beam energy, as 200.", "keV"),
    "convergence_mrad": Option("--convergence-mrad", "Semi-angle of convergence.", "mrad"),
    "dwell_us": Option("--dwell-us", "Dwell time of a pixel, or exposure of a frame.", "µs"),
    "current_pA": Option("--current-pA", "Beam current: with dwell time and pixel it gives the dose.", "pA"),
    "dose_e_per_A2": Option("--dose", "Electrons per Å².", "e/Å²"),
    "camera_length_mm": Option("--camera-length-mm", "Camera length.", "mm"),
    "counts": Option("--counts/--no-counts", "Whether values are electrons."),
    "scan": Option("--scan", "Rows and columns of the scan whose patterns the file holds.", "ROWS,COLUMNS"),
    "flip": Option("--flip", "The first row of the file is the bottom of the picture."),
}


def option(key: str) -> str:
    """Name of the option of a field."""
    return OPTIONS[key].name.partition("/")[0]
