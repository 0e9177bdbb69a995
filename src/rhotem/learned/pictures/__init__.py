"""Networks that read pictures: columns, their species and defects; prediction in numpy."""

from rhotem.learned.pictures.segment import Segmentation, segment
from rhotem.learned.pictures.weights import load_weights

__all__ = ["Segmentation", "load_weights", "segment"]
