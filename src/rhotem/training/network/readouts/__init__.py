"""Readouts in torch."""
