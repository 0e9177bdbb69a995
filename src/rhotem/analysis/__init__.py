"""The workflow from structure to images, comparison of density sources, column contrast."""
