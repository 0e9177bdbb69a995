"""Fits of what a specimen is to what was measured of it."""
