"""Position-averaged patterns of a specimen at any thickness, aperture and mistilt."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.run import Potentials
from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.microscope.images import ImageSet
from rhotem.microscope.settings import largest_angle
from rhotem.potential.slices import build_potential
from rhotem.scattering.patterns import Patterns
from rhotem.scattering.patterns import patterns as make
from rhotem.structure.beam_symmetry import beam_symmetry, deviation

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.potential.slices import PotentialSlices

#: Distance in nm of the thicknesses that are kept.
LADDER = 2.0
#: Deviation of a potential from a symmetry, over its largest Fourier coefficient, below which it has it.
SYMMETRIC = 2e-3


def patterns(
    cut: "Specimen",
    potentials: "Iterable[PotentialSlices]",
    *,
    thicknesses: Sequence[float] | None = None,
    ladder: float = LADDER,
    outer: float | None = None,
    tilt: float = 0.0,
    symmetry: bool = True,
    **options: Any,
) -> Patterns:
    """One propagation through a specimen that answers for every thickness, aperture and mistilt.

    Parameters
    ----------
    cut : Specimen
        Its preset gives the microscope, ``convergence`` being the largest aperture, and where patterns end.
    potentials : iterable of PotentialSlices
        Of `rhotem.analysis.run.potential`.
    thicknesses : sequence of float, optional
        nm; None: a ladder, and all between by interpolation.
    ladder : float
        Its distance in nm, rounded to whole cells.
    outer : float, optional
        Where patterns end, in mrad; None: at the outermost detector.
    tilt : float
        Largest mistilt in mrad.
    symmetry : bool
        Propagate one of the beams that the crystal's symmetry maps onto each other.
    **options
        As `rhotem.scattering.patterns.patterns`.

    Raises
    ------
    InputError
        If the preset scans no probe; or as there.
    """
    if cut.preset.mode != "stem":
        raise InputError(f"preset {cut.preset.name} scans no probe; patterns are those of one")
    cells = int(cut.repeats[2])
    return make(
        potentials,
        cut.preset.microscope,
        largest_angle(cut.preset.detectors) if outer is None else outer,
        None if thicknesses is None else [10.0 * t for t in thicknesses],
        tilt=tilt,
        ladder=10.0 * ladder,
        period=max(1, cut.grid.shape[2] // cells),
        symmetry=shared_symmetry(cut, potentials) if symmetry else (),
        repeats=(int(cut.repeats[0]), int(cut.repeats[1])),
        **options,
    )


def image(cut: "Specimen", held: Patterns) -> ImageSet:
    """What `rhotem.analysis.run.image` gives for a specimen whose detectors are position-averaged.

    Pixels are those of the camera that the specimen's preset names; without one those that were computed.

    Raises
    ------
    InputError
        If the patterns do not hold it.
    """
    lens = cut.preset.microscope
    shown = held.images(
        thickness=float(cut.block.lengths[2]),
        convergence=lens.convergence,
        tilt=lens.tilt,
        camera_step=lens.camera_step,
        outer=largest_angle(cut.preset.detectors),
    )
    said = {"microscope": lens.model_dump(), "detectors": [d.model_dump() for d in cut.preset.detectors]}
    return replace(shown, record=shown.record | said | {"thickness": 10.0 * cut.thickness})


def symmetry_of(cut: "Specimen") -> list[npt.NDArray[np.int64]]:
    """Operations across the beam that the structure has, on reciprocal vectors of the imaging cell."""
    return [one.matrix for one in beam_symmetry(cut.cell.structure)]


def shared_symmetry(cut: "Specimen", potentials: "Iterable[PotentialSlices]") -> list[npt.NDArray[np.int64]]:
    """Those of them that the potential of one cell at rest has as well: a density from a file may be less symmetric.

    The identity alone where atoms follow a trajectory, which keeps no symmetry.
    """
    every = beam_symmetry(cut.cell.structure)
    identity = [one.matrix for one in every if (one.matrix == np.eye(2)).all()]
    resting = isinstance(potentials, Potentials) and potentials.phonons == 0
    field = getattr(potentials, "field", None)
    known = field is None or isinstance(field, DensityField)
    if len(every) == 1 or not known or not (resting or getattr(potentials, "independent", False)):
        return identity
    nx, ny, slices = (n // r for n, r in zip(cut.grid.shape, cut.repeats, strict=True))
    grid = PeriodicGrid(cut.cell.structure.cell, (nx, ny, slices))
    one_cell = build_potential(cut.cell, grid, field, whole_atoms=True).array
    kept = [one.matrix for one in every if deviation(one, np.asarray(one_cell)) < SYMMETRIC]
    products = {(a @ b).tobytes() for a in kept for b in kept}
    return kept if products <= {one.tobytes() for one in kept} else identity
