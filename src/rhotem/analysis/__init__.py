"""The workflow from structure to images, comparison of density sources, column contrast."""

#: Frozen-phonon configurations, and the temperature of the atoms in K, when nothing is said.
PHONONS, TEMPERATURE = 8, 300.0
