"""Fits of a session's files: what they share is made with the first, and kept."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rhotem.analysis.plan import Plan
from rhotem.analysis.voice import Voice
from rhotem.experiment.fit import told
from rhotem.experiment.fit.frame import FEW, frame_of
from rhotem.experiment.fit.images import fit_images
from rhotem.experiment.fit.images.planned import Held, Limits, placed, recordings, response_for
from rhotem.experiment.fit.pacbed import common_convergence, common_energy, fit_pattern
from rhotem.experiment.fit.search import Library, make_library
from rhotem.experiment.fit.simulated import pattern_plan, patterns_for
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.twin.measured import small
from rhotem.experiment.twin.watch import Fitting
from rhotem.scattering.patterns import Patterns

#: Makes the plan of a session from what its first file says of energy (keV) and convergence (mrad).
Planned = Callable[[float, float], Plan]


@dataclass
class PatternFitter:
    """Position-averaged patterns: one propagation for all.

    Parameters
    ----------
    planned : Planned
    voice : Voice
    tilt : float
        Largest mistilt in mrad.
    tolerance : float
        Part by which the convergence may be another than stated.
    path : Path or None
        Where the simulated patterns are kept.
    """

    planned: Planned
    voice: Voice
    tilt: float
    tolerance: float
    path: Path | None = None
    _held: tuple[Patterns, tuple[float, float], Library] | None = field(default=None, repr=False)

    def fit(self, measurement: Measurement) -> Fitting:
        """Thickness, mistilt and more of a pattern."""
        frame_of(measurement, FEW)  # refused before anything is computed
        held, angles, library = self._made(measurement)
        fitted = fit_pattern(measurement, held, angles, library=library, progress=self.voice.progress)
        record = fitted.record()
        del record["measurement"]
        return Fitting(record, str(fitted), {"simulated": small(fitted.simulated)})

    def _made(self, first: Measurement) -> tuple[Patterns, tuple[float, float], Library]:
        if self._held is None:
            angles = common_convergence([first], self.tolerance)
            plan = pattern_plan(self.planned(common_energy([first]), angles[1]), angles[1])
            held = patterns_for(plan, self.tilt, self.voice, self.path)
            self._held = held, angles, make_library(held, angles, self.voice.progress)
        return self._held


@dataclass
class ImageFitter:
    """Images of one detector: one response for all; every one has a lattice of its own.

    Parameters
    ----------
    planned : Planned
    voice : Voice
    limits : Limits
    """

    planned: Planned
    voice: Voice
    limits: Limits
    _held: tuple[Measurement, Plan, Held] | None = field(default=None, repr=False)

    def fit(self, measurement: Measurement) -> Fitting:
        """Thickness, focus and more of an image; its energy and aperture are those of the first one of the session."""
        together = [self._held[0], measurement] if self._held else [measurement]
        energy, angle = common_energy(together), common_convergence(together, 0.0)[0]
        if self._held is None:
            plan = self.planned(energy, angle)
            recordings([measurement], plan)  # refused before anything is computed
            self._held = measurement, plan, response_for(measurement, plan, self.limits, self.voice)
        _, plan, held = self._held
        images = recordings([measurement], plan)
        place = placed(measurement, plan, self.voice)
        fitted = fit_images(images, held.response, place.pixels, progress=self.voice.progress)
        told.check_scaleless(fitted, measurement, held.specimen.cell.origin.formula, place.pixels)
        shown = fitted.model.shown(fitted.state).reshape(fitted.model.shape)
        return Fitting(fitted.record(), str(fitted), {"simulated": shown.astype(np.float32)})
