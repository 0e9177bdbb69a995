"""Energies, forces and stress from the body of the learned density."""
