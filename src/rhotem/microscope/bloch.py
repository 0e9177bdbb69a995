r"""Multislice of a probe in a laterally periodic crystal, done beam by beam in one small cell.

A potential with lateral period P scatters the plane wave ``exp(2πi k·r)`` into ``exp(2πi k·r) u(r)`` where ``u`` has
the period P (Bloch's theorem holds slice by slice). So each plane wave of the probe can be propagated on the grid of
P, and the probe on a large supercell L = (m1, m2)·P, whose beams are ``k = h/L``, is their sum

    ψ(κ+G; r0) = Σ_H a(κ+H) exp(−2πi (κ+H)·r0) S_κ(G, H)

with ``κ`` the part of ``k`` inside the first reciprocal cell of P and ``G, H`` reciprocal vectors of P. Beams of
different κ never mix. The result equals multislice on L to rounding; the work is smaller by the number of cells in L
times the ratio of probe positions to beams. This is the scattering matrix of Ophus (Adv. Struct. Chem. Imaging 3, 13,
2017) without its interpolation, for a periodic potential. A slice acts in its middle: the beam travels half a slice
before the first and after the last, so that focus does not move with the thickness of slices.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.threads import available_threads
from rhotem.microscope.assembly import Assembly, BeamGroup, path
from rhotem.microscope.optics import aperture_weights, band_limit, beyond, cutoff_frequency, opening_of
from rhotem.microscope.record import Recorder
from rhotem.microscope.settings import Microscope
from rhotem.microscope.transforms import BandLimited, fast_grid
from rhotem.microscope.transmission import FINE_BYTES, Passage, transmission

Complex = npt.NDArray[np.complex64]

#: Bytes of wave function that one thread sends at a time, and waves that share the reading of a slice at least.
BATCH_BYTES, TOGETHER = 512 * 1024, 4


def supercell_beams(
    microscope: Microscope,
    extent: tuple[float, float],
    tiling: tuple[int, int],
    weights: Callable[..., npt.NDArray[np.floating]] = aperture_weights,
) -> list[BeamGroup]:
    """Beams of the aperture on the supercell ``tiling`` × ``extent`` (Å) that have ``weights``, grouped by κ."""
    step = np.array([1 / (m * l) for m, l in zip(tiling, extent, strict=True)])
    radius = opening_of(microscope) + beyond((step[0], step[1]))
    n1, n2 = (int(radius / s) + 1 for s in step)
    h = np.stack(np.meshgrid(np.arange(-n1, n1 + 1), np.arange(-n2, n2 + 1), indexing="ij"), axis=-1).reshape(-1, 2)
    k = h * step
    h = h[weights(k[:, 0], k[:, 1], microscope, (step[0], step[1])) != 0]
    m = np.array(tiling)
    kappa = (h + m // 2) % m - m // 2
    groups = {}
    for key in sorted({tuple(x) for x in kappa.tolist()}):
        rows = (kappa == key).all(axis=1)
        groups[key] = BeamGroup(np.array(key), (h[rows] - kappa[rows]) // m)
    return list(groups.values())


def cached_waves(grid: tuple[int, int]) -> int:
    """How many waves on a grid one thread sends together: those that stay in its cache, and a few at least."""
    return max(TOGETHER, BATCH_BYTES // (8 * grid[0] * grid[1]))


class _Worker(BandLimited):
    """One thread's waves with their Fourier transforms."""

    def passes(
        self,
        vectors: npt.NDArray[np.int64],
        transmission: Collection[npt.NDArray | None],
        over: Callable[[int, bool], Complex],
        exits: Collection[int],
    ) -> Iterator[int]:
        """Send the plane waves H through the slices; after ``exits``, `waves` holds the Fourier coefficients.

        ``over`` gives the propagator over so many slices, which are crossed at one go where they are None, and whether
        a slice has acted before.
        """
        y = np.arange(self.waves.shape[2]) / self.waves.shape[2]
        self.waves[:], self.used = 0, len(vectors)
        for wave, (hx, hy) in zip(self.waves, vectors, strict=False):
            wave[hx] = np.exp(2j * np.pi * hy * y)
        behind, acted = 0, False  # slices to travel before the next acts; whether one has since the last travel
        for step, acting in enumerate(transmission, 1):
            if acting is not None:
                if behind:
                    self.between(over(behind, acted))()
                self.through(acting)
                behind, acted = 0, True
            behind += 1
            if step in exits:
                self.coefficients(over(behind, acted))
                behind, acted = 0, False
                yield step
                if step < len(transmission):
                    self.values()


class BlochEngine:
    """Propagates the beams of a probe through potentials that share one grid.

    Parameters
    ----------
    microscope : Microscope
    extent : (float, float)
        Lateral cell P in Å.
    shape : (int, int)
        Grid of the waves on P; that of the potential, or a coarser one.
    thickness : float
        Slice thickness in Å.
    tiling : (int, int)
        The probe's supercell L in units of P.
    threads : int or None
        None: all processors available.
    edge_average : bool
        Average over the pixels of aperture and detector edges (`rhotem.microscope.rim`). False: the plain probe of
        the supercell.
    refine : bool
        Continue the potential, which is band-limited, to a slightly finer grid where that makes transforms faster.
        False: transform on the potential's own grid.
    batch : int or None
        Waves transformed together, whatever number is asked for; None: as many as stay in the cache.
    """

    def __init__(
        self,
        microscope: Microscope,
        extent: tuple[float, float],
        shape: tuple[int, int],
        thickness: float,
        tiling: tuple[int, int],
        threads: int | None = None,
        edge_average: bool = True,
        refine: bool = True,
        batch: int | None = None,
    ) -> None:
        self.microscope, self.extent, self.shape = microscope, extent, shape
        self.grid = fast_grid(shape) if refine else shape
        self.thickness, self.tiling = thickness, tiling
        self.supercell = (extent[0] * tiling[0], extent[1] * tiling[1])
        self.groups = supercell_beams(microscope, extent, tiling)
        self.threads = threads or available_threads()
        most = max(len(group.vectors) for group in self.groups)
        self.batch = int(max(1, min(batch or -(-most // self.threads), cached_waves(self.grid))))
        self._workers: SimpleQueue[_Worker] = SimpleQueue()
        for _ in range(self.threads):
            self._workers.put(_Worker(self.batch, self.grid, self._highest()))
        self._g = tuple(np.rint(np.fft.fftfreq(n) * n).astype(np.int64) for n in self.grid)
        self.probe = Assembly(microscope, self.supercell, tiling, tuple(self.groups), thickness, edge_average)

    @property
    def sampling(self) -> tuple[float, float]:
        """Step in Å of the waves, whose band limit holds on a finer grid that is transformed, too."""
        return self.extent[0] / self.shape[0], self.extent[1] / self.shape[1]

    def _highest(self) -> int:
        """Largest index along x of coefficients κ + G within the band limit."""
        return int(cutoff_frequency(self.sampling) * self.extent[0] + 0.5)

    @property
    def beams(self) -> int:
        """Number of beams in the probe."""
        return sum(len(group.vectors) for group in self.groups)

    def transmission(self, slices: npt.NDArray) -> Complex:
        """Band-limited transmission functions ``exp(iσV_s)`` of projected slices (S, nx, ny) in V·Å."""
        return self._transmission(slices, packed=False)

    def prepared(self, slices: npt.NDArray) -> Passage:
        """The same in the order that `scattered` takes them, nothing in place of empty slices."""
        acting = [bool(np.any(one)) for one in slices]
        places = np.where(acting, np.cumsum(acting) - 1, -1)
        held = slices if all(acting) else slices[np.flatnonzero(acting)]
        return Passage(self._transmission(held, packed=True), tuple(places.tolist()))

    def _transmission(self, slices: npt.NDArray, packed: bool) -> npt.NDArray:
        data = (slices, self.grid, self.extent, self.microscope.interaction, self.threads)
        return transmission(*data, sampling=self.sampling, packed=packed)

    def propagators(self, kappa: npt.NDArray[np.int64]) -> Callable[[int, bool], Complex]:
        """`propagator` over any number of slices, each made once.

        Behind none that acts its 1/N is that of y alone, and the band's edge has been tapered already: waves that an
        exit interrupts between two slices are those that pass without one.
        """
        made: dict[tuple[int, bool], Complex] = {}

        def over(number: int, acted: bool) -> Complex:
            key = number, acted
            if key not in made:  # threads that make one at the same time go on with the same array
                made.setdefault(key, self.propagator(kappa, number, limited=acted))
            return made[key]

        return over

    def propagator(self, kappa: npt.NDArray[np.int64], number: int = 1, limited: bool = True) -> Complex:
        """Free propagation over so many slices for components κ + G, with the 1/N of the transform.

        ``limited``: behind a slice that acts, so the band is limited; otherwise the 1/N is that of y alone.
        """
        kx = (kappa[0] / self.supercell[0] + self._g[0] / self.extent[0])[:, None]
        ky = (kappa[1] / self.supercell[1] + self._g[1] / self.extent[1])[None]
        limit = band_limit(kx**2 + ky**2, self.sampling) / self.grid[0] if limited else 1.0
        limit = limit / self.grid[1]
        return (limit * np.exp(-1j * path(self.microscope, kx, ky, number * self.thickness))).astype(np.complex64)

    def run(
        self,
        slices: npt.NDArray,
        positions: npt.NDArray[np.float64],
        recorders: dict[int, Recorder],
        advance: Callable[[int], None] = lambda beams: None,
        groups: "Sequence[BeamGroup] | None" = None,
    ) -> None:
        """Propagate one potential configuration and add its intensities to the recorders.

        Parameters
        ----------
        slices : (S, nx, ny) array
            Projected slices in V·Å on the grid of the waves or a multiple of it.
        positions : (n, 2) array
            Probe positions in Å.
        recorders : dict
            Recorder for each exit: number of slices passed -> where to add. All see the same detectors.
        advance : callable
            Told how many beams have been finished.
        groups : sequence of BeamGroup, optional
            The part of ``self.groups`` to propagate; None: all. Beams of different κ never interfere, so every group
            may go through a frozen-phonon configuration of its own.
        """
        if any(n % m for n, m in zip(slices.shape[1:], self.shape, strict=True)):
            raise InputError(f"potential grid {slices.shape[1:]} differs from the first configuration's {self.shape}")
        transmission = self.prepared(slices)
        reach = next(iter(recorders.values())).reach
        exits = sorted(recorders)
        for group in self.groups if groups is None else groups:
            beams, matrices = self.scattered(group, transmission, reach, exits, advance)
            for exit_slice, matrix in zip(exits, matrices, strict=True):
                self.probe.add(group, matrix, beams, positions, recorders[exit_slice])

    def exit_wave(self, slices: npt.NDArray) -> Complex:
        """Fourier coefficients (nx, ny) of the exit wave of a plane wave along the axis, |ψ|² summing to at most 1.

        A few slices are in memory at a time, so that they may lie on disk (`rhotem.potential.stream_read`).
        """
        return self.exit_waves(slices, [len(slices)])[0]

    def exit_waves(self, slices: npt.NDArray, exits: Sequence[int]) -> Complex:
        """The same (exits, nx, ny) behind so many slices, in increasing order."""
        worker = self._workers.get()
        try:
            axis = np.zeros(2, dtype=np.int64)
            kx, ky = (g / length for g, length in zip(self._g, self.extent, strict=True))
            back = np.exp(1j * path(self.microscope, kx[:, None], ky[None], self.thickness / 2))
            passes = worker.passes(axis[None], _InBlocks(self, slices), self.propagators(axis), set(exits))
            # a worker goes on with its waves
            return np.stack([(worker.waves[0] * back).astype(np.complex64) for _ in passes])
        finally:
            self._workers.put(worker)

    def on_the_way(
        self, group: BeamGroup, transmission: Passage, slices: Sequence[int]
    ) -> Iterator[tuple[int, Complex]]:
        """Fourier coefficients (beams, nx, ny) of all beams of one κ in the middle of ``slices``, before these act.

        Arrays are valid until the next; ``transmission`` is that of `prepared`, ``slices`` rise.
        """
        worker = _Worker(len(group.vectors), self.grid, self._highest())
        if slices and slices[0] == 0:
            plane = np.zeros_like(worker.waves)
            plane[np.arange(len(plane)), group.vectors[:, 0], group.vectors[:, 1]] = 1
            yield 0, plane
        later = [s for s in slices if s]
        if later:
            passed = worker.passes(group.vectors, transmission[: later[-1]], self.propagators(group.kappa), later)
            yield from ((step, worker.waves) for step in passed)

    def scattered(
        self,
        group: BeamGroup,
        transmission: Passage,
        reach: float,
        exits: list[int],
        advance: Callable[[int], None] = lambda beams: None,
    ) -> tuple[npt.NDArray[np.int64], list[Complex]]:
        """Beams within ``reach`` (1/Å) and what the probe's beams of one κ scatter into them, at each exit.

        Beams (m, 2) are in units of the supercell's reciprocal cell, matrices (beams in, m) are Fourier coefficients
        half a slice behind the last one. ``transmission`` is that of `prepared`.
        """
        keep = self._kept(group.kappa, reach)
        matrices = self._scatter(group, transmission, keep, exits, advance)
        return self._kept_beams(group.kappa, keep), matrices

    def kept_beams(self, group: BeamGroup, reach: float) -> npt.NDArray[np.int64]:
        """Beams (m, 2) within ``reach`` (1/Å) that `scattered` gives for a group."""
        return self._kept_beams(group.kappa, self._kept(group.kappa, reach))

    def entrance_phase(self, beams: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Phase in rad that beams (n, 2) of the supercell lose before the middle of the first slice."""
        return self.probe.entrance_phase(beams)

    def members(self, group: BeamGroup) -> npt.NDArray[np.int64]:
        """Beams (n, 2) of a group in units of the supercell's reciprocal cell."""
        return self.probe.members(group)

    def _kept(self, kappa: npt.NDArray[np.int64], reach: float) -> npt.NDArray[np.int64]:
        """Flat indices of the G whose κ + G a detector sees."""
        kx = (kappa[0] / self.supercell[0] + self._g[0] / self.extent[0])[:, None]
        ky = (kappa[1] / self.supercell[1] + self._g[1] / self.extent[1])[None]
        return np.flatnonzero(kx**2 + ky**2 <= reach**2)

    def _kept_beams(self, kappa: npt.NDArray[np.int64], keep: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        i, j = np.unravel_index(keep, self.grid)
        g = np.stack([self._g[0][i], self._g[1][j]], axis=1)
        return kappa + g * np.array(self.tiling)

    def _scatter(
        self,
        group: BeamGroup,
        transmission: Passage,
        keep: npt.NDArray[np.int64],
        exits: list[int],
        advance: Callable[[int], None],
    ) -> list[Complex]:
        """Scattering matrices (beams in, beams out) at each exit."""
        over = self.propagators(group.kappa)
        matrices = [np.empty((len(group.vectors), len(keep)), dtype=np.complex64) for _ in exits]

        def work(rows: npt.NDArray[np.int64]) -> int:
            worker = self._workers.get()
            try:
                for step in worker.passes(group.vectors[rows], transmission[: exits[-1]], over, exits):
                    coefficients = worker.waves[: len(rows)].reshape(len(rows), -1)
                    matrices[exits.index(step)][rows] = coefficients[:, keep]
            finally:
                self._workers.put(worker)
            return len(rows)

        chunks = np.split(np.arange(len(group.vectors)), range(self.batch, len(group.vectors), self.batch))
        with ThreadPoolExecutor(self.threads) as pool:
            for done in pool.map(work, chunks):
                advance(done)
        return matrices


@dataclass(frozen=True)
class _InBlocks(Collection[npt.NDArray | None]):
    """Transmission functions of slices, made a few at a time: enough for one pass."""

    engine: BlochEngine
    slices: npt.NDArray

    def __len__(self) -> int:
        return len(self.slices)

    def __contains__(self, item: object) -> bool:
        return False

    def __iter__(self) -> Iterator[npt.NDArray | None]:
        size = max(1, FINE_BYTES // (8 * self.slices.shape[1] * self.slices.shape[2]))
        for start in range(0, len(self), size):
            yield from self.engine.prepared(self.slices[start : start + size])
