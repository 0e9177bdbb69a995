"""Simulated once, asked often: responses to a probe, averaged patterns, waves; Bloch waves of thick crystals."""
