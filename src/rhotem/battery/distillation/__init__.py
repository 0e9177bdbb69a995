"""Distillation: a fast potential (NEP) of one material learns from frames that SevenNet-0 labels."""
