"""The entries of packages/rhotem-data that `rhotem view` shows without a folder.

    python scripts/make_demonstration.py [--out FOLDER] [NAME ...]

Responses of LiCoO2, SrTiO3 and Si, and images of one lens (200 kV, 22 mrad, in focus: the layered-oxide preset with its
dark fields and enhanced ABF; 2 and 4 nm, of large cells 2 nm; atoms at rest) of the other phases, from the learned
density. NAME:
these alone. What is there stays.
"""

import argparse
import time
from pathlib import Path

from rhotem.analysis.plan import Plan
from rhotem.core import RhoTEMError
from rhotem.library.view.make import Span, make_entry
from rhotem.scattering.response import Range

OUT = Path(__file__).parents[1] / "packages" / "rhotem-data" / "src" / "rhotem_data" / "entries"
#: Phases of which images of one lens are kept, by zone; small cells first.
ONE_LENS = {
    "LiNiO2": (1, 0, 0), "NaCoO2": (1, 0, 0), "LiFePO4": (0, 1, 0), "graphite": (0, 0, 1), "NiO": (1, 1, 0),
    "MoS2": (0, 0, 1), "hBN": (0, 0, 1), "WS2": (0, 0, 1), "LiF": (1, 0, 0), "Li": (1, 0, 0), "TiO2": (0, 0, 1),
    "NMC111": (1, 0, 0), "FePO4": (0, 1, 0), "Li2O": (1, 1, 0), "CoO": (1, 1, 0), "MnO": (1, 1, 0), "Na": (1, 0, 0),
    "NaF": (1, 0, 0), "LiC6": (0, 0, 1), "LiOH": (1, 0, 0), "LiMn2O4": (1, 1, 0), "Li2MnO3": (1, 0, 0),
    "Li2CO3": (1, 0, -1), "Li3PO4": (0, 0, 1), "NMC622": (1, 0, 0), "LiNi0.5Mn1.5O4": (1, 1, 0),
    "Li6PS5Cl": (1, 0, 0), "NMC811": (1, 0, 0), "Li4Ti5O12": (0, 0, 1), "Na3V2(PO4)3": (1, 0, 0),
    "NaV2(PO4)3": (0, 0, 1), "Li7La3Zr2O12": (1, 0, 0), "silicalite": (0, 1, 0),
}  # fmt: skip
#: Cells above 150 Å²: 2 nm alone, dark fields to 110 mrad, as waves that carry 200 take five times as long.
LARGE = ("Li4Ti5O12", "Na3V2(PO4)3", "Li7La3Zr2O12", "silicalite")
DETECTORS = ("HAADF=68-200", "ABF=11-22", "DPC=6-22", "eABF=11-22", "LAADF=25-50", "MAADF=50-80")


def plan(name: str, zone: tuple[int, int, int], source: str, phonons: int, microscope: dict) -> Plan:
    """A plan of a ready phase."""
    return Plan(
        specimen={"structure": name, "zone": zone},
        density={"source": source},
        motion={"phonons": phonons},
        microscope=microscope,
    )


def whole(name: str) -> list[tuple[str, Plan, Span]]:
    """Folders of responses of a phase, with plan and span."""
    wide = Range(defocus=(-10, 40), aberrations={"C12": 20, "C21": 100}, convergence=14)
    about = {
        "SrTiO3": ((0, 0, 1), 17, (2.0, 5.0), wide),
        "LiCoO2": ((1, 0, 0), 18, (3.0,), Range(defocus=(-10, 40), aberrations={"C12": 10}, convergence=16)),
        "Si": ((1, 1, 0), 15, (3.0,), Range(defocus=(-10, 30), convergence=14)),
    }
    zone, angle, deep, span = about[name]
    detectors = ("HAADF=68-150", f"ABF=9-{angle}", f"DPC=5-{angle}")
    if name == "Si":  # segments would take the space of all phases of one lens
        detectors = detectors[:2]
    held = Span(deep, span, edges=(), patterns=25.0, half=True, error_bar=False)
    lens = {"convergence_mrad": angle, "detectors": detectors}
    sources = ("model", "free-atoms") if name == "SrTiO3" else ("model",)
    return [(f"{name}-{source}", plan(name, zone, source, 4, lens), held) for source in sources]


def one_lens(name: str) -> list[tuple[str, Plan, Span]]:
    """Folder of the images of one lens of a phase, with plan and span."""
    folder = name.replace("(", "").replace(")", "") + "-one-lens"
    deep = (2.0,) if name in LARGE else (2.0, 4.0)
    held = Span(deep, Range(), edges=(), error_bar=False, one_lens=True)
    detectors = ("HAADF=68-110", *DETECTORS[1:]) if name in LARGE else DETECTORS
    return [(folder, plan(name, ONE_LENS[name], "model", 0, {"detectors": detectors}), held)]


def main() -> None:
    """Make what is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    for name in given.names or ("LiCoO2", "SrTiO3", *ONE_LENS, "Si"):
        for folder, what, span in one_lens(name) if name in ONE_LENS else whole(name):
            if (given.out / folder).exists():
                continue
            began = time.process_time()
            try:
                make_entry(what, given.out / folder, span)
            except RhoTEMError as error:
                print(f"{folder}: {' '.join(str(error).split())}", flush=True)
                continue
            size = sum(path.stat().st_size for path in (given.out / folder).rglob("*") if path.is_file())
            print(f"{folder}: {1e-3 * size:.0f} kB, {time.process_time() - began:.1f} CPU s", flush=True)


if __name__ == "__main__":
    main()
