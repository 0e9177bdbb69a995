"""Maps of core losses: how probably a probe loses energy to the core of one element.

The beam comes to each atom as it would without losses, in Bloch beams, and what an atom scatters is collected whole
(single channel, large collection angle), so that a map is a Hermitian form in the beams of the probe,

    I(r0) = Σ_κ Σ_HH' a(H) M(H,H') a*(H'),     M(H,H') = Σ_s ⟨ψ_H(r) W_s(r) ψ*_H'(r)⟩ over the cell,

with W_s the `rhotem.microscope.ionisation.lattice` of the atoms in slice s and ψ_H the wave of beam H in its middle.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MemoryLimitError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.microscope.bloch import BeamGroup, BlochEngine, supercell_beams
from rhotem.microscope.coherence import focal_nodes
from rhotem.microscope.cost import Sizes, core_loss_bytes, spread
from rhotem.microscope.images import ImageSet
from rhotem.microscope.ionisation import CoreEdge, Ionisation, lattice
from rhotem.microscope.optics import cutoff_frequency
from rhotem.microscope.plan import free_memory, probe_window
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Microscope
from rhotem.microscope.signals import source_blur
from rhotem.microscope.transforms import fast_grid
from rhotem.microscope.transmission import Passage
from rhotem.potential.planes import planes_of

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complexfloating]

#: Points whose waves, weighed waves and conjugates stay in the cache.
BLOCK = 512


@dataclass(frozen=True, eq=False)
class Placed:
    """The atoms of a potential.

    Parameters
    ----------
    numbers : (N,) int array
        Elements.
    positions : (N, 3) array
        Sites in Å in its cell.
    displacements : (N, 3) array or None
        From them, in Å, as in the potential. An atom loses energy in the slice that its potential is in.
    """

    numbers: npt.NDArray[np.int64]
    positions: Array
    displacements: Array | None = None


def core_loss_maps(
    specimen: "Iterable[tuple[PotentialSlices, Placed]]",
    microscope: Microscope,
    edges: Sequence[str | CoreEdge],
    *,
    repeats: tuple[int, int] = (1, 1),
    configurations: int = 1,
    progress: Progress = silent,
) -> ImageSet:
    """Maps of core losses of a crystal, probabilities per eV of loss and electron, over one of its equal cells.

    Parameters
    ----------
    specimen : iterable of (PotentialSlices, Placed)
        Thermal configurations, through each of which a share of the κ goes; at rest: one.
    microscope : Microscope
        Of the probe. Losses are collected whatever their angle, without noise.
    edges : sequence of str or CoreEdge
        Such as ``"O-K"`` or ``"Co-L23"``.
    repeats : (int, int)
        Equal cells in the potential along x and y.
    configurations : int
        Their number.
    progress : Progress

    Returns
    -------
    ImageSet
        A map for each edge, by its name; the record says loss in eV and cross-section in Å²/eV.

    Raises
    ------
    InputError
        If an edge is unknown, its element is not in the specimen, or grids differ.
    MissingDependencyError
        If GPAW is not there.
    MemoryLimitError
        If it does not fit.
    """
    wanted = [CoreEdge.named(edge) if isinstance(edge, str) else edge for edge in edges]
    if not wanted:
        raise InputError("no edge: name one, such as O-K or Co-L23")
    start, number, loss = time.perf_counter(), 0, None
    total: Array | float = 0.0
    for slices, atoms in specimen:
        if loss is None:
            loss = _Losses.of(slices, microscope, wanted, repeats, configurations)
        elif slices.array.shape != loss.shape:
            raise InputError(f"configuration {number + 1} has another grid {slices.array.shape} than the first")
        elif number == configurations:
            raise InputError(f"more potentials than the {configurations} configurations announced")
        total = total + loss.maps(slices, atoms, slice(number, None, configurations), progress)
        number += 1
    if loss is None:
        raise InputError("no potential: give at least one configuration")
    if number < configurations:
        raise InputError(f"{number} potentials, but {configurations} configurations were announced")
    said = {"configurations": number, "potential": slices.record, "seconds": time.perf_counter() - start}
    return loss.images(np.asarray(total), repeats, said)


def tiling_of(sizes: Sizes, microscope: Microscope, edges: Sequence[CoreEdge], configurations: int) -> tuple[int, int]:
    """The probe's supercell in cells of the potential, if maps of losses on it fit into memory.

    Raises
    ------
    MemoryLimitError
        If all beams of one κ with what comes of them take more than 80 % of what is free.
    """
    window = probe_window(microscope, sizes.slices * sizes.thickness)
    m, n = (max(1, int(np.ceil(window / length - 1e-6))) for length in sizes.extent)
    tiling = spread((m, n), sizes.extent, configurations)
    most = max(len(group.vectors) for group in supercell_beams(microscope, sizes.extent, tiling))
    points = float(np.prod(fast_grid(sizes.shape)))
    needed = core_loss_bytes(most, points, len(edges)) + sizes.alive(configurations)
    if needed > 0.8 * free_memory():
        raise MemoryLimitError(
            f"maps of core losses need {1e-9 * needed:.1f} GB, {0.8e-9 * free_memory():.1f} GB allowed: {most} beams "
            "of one κ at a time; take a smaller cell, a coarser grid or a smaller aperture"
        )
    return tiling


@dataclass(frozen=True, eq=False)
class _Losses:
    """One grid's engine, edges and positions of the probe.

    ``hats`` (edges, nx, ny) are Fourier coefficients of the `lattice` of an atom in the corner.
    """

    engine: BlochEngine
    scan: Scan
    shape: tuple[int, ...]
    ionisations: list[Ionisation]
    hats: Complex

    @classmethod
    def of(
        cls,
        slices: "PotentialSlices",
        microscope: Microscope,
        edges: list[CoreEdge],
        repeats: tuple[int, int],
        configurations: int,
    ) -> "_Losses":
        extent, grid, thickness = slices.extent, slices.wave_grid, slices.thickness
        tiling = tiling_of(Sizes.of(slices), microscope, edges, configurations)
        engine = BlochEngine(microscope, extent, grid, thickness, tiling)
        cell = Scan.cell((extent[0] / repeats[0], extent[1] / repeats[1]), microscope)
        scan = Scan((cell.shape[0] * repeats[0], cell.shape[1] * repeats[1]), extent)
        found = [Ionisation(edge, microscope.energy, cutoff_frequency(engine.sampling)) for edge in edges]
        hats = [np.fft.fft2(lattice(one, extent, engine.grid), norm="forward") for one in found]
        return cls(engine, scan, slices.array.shape, found, np.array(hats))

    def images(self, mean: Array, repeats: tuple[int, int], said: dict[str, Any]) -> ImageSet:
        """Maps of one of the equal cells from probabilities (edges, positions)."""
        microscope, (nx, ny) = self.engine.microscope, (n // r for n, r in zip(self.scan.shape, repeats, strict=True))
        one = Scan((nx, ny), (self.scan.size[0] / repeats[0], self.scan.size[1] / repeats[1]))
        cells = mean.reshape(len(mean), repeats[0], nx, repeats[1], ny).mean(axis=(1, 3))
        names = [ionisation.edge.name for ionisation in self.ionisations]
        record = {
            "microscope": microscope.model_dump(),
            "mode": "core losses, collected whole",
            "detectors": [],
            "edges": {ionisation.edge.name: ionisation.record() for ionisation in self.ionisations},
            "units": dict.fromkeys(names, "1/eV"),
            "thickness": self.shape[0] * self.engine.thickness,
            "versions": versions(),
            **said,
        }
        blurred = source_blur(cells, one, microscope.source_size)
        return ImageSet(dict(zip(names, blurred, strict=True)), one, np.zeros((0, 0)), (0.0, 0.0), record=record)

    def maps(self, slices: "PotentialSlices", atoms: Placed, share: slice, progress: Progress) -> Array:
        """Probabilities (edges, positions) that a share of the κ adds, of one configuration."""
        weights = self._weights(slices, atoms)
        transmission = self.engine.prepared(np.asarray(slices.array))
        total = np.zeros((len(self.ionisations), len(self.scan.positions)))
        for place in range(len(self.engine.groups))[share]:
            group = self.engine.groups[place]
            total += self._seen(group, self._forms(group, transmission, weights))
            progress("core losses", place + 1, len(self.engine.groups))
        return total

    def _weights(self, slices: "PotentialSlices", atoms: Placed) -> dict[int, dict[int, npt.NDArray[np.float32]]]:
        """W (nx, ny) on the grid of the waves by slice and edge, where there are atoms of it."""
        number, grid = len(slices.array), self.engine.grid
        moved = atoms.displacements
        along = None if moved is None else moved[:, 2]
        place = planes_of(atoms.positions[:, 2], number * slices.thickness, number, along)
        positions = atoms.positions if moved is None else atoms.positions + moved
        gx, gy = (np.fft.fftfreq(n) * n / length for n, length in zip(grid, slices.extent, strict=True))
        result: dict[int, dict[int, npt.NDArray[np.float32]]] = {}
        for e, ionisation in enumerate(self.ionisations):
            chosen = atoms.numbers == ionisation.edge.number
            if not chosen.any():
                raise InputError(f"edge {ionisation.edge.name}: no {ionisation.edge.symbol} in the specimen")
            for s in np.unique(place[chosen]):
                x, y = positions[chosen & (place == s), :2].T
                phases = np.exp(-2j * np.pi * gx[:, None] * x) @ np.exp(-2j * np.pi * gy[:, None] * y).T
                weight = np.fft.ifft2(self.hats[e] * phases, norm="forward").real
                result.setdefault(int(s), {})[e] = weight.astype(np.float32)
        return result

    def _forms(
        self, group: BeamGroup, transmission: Passage, weights: dict[int, dict[int, npt.NDArray[np.float32]]]
    ) -> Complex:
        """M (edges, beams, beams) of the beams of one κ."""
        import scipy.fft

        size = len(group.vectors)
        result = np.zeros((len(self.ionisations), size, size), dtype=np.complex64)
        for s, coefficients in self.engine.on_the_way(group, transmission, sorted(weights)):
            waves = scipy.fft.ifft2(coefficients, norm="forward", workers=self.engine.threads).reshape(size, -1)
            found = {e: weight.ravel() / np.float32(weight.size) for e, weight in weights[s].items()}
            for start in range(0, waves.shape[1], BLOCK):
                some = waves[:, start : start + BLOCK]
                turned = some.conj().T
                for e, weight in found.items():
                    result[e] += (some * weight[start : start + BLOCK]) @ turned
        return result

    def _seen(self, group: BeamGroup, forms: Complex) -> Array:
        """Probabilities (edges, positions) from what the beams of one κ give."""
        probe, total = self.engine.probe, np.zeros((len(forms), len(self.scan.positions)))
        covered = probe.covered(group)
        rim = (covered * (1 - covered) / probe.norm**2) @ np.diagonal(forms.real, axis1=1, axis2=2).T
        for offset, share in zip(*focal_nodes(self.engine.microscope), strict=True):
            amplitudes = probe.plane_waves(group, self.scan.positions, offset) * covered.astype(np.float32)
            for e, form in enumerate(forms):
                total[e] += share * (((amplitudes @ form) * amplitudes.conj()).real.sum(axis=1) + rim[e])
        return total
