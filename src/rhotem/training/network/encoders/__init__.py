"""Atomic environments: from a graph of atoms to equivariant features of every atom."""
