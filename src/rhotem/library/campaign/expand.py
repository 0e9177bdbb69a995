"""The tasks of a campaign, each with its content hash."""

import fnmatch
import glob
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from rhotem.analysis.plan import Plan
from rhotem.analysis.plan.identity import identity, inputs, path_sha256
from rhotem.analysis.plan.model import place_of
from rhotem.analysis.workflow import read_crystal
from rhotem.core import InputError, RhoTEMError
from rhotem.core.provenance import array_sha256
from rhotem.density.source import default_source
from rhotem.library.campaign.model import Campaign, Structures
from rhotem.library.campaign.task import Asked, Recipe, Task
from rhotem.library.campaign.values import TASKS, values_of
from rhotem.library.sources import Sources
from rhotem.structure.model import Structure

#: Digits of an identifier: among 1e6 tasks two agree by chance once in 1e12 libraries.
DIGITS = 20


def tasks_of(campaign: Campaign) -> list[Task]:
    """All tasks in the order of the plan, the same one once.

    Raises
    ------
    InputError
        If a structure cannot be read, or a combination of keys cannot be; with its name.
    """
    made: dict[str, Task] = {}
    sources, known = Sources(), _Known()
    base, axes = campaign.base(), _axes(campaign)
    shown = varied(axes) - {"zone", "specimen.zone"}  # entries have a column for it
    for name, recipe in structures_of(campaign):
        for row in axes:
            told = (f"{key}={_text(value)}" for key, value in row.items() if key in shown)
            title = " ".join([_short(name, recipe), *told])
            try:
                task = _task(campaign, (base, row), (name, recipe, title), sources, known)
            except RhoTEMError as error:
                raise InputError(f"{campaign.name}: {title}: {error}") from None
            made.setdefault(task.id, task)
            if len(made) > TASKS:
                raise InputError(f"{campaign.name}: more than {TASKS} tasks; divide it into several campaigns")
    return list(made.values())


def structures_of(campaign: Campaign) -> Iterator[tuple[str, Recipe | None]]:
    """Every structure: its file or phase, or the first crystal of a builder with the recipe."""
    for place, some in enumerate(campaign.structures):
        if some.builder is None:
            yield from ((name, None) for written in some.names for name in _matching(written))
        else:
            yield from ((_crystal(recipe.crystals[0]), recipe) for recipe in _recipes(some, campaign.seed, place))


def _crystal(argument: str) -> str:
    """The crystal in an argument of a builder: ``LiCoO2:40`` says how much of it."""
    return argument if Path(argument).exists() else argument.partition(":")[0]


def _absolute(argument: str) -> str:
    """An argument that means the same wherever a worker starts."""
    name = _crystal(argument)
    return os.path.abspath(name) + argument[len(name) :] if Path(name).exists() else argument


def _matching(written: str) -> list[str]:
    """Files or phases that a name stands for."""
    if written.startswith("phase:"):
        from rhotem.structure.phases import names

        met = fnmatch.filter(names(), written.removeprefix("phase:"))
    elif any(c in written for c in "*?["):
        met = sorted(glob.glob(written))
    else:
        return [written]
    if not met:
        raise InputError(f"structures: {written}: nothing has such a name")
    return met


def _recipes(some: Structures, seed: int, place: int) -> Iterator[Recipe]:
    from rhotem.battery.builders import builders
    from rhotem.battery.builders.table import REQUIRED

    builder = builders()[str(some.builder)]
    defaults = {option.name: option.default for option in builder.options}
    given = {name: values_of(value, f"{place}.{name}", seed) for name, value in some.options.items()}
    for crystals in some.crystals:
        builder.check_arguments(crystals)
        for row in product(*given.values()):
            chosen = {**defaults, **dict(zip(given, row, strict=True))}
            if missing := [name for name, value in chosen.items() if value is REQUIRED]:
                raise InputError(f"builder {builder.name}: option {missing[0]} is missing; give it")
            kinds = {option.name: option.kind for option in builder.options}
            taken = {name: _as(kinds[name], value) for name, value in chosen.items()}
            changed = {name: value for name, value in taken.items() if name in given}
            for draw in range(some.seeds):
                named = tuple(map(_absolute, crystals))
                yield Recipe(builder.name, named, changed, seed + draw, some.relax)


def _as(kind: Any, value: Any) -> Any:
    """A value as the builder takes it: texts may be written as numbers or lists."""
    if value is None or kind in (int, float, bool):
        return value if value is None else kind(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _axes(campaign: Campaign) -> list[dict[str, Any]]:
    """Every combination of the values to vary, by key as it is written."""
    keys = list(campaign.vary)
    rows = product(*(values_of(campaign.vary[key], key, campaign.seed) for key in keys))
    return [dict(zip(keys, row, strict=True)) for row in rows]


def varied(axes: list[dict[str, Any]]) -> set[str]:
    """Keys with more than one value."""
    first = axes[0]
    return {key for key in first if any(row[key] != first[key] for row in axes)}


class _Known:
    """Structures that were read, so that each is read once whatever its zone and temperature."""

    def __init__(self) -> None:
        self._crystals: dict[str, Structure] = {}

    def of(self, plan: Plan) -> Structure:
        """The structure of a plan."""
        said = plan.specimen
        key = f"{said.structure} {said.order} {said.vacuum_A} {said.allow_overlaps} {plan.density.charge_e}"
        if key not in self._crystals:
            self._crystals[key] = read_crystal(plan)
        return self._crystals[key]

    def hash_of(self, plan: Plan, argument: str) -> str:
        """SHA-256 of the file, or of the atoms of the phase, in an argument of a builder, and what stands behind it."""
        name = _crystal(argument)
        if Path(name).exists():
            return path_sha256(Path(name)) + argument[len(name) :]
        crystal = self.of(plan.changed({"specimen.structure": name}))
        return array_sha256(crystal.cell, crystal.numbers, crystal.positions) + argument[len(name) :]


def _task(
    campaign: Campaign,
    keys: tuple[Plan, dict[str, Any]],
    what: tuple[str, Recipe | None, str],
    sources: Sources,
    known: _Known,
) -> Task:
    (base, row), (name, recipe, title) = keys, what
    name = os.path.abspath(name) if Path(name).exists() else name
    changes = {".".join(place_of(key)): value for key, value in row.items()}
    plan = base.changed({**changes, "specimen.structure": name})
    if plan.density.source is None:
        plan = plan.changed({"density.source": default_source()})
    lens = campaign.lens
    asked = Asked(
        campaign.thicknesses_nm,
        lens.defocus_nm,
        dict(lens.aberrations_nm),
        lens.convergence_mrad,
        campaign.kept.edges_mrad,
        tuple(campaign.foci),
        campaign.kept.half,
    )
    hashes = inputs(plan, known.of(plan), sources.of(plan))
    if recipe is not None:
        made = {**asdict(recipe), "crystals": [known.hash_of(plan, name) for name in recipe.crystals]}
        hashes["specimen.structure"] = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
    decided = {"result": identity(plan, hashes), "seed": plan.computing.seed, "asked": asdict(asked)}
    digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
    return Task(digest[:DIGITS], title, plan.data(), asked, recipe)


def _short(name: str, recipe: Recipe | None) -> str:
    if recipe is None:
        return Path(name).stem if Path(name).exists() else name
    crystals = "+".join(Path(crystal).stem if Path(crystal).exists() else crystal for crystal in recipe.crystals)
    return f"{crystals} {recipe}" + (f" #{recipe.seed}" if recipe.seed else "")


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
