"""What is known of an electrode as part of a BPX file, the format of cell models (PyBaMM)."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

#: Version of the BPX standard (https://github.com/FaradayInstitution/BPX), and Avogadro's number per mol.
BPX_VERSION, AVOGADRO = "1.1.0", 6.02214076e23
#: V: electrodes below this are called negative.
NEGATIVE = 2.0


def bpx_part(
    title: str,
    description: str,
    ocp: tuple[npt.NDArray, npt.NDArray],
    concentration: float | None = None,
    user: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Part of a BPX file, under its names: the rest is the user's to add.

    Parameters
    ----------
    title, description : str
    ocp : (array, array)
        Stoichiometry, rising, and open-circuit potential in V.
    concentration : float, optional
        Sites of ions per volume, 1/Å³.
    user : mapping, optional
        Further numbers and tables ({"x": [...], "y": [...]}) by name and unit.
    """
    x, y = ocp
    electrode: dict[str, Any] = {"Minimum stoichiometry": float(x[0]), "Maximum stoichiometry": float(x[-1])}
    if concentration is not None:
        electrode["Maximum concentration [mol.m-3]"] = concentration / 1e-30 / AVOGADRO
    electrode["OCP [V]"] = {"x": x.round(6).tolist(), "y": y.round(4).tolist()}
    name = "Negative electrode" if y.mean() < NEGATIVE else "Positive electrode"
    parameters: dict[str, Any] = {name: electrode}
    if user:
        parameters["User-defined"] = dict(user)
    header = {"BPX": BPX_VERSION, "Title": title, "Description": description, "Model": "Partial"}
    return {"Header": header, "Parameterisation": parameters}
