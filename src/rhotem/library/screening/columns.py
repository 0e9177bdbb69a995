"""Columns of the table of a screening that candidates can be ranked by, known before anything is relaxed."""

from difflib import get_close_matches

from rhotem.core import InputError
from rhotem.library.screening.images import SHOWN, Imaging
from rhotem.library.screening.judge import Criteria
from rhotem.microscope.presets import get_preset

#: Of every crystal, and of those that have a voltage.
LATTICE = ("a_A", "b_A", "c_A", "volume_A3", "density_g_per_cm3")
VOLTAGES = ("voltage_V", "voltage_error_V", "raw_voltage_V", "energy_Wh_per_kg")
CHARGING = ("x_high", "x_low", *VOLTAGES, "capacity_mAh_per_g", "volume_change_percent")
#: Of the charges of ions, metals and anions.
CHARGES = tuple(f"{kind}_charge{what}_e" for what in ("", "_change") for kind in ("ion", "metal", "anion"))


def columns_of(how: Criteria, imaging: Imaging | None) -> tuple[str, ...]:
    """Columns with numbers that candidates judged and imaged so may have."""
    images = [] if imaging is None else [n for d in get_preset(imaging.preset).detectors for n in d.image_names()]
    charges = CHARGES if how.density else ()
    return (*LATTICE, *CHARGING, *charges, *(f"{image}_{kind}" for image in images for kind in SHOWN.values()))


def check_rank(rank: str | None, how: Criteria, imaging: Imaging | None) -> None:
    """Refuse a column that no candidate can have, before the first one is relaxed.

    Raises
    ------
    InputError
        With the nearest one; of charges or images that are not asked for, with the option that leaves them out.
    """
    known = columns_of(how, imaging)
    if rank is None or rank in known:
        return
    switches = {"leave out --no-charges": CHARGES, "leave out --no-images": columns_of(how, imaging or Imaging())}
    advice = next((said for said, names in switches.items() if rank in names), "")
    near = get_close_matches(rank, known, 1, 0.6)
    choice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
    raise InputError(f"--rank {rank}: no column of the table; {advice or choice}")
