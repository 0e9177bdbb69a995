"""What of the machine the last bits of a result depend on, and how to have it again."""

import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rhotem.core import threads


def processor() -> str:
    """Name of the processor: another kind rounds otherwise."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Threads, processor, and how FFTW planned the transforms of this process, JSON-ready."""
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads.available_threads(),
        "fftw_wisdom": _wisdom(),
    }


def _wisdom() -> list[str]:
    """FFTW times several ways of each transform and takes the fastest; which one decides the last bits."""
    pyfftw = sys.modules.get("pyfftw")
    return [] if pyfftw is None else [part.decode("ascii") for part in pyfftw.export_wisdom()]


@contextmanager
def as_on(recorded: Mapping[str, Any]) -> Iterator[None]:
    """Compute with the threads and the transforms of a `machine`; nothing changes where they are not known."""
    with ExitStack() as stack:
        number = recorded.get("threads")
        if isinstance(number, int) and number > 0:
            stack.enter_context(threads.exactly(number))
        if recorded.get("fftw_wisdom"):
            import pyfftw

            pyfftw.forget_wisdom()
            pyfftw.import_wisdom(tuple(part.encode("ascii") for part in recorded["fftw_wisdom"]))
        yield


def differences(recorded: Mapping[str, Any]) -> list[str]:
    """Why a result of a `machine` will be equal here within rounding only; none: to the last bit."""
    here = {"processor": processor(), "system": f"{platform.system()} {platform.machine()}"}
    return [
        f"{name} is {value}, was {recorded[name]}" for name, value in here.items() if recorded.get(name, value) != value
    ]
