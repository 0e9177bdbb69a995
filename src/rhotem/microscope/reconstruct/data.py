"""`ScannedPatterns`: diffraction patterns of a scan with the scales and optics that a reconstruction needs."""

from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.formats.signal import Signal
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.scan import Scan, nyquist_step

Array = npt.NDArray[np.float64]

#: Farthest that the middle of the patterns may lie off that of the disc, as a part of its radius.
OFF_MIDDLE = 0.1
#: Fewest pixels across the bright-field disc.
FEWEST_PIXELS = 4


@dataclass(frozen=True, eq=False)
class ScannedPatterns:
    """Diffraction patterns at every position of a scan, simulated or measured.

    Parameters
    ----------
    data : (nx, ny, Kx, Ky) array
        Intensity, in any unit; zero angle at index n // 2 of both diffraction axes.
    scan : Scan
        Positions.
    angular_step : (float, float)
        Pixel of the patterns in mrad.
    microscope : Microscope
        Energy, convergence, defocus and aberrations.
    rotation : float
        Azimuth in degrees of the patterns' kx axis in the frame of the scan, from x towards y.
    electrons : float or None
        Electrons per position that the patterns were counted from; None: no counting noise.
    integrating : bool
        Pixels count what falls on their area, as those of a camera do; False: they are single beams of a simulation.
    name : str
    said, record : dict
        Caption and record of what the patterns come from.

    Raises
    ------
    InputError
        If the array has another shape, a scale is missing, values are not finite, or the patterns are cut off, too
        coarse or not centred.
    """

    data: npt.NDArray
    scan: Scan
    angular_step: tuple[float, float]
    microscope: Microscope
    rotation: float = 0.0
    electrons: float | None = None
    integrating: bool = True
    name: str = "4D"
    said: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data.ndim != 4 or self.data.shape[:2] != self.scan.shape:
            raise InputError(f"{self.name}: array {self.data.shape}; expected {self.scan.shape} positions × kx × ky")
        if not min(self.angular_step) > 0:
            raise InputError(f"{self.name}: no angular scale; say the pixel of the patterns in mrad")
        mean = self.mean
        if not np.isfinite(mean).all() or mean.sum() <= 0:
            raise InputError(f"{self.name}: the mean pattern is not finite or holds no electrons; check the file")
        self._check_disc(mean)

    @classmethod
    def of(cls, data: npt.NDArray, scan_step: float, angular_step: float, microscope: Microscope, **more: Any) -> Self:
        """Square steps: ``scan_step`` in Å, ``angular_step`` in mrad; ``more`` as the class takes it."""
        if not (scan_step and scan_step > 0):
            raise InputError("4D data: no scale of the scan; say the step in Å")
        size = (data.shape[0] * scan_step, data.shape[1] * scan_step)
        scan = Scan((data.shape[0], data.shape[1]), size, periodic=False)
        return cls(data, scan, (angular_step or 0.0, angular_step or 0.0), microscope, **more)

    @property
    def mean(self) -> Array:
        """Position-averaged pattern."""
        return np.asarray(self.data.mean(axis=(0, 1), dtype=np.float64))

    @property
    def angles(self) -> tuple[Array, Array]:
        """Angles (Kx, Ky) in mrad along x and y of the scan, in the middle of every pixel."""
        return self.shifted(0.0, 0.0)

    def shifted(self, i: float, j: float) -> tuple[Array, Array]:
        """The same at points (i, j) pixels off the middles."""
        places = zip(self.data.shape[2:], self.angular_step, (i, j), strict=True)
        x, y = (step * (np.arange(n) - n // 2 + off) for n, step, off in places)
        turn = np.deg2rad(self.rotation)
        kx, ky = np.meshgrid(x, y, indexing="ij")
        return np.cos(turn) * kx - np.sin(turn) * ky, np.sin(turn) * kx + np.cos(turn) * ky

    def require_fine_scan(self, method: str) -> None:
        """Refuse steps that do not determine an image of the probe.

        Raises
        ------
        InputError
        """
        finest, step = nyquist_step(self.microscope), max(self.scan.step)
        if step > finest * (1 + 1e-3):
            raise InputError(
                f"{method}: scan steps of {step:.3g} Å are too coarse for {self.microscope.convergence:g} mrad at "
                f"{self.microscope.energy / 1e3:g} kV, the image aliases; scan at {finest:.3g} Å or finer, or use a "
                "defocused probe and --method ptychography"
            )

    def _check_disc(self, mean: Array) -> None:
        radius = self.microscope.convergence
        across, held = (
            2 * radius / max(self.angular_step),
            min((n // 2 + 0.5) * s for n, s in zip(mean.shape, self.angular_step, strict=True)),
        )
        if across < FEWEST_PIXELS:
            raise InputError(
                f"{self.name}: pixels of {max(self.angular_step):.3g} mrad leave {across:.1f} across the disc of "
                f"{radius:g} mrad, fewer than {FEWEST_PIXELS}; record finer patterns (--camera-step)"
            )
        if held < radius:
            raise InputError(
                f"{self.name}: patterns reach {held:.3g} mrad, not the whole disc of {radius:g} mrad; record more of "
                f"the plane, as with --detector 4D={2 * radius:g}"
            )
        kx, ky = self.angles
        inside = mean * (np.hypot(kx, ky) <= 1.5 * radius)
        off = np.hypot((inside * kx).sum(), (inside * ky).sum()) / inside.sum()
        if off > OFF_MIDDLE * radius + max(self.angular_step) / 2:
            raise InputError(f"{self.name}: the disc lies {off:.3g} mrad off the middle pixel; centre the patterns")


def from_signal(signal: Signal, **changed: Any) -> ScannedPatterns:
    """Patterns of a file; ``changed``: settings of the microscope, or ``rotation``, in place of what the file says.

    Raises
    ------
    InputError
        If it holds no patterns, or no scale, energy or convergence.
    """
    if not signal.patterns:
        raise InputError(f"{signal.name}: an image; a reconstruction needs patterns (rhotem image --detector 4D=40)")
    rotation = changed.pop("rotation", None) or 0.0
    if not isfinite(rotation):
        raise InputError(f"--rotation {rotation:g}: expected an angle in degrees")
    x, y, kx, ky = signal.axes
    recorded = signal.record.get("microscope", {})
    known = {key: recorded[key] for key in ("energy", "convergence", "defocus", "cs", "aberrations") if key in recorded}
    known |= {"energy": signal.energy} if signal.energy and "energy" not in known else {}
    known |= {"convergence": signal.convergence} if signal.convergence and "convergence" not in known else {}
    known |= {key: value for key, value in changed.items() if value is not None}
    for key, option in (("energy", "--energy"), ("convergence", "--convergence")):
        if key not in known:
            raise InputError(f"{signal.name}: the {key} is not in the file; say it with {option}")
    size = (x.size * x.step, y.size * y.step)
    scan = Scan((x.size, y.size), size, (x.offset, y.offset), bool(signal.said.get("periodic", False)))
    return ScannedPatterns(
        signal.data,
        scan,
        (kx.step, ky.step),
        Microscope(**known),
        rotation=rotation,
        electrons=signal.record.get("counting", {}).get("electrons_per_position"),
        integrating=not recorded or recorded.get("camera_step") is not None,
        name=signal.name,
        said=signal.said,
        record=signal.record,
    )


def read_patterns(path: Path, **changed: Any) -> ScannedPatterns:
    """Patterns of a file, or of the folder of a run; ``changed`` as `from_signal`.

    Raises
    ------
    InputError
        If there are none, or several.
    """
    from rhotem.microscope.formats.registry import signals

    held = [signal for signal in signals(path) if signal.patterns]
    if not held:
        raise InputError(f"{path}: holds no diffraction patterns; record them with rhotem image --detector 4D=40")
    if len(held) > 1:
        raise InputError(
            f"{path}: holds {', '.join(s.name for s in held)}; give one of the files, as {held[0].name}.hspy"
        )
    return from_signal(held[0], **changed)
