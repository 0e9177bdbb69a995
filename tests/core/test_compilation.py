"""The first use of the kernels says that they are compiled; later ones find them on disk and say nothing."""

import os
import subprocess
import sys

import pytest

CODE = (
    "import numpy as np; from rhotem.learned.neighbours import Neighbours;"
    "print(Neighbours(np.zeros((1, 3)), np.eye(3) * 3.0, 4.0).around(np.arange(1))[0].tolist())"
)


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )


def test_said_once_and_then_kept(tmp_path):
    first, second = (run(CODE, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.stdout == second.stdout == "[0, 6]\n"
    assert first.stderr.count("\n") == 1 and "compiled" in first.stderr
    assert second.stderr == ""


@pytest.mark.parametrize(
    "module",
    [
        "microscope.strips",
        "scattering.response.kernel",
        "potential.stream_sharp",
        "battery.distillation.gradient",
    ],
)
def test_without_a_folder_to_keep_them_they_work(module):
    """Installed by another user and without a home: everything that is compiled is, in every process."""
    nowhere = (
        "import numba.core.caching as c\n"
        "def refuse(self, function): raise RuntimeError('cannot cache function: no locator available')\n"
        "c.CacheImpl.__init__ = refuse\n"
        f"import rhotem.{module}\n"
    )
    assert run(nowhere + CODE).stdout == "[0, 6]\n"
