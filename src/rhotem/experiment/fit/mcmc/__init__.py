"""Samples of the posterior of a fit: Markov chains from all minima that it found (`sample`)."""

from rhotem.experiment.fit.mcmc.target import Target
from rhotem.experiment.fit.mcmc.walk import Sampled, sample

__all__ = ["Sampled", "Target", "sample"]
