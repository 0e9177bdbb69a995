"""Crystal structures: reading, validation, orientation, phases, supercells."""
