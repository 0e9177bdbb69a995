"""What every test file shares: what needs GPAW or PyTorch is never skipped silently where these are required."""

import importlib.util
import os
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

#: Set to 1 (`make test GPAW=1`, always on CI) to fail instead of skipping what needs GPAW.
REQUIRE_GPAW = os.environ.get("RHOTEM_REQUIRE_GPAW") == "1"
#: The same for PyTorch (`make test TORCH=1`) and `NEED_TORCH`, which cannot be imported without it.
REQUIRE_TORCH = os.environ.get("RHOTEM_REQUIRE_TORCH") == "1"

#: Folders of tests that need PyTorch.
NEED_TORCH = [Path(__file__).parent / name for name in ("training", "peers")]

HAS_GPAW, HAS_TORCH = (importlib.util.find_spec(name) is not None for name in ("gpaw", "torch"))


def pytest_report_header() -> list[str]:
    lines = [] if HAS_GPAW else ["without GPAW: checks against DFT are skipped (make test GPAW=1)"]
    return lines + (
        [] if HAS_TORCH else ["without PyTorch: tests/training and tests/peers are left out (make test TORCH=1)"]
    )


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    inside = any(folder in collection_path.parents for folder in NEED_TORCH)
    return True if inside and not (HAS_TORCH or REQUIRE_TORCH) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpaw") and not HAS_GPAW:
        pytest.skip("needs GPAW: scripts/install-gpaw.sh")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_GPAW and report.skipped and item.get_closest_marker("gpaw"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, but RHOTEM_REQUIRE_GPAW=1: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE_GPAW and report.skipped and "gpaw" in str(report.longrepr).lower():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, but RHOTEM_REQUIRE_GPAW=1: {report.longrepr}"
    return report


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20240229)
