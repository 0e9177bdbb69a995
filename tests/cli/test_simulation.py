"""`rhotem image`, `compare`, `potential`: options reach simulation and record; bad ones leave nothing behind."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.analysis import run
from rhotem.analysis.sources import source_options
from rhotem.cli import common, main, options
from rhotem.cli.compare import image_folders
from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.files import write_density
from rhotem.structure.phases import phase


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main.app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def record_of(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())


@pytest.fixture
def thin(tmp_path: Path) -> list[object]:
    """The cheapest image there is."""
    return ["image", "LiF", "--thickness", "0.4", "--phonons", "0", "--detector", "BF=8", "--out", tmp_path / "out"]


@pytest.mark.slow
def test_every_microscope_option_lands_in_the_record(thin: list[object], tmp_path: Path) -> None:
    optics = [
        *("--energy", 80, "--convergence", 18, "--defocus", -2, "--cs", 0.001, "--aberration", "C12=2nm"),
        *("--aberration", "phi12=90", "--tilt", "2,-1", "--source-size", 0.5, "--detector", "DPC=4-18"),
        *("--seed", 7, "--algorithm", "bloch", "--memory", "2GB"),
    ]
    code, out, err = invoke(*thin, *optics)
    assert code == 0, err
    record = record_of(tmp_path / "out")
    microscope, plan = record["simulation"]["microscope"], record["simulation"]["plan"]
    wanted = {"energy": 80e3, "convergence": 18, "defocus": -20.0, "cs": 1e4, "source_size": 0.5, "tilt": [2.0, -1.0]}
    assert {key: microscope[key] for key in wanted} == wanted
    assert microscope["aberrations"] == pytest.approx({"C12": 20.0, "phi12": np.pi / 2})
    assert [(d["kind"], d["outer"]) for d in record["simulation"]["detectors"]] == [("annular", 8), ("segmented", 18)]
    assert plan["algorithm"] == "bloch" and plan["limit"] == 2e9
    assert "of 2.00 GB allowed" in out
    assert set(record["specimen"]["preset"]["changed"]) >= {"energy", "convergence", "detectors", "tilt"}
    assert (tmp_path / "out" / "iDPC.png").exists() and not (tmp_path / "out" / "HAADF.png").exists()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--energy", "-80"], "energy"),
        (["--energy", "200000"], "energy"),
        (["--convergence", "0"], "convergence"),
        (["--aberration", "C99=1"], "C99"),
        (["--aberration", "C30=fast"], "C30= and a number"),
        (["--aberration", "C12=1", "--aberration", "C12=2"], "given twice"),
        (["--cs", "1", "--aberration", "C30=1um"], "given twice"),
        (["--tilt", "1"], "two angles"),
        (["--tilt", "1,nan"], "two angles"),
        (["--detector", "HAADF=200-68"], "must be below"),
        (["--detector", "HAADF"], "NAME=inner-outer"),
        (["--detector", "BF=8"], "repeat"),
        (["--dose", "-1"], "dose"),
        (["--source-size", "-1"], "source_size"),
        (["--scan-step", "0"], "scan step 0"),
        (["--field-of-view", "-3"], "field of view -3"),
        (["--algorithm", "fast"], "--algorithm"),
        (["--memory", "lots"], "unit"),
        (["--memory", "1KB"], "0.00 GB allowed"),
        (["--seed", "-1"], "--seed"),
        (["--thickness", "-1"], "thickness -1"),
        (["--temperature", "-5", "--phonons", "2"], "temperature -5"),
        (["--valence", "Li=1"], "describe a density file"),
        (["--file-kind", "total"], "describe a density file"),
        (["--valence", "lithium"], "Li=1,O=6"),
        (["--preset", "saed", "--dose", "5"], "parallel illumination"),
        (["--preset", "saed", "--phonons", "1"], "2 or more"),
        (["--preset", "cryo-sei-hrtem", "--algorithm", "prism"], "parallel"),
    ],
)
def test_bad_values_are_one_line_and_leave_nothing(
    thin: list[object], tmp_path: Path, options: list[str], words: str
) -> None:
    code, _, err = invoke(*(thin[:6] + thin[8:] if "--preset" in options else thin), *options)
    assert code == 2, err
    assert err.splitlines()[-1].startswith("error: ") and words in err
    assert not list(tmp_path.iterdir())


def test_temperature_of_atoms_at_rest_is_warned_about(thin: list[object]) -> None:
    code, _, err = invoke(*thin, "--temperature", 100)
    assert code == 0 and err.count("\n") == 1 and err.startswith("warning: --temperature has no effect")
    assert invoke(*thin)[2] == ""


def test_shared_sites_are_ordered_on_request(thin: list[object], tmp_path: Path) -> None:
    """LiF with half of the lithium gone: refused, or one of its ordered arrangements."""
    crystal = phase("LiF", primitive=True).atoms
    crystal.info["occupancy"] = {"0": {"Li": 0.5}, "1": {"F": 1.0}}
    crystal.set_array("spacegroup_kinds", np.arange(2))
    crystal.write(tmp_path / "half.cif")
    half = [thin[0], tmp_path / "half.cif", *thin[2:]]
    code, _, err = invoke(*half)
    assert code == 2 and "--order" in err and not (tmp_path / "out").exists()
    code, out, err = invoke(*half, "--order")
    assert code == 0, err
    assert "note: ordered" in out
    assert "LiF2" in record_of(tmp_path / "out")["specimen"]["formula"]


def test_field_of_view_and_scan_step(thin: list[object], tmp_path: Path) -> None:
    """The periodic image is continued over whole cells of 2.85 x 4.03 Å, at steps not above the one asked for."""
    import tifffile

    assert invoke(*thin, "--field-of-view", 10, "--scan-step", 0.25)[0] == 0
    record = record_of(tmp_path / "out")["simulation"]
    assert record["scan"]["size_angstrom"] == pytest.approx([4 * 4.026 / np.sqrt(2), 3 * 4.026], abs=0.01)
    picture = tifffile.imread(tmp_path / "out" / "BF.tif")
    assert picture.shape == tuple(reversed(record["scan"]["positions"])) == (3 * 17, 4 * 12)
    np.testing.assert_allclose(picture[:17], picture[17:34], rtol=1e-5)


def test_files_of_one_name_keep_their_images_apart() -> None:
    sources = ["free-atoms", "relaxed/CHGCAR", "a b.cube", "static/CHGCAR"]
    assert image_folders(sources) == ["free-atoms", "CHGCAR-1", "a_b.cube", "CHGCAR-2"]


def test_memory_reaches_the_potential(tmp_path: Path) -> None:
    """Too little for the slices themselves: said by whatever needs them first."""
    for command in (
        ["image", "LiF", "--source", "free-atoms", "--thickness", "2", "--out", tmp_path / "o"],
        ["compare", "LiF", "--source", tmp_path / "rho.npz", "--thickness", "2", "--out", tmp_path / "o"],
        ["potential", "LiF", "--source", "free-atoms", "-o", tmp_path / "v.h5"],
    ):
        crystal = phase("LiF")
        grid = PeriodicGrid.from_spacing(crystal.cell, 0.5)
        write_density(DensityField("deformation", crystal, grid, np.zeros(grid.shape)), tmp_path / "rho.npz")
        code, _, err = invoke(*command, "--memory", "100KB")
        assert code == 2 and ("potential of" in err or "needs" in err) and "allowed" in err, err
        assert [p.name for p in tmp_path.iterdir()] == ["rho.npz"]


def test_charge_zero_overrides_that_of_a_file(tmp_path: Path) -> None:
    """A label of a charged cell, declared neutral: the density is counted as neutral."""
    from dataclasses import replace

    crystal = replace(phase("LiF"), charge=1.0)
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.4)
    s = crystal
    np.savez(
        tmp_path / "label.npz",
        deformation=np.full(grid.shape, -1.0 / grid.volume, np.float32),
        **{"numbers": s.numbers, "positions": s.positions, "cell": s.cell, "charge": 1.0},
    )
    charges = []
    for option in ([], ["--charge", "0"]):
        arguments = ["density", "LiF", "--source", tmp_path / "label.npz", "--kind", "deformation", "--json"]
        code, out, err = invoke(*arguments, "-o", tmp_path / "a.npz", *option)
        assert code == 0, err
        with np.load(tmp_path / "a.npz") as written:
            charges.append((json.loads(out)["record"]["charge"], -grid.integrate(written["values"])))
    assert charges == [pytest.approx((1.0, 1.0), abs=1e-5), pytest.approx((0.0, 0.0), abs=1e-5)]


def test_valence_and_kind_reach_the_file_source() -> None:
    found = source_options(str(Path(__file__)), charge=0.0, valence={"Li": 1.0}, file_kind="total")
    assert found == {"charge": 0.0, "valence": {"Li": 1.0}, "kind": "total"}
    assert source_options("gpaw", gpaw_cache=Path("x")) == {"cache": Path("x")}
    assert source_options("free-atoms", charge=0.0) == {}
    assert source_options(str(Path(__file__)), correct_count=True) == {"correct": True}
    with pytest.raises(InputError, match="--correct-count"):
        source_options("free-atoms", correct_count=True)


@pytest.mark.parametrize("text, found", [("Li=1,O=6", {"Li": 1, "O": 6}), (" Co = 9.0 ", {"Co": 9})])
def test_valence(text: str, found: dict[str, float]) -> None:
    assert common.parse_valence(text) == found


@pytest.mark.parametrize("text", ["", "Li", "Li=", "li=1", "Li=1;O=6", "Li=1,Li=2", "Li=-1"])
def test_valence_without_meaning(text: str) -> None:
    with pytest.raises(InputError, match="Li=1,O=6"):
        common.parse_valence(text)


def test_phase_gratings_need_an_energy_and_come_one_per_slice(tmp_path: Path) -> None:
    code, _, err = invoke("potential", "LiF", "-o", tmp_path / "v.sli")
    assert code == 2 and "--energy" in err and not list(tmp_path.iterdir())
    code, _, err = invoke("potential", "LiF", "-o", tmp_path / "v.addpot", "--energy", 200)
    assert code == 2 and "leave it out" in err and not list(tmp_path.iterdir())
    for wrong in (0, -1):
        code, _, err = invoke("potential", "LiF", "-o", tmp_path / "v.zarr", "--slice-thickness", wrong)
        assert code == 2 and "slice" in err and not list(tmp_path.iterdir())
    code, out, err = invoke("potential", "LiF", "-o", tmp_path / "v.sli", "--energy", 200, "--slice-thickness", 1)
    assert code == 0, err
    written = sorted(p.name for p in tmp_path.iterdir())
    # two planes 1.42 Å apart fit into four slices, not into the three that 1 Å would allow
    assert written == [f"v_00{i}.sli" for i in (1, 2, 3, 4)] and "v_001.sli to v_004.sli" in out
    header = (tmp_path / "v_001.sli").read_bytes()[0x1040:0x1044]
    assert np.frombuffer(header, "<f4")[0] == 200.0


@pytest.fixture
def vacancy(tmp_path: Path) -> Path:
    """A Li vacancy in a 3 x 3 x 1 cell of LiCoO2, as a user makes it."""
    assert (
        invoke("structure", "build", "LiCoO2", "--repeat", "3,3,1", "--vacancy", "Li", "-o", tmp_path / "v.cif")[0] == 0
    )
    return tmp_path / "v.cif"


def test_a_given_cell_is_kept_with_its_defect(vacancy: Path) -> None:
    """One Li of 27 is gone; the cell is imaged once, or as often as a thickness asks, which is said."""
    crystal = run.structure(vacancy)
    once = run.specimen(crystal, (1, 0, 0), keep_cell=True, preset="pacbed")
    atoms = once.block.structure.atoms
    assert sum(atoms.symbols == "Li") * 27 == sum(atoms.symbols == "Co") * 26
    assert once.repeats == (1, 1, 1) and once.thickness == pytest.approx(3 * 0.2816, abs=1e-3)
    thick = run.specimen(crystal, (1, 0, 0), keep_cell=True, thickness=2.0, preset="pacbed")
    assert thick.repeats[2] == 2 and "2 times along the beam, and so its defects" in thick.notes[0]


def test_a_supercell_without_defects_is_reduced_unless_kept(tmp_path: Path) -> None:
    from rhotem.structure.build import repeated

    crystal = repeated(phase("LiF"), 2, 2, 2)
    small = run.specimen(crystal, (1, 0, 0), preset="pacbed", thickness=1.0)
    kept = run.specimen(crystal, (1, 0, 0), preset="pacbed", thickness=1.0, keep_cell=True, basis="input")
    assert small.cell.lengths[0] == pytest.approx(4.026 / np.sqrt(2), abs=0.01)
    assert kept.cell.lengths[:2] == pytest.approx([8.05, 8.05], abs=0.02)


@pytest.mark.parametrize("basis", ["conventional", "input"])
def test_a_kept_cell_without_symmetry_has_its_own_axes(basis: str) -> None:
    """[001] is the third vector of the file although it is not that of the Niggli cell; b is up."""
    import ase

    from rhotem.structure.model import Structure

    places = np.random.default_rng(0).uniform(size=(6, 3))
    given = Structure(ase.Atoms("LiCoOFNaMn", cell=[9.0, 5.0, 7.0], scaled_positions=places, pbc=True))
    cut = run.specimen(given, (0, 0, 1), basis=basis, keep_cell=True, preset="pacbed")
    assert cut.cell.lengths == pytest.approx([9.0, 5.0, 7.0])
    assert cut.cell.labels == {"x": "[100]", "y": "[0-10]", "up": "[010]", "zone": "[001]"}
    moved = cut.cell.structure.positions[0] - cut.cell.structure.positions
    expected = (places[0] - places) * [9.0, -5.0, -7.0]
    assert (moved - expected) / [9.0, 5.0, 7.0] == pytest.approx(
        np.rint((moved - expected) / [9.0, 5.0, 7.0]), abs=1e-6
    )


def test_convergence_without_detectors_is_remarked() -> None:
    said = run.remarks(run.adjusted_preset("layered-oxide", convergence=30.0))
    assert len(said) == 1 and "ABF 11–22 mrad" in said[0]
    assert run.remarks(run.adjusted_preset("layered-oxide", convergence=30.0, detectors=["ABF=15-30"])) == ()


def test_plans_hold_core_losses_and_do_not_say_otherwise() -> None:
    assert run.remarks(run.adjusted_preset("layered-oxide", detectors=["HAADF=60-200", "O-K@30"])) == ()


def test_losses_of_an_element_that_is_not_there_are_refused_before_the_density(
    thin: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were refused only after the density had been computed."""
    monkeypatch.setattr(run, "density", lambda *given, **more: pytest.fail("the density was asked for"))
    code, _, err = invoke(*thin, "--detector", "O-K")
    assert code == 2 and err.endswith("error: edge O-K: no O in the specimen\n")
    assert not (tmp_path / "out").exists()


def test_help_of_image_is_in_groups() -> None:
    """No more than a screenful in any one of them."""
    _, out, _ = invoke("image", "--help")
    groups = [line.strip("╭╮─ ") for line in out.splitlines() if line.startswith("╭")]
    assert groups == ["Arguments", "Options", *options.PANELS]


@pytest.mark.slow
def test_atoms_probe_and_camera_beside_the_images(tmp_path: Path) -> None:
    """A gold and an oxygen column off every symmetry: the bright one stands where atoms.csv says."""
    from ase import Atoms

    cell = Atoms("AuO", cell=[4.3, 5.2, 2.6], pbc=True, scaled_positions=[[0.21, 0.37, 0.1], [0.7, 0.1, 0.6]])
    cell.write(tmp_path / "two.cif")
    out = tmp_path / "out"
    given = ["--source", "free-atoms", "--zone", "0,0,1", "--keep-cell", "--phonons", "0", "--thickness", "0.5"]
    given += ["--detector", "ADF=40-80", "--detector", "4D=25", "--camera-step", "0.9", "--probe"]
    code, said, err = invoke("image", tmp_path / "two.cif", *given, "--out", out)
    assert code == 0, err
    rows = [row.split(",") for row in (out / "atoms.csv").read_text().splitlines()]
    assert rows[0] == ["element", "x_angstrom", "y_angstrom", "z_angstrom"] and [r[0] for r in rows[1:3]] == ["Au", "O"]
    import zarr

    image = zarr.open_array(str(out / "images.zarr" / "ADF"), mode="r")
    place = np.unravel_index(np.argmax(image[:]), image.shape)
    step = image.attrs["sampling_angstrom"]
    assert [p * s for p, s in zip(place, step, strict=True)] == pytest.approx([float(x) for x in rows[1][1:3]], abs=0.1)
    assert record_of(out)["simulation"]["microscope"]["camera_step"] == 0.9
    assert 0.4 < record_of(out)["probe"]["fwhm"] < 0.8
    assert (out / "probe.png").exists() and "pixels of" in said
    assert zarr.open_array(str(out / "images.zarr" / "PACBED"), mode="r").attrs["step_mrad"] == [0.9, 0.9]


@pytest.mark.parametrize(
    "options, words",
    [
        (["--phonons", "many"], "auto:0.5"),
        (["--phonons", "auto:0"], "auto:0.5"),
        (["--phonons", "auto", "--preset", "saed"], "phonons auto"),
        (["--phonons", "auto", "--detector", "4D=20"], "no detector makes these"),
        (["--probe", "--preset", "cryo-sei-hrtem"], "--probe"),
        (["--camera-step", "0.5", "--preset", "saed"], "camera step"),
        (["--camera-step", "-1"], "camera_step"),
        (
            ["--camera-step", "30", "--detector", "4D=20", "--phonons", "0", "--thickness", "0.4"],
            "larger than a camera",
        ),
    ],
)
def test_what_cannot_be_recorded_is_refused(options: list[str], words: str, tmp_path: Path) -> None:
    code, _, err = invoke("image", "LiF", "--source", "free-atoms", *options, "--out", tmp_path / "out")
    assert code == 2 and words in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
