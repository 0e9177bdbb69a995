"""The source ``gpaw``: running, caching, reading back, and refusing what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from rhotem.core import ConvergenceError, InputError, PeriodicGrid
from rhotem.density.source import get_source
from rhotem.labels.gpaw_settings import DftSettings
from rhotem.labels.gpaw_source import Gpaw, read_gpw, structure_key
from rhotem.structure.model import Structure

pytestmark = pytest.mark.gpaw
CHEAP = DftSettings(ecut=300, kpts=(2, 2, 2))


@pytest.fixture(scope="module")
def lif():
    return Structure(bulk("LiF", "rocksalt", a=4.03))


@pytest.fixture(scope="module")
def cached(lif, tmp_path_factory):
    """Field, the .gpw it was cached in, and the steps it took."""
    cache, steps = tmp_path_factory.mktemp("gpw"), []
    source = Gpaw(settings=CHEAP, cache=cache, progress=lambda *step: steps.append(step))
    field = source(lif, PeriodicGrid.from_spacing(lif.cell, 0.15))
    (path,) = cache.iterdir()
    return field, path, steps


def test_a_second_call_reads_the_cache(lif, cached):
    field, path, steps = cached
    assert [step[1] for step in steps] == list(range(1, len(steps) + 1))
    again_steps = []
    source = Gpaw(settings=CHEAP, cache=path.parent, progress=lambda *step: again_steps.append(step))
    again = source(lif, field.grid)
    assert again_steps == []
    assert again.values == pytest.approx(field.values, abs=1e-9)
    assert again.record["energy_eV"] == pytest.approx(field.record["energy_eV"], abs=1e-6)


def test_the_cache_key_sees_what_changes_the_result(lif):
    moved = lif.atoms.copy()
    moved.positions[0, 0] += 1e-3
    others = [Structure(moved), Structure(lif.atoms, charge=1.0), Structure(lif.atoms, moments=np.ones(2))]
    starts = [replace(CHEAP, start_displacement=0.1), replace(CHEAP, start_displacement=0.1, start_seed=2)]
    keys = {structure_key(s, CHEAP) for s in [lif, *others]}
    keys |= {structure_key(lif, settings) for settings in [DftSettings(ecut=310), *starts]}
    assert len(keys) == 7
    assert structure_key(lif, CHEAP) == structure_key(Structure(lif.atoms.copy()), CHEAP)


def test_a_gpw_file_is_a_density(cached):
    field, path, _ = cached
    read = read_gpw(path, field.grid)
    assert read.values == pytest.approx(field.values, abs=1e-9)
    assert read.structure.atoms.get_chemical_formula() == "FLi"


def test_the_registry_reads_a_gpw_for_its_own_structure_only(lif, cached):
    field, path, _ = cached
    source = get_source("gpaw", path=path)
    translated = lif.atoms.copy()
    translated.positions[1] += lif.cell[0]
    assert source(Structure(translated), field.grid).values == pytest.approx(field.values, abs=1e-9)
    moved, strained = lif.atoms.copy(), lif.atoms.copy()
    moved.positions[1] += 0.02
    strained.set_cell(lif.cell * 1.01, scale_atoms=True)
    for wrong in (moved, strained, bulk("NaF", "rocksalt", a=4.03)):
        with pytest.raises(InputError, match=path.name):
            source(Structure(wrong), PeriodicGrid(wrong.cell.array, (8, 8, 8)))
    with pytest.raises(InputError, match="charge"):
        source(Structure(lif.atoms, charge=1.0), field.grid)


def test_other_files_are_refused(lif, tmp_path):
    wrong = tmp_path / "notes.gpw"
    wrong.write_text("not a calculation")
    for path in (wrong, tmp_path / "absent.gpw"):
        with pytest.raises(InputError, match=path.name):
            read_gpw(path)


def test_no_convergence_is_one_clear_error(lif):
    source = Gpaw(settings=DftSettings(ecut=300, kpts=(1, 1, 1), max_iterations=2))
    with pytest.raises(ConvergenceError, match="not self-consistent after 2 steps") as error:
        source(lif, PeriodicGrid(lif.cell, (8, 8, 8)))
    assert "\n" not in str(error.value)


def test_an_element_without_paw_set_is_named():
    polonium = Structure(bulk("Po", "sc", a=3.35))
    with pytest.raises(InputError, match="Po"):
        Gpaw(settings=CHEAP)(polonium, PeriodicGrid(polonium.cell, (8, 8, 8)))
