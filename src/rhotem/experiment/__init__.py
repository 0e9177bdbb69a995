"""Measured data: read what an instrument wrote, calibrate it, compare it with simulations."""
