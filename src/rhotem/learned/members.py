"""The members of an ensemble one by one: what error bars of anything after the density are made of."""

from collections.abc import Iterator

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import DensityField
from rhotem.learned.calibration import Calibration
from rhotem.learned.counting import stays_free
from rhotem.learned.error_bars import widening
from rhotem.learned.loaded import Loaded, encoder_room
from rhotem.learned.model import LearnedModel
from rhotem.learned.newcomers import named
from rhotem.learned.readouts.base import Evaluated, Prepared, combined
from rhotem.structure.model import Structure


def member_fields(
    source: Loaded, structure: Structure, grid: PeriodicGrid, calibration: Calibration
) -> Iterator[DensityField]:
    """One density per member, mean + widening · (member − mean) as calibrated; the members are evaluated once.

    After them that of the model that it is judged by, if any.

    Raises
    ------
    InputError
        As `check_members`, or as for the density itself.
    """
    check_members(source, structure)
    model = source.model
    count, readout = source.member_count, model.readout
    # members in single precision, their mean and one of them in double; values of one and on the way to it
    room = encoder_room(model, structure, 2 * grid.size, source.memory, sets=0.5 * count + 2.0)
    each = readout.prepare_members(structure, room, source.announce)
    spread = widening(model, calibration, structure, each, room)
    for k, found in enumerate(_opinions(model, (each, structure, grid), spread)):
        yield DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=found.values,
            one_centre=found.one_centre,
            reference=free_atoms.load().identifier,
            source=f"model {source.name}, member {k + 1} of {count}",
            record={"model": source.name, "member": k, "widening": spread, **found.record},
        )


def _opinions(
    model: LearnedModel, where: tuple[Prepared, Structure, PeriodicGrid], widening: float
) -> Iterator[Evaluated]:
    """The members, and after them what the model is judged by, as mean + widening · (member − mean)."""
    each, structure, grid = where
    found = []
    for own in model.readout.widened(each, structure, grid, widening):
        if model.witness is not None:
            found.append(own)
        yield own
    if model.witness is not None:
        other = model.witness.readout
        theirs = other.evaluate(other.prepare(structure), structure, grid)
        yield combined([*found, theirs], [(1.0 - widening) / len(found)] * len(found) + [widening])


def check_members(source: Loaded, structure: Structure) -> None:
    """Refuse structures that there is no spread of members for, before anything is calculated.

    Raises
    ------
    InputError
        If the model has a single member, leaves an element free, or all atoms, as none has a neighbour; as
        `Loaded.strangers`.
    """
    model, why = source.model, ""
    strangers = source.strangers(structure)
    if model.settings.members == 1:
        why = "has a single member"
    elif strangers.free:
        why = f"was not trained on {named(strangers.free)} and leaves free atoms there"
    elif stays_free(model, structure).all():
        why = "leaves atoms free that have no neighbour, and all members alike"
    if why:
        raise InputError(f"model {source.name}: {why}, so there is no spread to carry on; leave out --uncertainty")
