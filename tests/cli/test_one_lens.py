"""`rhotem response --one-lens`: what another lens needs is refused before anything is computed."""

import pytest
from typer.testing import CliRunner

from rhotem.cli import main


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--foci", "-1,1"], "--foci"),
        (["--largest", "C12=1nm", "--edges", "30"], "--largest, --edges"),
        (["--smallest-convergence", "18"], "--smallest-convergence"),
    ],
)
def test_ranges_are_refused(tmp_path, more, named):
    asked = ["response", "LiF", "--one-lens", "-o", str(tmp_path / "lif"), *more]
    result = CliRunner().invoke(main.app, asked)
    said = result.stdout + result.stderr
    assert result.exit_code == 2 and not (tmp_path / "lif").exists()
    assert f"--one-lens keeps one lens and the detectors alone: leave out {named}" in said
    assert len(said.strip().splitlines()) == 1


def test_half_precision_of_what_is_in_half_precision_is_refused(tmp_path):
    result = CliRunner().invoke(main.app, ["response", "LiF", "--one-lens", "--half", "-o", str(tmp_path / "lif")])
    said = result.stdout + result.stderr
    assert result.exit_code == 2 and not (tmp_path / "lif").exists()
    assert said == "error: --one-lens keeps half precision already: leave out --half\n"
