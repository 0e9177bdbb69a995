"""How the atoms of a run move: from what a user says to configurations."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from rhotem.analysis import PHONONS, TEMPERATURE
from rhotem.core import InputError
from rhotem.structure.frames import Frames, read_frames

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.structure.model import Structure

#: Configurations that a wanted precision may take.
MOST = 256


class Moving(TypedDict, total=False):
    """How atoms move: ``phonons`` configurations (0: at rest), ``temperature`` in K, ``seed`` of the displacements,
    ``msd`` ⟨u²⟩ in Å² by element, ``frames`` of a trajectory.
    """

    phonons: int | None
    temperature: float
    seed: int
    msd: Mapping[str, float] | None
    frames: Frames | None


def moving_of(given: Mapping[str, Any]) -> Moving:
    """The keys of `Moving` among others."""
    # the keys are those of `Moving`, which mypy does not see
    return {k: given[k] for k in Moving.__annotations__ if k in given}  # type: ignore[return-value]


def vibration(
    phonons: int | None,
    temperature: float | None,
    msd: Mapping[str, float] | None,
    frames: object = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Moving:
    """``phonons``, ``temperature`` (K) and ``msd`` of `Moving`, with defaults; warns of what has no effect.

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
            warn(f"{name} has no effect with --phonons 0: the atoms are at rest")
    number = PHONONS if phonons is None else phonons
    return {"phonons": number, "temperature": TEMPERATURE if temperature is None else temperature, "msd": msd}


def moving_structure(
    structure: str,
    frames: str | Path | None,
    phonons: int | None,
    load: "Callable[[], Structure]",
    charge: float,
) -> tuple["Structure", Moving]:
    """The structure, and ``frames`` and their number of `Moving`; nothing without a trajectory.

    ``load`` reads the structure; one file for both is read as a trajectory, and its mean taken.
    """
    if frames is None:
        return load(), {}
    frames = Path(frames)
    same = Path(structure).exists() and frames.exists() and Path(structure).samefile(frames)
    read = read_frames(frames, None if same else load())
    chosen = read if phonons is None else read.picked(phonons)
    crystal = replace(read.structure, charge=charge) if same else read.structure
    return crystal, {"frames": chosen, "phonons": len(chosen)}


def motion_lines(cut: "Specimen", motion: Moving) -> list[str]:
    """How far the atoms of a specimen move, in words; refuses what `rhotem.analysis.run.potential` would.

    ``motion``: `Moving`, before a density is calculated.
    """
    from rhotem.structure.debye_waller import thermal_motion

    frames = motion.get("frames")
    if frames is not None:
        said = frames.motion(cut.block)
    else:
        said = thermal_motion(cut.block.structure, motion.get("temperature", TEMPERATURE), msd=motion.get("msd"))
    if motion.get("phonons") == 0:
        return []
    return [f"⟨u²⟩: {said.words}", *(f"note: {remark}" for remark in said.remarks)]
