"""How fast this machine is just now, by a probe of half a second, against that on which the cost model was measured."""

import time
from functools import lru_cache

import numpy as np

#: Grid of the waves of the probe, their number, and the slices that they pass at a time.
GRID, WAVES, SLICES = (128, 384), 4, 8
#: Seconds of one core for one of these waves and a slice where the constants of `rhotem.microscope.cost` were measured:
#: a virtual core of a 4th-generation Xeon beside other work.
REFERENCE = 170e-6
#: Seconds of one core that the probe takes, at least.
LASTING = 0.4


@lru_cache(maxsize=1)
def pace() -> float:
    """Time of propagation on one core of this machine over that of the reference; measured once per process.

    The time is that of the processor; what other programs do beside makes it longer only as far as they share caches.
    """
    from rhotem.microscope.lanes import LANES
    from rhotem.microscope.strips import aligned
    from rhotem.microscope.transforms import BandLimited

    waves = BandLimited(WAVES, GRID, GRID[0] // 3)
    slices = aligned((SLICES, GRID[1] // LANES, GRID[0], 2, LANES))
    slices[:] = np.sqrt(0.5)
    travel = waves.between(np.full(GRID, 1 / (GRID[0] * GRID[1]), dtype=np.complex64))
    spent: list[float] = []
    while sum(spent[1:]) < LASTING:  # the first compiles
        waves.waves[:] = 0
        waves.waves[:, 0] = 1
        start = time.thread_time()
        for one in slices:
            waves.through(one)
            travel()
        spent.append(time.thread_time() - start)
    return float(np.median(spent[1:])) / (WAVES * SLICES * REFERENCE)
