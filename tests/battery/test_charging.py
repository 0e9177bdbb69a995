"""States of charge: hull and voltages by thermodynamics, couples by valences, files, resumption, refusals."""

import json
import os
from dataclasses import replace

import ase
import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.battery.bpx import AVOGADRO
from rhotem.battery.charging.asked import Asked, states_of_charge
from rhotem.battery.charging.calibration import Calibration, Electrode, calibration_of, read_table
from rhotem.battery.charging.candidates import OWN, Host, candidates, host_of
from rhotem.battery.charging.curve import Metal, formation_energies, hull
from rhotem.battery.charging.make import charge_series, judged
from rhotem.battery.charging.ocp import bpx_fragment, open_circuit
from rhotem.battery.charging.redox import couples_between, electrons_given
from rhotem.battery.charging.states import State, lattice_of
from rhotem.battery.charging.store import Store
from rhotem.cli.charge_series import app
from rhotem.core import ConvergenceError, InputError, RhoTEMError
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

SITES = 4


def state(x, energy, metal="Fe"):
    ions = round(x * SITES)
    atoms = ase.Atoms("Li" * ions + f"{metal}{SITES}P{SITES}O{4 * SITES}", cell=np.eye(3) * 7.0, pbc=True)
    lattice = {"a_A": 7.0, "b_A": 7.0, "c_A": 7.0, "alpha_deg": 90.0, "beta_deg": 90.0, "gamma_deg": 90.0}
    return State(x, ions, energy, OWN, {**lattice, "volume_A3": 85.75}, Structure(atoms), [])


def series(energies, asked=Asked(), metal="Fe"):  # noqa: B008
    """A made-up series: x -> energy of the cell over the mixture of both ends, eV."""
    states = [state(x, -3.0 * x * SITES + energy, metal) for x, energy in sorted(energies.items(), reverse=True)]
    crystal = states[0].structure
    host = Host(crystal, crystal, (1, 1, 1), "Li", SITES, tuple(s.x for s in states))
    return judged(host, asked, states, Metal("Li", 0.0))


def test_two_phases_have_one_flat_voltage():
    made = series({1.0: 0.0, 0.5: 0.2, 0.25: 0.3, 0.0: 0.0})
    assert [(s.high, s.low) for s in made.steps] == [(1.0, 0.0)]
    assert made.steps[0].raw == pytest.approx(3.0)
    x, volts = open_circuit(made, calibrated=False)
    assert np.ptp(volts) == 0 and (x[0], x[-1]) == (0.0, 1.0)


def test_voltage_falls_as_ions_enter_and_its_area_is_the_energy():
    rng = np.random.default_rng(4)
    for _ in range(20):
        x = np.linspace(0, 1, 5)
        made = series(dict(zip(x, np.r_[0.0, rng.normal(0, 0.3, 3), 0.0], strict=True)))
        volts = [s.raw for s in made.steps]  # from x = 1 down
        assert all(np.diff(volts) > 0)
        # what the plateaus give together is what the ends give: energy is conserved
        assert sum(s.raw * (s.high - s.low) for s in made.steps) == pytest.approx(3.0)
        # no state lies below the hull
        chain = hull(x, made.formation[::-1])
        assert (made.formation[::-1] >= np.interp(x, x[chain], made.formation[::-1][chain]) - 1e-12).all()


def test_a_stable_state_splits_the_plateau_by_its_formation_energy():
    made = series({1.0: 0.0, 0.5: -0.4, 0.0: 0.0})
    assert [s.raw for s in made.steps] == pytest.approx([3.0 - 0.2, 3.0 + 0.2])
    assert formation_energies(made.states, SITES)[1] == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("before", "after", "couples"),
    [
        ("Li4Fe4P4O16", "Fe4P4O16", {("Fe", 2): 1.0}),
        ("Li4Co4O8", "Li2Co4O8", {("Co", 3): 1.0}),
        ("Li2Mn4O8", "Mn4O8", {("Mn", 3): 1.0}),
        ("Li4Ni2Mn6O16", "Ni2Mn6O16", {("Ni", 2): 0.5, ("Ni", 3): 0.5}),  # Mn(IV) gives nothing
        ("Li2Co2Mn2O8", "Co2Mn2O8", {("Co", 3): 1.0}),
        ("Li3Ni1Mn1Co1O6", "Li2Ni1Mn1Co1O6", {("Ni", 2): 1.0}),
        ("Li3Ni1Mn1Co1O6", "Ni1Mn1Co1O6", {("Ni", 2): 1 / 3, ("Ni", 3): 1 / 3, ("Co", 3): 1 / 3}),
        ("Na3V2P3O12", "Na1V2P3O12", {("V", 3): 1.0}),
        ("Li4Al1Ni3O8", "Li3Al1Ni3O8", {("Ni", 3): 1.0}),
    ],
)
def test_couples_of_known_electrodes(before, after, couples):
    one, two = (ase.Atoms(formula).get_chemical_symbols() for formula in (before, after))
    assert couples_between(one, two) == pytest.approx(couples)


def test_valences_that_do_not_balance_have_no_couples():
    assert electrons_given(ase.Atoms("Li4F4").get_chemical_symbols()) is None
    assert electrons_given(ase.Atoms("Li2O").get_chemical_symbols()) is None
    assert couples_between(["Ru", "O", "O", "Li"], ["Ru", "O", "O"]) is None


def test_what_is_not_calibrated_has_raw_voltages_only_and_says_so():
    unknown = series({1.0: 0.0, 0.0: 0.0}, metal="Ru")
    assert unknown.mean.raw == pytest.approx(3.0) and unknown.mean.calibrated is None
    assert any("raw voltages only" in note for note in unknown.notes)
    other = series({1.0: 0.0, 0.0: 0.0}, Asked(potential="chgnet"))
    assert other.mean.calibrated is None and any("chgnet is not calibrated" in note for note in other.notes)
    known = series({1.0: 0.0, 0.0: 0.0})
    assert known.mean.calibrated.value == pytest.approx(3.05, abs=0.1) and not known.notes


def test_calibration_finds_shifts_that_were_put_in():
    shifts, ion = {("Fe", 2): 0.1, ("Co", 3): 0.9, ("Ni", 3): -0.2}, {"Li": 0.0, "Na": -0.15}
    made = [
        Electrode(f"{metal}{low}{kind}", kind, ((metal, low),), 3.0, 3.0 + shifts[metal, low] + more)
        for metal, low in shifts
        for kind, more in ion.items()
    ]
    known = Calibration(made)
    for couple, value in shifts.items():
        assert known.shift(couple).value == pytest.approx(value)
        assert known.shift(couple).error == pytest.approx(0.0, abs=1e-9)
    assert known.apply(2.0, {("Fe", 2): 0.5, ("Co", 3): 0.5}, "Na").value == pytest.approx(2.0 + 0.5 - 0.15)
    assert known.shift(("V", 3)) is None and known.apply(2.0, {("V", 3): 1.0}) is None
    assert known.apply(2.0, {("Fe", 2): 1.0}, "K") is None
    other = known.shift(("Co", 2))
    assert other.basis == "metal" and other.value == pytest.approx(0.9)


def test_errors_are_those_of_electrodes_left_out():
    made = [Electrode(n, "Li", (("Co", 3),), 3.0, 3.0 + s) for n, s in (("a", 0.8), ("b", 1.0), ("c", 1.2))]
    known = Calibration(made)
    assert known.misses == pytest.approx({"a": -0.3, "b": 0.0, "c": 0.3})
    assert known.shift(("Co", 3)).error == pytest.approx(np.sqrt(0.06))
    alone = Calibration([*made, Electrode("d", "Li", (("Ti", 3),), 1.0, 1.1)])
    assert alone.shift(("Ti", 3)).error == pytest.approx(np.sqrt(0.06))  # none can predict it: that of the others


def test_the_shipped_calibration_predicts_electrodes_it_does_not_know():
    """Stated errors hold: left out, each electrode is within three of its couple's error; LixCoO2 within 0.2 V."""
    known = calibration_of("sevennet-0")
    assert len(known.electrodes) >= 15 and all(row["reference"] for row in read_table()["electrodes"])
    for electrode in known.electrodes:
        if electrode.name in known.misses:
            error = max(known.shift(couple).error for couple in electrode.couples)
            assert abs(known.misses[electrode.name]) < 3 * error, electrode.name
    assert abs(known.misses["LiCoO2"]) < 0.2
    assert known.pooled < known.raw_error / 2  # it is worth having
    assert calibration_of("chgnet") is None


def test_cells_hold_every_state_and_keep_the_axes():
    host = host_of(phase("LiCoO2"), Asked(x=(1, 0.75, 0.5, 0.25, 0)))
    assert host.sites == 12 and host.repeats == (2, 2, 1) and host.formula_units == 12
    relaxed = lattice_of(host, host.structure, OWN)
    assert relaxed["a_A"] == pytest.approx(2.8161) and relaxed["gamma_deg"] == pytest.approx(120)
    assert relaxed["volume_A3"] == pytest.approx(phase("LiCoO2").volume / 3)
    counts = [len(next(iter(candidates(host, host.structure, x, Asked()))).structure) for x in host.x]
    assert counts == [48, 45, 42, 39, 36]


def test_the_empty_lithium_oxide_is_also_tried_as_o1():
    host = host_of(phase("LiCoO2"), Asked(x=(1, 0)))
    tried = list(candidates(host, host.structure, 0.0, Asked()))
    assert [c.stacking for c in tried] == [OWN, "O1"]
    one, two = (c.structure for c in tried)
    assert one.formula == two.formula == "CoO2" and two.volume == pytest.approx(one.volume, rel=1e-3)
    assert [c.stacking for c in candidates(host, host.structure, 0.0, Asked(stackings=()))] == [OWN]


@pytest.mark.slow
def test_licoo2_and_lifepo4_against_experiment():
    """4.0 V (x 1 to 0.5, Reimers & Dahn 1992) within 0.2 V, 3.45 V (Yamada 2001) within 0.1 V."""
    half = charge_series(phase("LiCoO2"), Asked(x=(1, 0.5))).mean
    assert half.calibrated.value == pytest.approx(4.0, abs=0.2)
    olivine = charge_series(phase("LiFePO4"), Asked(x=(1, 0)))
    assert olivine.mean.calibrated.value == pytest.approx(3.45, abs=0.1)
    # FePO4 is 6.6 % smaller (A. S. Andersson et al., Solid State Ionics 130, 41 (2000)); its c is longer
    empty, full = olivine.states[1].lattice, olivine.states[0].lattice
    assert -0.08 < empty["volume_A3"] / full["volume_A3"] - 1 < -0.03
    assert empty["c_A"] > full["c_A"] and empty["a_A"] < full["a_A"]


def test_a_killed_series_goes_on_and_another_one_is_refused(tmp_path, monkeypatch):
    asked = Asked(x=(1, 0.75, 0), orderings=1, steps=1, stackings=())
    first = charge_series(phase("LiFePO4"), asked, tmp_path)
    kept = {p: p.read_bytes() for p in (tmp_path / "states").iterdir()}
    (tmp_path / "states" / "x0.7500.json").write_text('{"x": 0.7')  # torn by what killed it
    (tmp_path / "states" / "x0.0000.json").unlink()
    relaxed = []
    import rhotem.battery.charging.states as states

    real = states.relax
    monkeypatch.setattr(states, "relax", lambda *a, **k: relaxed.append(len(a[0])) or real(*a, **k))
    again = charge_series(phase("LiFePO4"), asked, tmp_path)
    assert relaxed == [27, 24]  # x = 1 is not done again
    assert [s.energy for s in again.states] == pytest.approx([s.energy for s in first.states], abs=1e-9)
    assert {p.name for p in kept} == {p.name for p in (tmp_path / "states").iterdir()}
    with pytest.raises(InputError, match="another series"):
        Store(tmp_path, host_of(phase("LiFePO4"), asked), replace(asked, steps=4))


@pytest.mark.slow
def test_charges_sum_to_zero_and_oxygen_is_negative(tmp_path):
    made = charge_series(phase("LiFePO4"), Asked(x=(1, 0), orderings=1, steps=2), density="model")
    for one in made.states:
        total = {kind: sum(q["atoms"] * q[kind] for q in one.charges.values()) for kind in ("hirshfeld", "bader")}
        assert total == pytest.approx({"hirshfeld": 0.0, "bader": 0.0}, abs=2e-3 * len(one.structure))
        assert one.charges["O"]["bader"] < -1 and one.charges["P"]["bader"] > 2
    full, empty = (s.charges for s in made.states)
    assert empty["Fe"]["bader"] > full["Fe"]["bader"] and empty["O"]["bader"] > full["O"]["bader"]  # oxidised


def test_the_fragment_fits_the_bpx_schema():
    made = series({1.0: 0.0, 0.5: -0.4, 0.0: 0.0})
    told = bpx_fragment(made)
    electrode = told["Parameterisation"]["Positive electrode"]
    # 4 ions in 343 Å3
    assert electrode["Maximum concentration [mol.m-3]"] == pytest.approx(4 / 343e-30 / AVOGADRO)
    table = electrode["OCP [V]"]
    assert all(np.diff(table["x"]) > 0) and all(np.diff(table["y"]) <= 0)
    bpx = pytest.importorskip("bpx")
    rest = {  # what a fragment cannot know; values of the schema's examples
        "Particle radius [m]": 5.86e-6,
        "Surface area per unit volume [m-1]": 382184,
        "Diffusivity [m2.s-1]": 3.3e-14,
        "Reaction rate constant [mol.m-2.s-1]": 1e-10,
        "Thickness [m]": 75e-6,
    }
    told["Parameterisation"]["Positive electrode"] = {**electrode, **rest}
    read = bpx.parse_bpx_obj(json.loads(json.dumps(told)))
    assert read.parameterisation.positive_electrode.ocp.x == table["x"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["LiF"], "nothing gives electrons"),
        (["NiO"], "no mobile ion"),
        (["LiCoO2", "--x", "1,1.2"], "from 0 to 1"),
        (["LiCoO2", "--x", "1,-0.1"], "from 0 to 1"),
        (["LiCoO2", "--x", "1,half"], "not a number"),
        (["LiCoO2", "--x", "1"], "two different"),
        (["LiCoO2", "--x", "1,nan"], "from 0 to 1"),
        (["Li2MnO3", "--x", "1,0"], "mean valence"),
        (["LiCoO2", "--ion", "Mg"], "expected one of"),
        (["LiCoO2", "--ion", "Na"], "has no Na"),
        (["LiCoO2", "--repeat", "1,1,1", "--x", "1,0.5"], "repeat more"),
        (["LiFePO4", "--stackings", "O1", "--x", "1,0", "--steps", "1"], "no layered oxide"),
        (["LiCoO2", "--stackings", "Q7"], "expected O3"),
        (["LiCoO2", "--potential", "none"], "not known"),
    ],
)
def test_what_is_wrong_ends_in_one_line_and_leaves_nothing(tmp_path, arguments, line):
    os.chdir(tmp_path)
    result = CliRunner().invoke(app, [*arguments, "--out", "s"])
    assert isinstance(result.exception, RhoTEMError), result.output
    assert line in str(result.exception) and "\n" not in str(result.exception)
    assert not list(tmp_path.glob("s/*.csv"))


def test_default_states_end_where_valences_do():
    assert states_of_charge(phase("LiCoO2"), "Li", None) == (1.0, 0.75, 0.5, 0.25, 0.0)
    assert states_of_charge(phase("Na3V2(PO4)3"), "Na", None)[-1] == 0.0  # V(V) is known to be reached
    with pytest.raises(InputError, match="valence"):
        states_of_charge(phase("Li2MnO3"), "Li", None)  # Mn(IV) from the start


def test_a_series_that_fails_before_its_first_state_leaves_nothing(tmp_path, monkeypatch):
    import rhotem.battery.charging.make as make

    def lost(*_, **__):
        raise ConvergenceError("lost")

    monkeypatch.setattr(make, "lowest", lost)
    with pytest.raises(ConvergenceError, match="lost"):
        charge_series(phase("LiFePO4"), Asked(x=(1.0, 0.0)), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_primitive_cell_is_said_to_try_no_other_stacking():
    cell = phase("LiCoO2").atoms.cell.array
    rows = np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3.0
    hexagonal = phase("LiCoO2").atoms
    inside = hexagonal.get_scaled_positions() @ np.linalg.inv(rows) % 1.0
    inside = np.where(inside > 1 - 1e-6, 0.0, inside)
    keep = [i for i in range(12) if not any(np.allclose(inside[i], inside[j], atol=1e-4) for j in range(i))]
    primitive = hexagonal[keep]
    primitive.set_cell(rows @ cell)
    primitive.set_scaled_positions(inside[keep])
    assert len(primitive) == 4
    made = series({1.0: 0.0, 0.0: 0.0}, metal="Co")
    host = replace(made.host, crystal=Structure(primitive))
    notes = " ".join(judged(host, made.asked, made.states, made.metal).notes)
    assert "start from the hexagonal cell" in notes and "van der Waals" in notes
    notes = " ".join(judged(replace(host, crystal=phase("LiCoO2")), made.asked, made.states, made.metal).notes)
    assert "start from the hexagonal cell" not in notes and "van der Waals" in notes


def test_a_potential_of_one_material_gives_no_voltage(tmp_path):
    (tmp_path / "nep.txt").write_text("nep4 2 Li O\n")
    with pytest.raises(InputError, match="does not know the metal"):
        Asked(potential=str(tmp_path))


def test_a_metal_is_no_electrode_that_empties():
    with pytest.raises(InputError, match="nothing but Li"):
        host_of(phase("Li"), Asked(x=(1.0, 0.0)))
