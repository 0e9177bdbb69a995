"""Named instruments: one YAML file each, of the package, of the user, or at a path.

`model` says what stands in a file, `registry` finds it, `residuals` draws what a corrector leaves, `contributions`
lists what may be switched off.
"""

from rhotem.microscope.instruments.contributions import CONTRIBUTIONS
from rhotem.microscope.instruments.model import Instrument
from rhotem.microscope.instruments.registry import get_instrument, instruments_folder, listed

__all__ = ["CONTRIBUTIONS", "Instrument", "get_instrument", "instruments_folder", "listed"]
