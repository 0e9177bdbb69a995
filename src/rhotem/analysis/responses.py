"""The scattering response of a specimen, and montages of what it answers."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.response import Range, Response
from rhotem.microscope.response import response as respond

if TYPE_CHECKING:
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
        As `rhotem.microscope.response.response`.

    Raises
    ------
    InputError
        If the preset scans no probe; or as there.
    """
    if cut.preset.mode != "stem":
        raise InputError(f"preset {cut.preset.name} scans no probe; a response holds images of one")
    depths = None if thicknesses is None else [10.0 * t for t in thicknesses]
    chosen = cut.preset.detectors if detectors is None else tuple(detectors)
    repeats = (int(cut.repeats[0]), int(cut.repeats[1]))
    return respond(potentials, cut.preset.microscope, chosen, depths, range=range, repeats=repeats, **options)


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    depth, focus = (grid.ravel() for grid in np.meshgrid(thicknesses, defocus, indexing="ij"))
    stack = held.series(thickness=10.0 * depth, defocus=10.0 * focus, **settings)
    if name not in stack:
        raise InputError(f"no image {name!r}; there are {', '.join(stack)}")
    images = stack[name].reshape(len(thicknesses), len(defocus), *stack[name].shape[1:])
    size = 1.1 * np.array([len(defocus), len(thicknesses) * held.extent[1] / held.extent[0]])
    figure = Figure(figsize=tuple(np.clip(size + 0.6, 3.0, 30.0)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(thicknesses), len(defocus), squeeze=False)
    for one, focal in zip(axes[0], defocus, strict=True):
        one.set_title(f"{focal:g} nm", fontsize=7)
    for row, thickness, line in zip(images, thicknesses, axes, strict=True):
        for image, one in zip(row, line, strict=True):
            extent = (0.0, held.extent[0], held.extent[1], 0.0)
            one.imshow(image.T, cmap="gray", extent=extent, vmin=row.min(), vmax=row.max(), interpolation="bicubic")
            one.set(xticks=[], yticks=[])
        line[0].set_ylabel(f"{thickness:g} nm", fontsize=7)
    figure.suptitle(f"{name}: defocus to the right, thickness downwards", fontsize=8)
    figure.savefig(path)
    return images
