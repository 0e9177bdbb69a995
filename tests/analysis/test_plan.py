"""Plans: units, refusals with their line, paths, overrides, files, series, identity."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

import rhotem
from rhotem.analysis.plan import Plan, load_plan, parse_plan
from rhotem.analysis.plan.identity import identity
from rhotem.analysis.plan.problems import sections_of
from rhotem.analysis.plan.sections import ComputingSection
from rhotem.core import InputError

EXAMPLE = """\
rhotem: 1                      # format version
specimen: {structure: LiCoO2.cif, zone: [1, 0, 0], thickness_nm: 10}
density:  {source: model}
microscope: {preset: layered-oxide, defocus_nm: 2}
recording: {dose_e_per_A2: 2e4, field_of_view_A: 25}
computing: {memory: 4GB, seed: 0}
"""

#: What a key with a dimension ends in.
UNITS = ("_nm", "_A", "_A2", "_mm", "_K", "_e", "_keV", "_mrad", "_e_per_A2")


def refused(text: str, folder: Path | str = ".") -> str:
    with pytest.raises(InputError) as caught:
        parse_plan(text, folder)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_numbers_mean_what_their_units_say():
    """kV, nm and mm against eV and Å of the engine."""
    plan = parse_plan(
        EXAMPLE.replace("defocus_nm: 2", "defocus_nm: 2, energy_keV: 80, cs_mm: 0.001, tilt_mrad: [2, -1]")
    )
    microscope = plan.preset().microscope
    assert (microscope.energy, microscope.defocus, microscope.cs) == (80e3, 20.0, 1e4)
    assert microscope.tilt == (2.0, -1.0) and microscope.dose == 2e4 and plan.memory == 4 * 10**9


def test_every_key_with_a_dimension_carries_its_unit():
    """Numbers that are no counts: all keys that take a float, but for those of dicts by element."""
    bare = []
    for name, section in sections_of(Plan).items():
        for key, field in section.model_fields.items():
            if "float" in str(field.annotation) and not key.endswith(UNITS):
                bare.append(f"{name}.{key}")
    assert not bare


@pytest.mark.parametrize(
    "line, words",
    [
        ("thicknes_nm: 3", "did you mean thickness_nm?"),
        ("thickness: 3", "did you mean thickness_nm?"),
        ("thickness_A: 3", "did you mean thickness_nm?"),
        ("thickness_nm: -3", "thickness -3 nm: expected a positive number"),
        ("thickness_nm: .nan", "thickness_nm"),
        ("thickness_nm: true", "expected a number in nm"),
        ("thickness_nm: ten", "valid number"),
        ("thickness_nm: 10 nm", "write 10, the unit is always nm"),
        ("zone: [1, 1]", "three or four whole numbers"),
        ("zone: [1, 1, 0.5]", "zone"),
        ("zone: 001", "as a list"),
        ("zone_basis: own", "conventional"),
        ("keep_cell: perhaps", "keep_cell"),
        ("dose_e_per_A2: 3", "did you mean recording.dose_e_per_A2?"),
        ("colour: red", "expected one of structure, zone"),
    ],
)
def test_a_wrong_line_is_named(line: str, words: str):
    said = refused(f"rhotem: 1\nspecimen:\n  structure: LiF\n  {line}\nrecording: {{}}\n", "some")
    assert said.startswith(f"{Path('some') / 'plan.yaml'}, line 4: specimen.{line.split(':')[0]}") and words in said


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("motion: {phonons: many}", 3, "auto:0.5"),
        ("motion: {phonons: -1}", 3, "phonons -1"),
        ("motion:\n  msd_A2: {Au: 0.1}\n  frames: md.traj", 5, "leave --msd out"),
        ("microscope: {preset: stem}", 3, "preset 'stem' is not known"),
        ("microscope:\n  detectors: [HAADF=200-68]", 4, "must be below"),
        ("microscope:\n  aberrations: [C99=1]", 4, "C99"),
        ("microscope: {cs_mm: 1, aberrations: {C30: 1um}}", 3, "given twice"),
        ("microscope: {preset: saed}\nrecording:\n  dose_e_per_A2: 5", 5, "parallel illumination"),
        ("microscope: {preset: saed}\nrecording:\n  probe: true", 5, "no probe"),
        ("computing:\n  memory: 4", 4, "unit"),
        ("computing:\n  seed: 1.5", 4, "seed"),
        ("speciman: {}", 3, "did you mean specimen?"),
        ("thickness_nm: 3", 3, "did you mean specimen.thickness_nm?"),
        ("series: {thicknes: [1, 2]}", 3, "did you mean specimen.thickness_nm?"),
        ("series:\n  thickness_nm: [1, -2]", 4, "thickness -2 nm"),
        ("series:\n  thickness_nm: []", 4, "no values"),
        ("series:\n  thickness_nm: 3", 4, "3: give a list of values"),
        ("series:\n  defocus_nm: {from: 1, to: 2}", 4, "steps"),
        ("series:\n  defocus_nm: {from: 1, to: 2, steps: 1}", 4, "series.defocus_nm.steps: steps 1"),
        ("series:\n  defocus_nm: [1, 2]\n  microscope.defocus_nm: [3, 4]", 5, "the same key as defocus_nm"),
        ("specimen: {structure: Si}", 3, "stands twice"),
        ("motion: [1, 2]", 3, "motion"),
        ("motion: {phonons: 3", 4, "not readable"),
    ],
)
def test_a_wrong_section_is_named(text: str, line: int, words: str):
    said = refused(f"rhotem: 1\nspecimen: {{structure: LiF}}\n{text}\n")
    assert said.startswith(f"plan.yaml, line {line}: ") and words in said, said


def test_another_format_is_refused():
    assert "reads plans of format 1" in refused("rhotem: 2\nspecimen: {structure: LiF}\n")
    assert "specimen: is missing" in refused("rhotem: 1\n")


def test_in_python_the_key_is_named():
    with pytest.raises(InputError, match=r"^specimen.thickness: unknown key; did you mean thickness_nm\?$"):
        Plan(specimen={"structure": "LiF", "thickness": 3})
    with pytest.raises(InputError, match=r"^sampling: unknown key; did you mean sampling_A\?$"):
        ComputingSection(sampling=0.1)
    with pytest.raises(Exception, match="frozen"):
        parse_plan(EXAMPLE).specimen.thickness_nm = 3.0


def test_a_json_plan_names_its_line(tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text('{\n\t"rhotem": 1,\n\t"specimen": {\n\t\t"structure": "LiF",\n\t\t"zome": [1, 0, 0]\n\t}\n}\n')
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}, line 5: specimen.zome: .*zone"):
        load_plan(path)
    path.write_text('{"rhotem": 1,\n"specimen": {"structure": "LiF"},\n}\n')
    with pytest.raises(InputError, match="line 3: not readable as JSON"):
        load_plan(path)


def test_words_of_yaml_are_numbers_and_elements():
    """2e4 is a number, No and y are no truth values: the core schema of YAML 1.2."""
    plan = parse_plan(EXAMPLE + "motion: {msd_A2: {No: 0.01, Y: 2e-2}}\n")
    assert plan.motion.msd_A2 == {"No": 0.01, "Y": 0.02} and plan.recording.dose_e_per_A2 == 20000.0


@pytest.mark.parametrize("ending", ["yaml", "json"])
@pytest.mark.parametrize("full", [False, True])
def test_a_plan_survives_its_file(tmp_path: Path, ending: str, full: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    more = "series: {thickness_nm: [2, 4], defocus_nm: {from: -6, to: 6, steps: 13}, zone: [[1, 0, 0], [1, 1, 0]]}\n"
    plan = parse_plan(EXAMPLE + more + "motion: {phonons: auto:0.5}\n")
    plan.save(f"a.{ending}", full=full)
    again = load_plan(f"a.{ending}")
    assert again == plan
    again.save(f"b.{ending}", full=full)
    assert Path(f"a.{ending}").read_text() == Path(f"b.{ending}").read_text()


def test_text_that_looks_like_a_number_stays_text(tmp_path: Path):
    plan = Plan(specimen={"structure": "2e4"}, density={"source": "null"})
    plan.save(tmp_path / "p.yaml")
    again = load_plan(tmp_path / "p.yaml")
    assert (again.specimen.structure, again.density.source) == ("2e4", "null")


def test_relative_paths_refer_to_the_plans_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "plans").mkdir()
    (tmp_path / "data").mkdir()
    for name in ("data/a.cif", "data/md.traj", "data/CHGCAR", "plans/weights.safetensors"):
        (tmp_path / name).touch()
    text = (
        "rhotem: 1\nspecimen: {structure: ../data/a.cif}\nmotion: {frames: ../data/md.traj}\n"
        "density: {source: ../data/CHGCAR}\nseries: {source: [model:weights.safetensors, free-atoms]}\n"
    )
    (tmp_path / "plans" / "p.yaml").write_text(text)
    for here, start in ((tmp_path, "data"), (tmp_path / "data", "."), (tmp_path / "plans", "../data")):
        monkeypatch.chdir(here)
        plan = load_plan(
            Path(tmp_path / "plans" / "p.yaml").relative_to(here) if here == tmp_path else "../plans/p.yaml"
        )
        for value in (plan.specimen.structure, plan.motion.frames, plan.density.source):
            assert value is not None and Path(value).exists(), (here, start)
        weights = plan.series["source"][0]
        assert weights.startswith("model:") and Path(weights[6:]).exists() and plan.series["source"][1] == "free-atoms"
    monkeypatch.chdir(tmp_path)
    plan = load_plan("plans/p.yaml")
    assert plan.specimen.structure == str(Path("data/a.cif"))
    plan.save("plans/q.yaml")
    assert load_plan("plans/q.yaml") == plan
    assert "../data/a.cif" in (tmp_path / "plans" / "q.yaml").read_text()


def test_names_of_phases_and_sources_are_no_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    Plan(specimen={"structure": "LiF"}, density={"source": "model:fast"}).save("plans/p.yaml")
    plan = load_plan("plans/p.yaml")
    assert (plan.specimen.structure, plan.density.source) == ("LiF", "model:fast")


def test_changes_make_another_plan():
    plan = parse_plan(EXAMPLE)
    other = plan.changed(thickness_nm=5.0, zone="[1-10]")
    assert (other.specimen.thickness_nm, other.specimen.zone) == (5.0, (1, -1, 0)) and plan.specimen.zone == (1, 0, 0)
    turned = plan.changed(plane=(1, 1, 0))
    assert turned.specimen.zone is None and turned.specimen.plane == (1, 1, 0)
    assert plan.changed({"recording.dose_e_per_A2": None}).recording.dose_e_per_A2 is None
    with pytest.raises(InputError, match="both a zone axis and a plane"):
        plan.changed(zone=(1, 0, 0), plane=(1, 0, 0))
    with pytest.raises(InputError, match=r"unknown key thicknes; did you mean specimen.thickness_nm\?"):
        plan.changed(thicknes=3)


def test_a_series_is_every_combination():
    plan = parse_plan(EXAMPLE + "series: {thickness_nm: [2, 4], defocus_nm: {from: -1, to: 1, steps: 3}}\n")
    names, plans = zip(*plan.runs(), strict=True)
    assert names[:2] == ("thickness_nm=2,defocus_nm=-1", "thickness_nm=2,defocus_nm=0") and len(set(names)) == 6
    assert [p.microscope.defocus_nm for p in plans[:3]] == [-1.0, 0.0, 1.0] and not plans[0].series
    same = parse_plan(EXAMPLE.replace("LiCoO2.cif", "a/x.cif") + "series: {structure: [a/x.cif, b/x.cif]}\n")
    assert [name for name, _ in same.runs()] == ["structure=x.cif-1", "structure=x.cif-2"]
    assert list(parse_plan(EXAMPLE).runs()) == [("", parse_plan(EXAMPLE))]


def test_identity_is_that_of_the_physics():
    """Not of paths, memory, seed; but of every other key, the inputs and their weights."""
    plan, read = parse_plan(EXAMPLE), {"specimen.structure": "a", "density.weights": "w"}
    known = identity(plan, read)
    for same in ({"seed": 3}, {"memory": "2GB"}, {"structure": "elsewhere/LiCoO2.cif"}, {"source": "model:default"}):
        assert identity(plan.changed(same), read) == known
    for other in ({"thickness_nm": 9.0}, {"phonons": 2}, {"dose_e_per_A2": 1e4}, {"detectors": ["BF=8"]}):
        assert identity(plan.changed(other), read) != known
    assert identity(plan, {**read, "specimen.structure": "b"}) != known
    assert identity(plan, {**read, "density.weights": "v"}) != known


def test_the_package_shows_its_verbs():
    assert rhotem.Plan is Plan and {"run", "load_plan", "read_structure"} <= set(dir(rhotem))
    for name in rhotem.__all__:
        assert getattr(rhotem, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = rhotem.nonsense


def test_the_schema_in_the_documentation_is_that_of_the_program():
    from rhotem.analysis.plan.schema import reference, schema

    docs = Path(__file__).parents[2] / "docs"
    assert json.loads((docs / "plan-schema.json").read_text()) == schema()
    assert (docs / "plan-keys.md").read_text() == reference()
    for section in sections_of(Plan).values():
        assert issubclass(section, BaseModel) and section.model_config["extra"] == "forbid"
