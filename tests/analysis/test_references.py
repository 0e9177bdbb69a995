"""What a record says to cite."""

import json

import pytest
from typer.testing import CliRunner

from rhotem.analysis.references import TABLE, references
from rhotem.core import InputError


def record(source="free atoms", free_atoms="pbe", algorithm="bloch", **more):
    return {
        "format": "rhotem-record",
        "versions": {"ase": "3", "spglib": "2"},
        "specimen": {"structure": {"file": "LiCoO2.cif"}},
        "density": {"source": source},
        "simulation": {"plan": {"algorithm": algorithm}, "potential": {"free_atoms": free_atoms}},
    } | more


def keys(content):
    return {work.key for work in references(content)}


def test_a_learned_density_stands_on_sevennet_and_the_program_of_its_labels():
    assert {"rhotem", "Park2024", "Deng2023", "Mortensen2024", "Perdew1996"} <= keys(record("model default"))


def test_published_scattering_factors_are_cited_in_place_of_calculated_atoms():
    works = keys(record(free_atoms="lobato", algorithm="prism"))
    assert {"Lobato2014", "Madsen2021", "Ophus2017"} <= works
    assert not works & {"Mortensen2024", "Park2024", "Kirkland2010"}


def test_phase_and_thermal_motion_bring_their_own_words():
    content = record(phonons={"configurations": 8, "displacements": "Sr 0.00787 Å² (table)"})
    content["specimen"]["structure"] = {"reference": "Y. A. Abramov, Acta Cryst. B 51, 942 (1995)"}
    said = [str(work) for work in references(content)]
    assert "the crystal structure: Y. A. Abramov, Acta Cryst. B 51, 942 (1995)" in said
    assert "thermal displacements: Sr 0.00787 Å² (table)" in said
    assert "Wojdyr2022" not in keys(content)


def test_keys_and_identifiers_are_each_of_one_work():
    works = [work for work, _ in TABLE]
    assert len({w.key for w in works}) == len(works)
    named = [w.doi for w in works if w.doi]
    assert len(set(named)) == len(named)


def test_bibtex_closes_what_it_opens():
    for work in references(record("model default")):
        entry = work.bibtex()
        assert entry.startswith("@") and entry.count("{") == entry.count("}")


@pytest.mark.parametrize("content", [{}, {"format": "something"}, {"format": "rhotem-record"}])
def test_other_files_are_refused(content):
    with pytest.raises(InputError, match=r"record"):
        references(content)


def test_command_takes_the_folder_and_refuses_what_is_no_record(tmp_path):
    from rhotem.cli.cite import app

    (tmp_path / "record.json").write_text(json.dumps(record("gpaw")))
    shown = CliRunner().invoke(app, [str(tmp_path)])
    assert shown.exit_code == 0 and "GPAW" in shown.output
    for text in ("[1]", "not json"):
        (tmp_path / "record.json").write_text(text)
        assert isinstance(CliRunner().invoke(app, [str(tmp_path)]).exception, InputError)
