"""Phases from diffraction patterns of a scan (4D-STEM): one method per file, found by name in `registry.METHODS`."""
