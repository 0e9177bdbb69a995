"""Electron density to electron microscopy: structures in, calibrated (S)TEM images out.

Verbs, imported when they are used; ``help(rhotem.run)`` and the others tell more:

    run(plan, "out"), run_series, Plan, load_plan          what `rhotem image` does
    read_structure, cut_specimen, make_density,
    make_potential, make_images, write_images              its single steps
    compare_densities, read_density, write_density         densities
    read_measurement("scan.dm4")                           a measured file, as `rhotem read`
    open_dataset("pictures").pictures("train")             labelled pictures of `rhotem dataset make`

    >>> import rhotem
    >>> plan = rhotem.Plan(specimen={"structure": "LiCoO2", "zone": (1, 0, 0), "thickness_nm": 2})
    >>> images = rhotem.run(plan).images  # doctest: +SKIP
    >>> images["ABF"].shape  # doctest: +SKIP
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

#: Where each name of the package lives.
_HOMES = {
    "Plan": "rhotem.analysis.plan:Plan",
    "load_plan": "rhotem.analysis.plan:load_plan",
    "run": "rhotem.analysis.workflow:run",
    "run_series": "rhotem.analysis.series:run_series",
    "Voice": "rhotem.analysis.voice:Voice",
    "Result": "rhotem.analysis.results:Result",
    "read_structure": "rhotem.analysis.run:structure",
    "cut_specimen": "rhotem.analysis.run:specimen",
    "make_density": "rhotem.analysis.run:density",
    "make_potential": "rhotem.analysis.run:potential",
    "make_images": "rhotem.analysis.run:image",
    "write_images": "rhotem.microscope.outputs:write_images",
    "compare_densities": "rhotem.analysis.compare:compare",
    "read_density": "rhotem.density.files:read_density",
    "write_density": "rhotem.density.files:write_density",
    "read_measurement": "rhotem.experiment.read:read_measurement",
    "open_dataset": "rhotem.library.dataset:open_dataset",
    "RhoTEMError": "rhotem.core.errors:RhoTEMError",
}

__all__ = [
    "Plan",
    "Result",
    "RhoTEMError",
    "Voice",
    "__version__",
    "compare_densities",
    "cut_specimen",
    "load_plan",
    "make_density",
    "make_images",
    "make_potential",
    "open_dataset",
    "read_density",
    "read_measurement",
    "read_structure",
    "run",
    "run_series",
    "write_density",
    "write_images",
]

if TYPE_CHECKING:
    from rhotem.analysis.compare import compare as compare_densities
    from rhotem.analysis.plan import Plan, load_plan
    from rhotem.analysis.results import Result
    from rhotem.analysis.run import density as make_density
    from rhotem.analysis.run import image as make_images
    from rhotem.analysis.run import potential as make_potential
    from rhotem.analysis.run import specimen as cut_specimen
    from rhotem.analysis.run import structure as read_structure
    from rhotem.analysis.series import run_series
    from rhotem.analysis.voice import Voice
    from rhotem.analysis.workflow import run
    from rhotem.core.errors import RhoTEMError
    from rhotem.density.files import read_density, write_density
    from rhotem.experiment.read import read_measurement
    from rhotem.library.dataset import open_dataset
    from rhotem.microscope.outputs import write_images


def __getattr__(name: str) -> Any:
    """Import a verb where it is used (PEP 562)."""
    if name not in _HOMES:
        # with its name and module, Python says what may be meant
        raise AttributeError(f"module 'rhotem' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    module, _, inner = _HOMES[name].partition(":")
    found = getattr(import_module(module), inner)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Names for completion."""
    return sorted({*globals(), *_HOMES})
