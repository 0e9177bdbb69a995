"""Screening of electrode materials: candidates by lattice, voltage, charges and contrast in one ranked table."""
