"""What a measured file is, in words."""

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
    for first, second in zip(axes[-4::2] if len(axes) == 4 else axes[-2:-1], axes[-3::2], strict=False):
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
    if second.unit == "mrad":
        return f"{second.scale:.5g} mrad ({1 / second.scale:.5g} px/mrad)"
    square = abs(first.scale / second.scale - 1) < 1e-6
    return f"{second.scale:.5g} Å" if square else f"{second.scale:.5g} Å along rows, {first.scale:.5g} Å down"
