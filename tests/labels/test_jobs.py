import numpy as np
import pytest
from ase.build import bulk

from rhotem.core import InputError
from rhotem.labels.gpaw_settings import DftSettings
from rhotem.labels.job import Job, unique
from rhotem.labels.npz import write_npz
from rhotem.labels.plan import jobs_of, load_plan
from rhotem.structure.model import Structure


def lif(**kwargs: object) -> Structure:
    return Structure(bulk("LiF", "rocksalt", a=4.03), **kwargs)


def test_identifier_depends_on_what_is_calculated_and_on_nothing_else():
    job = Job.of(lif())
    assert job.id == Job.of(lif(info={"name": "other"})).id
    assert job.id != Job.of(lif(charge=1.0)).id
    assert job.id != Job.of(lif(), DftSettings(ecut=500)).id
    assert job.id != Job.of(lif(moments=np.array([0.0, 1.0]))).id
    assert Job.from_json(job.to_json()) == job


def test_tables_that_grow_by_an_element_rename_no_run_without_it():
    """Jobs and labels made when five elements had U keep their names; a U that matters makes another run."""
    five = {"Co": 3.32, "Fe": 5.3, "Mn": 3.9, "Ni": 6.2, "V": 3.25}
    old = DftSettings(hubbard_u=five, start_moments={"Co": 0.6, "Ti": 0.3})
    assert Job.of(lif(), old).id == Job.of(lif()).id
    assert Job.from_json(Job.of(lif(), old).to_json()).id == Job.of(lif()).id
    chromium = Structure(bulk("CrO", "rocksalt", a=4.2))
    assert Job.of(chromium, old).id != Job.of(chromium).id
    cobalt = Structure(bulk("CoO", "rocksalt", a=4.2))
    assert Job.of(cobalt, old).id == Job.of(cobalt).id
    assert Job.of(cobalt, DftSettings(hubbard_u={"Co": 4.0})).id != Job.of(cobalt).id


def test_edited_job_is_refused():
    line = Job.of(lif()).to_json().replace('"charge": 0.0, "id"', '"charge": 1.0, "id"')
    assert '"charge": 1.0' in line
    with pytest.raises(InputError, match="edited"):
        Job.from_json(line)


def test_the_same_calculation_is_listed_once():
    assert len(list(unique([Job.of(lif()), Job.of(lif(info={"name": "b"})), Job.of(lif(charge=1.0))]))) == 2


PLAN = """
output: out
recipes:
- {prototype: rocksalt, supercell: [2, 1, 1], rattle: 0.05, seed: 1}
- {prototype: rocksalt, remove: {F: 1}, supercell: [2, 1, 1], charge: 1}
sampler: {count: 3, seed: 5, families: [sei], candidates: 2}
"""


def test_a_plan_means_the_same_runs_every_time(tmp_path):
    (tmp_path / "p.yaml").write_text(PLAN)
    plan = load_plan(tmp_path / "p.yaml")
    first = [j.id for j in jobs_of(plan, tmp_path)]
    assert len(first) == 5
    # The sampler stays away from what is listed; the same plan must not see its own jobs that way.
    assert [j.id for j in jobs_of(plan, tmp_path)] == first
    assert len((tmp_path / "out" / "jobs.jsonl").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output: out\nrecipes: [{prototype: nothing}]", "prototype 'nothing'"),
        ("output: out\nrecipes: [{prototyp: o3}]", "recipes.0.prototype"),
        ("output: out\nlimits: {time: -1}", "limits.time"),
        ("output: out\nsettings: {cutoff: 3}", "settings"),
        ("output: [", "not valid YAML"),
        ("output: out\nsettings: {start_displacement: -1}", "start_displacement must be 0 to"),
        ("output: out\nrecords: [absent.npz]", "absent.npz: not there"),
    ],
)
def test_wrong_plans_say_what_is_wrong(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        jobs_of(load_plan(tmp_path / "p.yaml"), tmp_path)


def test_a_label_is_calculated_again_from_another_start(label, tmp_path):
    """A file or its directory; a label of the first set has a family, which is then its prototype."""
    del label.meta["prototype"], label.meta["ordering"]
    label.meta["family"] = "rocksalt"
    (tmp_path / "given").mkdir()
    write_npz(label, tmp_path / "given" / "00185.npz")
    found = []
    for number, records in enumerate(("given", "given/00185.npz")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(f"output: out{number}\nsettings: {{start_displacement: 0.1}}\nrecords: [{records}]")
        found.append(jobs_of(load_plan(path), tmp_path))
    (job,) = found[0]
    assert found[1] == [job]
    assert (job.info["prototype"], job.info["composition"]) == ("rocksalt", "FLi")
    assert job.dft == DftSettings(start_displacement=0.1)
    assert job.structure.positions == pytest.approx(label.structure.positions, abs=1e-8)
    assert job.id != Job.of(label.structure).id
