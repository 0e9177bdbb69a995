"""Single plans of a series that one propagation may answer."""

from dataclasses import dataclass

from rhotem.analysis.specimen import Specimen
from rhotem.analysis.workflow import Job
from rhotem.microscope.instrument import Microscope


@dataclass(frozen=True, eq=False)
class Group:
    """Single plans of a series that differ in the lens only, or one plan by itself.

    Parameters
    ----------
    names : tuple of str
    jobs : tuple of Job
    cuts : tuple of Specimen
        On the grid of ``whole`` where there are several.
    whole : Specimen
        The thickest, cut for all detectors and the largest aperture.
    """

    names: tuple[str, ...]
    jobs: tuple[Job, ...]
    cuts: tuple[Specimen, ...]
    whole: Specimen

    @property
    def microscopes(self) -> list[Microscope]:
        """That of every plan."""
        return [made.preset.microscope for made in self.cuts]

    @property
    def thicknesses(self) -> list[float]:
        """That of every plan in nm, with vacuum."""
        return [0.1 * float(made.block.lengths[2]) for made in self.cuts]
