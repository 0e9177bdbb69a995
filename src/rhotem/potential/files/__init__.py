"""Potentials and structures handed to other programs, and RhoTEM's own potential file."""

from rhotem.potential.files.own import read_potential, write_potential
from rhotem.potential.files.write import FORMATS, STRUCTURE_WRITERS, check_ending, write

__all__ = ["FORMATS", "STRUCTURE_WRITERS", "check_ending", "read_potential", "write", "write_potential"]
