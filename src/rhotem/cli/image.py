"""`rhotem image`: a structure in, calibrated STEM images out."""

import time
from pathlib import Path
from typing import Annotated

import typer

from rhotem.cli.common import (
    ChargeOption,
    GpawCacheOption,
    MemoryOption,
    OutOption,
    PlaneOption,
    ProgressBar,
    QuietOption,
    SeedOption,
    SourceOption,
    StructureArgument,
    ZoneBasisOption,
    ZoneOption,
    output_folder,
    write_record,
)

app = typer.Typer()

PresetOption = Annotated[str, typer.Option(help="Microscope and detectors; `rhotem doctor` lists the presets.")]
ThicknessOption = Annotated[
    float | None, typer.Option(metavar="nm", help="Thickness of the specimen in nm; without it the preset's.")
]
PhononsOption = Annotated[
    int, typer.Option(metavar="N", help="Frozen-phonon configurations; 0: atoms at rest, no TDS.")
]
TemperatureOption = Annotated[float, typer.Option(metavar="K", help="Temperature of the atoms' vibration.")]
DoseOption = Annotated[
    float | None, typer.Option(metavar="e/Å²", help="Electrons per Å²; without it no counting noise.")
]
DefocusOption = Annotated[float | None, typer.Option(metavar="nm", help="Defocus; positive is underfocus.")]
SourceSizeOption = Annotated[float | None, typer.Option(metavar="Å", help="FWHM of the effective source.")]
SamplingOption = Annotated[float | None, typer.Option(metavar="Å", help="Largest pixel of the potential.")]


@app.command()
def image(
    structure: StructureArgument,
    source: SourceOption = "free-atoms",
    zone: ZoneOption = None,
    plane: PlaneOption = None,
    zone_basis: ZoneBasisOption = "conventional",
    thickness: ThicknessOption = None,
    preset: PresetOption = "layered-oxide",
    phonons: PhononsOption = 8,
    temperature: TemperatureOption = 300.0,
    defocus: DefocusOption = None,
    source_size: SourceSizeOption = None,
    dose: DoseOption = None,
    sampling: SamplingOption = None,
    charge: ChargeOption = 0.0,
    memory: MemoryOption = None,
    seed: SeedOption = 0,
    gpaw_cache: GpawCacheOption = None,
    out: OutOption = Path("rhotem-output"),
    quiet: QuietOption = False,
) -> None:
    """Simulate STEM images of a crystal: HAADF, ABF, iDPC and what else the preset's detectors see.

    Without --zone the crystal system decides: [100] of hexagonal and trigonal crystals, where the Li, O and metal
    columns of layered oxides lie apart, [110] of cubic ones, [001] otherwise.
    """
    from rhotem.analysis import run
    from rhotem.microscope.outputs import write_images
    from rhotem.structure.debye_waller import mean_square_displacements

    started = time.perf_counter()
    chosen = run.adjusted_preset(preset, defocus=defocus, source_size=source_size, dose=dose)
    run.check_phonons(phonons)
    crystal = run.structure(structure, charge=charge)
    indices, is_plane = run.direction(crystal, zone, plane)
    with output_folder(out) as folder:
        cut = run.specimen(
            crystal,
            indices,
            basis=zone_basis,
            plane=is_plane,
            thickness=thickness,
            preset=chosen,
            sampling=sampling,
            primitive=not Path(source).exists(),
        )
        motion = mean_square_displacements(cut.cell.structure, temperature)[1] if phonons else "at rest"
        field = run.density(cut, source, **({"cache": gpaw_cache} if source == "gpaw" else {}))
        tell = (lambda text: None) if quiet else typer.echo
        tell(str(cut))
        for note in cut.cell.notes:
            tell(f"note: {note}")
        for warning in field.record.get("warnings", ()):
            typer.echo(f"warning: {warning}", err=True)
        tell(f"density: {field.source}; " + (f"{phonons} frozen-phonon configurations" if phonons else "no TDS"))
        with ProgressBar(quiet) as progress:
            potentials = run.potential(cut, field, phonons=phonons, temperature=temperature, seed=seed)
            images = run.image(
                cut,
                potentials,
                phonons=phonons,
                memory=memory,
                seed=seed,
                announce=lambda plan: tell(str(plan)),
                progress=progress,
            )
        written = write_images(images, folder, labels=cut.cell.labels, source=field.source, phonons=phonons)
        record = {
            "specimen": cut.record(),
            "density": {"source": field.source, "reference": field.reference, **field.record},
            "phonons": {
                "configurations": phonons,
                "temperature_K": temperature,
                "seed": seed,
                "displacements": motion,
            },
            "simulation": images.record,
            "seconds": round(time.perf_counter() - started, 2),
        }
        write_record(folder, record)
    if not quiet:
        typer.echo(f"{len(images.images)} images in {out} after {record['seconds']:.1f} s: {', '.join(written)}")
