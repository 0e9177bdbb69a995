"""The learned density compiled: the same numbers as the plain form, for cells of many atoms."""
