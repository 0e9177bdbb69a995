"""Columns of an image: positions and intensities with errors, displacement and strain, layers, atom counts."""
