"""What of a plan contradicts itself, said before anything is read or computed."""

from collections.abc import Callable

from rhotem.analysis.optics import adjusted_preset
from rhotem.analysis.plan.contents import Contents
from rhotem.analysis.recording import check_losses, check_recording, focused_image
from rhotem.core import InputError


def _direction(plan: Contents) -> None:
    if plan.specimen.zone is not None and plan.specimen.plane is not None:
        raise InputError("both a zone axis and a plane were given; give one")


def _trajectory(plan: Contents) -> None:
    motion = plan.motion
    if motion.frames is None:
        return
    if plan.precision is not None:
        raise InputError("phonons auto: a trajectory has the frames that it has; give their number or leave it out")
    others = {
        "--phonons 0": True if motion.phonons == 0 else None,
        "--temperature": motion.temperature_K,
        "--msd": motion.msd_A2,
    }
    given = ", ".join(name for name, value in others.items() if value is not None)
    if given:
        raise InputError(f"--frames {motion.frames}: its frames say where the atoms are; leave {given} out")


def _preset(plan: Contents) -> None:
    adjusted_preset(plan.microscope.preset)


def _instrument(plan: Contents) -> None:
    m = plan.microscope
    adjusted_preset(m.preset, instrument=m.instrument, alignment=m.alignment, without=m.without)


def _optics(plan: Contents) -> None:
    check_losses(adjusted_preset(plan.microscope.preset, **plan.optics() | {"dose": None, "camera_step": None}))


def _best(plan: Contents) -> None:
    if plan.best is None:
        return
    preset = plan.preset()
    if preset.mode != "stem":
        raise InputError(f"defocus best: preset {preset.name} scans no probe; give a number")
    if "C10" in preset.microscope.aberrations:
        raise InputError("defocus best: the aberration C10 is a focus, too; leave either out")
    focused_image(preset.detectors, plan.best)


def _dose(plan: Contents) -> None:
    adjusted_preset(plan.microscope.preset, **plan.optics() | {"camera_step": None})
    check_losses(plan.preset())


def _camera(plan: Contents) -> None:
    plan.preset()


def _scan_step(plan: Contents) -> None:
    check_recording(plan.preset(), scan_step=plan.recording.scan_step_A)


def _field(plan: Contents) -> None:
    check_recording(plan.preset(), field_of_view=plan.recording.field_of_view_A)


def _phonons(plan: Contents) -> None:
    phonons = plan.motion.phonons
    check_recording(plan.preset(), phonons=phonons if isinstance(phonons, int) else None, precision=plan.precision)


def _algorithm(plan: Contents) -> None:
    check_recording(plan.preset(), algorithm=plan.computing.algorithm)


def _probe(plan: Contents) -> None:
    preset = plan.preset()
    if plan.recording.probe and preset.mode != "stem":
        raise InputError(f"preset {preset.name} has parallel illumination and no probe; leave --probe out")


def _uncertainty(plan: Contents) -> None:
    preset = plan.preset()
    if plan.density.uncertainty and preset.mode == "diffraction":
        raise InputError(f"--uncertainty: preset {preset.name} makes no images; choose another or leave it out")


#: Key to look at, and the check.
CHECKS: tuple[tuple[tuple[str, ...], Callable[[Contents], None]], ...] = (
    (("specimen", "plane"), _direction),
    (("motion", "frames"), _trajectory),
    (("microscope", "preset"), _preset),
    (("microscope", "instrument"), _instrument),
    (("microscope",), _optics),
    (("microscope", "defocus_nm"), _best),
    (("recording", "dose_e_per_A2"), _dose),
    (("recording", "camera_step_mrad"), _camera),
    (("recording", "scan_step_A"), _scan_step),
    (("recording", "field_of_view_A"), _field),
    (("motion", "phonons"), _phonons),
    (("computing", "algorithm"), _algorithm),
    (("recording", "probe"), _probe),
    (("density", "uncertainty"), _uncertainty),
)
