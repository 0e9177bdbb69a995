"""Options of the commands that simulate, each defined once and in its group of `--help`."""

from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rhotem.analysis import PHONONS, TEMPERATURE
from rhotem.cli.common import DENSITY, parse_indices, parse_memory
from rhotem.core import InputError

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.structure.model import Structure


def parse_tilt(text: str) -> tuple[float, float]:
    """Two angles in mrad from ``2,-1``.

    Raises
    ------
    InputError
        If they are not two finite numbers.
    """
    try:
        x, y = (float(piece) for piece in text.split(","))
        if not (isfinite(x) and isfinite(y)):
            raise ValueError
    except ValueError:
        raise InputError(f"--tilt {text}: expected two angles in mrad, such as 2,-1") from None
    return x, y


def parse_msd(text: str) -> dict[str, float]:
    """⟨u²⟩ in Å² by element from ``Au=0.0082,O=0.006``; what they may be is for `rhotem.structure` to say.

    Raises
    ------
    InputError
        If it is not written so, or an element stands there twice.
    """
    pairs = [piece.split("=") for piece in text.replace(";", ",").split(",") if piece.strip()]
    try:
        found = {symbol.strip(): float(value) for symbol, value in pairs}
        if not found or len(found) < len(pairs) or not all(s.isalpha() and s == s.capitalize() for s in found):
            raise ValueError
    except ValueError:
        raise InputError(f"--msd {text}: expected elements and their ⟨u²⟩ in Å², such as Au=0.0082,O=0.006") from None
    return found


#: Groups of options in `--help`.
PANELS = ("Specimen", DENSITY, "Microscope", "Detectors and scan", "Computation", "Results")
SPECIMEN, _, OPTICS, RECORDING, COMPUTING, RESULTS = PANELS


def _source(given: str) -> str:
    """The source asked for, or the best there is without asking for hours of DFT."""
    from rhotem.density.source import default_source

    return given or default_source()


SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        "-s",
        help="Source of the density: free-atoms, gpaw, model (learned), model:NAME (other weights of `rhotem model "
        "list`, a run folder), an imported model, or a density file.",
        callback=_source,
        show_default="model",
        rich_help_panel=DENSITY,
    ),
]
# Any: typer would take a tuple for an option of several values.
ZoneOption = Annotated[
    Any,
    typer.Option(
        parser=parse_indices,
        metavar="u,v,w",
        help="Direction towards the electron source, 3 or 4 indices: 1,1,0 or [1-10].",
        rich_help_panel=SPECIMEN,
    ),
]
PlaneOption = Annotated[
    Any,
    typer.Option(
        parser=parse_indices,
        metavar="h,k,l",
        help="Instead of --zone: the plane that the beam meets head on.",
        rich_help_panel=SPECIMEN,
    ),
]
ZoneBasisOption = Annotated[
    Literal["conventional", "input"],
    typer.Option(
        help="Whose cell the indices refer to: the conventional standard one or the file's.",
        rich_help_panel=SPECIMEN,
    ),
]
OrderOption = Annotated[
    bool,
    typer.Option(
        "--order",
        help="Order partly occupied sites by lowest electrostatic energy, in the smallest cell that fits.",
        rich_help_panel=SPECIMEN,
    ),
]
VacuumOption = Annotated[
    float | None,
    typer.Option(
        metavar="Å",
        help="Vacuum on each side of a molecule or sheet, where the file has no cell.",
        rich_help_panel=SPECIMEN,
    ),
]
AllowOverlapsOption = Annotated[
    bool,
    typer.Option(
        "--allow-overlaps",
        help="Go on with atoms nearer than half the sum of their covalent radii.",
        rich_help_panel=SPECIMEN,
    ),
]
KeepCellOption = Annotated[
    bool,
    typer.Option(
        "--keep-cell",
        help="Take the given cell as it is, with its defects: not reduced, along the beam once unless --thickness.",
        rich_help_panel=SPECIMEN,
    ),
]
ThicknessOption = Annotated[
    float | None,
    typer.Option(
        metavar="nm", help="Thickness in nm, to whole cells; without it the preset's.", rich_help_panel=SPECIMEN
    ),
]
PhononsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Frozen-phonon configurations; 0: atoms at rest, no TDS.",
        show_default=f"{PHONONS}; with --frames all of them",
        rich_help_panel=SPECIMEN,
    ),
]
FramesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Trajectory of molecular dynamics that ASE reads; each frame is one configuration of STRUCTURE's atoms "
        "(the same file: of their mean). Its cell is kept as with --keep-cell.",
        rich_help_panel=SPECIMEN,
    ),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option(
        metavar="K", help=f"Temperature of the atoms' vibration; without it {TEMPERATURE:g}.", rich_help_panel=SPECIMEN
    ),
]
MsdOption = Annotated[
    Any,
    typer.Option(
        parser=parse_msd,
        metavar="Au=0.0082",
        help="⟨u²⟩ along one axis in Å² by element, at that temperature (B is 79 times as much); without it the "
        "structure file's, else the literature's.",
        rich_help_panel=SPECIMEN,
    ),
]
AllowPolarOption = Annotated[
    bool,
    typer.Option(
        "--allow-polar",
        help="Go on with a slab whose learned density has a potential step that no surface has.",
        rich_help_panel=DENSITY,
    ),
]
#: None: what a density file says, else neutral.
DensityChargeOption = Annotated[
    float | None,
    typer.Option(
        "--charge",
        metavar="e",
        help="Total charge of the cell in e, +1: one electron missing; without it a density file's own, else 0.",
        rich_help_panel=DENSITY,
    ),
]
FileKindOption = Annotated[
    Literal["deformation", "valence", "pseudo-valence", "total"] | None,
    typer.Option(help="Of a density file: what it holds.", show_choices=True, rich_help_panel=DENSITY),
]
CorrectCountOption = Annotated[
    bool,
    typer.Option(
        "--correct-count",
        help="Put right a predicted density (file, imported model) whose electron count is off by up to 5 %.",
        rich_help_panel=DENSITY,
    ),
]
GpawCacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder that keeps GPAW calculations, found again by structure.",
        rich_help_panel=DENSITY,
    ),
]
PresetOption = Annotated[
    str,
    typer.Option(help="Microscope and detectors; `rhotem doctor` lists the presets.", rich_help_panel=OPTICS),
]
SliceOption = Annotated[
    float | None,
    typer.Option(
        "--slice-thickness",
        metavar="Å",
        help="Thickest slice; without it thin enough to keep atoms whole.",
        rich_help_panel=COMPUTING,
    ),
]
SimulationSeedOption = Annotated[
    int,
    typer.Option(
        "--seed", min=0, help="Seed of thermal motion and counting; stored in the record.", rich_help_panel=COMPUTING
    ),
]
MemoryOption = Annotated[
    int | None,
    typer.Option(
        parser=parse_memory,
        metavar="4GB",
        help="Memory that learned density, potential and simulation stay below; without it 80 % of what is free.",
        rich_help_panel=COMPUTING,
    ),
]
AlgorithmOption = Annotated[
    Literal["auto", "bloch", "prism", "multislice"],
    typer.Option(help="How the beam is propagated; auto: the fastest exact one that fits.", rich_help_panel=COMPUTING),
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", rich_help_panel=RESULTS)
]
SimulationQuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No plan and no progress.", rich_help_panel=RESULTS)
]


def ordering(order: bool) -> Literal["auto"] | None:
    """What --order means for `rhotem.structure.read.read_structure`."""
    return "auto" if order else None


def vibration(
    phonons: int | None, temperature: float | None, msd: dict[str, float] | None, frames: Path | None
) -> dict[str, Any]:
    """``phonons``, ``temperature`` (K) and ``msd`` for `rhotem.analysis.run.potential`; warns of what has no effect.

    Raises
    ------
    InputError
        If frames of a trajectory are to move the atoms and something else as well.
    """
    others = {"--phonons 0": True if phonons == 0 else None, "--temperature": temperature, "--msd": msd}
    if frames is not None and any(value is not None for value in others.values()):
        given = ", ".join(name for name, value in others.items() if value is not None)
        raise InputError(f"--frames {frames}: its frames say where the atoms are; leave {given} out")
    for name in ("--temperature", "--msd"):
        if others[name] is not None and phonons == 0:
            typer.echo(f"warning: {name} has no effect with --phonons 0: the atoms are at rest", err=True)
    number = PHONONS if phonons is None else phonons
    return {"phonons": number, "temperature": TEMPERATURE if temperature is None else temperature, "msd": msd}


def moving_structure(
    structure: str, frames: Path | None, phonons: int | None, load: "Callable[[], Structure]", charge: float
) -> tuple["Structure", dict[str, Any]]:
    """The structure, and ``frames`` and their number for `rhotem.analysis.run.potential`; nothing without a trajectory.

    ``load`` reads the structure; one file for both is read as a trajectory, and its mean taken.
    """
    if frames is None:
        return load(), {}
    from rhotem.structure.frames import read_frames

    same = Path(structure).exists() and frames.exists() and Path(structure).samefile(frames)
    found = read_frames(frames, None if same else load())
    chosen = found if phonons is None else found.picked(phonons)
    crystal = replace(found.structure, charge=charge) if same else found.structure
    return crystal, {"frames": chosen, "phonons": len(chosen)}


def motion_lines(cut: "Specimen", motion: dict[str, Any]) -> list[str]:
    """How far the atoms of a specimen move, for the console; refuses what `rhotem.analysis.run.potential` would.

    ``motion``: its phonons, temperature, msd and frames, before a density is calculated.
    """
    from rhotem.structure.debye_waller import thermal_motion

    if motion.get("frames") is not None:
        found = motion["frames"].motion(cut.block)
    else:
        found = thermal_motion(cut.block.structure, motion["temperature"], msd=motion["msd"])
    if motion["phonons"] == 0:
        return []
    return [f"⟨u²⟩: {found.words}", *(f"note: {remark}" for remark in found.remarks)]


def remarks(cut: "Specimen") -> tuple[str, ...]:
    """What the user should know of a specimen: of the file, its orientation, its thickness, and the preset."""
    from rhotem.analysis import run

    return (*cut.cell.origin.info.get("notes", ()), *cut.cell.notes, *cut.notes, *run.remarks(cut.preset))


def is_density_file(source: str) -> bool:
    """Whether a source is a file that holds one density, of one cell: no registered name and no weights of a model."""
    from rhotem.density.source import source_names

    path = Path(source)
    return source not in source_names() and path.exists() and path.suffix != ".safetensors"


def is_learned(source: str) -> bool:
    """Whether a source is the learned density: by name, or weights of it."""
    from rhotem.density.source import is_peer, source_names

    own = source.partition(":")[0] == "model"
    return own or not (source in source_names() or is_density_file(source) or is_peer(source))


def memory_options(source: str, memory: int | None, announce: Callable[[str], None] | None = None) -> dict[str, Any]:
    """What --memory means for the learned density; ``announce`` is told the plan. Nothing for other sources."""
    return {"memory": memory, "announce": announce} if memory is not None and is_learned(source) else {}


def source_options(
    source: str,
    *,
    charge: float | None = None,
    valence: dict[str, float] | None = None,
    file_kind: str | None = None,
    correct_count: bool = False,
    gpaw_cache: Path | None = None,
) -> dict[str, Any]:
    """What the options of a command mean for one density source.

    Raises
    ------
    InputError
        If a file or a predicted density is described where there is none.
    """
    from rhotem.density.source import is_peer

    given: dict[str, Any] = {"valence": valence, "correct": correct_count or None}
    if is_density_file(source) and Path(source).suffix != ".gpw":
        given |= {"charge": charge, "kind": file_kind}
    elif file_kind is not None or (any(v is not None for v in given.values()) and not is_peer(source)):
        raise InputError(
            "--valence, --file-kind and --correct-count describe a density file (all but --file-kind also an imported "
            f"model), --source {source} is none"
        )
    given = {name: value for name, value in given.items() if value is not None}
    if given:
        return given
    return {"cache": gpaw_cache} if source == "gpaw" else {}
