"""How a real instrument records: scan, beam, detectors and camera spoil the expected signals, one after another.

`settings` says what may be wrong and by how much, `apply` does it to the signals of a scan, `camera` to an image of
parallel illumination. Every contribution may be switched off alone and draws from a random stream of its own.
"""
