"""Windows of an image by the workers of a cluster: slices are read from the disk, signals go back by way of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from rhotem.core import Progress, silent
from rhotem.core.folders import scratch
from rhotem.core.tasks import pieces
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.plan import Plan
from rhotem.microscope.record import Recorder, recorder_of
from rhotem.microscope.settings import Detector, Microscope
from rhotem.microscope.windows import WindowEngine

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices


@dataclass(frozen=True, eq=False)
class WindowJob:
    """Probes of one configuration, window by window; pieces as `rhotem.core.tasks.pieces` takes them.

    Parameters
    ----------
    slices : PotentialSlices
        On disk (`rhotem.potential.stream_read.open_potential`).
    plan : Plan
        With windows and Bloch beams.
    microscope, detectors
        What is recorded.
    positions : (n, 2) array
        Probes in Å.
    exits : sequence of int
        Slices passed where signals are recorded.
    folder : Path
        For results.
    wisdom : tuple of bytes
        How the transforms are best done, as found here: every worker does them alike.
    """

    slices: "PotentialSlices"
    plan: Plan
    microscope: Microscope
    detectors: tuple[Detector, ...]
    positions: npt.NDArray[np.float64]
    exits: Sequence[int]
    folder: Path
    wisdom: tuple[bytes, bytes, bytes]

    @cached_property
    def served(self) -> list[tuple[npt.NDArray[np.int64], tuple[float, float]]]:
        """Probes of every window, and its corner in Å."""
        return list(self.plan.windows.serve(self.positions)) if self.plan.windows else []

    @cached_property
    def _engine(self) -> BlochEngine:
        import pyfftw

        pyfftw.import_wisdom(self.wisdom)
        plan = self.plan
        return BlochEngine(self.microscope, plan.extent, plan.shape, plan.slice_thickness, plan.tiling)

    def probe(self, piece: int) -> int:
        """Signals of the probes of one window, into a file; returns how many probes they are."""
        from rhotem.potential.stream_read import window

        rows, corner = self.served[piece]
        part, corner = window(self.slices, corner, self.plan.windows.size)  # type: ignore[union-attr]  # has served
        engine = self._engine
        own = {n: recorder_of(self.microscope, self.detectors, len(rows), engine.supercell) for n in self.exits}
        engine.run(np.asarray(part.array), self.positions[rows] - corner, own)
        found: dict[str, Any] = {}
        for n, recorder in own.items():
            found |= {f"{n} {name}": values for name, values in recorder.signals().items()}
        partial = self.folder / f"window-{piece}-{uuid4().hex}.npz"
        np.savez(partial, **found)
        partial.rename(self.folder / f"window-{piece}.npz")
        return len(rows)


def send_windows(
    job: WindowJob, recorders: dict[int, Recorder], scheduler: str | None, progress: Progress = silent
) -> None:
    """All windows of a job, by the workers of ``scheduler``; their signals are added to the recorders.

    The sums are those of `rhotem.microscope.windows.WindowEngine.run`, in the same order.
    """
    with pieces(job, job.folder, scheduler, progress) as run:
        run("probe", len(job.served), "image")
    for piece, (rows, _) in enumerate(job.served):
        with np.load(job.folder / f"window-{piece}.npz") as found:
            for n, recorder in recorders.items():
                part = recorder.part(len(rows))
                for name, values in part.signals().items():
                    values[:] = found[f"{n} {name}"]
                recorder.put(rows, part)


class ClusterWindows(WindowEngine):
    """Windows of slices that lie on disk are done by the workers of a cluster, those of slices in memory here.

    Parameters
    ----------
    here : WindowEngine
        What does the same in this process.
    plan, microscope, detectors
        As `WindowJob`.
    scheduler : str
        Address of a Dask scheduler.
    progress : Progress
    """

    def __init__(
        self,
        here: WindowEngine,
        plan: Plan,
        microscope: Microscope,
        detectors: tuple[Detector, ...],
        scheduler: str,
        progress: Progress = silent,
    ) -> None:
        super().__init__(here.windows, here.send, here.supercell)
        self.plan, self.microscope, self.detectors = plan, microscope, detectors
        self.scheduler, self.progress = scheduler, progress

    def run(
        self,
        slices: "PotentialSlices",
        positions: npt.NDArray[np.float64],
        recorders: dict[int, Recorder],
        advance: Callable[[int], None] = lambda waves: None,
    ) -> None:
        """Propagate one configuration; of slices on disk progress is told window by window."""
        import pyfftw

        on_disk: Any = slices.array
        if isinstance(on_disk, np.ndarray):
            super().run(slices, positions, recorders, advance)
            return
        given = self.plan, self.microscope, self.detectors, positions, sorted(recorders)
        with scratch(on_disk.path) as folder:
            job = WindowJob(slices, *given, folder, pyfftw.export_wisdom())
            send_windows(job, recorders, self.scheduler, self.progress)
