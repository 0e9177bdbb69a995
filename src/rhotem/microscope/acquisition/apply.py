"""A scan as an instrument records it: from expected signals to counts, contribution by contribution."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rhotem.microscope.acquisition import carbon
from rhotem.microscope.acquisition.electronics import STREAMS as ELECTRONIC
from rhotem.microscope.acquisition.electronics import counts
from rhotem.microscope.acquisition.noise import exponential
from rhotem.microscope.acquisition.positions import at_positions, displacements, times
from rhotem.microscope.acquisition.settings import Acquisition
from rhotem.microscope.detectors.base import DetectorBase
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.probe import incident_probe
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan, determines

Array = npt.NDArray[Any]

#: Random streams in their order: switching one contribution off changes no other. New ones go to the end.
STREAMS = ("jitter", "hum", "carbon", "flicker", "camera dark", "camera read-noise")


class Signals(NamedTuple):
    """Signals (columns, nx, ny) at the positions of a scan."""

    values: Array
    scan: Scan


@dataclass(eq=False)
class Recording:
    """One recording: random streams, and what the record says of it.

    Parameters
    ----------
    acquisition : Acquisition
    rng : numpy Generator
        Its children give the streams; it itself is left as it was.
    """

    acquisition: Acquisition
    rng: np.random.Generator
    said: dict[str, Any] = field(default_factory=dict)
    displacements: Array | None = None

    def __post_init__(self) -> None:
        *streams, self._detectors = self.rng.spawn(len(STREAMS) + 1)
        self.streams = dict(zip(STREAMS, streams, strict=True))

    @classmethod
    def of(cls, microscope: Microscope, rng: np.random.Generator | None) -> "Recording | None":
        """That of a microscope; None where nothing is recorded, electrons being countless, or nothing is spoilt."""
        if microscope.acquisition is None or microscope.dose is None or rng is None:
            return None
        return cls(microscope.acquisition, rng)

    def spoilt(self, cell: Signals, ideal: Signals, recorder: Recorder, microscope: Microscope) -> Array:
        """Signals as they reach the detectors: at displaced positions, behind carbon, of a flickering beam.

        Parameters
        ----------
        cell : Signals
            Of one period.
        ideal : Signals
            Over the field of view.
        """
        sums = self._moved(cell, ideal, determines(cell.scan, microscope))
        if self.acquisition.carbon is not None:
            sums = self._covered(sums, recorder, ideal.scan, microscope)
        return self._flickering(sums, ideal.scan)

    def _moved(self, cell: Signals, ideal: Signals, between: bool) -> Array:
        scan = ideal.scan
        if not self.acquisition.moves or not len(ideal.values):
            return ideal.values
        if not cell.scan.periodic:
            self.said["scan"] = {"not distorted": "beside a scan that is no whole cell the image is not known"}
            return ideal.values
        if not between:
            self.said["scan"] = {"not distorted": "between positions this far apart the image is not known"}
            return ideal.values
        moved = displacements(scan.shape, scan.step, self.acquisition, self.streams)
        x, y = (step * np.arange(n) for step, n in zip(scan.step, scan.shape, strict=True))
        places = np.stack(np.meshgrid(x, y, indexing="ij")) + moved
        last = float(times(scan.shape, self.acquisition)[-1, -1])
        rms = np.sqrt((moved**2).mean(axis=(1, 2)))
        self.said["scan"] = {"seconds": 1e-6 * last, "rms_displacement_A": rms.tolist()}
        self.displacements = moved
        return at_positions(cell.values, cell.scan.size, places)

    def _covered(self, sums: Array, recorder: Recorder, scan: Scan, microscope: Microscope) -> Array:
        layer = self.acquisition.carbon
        if layer is None:
            return sums
        gained = carbon.changes(recorder, microscope)
        atoms = carbon.density(layer, scan, carbon.blur(incident_probe(microscope), scan), self.streams["carbon"])
        share = carbon.atoms_per_area(layer) * carbon.total(microscope)
        self.said["carbon"] = {"atoms_per_A2": carbon.atoms_per_area(layer), "scattered_fraction": share}
        return np.asarray(sums + gained[:, None, None] * atoms)

    def _flickering(self, sums: Array, scan: Scan) -> Array:
        flicker = self.acquisition.flicker
        if flicker is None:
            return sums
        sequence = times(scan.shape, self.acquisition).T.ravel()
        current = 1 + flicker.sigma * exponential(sequence, flicker.time_us, self.streams["flicker"])
        return np.asarray(sums * np.clip(current, 0, None).reshape(scan.shape[::-1]).T)

    def stored(
        self, raw: dict[str, Array], detectors: Sequence[DetectorBase], electrons: float
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """What electronics make of counted signals (fractions of the beam): calibrated back, and as counts.

        Calibrated: (counts − offset)/(gain · electrons), from which images of several channels are made.
        """
        back, found = dict(raw), {}
        for detector, parent in zip(detectors, self._detectors.spawn(len(detectors)), strict=True):
            electronics = detector.electronics
            if electronics is None:
                continue
            for name, stream in zip(detector.read_out(), parent.spawn(len(detector.read_out())), strict=True):
                streams = dict(zip(ELECTRONIC, stream.spawn(len(ELECTRONIC)), strict=True))
                found[name] = counts(raw[name] * electrons, electronics, self.acquisition.dwell_us, streams)
                back[name] = (found[name] - electronics.offset) / (electronics.gain * electrons)
        return back, found
