"""Search of a library: by what entries are, by measured contrast, by similar structure."""
