"""Loops that numpy has no words for, compiled by numba once per machine."""
