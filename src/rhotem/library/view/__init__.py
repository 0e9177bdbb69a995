"""The virtual microscope: entries of a library in a browser, every setting answered from their responses."""
