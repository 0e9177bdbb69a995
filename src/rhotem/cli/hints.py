"""What a wrong word on the command line may have meant: names of other programs, files and formulas first, spaces."""

import re
from collections.abc import Iterable
from pathlib import PureWindowsPath

from rhotem.cli.examples import example_of

#: The end of `rhotem --help`.
FIRST_STEPS = """First steps:
rhotem image FILE.cif --thickness 5           what HAADF, ABF and iDPC show
rhotem plan FILE.cif --feature vacancy:Li:3   would it be seen, at which dose
rhotem read FILE.dm4 --structure LiCoO2       a measured image and its crystal
rhotem structure phase                        crystals that need no file
rhotem COMMAND --help                         every option, and an example"""
#: First words that are no commands, and what does that.
WORDS = {
    "version": "rhotem --version",
    "phase": "rhotem structure phase",
    "phases": "rhotem structure phase",
    "list": "rhotem structure phase",
    "presets": "rhotem doctor",
    "gui": "rhotem view",
    "run": "rhotem image",
    "stem": "rhotem image",
    "haadf": "rhotem image",
    "simulate": "rhotem image",
    "diffraction": "rhotem image FILE --preset saed",
    "detect": "rhotem plan",
    "vacancy": "rhotem plan FILE --feature vacancy:Li",
    "open": "rhotem read",
    "calibrate": "rhotem read",
}
#: Options by the names that other programs and papers give them; of several, those that the command has.
OPTIONS = {
    ("voltage", "kv", "ht", "acceleration-voltage", "beam-energy", "e0"): ("energy", "energy-keV"),
    ("energy", "energy-kev", "energy-kv"): ("energy", "energy-keV"),
    ("alpha", "semi-angle", "semiangle", "convergence-angle", "aperture"): ("convergence", "convergence-mrad"),
    ("convergence", "convergence-mrad"): ("convergence", "convergence-mrad"),
    ("zone-axis", "za", "axis", "direction", "uvw", "beam", "orientation"): ("zone",),
    ("hkl",): ("plane",),
    ("t", "thick", "thickness", "thicknesses", "thickness-nm"): ("thickness", "thicknesses"),
    ("fluence", "electrons", "electron-dose"): ("dose",),
    ("df", "c10", "c1", "focus", "defocus", "foci"): ("defocus", "foci"),
    ("c3", "c30", "spherical-aberration"): ("cs",),
    ("pixel", "pixel-size", "step", "pixel-a"): ("scan-step", "pixel-A"),
    ("fov", "size"): ("field-of-view",),
    ("haadf", "abf", "adf", "bf", "mode", "modes", "detectors"): ("detector",),
    ("out", "output", "outdir", "output-dir", "folder", "save"): ("out", "output"),
    ("density",): ("source",),
    ("fp", "tds", "frozen-phonons", "configurations", "configs"): ("phonons",),
    ("defect", "change", "vacancy"): ("feature",),
}
#: A formula or the short name of a phase: no command has a capital.
_FORMULA = re.compile(r"[A-Z][A-Za-z0-9().]*")
#: What is said of words left over that are numbers.
_NUMBERS = re.compile(r"unexpected extra argument.*\(-?\d+(?: -?\d+)*\)|No such option: -\d")


def of_command(word: str) -> str:
    """What to type instead of a first word that is no command; "" where nothing is near."""
    from rhotem.core.nearby import MEASURED

    if word.lower() in WORDS:
        return WORDS[word.lower()]
    ending = PureWindowsPath(word).suffix.lower()  # takes either slash
    if ending in MEASURED:
        return f"rhotem read {word}"
    is_file = bool(ending) or "/" in word or "\\" in word or word.upper().startswith(("POSCAR", "CONTCAR"))
    return f"rhotem image {word}" if is_file or _FORMULA.fullmatch(word) else ""


def of_option(word: str, known: Iterable[str]) -> str:
    """The option of a command, of those ``known`` with their hyphens, that another name means; "" if there is none."""
    name, there = word.lstrip("-").replace("_", "-").lower(), set(known)
    meant = [f"--{option}" for names, options in OPTIONS.items() if name in names for option in options]
    return next((option for option in meant if option in there), "")


def of_error(message: str, command: str) -> str:
    """What else to say of wrong usage of a command: numbers with spaces between, or an argument that is missing."""
    if _NUMBERS.search(message):
        return "numbers of one option have commas between, such as --zone 1,0,0"
    example = example_of(command)
    return f"for example: {example}" if example and message.startswith(("Missing argument", "Missing option")) else ""
