"""Electron densities: fields, free atoms, files, metrics, atomic charges, and the source protocol."""
