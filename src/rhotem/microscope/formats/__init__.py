"""Files of images and patterns: one file per format, written and read by `rhotem.microscope.formats.registry`."""
