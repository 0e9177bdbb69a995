"""Labelled pictures for networks: drawn from the responses of a library, with truth from the structure."""

from rhotem.library.dataset.store import Dataset, open_dataset

__all__ = ["Dataset", "open_dataset"]
