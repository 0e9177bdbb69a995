"""Fits of HRTEM focal series: thickness, focus, Cs, astigmatism, focal spread and transfer of the camera."""

from rhotem.experiment.fit.focal.fit import SeriesFit, fit_series
from rhotem.experiment.fit.focal.state import FocalState, Photo

__all__ = ["FocalState", "Photo", "SeriesFit", "fit_series"]
