"""Layers of the encoders, ordered by atom: what an atom knows of its surroundings."""
