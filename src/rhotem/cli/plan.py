"""`rhotem plan`: how well a change would be seen, before a session; what to record next, in it."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.common import ProgressBar, StructureArgument, output_folder, voice, write_record
from rhotem.cli.options import RECORDING, SPECIMEN, OutOption, SimulationQuietOption, planned, with_plan_options

if TYPE_CHECKING:
    from rhotem.analysis.plan import Plan
    from rhotem.analysis.voice import Voice
    from rhotem.battery.relax import Settings
    from rhotem.core import Progress
    from rhotem.structure.model import Structure

app = typer.Typer()

FeatureOption = Annotated[
    str | None,
    typer.Option(
        "--feature",
        metavar="CHANGE",
        help="vacancy:Li, vacancy:Li:3 (atoms of a column), vacancy:Li:20%, dopant:Ni=Al, antisite:Li/Ni, molecule:C; "
        "density: what bonding changes.",
        rich_help_panel=SPECIMEN,
    ),
]
AfterOption = Annotated[
    Path | None,
    typer.Option(
        "--after",
        metavar="DIR",
        help="Result of rhotem fit: which focus, detectors and dose of the next scan tell most of this specimen.",
        rich_help_panel=SPECIMEN,
    ),
]
DosesOption = Annotated[
    str | None,
    typer.Option("--doses", metavar="1e4,1e5", help="Of --after: e/Å², instead of one.", rich_help_panel=RECORDING),
]
ThicknessesOption = Annotated[
    str | None,
    typer.Option("--thicknesses", metavar="2,5,10", help="nm, instead of one.", rich_help_panel=SPECIMEN),
]
FociOption = Annotated[
    str,
    typer.Option("--foci", metavar="FROM,TO,STEPS", help="Defocus values in nm.", rich_help_panel=RECORDING),
]
RingsOption = Annotated[
    float | None,
    typer.Option(
        "--rings",
        metavar="MRAD",
        help="Look for the best ring with edges so far apart, too, and weigh all parts of the pattern at once (4D).",
        rich_help_panel=RECORDING,
    ),
]
RelaxOption = Annotated[
    bool,
    typer.Option("--relax", help="Atoms give way to the change.", rich_help_panel=SPECIMEN),
]
PotentialOption = Annotated[
    str | None,
    typer.Option(
        "--potential",
        metavar="NAME",
        help="Of --relax: SevenNet-0 if not said; a potential of rhotem battery, or a folder of rhotem distil.",
        rich_help_panel=SPECIMEN,
    ),
]
#: What a plan of a session has no use for.
WITHOUT = (
    "microscope.defocus_nm",
    "motion.frames",
    "recording.scan_step_A",
    "recording.field_of_view_A",
    "recording.camera_step_mrad",
    "recording.probe",
    "computing.scheduler",
    "computing.algorithm",
    "specimen.thickness_nm",
)
#: Foci that are tried at most.
MOST_FOCI = 1000
#: e/Å², where none is asked for.
DOSE = 1e5
#: Configurations of thermal motion: both specimens move alike, so that few tell a difference.
PHONONS = 2


@app.command()
@with_plan_options(without=WITHOUT)
def plan(
    structure: StructureArgument,
    given: dict[str, Any],
    feature: FeatureOption = None,
    after: AfterOption = None,
    thicknesses: ThicknessesOption = None,
    doses: DosesOption = None,
    foci: FociOption = "-4,4,5",
    rings: RingsOption = None,
    relax: RelaxOption = False,
    potential: PotentialOption = None,
    out: OutOption = Path("rhotem-plan"),
    quiet: SimulationQuietOption = False,
) -> None:
    """What a session could see: signal, noise and detectability of a change, and the dose that shows it.

    rhotem plan LiNiO2 --feature vacancy:Li:3 --dose 1e5

    What to record next, once a fit has told something (--after): expected
    information of every focus, detector and dose on the specimen.

    rhotem plan LiNiO2 --after rhotem-fit --foci -6,6,7 --detector ABF=9-18
    """
    from rhotem.analysis.detect.features import parse_feature
    from rhotem.analysis.detect.report import advice, figure, table
    from rhotem.battery.relax import Settings
    from rhotem.core import InputError

    if after is not None and feature is None:
        if thicknesses:
            raise InputError("--thicknesses means nothing after a fit: the thickness is the specimen's")
        if relax:
            raise InputError("--relax means nothing after a fit: no atom changes")
        choice = {"foci": _steps(foci), "doses": _doses(doses), "ring": rings}
        return _ahead(structure, given, (after, out, quiet), choice)
    if feature is None or after is not None:
        raise InputError("say what the session is for: --feature vacancy:Li, or --after the folder of a fit")
    if potential is not None and not relax:
        raise InputError(f"--potential {potential}: atoms are not relaxed; add --relax, or leave it out")
    if doses:
        raise InputError("--doses is of --after; a feature is seen at one --dose, and the table says what it needs")
    wanted = parse_feature(feature)
    asked = planned(structure, given).plan
    over = {"defocus": _steps(foci), "thicknesses": _numbers("--thicknesses", thicknesses), "rings": rings}
    relaxing = (Settings(potential) if potential else Settings()) if relax else None
    with output_folder(out) as folder:
        result = _made(asked, wanted, over, relaxing, quiet)
        figure(result, folder / "detectability.png")
        write_record(folder, {"asked": asked.data(full=True), "detectability": result.record()})
    if not quiet:
        typer.echo(table(result))
    typer.echo(advice(result))
    if not quiet:
        if wanted.kind != "density" and not relax:
            typer.echo("atoms stand where the crystal has them; --relax lets them give way, which may show more")
        typer.echo(f"next: look at {out / 'detectability.png'}; {out / 'record.json'} holds the table")


def _at_rest(settings: "Settings", say: "Voice", progress: "Progress", structure: "Structure") -> "Structure":
    """The structure relaxed; what is left of forces is warned about."""
    from rhotem.battery.relax import relax

    made, record = relax(structure, settings, progress)
    if not record["converged"]:
        force = record["largest_force_eV_per_A"]
        say.warn(f"relaxing ended after {record['steps']} steps with {force:.2f} eV/Å left")
    return made


def _made(plan: "Plan", feature: Any, over: dict[str, Any], relaxing: "Settings | None", quiet: bool) -> Any:
    from rhotem.analysis.detect.plan import detectability

    say = voice(quiet)
    with ProgressBar(quiet) as progress:
        return detectability(
            plan,
            feature,
            dose=plan.recording.dose_e_per_A2 or DOSE,
            phonons=plan.motion.phonons if isinstance(plan.motion.phonons, int) else PHONONS,
            relaxed=partial(_at_rest, relaxing, say, progress) if relaxing else None,
            voice=say,
            progress=progress,
            **over,
        )


def _ahead(structure: str, given: dict[str, Any], places: tuple[Path, Path, bool], choice: dict[str, Any]) -> None:
    """What tells most next; ``places``: the fit, where results go, and whether to be quiet."""
    from rhotem.experiment.ahead.known import read_known
    from rhotem.experiment.ahead.planned import Choice, next_settings, plan_after
    from rhotem.experiment.ahead.report import advice, figure, record, table

    fit, out, quiet = places
    known, asked = read_known(fit)
    plan = plan_after(known, asked, {**given, "specimen.structure": structure})
    doses = choice["doses"] or [plan.recording.dose_e_per_A2 or DOSE]
    with output_folder(out) as folder, ProgressBar(quiet) as progress:
        known, found = next_settings(known, plan, Choice(choice["foci"], doses, choice["ring"]), voice(quiet, progress))
        figure(known, found, folder / "next.png")
        write_record(folder, {"asked": plan.data(full=True), "after": str(fit), "next": record(known, found)})
    if not quiet:
        typer.echo(table(known, found))
    typer.echo(advice(known, found))


def _doses(text: str | None) -> list[float]:
    from rhotem.core import InputError

    try:
        values = [float(part) for part in text.split(",")] if text else []
    except ValueError:
        values = [0.0]
    if any(not 0 < value < 1e12 for value in values):
        raise InputError(f"--doses {text}: expected positive numbers in e/Å² with commas between")
    return values


def _numbers(option: str, text: str | None) -> list[float]:
    from rhotem.core import InputError
    from rhotem.core.words import parse_amount

    try:
        values = [parse_amount(part, "nm") for part in text.split(",")] if text else []
    except InputError as error:
        raise InputError(f"{option} {text}: {error}, several with commas between") from None
    if any(not 0 < value < 1e4 for value in values):
        raise InputError(f"{option} {text}: expected positive lengths in nm")
    return values


def _steps(text: str) -> list[float]:
    import numpy as np

    from rhotem.core import InputError

    try:
        first, last, number = text.split(",")
        ends, steps = [float(first), float(last)], int(number)
    except ValueError:
        ends, steps = [np.nan], 0
    if steps < 0 or not np.isfinite(ends).all():
        raise InputError(f"--foci {text}: expected FROM,TO,STEPS in nm, as -4,4,5")
    if not 1 <= steps <= MOST_FOCI:
        raise InputError(f"--foci {text}: at least one step, at most {MOST_FOCI}")
    values = np.linspace(ends[0], ends[1], steps).tolist()
    return [float(f"{value:.12g}") for value in values]
