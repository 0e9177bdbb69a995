"""Electron density to electron microscopy: structures in, calibrated (S)TEM images out."""

__version__ = "0.1.0.dev0"
