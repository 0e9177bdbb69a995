"""`rhotem model`: the learned densities there are, and how good they are."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rhotem.cli.common import JsonOption, ProgressBar, QuietOption, parse_valence, to_json

#: Elements of which there are free atoms.
MOST = 96

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="default, the name of shipped weights, a run folder or a file.")
]


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """Weights that came with the package, and imported ones."""
    from rhotem.core.folders import models_folder
    from rhotem.learned.weights import installed_models, read_header

    found = {name: read_header(path)["info"] for name, path in installed_models().items()}
    imported = {path.stem: read_header(path) for path in sorted(models_folder().glob("*.safetensors"))}
    if as_json:
        typer.echo(to_json({**found, **{name: header["info"] for name, header in imported.items()}}))
        return
    for name, info in found.items():
        typer.echo(f"{name}: {_accuracy(info)}")
    for name, header in imported.items():
        architecture = header["settings"].get("architecture", "imported")
        typer.echo(f"{name}: {architecture}, imported from {header['info'].get('imported_from', 'a file')}")
    if not found and not imported:
        typer.echo("no weights came with this package; `rhotem train` makes some")


@app.command()
def info(model: NameArgument = "default", as_json: JsonOption = False) -> None:
    """Settings, elements and measured accuracy of a model; of an imported one what it predicts."""
    from ase.data import chemical_symbols

    from rhotem.density.source import is_peer
    from rhotem.learned.model import load_model

    if is_peer(model):
        _info_of_peer(model, as_json)
        return

    loaded, header = load_model(model)
    settings = loaded.settings
    header["parameters"] = loaded.parameters_count
    header["elements"] = [chemical_symbols[z] for z in settings.elements]
    if loaded.newcomers is not None:
        header |= loaded.newcomers.among(range(1, MOST + 1)).record()
    if as_json:
        typer.echo(to_json(header))
        return
    kind = f"{settings.encoder} encoder, {settings.readout} readout"
    if settings.peer is not None:
        kind = f"{settings.section('peer').architecture}, trained here on the deformation density"
    typer.echo(f"{header['info'].get('name', model)}: {kind}")
    typer.echo(f"  {loaded.parameters_count} parameters, reach {loaded.readout.receptive_field:g} Å")
    if settings.members > 1:
        typer.echo(f"  {settings.members} members")
    functions = " + ".join(f"{block.functions} (l <= {block.lmax})" for block in loaded.readout.blocks)
    if functions:
        typer.echo(f"  radial functions {functions}")
    typer.echo(f"  elements {' '.join(header['elements'])}")
    if new := header.get("new_elements"):
        for part, said in (("few_labels", "few labels"), ("zero_shot", "without labels")):
            rows = [f"{name} {row['expected_error']:.2f}" for name, row in new[part].items()]
            typer.echo(f"  {said}, expected error (free atoms 1): {' '.join(rows) or 'none predicted'}")
        typer.echo(f"  left free: {' '.join(new['free'])}")
    if settings.spin:
        typer.echo(f"  spin density, moments of {' '.join(chemical_symbols[z] for z in settings.spin_elements)}")
    typer.echo(f"  {_accuracy(header['info'])}")


def _info_of_peer(name: str, as_json: bool) -> None:
    """An imported network: architecture, sizes, origin, and the valence electrons that its density holds."""
    from rhotem.core.packages import require

    require("torch", extra="training", what="imported models")
    from rhotem.peers.checkpoint import load_peer

    model, header = load_peer(name)
    settings, info = model.settings, header.get("info", {})
    header["parameters"] = sum(p.numel() for p in model.parameters())
    header["receptive_field_A"] = settings.cutoff * (settings.interactions + 1)
    if as_json:
        typer.echo(to_json(header))
        return
    sizes = ", ".join(f"{key} {value}" for key, value in settings if key != "architecture")
    own = " ".join(f"{symbol}={electrons:g}" for symbol, electrons in info.get("valence", {}).items())
    typer.echo(f"{info.get('name', name)}: {settings.architecture}, {sizes}")
    typer.echo(f"  {header['parameters']} parameters, reach {header['receptive_field_A']:g} Å")
    typer.echo(f"  imported from {info.get('imported_from', 'a file')}, sha256 {info.get('sha256', 'unknown')[:16]}")
    typer.echo("  predicts the pseudised valence density of neutral cells, as VASP's CHGCAR holds it")
    typer.echo(f"  valence {own or 'of the PAW sets of the Materials Project'}")


@app.command("import")
def import_model(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="best_model.pth, charge3net_*.pt, a Lightning file, or their folder."),
    ],
    name: Annotated[str, typer.Option(help="What --source shall call it.")],
    valence: Annotated[
        Any,
        typer.Option(
            parser=parse_valence,
            metavar="Li=1,O=6",
            help="Valence electrons in the training data, where not those of the Materials Project's PAW sets.",
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting that the files do not say, such as cutoff=4."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert an official DeepDFT or ChargE3Net checkpoint; afterwards `--source NAME` uses it."""
    from rhotem.core import InputError
    from rhotem.core.packages import require

    require("torch", extra="training", what="imported models")
    from rhotem.peers.checkpoint import import_checkpoint, load_peer

    pairs = [text.partition("=") for text in given or []]
    if any(not key or not value for key, _, value in pairs):
        raise InputError(f"--set {' '.join(given or [])}: expected NAME=VALUE, such as cutoff=4")
    info = {"valence": valence} if valence else {}
    target = import_checkpoint(path, name, {key.strip(): value.strip() for key, _, value in pairs}, info)
    model, header = load_peer(target)
    summary = {"name": name, "file": str(target), "parameters": sum(p.numel() for p in model.parameters()), **header}
    if as_json:
        typer.echo(to_json(summary))
        return
    settings = ", ".join(f"{key} {value}" for key, value in header["settings"].items() if key != "architecture")
    typer.echo(f"{name}: {header['settings']['architecture']} ({settings}), {summary['parameters']} parameters")
    typer.echo(f"written: {target}; use it as --source {name}")


@app.command()
def evaluate(
    model: NameArgument,
    labels: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of label files (rhotem labels).")],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare a model with DFT labels: three metrics beside the free-atom baseline, and its speed."""
    from rhotem.core import InputError
    from rhotem.core.packages import require

    require("torch", extra="training", what="rhotem model evaluate")
    from rhotem.learned.calibration import load_calibration, uncertainty_path
    from rhotem.learned.model import load_model
    from rhotem.learned.weights import find_model
    from rhotem.training.dataset import read_labels
    from rhotem.training.error_bars.calibrate import assess
    from rhotem.training.evaluate import evaluate as run

    loaded, _ = load_model(model)
    with ProgressBar(quiet) as progress:
        references = read_labels([labels], progress)
        result = run(loaded, references, progress)
    path = find_model(model)
    if uncertainty_path(path).is_file():
        try:
            result["uncertainty"] = assess(loaded, load_calibration(path), references)
        except InputError as error:  # the metrics stand without error bars
            typer.echo(f"warning: {error}", err=True)
    if as_json:
        typer.echo(to_json(result))
        return
    typer.echo("family             n   deformation error   potential   NMAE %   free atoms %   voxels/s")
    rows = [*result["families"].items(), ("overall", result["overall"])]
    for name, row in rows:
        typer.echo(
            f"{name:16s} {row['structures']:3d}   {row['deformation_error']:17.3f} "
            f"{row['potential_error_ratio']:11.3f} {row['nmae_valence_percent']:8.2f} "
            f"{row['free_atom_nmae_percent']:14.2f} {row['voxels_per_second']:10.0f}"
        )
    spin = result.get("spin", {}).get("overall", {})
    if "spin_error" in spin:
        typer.echo(
            f"magnetisation of {spin['magnetic']} labels: error {spin['spin_error']:.3f}, without any it would be 1; "
            f"moments of atoms off by {spin['moment_error_muB']:.2f} µB"
        )
    if "uncertainty" in result:
        row = result["uncertainty"]["overall"]
        typer.echo(
            f"90 % intervals cover {100 * row['coverage']:.1f} %, error and σ correlate {row['rank_correlation']:.2f}"
        )


@app.command()
def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")],
    like: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Trained on the same labels, and calibrated: they are not kept twice."),
    ] = None,
    judged_by: Annotated[
        str,
        typer.Option(metavar="MODEL", help="Its density counts as one more member; noted beside the weights."),
    ] = "",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Error bars of a trained model from the labels that its training held out; stored beside its weights."""
    from rhotem.core.packages import require

    require("torch", extra="training", what="rhotem model calibrate")
    from rhotem.training.error_bars.calibrate import calibrate_run

    with ProgressBar(quiet) as progress:
        path, calibration = calibrate_run(run, progress, like, judged_by)
    if as_json:
        typer.echo(to_json({"file": str(path), **calibration.report}))
        return
    typer.echo(
        "calibrated on the other families  n   coverage %   by quintile of |Δn|    log score (constant, distance)"
    )
    for name, row in [*calibration.report["families"].items(), ("overall", calibration.report["overall"])]:
        quintiles = " ".join(f"{100 * c:3.0f}" for c in row["coverage_by_quintile"])
        typer.echo(
            f"{name:32s} {row.get('structures', ''):>4}   {100 * row['coverage']:10.1f}   {quintiles}   "
            f"{row['log_score']:9.2f} ({row['log_score_constant']:.2f}, {row['log_score_distance']:.2f})"
        )
    foretold, novelty = calibration.report["foretold"], calibration.report["novelty"]
    typer.echo(f"error of whole structures against what σ amounts to: {foretold['rank_correlation_expected']:.2f}")
    if novelty["unseen"]:
        typer.echo(
            f"novelty: AUROC {novelty['auroc']:.2f}, without new elements {novelty['auroc_without_new_elements']:.2f}"
        )
    typer.echo(f"written: {path}")


def _accuracy(info: dict) -> str:
    """One line of measured accuracy."""
    parts = [
        f"{name} {result['deformation_error']:.3f} (median {result['deformation_error_median']:.3f}, "
        f"{result['structures']} structures)"
        for name, result in info.get("accuracy", {}).items()
        if result
    ]
    return "deformation error " + ", ".join(parts) if parts else "accuracy not measured"
