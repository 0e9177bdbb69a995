"""Degradation of a layered electrode as a record: rock salt grows, ions are lost, step by step (`make.degrade`)."""
