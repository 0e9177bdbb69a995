"""The learned density as a density source."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid, Progress, silent
from rhotem.core.tasks import PROGRAM
from rhotem.density import free_atoms
from rhotem.density.convert import evaluate_one_centre
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.positive import make_positive, negative_part
from rhotem.density.stream import StreamedDensity
from rhotem.density.superpose import superpose
from rhotem.models.checkpoint import find_model, load_model
from rhotem.models.counting import check_charge, count_exactly
from rhotem.models.fast.atoms import fast_coefficients, fast_members, is_fast
from rhotem.models.fast.repeats import find_repetition
from rhotem.models.gated_field import on_gated_grid
from rhotem.models.grid import Kernel, counted_on_grid
from rhotem.models.model import DensityModel
from rhotem.models.peers.field import on_peer_grid
from rhotem.models.radial import Block
from rhotem.models.spin_field import magnetisation, spin_head
from rhotem.models.target import minus_free_atoms
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.models.outside import Trained

#: Radii of one-centre parts.
RADII = 160
#: Atoms up to which an analytic density is checked for negative values unasked.
REPORTED = 30

Positive = Literal["auto", "project", "report", "off"]


class Model:
    """Deformation density from a trained network: sharp parts analytic around the atoms, the wide part on the grid.

    Parameters
    ----------
    name : str
        Shipped weights, a run folder, or a .safetensors file.
    device : str
        "cpu" or "cuda".
    positive : "auto", "project", "report" or "off"
        What to do where free atoms + Δn is below zero on the grid: the nearest density of the same count that is not
        (`rhotem.density.positive`), or only say how much there is. auto: project for a gated readout; for an analytic
        one report up to 30 atoms (superposing free atoms takes 30 ms per atom, the model 1 ms).
    memory : float or None
        Bytes to stay below, on a CPU; slower if it is little. None: no limit.
    spin : bool
        Give the spin density, too (docs/spin.md).
    announce : callable, optional
        Told in one line how much is evaluated, and in which memory, before it is.
    reach : float
        Å within which surroundings must be equal for atoms to share what the encoder makes of them. inf: exact. 10 or
        15 make cells with dilute defects cheaper; errors are in docs/scale.md.
    novelty : bool
        Say how far a structure is outside of the training (`rhotem.models.outside`), some tenths of the encoder's time.

    Raises
    ------
    InputError
        If the model cannot be loaded, or has no spin density and is asked for it.
    """

    def __init__(
        self,
        name: str = "default",
        device: str = "cpu",
        positive: Positive = "auto",
        memory: float | None = None,
        spin: bool = False,
        announce: Callable[[str], None] | None = None,
        *,
        reach: float = math.inf,
        novelty: bool = True,
    ) -> None:
        if positive not in ("auto", "project", "report", "off"):
            raise InputError(f"model: positive={positive!r}, expected auto, project, report or off")
        self.positive, self.memory, self.spin, self.announce = positive, memory, spin, announce
        self.path = find_model(name)
        self.model, self.header = load_model(name, device)
        self.name = str(self.header["info"].get("name", name))
        self.device = device
        if not reach > 0 or (reach < math.inf and not is_fast(self.model)):
            raise InputError(
                f"model {self.name}: reach {reach:g} Å, expected a length > 0 and a compiled encoder (CPU)"
            )
        self.reach, self.novelty = reach, novelty
        self.trained: Trained | None = None
        if spin:
            spin_head(self.model, self.name)

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """Deformation density of ``structure``; free atoms throughout where an element was never trained on.

        ∫Δn = −q holds to 1e-6 of the valence electrons, as the g = 0 coefficient and as the sum of the grid part and
        the one-centre parts.

        Raises
        ------
        InputError
            If atoms are closer than 0.5 Å, a slab is charged, or elements are unknown in a charged cell.
        MemoryLimitError
            If the result alone does not fit into ``memory``.
        """
        from rhotem.models.outside import remarks

        unknown = sorted(set(structure.numbers.tolist()) - set(self.model.settings.elements))
        if unknown:
            return self.free_atoms(structure, grid, unknown)
        check_charge(structure)
        said = remarks(self, structure, grid.size)
        began = time.perf_counter()
        readout = self.model.readout
        if readout.linear:
            room = encoder_room(self.model, structure, grid.size, self.memory)
            given = atom_coefficients(self.model, structure, memory=room, announce=self.announce, reach=self.reach)
        else:
            given = prepared(self.model, structure)
        encoded = time.perf_counter()
        values, terms, count = self.evaluate(given, structure, grid)
        evaluated = time.perf_counter()
        values, negative = self._checked(values, terms, structure, grid)
        spin, of_spin = self._spin(structure, grid) if self.spin else (None, {})
        return DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=values,
            one_centre=terms,
            spin=spin,
            reference=free_atoms.load().identifier,
            source=f"model {self.name}",
            record={
                "model": self.name,
                "accuracy": self.header["info"].get("accuracy", {}),
                "device": self.device,
                "receptive_field_A": self.model.encoder.receptive_field,
                **said,
                **count,
                **negative,
                **({"spin": of_spin} if self.spin else {}),
                "seconds": {"encoder": encoded - began, "readout": evaluated - encoded},
            },
        )

    def planes(self, structure: Structure, spacing: float) -> StreamedDensity:
        """The same plane by plane, for what is larger than memory."""
        from rhotem.models.fast import stream  # it imports this file

        return stream.stream(self, structure, spacing)

    @property
    def spacing(self) -> float:
        """Largest step in Å of a grid that holds the smooth part.

        Functions of 0.6 Å and wider, those of a spherical readout, have nothing beyond 2.5 1/Å: 3e-7 of the largest
        coefficient of LiCoO2.
        """
        return 0.2 if self.model.readout.linear else 0.12

    def _spin(self, structure: Structure, grid: PeriodicGrid) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
        # the density and its coefficients are there already
        room = encoder_room(self.model, structure, 3 * grid.size, self.memory) if self.model.readout.linear else None
        return magnetisation(self.model, structure, grid, self.name, room)

    @property
    def member_count(self) -> int:
        """Members of the ensemble; 1 if it is none."""
        return int(self.model.settings.members)

    def members(self, structure: Structure, grid: PeriodicGrid) -> Iterator[DensityField]:
        """One density per member of the ensemble, spread so that error bars of the potential are calibrated.

        Raises
        ------
        InputError
            If there is a single member, no calibration, or an element was never trained on.
        """
        from rhotem.models.members import member_fields
        from rhotem.models.uncertainty import load_calibration

        check_charge(structure)
        return member_fields(self, structure, grid, load_calibration(self.path))

    def check_members(self, structure: Structure) -> None:
        """Refuse what `members` would, before anything is calculated."""
        from rhotem.models.members import check_members
        from rhotem.models.uncertainty import load_calibration

        check_charge(structure)
        check_members(self, structure)
        load_calibration(self.path)

    def evaluate(
        self, given: tuple[torch.Tensor, ...], structure: Structure, grid: PeriodicGrid
    ) -> tuple[npt.NDArray[np.float64], Sequence[OneCentre], dict[str, Any]]:
        """Grid values, one-centre parts, and what the electron count needed."""
        if self.model.readout.linear:
            values, correction = _repeated(self.model, given, structure, grid)
            held = self.model.readout.atom_electrons(given).tolist()
            record = {"electrons_by_atom": held, "grid_count_correction_e": correction}
            sharp: Sequence[OneCentre] = SharpTerms(self.model.readout.blocks[0], given[0].numpy())
            if self.model.settings.target == "density":
                sharp = (*sharp, *minus_free_atoms(structure))
            return values, sharp, record
        if self.model.settings.peer is not None:
            peer = on_peer_grid(self.model, given, structure, grid, split=True)
            record = {"grid_count_correction_e": abs(peer.missing), "strength_shift_e_per_A3": peer.shift}
            return peer.values, peer.one_centre, record
        result = on_gated_grid(self.model, given, structure, grid, split=True)
        record = {
            "electrons_by_atom": result.electrons.tolist(),
            "grid_count_correction_e": float(np.abs(result.correction).sum()),
            "strength_shift_e_per_A3": result.shift,
        }
        return result.values, result.one_centre, record

    def _checked(
        self,
        values: npt.NDArray[np.float64],
        terms: Sequence[OneCentre],
        structure: Structure,
        grid: PeriodicGrid,
    ) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
        """Grid values so that no density is negative, if asked for, and what was."""
        what = self.positive
        if what == "auto":
            what = "report" if len(structure) <= REPORTED else "off"
            if not self.model.readout.linear:
                what = "project"
        if what == "off":
            return values, {}
        free = superpose(structure, grid)
        sharp = DensityField("deformation", structure, grid, values, one_centre=terms)
        total = free + values + evaluate_one_centre(sharp, counted=True)
        record: dict[str, Any] = negative_part(total, grid).record()
        if what == "project":
            change = make_positive(total, free, grid) - total
            record["moved_to_be_positive_e"] = 0.5 * grid.integrate(np.abs(change))
            values = values + change
        return values, record

    def free_atoms(self, structure: Structure, grid: PeriodicGrid, unknown: list[int]) -> DensityField:
        """Free atoms throughout, where the elements ``unknown`` were never trained on; the record warns of it."""
        from ase.data import chemical_symbols

        names = ", ".join(chemical_symbols[z] for z in unknown)
        if structure.charge:
            raise InputError(
                f"model {self.name}: not trained on {names}, and free atoms cannot be charged; set charge 0"
            )
        return DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=np.broadcast_to(0.0, grid.shape),
            reference=free_atoms.load().identifier,
            source=f"free atoms (model {self.name} does not know {names})",
            record={
                "model": self.name,
                "fallback": "free atoms",
                "unknown_elements": unknown,
                "warnings": [f"model {self.name} was not trained on {names}: free atoms throughout; or --source gpaw"],
            },
        )


def atom_coefficients(
    model: DensityModel,
    structure: Structure,
    kernel: Kernel = "auto",
    memory: float | None = None,
    progress: Progress = silent,
    announce: Callable[[str], None] | None = None,
    *,
    reach: float = math.inf,
) -> tuple[torch.Tensor, ...]:
    """Coefficients of every atom in float64 on the CPU, their electrons exactly −q (N_valence − q where n is drawn).

    ``kernel="plain"`` computes as in training; otherwise compiled where that is possible, within ``memory`` bytes and
    with features shared by atoms whose surroundings are equal within ``reach`` (Å).

    Raises
    ------
    InputError
        If the structure has no atoms, or atoms closer than 0.5 Å.
    MemoryLimitError
        If it does not fit into memory.
    """
    if kernel == "auto" and is_fast(model):
        result = fast_coefficients(model, structure, memory, progress, announce, reach=reach)
    else:
        result = tuple(c.double().cpu() for c in prepared(model, structure))
    count_exactly(model, structure, result)
    return result


def _repeated(
    model: DensityModel, coefficients: tuple[torch.Tensor, ...], structure: Structure, grid: PeriodicGrid
) -> tuple[npt.NDArray[np.float64], float]:
    """`counted_on_grid`; of a repeated cell once, then copied."""
    repetition = find_repetition(structure, grid.shape)
    if repetition is None:
        return counted_on_grid(model, coefficients, structure.positions, grid)
    counts = np.array(repetition.counts)
    n1, n2, n3 = (int(n) for n in np.array(grid.shape) // counts)
    one = PeriodicGrid(grid.cell / counts[:, None], (n1, n2, n3))
    own = tuple(c[torch.from_numpy(repetition.atoms)] for c in coefficients)
    values, moved = counted_on_grid(model, own, structure.positions[repetition.atoms], one)
    return np.tile(values, repetition.counts), moved * float(counts.prod())


def prepared(
    model: DensityModel,
    structure: Structure,
    members: bool = False,
    memory: float | None = None,
    announce: Callable[[str], None] | None = None,
) -> tuple[torch.Tensor, ...]:
    """What the readout needs of every atom, on the model's device, computed as in training.

    Of every member with ``members``: compiled where that is possible, within ``memory`` bytes; see
    `rhotem.models.fast.atoms.fast_members`.

    Raises
    ------
    InputError
        If the structure has no atoms, or atoms closer than 0.5 Å.
    MemoryLimitError
        If it does not fit into memory.
    """
    if members and is_fast(model):
        return fast_members(model, structure, memory, announce=announce)
    try:
        with torch.no_grad():
            return (model.member_coefficients if members else model)(model.graph(structure))
    except RuntimeError as error:  # torch's word for it
        if "memory" not in str(error):
            raise
        raise MemoryLimitError(f"model: {len(structure)} atoms do not fit into memory; use a smaller cell") from error


class SharpTerms(Sequence[OneCentre]):
    """The sharp block of every atom as radial functions, R_lm(r) = Σ_n c_nlm r^l G_n(r), made when asked for.

    Parameters
    ----------
    block : Block
    coefficients : (N, functions, (lmax+1)²) array
    """

    def __init__(self, block: Block, coefficients: npt.NDArray[np.float64]) -> None:
        self.block, self.coefficients = block, coefficients
        self.radii = np.linspace(0.0, np.sqrt(block.cutoff), RADII) ** 2
        self._functions = block.radial(self.radii)
        self._powers = np.concatenate([np.tile(self.radii**l, (2 * l + 1, 1)) for l in range(block.lmax + 1)])

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, atom: Any) -> Any:
        if isinstance(atom, slice):
            return tuple(self[a] for a in range(*atom.indices(len(self))))
        atom = range(len(self))[atom]  # from the end, too; IndexError beyond
        return OneCentre(atom, self.radii, (self.coefficients[atom].T @ self._functions) * self._powers)


def encoder_room(
    model: DensityModel, structure: Structure, points: int, memory: float | None, sets: float = 1.0
) -> float | None:
    """Bytes left for the encoder beside the program and ``sets`` of coefficients; values at grid points come after it.

    Raises
    ------
    MemoryLimitError
        If the result alone does not fit.
    """
    if memory is None:
        return None
    coefficients = 8.0 * sum(b.coefficients for b in model.readout.blocks) * len(structure)
    needed = PROGRAM + 8.0 * points + (sets + 1.0) * coefficients
    if needed > memory:
        at = f" on {points} grid points" if points else ""
        raise MemoryLimitError(
            f"model: the density of {len(structure)} atoms{at} takes {needed / 1e9:.2f} GB, "
            f"{PROGRAM / 1e9:.1f} of them the program, {memory / 1e9:.2f} GB allowed; allow more, or use a coarser grid"
        )
    return memory - PROGRAM - sets * coefficients
