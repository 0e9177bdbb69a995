"""`Campaign`: many specimens, and what is kept of each, as data."""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from rhotem.analysis.optics import adjusted_preset
from rhotem.analysis.plan import Plan
from rhotem.analysis.plan.model import place_of
from rhotem.analysis.plan.problems import At
from rhotem.analysis.plan.section import Section, number, written
from rhotem.analysis.plan.sections import (
    DensitySection,
    MicroscopeSection,
    MotionSection,
)
from rhotem.core import InputError, RhoTEMError
from rhotem.core.words import parse_memory
from rhotem.library.campaign.values import TASKS, values_of
from rhotem.microscope.instrument import ABERRATIONS

#: Version of the format.
FORMAT = 1
#: Keys that a response answers for, or that campaigns have elsewhere.
ELSEWHERE = {
    "specimen.structure": "structures",
    "specimen.thickness_nm": "thicknesses_nm",
    "microscope.defocus_nm": "lens.defocus_nm",
    "microscope.detectors": "microscope.detectors, where all are named",
}


def _version(value: Any) -> Any:
    if value != FORMAT or isinstance(value, bool):
        raise ValueError(f"format {value!r}: this version of RhoTEM reads campaigns of format {FORMAT}")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"\w[\w .+-]{0,99}", value):
        raise ValueError(f"name {value!r}: expected letters, digits, spaces and any of . + - _, at most 100")
    return value


def _thicknesses(value: Any) -> Any:
    try:
        deep = values_of(value, "thicknesses_nm", 0) if value else []
    except RhoTEMError as error:
        raise ValueError(str(error)) from None
    if not deep or not all(isinstance(t, int | float) and not isinstance(t, bool) and 0 < t < 1e4 for t in deep):
        raise ValueError(f"{value!r}: expected lengths in nm, [2, 4, 8], or {{from: 2, to: 8, steps: 4}}")
    return tuple(sorted({float(t) for t in deep}))


def _several(value: Any) -> Any:
    """``LiCoO2`` as ``{names: [LiCoO2]}``, one name as a list of one."""
    if isinstance(value, str):
        return {"names": [value]}
    if isinstance(value, dict) and isinstance(value.get("names"), str):
        return {**value, "names": [value["names"]]}
    return value


def _not_empty(value: Any) -> Any:
    if not value:
        raise ValueError("name at least one")
    return value


def _arguments(value: Any) -> Any:
    """One crystal of a builder as a list of one."""
    if isinstance(value, str):
        return [[value]]
    return [[item] if isinstance(item, str) else item for item in value] if isinstance(value, list) else value


class Structures(Section):
    """Some structures: files and ready phases by name, or what a builder of `rhotem battery` makes."""

    names: tuple[str, ...] = Field(
        (), description="Files (also cifs/*.cif) or ready phases; phase:Li* are all whose name fits."
    )
    builder: str | None = Field(None, description="Instead of names: a sub-command of `rhotem battery`.")
    crystals: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_arguments)] = Field(
        (), description="Arguments of the builder, a list for each specimen."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the builder; lists and distributions give several specimens."
    )
    seeds: Annotated[int, *number("seeds", least=1)] = Field(1, description="Draws of everything random, each one.")
    relax: bool = Field(False, description="Relax the atoms with SevenNet.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.names) == bool(self.builder):
            raise ValueError("give names, or a builder with its crystals")
        if self.builder is None:
            if self.crystals or self.options or self.relax or self.seeds > 1:
                raise ValueError("crystals, options, seeds and relax belong to a builder; name it")
            return self
        from rhotem.battery.builders import builders

        known = builders()
        if self.builder not in known:
            raise At(("builder",), f"{self.builder!r}: no builder; choose one of {', '.join(known)}")
        if known[self.builder].long:
            raise At(("builder",), f"{self.builder}: takes minutes; build by rhotem battery, and name the files")
        if not self.crystals:
            raise At(("crystals",), f"builder {self.builder}: name its crystals, {known[self.builder].crystals}")
        names = {option.name for option in known[self.builder].options}
        for option in self.options:
            if option not in names:
                raise At(("options", option), f"unknown option of {self.builder}; expected {', '.join(sorted(names))}")
        self._countable()
        return self

    def _countable(self) -> None:
        """Refuse options without values, and more specimens than a campaign takes."""
        number = self.seeds * len(self.crystals)
        for option, value in self.options.items():
            try:
                number *= len(values_of(value, option, 0))
            except RhoTEMError as error:
                raise At(("options", option), str(error)) from None
        if number > TASKS:
            raise At(("seeds",), f"{number} specimens; a campaign takes {TASKS}, divide it")


class Lens(Section):
    """Settings that every response must hold; the wider, the larger it becomes."""

    defocus_nm: tuple[float, float] = Field((0.0, 0.0), description="Least and most defocus.")
    aberrations_nm: dict[str, float] = Field(
        default_factory=dict, description="Largest magnitude of coefficients, {C12: 2}."
    )
    convergence_mrad: float | None = Field(None, gt=0, description="Smallest aperture; without it the microscope's.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.defocus_nm[0] > self.defocus_nm[1]:
            raise At(("defocus_nm",), f"from {self.defocus_nm[0]:g} to {self.defocus_nm[1]:g} nm: give the least first")
        for name, value in self.aberrations_nm.items():
            if name not in ABERRATIONS or name[0] != "C":
                raise At(("aberrations_nm", name), f"{name}: expected the name of a coefficient such as C12, C30")
            if value < 0:
                raise At(("aberrations_nm", name), f"{value:g}: expected a largest magnitude, 0 or more")
        return self


class Limits(Section):
    """What one task may take."""

    seconds: Annotated[float, *number("seconds", "s", above=0)] = Field(
        3600.0, description="Processor time; thirty times that on the clock."
    )
    memory: Annotated[str, written(lambda text: parse_memory(text) and text)] = Field(
        "4GB", description="Memory of its process."
    )
    attempts: Annotated[int, *number("attempts", least=1)] = Field(
        2, description="How often a task is tried whose process dies."
    )

    @property
    def bytes(self) -> int:
        """Memory in bytes."""
        return parse_memory(self.memory)


class Kept(Section):
    """What an entry holds besides its response."""

    foci_nm: tuple[float, ...] = Field(
        (), description="Foci at which contrast is tabulated; without them five over lens.defocus_nm."
    )
    edges_mrad: tuple[float, ...] | None = Field(
        None, description="Further edges of rings; without them those of all presets and regular ones; [] none."
    )
    half: bool = Field(False, description="Half precision: half as large, some 2e-4 of the least exact channel.")


class Campaign(Section):
    """Many specimens, and what is kept of each.

    Every structure is combined with every combination of values in ``vary``. A response answers for the lens,
    thicknesses and doses, so those are no tasks of their own.
    """

    model_config = ConfigDict(populate_by_name=True)

    rhotem_campaign: Annotated[int, BeforeValidator(_version)] = Field(
        FORMAT, alias="rhotem-campaign", description="Version of this format."
    )
    name: Annotated[str, AfterValidator(_name)] = Field(description="What the campaign is called in the library.")
    structures: Annotated[tuple[Annotated[Structures, BeforeValidator(_several)], ...], AfterValidator(_not_empty)] = (
        Field(description="What is imaged.")
    )
    vary: dict[str, Any] = Field(
        default_factory=dict, description="Keys of a plan, each a list, {from, to, steps} or a distribution."
    )
    motion: MotionSection = Field(default_factory=MotionSection, description="How the atoms move.")
    density: DensitySection = Field(default_factory=DensitySection, description="Where the density comes from.")
    microscope: MicroscopeSection = Field(default_factory=MicroscopeSection, description="The instrument.")
    thicknesses_nm: Annotated[tuple[float, ...], BeforeValidator(_thicknesses)] = Field(
        description="Thicknesses that every response holds, to whole cells."
    )
    lens: Lens = Field(default_factory=Lens, description="What every response holds.")
    kept: Kept = Field(default_factory=Kept, description="What an entry holds besides its response.")
    limits: Limits = Field(default_factory=Limits, description="What one task may take.")
    seed: Annotated[int, *number("seed", least=0)] = Field(0, description="Of draws, builders and thermal motion.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            base = self.base()
        except RhoTEMError as error:
            raise At(("microscope",), str(error)) from None
        if base.density.uncertainty:
            raise At(("density", "uncertainty"), "a response has no error bars from the density; leave it out")
        if not isinstance(base.motion.phonons, int | None) or base.motion.frames is not None:
            raise At(("motion",), "a campaign takes a number of phonons, and no trajectory")
        seen: dict[str, str] = {}
        number = 1
        for name in self.vary:
            try:
                place = ".".join(place_of(name))
                if place in ELSEWHERE:
                    raise InputError(f"is no key to vary; a response answers for it: see {ELSEWHERE[place]}")
                if place in seen:
                    raise InputError(f"the same key as {seen[place]}; give its values once")
                seen[place] = name
                values = values_of(self.vary[name], name, self.seed)
                number *= len(values)
                if number > TASKS:
                    raise InputError(f"with it there are {number} tasks for every structure; a campaign takes {TASKS}")
                for value in values:
                    self._check_lens(base.changed({place: value}))
            except RhoTEMError as error:
                raise At(("vary", name), str(error)) from None
        if "microscope.convergence_mrad" not in seen and "microscope.preset" not in seen:
            self._check_lens(base)
        return self

    def _check_lens(self, plan: Plan) -> None:
        """Refuse what its responses cannot hold: an aperture beyond the microscope's."""
        least, largest = (
            self.lens.convergence_mrad,
            adjusted_preset(plan.microscope.preset, **plan.optics()).microscope.convergence,
        )
        if least is not None and least > largest:
            raise At(
                ("lens", "convergence_mrad"),
                f"{least:g} mrad is the smallest aperture to be asked for, the microscope's is {largest:g}; "
                "give the larger one as microscope.convergence_mrad",
            )

    def base(self) -> Plan:
        """The plan of every task, of a ready phase."""
        return Plan(
            specimen={"structure": "LiF", "thickness_nm": self.thicknesses_nm[-1]},
            motion=self.motion,
            density=self.density,
            microscope=self.microscope,
            computing={"seed": self.seed, "memory": self.limits.memory},
        )

    @property
    def foci(self) -> list[float]:
        """Foci in nm at which contrast is tabulated."""
        if self.kept.foci_nm:
            return sorted(set(self.kept.foci_nm))
        least, most = self.lens.defocus_nm
        return sorted({least + i * (most - least) / 4 for i in range(5)})
