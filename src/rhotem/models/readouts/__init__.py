"""From the features of the atoms to a density."""
