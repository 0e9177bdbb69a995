"""How many threads a computation may take."""

import os


def available_cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_threads() -> int:
    """`available_cores`, no more than OMP_NUM_THREADS where that is set ("4", or "4,2" by nesting)."""
    own = available_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(own, int(asked)) if asked.isdigit() and int(asked) > 0 else own
