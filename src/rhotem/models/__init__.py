"""The learned density: encoders, readouts, checkpoints, training, evaluation. The only room that imports torch."""
