"""Pilot study of a dopant: density, charges and images of a crystal with and without it (`make.pilot`)."""
