"""Plans of campaigns: what they stand for, what makes a task another one, and what is refused where."""

import textwrap
from pathlib import Path

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.library.campaign.expand import tasks_of
from rhotem.library.campaign.load import load_campaign
from rhotem.library.campaign.task import Task
from rhotem.library.campaign.values import values_of

BASE = """\
rhotem-campaign: 1
name: test
structures: [LiF]
density: {source: free-atoms}
motion: {phonons: 0}
thicknesses_nm: [1, 2]
"""


def tasks(folder: Path, text: str = BASE, **changes: str) -> list[Task]:
    """Tasks of a plan, some of its lines replaced or added."""
    lines = dict(line.split(": ", 1) for line in text.splitlines()) | changes
    path = folder / "plan.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return tasks_of(load_campaign(path))


def ids(listed: list[Task]) -> list[str]:
    return [task.id for task in listed]


def test_every_structure_with_every_combination(tmp_path):
    listed = tasks(
        tmp_path, structures="[LiF, {names: [Si, NaF]}]", vary="{zone: [[0,0,1],[1,1,0]], energy_keV: [80, 200]}"
    )
    assert len(listed) == len(set(ids(listed))) == 3 * 2 * 2
    assert listed[0].title == "LiF energy_keV=80" and listed[0].plan["specimen"]["zone"] == [0, 0, 1]
    assert {task.plan["specimen"]["thickness_nm"] for task in listed} == {2.0}
    assert all(Task.from_json(task.to_json()) == task for task in listed)


def test_the_same_task_is_there_once_and_has_the_same_name_everywhere(tmp_path):
    once = ids(tasks(tmp_path, vary="{zone: [[0,0,1]]}"))
    assert ids(tasks(tmp_path, structures="[LiF, lif, {names: LiF}]", vary="{zone: [[0,0,1]]}")) == once
    assert ids(tasks(tmp_path, name="other", limits="{memory: 1GB}", vary="{zone: ['001']}")) == once


@pytest.mark.parametrize(
    "changes",
    [
        {"structures": "[NaF]"},
        {"thicknesses_nm": "[1, 3]"},
        {"lens": "{defocus_nm: [-1, 1]}"},
        {"lens": "{aberrations_nm: {C12: 2}}"},
        {"motion": "{phonons: 2}"},
        {"microscope": "{energy_keV: 300}"},
        {"microscope": "{detectors: ['ABF=11-22']}"},
        {"kept": "{edges_mrad: [30]}"},
        {"kept": "{half: true}"},
        {"seed": "1"},
    ],
)
def test_what_decides_a_response_decides_its_name(tmp_path, changes):
    assert ids(tasks(tmp_path, **changes)) != ids(tasks(tmp_path))


def test_a_file_counts_by_what_stands_in_it(tmp_path):
    from rhotem.structure.phases import phase
    from rhotem.structure.write import write_structure

    for name, crystal in (("a.cif", "LiF"), ("b.cif", "LiF"), ("c.cif", "NaF")):
        write_structure(phase(crystal), tmp_path / name)
    one, *others = ids(tasks(tmp_path, structures="['a.cif', 'c.cif']"))
    (tmp_path / "b.cif").write_bytes((tmp_path / "a.cif").read_bytes())
    assert ids(tasks(tmp_path, structures="['b.cif']")) == [one] and one not in others
    assert len(tasks(tmp_path, structures="['*.cif']")) == 2


def test_builders_go_through_their_options_and_seeds(tmp_path):
    listed = tasks(
        tmp_path,
        structures="[{builder: vacancy, crystals: [LiF, Li2O], options: {element: Li, amount: [1, 2]}, seeds: 3}]",
    )
    assert len(listed) == len(set(ids(listed))) == 2 * 2 * 3
    assert listed[0].title == "LiF vacancy Li 1" and listed[1].recipe.seed == 1
    assert listed[0].recipe.options == {"element": "Li", "amount": "1"}


def test_all_ready_phases_of_a_pattern(tmp_path):
    assert {task.title for task in tasks(tmp_path, structures="['phase:LiNi*']")} >= {"LiNiO2"}


def test_draws_stay_within_and_know_no_other_key():
    drawn = values_of({"uniform": [250, 350], "count": 200}, "temperature_K", 3)
    assert min(drawn) >= 250 and max(drawn) <= 350 and np.mean(drawn) == pytest.approx(300, abs=3 * 29 / 200**0.5)
    assert drawn == values_of({"uniform": [250, 350], "count": 200}, "temperature_K", 3)
    assert drawn[:5] != values_of({"uniform": [250, 350], "count": 5}, "energy_keV", 3)
    normal = values_of({"normal": [200, 5], "count": 400}, "energy_keV", 0)
    assert np.mean(normal) == pytest.approx(200, abs=1) and np.std(normal) == pytest.approx(5, rel=0.15)
    spread = np.log10(values_of({"loguniform": [1e2, 1e6], "count": 400}, "x", 0))
    assert spread.min() >= 2 and spread.max() <= 6 and spread.mean() == pytest.approx(4, abs=0.25)
    assert values_of({"from": 1, "to": 2, "steps": 3}, "x", 0) == [1.0, 1.5, 2.0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"thicknesses": "[1]"}, "line 7, column 1: thicknesses: unknown key; did you mean thicknesses_nm"),
        ({"lens": "{focus_nm: 2}"}, "line 7, column 8: lens.focus_nm: unknown key"),
        ({"vary": "{zone: [[0,0,1]], temprature_K: [3]}"}, "line 7, column 25: vary.temprature_K: unknown key"),
        ({"vary": "{thickness_nm: [3]}"}, "line 7, column 8: vary.thickness_nm: .*see thicknesses_nm"),
        ({"vary": "{energy_keV: {uniform: [200, 80], count: 3}}"}, "line 7, column 8: .*give the least first"),
        ({"vary": "{energy_keV: {uniform: [80, 200]}}"}, "line 7, column 8: vary.energy_keV: count: is missing"),
        ({"vary": "{energy_keV: []}"}, "line 7, column 8: vary.energy_keV: 0 values"),
        ({"structures": "[{builder: vacance, crystals: [LiF]}]"}, "line 3, column 15: structures.0.builder: 'vacance'"),
        ({"structures": "[{names: [LiF], seeds: 2}]"}, "line 3, column 14: structures.0: crystals, options"),
        ({"structures": "[]"}, "line 3, column 1: structures: name at least one"),
        ({"rhotem-campaign": "2"}, "line 1, column 1: rhotem-campaign: format 2"),
        ({"limits": "{memory: 4}"}, "line 7, column 10: limits.memory"),
        ({"name": "../x"}, "line 2, column 1: name"),
        ({"thicknesses_nm": "&a [1, *a]"}, "line 6: nested too deeply"),
        ({"thicknesses_nm": "{from: 0, to: 3, steps: 4}"}, "line 6, column 1: thicknesses_nm"),
        ({"thicknesses_nm": "{from: 1, to: 2, steps: 0}"}, "line 6, column 1: thicknesses_nm: steps"),
        (
            {"thicknesses_nm": "{from: 1, to: 2, steps: 999999999}"},
            "line 6, column 1: thicknesses_nm: 999999999 values",
        ),
        ({"vary": "{energy_keV: {uniform: [80, 200], count: 9999999999}}"}, "line 7, column 8: .*9999999999 values"),
        (
            {"vary": "{energy_keV: {from: 80, to: 99, steps: 9000}, cs_mm: {from: 0, to: 1, steps: 9000}}"},
            "line 7, column 53: vary.cs_mm: with it there are 81000000 tasks",
        ),
        ({"lens": "{defocus_nm: [2, 0]}"}, "line 7, column 8: lens.defocus_nm: .*give the least first"),
        ({"lens": "{aberrations_nm: {Q9: 2}}"}, "line 7, column 25: lens.aberrations_nm.Q9: .*such as C12"),
        ({"lens": "{aberrations_nm: {C12: -2}}"}, "line 7, column 25: lens.aberrations_nm.C12: -2"),
        (
            {"structures": "[{builder: vacancy, crystals: [LiF], options: {element: Li, amount: []}}]"},
            "line 3, column 73: structures.0.options.amount: 0 values",
        ),
        (
            {"structures": "[{builder: vacancy, crystals: [LiF], options: {element: Li, amount: 1}, seeds: 9999999}]"},
            "line 3, column 85: structures.0.seeds: 9999999 specimens",
        ),
        ({"name": "[" * 9999 + "]" * 9999}, "nested too deeply"),
        ({"lens": "{convergence_mrad: 40}"}, "line 7, column 8: lens.convergence_mrad: 40 mrad .*the microscope's is"),
        (
            {"vary": "{convergence_mrad: [25, 15]}", "lens": "{convergence_mrad: 20}"},
            "line 8, column 8: lens.convergence_mrad: 20 mrad .*the microscope's is 15",
        ),
        ({"motion": "{phonons: auto}"}, "line 5, column 1: motion: a campaign takes a number of phonons"),
    ],
)
def test_what_cannot_be_is_named_with_its_line_and_column(tmp_path, changed, said):
    with pytest.raises(InputError, match=said):
        tasks(tmp_path, **changed)


def test_aliases_that_stand_for_billions_are_refused(tmp_path):
    lines = ["rhotem-campaign: 1", "name: x", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match="more than 100000 keys and values"):
        load_campaign(tmp_path / "bomb.yaml")


def test_a_structure_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"test: LiXx: .*LiXx"):
        tasks(tmp_path, structures="[LiF, LiXx]")


def test_the_example_of_the_documentation_is_a_campaign(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "library.md").read_text("utf-8")
    (tmp_path / "plan.yaml").write_text(textwrap.dedent(page.split("```yaml\n")[1].split("```")[0]))
    assert len(tasks_of(load_campaign(tmp_path / "plan.yaml"))) > 10


def test_a_dry_run_counts_what_cannot_be_done_as_free(tmp_path, monkeypatch):
    """Of four tasks that take 10 s each and four that are refused the sum is 40 s, not 80."""
    from rhotem.library.campaign import cost

    def planned(task):
        if task.title == "NaF":
            raise InputError("does not fit")
        return 10.0, 1e6, 1e9

    monkeypatch.setattr(cost, "planned", planned)
    path = tmp_path / "plan.yaml"
    zones = "[[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 0]]"
    path.write_text(
        f"rhotem-campaign: 1\nname: two\nstructures: [LiF, NaF]\nvary: {{zone: {zones}}}\n"
        "density: {source: free-atoms}\nthicknesses_nm: [1]\n"
    )
    said = cost.costs(load_campaign(path), 8)
    assert said.record(1)["processor_seconds"] == pytest.approx(40) and len(said.refused) == 4
    assert "refused     NaF along" in said.text(1)
    monkeypatch.setattr(cost, "SHOWN", 1)
    assert "and 3 more" in said.text(1)
