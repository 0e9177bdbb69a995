"""What is seen of an entry's density: a slice of its difference to free atoms, and a map of error bars."""

from dataclasses import dataclass

import numpy as np

from rhotem.library.density.slices import NEAR, PLANES, Slice, richest, slice_of, spacing
from rhotem.library.density.summary import Summary
from rhotem.library.view.entries import Opened
from rhotem.library.view.picture import Picture, recorded_scan, turned_positions
from rhotem.library.view.settings import ViewSettings
from rhotem.microscope.acquisition.positions import at_positions
from rhotem.microscope.scan import Scan
from rhotem.microscope.signals import field_of_view

#: Share of a slice whose values the scale of colours holds: at nuclei Δn is ten times what it is in bonds.
WITHIN = 0.98
#: Least end of that scale in e/Å³.
LEAST = 1e-3


@dataclass(frozen=True)
class Plane:
    """A plane of the crystal's standard cell: Miller indices, and its height in distances of such planes, 0 to 1."""

    indices: tuple[int, int, int]
    height: float

    @property
    def name(self) -> str:
        """(1 -1 0)."""
        return name_of(self.indices)


def name_of(indices: tuple[int, int, int]) -> str:
    """Miller indices in brackets."""
    return f"({' '.join(map(str, indices))})"


#: Planes by name.
NAMED = {name_of(indices): indices for indices in PLANES}


def first_plane(summary: Summary) -> Plane:
    """Where a view begins: the plane near which most elements lie."""
    return Plane(*richest(summary))


def scale_of(cut: Slice) -> float:
    """End of the scale of colours of a slice, the same to both sides of zero, e/Å³."""
    return max(LEAST, float(np.quantile(np.abs(cut.values), WITHIN)))


def words_of_slice(summary: Summary, plane: Plane, cut: Slice) -> str:
    """What a slice shows, and how far it may be wrong."""
    deep = spacing(summary, plane.indices)
    said = (
        f"{summary.source} − free atoms in the plane {plane.name} at {plane.height * deep:.2f} of {deep:.2f} Å, "
        f"{cut.values.min():.2g} to {cut.values.max():.2g} e/Å³, resolved to {summary.step:.2g} Å; "
        f"atoms nearer than {NEAR:g} Å are marked."
    )
    if summary.error is None:
        return f"{said} No error bars: {summary.missing}."
    bars = slice_of(summary, plane.indices, plane.height, of="error").values
    return f"{said} 90 % error bar ± {np.median(bars):.1g} e/Å³ in the median, ± {bars.max():.1g} at most."


def error_map(opened: Opened, settings: ViewSettings) -> Picture | None:
    """Half-width of the 90 % interval of the projected potential, over the field of view of the image; V.

    What the density's error does to a pixel follows from it where the image is linear in the potential. None without.
    """
    held = opened.density
    if held is None or held.potential_error is None:
        return None
    cell = Scan(held.potential_error.shape, held.extent)
    if settings.scan_rotation_deg:
        scan = recorded_scan(cell, settings.scan_step_A, settings.field_of_view_A)
        values = at_positions(held.potential_error[None], cell.size, turned_positions(scan, settings.rotation))[0]
    else:
        values, scan = field_of_view(held.potential_error, cell, settings.scan_step_A, settings.field_of_view_A)
    return Picture("error bar", np.maximum(values, 0.0), "V", scan)


def words_of_map(opened: Opened) -> str:
    """What the map of error bars shows, beside the size of what it is the error of."""
    held = opened.density
    if held is None:
        return opened.without
    if held.potential_error is None:
        return f"No error bars: {held.missing}."
    bars = held.potential_error
    return (
        f"90 % error bar of the potential from the density alone, mean along the beam: ± {bars.mean():.2g} V in the "
        f"mean, ± {bars.max():.2g} V at most; the difference to free atoms itself has {held.potential.std():.2g} V rms."
    )
