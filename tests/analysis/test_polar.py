"""Polar slabs: the step across them is known in memory and plane by plane; what no surface has is refused."""

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.analysis import run, where
from rhotem.analysis.polar import LARGEST, checked
from rhotem.cli.main import app
from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import EPS0
from rhotem.density.field import DensityField
from rhotem.density.stream import HeldPlanes, StreamedDensity
from rhotem.potential.slab import potential_step
from rhotem.structure.assemble import slab
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase
from rhotem.structure.write import write_structure


@pytest.fixture(scope="module")
def polar() -> Structure:
    return slab(phase("NaF"), (1, 1, 1), 5.0, 9.0)


@pytest.fixture(scope="module")
def plain() -> Structure:
    return slab(phase("NaF"), (0, 0, 1), 4.0, 9.0)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize("axis", [0, 2])
def test_moments_of_point_charges(axis: int) -> None:
    """−q on one plane, +q on the other at distance d: ΔV = q d / (A ε0); a dipole p of one atom adds p / (A ε0)."""
    import ase

    order = [2, 1, 0] if axis == 0 else [0, 1, 2]
    cell = np.diag(np.array([3.0, 4.0, 20.0])[order])
    atoms = ase.Atoms("NaF", [np.array([0.0, 0.0, 19.0])[order], np.array([0.0, 0.0, 1.5])[order]], cell=cell, pbc=True)
    grid = PeriodicGrid(cell, (4, 4, 4))
    electrons, dipole = 0.1, np.array([0.3, 0.2, 0.05])[order]  # F holds electrons, 2.5 Å above Na
    moments = np.array([[-electrons, 0, 0, 0], [electrons, *dipole]])
    made = StreamedDensity(Structure(atoms), grid, HeldPlanes(np.zeros((4, 4, 4))), moments=moments)
    expected = -(electrons * 2.5 + 0.05) / 12.0 / EPS0  # electrons are negative
    assert potential_step(made.structure, made) == pytest.approx(expected, rel=1e-9)
    twice = [2, 1, 1] if axis == 0 else [1, 1, 2]
    both = Structure(atoms.repeat(twice))
    repeated = StreamedDensity(both, grid, HeldPlanes(np.zeros((4, 4, 4))), moments=np.tile(moments, (2, 1)))
    assert potential_step(both, repeated) == pytest.approx(expected, rel=1e-9)


def test_planes_have_the_step_of_the_field(polar: Structure, plain: Structure) -> None:
    """Moments of functions around atoms against the Fourier series of the density on the grid and around atoms."""
    from rhotem.learned.planes import stream
    from rhotem.learned.source import Model

    model = Model(novelty=False)
    for crystal in (polar, plain):
        field = model(crystal, PeriodicGrid.from_spacing(crystal.cell, 0.2))
        step = potential_step(crystal, field)
        assert potential_step(crystal, stream(model, crystal)) == pytest.approx(step, abs=2e-3)
        assert (abs(step) > LARGEST) == (crystal is polar)
        doubled = Structure(crystal.atoms.repeat((1, 1, 2)))
        assert potential_step(doubled, stream(model, doubled)) == pytest.approx(step, abs=2e-3)


def test_what_no_surface_has_is_refused(polar: Structure, plain: Structure) -> None:
    with pytest.raises(InputError, match=r"polar slab.*--source free-atoms or gpaw; --allow-polar"):
        run.density(polar, "model")
    said = run.density(polar, "model", allow_polar=True).record["warnings"]
    assert any("polar slab" in w and "DPC" in w for w in said)
    assert not any("slab" in w for w in run.density(plain, "model").record.get("warnings", ()))
    assert not run.density(polar, "free-atoms").record.get("warnings")


def test_other_densities_are_warned_about(plain: Structure) -> None:
    """A file or a DFT run may have any step: p = 0.1 e/Å is 18 V, as nobody's model said it."""
    grid = PeriodicGrid.from_spacing(plain.cell, 0.4)
    s = np.arange(grid.shape[2]) / grid.shape[2] - plain.atoms.get_scaled_positions()[:, 2].mean()
    values = np.broadcast_to(0.02 * np.sin(2 * np.pi * s), grid.shape).copy()
    said = checked(DensityField("deformation", plain, grid, values, source="a file")).record["warnings"]
    assert len(said) == 1 and "potential step" in said[0]


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True])
def test_commands(tmp_path, monkeypatch, polar: Structure, large: bool) -> None:
    """Images and potentials are refused with exit code 2 and nothing is written, in memory and by way of the disk."""
    file = tmp_path / "polar.vasp"
    write_structure(polar, file)
    if large:
        monkeypatch.setattr(where, "fits", lambda *sizes: False)
    common = (file, "--zone", "1,0,0", "--zone-basis", "input", "--source", "model")
    quick = ("--phonons", 0, "--thickness", 0.5, "--detector", "HAADF=40-60")
    potential = ("potential", *common, "--sampling", 0.1, "-o", tmp_path / "v.zarr")
    for command in (("image", *common, *quick, "--out", tmp_path / "i"), potential):
        done = invoke(*command)
        assert done.exit_code == 2 and "polar slab" in done.output and len(list(tmp_path.iterdir())) == 1
    done = invoke(*potential, "--allow-polar")
    assert done.exit_code == 0 and "warning: polar slab" in done.output
    done = invoke("density", file, "--source", "model", "--spacing", 0.4, "-o", tmp_path / "n.zarr")
    assert done.exit_code == 0 and "warning: polar slab" in done.output  # only a density: said, not refused
    if not large:
        quick = ("--phonons", 0, "--thickness", 0.5)
        done = invoke("compare", *common, *quick, "--out", tmp_path / "c")
        assert done.exit_code == 2 and not (tmp_path / "c").exists()
