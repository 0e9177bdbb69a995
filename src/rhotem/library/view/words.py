"""Settings in words: a plan that computes the same from the beginning, the lines of Python, and what a caption says."""

from pathlib import Path

from rhotem.analysis.plan import Plan
from rhotem.analysis.plan.file import to_yaml
from rhotem.analysis.plan.paths import with_paths
from rhotem.core import InputError
from rhotem.library.view.entries import Opened
from rhotem.library.view.settings import ViewSettings
from rhotem.microscope.detectors import DetectorBase
from rhotem.microscope.settings import angles, parse_detector

#: mm of a nm.
MM = 1e-6


def plan_of(opened: Opened, settings: ViewSettings) -> Plan:
    """The plan of a run that computes the picture without the response.

    A plan has no rotation of the scan.

    Raises
    ------
    InputError
        If nothing says what the entry was made from, or the detector cannot be written in a plan.
    """
    plan = opened.entry.plan()
    lens = {name: value for name, value in settings.aberrations.items() if name[0] == "C" and value and name != "C30"}
    written = [f"{name}={value:.6g}nm" for name, value in lens.items()]
    turned = {f"phi{name[1:]}": settings.aberrations.get(f"phi{name[1:]}", 0.0) for name in lens}
    written += [f"{name}={value:.6g}deg" for name, value in turned.items() if value]
    return plan.changed(
        {
            "specimen.thickness_nm": settings.thickness_nm,
            "microscope.convergence_mrad": settings.convergence_mrad,
            "microscope.defocus_nm": settings.defocus_nm,
            "microscope.cs_mm": MM * settings.aberrations.get("C30", 0.0),
            "microscope.aberrations": tuple(written),
            "microscope.source_size_A": settings.source_size_A,
            "microscope.focal_spread_A": settings.focal_spread_A,
            "microscope.detectors": (written_detector(opened.limits.ring(settings)),),
            "recording.dose_e_per_A2": settings.dose_e_per_A2,
            "recording.field_of_view_A": settings.field_of_view_A,
            "recording.scan_step_A": settings.scan_step_A,
            "computing.seed": settings.seed,
        }
    )


def plan_text(opened: Opened, settings: ViewSettings) -> str:
    """That plan as a YAML file that works wherever it lies; errors as `plan_of`."""
    plan = plan_of(opened, settings)
    anywhere = with_paths(plan.data(), lambda name: str(Path(name).resolve()) if Path(name).is_file() else name)
    head = f"# {caption(opened, settings)}\n"
    if settings.scan_rotation_deg:
        head += f"# the scan was turned by {settings.scan_rotation_deg:g} degrees, which a plan cannot say\n"
    return head + to_yaml(anywhere)


def written_detector(detector: DetectorBase) -> str:
    """A detector as plans and `--detector` have it.

    Raises
    ------
    InputError
        If that says less than the detector is.
    """
    inner = getattr(detector, "inner", 0.0)
    ring = f"{inner:g}-{detector.outer:g}" if inner else f"{detector.outer:g}"
    number, azimuth = getattr(detector, "segments", None), getattr(detector, "rotation", 0.0)
    starts = [detector.name] if detector.name else []
    if number is not None:
        kind = "SEG" if getattr(detector, "each", False) else "DPC"
        starts.append(f"{kind}{number if kind == 'SEG' or number != 4 else ''}")
        ring += f"@{azimuth:g}" if azimuth else ""
    starts += ["CoM"] if not starts else []
    for start in starts:
        text = f"{start}={ring}"
        try:
            if parse_detector(text) == detector:
                return text
        except InputError:
            continue
    raise InputError(f"detector {detector.name or type(detector).__name__}: cannot be written in a plan")


def python_lines(opened: Opened, settings: ViewSettings) -> str:
    """Lines of Python that give the picture as an array."""
    said = settings.model_dump(exclude_defaults=True)
    inside = ", ".join(f"{key}={value!r}" for key, value in said.items())
    return "\n".join(
        [
            "from rhotem.library.view.entries import open_entry",
            "from rhotem.library.view.picture import picture",
            "from rhotem.library.view.settings import ViewSettings",
            "",
            f"opened = open_entry({str(opened.entry.path.parent.resolve())!r})",
            f"shown = picture(opened.limits, ViewSettings({inside}))",
            "shown.values  # (nx, ny)",
        ]
    )


def settings_text(opened: Opened, settings: ViewSettings) -> str:
    """Settings as a YAML file."""
    return to_yaml({"entry": opened.entry.id, "view": settings.model_dump(mode="json", exclude_none=True)})


def table(opened: Opened, settings: ViewSettings) -> list[tuple[str, str]]:
    """Rows of what was set, with units."""
    detector, response = opened.limits.ring(settings), opened.limits.response
    entry, rows = opened.entry, []
    if entry.formula:
        rows += [("specimen", f"{entry.formula} along {entry.zone}"), ("density", entry.source)]
    rows += [
        ("thickness", f"{settings.thickness_nm:g} nm"),
        ("beam energy", f"{response.microscope.energy / 1e3:g} kV"),
        ("convergence", f"{settings.convergence_mrad:g} mrad"),
        ("detector", f"{settings.image}, {angles(detector)}"),
        ("defocus", f"{settings.defocus_nm:.4g} nm (positive: underfocus)"),
    ]
    for name, value in settings.aberrations.items():
        if value:
            rows.append((name, f"{value:.4g} °" if name.startswith("phi") else length(value)))
    rows += [
        ("source size (FWHM)", f"{settings.source_size_A:.3g} Å"),
        ("focal spread", f"{settings.focal_spread_A:.3g} Å"),
        ("dose", f"{settings.dose_e_per_A2:.3g} e/Å²" if settings.dose_e_per_A2 else "no counting noise"),
        ("scan", f"step {settings.scan_step_A:g} Å, rotation {settings.scan_rotation_deg:g}°"),
    ]
    return rows


def caption(opened: Opened, settings: ViewSettings) -> str:
    """One line: what is shown, and how it was recorded."""
    detector, entry = opened.limits.ring(settings), opened.entry
    named = f"{entry.formula} {entry.zone}".strip() or entry.id
    parts = [
        f"{settings.image} {angles(detector)} of {named}",
        f"{settings.thickness_nm:.3g} nm",
        f"{opened.limits.response.microscope.energy / 1e3:g} kV, {settings.convergence_mrad:.4g} mrad",
        f"defocus {settings.defocus_nm:.3g} nm",
        f"{settings.dose_e_per_A2:.3g} e/Å²" if settings.dose_e_per_A2 else "",
        f"density: {entry.source}" if entry.source else "",
    ]
    said = ", ".join(part for part in parts if part)
    if entry.at_rest:
        said += "; atoms at rest: dark fields lack thermal diffuse scattering"
    return f"{said}; {opened.remark}" if opened.remark else said


def length(value: float) -> str:
    """A length in nm with a unit that suits it."""
    scale, name = next(((s, u) for s, u in ((1e6, "mm"), (1e3, "µm")) if abs(value) >= s), (1.0, "nm"))
    return f"{value / scale:.4g} {name}"
