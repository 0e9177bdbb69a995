"""Error bars of images: every member of an ensemble of densities through the potential and the microscope."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Unpack, runtime_checkable

import numpy as np
import numpy.typing as npt

from rhotem.analysis import TEMPERATURE, run
from rhotem.analysis.motion import Moving
from rhotem.analysis.streamed import StreamedPotentials
from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.core.keywords import check_keywords
from rhotem.core.tasks import room
from rhotem.density.field import DensityField
from rhotem.density.source import DensitySource, get_source
from rhotem.density.stream import streamed
from rhotem.microscope.images import ImageSet
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


def ensemble(source: str | DensitySource, **options: Any) -> EnsembleSource:
    """The source called ``source``, or the source itself, if it has members.

    Raises
    ------
    InputError
        If it has none: free atoms, files and DFT runs do not know how far they are wrong.
    """
    maker = get_source(source, **options) if isinstance(source, str) else source
    if not isinstance(maker, EnsembleSource):
        name = source if isinstance(source, str) else type(source).__name__
        raise InputError(f"--uncertainty: source {name} has no ensemble; use --source model")
    return maker


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
    # those of new elements were calibrated apart
    value = novelty.get("of_known_elements", novelty["value"])
    if value < novelty["limit"]:
        return []
    return [
        f"error bars are calibrated on structures of novelty below {novelty['limit']:g}, this one has "
        f"{value:.1f}: errors may be larger than they say"
    ]


def plan(phonons: int, members: int) -> str:
    """What the error bars cost, in words."""
    configurations = min(max(1, phonons), CONFIGURATIONS)
    times = members * configurations / max(1, phonons)
    each = f"{configurations} configuration{'s' * (configurations > 1)}"
    return f"error bars: {members} members of the density, {each} each, about {times:.1f} times the simulation itself"


class Bars(Moving, total=False):
    """How error bars are simulated: `Moving`; ``memory`` in bytes; a folder ``scratch`` where slices of one member and
    configuration at a time lie (`StreamedPotentials`), made here or by the workers of ``scheduler``, who then also do
    the windows of the image; ``pixel`` and ``field``: largest pixel and least side of the error bars in Å.
    """

    memory: float | None
    scratch: Path | None
    scheduler: str | None
    pixel: float
    field: float


def image_uncertainty(
    cut: run.Specimen, source: EnsembleSource, *, progress: Progress = silent, **bars: Unpack[Bars]
) -> ImageUncertainty:
    """Images of every member, without counting noise and with the same displacements, and their standard deviation.

    Only the density differs between them: the spread is what the density's error does to a pixel. 90 % intervals are
    ±1.645 σ, as far as the images are linear in the potential. Of slices on disk the density of one member is in
    memory.

    Raises
    ------
    InputError
        If the source has a single member or no calibration, or the preset makes no images.
    """
    check_keywords(bars, Bars, "image_uncertainty")
    check(cut, source)
    scratch, seed = bars.get("scratch"), bars.get("seed", 0)
    crystal = cut.cell.unrotated if scratch is None else cut.block.structure
    quiet = cut.preset.model_copy(update={"microscope": cut.preset.microscope.model_copy(update={"dose": None})})
    still = replace(cut, preset=quiet)
    shown: list[ImageSet] = []
    for field in source.members(crystal, run.density_grid(source, crystal)):
        memory, scheduler = bars.get("memory"), bars.get("scheduler")
        potentials = _member(still, field, bars)
        images = run.image(still, potentials, seed=seed, memory=memory, scheduler=scheduler, error_bar=False)
        shown.append(_shared_pixels(images, bars))
        progress("error bars", len(shown), source.member_count)
    stacks = {name: np.stack([s.images[name] for s in shown]) for name in shown[0].images}
    sigma: dict[str, npt.NDArray] = {name: stack.std(axis=0, ddof=1) for name, stack in stacks.items()}
    mean: dict[str, npt.NDArray] = {name: stack.mean(axis=0) for name, stack in stacks.items()}
    return ImageUncertainty(
        replace(shown[0], images=sigma),
        replace(shown[0], images=mean),
        len(shown),
        max(1, _configurations(bars)),
    )


def _configurations(bars: Bars) -> int:
    phonons = bars.get("phonons")
    return CONFIGURATIONS if phonons is None else min(phonons, CONFIGURATIONS)


def _member(still: run.Specimen, field: DensityField, bars: Bars) -> run.Potentials:
    """The potentials of one member, in memory or on disk."""
    moving: Moving = {
        "phonons": _configurations(bars),
        "temperature": bars.get("temperature", TEMPERATURE),
        "seed": bars.get("seed", 0),
        "msd": bars.get("msd"),
        "frames": bars.get("frames"),
    }
    memory, scratch = bars.get("memory"), bars.get("scratch")
    if scratch is None:
        return run.potential(still, field, memory=memory, **moving)
    return StreamedPotentials(still, streamed(field), scratch, room(memory), bars.get("scheduler"), **moving)


def _shared_pixels(images: ImageSet, bars: Bars) -> ImageSet:
    """Images of one cell on the pixels and over the field of view that the error bars are asked for on."""
    if bars.get("field"):
        return images.recorded(bars.get("pixel", PIXEL), bars.get("field", 0.0))
    return images.resampled(bars.get("pixel", PIXEL))
