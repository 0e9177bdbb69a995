"""What every test file shares: checks against GPAW are never skipped silently where GPAW is required."""

import importlib.util
import os
from collections.abc import Generator

import numpy as np
import pytest

#: Set to 1 (`make test GPAW=1`, always on CI) to fail instead of skipping what needs GPAW.
REQUIRE_GPAW = os.environ.get("RHOTEM_REQUIRE_GPAW") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpaw") and importlib.util.find_spec("gpaw") is None:
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
