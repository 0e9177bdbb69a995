"""From atoms and density to the electrostatic potential: slices, structure factors, hand-over files."""

from rhotem.potential.slices import PotentialSlices, build_potential

__all__ = ["PotentialSlices", "build_potential"]
