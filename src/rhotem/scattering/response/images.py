"""`Response`: what one propagation knows of every image that a lens can make of it."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.threads import available_threads
from rhotem.microscope.cells import Cells
from rhotem.microscope.derive import derive_images, expected, field_errors
from rhotem.microscope.images import ImageSet
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Detector
from rhotem.scattering.response.asked import Asked, Pairs
from rhotem.scattering.response.channels import selection
from rhotem.scattering.response.limits import check_probe, level_of, replaced
from rhotem.scattering.response.matrices import Beams, Twin
from rhotem.scattering.response.range import Range
from rhotem.scattering.response.slopes import gradients
from rhotem.scattering.response.store import save_response

Array = npt.NDArray[Any]

#: Sets of detectors and thicknesses that are kept ready.
READY = 8


@dataclass(frozen=True, eq=False)
class Response:
    """The scattering response of one specimen: Hermitian forms in the beams of the probe, for all of its channels.

    Parameters
    ----------
    microscope : Microscope
        Settings where none are asked for; ``energy`` and ``tilt`` are fixed, ``convergence`` is the largest.
    range : Range
        What it was made for.
    detectors : tuple of detectors
        Those named when it was made.
    kept : tuple of detectors
        Those whose disjoint parts (`rhotem.microscope.cells.Cells`) are its columns.
    beams : Beams
    supercell : (float, float)
        Å.
    thicknesses : tuple of float
        Å.
    matrix : (thicknesses, columns, pairs) complex64 array
        M of every pair of beams that interfere.
    rim : (thicknesses, 2, pairs) complex64 array
        R of the aperture's edge (`rhotem.scattering.response.matrices.rims`).
    record : dict
        How it was made.
    twin : Twin or None
        What tells the error bars of thermal motion.
    rounding : float
        Relative error of the least exact channel of a response that was kept in half precision; 0 of others.
    areas : bool
        It was made when pixels counted by covered parts, version 1 of the store; its images are those of then.
    """

    microscope: Microscope
    range: Range
    detectors: tuple[Detector, ...]
    kept: tuple[Detector, ...]
    beams: Beams
    supercell: tuple[float, float]
    thicknesses: tuple[float, ...]
    matrix: npt.NDArray[np.complex64]
    rim: npt.NDArray[np.complex64]
    record: dict[str, Any]
    twin: Twin | None = None
    rounding: float = 0.0
    areas: bool = False
    _ready: dict[Any, Asked] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> Pairs:
        """Pairs of beams that interfere."""
        return Pairs(self.beams, self.supercell)

    @cached_property
    def cells(self) -> Cells:
        """Disjoint parts of the diffraction plane."""
        return Cells(self.kept)

    @property
    def extent(self) -> tuple[float, float]:
        """Sides in Å of the periodic cell that images show."""
        return self.pairs.cell

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return self.matrix.nbytes + self.rim.nbytes

    @property
    def slope(self) -> float:
        """Largest |∇χ| in rad Å of the range that it was made for."""
        return 2 * np.pi * self.range.radii(self.microscope.convergence, 0.0)[0]

    def __str__(self) -> str:
        edges = ", ".join(f"{edge:g}" for edge in self.cells.edges_of(False))
        (least, most), small, large = self.range.defocus, self.range.convergence, self.microscope.convergence
        channels, beams = self.matrix.shape[1], len(self.beams.vectors)
        (a, b), side = self.extent, self.supercell
        deep = ", ".join(f"{0.1 * t:.3g}" for t in self.thicknesses)
        return "\n".join(
            [
                f"response    {channels} channels, {beams} beams, {1e-6 * self.nbytes:.1f} MB",
                f"lens        {small:g} to {large:g} mrad, defocus {0.1 * least:.3g} to {0.1 * most:.3g} nm",
                f"cell        {a:.2f} × {b:.2f} Å, probes on {side[0]:.1f} × {side[1]:.1f} Å",
                f"edges       {edges} mrad",
                f"thickness   {deep} nm",
                *([f"precision   half, {self.rounding:.1e} of the least exact channel"] if self.rounding else []),
            ]
        )

    def asked(self, settings: Mapping[str, Any], thickness: float) -> Microscope:
        """The microscope with some settings replaced, if the response holds it.

        Raises
        ------
        InputError
            If it does not; the message says what it does hold.
        """
        microscope = replaced(self.microscope, settings)
        check_probe(microscope, self.microscope, min(self.supercell), thickness, "response")
        return microscope

    def level(self, thickness: float | None) -> int:
        """Place of a thickness in Å; None: the largest.

        Raises
        ------
        InputError
            If it is not held.
        """
        return level_of(self.thicknesses, thickness, self.record["plan"]["slice_thickness"], "the response holds")

    def images(
        self,
        detectors: Sequence[Detector] | None = None,
        *,
        thickness: float | None = None,
        scan: Scan | None = None,
        rng: np.random.Generator | None = None,
        **settings: Any,
    ) -> ImageSet:
        """Images as a simulation with these settings gives them.

        Parameters
        ----------
        detectors : sequence of detectors or None
            None: those named when it was made.
        thickness : float or None
            Å; None: the largest.
        scan : Scan or None
            Positions; None: those that determine the image of one cell.
        rng : numpy Generator or None
            Needed with a dose.
        **settings
            Fields of `Microscope` that differ: ``convergence`` in mrad, ``defocus``, ``cs`` in Å, ``aberrations``,
            ``source_size``, ``focal_spread`` in Å, ``dose`` in e/Å² (None: no counting). ``aberrations`` replace all.

        Returns
        -------
        ImageSet
            Without a position-averaged pattern.

        Raises
        ------
        InputError
            If the response does not hold a setting, an edge of a detector or the thickness.
        """
        level = self.level(thickness)
        microscope = self.asked(settings, self.thicknesses[level])
        if microscope.dose is not None and rng is None:
            raise InputError("a dose needs a random generator: pass rng=numpy.random.default_rng(seed)")
        shown = tuple(self.detectors if detectors is None else detectors)
        asked = self.ready(shown, level, counted=microscope.dose is not None)
        scan = scan or Scan.cell(self.extent, microscope)
        signals = asked.signals(asked.spectrum(microscope), scan, microscope.source_size)
        recorder = asked.recorder.part(scan.shape[0] * scan.shape[1])
        recorder.sums = signals.reshape(len(signals), -1).T
        recorder.pacbed, recorder.blurred = np.zeros((0, 0)), True
        record = {**self.record, "microscope": microscope.model_dump(), "detectors": [d.model_dump() for d in shown]}
        record |= {"thickness": self.thicknesses[level], "response": True}
        record["phonon_error"] = self._errors(shown, level, microscope, scan, recorder)
        return derive_images(recorder, scan, microscope, shown, rng, record)

    def series(
        self,
        detectors: Sequence[Detector] | None = None,
        *,
        thickness: float | Sequence[float] | Array | None = None,
        scan: Scan | None = None,
        threads: int | None = None,
        **settings: Any,
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Noise-free images of many settings: by name, (settings, nx, ny).

        Every argument is one value or a sequence of as many as there are settings; others as `images`. The scan is one
        for all, that of the largest aperture. ``aberrations`` is a dictionary or a sequence of them.
        """
        every = list(_rows({"thickness": thickness, **settings}))
        shown = tuple(self.detectors if detectors is None else detectors)
        levels = [self.level(row.pop("thickness")) for row in every]
        if any(row.get("dose") is not None for row in every):
            raise InputError("a series is noise-free: ask for images with a dose one by one, or count them afterwards")
        lenses = [self.asked({**row, "dose": None}, self.thicknesses[n]) for row, n in zip(every, levels, strict=True)]
        scan = scan or Scan.cell(self.extent, max(lenses, key=lambda lens: lens.convergence))
        ready = {n: self.ready(shown, n) for n in sorted(set(levels))}
        result: dict[str, npt.NDArray[np.float32]] = {}
        names = [name for detector in shown for name in detector.image_names()]
        for name in names:
            result[name] = np.empty((len(lenses), *scan.shape), dtype=np.float32)

        def one(place: int) -> None:
            asked, lens = ready[levels[place]], lenses[place]
            signals = asked.signals(asked.spectrum(lens), scan, lens.source_size)
            raw = expected(asked.recorder, signals)
            for detector in shown:
                for name, image in detector.images(raw, scan, lens).items():
                    result[name][place] = image

        with ThreadPoolExecutor(threads or available_threads()) as pool:
            list(pool.map(one, range(len(lenses))))
        return result

    def gradients(
        self,
        parameters: Sequence[str],
        detectors: Sequence[Detector] | None = None,
        *,
        thickness: float | None = None,
        scan: Scan | None = None,
        **settings: Any,
    ) -> dict[str, dict[str, Array]]:
        """Derivatives of noise-free images: parameter -> image -> (nx, ny); other arguments as `images`.

        ``parameters`` are names of aberrations, ``defocus``, ``cs``, ``convergence``, ``focal_spread``,
        ``source_size``; images per Å, rad (azimuths) or mrad.
        """
        level = self.level(thickness)
        microscope = self.asked({**settings, "dose": None}, self.thicknesses[level])
        shown = tuple(self.detectors if detectors is None else detectors)
        asked = self.ready(shown, level)
        return gradients(asked, shown, microscope, scan or Scan.cell(self.extent, microscope), parameters)

    def ready(
        self, detectors: tuple[Detector, ...], level: int, *, counted: bool = False, twin: Twin | None = None
    ) -> Asked:
        """Detectors at one thickness, their columns summed up; the last few are kept. With ``twin``: its changes."""
        key = (detectors, level, counted, twin)
        if key in self._ready:
            return self._ready[key]
        for detector in detectors:
            if not detector.channels():
                raise InputError(f"detector {detector.name}: a response holds signals, not patterns; simulate those")
        recorder = Recorder(detectors, 0, self.microscope.wavelength, self.supercell, counted=counted, areas=self.areas)
        chosen = selection(self.cells, recorder, detectors)
        asked = Asked(self.pairs, recorder, self.pairs.table, *_summed(self.matrix[level], self.rim[level], chosen))
        if twin is not None:
            table = np.ascontiguousarray(self.pairs.table[twin.rows])
            asked = Asked(self.pairs, recorder, table, *_summed(twin.matrix[level], twin.rim[level], chosen))
        while len(self._ready) >= READY:
            self._ready.pop(next(iter(self._ready)))
        self._ready[key] = asked
        return asked

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Write it as a Zarr group (`rhotem.scattering.response.open_response` reads it).

        ``half``: in half precision, half as large; `rounding` of what is opened says the error.
        """
        save_response(self, Path(path), half=half)

    def at(self, thicknesses: Sequence[float]) -> "Response":
        """The same response with fewer thicknesses."""
        levels = [self.level(t) for t in thicknesses]
        held = tuple(self.thicknesses[n] for n in levels)
        twin = self.twin and Twin(self.twin.rows, self.twin.matrix[levels], self.twin.rim[levels])
        return replace(self, thicknesses=held, matrix=self.matrix[levels], rim=self.rim[levels], twin=twin, _ready={})

    def _errors(
        self, detectors: tuple[Detector, ...], level: int, microscope: Microscope, scan: Scan, mean: Recorder
    ) -> dict[str, Any]:
        """Error bars of thermal motion (`rhotem.microscope.scatter`)."""
        if self.twin is None:
            return {"from": "not known from one configuration", "images": {}}
        asked = self.ready(detectors, level, twin=self.twin)
        change = asked.signals(asked.spectrum(microscope), scan, microscope.source_size)
        fields = change.reshape(1, len(change), -1).swapaxes(1, 2)
        return field_errors(fields, "one share of the kappa in two configurations", mean, scan, microscope, detectors)


def mean_response(responses: Sequence[Response]) -> Response:
    """The mean of responses of one specimen with other displacements: fewer errors of thermal motion.

    Raises
    ------
    InputError
        If there are none, or they hold different beams, lenses, channels or thicknesses.
    """
    if not responses:
        raise InputError("mean of responses: give one or more")
    first, number = responses[0], len(responses)
    if number == 1:
        return first
    for other in responses[1:]:
        if _held(other) != _held(first) or not np.array_equal(other.beams.vectors, first.beams.vectors):
            raise InputError("mean of responses: they hold different beams, lenses, channels or thicknesses")
    matrix = sum((one.matrix for one in responses[1:]), first.matrix) / np.float32(number)
    rim = sum((one.rim for one in responses[1:]), first.rim) / np.float32(number)
    record = {**first.record, "sets_of_displacements": number}
    return replace(first, matrix=matrix, rim=rim, twin=None, record=record, _ready={})


def _held(one: Response) -> tuple[Any, ...]:
    """What responses of one specimen share, beside the vectors of their beams."""
    waves = one.microscope.energy, one.microscope.tilt, one.microscope.convergence
    return waves, one.supercell, one.beams.period, one.beams.sizes, one.kept, one.thicknesses, one.areas


def _summed(matrix: Array, rim: Array, chosen: Array) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.complex64]]:
    """Columns (pairs, chosen) as sums of those stored, and R (pairs, 2)."""
    result = np.zeros((matrix.shape[1], len(chosen)), dtype=np.complex64)
    for column in np.flatnonzero(chosen.any(axis=0)):
        for target in np.flatnonzero(chosen[:, column]):
            result[:, target] += matrix[column]
    return result, np.ascontiguousarray(rim.T)


def _rows(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Settings one by one, of single values and sequences of equal length."""
    many = {k: list(v) for k, v in settings.items() if isinstance(v, Sequence | np.ndarray) and not isinstance(v, str)}
    lengths = {len(values) for values in many.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise InputError(
            f"series of {', '.join(f'{len(v)} {k}' for k, v in many.items())}: give equally many of each, at least one"
        )
    for n in range(lengths.pop() if lengths else 1):
        row = {**settings, **{name: values[n] for name, values in many.items()}}
        yield {
            name: float(value) if isinstance(value, np.floating | np.integer) else value for name, value in row.items()
        }
