"""From recorded signals to calibrated images: source size, dose, differential phase contrast."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.acquisition.apply import Recording, Signals
from rhotem.microscope.counting import Electrons, Pixels, draw, middle
from rhotem.microscope.images import ImageSet
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan, determines
from rhotem.microscope.scatter import Samples, image_errors
from rhotem.microscope.settings import Detector, Microscope
from rhotem.microscope.signals import field_of_view, source_blur

Array = npt.NDArray[Any]


def derive_images(
    recorder: Recorder,
    scan: Scan,
    microscope: Microscope,
    detectors: tuple[Detector, ...],
    rng: np.random.Generator | None,
    record: dict | None,
) -> ImageSet:
    """Images of the mean signals of a recorder: blurred by the source, counted, DPC and centre of mass derived.

    Parameters
    ----------
    recorder : Recorder
        Averaged over configurations, in the order of the scan (`Recorder.folded`).
    scan : Scan
    microscope : Microscope
    detectors : tuple of detectors
    rng : numpy Generator or None
        Electrons are drawn from it where the microscope has a dose, after the source has blurred what is expected;
        None: none.
    record : dict or None
        Kept with the images; None: nothing is, which spares what is only said of them.
    """
    between = determines(scan, microscope)
    sums: Array = source_blur(recorder.sums.T.reshape(-1, *scan.shape), scan, _blur(recorder, microscope), between)
    patterns = {k: v.reshape(*scan.shape, *v.shape[1:]) for k, v in recorder.patterns.items()}
    if microscope.source_size:
        patterns = {k: _blur_patterns(v, scan, microscope.source_size, between) for k, v in patterns.items()}
    cell, number, clean = Signals(sums, scan), len(recorder.channels), {}
    if microscope.dose is not None and not patterns and between:
        sums, scan = field_of_view(sums, scan, microscope.pixel, microscope.field)
    told, record = record is not None, record or {}
    recording = Recording.of(microscope, rng)
    if recording is not None:
        clean = _images(detectors, expected(recorder, sums[:number]), scan, microscope)
        if patterns:
            recording.said["scan"] = {"not distorted": "patterns are those of the positions that were computed"}
        else:
            sums = recording.spoilt(cell, Signals(sums, scan), recorder, microscope)
    raw = expected(recorder, sums[:number])
    stored: dict[str, Array] = {}
    electrons = (microscope.dose or 0.0) * scan.step[0] * scan.step[1]
    counting = microscope.acquisition is None or microscope.acquisition.counting
    if recorder.cells is not None and microscope.dose is not None and rng is not None and counting:
        pixel = Pixels(recorder.step, recorder.wavelength)
        drawn = draw(recorder.cells, sums[number:], patterns, pixel, electrons=electrons, rng=rng, beyond=told)
        raw, said = _counted(recorder, drawn, electrons)
        record = {**record, "counting": said}
        patterns = _on_camera(recorder, drawn.patterns, detectors, rng)
        patterns = {k: (v / electrons).astype(np.float32) for k, v in patterns.items()}
    else:
        patterns = _on_camera(recorder, patterns, detectors, None)
    if recording is not None:
        raw, stored = recording.stored(raw, detectors, electrons)
    images = _images(detectors, raw, scan, microscope)
    in_counts = _counts(detectors, stored)
    record = record | (_remarks(detectors, microscope) | _said(recording, in_counts) if told else {})
    moved = None if recording is None else recording.displacements
    pacbed, step = _pacbed(recorder)
    return ImageSet(images | in_counts, scan, pacbed, step, patterns, record, clean=clean, displacements=moved)


def _blur(recorder: Recorder, microscope: Microscope) -> float:
    """FWHM in Å of the source, as far as it has not acted."""
    return 0.0 if recorder.blurred else microscope.source_size


def _said(recording: Recording | None, in_counts: dict[str, Array]) -> dict[str, Any]:
    """What an instrument adds to the record."""
    if recording is None:
        return {}
    return {"acquisition": recording.said, "units": dict.fromkeys(in_counts, "counts")}


def _counts(detectors: tuple[Detector, ...], stored: dict[str, Array]) -> dict[str, Array]:
    """Images that are one channel, as their electronics stored it."""
    found = {}
    for detector in detectors:
        names, channels = detector.image_names(), detector.read_out()
        if len(names) == len(channels) == 1 and channels[0] in stored:
            found[names[0]] = stored[channels[0]]
    return found


def _images(
    detectors: tuple[Detector, ...], signals: dict[str, Array], scan: Scan, microscope: Microscope
) -> dict[str, Array]:
    """Images of all detectors by name."""
    images: dict[str, Array] = {}
    for detector in detectors:
        images |= detector.images(signals, scan, microscope)
    return images


def _own_step(recorder: Recorder) -> tuple[float, float]:
    """Pixel in mrad of patterns as they are computed."""
    scale = 1e3 * recorder.wavelength
    return scale * recorder.step[0], scale * recorder.step[1]


def _on_camera(
    recorder: Recorder, patterns: dict[str, Array], detectors: tuple[Detector, ...], rng: np.random.Generator | None
) -> dict[str, Array]:
    """Patterns with the pixels of the camera; with a generator they are counts and stay such."""
    camera, own = recorder.camera, _own_step(recorder)
    if camera is None:
        return patterns
    outer = {d.name: d.outer for d in detectors if d.patterns}
    if rng is None:
        return {name: camera.binned(values, own, outer[name]) for name, values in patterns.items()}
    largest = max(outer, key=lambda name: outer[name])
    caught = camera.caught(patterns[largest], own, outer[largest], rng)
    sizes = {name: 2 * camera.half(angle) + 1 for name, angle in outer.items()}
    return {name: middle(caught, (size, size)) for name, size in sizes.items()}


def _pacbed(recorder: Recorder) -> tuple[Array, tuple[float, float]]:
    """Mean pattern and its pixel in mrad, of whole pixels of what was seen."""
    camera = recorder.camera
    if camera is None:
        return recorder.pacbed, _own_step(recorder)
    seen = recorder.outer if camera.edge(recorder.outer) <= recorder.farthest else recorder.outer - camera.step
    return camera.binned(recorder.pacbed, _own_step(recorder), max(seen, 0.0)), (camera.step, camera.step)


def phonon_errors(
    samples: Samples, mean: Recorder, scan: Scan, microscope: Microscope, detectors: tuple[Detector, ...]
) -> dict[str, Any]:
    """Standard errors of the images of a recorder's mean signals, from samples of the thermal motion.

    ``images`` holds those of `rhotem.microscope.scatter.image_errors`, ``from`` says what was compared.
    """
    fields, how = samples.fields()
    return field_errors(fields, how, mean, scan, microscope, detectors)


def field_errors(
    fields: Array | None,
    how: str,
    mean: Recorder,
    scan: Scan,
    microscope: Microscope,
    detectors: tuple[Detector, ...],
) -> dict[str, Any]:
    """As `phonon_errors`, from perturbations (m, positions, channels) of the mean signals."""
    number = len(mean.channels)
    if fields is None or not number:
        return {"from": how, "images": {}}

    def images_of(signals: Array) -> dict[str, Array]:
        size, between = _blur(mean, microscope), determines(scan, microscope)
        raw = expected(mean, source_blur(signals.T.reshape(-1, *scan.shape), scan, size, between))
        return _images(detectors, raw, scan, microscope)

    return {"from": how, "images": image_errors(mean.sums[:, :number], fields, images_of)}


def expected(recorder: Recorder, sums: Array) -> dict[str, Array]:
    """Signals of all channels as they are on average, deflections in mrad."""
    raw: dict[str, Array] = dict(zip((c.name for c in recorder.channels), sums, strict=True))
    for channel in recorder.channels:
        if channel.role in ("x", "y"):
            raw[channel.name] = raw[channel.name] / raw[channel.plain]
    return raw


def _counted(recorder: Recorder, drawn: Electrons, electrons: float) -> tuple[dict[str, Array], dict[str, Any]]:
    """Signals of all channels from the electrons that were drawn, and what the record says of these.

    A position where a centre of mass saw no electron is not deflected.
    """
    raw: dict[str, Array] = {}
    empty: dict[str, int] = {}
    weighed = {c.plain for c in recorder.channels if c.role in ("x", "y")}
    for channel in recorder.channels:
        if channel.role == "η":
            raw[channel.name] = drawn.weighed(channel) / electrons
        if channel.role:
            continue
        raw[channel.name] = drawn.counted(channel.name) / electrons
        if channel.name in weighed:
            (raw[channel.name + "x"], raw[channel.name + "y"]), nowhere = drawn.deflection(channel.name)
            empty[channel.name] = int(nowhere.sum())
    said: dict[str, Any] = {
        "electrons_per_position": electrons,
        "distribution": "Poisson numbers, drawn once for each disjoint part of the diffraction plane",
    }
    if drawn.elsewhere is not None:
        said["undetected_fraction"] = float(drawn.elsewhere.mean() / electrons)
    if empty:
        said["positions_without_electrons"] = empty
    return raw, said


def _remarks(detectors: tuple[Detector, ...], microscope: Microscope) -> dict[str, Any]:
    """What detectors add to the record."""
    said: dict[str, Any] = {}
    for detector in detectors:
        for key, values in detector.remarks(microscope).items():
            said[key] = {**said.get(key, {}), **values}
    return said


def _blur_patterns(patterns: npt.NDArray, scan: Scan, fwhm: float, between: bool) -> npt.NDArray:
    blurred = source_blur(np.moveaxis(patterns, (0, 1), (2, 3)), scan, fwhm, between)
    return np.moveaxis(blurred, (2, 3), (0, 1)).astype(np.float32)
