"""Convergent-beam patterns of thick crystals by Bloch waves: from a plan to discs, spots and files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rhotem.analysis import TEMPERATURE
from rhotem.analysis import run as steps
from rhotem.analysis.plan import Plan
from rhotem.analysis.sources import source_options
from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import described, read_crystal
from rhotem.core import InputError
from rhotem.core.figures import blank_figure
from rhotem.core.table import write_rows
from rhotem.density.field import DensityField, caption
from rhotem.density.source import default_source, get_source, is_density_file
from rhotem.scattering.blochwave import (
    Beam,
    BlochWaves,
    ConvergentBeam,
    Selection,
    bloch_waves,
    convergent_beam,
    smallest_spacing,
)
from rhotem.structure.debye_waller import ThermalMotion, thermal_motion
from rhotem.structure.indices import standard_cell
from rhotem.structure.orient import ImagingCell

#: Energy in eV where a plan names none; part of the angle where discs touch; pixels from middle to rim.
ENERGY, APART, PIXELS = 200e3, 0.9, 20
#: Mean intensity of a disc, as a part of the beam, down to which the picture reaches.
FAINT = 1e-4
#: Patterns and discs that are drawn at most.
PATTERNS, PROFILES = 4, 5


@dataclass(frozen=True)
class CbedSettings:
    """What of a convergent-beam pattern no plan says.

    Parameters
    ----------
    thicknesses : tuple of float
        nm.
    pixel : float or None
        mrad; None: a twentieth of the convergence.
    absorption : "thermal" or float
        As `rhotem.scattering.blochwave.OpticalPotential`.
    selection : Selection
        Of beams.
    """

    thicknesses: tuple[float, ...] = (100.0,)
    pixel: float | None = None
    absorption: float | Literal["thermal"] = "thermal"
    selection: Selection = field(default_factory=Selection)


@dataclass(frozen=True, eq=False)
class Cbed:
    """Discs of a crystal, and what they were made from.

    Parameters
    ----------
    cell : ImagingCell
    density : DensityField
    motion : ThermalMotion
    waves : BlochWaves
    held : ConvergentBeam
    hkl : (N, 3) int array
        Reflections in the conventional standard cell.
    settings : CbedSettings
    """

    cell: ImagingCell
    density: DensityField
    motion: ThermalMotion
    waves: BlochWaves
    held: ConvergentBeam
    hkl: npt.NDArray[np.int64]
    settings: CbedSettings

    def record(self) -> dict[str, Any]:
        """What a result should remember, JSON-ready."""
        held, chosen = self.held, self.settings.selection
        return {
            "imaging_cell": self.cell.record(),
            "density": {"source": self.density.source, "reference": self.density.reference, **self.density.record},
            "motion": self.motion.record(),
            "cbed": {
                "energy_eV": held.energy,
                "convergence_mrad": held.convergence,
                "pixel_mrad": held.step,
                "tilt_per_angstrom": held.centre.tolist(),
                "thicknesses_nm": (held.thicknesses / 10.0).tolist(),
                "absorption": self.settings.absorption,
                "beams": len(self.waves.beams.exact),
                "weak_beams": len(self.waves.beams.weak),
                "selection": {"g_max": chosen.g_max, "s_max": chosen.s_max, "s_weak": chosen.s_weak},
                "elastic": held.means().sum(axis=1).tolist(),
            },
        }

    def rows(self) -> list[dict[str, float]]:
        """A row for every reflection and thickness: index, angle, mean over the disc and value in its middle."""
        means, middle = self.held.means(), self.held.discs.shape[-1] // 2
        angle = np.linalg.norm(self.held.g, axis=1) * 1e3 * self.waves.wavelength
        return [
            {
                **dict(zip("hkl", map(int, self.hkl[n]), strict=True)),
                "angle_mrad": float(f"{angle[n]:.4f}"),
                "thickness_nm": float(t / 10.0),
                "disc_mean": float(means[i, n]),
                "disc_middle": float(self.held.discs[i, n, middle, middle]),
            }
            for i, t in enumerate(self.held.thicknesses)
            for n in np.argsort(-means[i], kind="stable")
        ]


def cbed(plan: Plan, settings: CbedSettings | None = None, voice: Voice | None = None) -> Cbed:
    """Convergent-beam discs of a plan's crystal.

    Parameters
    ----------
    plan : Plan
        Its crystal and zone axis, density, temperature, energy, convergence and tilt; without
        an energy 200 keV, without a convergence discs that nearly touch.
    settings : CbedSettings, optional
    voice : Voice, optional

    Raises
    ------
    RhoTEMError
        In one line, if something cannot be used.
    """
    settings, voice = settings or CbedSettings(), voice or Voice()
    if plan.microscope.convergence_mrad is not None:
        _pixel(settings, plan.microscope.convergence_mrad)  # refuses before a density is made
    cell, density = _crystal(plan, voice)
    temperature = TEMPERATURE if plan.motion.temperature_K is None else plan.motion.temperature_K
    motion = thermal_motion(cell.crystal, temperature, msd=plan.motion.msd_A2)
    for remark in motion.remarks:
        voice.tell(f"note: {remark}")
    lens = plan.microscope
    energy = ENERGY if lens.energy_keV is None else 1e3 * lens.energy_keV
    tilt = lens.tilt_mrad or (0.0, 0.0)
    told: dict[str, Any] = {
        "field": density,
        "displacements": motion.values,
        "absorption": settings.absorption,
        "selection": settings.selection,
    }
    convergence = lens.convergence_mrad
    if convergence is None:
        convergence = 0.5 * APART * smallest_spacing(bloch_waves(cell, Beam(energy, 0.0, tilt), **told))
    waves = bloch_waves(cell, Beam(energy, convergence, tilt), **told)
    pixel = _pixel(settings, convergence)
    voice.tell(
        f"{cell.crystal.formula} seen along {cell.labels['zone']}, {energy / 1e3:g} kV, {convergence:.2f} mrad: "
        f"{len(waves.beams.exact)} beams and {len(waves.beams.weak)} weak ones, "
        f"about {np.pi * (convergence / pixel) ** 2:.0f} directions\n{motion.words}"
    )
    held = convergent_beam(waves, 10.0 * np.array(settings.thicknesses), convergence, pixel, tilt, voice.progress)
    return Cbed(cell, density, motion, waves, held, _conventional(cell, waves.g), settings)


def _pixel(settings: CbedSettings, convergence: float) -> float:
    """Pixel of the discs in mrad."""
    pixel = settings.pixel or convergence / PIXELS
    if pixel > convergence:
        raise InputError(
            f"pixel {pixel:g} mrad: larger than the convergence of {convergence:g} mrad; discs are one pixel then"
        )
    return pixel


def _crystal(plan: Plan, voice: Voice) -> tuple[ImagingCell, DensityField]:
    """The oriented crystal of a plan and its density."""
    said, source = plan.specimen, plan.density.source or default_source()
    options = source_options(source, **described(plan))
    crystal = read_crystal(plan)
    indices, is_plane = steps.direction(crystal, said.zone, said.plane)
    cell = steps.oriented(crystal, indices, said.zone_basis, plane=is_plane, primitive=not is_density_file(source))
    if cell.max_strain > 1e-6:
        voice.tell(f"note: the crystal is strained by {100 * cell.max_strain:.2f} % to close the imaging cell")
    density = steps.density(cell, get_source(source, **options), allow_polar=plan.density.allow_polar)
    voice.doubts(density.record)
    return cell, density


def _conventional(cell: ImagingCell, g: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Indices in the conventional standard cell of reciprocal vectors (N, 3) of the imaging frame."""
    vectors = standard_cell(cell.origin).cell @ (np.eye(3) + cell.strain) @ cell.rotation.T
    return np.rint(g @ vectors.T).astype(np.int64)


def write(result: Cbed, folder: Path) -> None:
    """Write ``cbed.png``, ``spots.csv`` and ``discs.npz`` into a folder."""
    rows, held = result.rows(), result.held
    write_rows(folder / "spots.csv", rows)
    np.savez_compressed(
        folder / "discs.npz",
        discs=held.discs,
        hkl=result.hkl,
        g_per_angstrom=held.g,
        angles_mrad=held.angles,
        thicknesses_nm=held.thicknesses / 10.0,
    )
    draw(result, folder / "cbed.png")


def draw(result: Cbed, path: Path) -> None:
    """Patterns of up to four thicknesses over profiles through the strongest discs, as PNG."""
    held, labels = result.held, result.cell.labels
    shown = np.unique(np.linspace(0, len(held.thicknesses) - 1, PATTERNS).round().astype(int))
    means = held.means()
    bright = means.max(axis=0) > FAINT
    places = np.linalg.norm(held.g[bright], axis=1) * 1e3 * result.waves.wavelength
    outer = float(places.max()) + 1.2 * held.convergence
    figure = blank_figure(max(2, len(shown)) * 3.4, 6.6, dpi=150)
    source = caption(result.density.source, result.density.record)
    figure.suptitle(
        f"{result.cell.crystal.formula} {labels['zone']}, {labels['x']} right, {labels['up']} up, "
        f"{held.energy / 1e3:g} kV, {held.convergence:.2f} mrad; density: {source}",
        fontsize=7,
    )
    grid = figure.add_gridspec(2, len(shown), height_ratios=(3, 2))
    middle = held.discs.shape[-1] // 2
    strongest = np.argsort(-means[shown].max(axis=0), kind="stable")[:PROFILES]
    for column, i in enumerate(shown):
        axes = figure.add_subplot(grid[0, column])
        pattern = held.pattern(int(i), outer)
        axes.imshow(pattern.T**0.35, extent=(-outer, outer, outer, -outer), cmap="gray")
        axes.set_title(f"{held.thicknesses[i] / 10:g} nm (grey: power 0.35)", fontsize=7)
        axes.set_xlabel("k$_x$ (mrad)", fontsize=6)
        axes.set_ylabel("k$_y$ (mrad)", fontsize=6)
        axes.tick_params(labelsize=6)
        below = figure.add_subplot(grid[1, column])
        inside = np.abs(held.angles) <= held.convergence
        for n in strongest:
            name = " ".join(map(str, result.hkl[n]))
            below.plot(held.angles[inside], held.discs[i, n, inside, middle], lw=0.9, label=name)
        below.set_xlabel("k$_x$ from the middle of the disc (mrad)", fontsize=6)
        below.set_ylabel("part of the beam", fontsize=6)
        below.tick_params(labelsize=6)
        below.legend(fontsize=5, title="disc", title_fontsize=5)
    figure.savefig(path)


def parse_absorption(text: str) -> float | Literal["thermal"]:
    """``thermal``, ``none``, or U'/U as a number.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if text == "thermal":
        return "thermal"
    if text == "none":
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise InputError(f"--absorption {text}: expected thermal, none, or U'/U as a number, such as 0.02")
    return value
