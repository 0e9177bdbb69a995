"""The version of the physics: which numbers RhoTEM gives for one plan."""

#: Raised whenever an image, potential or density of an unchanged plan and unchanged input changes by more than
#: rounding: by a corrected formula, a new table, other defaults of the numerics (tests/analysis/test_golden.py).
#: Weights of a learned density have a hash of their own.
PHYSICS = 5
