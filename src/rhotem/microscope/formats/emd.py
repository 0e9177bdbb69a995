"""Berkeley EMD files (version 0.2): images and patterns, for HyperSpy, openNCEM and ImageJ."""

from pathlib import Path

from rhotem.microscope.formats.hyperspy import as_dictionary
from rhotem.microscope.formats.signal import Signal


def write_emd(signal: Signal, path: Path) -> None:
    """Written by RosettaSciIO; axes in the file are x, y or kx, ky, x, y, each with name, unit and values."""
    from rsciio.emd import file_writer

    content = as_dictionary(signal)
    content["original_metadata"] = {}
    file_writer(str(path), content)
