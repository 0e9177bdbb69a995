"""Density files: reading, writing, and `File`, the source that turns a file into a deformation density."""

from rhotem.density.files.raw import RawDensity
from rhotem.density.files.read import read_density
from rhotem.density.files.source import File
from rhotem.density.files.write import check_writable, write_density

__all__ = ["File", "RawDensity", "check_writable", "read_density", "write_density"]
