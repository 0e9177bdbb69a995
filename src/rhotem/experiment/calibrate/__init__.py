"""Calibration: images against a lattice, diffraction patterns by their discs, HAADF as a fraction of the beam."""
