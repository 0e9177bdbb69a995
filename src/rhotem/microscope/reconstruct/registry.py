"""Methods of reconstruction by name."""

from typing import Any

from rhotem.core import InputError
from rhotem.microscope.reconstruct.base import Method
from rhotem.microscope.reconstruct.direct import Parallax, Wiener
from rhotem.microscope.reconstruct.icom import IntegratedCentreOfMass
from rhotem.microscope.reconstruct.ptychography import Ptychography
from rhotem.microscope.reconstruct.ssb import SingleSideband

METHODS: dict[str, type[Method]] = {
    "ssb": SingleSideband,
    "icom": IntegratedCentreOfMass,
    "parallax": Parallax,
    "wiener": Wiener,
    "ptychography": Ptychography,
}


def make_method(name: str, **settings: Any) -> Method:
    """A method with its settings.

    Raises
    ------
    InputError
        If there is none of this name, or it has no such setting.
    """
    if name not in METHODS:
        raise InputError(f"--method {name}: not known; choose one of {', '.join(METHODS)}")
    kind = METHODS[name]
    for key in settings:
        if key not in kind.model_fields:
            raise InputError(f"--method {name} has no {key.replace('_', ' ')}; leave it out or choose another method")
    return kind(**settings)
