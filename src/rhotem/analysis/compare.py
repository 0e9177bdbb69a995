"""What bonding changes: structure factors, images and column contrast from several densities, all else the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rhotem.analysis import TEMPERATURE, run
from rhotem.analysis.columns import Column, Contrast, columns, contrast
from rhotem.analysis.factors import FactorTable, factor_table
from rhotem.core import InputError, Progress, silent
from rhotem.density.field import DensityField
from rhotem.microscope.images import ImageSet
from rhotem.structure.frames import Frames

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

    def record(self) -> dict[str, Any]:
        """The tables, JSON-ready."""
        return {
            "phonons": self.motion,
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


def compare(
    cut: run.Specimen,
    sources: Sequence[str],
    *,
    g_max: float = 1.0,
    phonons: int | None = None,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    memory: float | None = None,
    msd: Mapping[str, float] | None = None,
    frames: Frames | None = None,
    source_options: dict[str, dict[str, Any]] | None = None,
    allow_polar: bool = False,
    progress: Progress = silent,
    **options: Any,
) -> Comparison:
    """Simulate one specimen with several density sources; thermal displacements are the same for all.

    Parameters
    ----------
    cut : run.Specimen
    sources : sequence of str
        Registered names or density files, at least two; the first is the reference.
    g_max : float
        Structure factors up to this |g| in 1/Å.
    phonons, temperature, seed, memory, msd, frames
        As `run.potential`; the simulation stays below ``memory`` bytes, too.
    source_options : dict, optional
        Options of the density sources by name, e.g. ``{"gpaw": {"cache": "densities"}}``.
    allow_polar : bool
        As `run.density`.
    **options
        As `run.image`.

    Raises
    ------
    InputError
        If fewer than two different sources are named.
    """
    if len(set(sources)) < 2:
        raise InputError(f"compare: got {', '.join(sources) or 'no source'}; name two different density sources")
    fields = {s: run.density(cut, s, allow_polar=allow_polar, **(source_options or {}).get(s, {})) for s in sources}
    images, motion = {}, {}
    for source, field in fields.items():

        def named(stage: str, done: int, total: int, source: str = source) -> None:
            progress(f"{Path(source).name}: {stage}", done, total)

        moving: dict[str, Any] = {"phonons": phonons, "temperature": temperature, "seed": seed, "msd": msd}
        potentials = run.potential(cut, field, memory=memory, frames=frames, **moving)
        motion = potentials.record()
        images[source] = run.image(cut, potentials, seed=seed, memory=memory, progress=named, **options)
    factors = {s: factor_table(f, g_max) for s, f in fields.items() if f.source != "free atoms"}
    found = columns(cut.cell)
    contrasts = {source: _contrasts(result, found) for source, result in images.items()}
    return Comparison(cut, fields, images, factors, found, contrasts, motion)


def _contrasts(images: ImageSet, found: list[Column]) -> dict[str, list[Contrast]]:
    return {
        name: contrast(image, images.scan.size, found, absolute=name.endswith(ABSOLUTE))
        for name, image in images.images.items()
        if not name.endswith(("DPCx", "DPCy", "CoMx", "CoMy"))
    }
