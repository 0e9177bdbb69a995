"""Options of `rhotem image` alone: the microscope, what it records and how exactly."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from rhotem.analysis import PHONONS
from rhotem.cli.options import COMPUTING, OPTICS, RECORDING, RESULTS, SPECIMEN, parse_tilt
from rhotem.core import InputError


@dataclass(frozen=True)
class Precision:
    """As many frozen-phonon configurations as bring the error of every image below ``error``, part of its range."""

    error: float


#: Without another number, and configurations at most.
PRECISION, MOST = 0.01, 256


def parse_phonons(text: str) -> "int | Precision":
    """A number of configurations, or ``auto`` and perhaps an error in per cent of the range: ``auto:0.5``.

    Raises
    ------
    InputError
        If it is neither.
    """
    word, _, error = str(text).strip().partition(":")
    try:
        if word.lower() != "auto":
            return int(text)
        asked = float(error.rstrip("% ")) / 100 if error else PRECISION
        if not 0 < asked < 1:
            raise ValueError
    except ValueError:
        raise InputError(
            f"--phonons {text}: expected a number of configurations, or auto:0.5 for an error of 0.5 % of the range"
        ) from None
    return Precision(asked)


ImagePhononsOption = Annotated[
    Any,
    typer.Option(
        parser=parse_phonons,
        metavar="N|auto:%",
        help="Frozen-phonon configurations; 0: atoms at rest, no TDS; auto:0.5: as many as bring the error of every "
        "image at columns below 0.5 % of its range, auto: 1 %.",
        show_default=f"{PHONONS}; with --frames all of them",
        rich_help_panel=SPECIMEN,
    ),
]

EnergyOption = Annotated[float | None, typer.Option(metavar="kV", help="Beam energy.", rich_help_panel=OPTICS)]
ConvergenceOption = Annotated[
    float | None, typer.Option(metavar="mrad", help="Convergence semi-angle.", rich_help_panel=OPTICS)
]
DefocusOption = Annotated[
    float | None, typer.Option(metavar="nm", help="Defocus; positive is underfocus.", rich_help_panel=OPTICS)
]
CsOption = Annotated[
    float | None, typer.Option(metavar="mm", help="Third-order spherical aberration.", rich_help_panel=OPTICS)
]
AberrationOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="C30=-5um",
        help="Any aberration, C12=2nm, phi12=30deg, ...; without unit nm or degrees; may be repeated.",
        rich_help_panel=OPTICS,
    ),
]
TiltOption = Annotated[
    Any,
    typer.Option(
        parser=parse_tilt, metavar="x,y", help="Mistilt: the beam leans to +x and +y, in mrad.", rich_help_panel=OPTICS
    ),
]
SourceSizeOption = Annotated[
    float | None, typer.Option(metavar="Å", help="FWHM of the effective source.", rich_help_panel=OPTICS)
]
DetectorOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=inner-outer",
        help="Detector in mrad, instead of the preset's: HAADF=68-200; DPC=6-22: four segments; CoM=40; 4D=40: "
        "patterns; may be repeated.",
        rich_help_panel=RECORDING,
    ),
]
DoseOption = Annotated[
    float | None,
    typer.Option(metavar="e/Å²", help="Electrons per Å²; without it no counting noise.", rich_help_panel=RECORDING),
]
ScanStepOption = Annotated[
    float | None,
    typer.Option(metavar="Å", help="Largest distance of scan positions, or camera pixel.", rich_help_panel=RECORDING),
]
CameraStepOption = Annotated[
    float | None,
    typer.Option(
        metavar="mrad",
        help="Pixel of diffraction patterns (4D, PACBED), square; without it that of the supercell, 1 to 2 mrad. The "
        "finer, the larger the supercell.",
        rich_help_panel=RECORDING,
    ),
]
ProbeOption = Annotated[
    bool,
    typer.Option(
        "--probe",
        help="Also a picture of the probe on the entrance surface, probe.png, and its widths.",
        rich_help_panel=RESULTS,
    ),
]
FieldOption = Annotated[
    float | None,
    typer.Option(
        metavar="Å", help="Least side of the images, in whole cells; without it one cell.", rich_help_panel=RECORDING
    ),
]
SamplingOption = Annotated[
    float | None,
    typer.Option(
        metavar="Å",
        help="Largest step of the waves; without it what detectors and crystal need. A note says what a coarser costs.",
        rich_help_panel=COMPUTING,
    ),
]
UncertaintyOption = Annotated[
    bool,
    typer.Option(
        "--uncertainty",
        help="Error bar of every pixel from the ensemble of --source model; some times the simulation itself.",
        rich_help_panel=COMPUTING,
    ),
]
