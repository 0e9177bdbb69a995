"""The scattering response of a specimen, and montages of what it answers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.montage import draw_montage
from rhotem.analysis.recording import recording_microscope
from rhotem.analysis.run import recorded
from rhotem.core import InputError
from rhotem.microscope.detectors import edges_of, summing
from rhotem.microscope.images import ImageSet
from rhotem.microscope.scan import Scan
from rhotem.scattering.response import Range, Response
from rhotem.scattering.response import response as respond

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan
    from rhotem.analysis.specimen import Specimen
    from rhotem.microscope.settings import Detector
    from rhotem.potential.slices import PotentialSlices


def response(
    cut: "Specimen",
    potentials: "Iterable[PotentialSlices]",
    *,
    detectors: "Sequence[Detector] | None" = None,
    thicknesses: Sequence[float] | None = None,
    range: Range | None = None,
    **options: Any,
) -> Response:
    """One propagation through a specimen that answers for every setting of the lens.

    Parameters
    ----------
    cut : Specimen
        Its preset gives microscope and detectors; images show one of its equal cells.
    potentials : iterable of PotentialSlices
        Of `rhotem.analysis.run.potential`.
    detectors : sequence of detectors, optional
        Instead of those of the preset.
    thicknesses : sequence of float, optional
        nm; None: that of the specimen.
    range : Range, optional
        Largest defocus and aberrations, smallest aperture; in Å and mrad.
    **options
        As `rhotem.scattering.response.response`.

    Raises
    ------
    InputError
        If the preset scans no probe or core losses are among the detectors; or as there.
    """
    if cut.preset.mode != "stem":
        raise InputError(f"preset {cut.preset.name} scans no probe; a response holds images of one")
    depths = None if thicknesses is None else [10.0 * t for t in thicknesses]
    chosen = cut.preset.detectors if detectors is None else tuple(detectors)
    without_losses(chosen)
    repeats = (int(cut.repeats[0]), int(cut.repeats[1]))
    options.setdefault("independent", getattr(potentials, "independent", False))  # images as those of a direct run
    return respond(potentials, cut.preset.microscope, chosen, depths, range=range, repeats=repeats, **options)


def without_losses(detectors: "Sequence[Detector]") -> None:
    """Refuse detectors that no response answers for: for commands to call before they compute anything.

    Raises
    ------
    InputError
        If core losses are among them.
    """
    if edges_of(detectors):
        raise InputError("a response holds no core losses: leave the edges out, or simulate them (rhotem image)")


def image(
    cut: "Specimen",
    held: Response,
    *,
    seed: int = 0,
    scan_step: float | None = None,
    field_of_view: float | None = None,
) -> ImageSet:
    """What `rhotem.analysis.run.image` gives for a specimen, from a response that holds its lens and thickness.

    ``seed``, ``scan_step`` and ``field_of_view`` as there; there is no position-averaged pattern.

    Raises
    ------
    InputError
        If the response does not hold it.
    """
    microscope = recording_microscope(cut.preset, scan_step, field_of_view)
    lengths = cut.cell.lengths
    shown = held.images(
        cut.preset.detectors,
        thickness=float(cut.block.lengths[2]),
        scan=Scan.cell((float(lengths[0]), float(lengths[1])), microscope),
        rng=np.random.default_rng((seed, 1)),  # as `rhotem.analysis.run.image`, so that it draws the same electrons
        **microscope.model_dump(),
    )
    shared = "one configuration for each kappa"
    record = shown.record | ({"phonon_sampling": shared} if shown.record["configurations"] > 1 else {})
    return recorded(cut, replace(shown, record=record), scan_step, field_of_view)


def answers(plan: "Plan") -> bool:
    """Whether a response can answer a plan: images of a scanned probe without error bars from the density."""
    detectors = plan.preset().detectors
    signals = bool(detectors) and len(summing(detectors)) == len(detectors)
    return signals and shared_ground(plan) and plan.recording.camera_step_mrad is None


def shared_ground(plan: "Plan") -> bool:
    """Whether anything but a single run can do a plan: no error bars from the density, exact beams, no cluster."""
    computing = plan.computing
    exact = computing.algorithm in ("auto", "bloch") and computing.scheduler is None
    return plan.preset().mode == "stem" and exact and not plan.density.uncertainty and plan.precision is None


def montage(
    held: Response,
    name: str,
    path: str | Path,
    *,
    thicknesses: Sequence[float],
    defocus: Sequence[float],
    **settings: Any,
) -> npt.NDArray[np.float32]:
    """Draw the image ``name`` at every thickness (nm, downwards) and defocus (nm, to the right); one scale for a row.

    Returns the images, (thicknesses, defocus, nx, ny).
    """
    depth, focus = (grid.ravel() for grid in np.meshgrid(thicknesses, defocus, indexing="ij"))
    stack = held.series(thickness=10.0 * depth, defocus=10.0 * focus, **settings)
    if name not in stack:
        raise InputError(f"no image {name!r}; there are {', '.join(stack)}")
    images = stack[name].reshape(len(thicknesses), len(defocus), *stack[name].shape[1:])
    tiles = [[(image, held.extent) for image in row] for row in images]
    labels = [f"{t:g} nm" for t in thicknesses], [f"{d:g} nm" for d in defocus]
    draw_montage(
        tiles, path, rows=labels[0], columns=labels[1], title=f"{name}: defocus to the right, thickness downwards"
    )
    return images
