"""Potentials of a specimen that are written to disk and read by the multislice, for cells larger than memory."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis.run import Potentials, Specimen
from rhotem.core import PeriodicGrid
from rhotem.density.stream import StreamedDensity
from rhotem.potential.slices import PotentialSlices
from rhotem.potential.stream import potential_stream
from rhotem.potential.stream_read import open_potential
from rhotem.structure.frames import Frames


class StreamedPotentials(Potentials):
    """As `Potentials`, one file of slices at a time, which vanishes when the next is asked for.

    Parameters
    ----------
    cut : Specimen
    density : StreamedDensity
        Of the whole block.
    folder : Path
        Where the files lie meanwhile; workers of a cluster see it under the same name.
    phonons : int
        Configurations; the atoms of each are displaced exactly, the deformation density is smeared by the mean over the
        atoms, as in memory.
    scheduler : str or None
        Address of a Dask scheduler whose workers make the slices; None: here.
    temperature, seed, memory, msd, frames
        As `rhotem.analysis.run.potential`; ``memory`` is what making slices may use here, or in every worker.
    """

    def __init__(
        self,
        cut: Specimen,
        density: StreamedDensity,
        folder: Path,
        phonons: int,
        *,
        temperature: float,
        seed: int,
        memory: float | None,
        scheduler: str | None = None,
        msd: Mapping[str, float] | None = None,
        frames: Frames | None = None,
    ) -> None:
        common: dict[str, Any] = {"temperature": temperature, "seed": seed, "msd": msd, "frames": frames}
        super().__init__(cut, density, phonons, memory=memory, **common)
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
            memory_limit=self._memory,
            scheduler=self._scheduler,
            progress=self.progress,
        ) as write:
            for number, moved in enumerate(self.displacements()):
                path = write(self._folder / f"potential-{number}.zarr", moved)
                try:
                    yield open_potential(path)
                finally:  # also where no more are asked for
                    shutil.rmtree(path)
