"""How many threads a computation may take."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

#: What `exactly` asks for, in whatever thread of this process.
_asked: list[int] = []


def available_cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_threads() -> int:
    """`available_cores`, no more than OMP_NUM_THREADS where that is set ("4", or "4,2" by nesting); or `exactly`."""
    if _asked:
        return _asked[-1]
    own = available_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(own, int(asked)) if asked.isdigit() and int(asked) > 0 else own


@contextmanager
def exactly(number: int) -> Iterator[None]:
    """So many threads, in the libraries of linear algebra and OpenMP, too: sums are then made in the same order."""
    from threadpoolctl import threadpool_limits

    _asked.append(number)
    try:
        with threadpool_limits(limits=number):
            yield
    finally:
        _asked.pop()
