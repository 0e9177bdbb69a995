"""What a measured file is, in words."""

import numpy as np

from rhotem.experiment.calibrate.disc import Disc
from rhotem.experiment.calibrate.lattice import ImageLattice
from rhotem.experiment.measurement import Axis, Measurement
from rhotem.experiment.read import missing


def described(measurement: Measurement) -> str:
    """Several lines: what the file is, its scales and settings, remarks, and what is missing with its option."""
    shape = " × ".join(map(str, measurement.data.shape))
    said = measurement.metadata
    title = f" {said['title']}" if said.get("title") else ""
    lines = [
        f"{measurement.source.path}: {said.get('format', '')}{title}, {measurement.kind}, {shape}, "
        f"{measurement.data.dtype}, values {measurement.data.min():g} to {measurement.data.max():g}"
    ]
    lines += [f"  {name:<12} {text}" for name, text in _known(measurement)]
    lines += [f"  note         {remark}" for remark in measurement.remarks]
    lines += [f"  missing      {name}: {purpose}" for name, purpose in missing(measurement).items()]
    return "\n".join(lines)


def _known(measurement: Measurement) -> list[tuple[str, str]]:
    axes = measurement.axes
    found = []
    for first, second in ((axes[0], axes[1]), (axes[2], axes[3])) if len(axes) == 4 else ((axes[-2], axes[-1]),):
        if second.scale is not None and first.scale is not None:
            name = "pixel" if second.unit == "Å" else "scale"
            found.append((name, _scale(first, second)))
    for name, value, unit in (
        ("energy", measurement.energy_keV, "keV"),
        ("convergence", measurement.convergence_mrad, "mrad"),
        ("dwell time", measurement.dwell_us, "µs"),
        ("dose", measurement.dose_e_per_A2, "e/Å²"),
        ("camera", measurement.camera_length_mm, "mm"),
    ):
        if value is not None:
            found.append((name, f"{value:.5g} {unit}"))
    if measurement.counts is not None:
        found.append(("values", "electrons" if measurement.counts else "no counts of electrons"))
    return found


def _scale(first: Axis, second: Axis) -> str:
    assert first.scale is not None and second.scale is not None
    square = abs(first.scale / second.scale - 1) < 1e-6
    texts = [
        f"{axis.scale:.5g} mrad ({1 / axis.scale:.5g} px/mrad)" if axis.unit == "mrad" else f"{axis.scale:.5g} Å"
        for axis in (second, first)
        if axis.scale
    ]
    return texts[0] if square else f"{texts[0]} along rows, {texts[1]} down"


def lattice_lines(measurement: Measurement, lattice: ImageLattice) -> str:
    """What the lattice says of the image."""
    axes, before = lattice.projection.axes, measurement.axes[-1].scale
    was = f"; the file says {before:.5g} Å ({100 * (lattice.pixel.value / before - 1):+.2g} %)" if before else ""
    right, down = lattice.drift
    lines = [
        f"lattice along {axes['zone']}, x of the cell {axes['x']}: "
        f"correlation {lattice.match:.2f}, hand: {lattice.hand}",
        f"  pixel        {lattice.pixel} Å{was}",
        f"  fast, slow   {lattice.pixel_x} Å along rows, {lattice.pixel_y} Å from row to row",
        f"  rotation     {lattice.rotation}°, shear {lattice.shear}°",
        f"  drift        {right} Å per row to the right, {down} Å down, if the scan is square",
    ]
    if measurement.dwell_us and measurement.kind == "image" and not measurement.metadata.get("camera"):
        line = measurement.dwell_us * measurement.data.shape[1] * 1e-6
        speed = float(np.hypot(right.value, down.value)) / line
        lines.append(f"  drift        {speed:.3g} Å/s or less (rows of {1e3 * line:.4g} ms and flyback)")
    return "\n".join(lines + [f"  note         {remark}" for remark in lattice.remarks])


def disc_lines(disc: Disc, convergence_mrad: float | None) -> str:
    """What the direct disc says of the pattern."""
    row, column = disc.centre
    lines = [
        f"direct disc: {100 * disc.agreeing:.0f} % of its outline agree",
        f"  centre       row {row}, column {column} px",
        f"  radius       {disc.radius} px, longer by {disc.ellipticity} at {disc.angle}°",
    ]
    if convergence_mrad:
        lines.append(f"  scale        {disc.px_per_mrad(convergence_mrad)} px/mrad")
    if disc.rivals:
        radii = ", ".join(f"{radius:.0f}" for radius in disc.rivals)
        lines.append(f"  note         sharp circles of {radii} px, too: neighbouring discs, or the disc is one of them")
    return "\n".join(lines)
