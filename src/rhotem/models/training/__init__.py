"""Labels in, weights out."""
