"""The version of the physics is raised when numbers of an unchanged plan change.

Not that the numbers are right (tests/validation says so) but that nobody changes them without saying it: a record whose
version differs is warned about when it is done again.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import rhotem
from rhotem.core.physics import PHYSICS

GOLDEN = Path(__file__).parents[1] / "data" / "golden.json"
PLANS = {
    "LiF": {
        "specimen": {"structure": "LiF", "zone": [1, 1, 0], "thickness_nm": 0.8},
        "motion": {"phonons": 1, "temperature_K": 300},
        "density": {"source": "free-atoms"},
        "microscope": {"detectors": ["HAADF=60-100", "ABF=11-22", "DPC=6-22"], "defocus_nm": 1, "source_size_A": 0.5},
        "computing": {"algorithm": "bloch", "seed": 1},
    },
    "at rest": {
        "specimen": {"structure": "LiF", "zone": [0, 0, 1], "thickness_nm": 0.8},
        "motion": {"phonons": 0},
        "density": {"source": "free-atoms"},
        "microscope": {"detectors": ["HAADF=60-100", "CoM=30"], "energy_keV": 80},
        "computing": {"algorithm": "bloch"},
    },
}


def numbers(plan: dict) -> dict[str, list[float]]:
    """Least, mean, largest and standard deviation of every image."""
    images = rhotem.run(plan).images.images
    return {name: [float(f(image)) for f in (np.min, np.mean, np.max, np.std)] for name, image in images.items()}


@pytest.mark.parametrize("name", PLANS)
def test_numbers_change_with_the_version_of_the_physics_only(name: str):
    golden = json.loads(GOLDEN.read_text())
    assert golden["physics"] == PHYSICS, (
        "the version was raised: write the numbers again (python tests/analysis/test_golden.py)"
    )
    for image, values in numbers(PLANS[name]).items():
        expected = np.array(golden[name][image])
        scale = np.abs(expected).max()
        said = f"{image}: raise rhotem.core.physics.PHYSICS, then run `python {Path(__file__).name}`"
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * scale, err_msg=said)


if __name__ == "__main__":
    rows = {"physics": PHYSICS, **{name: numbers(plan) for name, plan in PLANS.items()}}
    GOLDEN.write_text(json.dumps(rows, indent=1) + "\n")
