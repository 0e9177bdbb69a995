"""What is larger than memory: densities and potentials that lie on disk, or are made by a cluster."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from rhotem.analysis.motion import Moving
from rhotem.analysis.polar import checked
from rhotem.analysis.run import Potentials, Specimen
from rhotem.analysis.voice import Voice
from rhotem.analysis.where import SPACING, Means
from rhotem.core import PeriodicGrid
from rhotem.density.source import DensitySource, by_planes
from rhotem.density.stream import StreamedDensity
from rhotem.potential.slices import PotentialSlices
from rhotem.potential.stream import potential_stream, stream_potential
from rhotem.potential.stream_read import open_potential

if TYPE_CHECKING:
    from rhotem.structure.model import Structure


class StreamedPotentials(Potentials):
    """As `Potentials`, one file of slices at a time, which vanishes when the next is asked for.

    The atoms of each configuration are displaced exactly, the deformation density is smeared by the mean over the
    atoms, as in memory.

    Parameters
    ----------
    cut : Specimen
    density : StreamedDensity
        Of the whole block.
    folder : Path
        Where the files lie meanwhile; workers of a cluster see it under the same name.
    memory : float or None
        Bytes that making slices may use here, or in every worker.
    scheduler : str or None
        Address of a Dask scheduler whose workers make the slices; None: here.
    **moving
        How atoms move.
    """

    def __init__(
        self,
        cut: Specimen,
        density: StreamedDensity,
        folder: Path,
        memory: float | None = None,
        scheduler: str | None = None,
        **moving: Unpack[Moving],
    ) -> None:
        super().__init__(cut, density, memory, **moving)
        self._density, self._folder, self._scheduler = density, folder, scheduler

    on_disk = True

    def record(self) -> dict[str, Any]:
        """How the atoms move, and where slices were, JSON-ready."""
        return {**super().record(), "slices": "on disk, one configuration at a time"}

    def __iter__(self) -> Iterator[PotentialSlices]:
        cut, finer = self._cut, self._cut.oversampling
        n_x, n_y, slices = cut.grid.shape
        with potential_stream(
            self._density,
            PeriodicGrid(cut.grid.cell, (finer * n_x, finer * n_y, slices)),
            self._folder / "potential",
            deformation_msd=float(np.mean(self.motion.isotropic)) if self.phonons else 0.0,
            oversampling=finer,
            whole_atoms=True,
            memory_limit=self._memory,
            scheduler=self._scheduler,
            progress=self.progress,
        ) as write:
            for number, moved in enumerate(self.displacements()):
                path = write(self._folder / f"potential-{number}.zarr", moved)
                try:
                    yield open_potential(path)
                finally:  # also where no more are asked for
                    shutil.rmtree(path, ignore_errors=True)


def announced(
    structure: "Structure",
    grid: PeriodicGrid,
    source: DensitySource,
    means: Means,
    voice: Voice,
    *,
    allow_polar: bool = False,
) -> StreamedDensity:
    """Say that slices go to disk, and with which density; returns that.

    Parameters
    ----------
    structure : Structure
        The imaging cell, repeated as wanted.
    grid : PeriodicGrid
        Of the slices.
    source : DensitySource
        One that gives planes.
    means : Means
    voice : Voice
    allow_polar : bool
        As `rhotem.analysis.run.density`.

    Raises
    ------
    InputError
        As `rhotem.density.source.by_planes` and `rhotem.analysis.run.density`.
    """
    n_x, n_y, slices = grid.shape
    held = f"{slices} slices of {n_x} × {n_y}, {4.0 * grid.size / 1e9:.2f} GB"
    voice.tell(f"potential   {held}, to disk one by one {means}")
    density = by_planes(source, structure, SPACING)
    points = " × ".join(str(n) for n in density.grid.shape)
    voice.tell(f"density     {len(structure)} atoms, {points} points, plane by plane")
    return checked(density, allow_polar)


def write_potential(density: StreamedDensity, grid: PeriodicGrid, target: Path, means: Means, voice: Voice) -> float:
    """Write slices on ``grid`` to a .zarr; returns the mean inner potential in V."""
    from rhotem.potential.parametrizations import mean_inner_potential

    stream_potential(density, grid, target, memory_limit=means.room, scheduler=means.scheduler, progress=voice.progress)
    return mean_inner_potential("pbe", density.structure.numbers, grid.volume)


def write_density(
    structure: "Structure", file: tuple[Path, Any, float], source: DensitySource, means: Means, voice: Voice
) -> StreamedDensity:
    """Write a density plane by plane, saying so first; returns it. ``file``: the .zarr, its kind, largest step in Å."""
    from rhotem.density.stream_write import write_streamed

    target, kind, spacing = file
    points = " × ".join(str(n) for n in PeriodicGrid.from_spacing(structure.cell, spacing).shape)
    voice.tell(f"density     {len(structure)} atoms, {points} points, to disk plane by plane {means}")
    density = checked(by_planes(source, structure, spacing), allow_polar=True)
    voice.doubts(density.record)
    record = write_streamed(
        density, target, kind, memory_limit=means.room, scheduler=means.scheduler, progress=voice.progress
    )
    return replace(density, record=record)
