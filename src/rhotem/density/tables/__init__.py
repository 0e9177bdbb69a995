"""Data of the free atoms; made by `scripts/make_free_atoms.py`."""
