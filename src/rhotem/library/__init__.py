"""Many responses in one folder: campaigns that make them, a catalogue, search."""
