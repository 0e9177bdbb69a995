"""The entry point: finds the command, loads it only then, and turns errors into one line and an exit code."""

import errno
import gc
import importlib.util
import os
import shlex
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

import rhotem
from rhotem.cli import hints
from rhotem.cli.examples import example_of

#: Commands by purpose, as in `rhotem --help`. Each lives in rhotem/cli/NAME.py as ``app``, imported when it is called;
#: a hyphen of a command is an underscore of its file.
GROUPS = {
    "Images": {
        "image": "A structure in, calibrated STEM images out.",
        "compare": "Structure factors and images from different densities side by side.",
        "cbed": "Convergent-beam discs of thick crystals, by Bloch waves.",
        "density": "Electron density of a structure, written to a file.",
        "maps": "Strain, charge, bond valence and potential of a structure, beside its images.",
        "potential": "Electrostatic potential of a structure, sliced, for abTEM and other programs.",
    },
    "One simulation, many questions": {
        "response": "One propagation that answers for every setting of the lens.",
        "view": "The virtual microscope in a browser: turn knobs, images follow.",
        "plan": "What a session could see: detectability of a change, and the dose that shows it.",
        "campaign": "Many specimens into a library: run, status, resume, retry, cancel.",
        "library": "Libraries of responses: list, search, verify, repair, merge, export.",
        "dataset": "Labelled pictures for networks, from a library: make, status, verify, export.",
    },
    "Specimens": {
        "structure": "Ready phases, defects and interfaces; orient, repeat and check structures.",
        "battery": "Defects, interfaces, surfaces and cracks of battery materials, relaxed if asked.",
        "charge-series": "States of charge: orderings, lattice, convex hull, voltage, charges of elements.",
        "degradation": "Ageing of a layered electrode as a record: specimens, charges, capacity.",
        "screen": "Candidates for an electrode by lattice, voltage, charges, contrast: one ranked table.",
        "pilot": "A dopant: charge density, charges and images with and without it, one report.",
        "distil": "A fast potential of one material, taught by SevenNet-0, for long runs.",
        "md": "Molecular dynamics with a potential; frames that other programs read.",
        "trajectory": "Molecular dynamics: diffusion with its error, hops, residence maps.",
        "film": "A trajectory in, a film of images out: MP4 or GIF, and Zarr.",
    },
    "Patterns and measured data": {
        "read": "A measured file: scales, settings, what is missing; calibrated against a crystal.",
        "segment": "Columns, species and defects of a measured picture by a network, with errors.",
        "fit": "Thickness, mistilt, focus of a crystal from measured patterns and images, with errors.",
        "weigh": "Which of several structures or densities a measurement shows; the dose that decides.",
        "twin": "The record of a specimen over time; watches a session and fits what comes.",
        "reconstruct": "Patterns of a scan (4D-STEM) in, the phase of the specimen out.",
        "export": "Images and patterns of a run in the format of another program.",
    },
    "The learned density": {
        "model": "Learned densities: what there is, how good it is.",
        "labels": "DFT densities in quantity, to train on and to test against.",
        "train": "Train the learned density on DFT labels.",
    },
    "About": {
        "instruments": "Real microscopes: list, show, and a template for your own.",
        "doctor": "What is installed, which device, how fast.",
        "cite": "The works to cite for a result.",
    },
}
COMMANDS = {name: line for commands in GROUPS.values() for name, line in commands.items()}

#: Files and disks that refuse: the user's to mend, not a defect.
_SYSTEM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE)


#: True because output is made in a temporary place and moved when complete (rhotem.cli.common).
INTERRUPTED = "interrupted; nothing half-written is left"


def _module(command: str) -> str:
    return f"rhotem.cli.{command.replace('-', '_')}"


def _readable(command: Any, name: str) -> None:
    """An example at the end of the `--help` of a command and its parts; no type beside switches and arguments."""
    for part, inner in getattr(command, "commands", {}).items():
        _readable(inner, f"{name} {part}")
    example = example_of(name)
    if example and f"rhotem {name} " not in (command.help or ""):
        command.epilog = f"Example: {example}"
    _without_types(command)


def _without_types(command: Any) -> None:
    """No type in `--help` beside switches and arguments."""
    for parameter in command.params:
        if getattr(parameter, "is_flag", True):  # an argument is no flag, and has no such attribute
            parameter.display_type_rich = lambda ctx: None


class LazyGroup(TyperGroup):
    """Lists the commands from a table, imports a command's file only to run it, and ends errors as one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        _without_types(self)
        for group, commands in GROUPS.items():
            for name, line in commands.items():
                if importlib.util.find_spec(_module(name)):
                    self.add_command(TyperCommand(name, help=line, short_help=line, rich_help_panel=group))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself in place of the stand-in that listings use; `help COMMAND` is `COMMAND --help`."""
        if args[0] == "help":
            if not args[1:]:
                typer.echo(ctx.get_help())
                ctx.exit()
            args = [*args[1:], "--help"]
        meant = "" if args[0] in self.commands else hints.of_command(args[0])
        if meant:
            ctx.fail(f"No such command {args[0]!r}; try: {meant}")
        name, stand_in, rest = super().resolve_command(ctx, args)
        if stand_in is None:
            return name, stand_in, rest
        command = typer.main.get_command(importlib.import_module(_module(str(stand_in.name))).app)
        command.name = stand_in.name
        # Shell completion is installed by `rhotem`, not by each of its commands.
        command.params = [p for p in command.params if p.name not in ("install_completion", "show_completion")]
        _readable(command, str(stand_in.name))
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C ends it with a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            _say(INTERRUPTED)
            raise typer.Exit(130) from stop

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Run the command line and exit: 0 done, 1 a defect, 2 bad input or usage, 130 interrupted."""
        settings["standalone_mode"] = False
        try:
            code = super().main(*args, **settings)
        except Exception as error:
            line = _explain(error)
            if line is None or (_wants_traceback(sys.argv) and not hasattr(error, "format_message")):
                raise
            if line:
                _say(f"error: {line}")
            sys.exit(2)
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=hints.FIRST_STEPS,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rhotem {rhotem.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    traceback: bool = typer.Option(False, "--traceback", help="Show where in the program an error arose."),
) -> None:
    """Crystal structure -> electron density -> electrostatic potential -> calibrated (S)TEM images."""


def run() -> None:
    """Run the command line of this process."""
    gc.set_threshold(5000)  # modules bring objects by the hundred thousand, none of them garbage
    signal.signal(signal.SIGTERM, _terminate)
    _quieten_warnings()
    try:
        app(prog_name="rhotem")
    except KeyboardInterrupt:
        _say(INTERRUPTED)
        sys.exit(130)
    except Exception as error:
        if _wants_traceback(sys.argv):
            raise
        again = shlex.join(["rhotem", "--traceback", *sys.argv[1:]])
        _say(f"unexpected error: {type(error).__name__}: {error}\nThis is a defect of RhoTEM; see where with: {again}")
        sys.exit(1)


def _explain(error: Exception) -> str | None:
    """The line to show for an error the user can do something about; "" if it is shown already, None for a defect."""
    if hasattr(error, "format_message"):  # wrong usage of the command line
        if type(error).__name__ == "NoArgsIsHelpError":
            return ""
        return _usage(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); give --memory, a coarser grid or a smaller field of view"
    if isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS:
        return f"{error.filename or 'output'}: {error.strerror}"
    # Whoever raised a RhoTEMError has imported its module; `--help` need not wait for numpy.
    errors = sys.modules.get("rhotem.core.errors")
    if errors is not None and isinstance(error, errors.RhoTEMError):
        return " ".join(str(error).split())
    return None


def _usage(error: Any) -> str:
    """The line for wrong usage: what is wrong, what may be meant, where to read on."""
    message, context = error.format_message().rstrip("."), getattr(error, "ctx", None)
    if context is None:
        return str(message)
    option = getattr(error, "option_name", None)
    known = [name for parameter in context.command.params for name in parameter.opts]
    meant = hints.of_option(option, known) if option and message.startswith("No such option") else ""
    if meant:
        message = f"No such option: {option}; here it is {meant}"
    more = hints.of_error(message, context.command_path.partition(" ")[2])
    return f"{message}{'; ' * bool(more)}{more} (see {context.command_path} --help)"


def _wants_traceback(arguments: list[str]) -> bool:
    return "--traceback" in arguments or bool(os.environ.get("RHOTEM_TRACEBACK"))


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _terminate(signum: int, frame: FrameType | None) -> None:
    """Let `kill` clean up like Ctrl-C does."""
    raise KeyboardInterrupt


def _quieten_warnings() -> None:
    """One line per warning, without the source line; none of the changes other packages announce to each other."""
    import warnings

    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", category)
    warnings.showwarning = lambda message, *rest, **more: _say(f"warning: {message}")


if __name__ == "__main__":
    run()
