"""Responses read from disk, checked."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rhotem.core import InputError
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.settings import Detector
from rhotem.microscope.stored import Arrays, read_group, readable
from rhotem.scattering.response.images import Response
from rhotem.scattering.response.matrices import Beams, Twin
from rhotem.scattering.response.range import Range
from rhotem.scattering.response.store import AREAS, FORM, whole


def open_response(path: str | Path) -> Response:
    """A response written by `Response.save`.

    Raises
    ------
    InputError
        If it is none, is damaged, or was written by another version of the format.
    """
    arrays, said = read_group(Path(path), FORM, "responses", AREAS)
    with readable(path):
        response = _made(arrays, said)
    shape = (len(response.thicknesses), len(response.cells.columns), response.beams.number)
    if [list(column) for column in response.cells.columns] != said["columns"] or response.matrix.shape != shape:
        raise InputError(f"{path}: its channels are not those of this version of RhoTEM; make it again")
    return response


def _made(arrays: Arrays, said: dict[str, Any]) -> Response:
    for name in [name for name in arrays if f"{name}_scale" in arrays]:
        arrays[name] = whole(arrays[name], arrays[f"{name}_scale"])
    adapter = TypeAdapter(tuple[Detector, ...])
    return Response(
        microscope=Microscope(**said["microscope"]),
        range=Range(**said["range"]),
        detectors=adapter.validate_python(said["detectors"]),
        kept=adapter.validate_python(said["kept"]),
        beams=Beams(arrays["vectors"], tuple(int(n) for n in arrays["sizes"]), tuple(said["period"])),
        supercell=tuple(said["supercell_angstrom"]),
        thicknesses=tuple(said["thicknesses_angstrom"]),
        matrix=arrays["matrix"],
        rim=arrays["rim"],
        record=said["record"],
        rounding=said["rounding"],
        areas=said["version"] == AREAS[1],
        twin=Twin(*(arrays[f"twin_{name}"] for name in ("rows", "matrix", "rim"))) if "twin_rows" in arrays else None,
    )
