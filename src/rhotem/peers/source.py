"""Peers as density sources: pseudised valence densities into deformation densities, as from a CHGCAR."""

import time
from collections.abc import Mapping

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.convert import VALENCE_RECORD
from rhotem.density.field import DensityField
from rhotem.density.files.paw import rebuild
from rhotem.density.superpose import superpose
from rhotem.peers.checkpoint import load_peer
from rhotem.peers.evaluate import on_grid
from rhotem.peers.valence import assignment
from rhotem.structure.model import Structure

#: Largest step in Å of the grid on which the augmentation spheres can be rebuilt (0.003 e in structure factors).
SPACING = 0.12
#: Parts of the count by which a prediction may miss: up to the first it is put right, up to the second on request.
USUAL, CORRECTABLE = 0.01, 0.05


class Peer:
    """Deformation density from an imported DeepDFT or ChargE3Net.

    These networks predict the valence density that VASP writes to CHGCAR: of the training data's PAW sets, pseudised
    inside augmentation spheres, in e/Å³, for neutral cells. Free-atom valence is subtracted, the spheres are rebuilt
    from their moments (`rhotem.density.files.paw`), and what the electron count misses is spread over the spheres.

    Parameters
    ----------
    name : str
        Name it was imported under, or a .safetensors file.
    device : str
        "cpu" or "cuda".
    valence : mapping, optional
        Valence electrons by symbol where the training data had other PAW sets than the Materials Project's.
    correct : bool
        Take predictions whose electron count is off by 1 to 5 % and put it right; without it they are refused.

    Raises
    ------
    InputError
        If the model cannot be loaded.
    """

    def __init__(
        self, name: str, device: str = "cpu", valence: Mapping[str, float] | None = None, correct: bool = False
    ) -> None:
        self.model, self.header = load_peer(name, device)
        info = self.header.get("info", {})
        self.name = str(info.get("name", name))
        self.valence = {**info.get("valence", {}), **(valence or {})}
        self.correct = correct

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """Deformation density of ``structure``, on a grid of 0.12 Å if the one asked for is coarser.

        Raises
        ------
        InputError
            If the cell is charged, an element's valence is not known, atoms are closer than 0.5 Å, or the predicted
            electron count is off by more than 1 % (5 % with ``correct``).
        """
        if structure.charge:
            raise InputError(
                f"model {self.name}: trained on neutral cells, got charge {structure.charge:+g} e; set charge 0"
            )
        held = assignment(structure, self.valence)
        if float(grid.spacing.max()) > SPACING + 1e-9:
            grid = PeriodicGrid.from_spacing(grid.cell, SPACING)
        began = time.perf_counter()
        predicted = on_grid(self.model, structure, grid)
        seconds = time.perf_counter() - began
        before, expected = grid.integrate(predicted[0]), held.count(structure)
        warnings = self._count_checked(before, expected, held.text())
        deformation = predicted[0] - superpose(structure, grid, dict(held.electrons))
        rebuilt = rebuild(grid, deformation, structure, held)
        architecture = self.model.settings.architecture
        record = {
            "model": self.name,
            "architecture": architecture,
            "electrons_predicted": before,
            "electrons_after_correction": expected,
            "valence": held.text(),
            VALENCE_RECORD: {str(z): n for z, n in held.pairs},
            "near_nuclei": "rebuilt inside augmentation spheres from moments l <= 4",
            "seconds": {"network": seconds, "voxels_per_second": grid.size / seconds},
            **rebuilt.record,
        }
        spin = predicted[1] if len(predicted) > 1 else None
        if spin is not None:
            moment = grid.integrate(spin)
            record["spin"] = {"total_moment_muB": moment, "note": "pseudised inside augmentation spheres"}
        if warnings:
            record["warnings"] = warnings
        return DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=rebuilt.values,
            one_centre=rebuilt.one_centre,
            spin=spin,
            reference=free_atoms.load().identifier,
            source=f"model {self.name} ({architecture}, {before:.2f} of {expected:g} e before correction)",
            record=record,
        )

    def _count_checked(self, before: float, expected: float, valence: str) -> list[str]:
        """Warnings about the predicted count; InputError if it is no density of this structure."""
        missing = abs(before - expected) / expected
        said = f"model {self.name}: predicts {before:.2f} e, expected {expected:g} e ({valence})"
        if missing <= USUAL:
            return []
        if not missing <= CORRECTABLE:
            raise InputError(
                f"{said}; off by more than {CORRECTABLE:.0%}: other chemistry than it was trained on, or other PAW "
                "sets (--valence)"
            )
        if not self.correct:
            raise InputError(
                f"{said}; off by {missing:.1%}: put right with --correct-count, or other PAW sets (--valence)"
            )
        return [f"{said}; corrected as asked"]
