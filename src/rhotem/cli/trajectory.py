"""`rhotem trajectory`: what molecular dynamics says of ions that move."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import JsonOption, QuietOption, output_folder, to_json, write_record

if TYPE_CHECKING:
    from rhotem.battery.trajectories.activation import Activation
    from rhotem.battery.trajectories.report import Report

app = typer.Typer()

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="TRAJECTORY",
        help="extxyz, ASE .traj, LAMMPS dump (.lammpstrj, .dump), XDATCAR or .dcd; several of different temperatures "
        "give an activation energy.",
    ),
]
TimestepOption = Annotated[
    float | None,
    typer.Option(
        "--timestep-fs",
        metavar="fs",
        help="Time of a step of molecular dynamics (LAMMPS dumps), or between frames (XDATCAR, DCD, others that do "
        "not say).",
    ),
]
ElementsOption = Annotated[
    str | None,
    typer.Option("--elements", metavar="1=Li,2=Co", help="LAMMPS: elements of types, where not in the dump."),
]
TopologyOption = Annotated[
    Path | None, typer.Option("--topology", metavar="FILE", help="DCD: structure file of the same atoms.")
]
ElementOption = Annotated[
    str,
    typer.Option(
        "--element", "-e", metavar="Li", help="Ion that moves; without it the first of Li, Na, K, Mg, Zn, ..."
    ),
]
ReferenceOption = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="STRUCTURE",
        help="Crystal whose sites ions hop between: file or ready phase, in the directions of the trajectory's cell.",
    ),
]
FromOption = Annotated[
    float | None,
    typer.Option("--from-ps", metavar="ps", help="Fit of D from this lag on; without it 5 % of the length."),
]
ToOption = Annotated[
    float | None, typer.Option("--to-ps", metavar="ps", help="To this lag; without it half of the length.")
]
TemperatureOption = Annotated[
    list[float] | None,
    typer.Option("--temperature", metavar="K", help="Of every file in its order, where velocities do not say it."),
]
DriftOption = Annotated[bool, typer.Option("--keep-drift", help="Do not take the motion of the centre of mass off.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Folder for pictures, tables (MSD, hops, sites) and the residence map (.cube)."
    ),
]


@app.command()
def trajectory(
    files: FilesArgument,
    element: ElementOption = "",
    reference: ReferenceOption = None,
    timestep_fs: TimestepOption = None,
    elements: ElementsOption = None,
    topology: TopologyOption = None,
    from_ps: FromOption = None,
    to_ps: ToOption = None,
    temperature: TemperatureOption = None,
    keep_drift: DriftOption = False,
    out: OutOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Frames, temperature, mean square displacement, diffusion with its error, hops and residence map of a trajectory.

    A time step that neither the file nor you say is not guessed. `rhotem film`
    makes images of the frames.
    """
    from rhotem.analysis.specimen import structure
    from rhotem.battery.trajectories.asked import Asked, parse_elements
    from rhotem.battery.trajectories.read import read_trajectory
    from rhotem.battery.trajectories.report import Wanted, analyse, arrhenius
    from rhotem.core import InputError

    kelvin: list[float | None] = [*temperature] if temperature else [None] * len(files)
    if len(kelvin) != len(files):
        raise InputError(
            f"--temperature: {len(kelvin)} given for {len(files)} files; give one for each, in their order"
        )
    asked = Asked(timestep_fs, parse_elements(elements) if elements else {}, topology)
    crystal = structure(reference) if reference else None
    begin, end = (None if ps is None else 1e3 * ps for ps in (from_ps, to_ps))
    reports = [
        analyse(read_trajectory(path, asked), Wanted(element, begin, end, crystal, t, keep_drift))
        for path, t in zip(files, kelvin, strict=True)
    ]
    fit = arrhenius(reports)
    record = _record(reports, fit)
    if out is not None:
        with output_folder(out) as folder:
            _write(reports, fit, folder)
            write_record(folder, record)
    if as_json:
        typer.echo(to_json(record))
        return
    if not quiet:
        for report in reports:
            typer.echo(_words(report))
    if fit is not None:
        value, factor = fit.at(300.0)
        typer.echo(
            f"activation energy of {reports[0].element}: {fit.energy:.3f} ± {fit.error:.3f} eV; D(300 K) "
            f"{value:.2g} cm²/s, × or ÷ {factor:.2g}"
        )
        doubted = [report.trajectory.source for report in reports if report.doubted]
        if doubted:
            typer.echo(f"note: D of {', '.join(doubted)} is in doubt (above), and so is this activation energy")
    if out is not None and not quiet:
        typer.echo(f"written: {out}, {', '.join(sorted(path.name for path in out.iterdir()))}")


def _record(reports: "list[Report]", fit: "Activation | None") -> dict[str, Any]:
    record: dict[str, Any] = {"trajectories": [report.record() for report in reports]}
    if fit is not None:
        doubted = [report.trajectory.source for report in reports if report.doubted]
        record["activation"] = {
            "energy_eV": fit.energy,
            "error_eV": fit.error,
            "ln_D0": fit.logarithm,
            "in_doubt": doubted,
        }
    return record


def _write(reports: "list[Report]", fit: "Activation | None", folder: Path) -> None:
    import numpy as np

    from rhotem.battery.trajectories.figures import draw_arrhenius
    from rhotem.battery.trajectories.report import write_report

    for number, report in enumerate(reports, start=1):
        inside = folder
        if len(reports) > 1:
            inside = folder / f"{number}-{report.trajectory.source}"
            inside.mkdir()
        write_report(report, inside)
    if fit is not None:
        rows = np.array([(r.temperature, r.diffusion.value, r.diffusion.error) for r in reports if r.diffusion])
        draw_arrhenius(rows, fit, reports[0].element, folder / "arrhenius.png")


def _words(report: "Report") -> str:
    """A trajectory in a few lines."""
    t, said = report.trajectory, report.record()
    lengths = " x ".join(f"{length:.3f}" for length in said["cell_A_degrees"][:3])
    time = (
        ""
        if said["step_fs"] is None
        else f", {said['step_fs'] * (len(t) - 1) / 1e3:.4g} ps in steps of {said['step_fs']:g} fs"
    )
    spread = "" if said["temperature_spread_K"] is None else f" ± {said['temperature_spread_K']:.0f}"
    kelvin = "" if report.temperature is None else f", {report.temperature:.0f}{spread} K"
    lines = [
        f"{t.source}: {len(t)} frames of {len(t.numbers)} atoms{time}{kelvin}",
        f"cell        {lengths} Å{' in the mean' if said['cell_changes'] else ''}",
    ]
    if report.msds:
        last = report.msds[0].times[len(report.msds[0].times) // 2]
        rows = ", ".join(f"{m.element} {m.values[len(m.values) // 2]:.3g}" for m in report.msds)
        lines.append(f"MSD         after {last / 1e3:.4g} ps: {rows} Å²")
    if report.diffusion is not None:
        d = report.diffusion
        fitted = d.msd.times[d.lags[[0, -1]]] / 1e3
        lines.append(
            f"diffusion   {report.element}: D = ({d.value:.3g} ± {d.error:.2g}) cm²/s, fitted from {fitted[0]:.4g} to "
            f"{fitted[1]:.4g} ps"
        )
    if report.hops is not None:
        h = report.hops
        lines.append(
            f"hops        {len(h)} between {len(h.sites)} sites, {h.rate[0]:.3g} ± {h.rate[1]:.2g} per atom and ns; "
            f"{100 * h.returns:.0f} % undone by the next; as jumps D = ({h.jump_diffusion[0]:.3g} ± "
            f"{h.jump_diffusion[1]:.2g}) cm²/s"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in report.notes)])
