"""Which of several specimens a recording shows: evidence, how often it errs, and the dose that would decide.

`weigh` fits every hypothesis with nuisance parameters of its own, compares evidences by Laplace's approximation,
simulates recordings of each hypothesis to count wrong verdicts, and says how many electrons would decide.
"""

from rhotem.experiment.weigh.hypothesis import Explained, Hypothesis
from rhotem.experiment.weigh.images import ImageHypothesis
from rhotem.experiment.weigh.patterns import PatternHypothesis
from rhotem.experiment.weigh.weighing import Weighing, weigh

__all__ = ["Explained", "Hypothesis", "ImageHypothesis", "PatternHypothesis", "Weighing", "weigh"]
