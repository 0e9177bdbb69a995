"""What a trajectory says of its ions, together: numbers for a table, and files in a folder."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.battery.trajectories.activation import Activation, activation_energy
from rhotem.battery.trajectories.diffusion import Diffusion, diffusion
from rhotem.battery.trajectories.hops import Hops, find_hops
from rhotem.battery.trajectories.model import Trajectory
from rhotem.battery.trajectories.msd import Msd, mean_square_displacement
from rhotem.battery.trajectories.sites import sites_of
from rhotem.core import InputError
from rhotem.structure.model import Structure

#: Ions that move in batteries, the first that a trajectory has is asked about where none is named.
MOBILE = ("Li", "Na", "K", "Mg", "Zn", "Ag", "Cu")
#: Share by which a temperature that is given may differ from that of the velocities without a remark.
UNEQUAL = 0.1
#: A fit from lags shorter than the slowest vibrations (fs), of ions that moved less than half a hop (Å²), is doubted.
VIBRATION, FAR = 200.0, 1.0


@dataclass(frozen=True)
class Wanted:
    """What is asked of a trajectory.

    Parameters
    ----------
    element : str
        Ion that moves; "": the first of `MOBILE` that is there.
    begin, end : float or None
        fs between which the MSD is fitted.
    reference : Structure or None
        Crystal whose sites ions hop between.
    temperature : float or None
        K; None: from velocities, where there are any.
    drift : bool
        Keep the motion of the centre of mass.
    """

    element: str = ""
    begin: float | None = None
    end: float | None = None
    reference: Structure | None = None
    temperature: float | None = None
    drift: bool = False


@dataclass(frozen=True, eq=False)
class Report:
    """What one trajectory says; ``diffusion`` and ``hops`` are None where times or a reference are missing."""

    trajectory: Trajectory
    element: str
    temperature: float | None
    msds: Sequence[Msd]
    diffusion: Diffusion | None
    hops: Hops | None
    notes: Sequence[str]

    @property
    def doubted(self) -> bool:
        """Whether its D may be the vibration of atoms, or is not above zero."""
        found = self.diffusion
        if found is None or not found.seen:
            return True
        return bool(found.msd.times[found.lags[0]] < VIBRATION and found.msd.values[found.lags[-1]] < FAR)

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        from ase.geometry import cell_to_cellpar

        t = self.trajectory
        kelvin = t.temperatures
        return {
            "file": t.source,
            "frames": len(t),
            "atoms": len(t.numbers),
            "cell_A_degrees": np.asarray(cell_to_cellpar(t.mean_cell)).round(5).tolist(),
            "cell_changes": not t.same_cell,
            "step_fs": None if t.times is None or len(t) < 2 else t.step,
            "temperature_K": self.temperature,
            "temperature_spread_K": None if kelvin is None else float(kelvin.std()),
            "element": self.element,
            "diffusion": None if self.diffusion is None else dict(self.diffusion.record()),
            "hops": None if self.hops is None else self.hops.record(),
            "notes": list(self.notes),
        }


def analyse(trajectory: Trajectory, wanted: Wanted = Wanted()) -> Report:
    """Mean square displacements, diffusion and hops of a trajectory, as far as it says enough.

    Raises
    ------
    InputError
        If the element is not there, the lags or the reference do not fit.
    """
    if wanted.temperature is not None and not (np.isfinite(wanted.temperature) and wanted.temperature > 0):
        raise InputError(f"--temperature {wanted.temperature:g}: expected a temperature in K")
    symbols = list(dict.fromkeys(trajectory.symbols.tolist()))
    element = wanted.element or next((one for one in MOBILE if one in symbols), symbols[0])
    trajectory.atoms_of(element)
    notes = list(trajectory.notes)
    kelvin = trajectory.temperatures
    temperature = wanted.temperature
    if temperature is None and kelvin is not None:
        temperature = float(kelvin.mean())
    elif temperature is not None and kelvin is not None and abs(kelvin.mean() / temperature - 1) > UNEQUAL:
        notes.append(f"velocities say {kelvin.mean():.0f} K, {temperature:.0f} K was given and is used")
    msds: list[Msd] = []
    found, hops = None, None
    if trajectory.times is None or len(trajectory) < 2:
        notes.append("no times or one frame: no diffusion; give --timestep-fs")
    else:
        msds = [mean_square_displacement(trajectory, one, drift=wanted.drift) for one in symbols]
        found = diffusion(trajectory, element, begin=wanted.begin, end=wanted.end, drift=wanted.drift)
        if not found.seen:
            notes.append(f"D of {element} is not above zero by two standard errors: run longer, or hotter")
        begins, reached = found.msd.times[found.lags[0]], found.msd.values[found.lags[-1]]
        if found.seen and begins < VIBRATION and reached < FAR:  # `Report.doubted`
            notes.append(
                f"the fit begins at {begins:g} fs, within the vibration of atoms, and {element} moved by "
                f"{np.sqrt(reached):.2g} Å only: D may be that vibration; run longer, or --from-ps 0.5"
            )
        if wanted.reference is not None:
            hops = find_hops(trajectory, sites_of(trajectory, wanted.reference, element))
    return Report(trajectory, element, temperature, msds, found, hops, notes)


def arrhenius(reports: Sequence[Report]) -> Activation | None:
    """Activation energy of several trajectories; None with one.

    Raises
    ------
    InputError
        If temperatures are not known or equal, or a D is not above zero.
    """
    if len(reports) < 2:
        return None
    for report in reports:
        if report.temperature is None or report.diffusion is None:
            raise InputError(
                f"{report.trajectory.source}: its temperature or time step is not known; give --temperature for every "
                "file and --timestep-fs"
            )
    return activation_energy(
        [r.temperature or 0.0 for r in reports],
        [r.diffusion.value for r in reports if r.diffusion],
        [r.diffusion.error for r in reports if r.diffusion],
    )


def write_report(report: Report, folder: Path) -> None:
    """Pictures and tables of one trajectory: msd, residence map, hops."""
    from rhotem.battery.trajectories.figures import draw_msd, draw_residence
    from rhotem.battery.trajectories.residence import residence_map, write_map

    t = report.trajectory
    kelvin = "" if report.temperature is None else f", {report.temperature:.0f} K"
    if report.msds:
        draw_msd(report.msds, report.diffusion, f"{t.source}, {len(t)} frames{kelvin}", folder / "msd.png")
        names = [f"{m.element}_A2" for m in report.msds]
        rows = np.stack([report.msds[0].times, *(m.values for m in report.msds)], axis=1)
        _table(folder / "msd.csv", ["time_fs", *names], rows.tolist())
    grid, values = residence_map(t, report.element)
    mean = t.mean_structure()
    without = replace(mean, atoms=mean.atoms[t.symbols != report.element])
    write_map(grid, values, without if len(without) else mean, folder / "residence.cube")
    draw_residence(grid, values, mean, report.element, folder / "residence.png")
    if report.hops is not None and t.times is not None:
        listed = report.hops.rows(t.times)
        head = ["time_fs", "frame", "atom", "from", "to", "length_A"]
        _table(folder / "hops.csv", head, [[row[key] for key in head] for row in listed])
        places = report.hops.sites.places
        rows = np.column_stack([np.arange(1, len(places) + 1), places, report.hops.occupancy])
        _table(folder / "sites.csv", ["site", "a", "b", "c", "occupancy"], rows.tolist())


def _table(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with open(path, "w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(head)
        table.writerows([f"{v:.8g}" if isinstance(v, float) else v for v in row] for row in rows)
