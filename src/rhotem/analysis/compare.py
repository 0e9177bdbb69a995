"""What bonding changes: structure factors, images and column contrast from several densities, all else the same."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import numpy.typing as npt

from rhotem.analysis import run
from rhotem.analysis.columns import Column, Contrast, columns, contrast
from rhotem.analysis.factors import FactorTable, factor_table
from rhotem.analysis.motion import Moving, moving_of
from rhotem.core import InputError, Progress, silent
from rhotem.core.keywords import check_keywords
from rhotem.density.field import DensityField
from rhotem.microscope.images import ImageSet
from rhotem.microscope.plan import Plan


@dataclass(frozen=True)
class Difference:
    """How far an image is from the reference's, as parts of the reference's range (highest minus lowest pixel).

    Parameters
    ----------
    largest : float
        Of any pixel, with its sign.
    rms : float
        Root mean square over the pixels.
    """

    largest: float
    rms: float


#: Images without a meaningful mean; their contrast is the excess over it in the image's unit.
ABSOLUTE = ("iDPC", "iCoM", "dDPC")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Images and structure factors of one specimen from several densities; the first source is the reference.

    Parameters
    ----------
    specimen : run.Specimen
    fields, images : dict by source
    factors : dict by source
        Against free atoms; only for sources that are not free atoms themselves.
    columns : list of Column
    contrasts : dict[source][image] -> list of Contrast
    motion : dict
        How the atoms move, the same for all.
    """

    specimen: run.Specimen
    fields: dict[str, DensityField]
    images: dict[str, ImageSet]
    factors: dict[str, FactorTable]
    columns: list[Column]
    contrasts: dict[str, dict[str, list[Contrast]]]
    motion: dict[str, Any]

    @property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """Of every image of every source but the reference; one without any range has none."""
        (_, reference), *others = self.images.items()
        return {
            source: {
                name: _difference(images[name], image) for name, image in reference.images.items() if np.ptp(image) > 0
            }
            for source, images in others
        }

    def record(self) -> dict[str, Any]:
        """The tables, JSON-ready."""
        return {
            "phonons": self.motion,
            "differences": {
                source: {name: asdict(difference) for name, difference in rows.items()}
                for source, rows in self.differences.items()
            },
            "densities": {
                source: {"source": field.source, "reference": field.reference, **field.record}
                for source, field in self.fields.items()
            },
            "contrast": {
                source: {name: {c.label: [c.value, c.spread] for c in rows} for name, rows in images.items()}
                for source, images in self.contrasts.items()
            },
            "structure_factors": {
                source: [
                    {"hkl": h, "hkl_own_cell": own, "g_per_angstrom": g, "free_V": abs(free), "bonded_V": abs(bonded)}
                    for h, own, g, free, bonded in zip(
                        table.conventional.tolist(),
                        table.indices.tolist(),
                        table.g,
                        table.free,
                        table.bonded,
                        strict=True,
                    )
                ]
                for source, table in self.factors.items()
            },
        }


class Comparing(Moving, total=False):
    """How sources are compared: `Moving`; structure factors up to ``g_max`` in 1/Å; ``memory`` in bytes that potentials
    and the simulation stay below; ``algorithm`` and ``announce`` as `run.image`; ``allow_polar`` as `run.density`;
    ``source_options`` of the sources by name, e.g. ``{"gpaw": {"cache": "densities"}}``.
    """

    g_max: float
    memory: float | None
    algorithm: Literal["auto", "bloch", "prism", "multislice"]
    announce: Callable[[Plan], None]
    allow_polar: bool
    source_options: dict[str, dict[str, Any]]


def compare(
    cut: run.Specimen, sources: Sequence[str], *, progress: Progress = silent, **how: Unpack[Comparing]
) -> Comparison:
    """Simulate one specimen with several density sources; thermal displacements are the same for all.

    Parameters
    ----------
    cut : run.Specimen
    sources : sequence of str
        Registered names or density files, at least two; the first is the reference.
    progress : Progress
    **how
        `Comparing`.

    Raises
    ------
    InputError
        If fewer than two different sources are named.
    """
    check_keywords(how, Comparing, "compare")
    if len(set(sources)) < 2:
        raise InputError(f"compare: got {', '.join(sources) or 'no source'}; name two different density sources")
    options, allowed = how.get("source_options", {}), how.get("allow_polar", False)
    fields = {s: run.density(cut, s, allow_polar=allowed, **options.get(s, {})) for s in sources}
    moving = moving_of(how)
    memory = how.get("memory")
    recording: run.Recording = {"seed": how.get("seed", 0), "memory": memory, "algorithm": how.get("algorithm", "auto")}
    if "announce" in how:
        recording["announce"] = how["announce"]
    images, motion = {}, {}
    for source, field in fields.items():

        def named(stage: str, done: int, total: int, source: str = source) -> None:
            progress(f"{Path(source).name}: {stage}", done, total)

        potentials = run.potential(cut, field, memory=memory, **moving)
        motion = potentials.record()
        images[source] = run.image(cut, potentials, progress=named, **recording)
    factors = {s: factor_table(f, how.get("g_max", 1.0)) for s, f in fields.items() if f.source != "free atoms"}
    found = columns(cut.cell)
    contrasts = {source: _contrasts(result, found) for source, result in images.items()}
    return Comparison(cut, fields, images, factors, found, contrasts, motion)


def _difference(image: npt.NDArray[Any], reference: npt.NDArray[Any]) -> Difference:
    apart = (image - reference) / np.ptp(reference)
    return Difference(float(apart.flat[np.abs(apart).argmax()]), float(np.sqrt(np.mean(apart**2))))


def _contrasts(images: ImageSet, found: list[Column]) -> dict[str, list[Contrast]]:
    return {
        name: contrast(image, images.scan.size, found, absolute=name.endswith(ABSOLUTE))
        for name, image in images.images.items()
        if not name.endswith(("DPCx", "DPCy", "CoMx", "CoMy"))
    }
