"""Patterns read from disk, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rhotem.core import InputError
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.stored import read_group, readable
from rhotem.scattering.patterns.beams import SCALE, Scattered
from rhotem.scattering.patterns.held import Patterns, Twin
from rhotem.scattering.patterns.store import FORM, NAMES


def open_patterns(path: str | Path) -> Patterns:
    """Patterns written by `Patterns.save`.

    Raises
    ------
    InputError
        If they are none, are damaged, or were written by another version of the format.
    """
    arrays, said = read_group(Path(path), FORM, "patterns")
    with readable(path):
        return _patterns(arrays, said, path)


def _patterns(arrays: Mapping[str, Any], said: Mapping[str, Any], path: str | Path) -> Patterns:
    scattered = Scattered(*(arrays[name] for name in NAMES))
    twin = None
    if "twin_scale" in said:
        twin = Twin(Scattered(*(arrays[f"twin_{name}"] for name in NAMES)), arrays["twin_dealt"], said["twin_scale"])
    if said["scale"] != SCALE or scattered.values.shape[0] != len(said["thicknesses_angstrom"]):
        raise InputError(f"{path}: not the layout of this version of RhoTEM; make it again")
    return Patterns(
        microscope=Microscope(**said["microscope"]),
        outer=said["outer_mrad"],
        tilt=said["tilt_mrad"],
        supercell=tuple(said["supercell_angstrom"]),
        thicknesses=tuple(said["thicknesses_angstrom"]),
        between=said["between"],
        group=arrays["group"],
        scattered=scattered,
        twin=twin,
        record=said["record"],
    )
