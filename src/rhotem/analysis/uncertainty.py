"""Error bars of images: every member of an ensemble of densities through the potential and the microscope."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rhotem.analysis import run
from rhotem.analysis.streamed import StreamedPotentials
from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.core.tasks import room
from rhotem.density.field import DensityField
from rhotem.density.source import get_source
from rhotem.density.stream import streamed
from rhotem.microscope.images import ImageSet
from rhotem.structure.frames import Frames
from rhotem.structure.model import Structure

#: Frozen-phonon configurations of every member: the spread between members hardly depends on them, as all members see
#: the same displacements.
CONFIGURATIONS = 2
#: Largest pixel in Å of the error bars.
PIXEL = 0.1


@runtime_checkable
class EnsembleSource(Protocol):
    """A density source that knows how far it may be wrong."""

    @property
    def member_count(self) -> int:
        """How many densities `members` gives."""
        ...

    def members(self, structure: Structure, grid: PeriodicGrid) -> Iterator[DensityField]:
        """Densities whose spread, taken through the potential, is a calibrated error bar."""
        ...


@dataclass(frozen=True, eq=False)
class ImageUncertainty:
    """Standard deviation of every pixel that comes from the density alone.

    Parameters
    ----------
    sigma : ImageSet
        In the units of the images, pixels of at most 0.1 Å.
    mean : ImageSet
        Mean of the members' images, same pixels.
    members, configurations : int
        Simulations, and frozen-phonon configurations of each.
    """

    sigma: ImageSet
    mean: ImageSet
    members: int
    configurations: int

    def record(self) -> dict[str, Any]:
        """Size of the error bars by image, JSON-ready; ``of_range``: mean σ over the range of the image."""
        rows = {}
        for name, sigma in self.sigma.images.items():
            span = float(np.ptp(self.mean[name]))
            rows[name] = {
                "sigma_mean": float(sigma.mean()),
                "sigma_max": float(sigma.max()),
                "of_range": float(sigma.mean() / span) if span else None,
            }
        return {"members": self.members, "configurations": self.configurations, "images": rows}


def ensemble(source: str, **options: Any) -> EnsembleSource:
    """The source called ``source``, if it has members.

    Raises
    ------
    InputError
        If it has none: free atoms, files and DFT runs do not know how far they are wrong.
    """
    found = get_source(source, **options)
    if not isinstance(found, EnsembleSource):
        raise InputError(f"--uncertainty: source {source} has no ensemble; use --source model")
    return found


def check(cut: run.Specimen, source: EnsembleSource) -> None:
    """Refuse what `image_uncertainty` would refuse, before a density is calculated.

    Raises
    ------
    InputError
        If the preset makes no images, or the source has no members for the specimen's crystal.
    """
    if cut.preset.mode == "diffraction":
        raise InputError(f"--uncertainty: preset {cut.preset.name} makes no images; choose another or leave it out")
    refuse = getattr(source, "check_members", None)  # a source may have it
    if refuse is not None:
        refuse(cut.cell.unrotated)


def remarks(record: Mapping[str, Any]) -> list[str]:
    """What to know of the error bars of a density with this record, before they are simulated."""
    novelty = record.get("novelty", {"value": 0.0, "limit": 1.0})
    if novelty["value"] < novelty["limit"]:
        return []
    return [
        f"error bars are calibrated on structures of novelty below {novelty['limit']:g}, this one has "
        f"{novelty['value']:.1f}: errors may be larger than they say"
    ]


def plan(phonons: int, members: int) -> str:
    """What the error bars cost, in words."""
    configurations = min(max(1, phonons), CONFIGURATIONS)
    times = members * configurations / max(1, phonons)
    each = f"{configurations} configuration{'s' * (configurations > 1)}"
    return f"error bars: {members} members of the density, {each} each, about {times:.1f} times the simulation itself"


def image_uncertainty(
    cut: run.Specimen,
    source: EnsembleSource,
    *,
    phonons: int,
    temperature: float,
    seed: int = 0,
    memory: float | None = None,
    msd: Mapping[str, float] | None = None,
    frames: Frames | None = None,
    scratch: Path | None = None,
    scheduler: str | None = None,
    progress: Progress = silent,
) -> ImageUncertainty:
    """Images of every member, without counting noise and with the same displacements, and their standard deviation.

    Only the density differs between them: the spread is what the density's error does to a pixel. 90 % intervals are
    ±1.645 σ, as far as the images are linear in the potential.

    With a folder ``scratch`` slices of one member and configuration at a time lie there (`StreamedPotentials`), made
    here or by the workers of ``scheduler``, who then also do the windows of the image (`rhotem.microscope.simulate`);
    the density of that member is in memory.

    Raises
    ------
    InputError
        If the source has a single member or no calibration, or the preset makes no images.
    """
    check(cut, source)
    crystal = cut.cell.unrotated if scratch is None else cut.block.structure
    grid = run.density_grid(source, crystal)
    quiet = cut.preset.model_copy(update={"microscope": cut.preset.microscope.model_copy(update={"dose": None})})
    still = replace(cut, preset=quiet)
    configurations = min(phonons, CONFIGURATIONS)
    shown: list[ImageSet] = []
    for field in source.members(crystal, grid):
        motion: dict[str, Any] = {"phonons": configurations, "temperature": temperature, "seed": seed}
        motion |= {"msd": msd, "frames": frames}
        if scratch is None:
            potentials = run.potential(still, field, memory=memory, **motion)
        else:
            where: dict[str, Any] = {"memory": room(memory), "scheduler": scheduler}
            potentials = StreamedPotentials(still, streamed(field), scratch, **where, **motion)
        images = run.image(still, potentials, seed=seed, memory=memory, scheduler=scheduler, error_bar=False)
        shown.append(images.resampled(PIXEL))
        progress("error bars", len(shown), source.member_count)
    stacks = {name: np.stack([s.images[name] for s in shown]) for name in shown[0].images}
    sigma: dict[str, npt.NDArray] = {name: stack.std(axis=0, ddof=1) for name, stack in stacks.items()}
    mean: dict[str, npt.NDArray] = {name: stack.mean(axis=0) for name, stack in stacks.items()}
    record = shown[0].record
    return ImageUncertainty(
        replace(shown[0], images=sigma, record=record),
        replace(shown[0], images=mean, record=record),
        len(shown),
        max(1, configurations),
    )
