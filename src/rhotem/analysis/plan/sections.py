"""The sections of a plan. Every key with a dimension carries its unit; every key is an option of `rhotem image`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from rhotem.analysis import PHONONS, TEMPERATURE
from rhotem.analysis.plan.section import Option, Section, each, number, written
from rhotem.core import InputError
from rhotem.core.words import parse_indices, parse_memory, parse_msd, parse_phonons, parse_tilt, parse_valence
from rhotem.microscope.presets import DEFAULT_PRESET
from rhotem.microscope.settings import parse_aberration, parse_detector

#: Groups of options in `--help`, in their order.
PANELS = ("Specimen", "Density", "Microscope", "Detectors and scan", "Computation", "Results")
SPECIMEN, DENSITY, OPTICS, RECORDING, COMPUTING, RESULTS = PANELS

Basis = Literal["conventional", "input"]
FileKind = Literal["deformation", "valence", "pseudo-valence", "total"]
Algorithm = Literal["auto", "bloch", "prism", "multislice"]


def _no_number(value: Any) -> Any:
    """Refuse 110 of a YAML file, where 001 would be 1."""
    if isinstance(value, int | float):
        raise ValueError(f"indices {value}: write them as a list, [1, 1, 0], or as text in quotes")
    return value


def _indices(value: Any) -> Any:
    if value is not None and len(value) not in (3, 4):
        raise ValueError(f"indices {list(value)}: expected three or four whole numbers, such as 1,1,0 or [1-10]")
    return value


def _listed(value: Any) -> Any:
    """``{C12: 2nm}`` as ``["C12=2nm"]``, and one text as a list of one."""
    if isinstance(value, dict):
        return [f"{name}={size}" for name, size in value.items()]
    return [value] if isinstance(value, str) else value


#: One text as a list of one.
ALONE = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
LISTED = BeforeValidator(_listed, json_schema_input_type=list[str] | dict[str, str | float] | str)


def _path(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _phonons(text: str) -> int | str:
    """A whole number, or what `parse_phonons` reads as an error, as it is written."""
    read = parse_phonons(text)
    return read if isinstance(read, int) else text


def _not_negative(value: Any) -> Any:
    if isinstance(value, int) and value < 0:
        raise ValueError(f"phonons {value}: expected 0 (atoms at rest) or the number of configurations")
    return value


def _amount(value: Any) -> Any:
    """Refuse an amount without its unit."""
    if isinstance(value, int | float):
        raise ValueError(f"memory {value}: expected an amount with its unit, such as 4GB or 500MB")
    return value


def _memory(text: str) -> str:
    parse_memory(text)
    return text


class SpecimenSection(Section):
    """The crystal, and how it is cut for the microscope."""

    structure: Annotated[str, BeforeValidator(_path)] = Field(
        description="CIF, POSCAR, xyz, ... or the name of a ready phase."
    )
    zone: Annotated[
        tuple[int, ...] | None,
        Option("--zone", metavar="u,v,w"),
        written(parse_indices, tuple[int, ...]),
        BeforeValidator(_no_number),
        AfterValidator(_indices),
    ] = Field(None, description="Direction towards the electron source, 3 or 4 indices: 1,1,0 or [1-10].")
    plane: Annotated[
        tuple[int, ...] | None,
        Option("--plane", metavar="h,k,l"),
        written(parse_indices, tuple[int, ...]),
        BeforeValidator(_no_number),
        AfterValidator(_indices),
    ] = Field(None, description="Instead of --zone: the plane that the beam meets head on.")
    zone_basis: Annotated[Basis, Option("--zone-basis", Basis, shown="conventional")] = Field(
        "conventional", description="Whose cell the indices refer to: the conventional standard one or the file's."
    )
    order: Annotated[bool, Option("--order/--no-order", bool)] = Field(
        False,
        description="Order partly occupied sites by lowest electrostatic energy, in the smallest cell that fits.",
    )
    vacuum_A: Annotated[float | None, Option("--vacuum", float, "Å"), *number("vacuum", "Å", above=0)] = Field(
        None, description="Vacuum on each side of a molecule or sheet, where the file has no cell."
    )
    allow_overlaps: Annotated[bool, Option("--allow-overlaps/--no-allow-overlaps", bool)] = Field(
        False, description="Go on with atoms nearer than half the sum of their covalent radii."
    )
    thickness_nm: Annotated[float | None, Option("--thickness", float, "nm"), *number("thickness", "nm", above=0)] = (
        Field(None, description="Thickness in nm, to whole cells; without it the preset's.")
    )
    keep_cell: Annotated[bool, Option("--keep-cell/--no-keep-cell", bool)] = Field(
        False,
        description="Take the given cell as it is, with its defects: not reduced, along the beam once unless "
        "--thickness.",
    )


class MotionSection(Section):
    """How the atoms move."""

    phonons: Annotated[
        int | str | None,
        Option("--phonons", metavar="N|auto:%", shown=f"{PHONONS}; with --frames all of them"),
        *number("phonons"),
        written(_phonons, int),
        AfterValidator(_not_negative),
    ] = Field(
        None,
        description="Frozen-phonon configurations; 0: atoms at rest, no TDS; auto:0.5: as many as bring the error of "
        "every image at columns below 0.5 % of its range, auto: 1 %.",
    )
    temperature_K: Annotated[
        float | None, Option("--temperature", float, "K"), *number("temperature", "K", least=0)
    ] = Field(None, description=f"Temperature of the atoms' vibration; without it {TEMPERATURE:g}.")
    msd_A2: Annotated[
        dict[str, float] | None, Option("--msd", metavar="Au=0.0082"), written(parse_msd, dict[str, float])
    ] = Field(
        None,
        description="⟨u²⟩ along one axis in Å² by element, at that temperature (B is 79 times as much); without it the "
        "structure file's, else the literature's.",
    )
    frames: Annotated[str | None, Option("--frames", metavar="FILE"), BeforeValidator(_path)] = Field(
        None,
        description="Trajectory of molecular dynamics that ASE reads; each frame is one configuration of STRUCTURE's "
        "atoms (the same file: of their mean). Its cell is kept as with --keep-cell.",
    )


class DensitySection(Section):
    """Where the electron density comes from."""

    source: Annotated[
        str | None,
        Option("--source", metavar="NAME", short="-s", shown="the learned density"),
        BeforeValidator(_path),
    ] = Field(
        None,
        description="Source of the density: free-atoms, gpaw, model (learned), model:NAME (other weights of `rhotem "
        "model list`, a run folder), an imported model, or a density file.",
    )
    charge_e: Annotated[float | None, Option("--charge", float, "e"), *number("charge", "e")] = Field(
        None,
        description="Total charge of the cell in e, +1: one electron missing; without it a density file's own, else 0.",
    )
    valence_e: Annotated[
        dict[str, float] | None, Option("--valence", metavar="Li=1,O=6"), written(parse_valence, dict[str, float])
    ] = Field(None, description="Of a density file: valence electrons of its elements.")
    file_kind: Annotated[FileKind | None, Option("--file-kind", FileKind)] = Field(
        None, description="Of a density file: what it holds."
    )
    correct_count: Annotated[bool, Option("--correct-count/--no-correct-count", bool)] = Field(
        False,
        description="Put right a predicted density (file, imported model) whose electron count is off by up to 5 %.",
    )
    gpaw_cache: Annotated[str | None, Option("--gpaw-cache", metavar="DIR"), BeforeValidator(_path)] = Field(
        None, description="Folder that keeps GPAW calculations, found again by structure."
    )
    strict: Annotated[bool, Option("--strict/--no-strict", bool)] = Field(
        False,
        description="Refuse elements that the learned density was not trained on, instead of predicting them with a "
        "larger error, or leaving free atoms around them.",
    )
    allow_polar: Annotated[bool, Option("--allow-polar/--no-allow-polar", bool)] = Field(
        False, description="Go on with a slab whose learned density has a potential step that no surface has."
    )
    uncertainty: Annotated[bool, Option("--uncertainty/--no-uncertainty", bool, panel=COMPUTING)] = Field(
        False,
        description="Error bar of every pixel from the ensemble of --source model; some times the simulation itself.",
    )


def _focus(value: Any) -> Any:
    """A number, ``best`` or ``best:IMAGE``; ``{best: IMAGE}`` is the latter."""
    if isinstance(value, dict) and list(value) == ["best"]:
        value = f"best:{value['best']}" if value["best"] else "best"
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    text = str(value).strip()
    if isinstance(value, bool | dict | list | tuple) or not text:
        raise ValueError(f"defocus {value!r}: expected a number in nm, best, or best: and the name of an image")
    if text == "best" or (text.startswith("best:") and text[5:].strip()):
        return ":".join(part.strip() for part in text.split(":", 1))
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"defocus {text!r}: expected a number, the unit is always nm, or best, or best:ABF") from None


def _contribution(name: str) -> str:
    """Refuse what no instrument has."""
    from rhotem.microscope.instruments.contributions import CONTRIBUTIONS

    if name not in CONTRIBUTIONS:
        raise InputError(f"{name!r}: no contribution of an instrument; choose of {', '.join(CONTRIBUTIONS)}")
    return name


class MicroscopeSection(Section):
    """The instrument: a preset and what differs from it."""

    preset: Annotated[str, Option("--preset", shown=DEFAULT_PRESET)] = Field(
        DEFAULT_PRESET, description="Microscope and detectors; `rhotem doctor` lists the presets."
    )
    instrument: Annotated[str | None, Option("--instrument", metavar="NAME|FILE"), BeforeValidator(_path)] = Field(
        None,
        description="Real instrument (`rhotem instruments`): its aberrations, envelopes, detectors and noise instead "
        "of the preset's microscope.",
    )
    alignment: Annotated[int | None, Option("--alignment", int, shown="0", least=0), *number("alignment", least=0)] = (
        Field(None, description="Of an instrument: seed of the residual aberrations that it was left with.")
    )
    without: Annotated[tuple[str, ...], Option("--without", list[str], "NAME"), ALONE, each(_contribution)] = Field(
        (),
        description="Of an instrument: a contribution that is switched off, jitter, drift, counting, ...; may be "
        "repeated.",
    )
    energy_keV: Annotated[
        float | None, Option("--energy", float, "kV"), *number("energy", "keV", above=1, below=5000)
    ] = Field(None, description="Beam energy.")
    convergence_mrad: Annotated[
        float | None, Option("--convergence", float, "mrad"), *number("convergence", "mrad", above=0, below=200)
    ] = Field(None, description="Convergence semi-angle.")
    defocus_nm: Annotated[
        float | str | None,
        Option("--defocus", metavar="nm|best[:IMAGE]"),
        BeforeValidator(_focus, json_schema_input_type=float | str | dict[str, str] | None),
    ] = Field(
        None,
        description="Defocus; positive is underfocus. best, best:ABF: the focus with the largest contrast of an image, "
        "from one propagation.",
    )
    cs_mm: Annotated[float | None, Option("--cs", float, "mm"), *number("cs", "mm")] = Field(
        None, description="Third-order spherical aberration."
    )
    aberrations: Annotated[
        tuple[str, ...],
        Option("--aberration", list[str], "C30=-5um"),
        LISTED,
        each(parse_aberration),
    ] = Field((), description="Any aberration, C12=2nm, phi12=30deg, ...; without unit nm or degrees; may be repeated.")
    tilt_mrad: Annotated[
        tuple[float, float] | None, Option("--tilt", metavar="x,y"), written(parse_tilt, tuple[float, float])
    ] = Field(None, description="Mistilt: the beam leans to +x and +y, in mrad.")
    source_size_A: Annotated[
        float | None, Option("--source-size", float, "Å"), *number("source size", "Å", least=0)
    ] = Field(None, description="FWHM of the effective source.")
    focal_spread_A: Annotated[
        float | None, Option("--focal-spread", float, "Å"), *number("focal spread", "Å", least=0)
    ] = Field(None, description="Standard deviation of the focus by chromatic aberration.")
    objective_mrad: Annotated[
        float | None, Option("--objective", float, "mrad"), *number("objective aperture", "mrad", above=0, below=1000)
    ] = Field(None, description="Semi-angle of the objective aperture (HRTEM); without it open, to 100 mrad.")
    precession_mrad: Annotated[
        float | None, Option("--precession", float, "mrad"), *number("precession", "mrad", least=0, below=100)
    ] = Field(None, description="Semi-angle of the cone on which the beam of a diffraction pattern is precessed.")
    detectors: Annotated[
        tuple[str, ...],
        Option("--detector", list[str], "NAME=inner-outer", panel=RECORDING),
        LISTED,
        each(parse_detector),
    ] = Field(
        (),
        description="Detector in mrad, instead of the preset's: HAADF=68-200; DPC=6-22: four segments, DPC8, DPC16: "
        "more, DPC=6-22@30: turned; eABF=11-22; CoM=40; 4D=40: patterns; PACBED=40: their mean; Li-K: core losses; may "
        "be repeated.",
    )


class RecordingSection(Section):
    """What is recorded, and with how many electrons."""

    dose_e_per_A2: Annotated[float | None, Option("--dose", float, "e/Å²"), *number("dose", "e/Å²", above=0)] = Field(
        None, description="Electrons per Å²; without it no counting noise."
    )
    scan_step_A: Annotated[float | None, Option("--scan-step", float, "Å"), *number("scan step", "Å", above=0)] = Field(
        None, description="Largest distance of scan positions, or camera pixel."
    )
    field_of_view_A: Annotated[
        float | None, Option("--field-of-view", float, "Å"), *number("field of view", "Å", above=0)
    ] = Field(None, description="Least side of the images, in whole cells; without it one cell.")
    camera_step_mrad: Annotated[
        float | None, Option("--camera-step", float, "mrad"), *number("camera step", "mrad", above=0)
    ] = Field(
        None,
        description="Pixel of diffraction patterns (4D, PACBED), square; without it that of the supercell, 1 to 2 "
        "mrad. The finer, the larger the supercell.",
    )
    probe: Annotated[bool, Option("--probe/--no-probe", bool, panel=RESULTS)] = Field(
        False, description="Also a picture of the probe on the entrance surface, probe.png, and its widths."
    )


class ComputingSection(Section):
    """How it is computed: what of a result is numerics, noise and machine, and not of its identity."""

    algorithm: Annotated[Algorithm, Option("--algorithm", Algorithm, shown="auto")] = Field(
        "auto", description="How the beam is propagated; auto: the fastest exact one that fits."
    )
    sampling_A: Annotated[float | None, Option("--sampling", float, "Å"), *number("sampling", "Å", above=0)] = Field(
        None,
        description="Largest step of the waves; without it what detectors and crystal need. A note says what a coarser "
        "costs.",
    )
    slice_thickness_A: Annotated[
        float | None, Option("--slice-thickness", float, "Å"), *number("slice thickness", "Å", above=0)
    ] = Field(None, description="Thickest slice; without it thin enough to keep atoms whole.")
    memory: Annotated[str | None, Option("--memory", metavar="4GB"), written(_memory), BeforeValidator(_amount)] = (
        Field(
            None,
            description="Memory that learned density, potential and simulation stay below; without it 80 % of what is "
            "free.",
        )
    )
    scheduler: Annotated[str | None, Option("--scheduler", metavar="ADDRESS")] = Field(
        None,
        description="Dask scheduler whose workers do the work, by way of the disk (docs/clusters.md).",
    )
    seed: Annotated[int, Option("--seed", int, shown="0", least=0), *number("seed", least=0)] = Field(
        0, description="Seed of thermal motion and counting; stored in the record."
    )


#: Group of `--help` of the options of each section.
PANEL_OF = {
    "specimen": SPECIMEN,
    "motion": SPECIMEN,
    "density": DENSITY,
    "microscope": OPTICS,
    "recording": RECORDING,
    "computing": COMPUTING,
}
